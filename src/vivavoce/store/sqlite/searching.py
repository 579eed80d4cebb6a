"""What was said, found by its words: keyed hashes in FTS5, so that the index holds no text."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from vivavoce.domain.record import Index, Text
from vivavoce.store.sealing import Keyring, Seal
from vivavoce.store.tables.connection import Connection
from vivavoce.store.tables.words import hashed

_Columns: TypeAlias = tuple[str, str]  # what the user said, what the agent said
_Document: TypeAlias = tuple[_Columns, _Columns]  # with personal data, and without
_PLACE = b"document"
_BREAK = "zz"  # no hash looks like it
_ADD, _REMOVE = ("add_words", "add_redacted_words"), ("remove_words", "remove_redacted_words")

_decode = msgspec.msgpack.Decoder(_Document).decode


class SqliteWords:
    """Two indexes without content; what they hold of a conversation is kept sealed beside them, to take it out again."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    async def put(self, c: Connection, number: int, scope: int, seal: Seal, index: Index) -> None:
        await self.remove(c, number)
        texts = (index.user, index.agent, index.redacted_user, index.redacted_agent)
        user, agent, redacted_user, redacted_agent = (_text(hashed(self._keyring, scope, text)) for text in texts)
        document: _Document = ((user, agent), (redacted_user, redacted_agent))
        await _each(c, _ADD, number, document)
        body = seal.close(msgspec.msgpack.encode(document), _PLACE)
        await c.run("put_document", {"number": number, "body": body})

    async def remove(self, c: Connection, number: int) -> int:
        """Takes a conversation out of both indexes; what FTS5 keeps of it until it merges are hashes."""
        row = await c.one("get_document", {"number": number})
        if row is None:
            return 0
        body, wrapped = row
        await _each(c, _REMOVE, number, opened(self._keyring, wrapped, body))
        return 1

    def matching(self, scope: int, text: Text) -> tuple[str, str]:
        column = {"user": "said_user", "agent": "said_agent"}.get(text.role or "", "")
        phrases = ('"' + " ".join(self._keyring.word(scope, word) for word in phrase) + '"' for phrase in text.phrases)
        match = " AND ".join(phrases)
        return "redacted_words" if text.is_redacted else "words", f"{column} : ({match})" if column else match


def lines_of(text: str) -> list[list[str]]:
    """The hashed words of a column, by turns."""
    return [line.split() for line in text.split(f" {_BREAK} ") if line]


def opened(keyring: Keyring, wrapped: bytes, body: bytes) -> _Document:
    document: _Document = _decode(keyring.unwrap(wrapped).open(body, _PLACE))
    return document


async def _each(c: Connection, names: tuple[str, str], number: int, document: _Document) -> None:
    for name, (user, agent) in zip(names, document, strict=True):
        await c.run(name, {"number": number, "user": user, "agent": agent})


def _text(lines: list[list[str]]) -> str:
    return f" {_BREAK} ".join(" ".join(line) for line in lines)
