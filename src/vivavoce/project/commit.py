"""The commit at which the repository of a folder stands, read from its files: running git there would run what its settings say."""

from __future__ import annotations

import re
from pathlib import Path

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REF = re.compile(r"ref: (refs/[\w./@+-]+)")
_MOST = 1 << 20  # characters of a file that is looked into


def commit_of(folder: Path) -> str | None:
    """None where the folder is in no repository, or in one without a commit. The folder's files may differ from it."""
    try:
        repository = _repository(folder.resolve())
        return _commit(repository, _text(repository / "HEAD")) if repository is not None else None
    except (OSError, ValueError):
        return None


def _repository(folder: Path) -> Path | None:
    for place in (folder, *folder.parents):
        found = place / ".git"
        if found.is_dir():
            return found
        if found.is_file():  # of a worktree or a submodule
            return place / _text(found).removeprefix("gitdir: ")
    return None


def _commit(repository: Path, head: str) -> str | None:
    if _COMMIT.fullmatch(head):
        return head
    ref = _REF.fullmatch(head)
    if ref is None or ".." in ref[1]:
        return None
    common = repository / "commondir"
    for place in (repository, repository / _text(common) if common.is_file() else repository):
        if (place / ref[1]).is_file():
            text = _text(place / ref[1])
            return text if _COMMIT.fullmatch(text) else None
        if (place / "packed-refs").is_file():
            for line in _text(place / "packed-refs").splitlines():
                commit, _, name = line.partition(" ")
                if name == ref[1] and _COMMIT.fullmatch(commit):
                    return commit
    return None


def _text(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.read(_MOST).strip()
