"""Three-way merging of nested values: what only one side has changed is taken, what both have changed differently is a conflict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from msgspec import Struct

Path: TypeAlias = tuple[str, ...]
Strategy: TypeAlias = Literal["ours", "theirs", "base"]
MISSING: Any = type("Missing", (), {"__repr__": lambda _: "MISSING"})()


class Conflict(Struct, frozen=True, kw_only=True):
    """`ours` is the target's value, `theirs` that of the branch which is merged into it; MISSING where there is none."""

    path: Path
    base: Any
    ours: Any
    theirs: Any

    @property
    def kind(self) -> Literal["add", "modify", "delete"]:
        if self.base is MISSING:
            return "add"
        return "delete" if self.ours is MISSING or self.theirs is MISSING else "modify"


class Resolution(Struct, frozen=True, kw_only=True):
    """How one conflict is settled: by a side, or by a `value` of its own."""

    path: Path
    strategy: Strategy
    value: Any = MISSING


def merge(base: Any, ours: Any, theirs: Any, resolutions: Sequence[Resolution] = ()) -> tuple[Any, list[Conflict]]:
    """(the merged value, what is left to be settled, for which the merged value has ours)."""
    conflicts: list[Conflict] = []
    settled = {resolution.path: resolution for resolution in resolutions}
    return _merged((), base, ours, theirs, settled, conflicts), conflicts


def _merged(
    path: Path, base: Any, ours: Any, theirs: Any, settled: Mapping[Path, Resolution], conflicts: list[Conflict]
) -> Any:
    if _same(ours, theirs) or _same(base, theirs):
        return ours
    if _same(base, ours):
        return theirs
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        before = base if isinstance(base, Mapping) else {}
        found = {}
        for key in _keys(ours, theirs):
            value = _merged(
                (*path, key),
                before.get(key, MISSING),
                ours.get(key, MISSING),
                theirs.get(key, MISSING),
                settled,
                conflicts,
            )
            if value is not MISSING:
                found[key] = value
        return found
    resolution = settled.get(path)
    if resolution is not None:
        if resolution.value is not MISSING:
            return resolution.value
        return {"ours": ours, "theirs": theirs, "base": base}[resolution.strategy]
    conflicts.append(Conflict(path=path, base=base, ours=ours, theirs=theirs))
    return ours


def _same(one: Any, other: Any) -> bool:
    """Of the same kind as well: True is not 1."""
    if one is MISSING or other is MISSING:
        return one is other
    return type(one) is type(other) and bool(one == other)


def _keys(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """In the order of ours; what is new of theirs stands after what it stands after there."""
    found = list(ours)
    known = set(ours)
    place = 0
    for key in theirs:
        if key in known:
            place = found.index(key) + 1
        else:
            found.insert(place, key)
            known.add(key)
            place += 1
    return found
