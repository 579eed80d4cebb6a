"""vivavoce deployments"""

from __future__ import annotations

import json
from typing import Any

import click

from vivavoce.cli import versions
from vivavoce.cli.asking import ask, connection


@click.command("deployments")
@click.option("--env", "environment", type=click.Choice(versions.ENVIRONMENTS), help="Only those of one environment.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="At most so many of each.")
@versions.agent_option
@connection
@versions.json_option
def command(environment: str | None, limit: int, agent: str | None, as_json: bool, **where: Any) -> None:
    """What serves each environment, marked by a star, and what did before."""
    agent = versions.agent_of(agent)
    found = {
        name: ask(where, "GET", versions.path_of(agent, environment=name, limit=str(limit)))["deployments"]
        for name in ([environment] if environment else versions.ENVIRONMENTS)
    }
    if as_json:
        click.echo(json.dumps([each for known in found.values() for each in known], ensure_ascii=False))
        return
    for name, known in found.items():
        click.echo(click.style(name, bold=True) + ("" if known else "  nothing"))
        for n, each in enumerate(known):
            metadata = each["metadata"]
            commit = f"  commit {metadata['git_commit'][:9]}" if metadata.get("git_commit") else ""
            told = f"  {versions.plain(metadata['deployment_message'])}" if metadata["deployment_message"] else ""
            click.echo(
                f"  {'*' if n == 0 else ' '} {versions.short(each)}  {each['createdAt'][:16].replace('T', ' ')}"
                f"  {metadata['deployment_type']:9}  {versions.plain(each['createdBy'])}{commit}{told}"
            )
