"""The content of a folder as one immutable value, named by its hash."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from vivavoce.domain.deployment import Tree
from vivavoce.errors import UsageError
from vivavoce.project import layout


def read_tree(folder: Path) -> Tree:
    """Reads every file of the format below `folder`; links that lead outside it are left out."""
    if not folder.is_dir():
        raise UsageError(
            f"{folder} is not a folder. Name the folder that holds project.yaml, or make one with `vivavoce new`."
        )
    root = folder.resolve()
    files: dict[str, bytes] = {}
    total = 0
    for path in _walk(root):
        relative = path.relative_to(root).as_posix()
        if not layout.belongs(relative) or not path.resolve().is_relative_to(root):
            continue
        size = path.stat().st_size
        total += size
        if size > layout.MAX_FILE_BYTES or total > layout.MAX_TREE_BYTES:
            raise UsageError(
                f"{relative} is too large: a file may hold {layout.MAX_FILE_BYTES >> 20} MiB and a folder {layout.MAX_TREE_BYTES >> 20} MiB."
            )
        files[relative] = path.read_bytes()
    return Tree(hash=tree_hash(files), files=files)


def tree_hash(files: dict[str, bytes]) -> str:
    """SHA-256 over each path and its content's hash, in order of path."""
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.encode() + b"\0" + hashlib.sha256(files[path]).digest())
    return digest.hexdigest()


def fingerprint(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Cheap to take again and again: changes whenever a file of the format does."""
    root = folder.resolve()
    found = []
    for path in _walk(root):
        relative = path.relative_to(root).as_posix()
        if layout.belongs(relative):
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue  # an editor replaced it between the listing and here; the next look sees it
            found.append((relative, stat.st_mtime_ns, stat.st_size))
    return tuple(found)


_PRUNED = {"_gen", "tests", "node_modules", "__pycache__", "venv"}


def _walk(root: Path) -> list[Path]:
    found: list[Path] = []
    for folder, names, files in os.walk(root):
        names[:] = sorted(n for n in names if not n.startswith(".") and n not in _PRUNED)
        found.extend(Path(folder, name) for name in sorted(files))
    return found
