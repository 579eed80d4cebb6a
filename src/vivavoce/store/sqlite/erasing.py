"""Erasure on SQLite: the steps by name, each with what it removes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct

from vivavoce.store.sealing import Keyring
from vivavoce.store.sqlite import searching
from vivavoce.store.statements import statements

SQL = statements("sqlite")

_decode_parts = msgspec.msgpack.Decoder(dict[str, list[int]]).decode


class Doomed(Struct, frozen=True):
    """A conversation that is to go: its number, its name in the store, the number of its key."""

    number: int
    name: bytes
    seal: int
    keyring: Keyring
    keeps: tuple[str, ...]  # kinds of facts that stay


def _rows(statement: str) -> Callable[[sqlite3.Connection, Doomed], int]:
    def step(c: sqlite3.Connection, doomed: Doomed) -> int:
        return c.execute(SQL[statement], {"number": doomed.number}).rowcount

    return step


def _facets(c: sqlite3.Connection, doomed: Doomed) -> int:
    row = c.execute(SQL["get_facets"], {"number": doomed.number}).fetchone()
    parts = _decode_parts(row[0]) if row is not None else {}
    every = {facet for part in parts.values() for facet in part}
    for facet in every:
        c.execute(SQL["remove_facet"], {"facet": facet, "number": doomed.number})
    return len(every)


def _facts(c: sqlite3.Connection, doomed: Doomed) -> int:
    removed = 0
    for (name,) in c.execute(SQL["facts_of"], {"name": doomed.name}).fetchall():
        kind = c.execute(SQL["fact_kind"], {"name": name}).fetchone()
        if kind is not None and kind[0] in doomed.keeps:
            c.execute(SQL["remove_fact_source"], {"conversation": doomed.name, "fact": name})
        else:
            removed += remove_fact(c, name)
    return removed


def _words(c: sqlite3.Connection, doomed: Doomed) -> int:
    return searching.remove(c, doomed.keyring, doomed.number)


def _vectors(c: sqlite3.Connection, doomed: Doomed) -> int:
    c.execute(SQL["blank_vectors"], {"number": doomed.number})
    return c.execute(SQL["erase_vectors"], {"number": doomed.number}).rowcount


def _key(c: sqlite3.Connection, doomed: Doomed) -> int:
    return c.execute(SQL["destroy_seal"], {"number": doomed.seal}).rowcount


# In this order: what points to the conversation's row goes before it.
STEPS: dict[str, Callable[[sqlite3.Connection, Doomed], int]] = {
    "facets": _facets,
    "words": _words,
    "documents": _rows("erase_documents"),
    "vectors": _vectors,
    "facts": _facts,
    "deliveries": _rows("erase_deliveries"),
    "replies": _rows("erase_replies"),
    "closings": _rows("erase_closings"),
    "snapshots": _rows("erase_snapshots"),
    "turns": _rows("erase_turns"),
    "work": _rows("erase_work"),
    "conversations": _rows("erase_conversations"),
    "keys": _key,
}


def erase(
    c: sqlite3.Connection, keyring: Keyring, number: int, name: bytes, keeps: Sequence[str] = ()
) -> dict[str, int]:
    """step -> rows removed; empty when the conversation is not there."""
    row = c.execute(SQL["seal_of"], {"number": number}).fetchone()
    if row is None:
        return {}
    doomed = Doomed(number, name, row[0], keyring, tuple(keeps))
    return {step: remove(c, doomed) for step, remove in STEPS.items()}


def remove_fact(c: sqlite3.Connection, name: bytes) -> bool:
    """The fact and its key. True when there was one."""
    c.execute(SQL["destroy_seal_of_fact"], {"name": name})
    c.execute(SQL["remove_fact_sources"], {"name": name})
    return c.execute(SQL["remove_fact"], {"name": name}).fetchone() is not None
