"""Whether the caller means to interrupt the agent, or has only coughed or agreed. Pure."""

from __future__ import annotations

from msgspec import Struct


class Settings(Struct, frozen=True, kw_only=True):
    is_enabled: bool = True
    after: float = 0.25  # seconds of speech: what is shorter is a backchannel or a noise
    speech: float = 0.6  # probability
    forgets: float = 0.4  # seconds of silence after which an attempt does not count any more
    most: int | None = None  # interruptions of a call; those beyond are not heard as such


DEFAULT = Settings()


class BargeIn:
    """Fed with every piece of the caller's sound while the agent speaks."""

    def __init__(self, settings: Settings = DEFAULT) -> None:
        self.settings = settings
        self._spoken = 0.0
        self._silent = 0.0
        self._count = 0

    def reset(self) -> None:
        self._spoken = self._silent = 0.0

    def hear(self, seconds: float, probability: float) -> bool:
        """True when the agent has to stop now."""
        most = self.settings.most
        if not self.settings.is_enabled or (most is not None and self._count >= most):
            return False
        if probability >= self.settings.speech:
            self._spoken += seconds
            self._silent = 0.0
        else:
            self._silent += seconds
            if self._silent >= self.settings.forgets:
                self._spoken = 0.0
        if self._spoken >= self.settings.after - 1e-9:
            self.reset()
            self._count += 1
            return True
        return False
