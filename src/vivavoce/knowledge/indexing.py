"""Embedding whole folders: in the background, short texts with short ones, and each text only once in its life."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vivavoce.domain.clock import Embedder

BATCH = 32
LONGEST_WAIT_SECONDS = 5.0  # for another process that writes the cache


def embedded(texts: Sequence[str], embedder: Embedder) -> npt.NDArray[np.float32]:
    """A row for each text. Runs at the lowest priority: it is for a thread that nobody waits for."""
    with contextlib.suppress(OSError, AttributeError):  # only where threads have a priority of their own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
    order = sorted(range(len(texts)), key=lambda n: len(texts[n]))  # a batch is as slow as its longest text
    rows: list[list[float]] = [[] for _ in texts]
    for start in range(0, len(order), BATCH):
        batch = order[start : start + BATCH]
        for number, vector in zip(batch, embedder.embed([texts[n] for n in batch]), strict=True):
            rows[number] = vector
    return np.array(rows, dtype=np.float32)


class KeptVectors:
    """An Embedder that asks another one only for texts it has never seen. For author text: a user's words are never kept."""

    def __init__(self, embedder: Embedder, path: Path) -> None:
        self.name = embedder.name
        self._embedder = embedder
        self._path = path
        self._lock = threading.Lock()
        self._size: int | None = None  # of a vector

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        keys = [hashlib.sha256(f"{self.name}\0{text}".encode()).digest() for text in texts]
        with self._lock:
            known = self._read(keys)
            missing = [n for n, key in enumerate(keys) if key not in known]
            if missing:
                vectors = self._embedder.embed([texts[n] for n in missing])
                fresh = {keys[n]: np.array(v, dtype=np.float16) for n, v in zip(missing, vectors, strict=True)}
                self._write(fresh)
                known.update(fresh)
        return [[float(x) for x in known[key]] for key in keys]

    def _read(self, keys: list[bytes]) -> dict[bytes, npt.NDArray[np.float16]]:
        if not self._path.exists():
            return {}
        try:
            with contextlib.closing(sqlite3.connect(self._path, timeout=LONGEST_WAIT_SECONDS)) as connection:
                marks = ",".join("?" * len(keys))
                rows = connection.execute(f"SELECT key, vector FROM vectors WHERE key IN ({marks})", keys)  # noqa: S608  # marks only
                found = {
                    key: np.frombuffer(vector, dtype=np.float16) for key, vector in rows if isinstance(vector, bytes)
                }
        except (sqlite3.Error, ValueError, TypeError):
            return {}  # a cache that cannot be read is an empty one
        if self._size is None and found:
            self._size = len(self._embedder.embed(["size"])[0])
        return {key: vector for key, vector in found.items() if len(vector) == self._size}

    def _write(self, fresh: dict[bytes, npt.NDArray[np.float16]]) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with (
                contextlib.closing(sqlite3.connect(self._path, timeout=LONGEST_WAIT_SECONDS)) as connection,
                connection,
            ):
                connection.execute("PRAGMA synchronous=OFF")  # what is lost is embedded again
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB) WITHOUT ROWID"
                )
                connection.executemany(
                    "INSERT OR IGNORE INTO vectors VALUES (?, ?)", [(key, v.tobytes()) for key, v in fresh.items()]
                )
        except (sqlite3.Error, OSError):
            with contextlib.suppress(OSError):
                self._path.unlink()  # damaged, or not a database: begun anew the next time
