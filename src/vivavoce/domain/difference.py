"""What differs between two versions, file by file, to read."""

from __future__ import annotations

import difflib
from typing import Literal, TypeAlias

from msgspec import Struct

from vivavoce.domain.deployment import Tree

Change: TypeAlias = Literal["added", "removed", "changed"]
MOST_LINES = 20_000  # of both files together: beyond that a file is only said to have changed
MOST_BYTES = 1 << 20


class FileDifference(Struct, frozen=True, kw_only=True):
    """`lines` is a unified diff without its two heads; None where the file is no text or too long to be compared."""

    path: str
    change: Change
    lines: tuple[str, ...] | None = None


def differences(before: Tree | None, after: Tree) -> list[FileDifference]:
    """In order of path. `before` None is nothing at all."""
    old, new = before.files if before is not None else {}, after.files
    found = []
    for path in sorted(old.keys() | new.keys()):
        if old.get(path) == new.get(path):
            continue
        change: Change = "changed" if path in old and path in new else "added" if path in new else "removed"
        found.append(FileDifference(path=path, change=change, lines=_lines(old.get(path, b""), new.get(path, b""))))
    return found


def _lines(old: bytes, new: bytes) -> tuple[str, ...] | None:
    if len(old) + len(new) > MOST_BYTES:
        return None
    try:
        before, after = old.decode().splitlines(), new.decode().splitlines()
    except UnicodeDecodeError:
        return None
    if len(before) + len(after) > MOST_LINES:
        return None
    return tuple(difflib.unified_diff(before, after, lineterm="", n=2))[2:]
