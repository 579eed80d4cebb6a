"""What was said, found by its words: keyed hashes in FTS5, so that the index holds no text."""

from __future__ import annotations

import sqlite3
from typing import TypeAlias

import msgspec

from vivavoce.domain.record import Index, Text
from vivavoce.domain.words import words
from vivavoce.store.sealing import Keyring, Seal
from vivavoce.store.statements import statements

SQL = statements("sqlite")
_Columns: TypeAlias = tuple[str, str]  # what the user said, what the agent said
_Document: TypeAlias = tuple[_Columns, _Columns]  # with personal data, and without
_PLACE = b"document"
_BREAK = "zz"  # no hash looks like it
_ADD, _REMOVE = ("add_words", "add_redacted_words"), ("remove_words", "remove_redacted_words")

_decode = msgspec.msgpack.Decoder(_Document).decode


def put(c: sqlite3.Connection, keyring: Keyring, number: int, scope: int, seal: Seal, index: Index) -> None:
    remove(c, keyring, number)
    document: _Document = (
        (_hashed(keyring, scope, index.user), _hashed(keyring, scope, index.agent)),
        (_hashed(keyring, scope, index.redacted_user), _hashed(keyring, scope, index.redacted_agent)),
    )
    _each(c, _ADD, number, document)
    body = seal.close(msgspec.msgpack.encode(document), _PLACE)
    c.execute(SQL["put_document"], {"number": number, "body": body})


def remove(c: sqlite3.Connection, keyring: Keyring, number: int) -> int:
    """Takes a conversation out of both indexes; what FTS5 keeps of it until it merges are hashes."""
    row = c.execute(SQL["get_document"], {"number": number}).fetchone()
    if row is None:
        return 0
    body, wrapped = row
    _each(c, _REMOVE, number, _decode(keyring.unwrap(wrapped).open(body, _PLACE)))
    return 1


def _each(c: sqlite3.Connection, names: tuple[str, str], number: int, document: _Document) -> None:
    for name, (user, agent) in zip(names, document, strict=True):
        c.execute(SQL[name], {"number": number, "user": user, "agent": agent})


def matching(keyring: Keyring, scope: int, text: Text) -> tuple[str, str]:
    """(the index, what to match in it)."""
    column = {"user": "said_user", "agent": "said_agent"}.get(text.role or "", "")
    phrases = ('"' + " ".join(keyring.word(scope, word) for word in phrase) + '"' for phrase in text.phrases)
    match = " AND ".join(phrases)
    return "redacted_words" if text.is_redacted else "words", f"{column} : ({match})" if column else match


def _hashed(keyring: Keyring, scope: int, text: str) -> str:
    """Turns stand on lines of their own; a phrase does not reach from one into the next."""
    lines = (" ".join(keyring.word(scope, word) for word in words(line)) for line in text.split("\n"))
    return f" {_BREAK} ".join(line for line in lines if line)
