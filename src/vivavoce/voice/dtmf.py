"""Keys into entries: when the caller has pressed all of them. Pure."""

from __future__ import annotations

from msgspec import Struct

KEYS = frozenset("0123456789*#ABCD")
MOST_KEYS = 64  # of one entry


class Settings(Struct, frozen=True, kw_only=True):
    """What is collected, by the step that is active. `most` 0 is any number."""

    is_enabled: bool = True
    most: int = 0
    end_key: str = "#"
    between: float = 2.0  # seconds between two keys, after which the entry is complete
    first: float | None = None  # seconds to the first key; None is the silence time-out's
    while_agent_speaks: bool = False
    is_secret: bool = False  # personal data: not shown, not heard


class Entry(Struct, frozen=True):
    """The keys, without the one that ended them."""

    digits: str
    end_key: str = ""
    start: float = 0.0  # seconds of the call
    end: float = 0.0
    is_secret: bool = False


DEFAULT = Settings()


class Keypad:
    def __init__(self, settings: Settings = DEFAULT) -> None:
        self.settings = settings
        self._next: Settings | None = None
        self._is_secret = False  # the entry: one key of it is enough
        self._keys = ""
        self._start = self._last = 0.0

    @property
    def is_secret(self) -> bool:
        """What is being keyed in is nobody's business."""
        return self._is_secret or self.settings.is_secret

    @property
    def is_active(self) -> bool:
        return bool(self._keys)

    def settle(self, settings: Settings) -> None:
        """From the next entry on: one that has been begun is completed, and kept secret, as it was begun."""
        if self.is_active:
            self._next = settings
            self._is_secret = self._is_secret or settings.is_secret
        else:
            self.settings, self._next = settings, None

    def press(self, key: str, now: float) -> Entry | None:
        """Takes one key; the entry when it is the last."""
        settings = self.settings
        key = key.upper()
        if not settings.is_enabled or key not in KEYS:
            return None
        if not self._keys:
            self._start = now
        self._is_secret = self._is_secret or settings.is_secret
        self._last = now
        if settings.end_key and key == settings.end_key:
            return self._done(key)
        self._keys += key
        is_full = len(self._keys) >= min(settings.most or MOST_KEYS, MOST_KEYS)
        return self._done("") if is_full else None

    def tick(self, now: float) -> Entry | None:
        """The entry when no further key has come for long enough."""
        return self._done("") if self._keys and now - self._last >= self.settings.between - 1e-9 else None

    def _done(self, end_key: str) -> Entry:
        entry = Entry(self._keys, end_key, self._start, self._last, self._is_secret)
        self._keys, self._is_secret = "", False
        if self._next is not None:
            self.settle(self._next)
        return entry
