"""Writing parts of a folder as its authors would: YAML in blocks, long texts as they are read, comments kept where they stand."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import LiteralScalarString

from vivavoce.errors import Invalid

WIDTH = 1 << 20  # no line is ever folded


def yaml_of(value: Any) -> bytes:
    """A mapping or list as a file of its own."""
    out = io.BytesIO()
    _writer().dump(_readable(value), out)
    return out.getvalue()


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
