"""Loaded agents by the hash of their folder's content, so that a large folder is parsed once."""

from __future__ import annotations

import contextlib
import hashlib
import os
from functools import lru_cache
from pathlib import Path

import msgspec

import vivavoce
from vivavoce.domain.agent import Agent
from vivavoce.domain.deployment import Tree
from vivavoce.project.loader import Loaded, load
from vivavoce.project.source import Fault

MOST_KEPT = 32
DIGEST_BYTES = 32


class _Kept(msgspec.Struct, frozen=True):
    agent: Agent
    faults: tuple[Fault, ...]


_decode = msgspec.msgpack.Decoder(_Kept).decode


def load_cached(tree: Tree, folder: Path | None, *, name: str = "agent") -> Loaded:
    """`load`, through the cache in `folder` when there is one."""
    if folder is None:
        return load(tree, name=name)
    path = folder / f"{_key(tree, name)}.msgpack"
    try:
        kept = _read(path)
    except (OSError, msgspec.MsgspecError, ValueError):  # not there, or damaged
        loaded = load(tree, name=name)
        _keep(path, _Kept(loaded.agent, loaded.faults))
        return loaded
    return Loaded(agent=kept.agent, tree=tree, faults=kept.faults)


def _key(tree: Tree, name: str) -> str:
    return hashlib.sha256(f"{tree.hash}\0{name}\0{_reader()}".encode()).hexdigest()


@lru_cache(maxsize=1)
def _reader() -> str:
    """The code that reads folders, as a hash: when it changes, what it read before counts no more."""
    root = Path(vivavoce.__file__).parent
    digest = hashlib.sha256()
    for place in ("project", "domain", "entities"):
        for path in sorted((root / place).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _read(path: Path) -> _Kept:
    content = path.read_bytes()
    digest, body = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        raise ValueError("damaged")
    return _decode(body)


def _keep(path: Path, kept: _Kept) -> None:
    """Written beside and moved into place: nobody reads half of one."""
    with contextlib.suppress(OSError):  # a cache that cannot be written is only slow
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside = path.with_suffix(f".{os.getpid()}")
        body = msgspec.msgpack.encode(kept)
        beside.write_bytes(hashlib.sha256(body).digest() + body)
        beside.replace(path)
        oldest = sorted(path.parent.glob("*.msgpack"), key=lambda p: p.stat().st_mtime)
        for old in oldest[:-MOST_KEPT]:
            old.unlink()
