"""vivavoce new"""

from __future__ import annotations

import re
from pathlib import Path

import click

from vivavoce.cli.main import own_name
from vivavoce.domain.ids import clean_name
from vivavoce.errors import UsageError
from vivavoce.project.starting import template

_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@click.command("new")
@click.argument("folder", metavar="DIR")
def command(folder: str) -> None:
    """Make a small working agent to start from."""
    target = Path(folder)
    if target.exists() and any(target.iterdir()):
        raise UsageError(f"{folder} is not empty; name a new folder.")
    name = target.resolve().name
    agent_id = name if _SLUG.fullmatch(name) else clean_name(name) or "agent"
    for path, content in template(agent_id).items():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (target / path).write_bytes(content)
    click.echo(
        f"Made {folder}, the agent {agent_id}. Talk to it with `{own_name()} chat {folder} --trace`, or serve it with `{own_name()} serve {folder}`."
    )
