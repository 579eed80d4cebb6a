"""The projection of a folder, and a folder as a changed projection has it.

Only what has changed is written: a file of which the projection says the same as before stays as its author wrote it, and in
one that changes, comments and what is unchanged stay.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from msgspec import Struct

from vivavoce.errors import Conflict, Invalid
from vivavoce.project import layout
from vivavoce.project.editing import Files, is_id_of
from vivavoce.project.projection import cases, code, flows, functions, knowledge, lists, references, settings, variants
from vivavoce.project.projection.parts import Folder, Json, Part
from vivavoce.project.tree import check_sizes
from vivavoce.project.writing import brought_to, canonical

SECTIONS = (settings, variants, lists, functions, flows, knowledge, cases)


class Rendering(Struct, frozen=True, kw_only=True):
    projection: Json
    moved: dict[str, str]  # where files lie that are not called as the format would
    places: frozenset[str]  # of all that has an id


class AmbiguousNames(Conflict):
    code = "PROJECTION_NAMES_CLASH"


def render(files: Mapping[str, bytes], ids: Mapping[str, str]) -> Rendering:
    """Raises AmbiguousNames where two parts would have the same file, which no client could pull."""
    folder = Folder(files, ids)
    projection: Json = {}
    for section in SECTIONS:
        projection.update(section.read(folder))
    references.by_id(projection)
    _parts(projection)
    return Rendering(projection=projection, moved=folder.moved, places=folder.places)


def living(files: Mapping[str, bytes], ids: Mapping[str, str]) -> dict[str, str]:
    """The ids of what is there. One that is left of something renamed or removed would go to whoever takes its place."""
    try:
        places = render(files, ids).places
    except AmbiguousNames:
        return {place: id for place, id in ids.items() if place.partition("#")[0] in files}
    return {place: id for place, id in ids.items() if place in places}


def test_cases(files: Mapping[str, bytes], ids: Mapping[str, str]) -> dict[str, Json]:
    """id -> a case in the words of its file."""
    rendering = render(files, ids)
    return {part.ids[""]: part.content for part in cases.write(rendering.projection) if isinstance(part.content, dict)}


def written(files: Files, ids: Mapping[str, str], before: Rendering, after: Json) -> tuple[Files, dict[str, str]]:
    """(the folder as `after` has it, the ids of its parts that were chosen elsewhere).

    Raises Invalid where the folder would not say what `after` says.
    """
    old, new = _parts(before.projection), _parts(after)
    places = {path: before.moved.get(path) or _beside(path, before.moved) for path in {**old, **new}}
    found = _changed(files, ids, old, new, places)
    chosen = {
        **{places[path] + suffix: id for path, part in new.items() for suffix, id in part.ids.items()},
        **functions.variable_ids(after),
    }
    _settle(found, chosen, new, places)
    check_sizes(found)
    return found, {place: id for place, id in chosen.items() if not is_id_of(id, place)}


def _changed(
    files: Files, ids: Mapping[str, str], old: dict[str, Part], new: dict[str, Part], places: Mapping[str, str]
) -> Files:
    folder = Folder(files, ids)
    found = dict(files)
    listed = lists.keys()
    for path in old.keys() - new.keys():
        content = found.pop(places[path], None)
        if path in listed and content is not None:
            found[places[path]] = _yaml(content, places[path], {**folder.yaml(places[path]), listed[path]: []})
    homes = {part.ids[""]: path for path, part in old.items() if "" in part.ids}
    for path, part in new.items():
        was = path if path in old else homes.get(part.ids.get("", ""))
        if was == path and old[path].content == part.content:
            continue
        place = places[path]
        if not layout.belongs(place):
            raise Invalid(f"A name leads to the file {place[:120]!r}, which the format does not have.")
        if was is None and place in files and path not in (*listed, layout.VARIANTS):
            raise AmbiguousNames(f"There is a file {place} already that says something else.")
        found[place] = _content(part, old[was].content if was else {}, folder, places[was] if was else place)
    return found


def _settle(found: Files, ids: Mapping[str, str], new: dict[str, Part], places: Mapping[str, str]) -> None:
    """What a folder says without a file of it may depend on others, so it is read once more; such a file is written then."""
    read = _parts(render(found, ids).projection)
    if lost := new.keys() - read.keys():
        raise Invalid(f"{min(lost)} would be read by nothing: give it another name. Nothing was changed.")
    for path, part in read.items():
        wanted = new.get(path)
        if wanted is None or _is_same(wanted, part):
            continue
        place = places[path]
        if place in found or isinstance(wanted.content, str):
            raise Invalid(f"{place} cannot be written so that it says what was sent. Nothing was changed.")
        found[place] = _content(wanted, {}, Folder(found, ids), place)


def _is_same(wanted: Part, found: Part) -> bool:
    """But for the ends of lines, and for how a function is laid out."""
    if wanted.content == found.content:
        return True
    if not isinstance(wanted.content, str) or not isinstance(found.content, str):
        return False
    if wanted.over is not None:
        name = PurePosixPath(wanted.path).stem
        return code.opened(wanted.content, name, {}) == code.opened(found.content, name, {})
    return wanted.content.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff") == found.content


def _parts(projection: Json) -> dict[str, Part]:
    """By path, as the format would call them."""
    named = copy.deepcopy(projection)
    references.by_name(named)
    found: dict[str, Part] = {}
    for section in SECTIONS:
        for part in section.write(named):
            if part.path in found:
                both = " and ".join(repr(_called(each)) for each in (found[part.path], part))
                raise AmbiguousNames(f"{both} would have one file, {part.path}: give one of them another name.")
            found[part.path] = part
    return found


def _called(part: Part) -> str:
    name = part.content.get("name") if isinstance(part.content, dict) else None
    return str(name or part.path)[:64]


def _beside(path: str, moved: Mapping[str, str]) -> str:
    """A new file of a flow lies where the flow does."""
    top, _, rest = path.partition("/")
    home, _, rest = rest.partition("/")
    header = moved.get(f"flows/{home}/flow_config.yaml") if top == "flows" else None
    return f"{header.removesuffix('flow_config.yaml')}{rest}" if header is not None else path


def _content(part: Part, before: str | Json, folder: Folder, path: str) -> bytes:
    content = folder.files.get(path)
    if isinstance(part.content, str):
        text = part.over(folder.text(path)) if part.over is not None and content is not None else part.content
        return text.encode()
    if content is None:
        return canonical(part.content)
    return _yaml(content, path, _rebased(folder.yaml(path), before if isinstance(before, dict) else {}, part.content))


def _yaml(content: bytes, path: str, value: Json) -> bytes:
    """As the client would write it, unless its author has written it otherwise."""
    is_client_s = content == canonical(Folder({path: content}, {}).yaml(path))
    return canonical(value) if is_client_s else brought_to(content, path, value)


def _rebased(raw: Any, before: Any, after: Any) -> Any:
    """`after`, with what is not changed as it stands in `raw`, of which `before` is another way to say it."""
    if before == after and type(before) is type(after):
        return raw
    if isinstance(raw, dict) and isinstance(before, dict) and isinstance(after, dict):
        return _rebased_mapping(raw, before, after)
    if isinstance(raw, list) and isinstance(before, list) and isinstance(after, list) and len(raw) == len(before):
        left = list(range(len(before)))
        found = []
        for item in after:
            place = next((n for n in left if before[n] == item), None)
            if place is None:
                place = next((n for n in left if _is_called_alike(before[n], item)), None)
            if place is None:
                found.append(item)
            else:
                left.remove(place)
                found.append(_rebased(raw[place], before[place], item))
        return found
    return after


def _rebased_mapping(raw: Json, before: Json, after: Json) -> Json:
    kept = [key for key in raw if key in after or key not in before]
    if kept == [key for key in after if key in raw]:
        order = [*after, *(key for key in kept if key not in after)]
    else:
        order = [*kept, *(key for key in after if key not in raw)]
    return {
        key: raw[key]
        if key not in after
        else _rebased(raw[key], before.get(key), after[key])
        if key in raw
        else after[key]
        for key in order
        if key in raw or (key in after and after[key] != before.get(key, _NOTHING))
    }


_NOTHING: Any = object()


def _is_called_alike(one: Any, other: Any) -> bool:
    return (
        isinstance(one, dict)
        and isinstance(other, dict)
        and any(key in one and one[key] == other.get(key) for key in ("name", "keyphrase", "regex", "provider_id"))
    )
