"""vivavoce new"""

from __future__ import annotations

import re
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import click

from vivavoce.cli.main import own_name
from vivavoce.domain.ids import clean_name
from vivavoce.errors import UsageError

_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@click.command("new")
@click.argument("folder", metavar="DIR")
def command(folder: str) -> None:
    """Make a small working agent to start from."""
    target = Path(folder)
    if target.exists() and any(target.iterdir()):
        raise UsageError(f"{folder} is not empty; name a new folder.")
    template = resources.files("vivavoce.cli").joinpath("template")
    name = target.resolve().name
    agent_id = name if _SLUG.fullmatch(name) else clean_name(name) or "agent"
    _copy(template, target, agent_id)
    click.echo(
        f"Made {folder}, the agent {agent_id}. Talk to it with `{own_name()} chat {folder} --trace`, or serve it with `{own_name()} serve {folder}`."
    )


def _copy(source: Traversable, target: Path, agent_id: str) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for entry in source.iterdir():
        if entry.is_dir():
            _copy(entry, target / entry.name, agent_id)
        else:
            name = entry.name.removesuffix(".tmpl")
            (target / name).write_text(entry.read_text("utf-8").replace("@AGENT_ID@", agent_id), encoding="utf-8")
