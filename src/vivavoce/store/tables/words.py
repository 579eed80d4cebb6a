"""Words as the indexes know them: keyed hashes, so that an index holds no text."""

from __future__ import annotations

from vivavoce.domain.words import words
from vivavoce.store.sealing import Keyring


def hashed(keyring: Keyring, scope: int, text: str) -> list[list[str]]:
    """By turns, which stand on lines of their own: a phrase does not reach from one into the next."""
    lines = ([keyring.word(scope, word) for word in words(line)] for line in text.split("\n"))
    return [line for line in lines if line]
