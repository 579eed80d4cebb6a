"""Secrets out of a YAML or JSON file that only its owner may read, and out of the environment."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from vivavoce.errors import NOT_JSON, UsageError
from vivavoce.secrets.memory import MemorySecrets

MAX_DEPTH = 4


def load(path: Path | None, environment: Mapping[str, str]) -> MemorySecrets:
    """`environment` is name -> text, the prefix already taken off; what the file says about a name goes first.

    The file: `secrets:` name -> text or mapping, for every agent; `agents:` agent id -> the same, for one.
    """
    shared: dict[str, Any] = {name: _parsed(text) for name, text in environment.items()}
    by_agent: dict[str, dict[str, Any]] = {}
    if path is not None:
        document = _read(path)
        for key in document.keys() - {"secrets", "agents"}:
            raise UsageError(f"{path}: {key!r} is not known; a secrets file has `secrets:` and `agents:`.")
        shared.update(_named(path, "secrets", document.get("secrets")))
        agents = document.get("agents") or {}
        if not isinstance(agents, dict):
            raise UsageError(f"{path}: agents should be a mapping of names.")
        for agent, values in agents.items():
            by_agent[agent] = _named(path, f"agents.{agent}", values)
    return MemorySecrets(shared, by_agent)


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
            raise UsageError(f"{path} can be read by others; take that away with `chmod 600 {path}`.")
        document = YAML(typ="safe", pure=True).load(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"The secrets file {path} cannot be read: {error.strerror}.") from error
    except (YAMLError, UnicodeDecodeError, ValueError):
        # The parser's message would repeat the line that it stumbled over.
        raise UsageError(f"The secrets file {path} is not valid YAML or JSON.") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise UsageError(f"The secrets file {path} should hold a mapping.")
    return document


def _named(path: Path, where: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise UsageError(f"{path}: {where} should be a mapping of names.")
    for name, item in value.items():
        if not _is_secret(item):
            raise UsageError(f"{path}: {where}.{name} should be text, or a mapping of texts.")
    return {name: item if isinstance(item, dict) else str(item) for name, item in value.items()}


def _is_secret(value: Any, depth: int = 0) -> bool:
    if isinstance(value, dict):
        return depth < MAX_DEPTH and all(isinstance(k, str) and _is_secret(v, depth + 1) for k, v in value.items())
    return isinstance(value, (str, int, float)) and not isinstance(value, bool)


def _parsed(text: str) -> str | dict[str, Any]:
    """A value that is a JSON object is one."""
    if text.lstrip().startswith("{"):
        try:
            found = msgspec.json.decode(text)
        except NOT_JSON:
            return text
        return found if isinstance(found, dict) else text
    return text
