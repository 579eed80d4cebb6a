"""Merging two folders that have a common ancestor: by file where only one side has changed it, within the file where both have."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from vivavoce.domain import merging
from vivavoce.domain.merging import MISSING, Conflict, Path, Resolution
from vivavoce.errors import Invalid
from vivavoce.project.source import plain_yaml
from vivavoce.project.writing import brought_to, yaml_of

_NAMES = ("name", "id", "keyphrase", "regex", "regular_expression")  # by which the items of a list are told apart


def merge(
    base: Mapping[str, bytes],
    ours: Mapping[str, bytes],
    theirs: Mapping[str, bytes],
    resolutions: Sequence[Resolution] = (),
) -> tuple[dict[str, bytes], list[Conflict]]:
    """(the merged files, what is left to be settled). A conflict's path begins with that of its file."""
    found: dict[str, bytes] = {}
    conflicts: list[Conflict] = []
    for path in sorted(ours.keys() | theirs.keys()):
        sides = [side.get(path, MISSING) for side in (base, ours, theirs)]
        before, mine, other = sides
        if mine == other or other == before:
            merged = mine
        elif mine == before:
            merged = other
        else:
            merged = _within(path, sides, resolutions, conflicts)
        if merged is not MISSING:
            found[path] = merged
    return found, conflicts


def _within(path: str, sides: list[Any], resolutions: Sequence[Resolution], conflicts: list[Conflict]) -> Any:
    named: dict[Path, str] = {}
    base, ours, theirs = [_opened(path, side, named) for side in sides]
    settled = [
        Resolution(path=r.path[1:], strategy=r.strategy, value=r.value) for r in resolutions if r.path[:1] == (path,)
    ]
    merged, left = merging.merge(base, ours, theirs, settled)
    for conflict in left:
        conflicts.append(
            Conflict(path=(path, *conflict.path), base=conflict.base, ours=conflict.ours, theirs=conflict.theirs)
        )
    if merged is MISSING:
        return MISSING
    mine = sides[1]
    if mine is not MISSING and merged == ours:
        return mine  # as it was written
    value = _listed(merged, named)
    if mine is not MISSING and isinstance(value, dict) and path.endswith((".yaml", ".yml")):
        return brought_to(mine, path, value)
    return sides[2] if sides[2] is not MISSING and merged == theirs else _closed(path, value)


def _opened(path: str, content: Any, named: dict[Path, str]) -> Any:
    """What a file says, as nested mappings where it is structured, else its text."""
    if content is MISSING:
        return MISSING
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return content
    if path.endswith((".yaml", ".yml")):
        value = plain_yaml(content)
        return _by_name(value, (), named) if value is not None else text
    if path.endswith(".json"):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return text
        return value if isinstance(value, dict) else text
    return text


def _closed(path: str, value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if path.endswith((".yaml", ".yml")) and not isinstance(value, str):
        return yaml_of(value)
    if path.endswith(".json") and not isinstance(value, str):
        return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
    if not isinstance(value, str):
        raise Invalid(f"The value for {path} should be a text.")
    return value.encode()


def _by_name(value: Any, path: Path, named: dict[Path, str]) -> Any:
    """Lists whose items have names of their own become mappings, so that two sides may each add or change one."""
    if isinstance(value, dict):
        return {key: _by_name(item, (*path, key), named) for key, item in value.items()}
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        for name in _NAMES:
            keys = [item.get(name) for item in value]
            if all(isinstance(key, str) for key in keys) and len(set(keys)) == len(keys):
                named[path] = name
                return {key: _by_name(item, (*path, key), named) for key, item in zip(keys, value, strict=True)}
    return value


def _listed(value: Any, named: Mapping[Path, str], path: Path = ()) -> Any:
    if isinstance(value, dict):
        items = {key: _listed(item, named, (*path, key)) for key, item in value.items()}
        return list(items.values()) if path in named else items
    return value
