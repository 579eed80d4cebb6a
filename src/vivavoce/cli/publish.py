"""vivavoce publish"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from vivavoce.cli import versions
from vivavoce.cli.asking import ask, connection
from vivavoce.errors import UsageError


@click.command("publish")
@click.argument("folder", metavar="[AGENT_DIR]", required=False, type=click.Path(path_type=Path))
@versions.agent_option
@versions.message_option
@versions.dry_option
@connection
@versions.json_option
def command(folder: Path | None, agent: str | None, message: str, is_dry: bool, as_json: bool, **where: Any) -> None:
    """The agent as its folder is now becomes what sandbox serves: for the server that serves the folder, or, without one,
    in the data folder."""
    version = None
    if folder is None and agent is None and Path("project.yaml").is_file():
        folder = Path()
    if folder is not None:
        agent, version = versions.folder_of(folder)
        where["folders"] = (folder,)
    agent = versions.agent_of(agent)
    if is_dry:
        found = _would_change(where, agent)
        if as_json:
            click.echo(json.dumps(found, ensure_ascii=False))
        else:
            versions.show_difference(found, is_brief=found["against"] is None)
        return
    body = {"deploymentMessage": message, "version": version}
    made = ask(where, "POST", versions.path_of(agent, "publish"), body)["deployment"]
    if as_json:
        click.echo(json.dumps(made, ensure_ascii=False))
    else:
        versions.show_deployment("Published", made)
        click.echo(f"Promote it with: vivavoce promote --agent {agent}")


def _would_change(where: dict[str, Any], agent: str) -> dict[str, Any]:
    try:
        return versions.difference(where, agent, "draft", "sandbox")
    except UsageError as error:
        if not versions.not_there(error):
            raise
        return versions.difference(where, agent, "draft", None)
