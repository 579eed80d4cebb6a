"""What the sections of a projection are read from and written to: the files of a folder, and pieces of it with their ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from msgspec import Struct

from vivavoce.project.editing import id_of
from vivavoce.project.source import plain_yaml

Json: TypeAlias = dict[str, Any]
MOST_VALUES = 500_000  # of one file


class Part(Struct, frozen=True, kw_only=True):
    """A file as the projection has it: `content` is a text, or the mapping of a YAML file.

    `ids` are those of what stands in it, by what follows the path in their place: "" for the file itself.
    """

    path: str
    content: str | Json
    ids: dict[str, str] = {}
    over: Callable[[str], str] | None = None  # the content, with what is the same as it stands in a file


class Folder:
    """The files of a folder, each read once. `moved` tells where a file lies that is not called as the format would."""

    def __init__(self, files: Mapping[str, bytes], ids: Mapping[str, str]) -> None:
        self.files = files
        self.moved: dict[str, str] = {}
        self._ids = ids
        self._read: dict[str, Json] = {}
        self._places: dict[tuple[str, str], str] = {}

    def yaml(self, path: str) -> Json:
        """What the file says; nothing where there is none, or none that can be read."""
        if path not in self._read:
            self._read[path] = plain_yaml(self.files.get(path, b""), MOST_VALUES) or {}
        return self._read[path]

    def items(self, path: str, key: str) -> list[Json]:
        found = self.yaml(path).get(key)
        return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []

    def text(self, path: str) -> str:
        """With plain line ends, as the client reads and writes them."""
        text = self.files.get(path, b"").decode("utf-8-sig", "replace")
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def id(self, prefix: str, place: str) -> str:
        """No two places of one kind have the same: who comes second does not get what was chosen for it."""
        found = id_of(prefix, place, self._ids)
        if self._places.setdefault((prefix, found), place) != place:
            found = id_of(prefix, place, {})
            while self._places.setdefault((prefix, found), place) != place:
                found += "-"
        return found

    @property
    def places(self) -> frozenset[str]:
        """All that were asked for an id."""
        return frozenset(self._places.values())

    def is_called(self, path: str, canonical: str) -> str:
        """The place of a file whose name the format would write as `canonical`."""
        if path != canonical:
            self.moved[canonical] = path
        return path


def collection(entities: Mapping[str, Json]) -> Json:
    return {"ids": list(entities), "entities": dict(entities)}


def entities(projection: Json, *path: str) -> dict[str, Json]:
    """What a collection holds, by id; nothing where it is not there."""
    found: Any = projection
    for key in path:
        found = found.get(key) or {}
    held = found.get("entities")
    return held if isinstance(held, dict) else {}


def texts(value: Any) -> list[str]:
    return [as_text(item) for item in value] if isinstance(value, list) else []


def as_text(value: Any) -> str:
    """A scalar as its author wrote it, or nearly."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None or isinstance(value, (dict, list)) else str(value)


def mapping(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def suffixes(kind: str, names: Iterable[str]) -> Iterator[str]:
    """What follows the path in the places of a list's items; a second item of one name has its number behind it."""
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        yield f"#{kind}/{name}" if seen[name] == 1 else f"#{kind}/{name}~{seen[name]}"


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
