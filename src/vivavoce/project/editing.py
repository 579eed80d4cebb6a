"""Changing one part of an agent in its files: topics, behaviour, variants and their attributes.

Each function takes the files of a folder and returns them changed; what it does not touch stays as its author wrote it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from vivavoce.domain.ids import clean_name
from vivavoce.domain.parts import AttributePart, TopicPart, VariantPart
from vivavoce.errors import Conflict, Invalid, NotFound
from vivavoce.project import layout
from vivavoce.project.source import plain_yaml
from vivavoce.project.writing import edited, text_of, yaml_of

Files = dict[str, bytes]
MOST_IN_NAME = 80  # characters of a file's name


class TopicNotFound(NotFound):
    code = "KNOWLEDGE_BASE_TOPIC_NOT_FOUND"


class TopicExists(Conflict):
    code = "KNOWLEDGE_BASE_TOPIC_ALREADY_EXISTS"


class VariantNotFound(NotFound):
    code = "VARIANT_NOT_FOUND"


class VariantExists(Conflict):
    code = "VARIANTS_DUPLICATE_NAME_ERROR"


class DefaultVariant(Invalid):
    code = "VARIANTS_REMOVE_DEFAULT_ERROR"


class AttributeNotFound(NotFound):
    code = "ATTRIBUTE_NOT_FOUND"


class BadAttributes(Invalid):
    code = "VARIANTS_BAD_ATTRIBUTES_ERROR"


def id_of(prefix: str, place: str, ids: Mapping[str, str]) -> str:
    """The id of a part: the one that was chosen for its place, else one that is always the same for it."""
    return ids.get(place) or f"{prefix}-{_mark(place)}"


def is_id_of(id: str, place: str) -> bool:
    """True for the one that its place has when none is chosen."""
    return id.endswith(f"-{_mark(place)}")


def _mark(place: str) -> str:
    return hashlib.sha256(place.encode()).hexdigest()[:8].upper()


# Behaviour.


def behaviour(files: Mapping[str, bytes]) -> str:
    return files.get(layout.RULES, b"").decode("utf-8", "replace")


def with_behaviour(files: Files, text: str) -> Files:
    return {**files, layout.RULES: text.encode()}


# Topics.


def topics(files: Mapping[str, bytes], ids: Mapping[str, str]) -> list[TopicPart]:
    """By name. A file that cannot be read is none."""
    found = [_topic(path, files[path], ids) for path in files if layout.TOPIC.fullmatch(path)]
    return sorted((topic for topic in found if topic is not None), key=lambda topic: topic.name)


def topic(files: Mapping[str, bytes], ids: Mapping[str, str], id: str) -> TopicPart:
    for found in topics(files, ids):
        if found.id == id:
            return found
    raise TopicNotFound(f"There is no topic {id[:64]!r}.")


def _topic(path: str, content: bytes, ids: Mapping[str, str]) -> TopicPart | None:
    value = plain_yaml(content)
    if value is None:
        return None
    queries = value.get("example_queries")
    return TopicPart(
        id=id_of("TOPICS", path, ids),
        path=path,
        name=str(value.get("name") or PurePosixPath(path).stem),
        content=str(value.get("content") or ""),
        actions=str(value.get("actions") or ""),
        example_queries=tuple(str(query) for query in queries) if isinstance(queries, list) else (),
        enabled=value.get("enabled") is not False,
    )


def with_topic(
    files: Files,
    ids: Mapping[str, str],
    *,
    name: str,
    content: str,
    actions: str = "",
    example_queries: Sequence[str] = (),
    enabled: bool = True,
) -> tuple[Files, str]:
    """(the files with a new topic, its path)."""
    _free_name(files, ids, name)
    stem = clean_name(name)[:MOST_IN_NAME] or "topic"
    path, n = f"topics/{stem}.yaml", 1
    while path in files:  # of a topic with another name
        path, n = f"topics/{stem}_{n + 1}.yaml", n + 1
    value = {
        "name": name, "enabled": enabled, "actions": actions, "content": content, "example_queries": list(example_queries),
    }  # fmt: skip
    return {**files, path: yaml_of(value)}, path


def with_changed_topic(files: Files, ids: Mapping[str, str], id: str, changes: Mapping[str, Any]) -> Files:
    """`changes` are fields of the file with their new values."""
    found = topic(files, ids, id)
    if changes.get("name", found.name) != found.name:
        _free_name(files, ids, changes["name"])

    def change(value: Any) -> None:
        for field, new in changes.items():
            value[field] = text_of(new) if isinstance(new, str) else new

    return {**files, found.path: edited(files[found.path], found.path, change)}


def without_topic(files: Files, ids: Mapping[str, str], id: str) -> Files:
    path = topic(files, ids, id).path
    return {place: content for place, content in files.items() if place != path}


def _free_name(files: Mapping[str, bytes], ids: Mapping[str, str], name: str) -> None:
    if any(known.name == name for known in topics(files, ids)):
        raise TopicExists(f"There is a topic {name[:80]!r} already.")


# Variants and attributes: one file holds both.


def variants(files: Mapping[str, bytes], ids: Mapping[str, str]) -> list[VariantPart]:
    value = _variants_file(files)
    attributes = [(item, id_of("ATTRIBUTES", attribute_place(item["name"]), ids)) for item in value["attributes"]]
    return [
        VariantPart(
            id=id_of("VARIANTS", variant_place(item["name"]), ids),
            name=item["name"],
            is_default=item.get("is_default") is True,
            values={id: str((attribute.get("values") or {}).get(item["name"], "")) for attribute, id in attributes},
        )
        for item in value["variants"]
    ]


def variant(files: Mapping[str, bytes], ids: Mapping[str, str], id: str) -> VariantPart:
    for found in variants(files, ids):
        if found.id == id:
            return found
    raise VariantNotFound(f"There is no variant {id[:64]!r}.")


def attributes(files: Mapping[str, bytes], ids: Mapping[str, str]) -> list[AttributePart]:
    return [
        AttributePart(id=id_of("ATTRIBUTES", attribute_place(item["name"]), ids), name=item["name"])
        for item in _variants_file(files)["attributes"]
    ]


def attribute(files: Mapping[str, bytes], ids: Mapping[str, str], id: str) -> AttributePart:
    for found in attributes(files, ids):
        if found.id == id:
            return found
    raise AttributeNotFound(f"There is no attribute {id[:64]!r}.")


def with_variant(
    files: Files, ids: Mapping[str, str], *, name: str, values: Mapping[str, str], is_default: bool
) -> Files:
    """The first one is the default whatever is said of it."""
    known = variants(files, ids)
    if any(each.name == name for each in known):
        raise VariantExists(f"There is a variant {name[:80]!r} already.")
    by_name = _values_by_name(files, ids, values)

    def change(value: Any) -> None:
        item: dict[str, Any] = {"name": name}
        if is_default or not known:
            _no_default(value)
            item["is_default"] = True
        value.setdefault("variants", []).append(item)
        for each in value.get("attributes") or ():
            each.setdefault("values", {})[name] = by_name.get(each["name"], "")

    return _with_variants(files, change)


def with_changed_variant(
    files: Files,
    ids: Mapping[str, str],
    id: str,
    *,
    name: str | None = None,
    values: Mapping[str, str] | None = None,
    is_default: bool | None = None,
) -> Files:
    found = variant(files, ids, id)
    new = found.name if name is None else name
    if new != found.name and any(each.name == new for each in variants(files, ids)):
        raise VariantExists(f"There is a variant {new[:80]!r} already.")
    if is_default is False and found.is_default:
        raise DefaultVariant("This is the default variant; make another one the default instead.")
    by_name = _values_by_name(files, ids, values or {})

    def change(value: Any) -> None:
        item = next(each for each in value["variants"] if each["name"] == found.name)
        item["name"] = new
        if is_default:
            _no_default(value)
            item["is_default"] = True
        for each in value.get("attributes") or ():
            kept = each.setdefault("values", {})
            if new != found.name:
                renamed = {new if key == found.name else key: kept[key] for key in list(kept)}
                kept.clear()
                kept.update(renamed)
            if each["name"] in by_name:
                kept[new] = by_name[each["name"]]

    return _with_variants(files, change)


def without_variant(files: Files, ids: Mapping[str, str], id: str) -> Files:
    found = variant(files, ids, id)
    if found.is_default:
        raise DefaultVariant("The default variant cannot be removed; make another one the default first.")

    def change(value: Any) -> None:
        value["variants"][:] = [each for each in value["variants"] if each["name"] != found.name]
        for each in value.get("attributes") or ():
            (each.get("values") or {}).pop(found.name, None)

    return _with_variants(files, change)


def with_attribute(files: Files, ids: Mapping[str, str], name: str) -> Files:
    """Empty for every variant."""
    if any(each.name == name for each in attributes(files, ids)):
        raise VariantExists(f"There is an attribute {name[:80]!r} already.")
    names = [each.name for each in variants(files, ids)]
    return _with_variants(
        files,
        lambda value: value.setdefault("attributes", []).append({"name": name, "values": dict.fromkeys(names, "")}),
    )


def with_renamed_attribute(files: Files, ids: Mapping[str, str], id: str, name: str) -> Files:
    """Only in this file: whoever refers to it by its old name is told by the check that follows."""
    found = attribute(files, ids, id)
    if name != found.name and any(each.name == name for each in attributes(files, ids)):
        raise VariantExists(f"There is an attribute {name[:80]!r} already.")

    def change(value: Any) -> None:
        next(each for each in value["attributes"] if each["name"] == found.name)["name"] = name

    return _with_variants(files, change)


def without_attribute(files: Files, ids: Mapping[str, str], id: str) -> Files:
    found = attribute(files, ids, id)

    def change(value: Any) -> None:
        value["attributes"][:] = [each for each in value["attributes"] if each["name"] != found.name]

    return _with_variants(files, change)


def variant_suffix(name: str) -> str:
    """What follows the path of the file in the place by which a variant's id is kept."""
    return f"#variant/{name}"


def attribute_suffix(name: str) -> str:
    return f"#attribute/{name}"


def variant_place(name: str) -> str:
    return layout.VARIANTS + variant_suffix(name)


def attribute_place(name: str) -> str:
    return layout.VARIANTS + attribute_suffix(name)


def _variants_file(files: Mapping[str, bytes]) -> dict[str, list[dict[str, Any]]]:
    value = plain_yaml(files.get(layout.VARIANTS, b"")) or {}

    def named(key: str) -> list[dict[str, Any]]:
        items = value.get(key)
        return (
            [i for i in items if isinstance(i, dict) and isinstance(i.get("name"), str)]
            if isinstance(items, list)
            else []
        )

    return {"variants": named("variants"), "attributes": named("attributes")}


def _with_variants(files: Files, change: Callable[[Any], None]) -> Files:
    return {**files, layout.VARIANTS: edited(files.get(layout.VARIANTS, b""), layout.VARIANTS, change)}


def _values_by_name(files: Mapping[str, bytes], ids: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    """Attributes are named by id, or by name."""
    known = {key: each.name for each in attributes(files, ids) for key in (each.id, each.name)}
    strange = [key for key in values if key not in known]
    if strange:
        raise BadAttributes(f"There is no attribute {strange[0][:64]!r}.")
    return {known[key]: value for key, value in values.items()}


def _no_default(value: Any) -> None:
    for each in value.get("variants") or ():
        each.pop("is_default", None)
