"""What was said, found by its words: lexemes that are keyed hashes, with their places, whose weight tells who said them."""

from __future__ import annotations

from vivavoce.domain.record import Index, Text
from vivavoce.store.sealing import Keyring, Seal
from vivavoce.store.tables.connection import Connection
from vivavoce.store.tables.words import hashed

USER, AGENT = "A", "B"
LAST_PLACE = 16_383  # PostgreSQL knows no later one, and puts what comes after there
MOST_PLACES = 255  # of one lexeme


class PostgresWords:
    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    async def put(self, c: Connection, number: int, scope: int, seal: Seal, index: Index) -> None:
        words = self._vector(scope, index.user, index.agent)
        redacted = self._vector(scope, index.redacted_user, index.redacted_agent)
        await c.run("put_document", {"number": number, "words": words, "redacted_words": redacted})

    def _vector(self, scope: int, user: str, agent: str) -> str:
        return vector_of(hashed(self._keyring, scope, user), hashed(self._keyring, scope, agent))

    async def remove(self, c: Connection, number: int) -> int:
        return await c.run("erase_documents", {"number": number})

    def matching(self, scope: int, text: Text) -> tuple[str, str]:
        weight = {"user": f":{USER}", "agent": f":{AGENT}"}.get(text.role or "", "")
        phrases = (
            " <-> ".join(f"'{self._keyring.word(scope, word)}'{weight}" for word in phrase) for phrase in text.phrases
        )
        return "redacted_words" if text.is_redacted else "words", " & ".join(f"({phrase})" for phrase in phrases)


def vector_of(user: list[list[str]], agent: list[list[str]]) -> str:
    """A tsvector as text, of hashed words by turns."""
    places: dict[str, list[str]] = {}
    place = 0
    for weight, lines in ((USER, user), (AGENT, agent)):
        for line in lines:
            place += 1  # a phrase does not reach over a gap
            for word in line:
                place += 1
                known = places.setdefault(word, [])
                if place <= LAST_PLACE and len(known) < MOST_PLACES:
                    known.append(f"{place}{weight}")
    # Without a place it is still found as a word, by whoever does not ask who said it.
    return " ".join(f"'{word}':{','.join(known)}" if known else f"'{word}'" for word, known in places.items())
