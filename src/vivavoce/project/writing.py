"""Writing parts of a folder as its authors would: YAML in blocks, long texts as they are read, comments kept where they stand."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString

from vivavoce.errors import Invalid

WIDTH = 1 << 20  # no line is ever folded
CLIENT_WIDTH = 100


def yaml_of(value: Any) -> bytes:
    """A mapping or list as a file of its own."""
    out = io.BytesIO()
    _writer().dump(_readable(value), out)
    return out.getvalue()


def canonical(value: Any) -> bytes:
    """A mapping as the field's command-line client writes it: folded at 100, keys in the order given."""
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = CLIENT_WIDTH
    out = io.BytesIO()
    yaml.dump(_as_client(value), out)
    return out.getvalue()


def _as_client(value: Any) -> Any:
    """Texts of several lines stand as they are read, but only those that a key names."""
    if isinstance(value, dict):
        return {
            DoubleQuotedScalarString(key) if isinstance(key, str) and ("&" in key or "*" in key) else key: (
                LiteralScalarString(item) if isinstance(item, str) and "\n" in item else _as_client(item)
            )
            for key, item in value.items()
        }
    return [_as_client(item) for item in value] if isinstance(value, list) else value


def edited(content: bytes, path: str, change: Callable[[Any], None]) -> bytes:
    """The file after `change` has been made to its mapping; what it does not touch stays as it was written."""
    yaml = _writer()
    try:
        found = yaml.load(content.decode()) if content.strip() else CommentedMap()
    except (YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"{path} cannot be read as YAML ({type(error).__name__}); mend the file first.") from None
    if not isinstance(found, dict):
        raise Invalid(f"{path} holds no mapping; mend the file first.")
    change(found)
    out = io.BytesIO()
    yaml.dump(found, out)
    return out.getvalue()


def brought_to(content: bytes, path: str, value: dict[str, Any]) -> bytes:
    """The file with those values in place of its own; where they are the same it stays as it was written, comments and all."""
    return edited(content, path, lambda found: _bring(found, value))


def _bring(found: Any, value: dict[str, Any]) -> None:
    known = {str(key): key for key in found}
    for name in known.keys() - value.keys():
        del found[known[name]]
    for name, new in value.items():
        key = known.get(name, name)
        old = found.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            _bring(old, new)
        elif isinstance(old, list) and isinstance(new, list):
            _bring_list(old, new)
        elif key not in found or old != new:
            found[key] = _readable(new)


def _bring_list(found: list[Any], value: list[Any]) -> None:
    """Items that are there stay the items that they are."""
    kept = list(found)
    items = []
    for new in value:
        same = next((old for old in kept if old == new or _is_named_alike(old, new)), None)
        if same is None:
            items.append(_readable(new))
            continue
        kept = [old for old in kept if old is not same]
        if isinstance(same, dict):
            _bring(same, new)
        items.append(same)
    if len(items) != len(found) or any(new is not old for new, old in zip(items, found, strict=True)):
        found[:] = items


def _is_named_alike(old: Any, new: Any) -> bool:
    return isinstance(old, dict) and isinstance(new, dict) and "name" in new and old.get("name") == new["name"]


def text_of(value: str) -> Any:
    """A text as it is put into a mapping: on lines of its own where it has several."""
    return LiteralScalarString(value) if "\n" in value else value


def _readable(value: Any) -> Any:
    if isinstance(value, str):
        return text_of(value)
    if isinstance(value, dict):
        return {key: _readable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_readable(item) for item in value]
    return value


def _writer() -> YAML:
    yaml = YAML()
    yaml.width = WIDTH
    yaml.preserve_quotes = True
    yaml.allow_unicode = True
    return yaml
