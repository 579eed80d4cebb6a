"""vivavoce diff"""

from __future__ import annotations

import json
from typing import Any

import click

from vivavoce.cli import versions
from vivavoce.cli.asking import connection


@click.command("diff")
@click.argument("before")
@click.argument("after", required=False)
@click.option("--brief", "is_brief", is_flag=True, help="A line for each file.")
@versions.agent_option
@connection
@versions.json_option
def command(before: str, after: str | None, is_brief: bool, agent: str | None, as_json: bool, **where: Any) -> None:
    """What version AFTER has changed since BEFORE. With one version: what it has changed since the one before it.

    A version is named by its first digits, by the id of a deployment, or by an environment: sandbox, pre-release, live, or
    draft for the folder as it is."""
    agent = versions.agent_of(agent)
    named = (after, before) if after is not None else (before, None)
    found = versions.difference(where, agent, *named)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    against = versions.short(found["against"]) if found["against"] else "nothing"
    click.echo(f"{against} -> {versions.short(found['deployment'])}")
    versions.show_difference(found, is_brief=is_brief or found["against"] is None)
