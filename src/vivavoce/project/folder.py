"""Writing a tree back into its folder: all of it or nothing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from vivavoce.domain.deployment import Tree
from vivavoce.errors import Conflict
from vivavoce.project.tree import read_tree


class FolderConflict(Conflict):
    code = "FOLDER_CONFLICT"


def write_tree(folder: Path, expected: str, tree: Tree) -> None:
    """The folder's files become those of the tree, if they are still those of the tree with the hash `expected`. What is not
    of the format stays as it is. Raises FolderConflict, and nothing is changed then."""
    before = read_tree(folder)
    if before.hash != expected:
        raise FolderConflict("The folder has changed meanwhile; try again.")
    root = folder.resolve()
    changed = {path: content for path, content in tree.files.items() if before.files.get(path) != content}
    removed = before.files.keys() - tree.files.keys()
    done: list[str] = []
    try:
        for path in (*changed, *removed):
            _check(root, path)
        for path, content in changed.items():
            _put_beside(root / path, content)
        for path in changed:
            done.append(path)
            _beside(root / path).replace(root / path)
        for path in sorted(removed):
            done.append(path)
            (root / path).unlink()
    except OSError as error:
        _undo(root, done, before.files)
        for path in changed:
            with contextlib.suppress(OSError):
                _beside(root / path).unlink(missing_ok=True)
        raise FolderConflict(f"The folder cannot be written ({error.strerror}); it is as it was.") from error


def _check(root: Path, path: str) -> None:
    place = root / path
    parent = next(folder for folder in place.parents if folder.exists())
    if not parent.resolve().is_relative_to(root) or place.is_symlink():
        raise FolderConflict(f"{path} lies behind a link; change it where it is.")
    if not os.access(parent, os.W_OK) or (place.exists() and not os.access(place, os.W_OK)):
        raise FolderConflict(
            "The agent is served from a folder that this server may not write; change the folder where it comes from."
        )


def _beside(place: Path) -> Path:
    return place.with_name(f".{place.name}.new")


def _put_beside(place: Path, content: bytes) -> None:
    """All that takes long is done before the first file is exchanged: what a crash can leave half done is a row of renames."""
    place.parent.mkdir(parents=True, exist_ok=True)
    beside = _beside(place)
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if place.exists():
        beside.chmod(place.stat().st_mode & 0o777)


def _undo(root: Path, done: list[str], before: Mapping[str, bytes]) -> None:
    for path in done:
        with contextlib.suppress(OSError):
            if path in before:
                _put_beside(root / path, before[path])
                _beside(root / path).replace(root / path)
            else:
                (root / path).unlink(missing_ok=True)
