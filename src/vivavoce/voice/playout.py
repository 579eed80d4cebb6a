"""The agent's speech as it is played: what comes next, and what of the text has been heard. Pure."""

from __future__ import annotations

import re

from vivavoce.audio import pcm

CHARACTERS_PER_SECOND = 15.0  # of ordinary speech, for a piece whose end has not been made yet
_WORD_END = re.compile(r"\s")


class Piece:
    """A stretch of text and its sound, which may still be growing."""

    def __init__(self, text: str, *, is_interim: bool = False, is_keys: bool = False) -> None:
        self.text = text
        self.is_interim = is_interim  # no words of the reply:
        self.is_keys = is_keys  # either for the wait, or keys that are to be pressed
        self.is_complete = False
        self.is_dropped = False  # nobody will hear the rest
        self.has_failed = False  # no engine could speak it, or not to its end
        self.first: int | None = None  # sample of the call at which it began to play
        self._sound = bytearray()
        self._played = 0

    def add(self, sound: bytes) -> None:
        self._sound += sound

    def restart(self) -> None:
        """What has not been played yet is replaced by what comes now."""
        del self._sound[self._played :]

    def complete(self) -> None:
        self.is_complete = True

    @property
    def is_played(self) -> bool:
        return self.is_complete and self._played >= len(self._sound)

    @property
    def has_sound(self) -> bool:
        return self._played < len(self._sound)

    def take(self, most: int) -> bytes:
        """At most so many bytes."""
        taken = bytes(self._sound[self._played : self._played + most])
        self._played += len(taken)
        return taken

    @property
    def heard(self) -> str:
        """The words of it that were played, to the nearest whole one."""
        if self.is_played and not self.has_failed:
            return self.text
        is_known = self.is_complete and not self.has_failed
        whole = len(self._sound) if is_known else len(self.text) / CHARACTERS_PER_SECOND * pcm.RATE * 2
        share = min(1.0, self._played / max(whole, len(self._sound), 1))
        return up_to_word(self.text, round(len(self.text) * share))


def up_to_word(text: str, count: int) -> str:
    """The first `count` characters without the word that they break off."""
    if count >= len(text):
        return text
    ends = [match.start() for match in _WORD_END.finditer(text, 0, count + 1)]
    return text[: ends[-1]] if ends else ""


class Playout:
    """Pieces in order. A paused playout keeps what it has: a false interruption goes on where it stopped."""

    def __init__(self) -> None:
        self._pieces: list[Piece] = []
        self._done: list[Piece] = []
        self.is_paused = False
        self.start: int | None = None  # samples of the call: where the reply's first sound and its last were played
        self.end: int | None = None

    def begin(self) -> None:
        """A new reply."""
        self.cut()
        self._pieces, self._done = [], []
        self.is_paused = False
        self.start = self.end = None

    def add(self, piece: Piece) -> None:
        self._pieces.append(piece)

    @property
    def is_speaking(self) -> bool:
        return bool(self._pieces) and not self.is_paused

    @property
    def has_pieces(self) -> bool:
        """There is something left to play."""
        return bool(self._pieces)

    @property
    def is_starved(self) -> bool:
        """It could play if it had sound."""
        return bool(self._pieces) and not self._pieces[0].has_sound and not self._pieces[0].is_complete

    def frame(self, now: int) -> bytes | None:
        """The next 20 ms, from sample `now` of the call on; None when there is nothing to play."""
        if self.is_paused:
            return None
        sound = b""
        while self._pieces and len(sound) < pcm.FRAME_BYTES:
            piece = self._pieces[0]
            if piece.has_sound and piece.first is None:
                piece.first = now + len(sound) // 2
                if not piece.is_interim and self.start is None:
                    self.start = piece.first
            sound += piece.take(pcm.FRAME_BYTES - len(sound))
            if piece.is_played:
                self._done.append(self._pieces.pop(0))
            elif not piece.has_sound:
                break
        if not sound:
            return None
        if self.start is not None:
            self.end = now + len(sound) // 2
        return sound + bytes(pcm.FRAME_BYTES - len(sound))

    def drop_interims(self) -> None:
        """What was to be said for the wait is not said once the reply is there, but for what has begun."""
        for piece in self._pieces:
            piece.is_dropped = piece.is_interim and not piece.is_keys and piece.first is None
        self._pieces = [piece for piece in self._pieces if not piece.is_dropped]

    @property
    def _reply(self) -> list[Piece]:
        return [piece for piece in (*self._done, *self._pieces) if not piece.is_interim]

    @property
    def has_broken_off(self) -> bool:
        """The end of the reply could not be spoken."""
        return bool(self._reply) and self._reply[-1].has_failed

    @property
    def heard(self) -> str:
        """The text of the reply up to where it was heard last. A sentence within it that could not be spoken counts, since
        what was heard after it is told of by where it stands."""
        texts = [piece.text.strip() for piece in self._reply]
        heard = [piece.heard.strip() for piece in self._reply]
        last = max((number for number, text in enumerate(heard) if text), default=-1)
        return " ".join(filter(None, (*texts[:last], *heard[last : last + 1]))) if last >= 0 else ""

    def cut(self) -> str:
        """Gives up what is left; the text of the reply that was heard."""
        heard = self.heard
        for piece in self._pieces:
            piece.is_dropped = True
        self._pieces = []
        self.is_paused = False
        return heard
