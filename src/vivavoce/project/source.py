"""YAML 1.2 with positions: a `Mapping` hands out typed values, and writes down what was wrong with the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

import msgspec
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from vivavoce.errors import NOT_JSON
from vivavoce.project.composing import compose

Severity: TypeAlias = Literal["error", "warning"]
Value: TypeAlias = "str | int | float | bool | list[Value] | dict[str, Value] | None"


class Fault(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Something in the folder that is not as the format wants it. An error keeps the folder from being served."""

    path: str
    line: int
    code: str
    message: str
    severity: Severity = "error"


class Faults:
    """Collects faults while a folder is read, so that all of them are told at once."""

    def __init__(self) -> None:
        self.found: list[Fault] = []

    def error(self, path: str, line: int, code: str, message: str) -> None:
        self.found.append(Fault(path=path, line=line, code=code, message=message))

    def warn(self, path: str, line: int, code: str, message: str) -> None:
        self.found.append(Fault(path=path, line=line, code=code, message=message, severity="warning"))


_NULL = re.compile(r"~|null|Null|NULL|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INTEGER = re.compile(r"[-+]?[0-9]+")
_OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
MAX_DEPTH = 40
MAX_VALUES = 10_000  # of one value that is carried along whole


def _scalar(node: ScalarNode) -> str | int | float | bool | None:
    """The YAML 1.2 core schema: only what is plain and looks like a value is one."""
    text: str = node.value
    if node.style in ("'", '"', "|", ">"):
        return text
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text):
        return True
    if _FALSE.fullmatch(text):
        return False
    if _INTEGER.fullmatch(text) and len(text) < 19:
        return int(text)
    if _OTHER_BASE.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def _plain(node: Node, most: int = MAX_VALUES, depth: int = 0, seen: list[int] | None = None) -> Value:
    """`seen` counts: an alias of aliases of aliases can stand for more than there is memory."""
    seen = [0] if seen is None else seen
    seen[0] += 1
    if depth > MAX_DEPTH or seen[0] > most:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels, or more than {most} values")
    if isinstance(node, ScalarNode):
        return _scalar(node)
    if isinstance(node, SequenceNode):
        return [_plain(item, most, depth + 1, seen) for item in node.value]
    return {str(_plain(key, most, depth + 1, seen)): _plain(value, most, depth + 1, seen) for key, value in node.value}


def _kind(node: Node) -> str:
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node, SequenceNode):
        return "a list"
    assert isinstance(node, ScalarNode)
    value = _scalar(node)
    names = {str: "text", bool: "true or false", int: "a number", float: "a number"}
    return "empty" if value is None else f"{names[type(value)]} ({node.value[:40]!r})"


class Mapping:
    """A YAML mapping with its place. Readers return the default and record a fault when the value is of another type."""

    def __init__(self, path: str, node: MappingNode | None, faults: Faults, where: str = "") -> None:
        self.path = path
        self.faults = faults
        self.where = where
        self.line = node.start_mark.line + 1 if node is not None else 1
        self._nodes: dict[str, Node] = {}
        self._lines: dict[str, int] = {}
        self._read: set[str] = set()
        self._children: dict[str, Mapping] = {}
        for key, value in node.value if node is not None else ():
            name = str(key.value)
            if name in self._nodes:
                faults.error(path, key.start_mark.line + 1, "duplicate-key", f"{where}{name} is given twice.")
            self._nodes[name] = value
            self._lines[name] = key.start_mark.line + 1

    def __contains__(self, key: str) -> bool:
        return key in self._nodes

    def __bool__(self) -> bool:
        return bool(self._nodes)

    def is_mapping(self, key: str) -> bool:
        return isinstance(self._nodes.get(key), MappingNode)

    @property
    def keys(self) -> list[str]:
        return list(self._nodes)

    def line_of(self, key: str) -> int:
        return self._lines.get(key, self.line)

    def error(self, key: str, code: str, message: str) -> None:
        self.faults.error(self.path, self.line_of(key), code, message)

    def warn(self, key: str, code: str, message: str) -> None:
        self.faults.warn(self.path, self.line_of(key), code, message)

    def _node(self, key: str, required: bool) -> Node | None:
        self._read.add(key)
        node = self._nodes.get(key)
        if node is None and required:
            self.faults.error(self.path, self.line, "missing", f"{self.where}{key} is missing.")
        return node

    def _wrong(self, key: str, node: Node, wanted: str) -> None:
        self.faults.error(
            self.path,
            node.start_mark.line + 1,
            "wrong-type",
            f"{self.where}{key} should be {wanted}, not {_kind(node)}.",
        )

    def text(self, key: str, default: str = "", *, required: bool = False, one_of: tuple[str, ...] = ()) -> str:
        node = self._node(key, required)
        if node is None:
            return default
        value = _scalar(node) if isinstance(node, ScalarNode) else node
        if value is None:
            if required:
                self._wrong(key, node, "text")
            return default
        if isinstance(value, (Node, bool)):
            self._wrong(key, node, "text")
            return default
        text = str(node.value)
        if one_of and text not in one_of:
            self.error(key, "unknown-value", f"{self.where}{key} is {text!r}; it should be one of {', '.join(one_of)}.")
            return default
        if required and not text.strip():
            self.error(key, "empty", f"{self.where}{key} must not be empty.")
        return text

    def scalar(self, key: str) -> str:
        """Any single value as text: true is "true", nothing is ""."""
        node = self._node(key, False)
        if node is None:
            return ""
        if not isinstance(node, ScalarNode):
            self._wrong(key, node, "a single value")
            return ""
        return "" if _scalar(node) is None else str(node.value)

    def flag(self, key: str, default: bool = False) -> bool:
        node = self._node(key, False)
        if node is None:
            return default
        value = _scalar(node) if isinstance(node, ScalarNode) else None
        if isinstance(value, bool):
            return value
        self._wrong(key, node, "true or false")
        return default

    def number(self, key: str, default: float = 0, *, least: float | None = None) -> float:
        node = self._node(key, False)
        if node is None:
            return default
        value = _scalar(node) if isinstance(node, ScalarNode) else None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self._wrong(key, node, "a number")
            return default
        if least is not None and value < least:
            self.error(key, "out-of-range", f"{self.where}{key} is {value}; it should be at least {least}.")
            return default
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        node = self._node(key, False)
        if node is None or (isinstance(node, ScalarNode) and _scalar(node) is None):
            return ()
        if not isinstance(node, SequenceNode):
            self._wrong(key, node, "a list of texts")
            return ()
        found = []
        for item in node.value:
            if isinstance(item, ScalarNode):
                found.append(str(item.value))
            else:
                self._wrong(f"{key}[]", item, "text")
        return tuple(found)

    def mapping(self, key: str, *, required: bool = False) -> Mapping:
        node = self._node(key, required)
        if node is not None and not isinstance(node, MappingNode):
            if not (isinstance(node, ScalarNode) and _scalar(node) is None):
                self._wrong(key, node, "a mapping")
            node = None
        if key not in self._children:
            self._children[key] = Mapping(self.path, node, self.faults, f"{self.where}{key}.")
        return self._children[key]

    def mappings(self, key: str, *, required: bool = False) -> Iterator[Mapping]:
        node = self._node(key, required)
        if node is None or (isinstance(node, ScalarNode) and _scalar(node) is None):
            return
        if not isinstance(node, SequenceNode):
            self._wrong(key, node, "a list")
            return
        for index, item in enumerate(node.value):
            if isinstance(item, MappingNode):
                name = f"{key}[{index}]"
                yield self._children.setdefault(name, Mapping(self.path, item, self.faults, f"{self.where}{name}."))
            else:
                self._wrong(f"{key}[{index}]", item, "a mapping")

    def plain(self, key: str) -> Any:
        """The value as plain Python, for parts that are carried along whole."""
        node = self._node(key, False)
        if node is None:
            return None
        try:
            return _plain(node)
        except (ValueError, RecursionError):
            self._wrong(key, node, f"nested at most {MAX_DEPTH} levels deep, with at most {MAX_VALUES} values")
            return None

    def whole(self) -> dict[str, Any]:
        return {key: self.plain(key) for key in self._nodes}

    def close(self, *, ignore: tuple[str, ...] = ()) -> None:
        """Warns of keys that nobody read, here and in the mappings that were read from here."""
        self._read.update(ignore)
        for child in self._children.values():
            child.close()
        for key, node in self._nodes.items():
            if key not in self._read:
                line = node.start_mark.line + 1
                self._read.add(key)  # told of once
                self.faults.warn(
                    self.path, line, "unknown-key", f"{self.where}{key} is not part of the format and is ignored."
                )


def read_yaml(path: str, content: bytes, faults: Faults) -> Mapping | None:
    """The document's top mapping, or None (with a fault) when there is none to read."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        faults.error(path, content[: error.start].count(b"\n") + 1, "encoding", "The file is not UTF-8 text.")
        return None
    try:
        node = compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = (error.problem or error.context or "cannot be read").strip()
        faults.error(path, (mark.line + 1) if mark else 1, "yaml", f"This is not valid YAML: {problem}.")
        return None
    except (YAMLError, RecursionError, ValueError) as error:
        faults.error(
            path, 1, "yaml", f"This is not valid YAML: {str(error).splitlines()[0] if str(error) else 'too deep'}."
        )
        return None
    if node is None:
        return Mapping(path, None, faults)
    if not isinstance(node, MappingNode):
        faults.error(
            path, node.start_mark.line + 1, "wrong-type", f"The file should hold a mapping, not {_kind(node)}."
        )
        return None
    return Mapping(path, node, faults)


def plain_yaml(content: bytes, most: int = MAX_VALUES) -> dict[str, Value] | None:
    """The document as plain values; None where it is no mapping, cannot be read, or has more than `most` values."""
    try:
        node = compose(content.decode("utf-8-sig"))
        value = _plain(node, most) if isinstance(node, MappingNode) else None
    except (YAMLError, RecursionError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def read_json(path: str, content: bytes, faults: Faults) -> dict[str, Any] | None:
    try:
        value = msgspec.json.decode(content)
    except NOT_JSON as error:
        faults.error(path, _line_of_json_error(content, str(error)), "json", f"This is not valid JSON: {error}.")
        return None
    if not isinstance(value, dict):
        faults.error(path, 1, "wrong-type", "The file should hold a JSON object.")
        return None
    return value


def _line_of_json_error(content: bytes, message: str) -> int:
    found = re.search(r"byte (\d+)", message)
    return content[: int(found.group(1))].count(b"\n") + 1 if found else 1
