"""Erasure: the steps by name, each with what it removes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import msgspec
from msgspec import Struct

from vivavoce.store.tables.connection import Connection
from vivavoce.store.tables.engine import Words

_decode_parts = msgspec.msgpack.Decoder(dict[str, list[int]]).decode


class Doomed(Struct, frozen=True):
    """A conversation that is to go: its number, its name in the store, the number of its key."""

    number: int
    name: bytes
    seal: int
    words: Words
    keeps: tuple[str, ...]  # kinds of facts that stay


_Step: TypeAlias = Callable[[Connection, Doomed], Awaitable[int]]


def _rows(statement: str) -> _Step:
    def step(c: Connection, doomed: Doomed) -> Awaitable[int]:
        return c.run(statement, {"number": doomed.number})

    return step


async def _facets(c: Connection, doomed: Doomed) -> int:
    row = await c.one("get_facets", {"number": doomed.number})
    parts = _decode_parts(row[0]) if row is not None else {}
    every = sorted({facet for part in parts.values() for facet in part})
    await c.each("remove_facet", [{"facet": facet, "number": doomed.number} for facet in every])
    return len(every)


async def _facts(c: Connection, doomed: Doomed) -> int:
    removed = 0
    for (name,) in await c.all("facts_of", {"name": doomed.name}):
        kind = await c.one("fact_kind", {"name": name})
        if kind is not None and kind[0] in doomed.keeps:
            await c.run("remove_fact_source", {"conversation": doomed.name, "fact": name})
        else:
            removed += await remove_fact(c, name)
    return removed


async def _words(c: Connection, doomed: Doomed) -> int:
    return await doomed.words.remove(c, doomed.number)


async def _vectors(c: Connection, doomed: Doomed) -> int:
    await c.run("blank_vectors", {"number": doomed.number})
    return await c.run("erase_vectors", {"number": doomed.number})


async def _key(c: Connection, doomed: Doomed) -> int:
    return await c.run("destroy_seal", {"number": doomed.seal})


# In this order: what points to the conversation's row goes before it.
STEPS: dict[str, _Step] = {
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


async def erase(c: Connection, words: Words, number: int, name: bytes, keeps: Sequence[str] = ()) -> dict[str, int]:
    """step -> rows removed; empty when the conversation is not there."""
    row = await c.one("seal_of", {"number": number})
    if row is None:
        return {}
    doomed = Doomed(number, name, row[0], words, tuple(keeps))
    return {step: await remove(c, doomed) for step, remove in STEPS.items()}


async def remove_fact(c: Connection, name: bytes) -> bool:
    """The fact and its key. True when there was one."""
    await c.one("hold_fact", {"name": name})  # who renews it waits, or is waited for
    await c.run("destroy_seal_of_fact", {"name": name})
    await c.run("remove_fact_sources", {"name": name})
    return await c.one("remove_fact", {"name": name}) is not None
