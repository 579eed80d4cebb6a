"""The content of a folder as one immutable value, named by its hash."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from vivavoce.domain.deployment import Tree
from vivavoce.errors import Invalid, UsageError
from vivavoce.project import layout
from vivavoce.project.source import Fault, Faults


def read_tree(folder: Path) -> Tree:
    """Reads every file of the format below `folder`; links that lead outside it are left out."""
    if not folder.is_dir():
        raise UsageError(
            f"{folder} is not a folder. Name the folder that holds project.yaml, or make one with `vivavoce new`."
        )
    root = folder.resolve()
    files: dict[str, bytes] = {}
    total = 0
    for relative, path, size in _files(root):
        total += size
        if size > layout.most_bytes(relative) or total > layout.MAX_TREE_BYTES:
            raise UsageError(_too_large(relative))
        try:
            files[relative] = path.read_bytes()
        except FileNotFoundError:
            continue  # taken away since it was listed; the watcher will come again
        except OSError as error:
            raise UsageError(f"{relative} cannot be read: {error.strerror}.") from error
    return Tree(hash=tree_hash(files), files=files)


def check_sizes(files: Mapping[str, bytes]) -> None:
    """Raises Invalid where a folder with these files could not be read."""
    total = 0
    for path, content in files.items():
        total += len(content)
        if len(content) > layout.most_bytes(path) or total > layout.MAX_TREE_BYTES:
            raise Invalid(_too_large(path))


def _too_large(path: str) -> str:
    return (
        f"{path} is too large: a file may hold {layout.most_bytes(path) >> 20} MiB"
        f" and a folder {layout.MAX_TREE_BYTES >> 20} MiB."
    )


def left_out(folder: Path) -> list[Fault]:
    """A warning for each file that an author may take for a part of the agent, and that nothing reads."""
    root = folder.resolve()
    faults = Faults()
    for path in _walk(root):
        relative = path.relative_to(root).as_posix()
        hidden = any(part.startswith(".") for part in relative.split("/"))
        if not hidden and (why := layout.unread(relative)) is not None:
            faults.warn(relative.encode(errors="surrogateescape").decode(errors="replace"), 1, "unknown-file", why)
    return faults.found


def tree_hash(files: dict[str, bytes]) -> str:
    """SHA-256 over each path and its content's hash, in order of path."""
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.encode() + b"\0" + hashlib.sha256(files[path]).digest())
    return digest.hexdigest()


def _files(root: Path) -> Iterator[tuple[str, Path, int]]:
    """(relative path, path, size) of the regular files of the format that lie within the folder."""
    for path in _walk(root):
        relative = path.relative_to(root).as_posix()
        try:
            relative.encode()
            status = path.stat()
            is_inside = path.resolve(strict=True).is_relative_to(root)
        except (OSError, UnicodeEncodeError, RuntimeError):
            continue  # a link that leads nowhere or in a ring, a name that is no text, a file that just went away
        if layout.belongs(relative) and is_inside and stat.S_ISREG(status.st_mode):
            yield relative, path, status.st_size


def _walk(root: Path) -> list[Path]:
    found: list[Path] = []
    for folder, names, files in os.walk(root):
        names[:] = sorted(n for n in names if not n.startswith(".") and n not in layout.PRUNED)
        found.extend(Path(folder, name) for name in sorted(files))
    return found
