"""What the commands about versions have in common: which agent is meant, and how a version and a difference are shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import click

from vivavoce.cli.asking import ask
from vivavoce.errors import UsageError

SHOWN = 9  # digits of a version
ENVIRONMENTS = ("sandbox", "pre-release", "live")
_COLORS = {"+": "green", "-": "red", "@": "cyan"}
F = TypeVar("F", bound=Callable[..., Any])

agent_option = click.option("--agent", help="The agent's id; without it, that of the folder that you are in.")
message_option = click.option("--message", "-m", default="", help="What is to be remembered of it.")
dry_option = click.option("--dry-run", "is_dry", is_flag=True, help="Only show what would change.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def agent_of(agent: str | None) -> str:
    if agent:
        return agent
    if Path("project.yaml").is_file():
        return folder_of(Path())[0]
    raise UsageError("Which agent? Name it with --agent, or go to its folder.")


def folder_of(folder: Path) -> tuple[str, str]:
    """(agent id, hash of the tree) of a folder. Raises UsageError when it has errors."""
    from vivavoce.project.loader import load  # noqa: PLC0415  # not needed for --help
    from vivavoce.project.tree import read_tree  # noqa: PLC0415

    loaded = load(read_tree(folder), name=folder.resolve().name)
    if loaded.errors:
        raise UsageError(f"{folder} has {len(loaded.errors)} error(s); `vivavoce validate {folder}` names them.")
    return loaded.agent.identity.agent_id, loaded.tree.hash


def path_of(agent: str, *parts: str, **query: str | None) -> str:
    given = {name: value for name, value in query.items() if value is not None}
    path = "/".join(quote(part, safe="") for part in (agent, "deployments", *parts))
    return f"/v1/agents/{path}" + (f"?{urlencode(given)}" if given else "")


def difference(where: dict[str, Any], agent: str, version: str, against: str | None) -> dict[str, Any]:
    return ask(where, "GET", path_of(agent, version, "diff", against=against))


def show_difference(found: dict[str, Any], *, is_brief: bool = False) -> None:
    """As a unified diff; brief is a line for each file."""
    if not found["files"]:
        click.echo("No file differs.")
    for file in found["files"]:
        lines = file["lines"] or ()
        added = sum(line.startswith("+") for line in lines)
        removed = sum(line.startswith("-") for line in lines)
        counts = f"+{added} -{removed}" if file["lines"] is not None else "not compared: no text, or too long"
        click.echo(f"{file['change']:8} {plain(file['path'])}  {click.style(counts, dim=True)}")
        if not is_brief:
            for line in lines:
                click.echo(click.style(plain(line), fg=_COLORS.get(line[:1])))


def show_deployment(done: str, deployment: dict[str, Any]) -> None:
    click.echo(f"{done} {short(deployment)} in {deployment['environment']} of {deployment['agentId']}.")


def short(deployment: dict[str, Any]) -> str:
    return str(deployment["version"][:SHOWN])


def plain(text: str) -> str:
    """What somebody else wrote must not steer the terminal."""
    return "".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def not_there(error: UsageError) -> bool:
    return "Nothing is deployed" in str(error) or "There is no deployment" in str(error)
