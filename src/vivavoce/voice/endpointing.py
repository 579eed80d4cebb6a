"""When an utterance begins and when it has ended, from the probability of speech in each piece of sound. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace


class Settings(Struct, frozen=True, kw_only=True):
    """Seconds, and probabilities of speech."""

    begins_after: float = 0.1  # of speech: what is shorter is a click
    pauses_after: float = 0.2  # of silence: perhaps the end
    ends_after: float = 0.6  # of silence: the end
    longest: float = 45.0  # utterance: then it is taken as it is
    speech: float = 0.5  # at least: somebody speaks
    silence: float = 0.35  # below: nobody speaks; what lies between keeps to what was


# How long a silence is that ends an utterance, by the folder's `interaction_style`.
STYLES = {"precise": 0.9, "balanced": 0.6, "swift": 0.45, "sonic": 0.3, "turbo": 0.3}
# Who reads out digits or spells pauses between them; who answers yes or no does not.
SLOW_KINDS = frozenset({"alphanumeric", "name_spelling", "numeric", "address"})
SLOW_SECONDS = 0.5
QUICK_KINDS = frozenset({"yes_no"})
QUICK_SECONDS = 0.1


def ends_after(style: str, kinds: tuple[str, ...] = ()) -> float:
    """Seconds of silence that end an utterance of which these kinds of words are expected."""
    seconds = STYLES.get(style, STYLES["balanced"])
    if SLOW_KINDS & set(kinds):
        return seconds + SLOW_SECONDS
    return max(0.25, seconds - QUICK_SECONDS) if kinds and set(kinds) <= QUICK_KINDS else seconds


class SpeechBegan(Struct, frozen=True):
    """`at`, in seconds, is where the speech began: a little ago."""

    at: float


class SpeechPaused(Struct, frozen=True):
    at: float


class SpeechEnded(Struct, frozen=True):
    """`end` is where the speech stopped, which is as long ago as it took to be sure."""

    start: float
    end: float
    is_cut: bool = False  # it went on for too long


Heard: TypeAlias = SpeechBegan | SpeechPaused | SpeechEnded


DEFAULT = Settings()


class Endpointing:
    """Fed with every piece of sound in order. `now` is the end of the piece, in seconds of the call."""

    def __init__(self, settings: Settings = DEFAULT) -> None:
        self.settings = settings
        self._state: Literal["silent", "maybe", "speaking", "paused", "ending"] = "silent"
        self._began = 0.0
        self._stopped = 0.0  # where speech was heard last
        self._is_speech = False

    @property
    def is_active(self) -> bool:
        """An utterance has begun and not ended."""
        return self._state in ("speaking", "paused", "ending")

    def reset(self) -> None:
        self._state = "silent"
        self._is_speech = False

    def hear(self, now: float, seconds: float, probability: float) -> Heard | None:
        settings = self.settings
        if probability >= settings.speech:
            self._is_speech = True
        elif probability < settings.silence:
            self._is_speech = False
        if self._is_speech:
            self._stopped = now
        match self._state:
            case "silent":
                if self._is_speech:
                    self._state, self._began = "maybe", now - seconds
                return None
            case "maybe":
                if not self._is_speech:
                    self._state = "silent"
                elif now - self._began >= settings.begins_after - 1e-9:
                    self._state = "speaking"
                    return SpeechBegan(self._began)
                return None
            case _:
                return self._within(now)

    def _within(self, now: float) -> Heard | None:
        settings = self.settings
        if now - self._began >= settings.longest:
            self.reset()
            return SpeechEnded(self._began, self._stopped, is_cut=True)
        silent = now - self._stopped
        if silent <= 0:
            self._state = "speaking"
            return None
        if silent >= settings.ends_after - 1e-9:
            if self._state == "speaking":  # an end that comes no later than the pause
                self._state = "ending"
                return SpeechPaused(self._stopped)
            self.reset()
            return SpeechEnded(self._began, self._stopped)
        if self._state == "speaking" and silent >= settings.pauses_after - 1e-9:
            self._state = "paused"
            return SpeechPaused(self._stopped)
        return None


BLOCK_SECONDS = 0.01  # over which loudness is taken to find the edges of an utterance
_BEFORE, _AFTER = 0.25, 0.15  # seconds around what the detector has told, in which the true edges lie
_LEAST, _OF_PEAK, _OVER_NOISE = 0.004, 0.08, 3.0


def edges(levels: Sequence[float], first: float, ended: SpeechEnded) -> SpeechEnded:
    """The utterance by its loudness, in blocks from `first` on: a detector that thinks in larger pieces tells it late."""
    if not levels:
        return ended
    ordered = sorted(levels)
    noise, peak = ordered[len(ordered) // 10], ordered[len(ordered) * 95 // 100]
    least = max(_LEAST, peak * _OF_PEAK, noise * _OVER_NOISE)
    low = max(0, round((ended.start - _BEFORE - first) / BLOCK_SECONDS))
    high = min(len(levels), round((ended.end + _AFTER - first) / BLOCK_SECONDS))
    loud = [number for number in range(low, high) if levels[number] >= least]
    if not loud:
        return ended
    return replace(ended, start=first + loud[0] * BLOCK_SECONDS, end=first + (loud[-1] + 1) * BLOCK_SECONDS)


class SilenceTimer:
    """When nothing at all has come from the caller for long enough after the agent has said its part."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._quiet_since: float | None = None

    def tick(self, now: float, *, is_waiting: bool) -> bool:
        """`is_waiting`: it is the caller's turn, and there is nothing of it yet. True once, when the time is up."""
        if not is_waiting:
            self._quiet_since = None
            return False
        if self._quiet_since is None:
            self._quiet_since = now
        if now - self._quiet_since >= self.seconds - 1e-9:
            self._quiet_since = None
            return True
        return False
