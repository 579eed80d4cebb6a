"""The folder with which an agent begins."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable


def template(agent_id: str) -> dict[str, bytes]:
    """path -> content of a small working agent of that id."""
    found: dict[str, bytes] = {}
    _collect(resources.files("vivavoce.project").joinpath("template"), "", agent_id, found)
    return found


def _collect(source: Traversable, path: str, agent_id: str, found: dict[str, bytes]) -> None:
    for entry in source.iterdir():
        if entry.is_dir():
            _collect(entry, f"{path}{entry.name}/", agent_id, found)
        else:
            text = entry.read_text("utf-8").replace("@AGENT_ID@", agent_id)
            found[path + entry.name.removesuffix(".tmpl")] = text.encode()
