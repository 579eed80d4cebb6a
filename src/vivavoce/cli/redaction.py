"""vivavoce redaction"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from vivavoce.cli.asking import ask, connected, connection
from vivavoce.cli.progress import progress
from vivavoce.errors import UsageError

if TYPE_CHECKING:
    from vivavoce.cli.local import Remote

POLL_SECONDS = 0.3

_agent = click.option("--agent", required=True, help="The agent's id.")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("redaction")
def command() -> None:
    """An agent's own redaction rules: what is personal besides what is built in, and what is not."""


@command.command("show")
@_agent
@connection
@_json
def show(agent: str, as_json: bool, **where: Any) -> None:
    """Show the rules, and how far they have gone over the record."""
    found = ask(where, "GET", _path(agent))
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    for pattern in found["patterns"]:
        click.echo(f"hide   {pattern['pattern']}  as [{pattern['category'].upper()}]")
    for text in found["keep"]:
        click.echo(f"keep   {text}")
    for category in found["shown"]:
        click.echo(f"show   every {category}")
    if not (found["patterns"] or found["keep"] or found["shown"]):
        click.echo("No rules besides those that are built in.")
    if found["run"]:
        state = "ended" if found["run"]["finishedAt"] else "goes on"
        click.echo(
            f"The last run {state}: {found['run']['done']:,} of {found['run']['conversations']:,} conversations."
        )


@command.command("set")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_agent
@connection
def set_rules(file: Path, agent: str, **where: Any) -> None:
    """Replace the rules by those of FILE, JSON with patterns, keep and shown, and run them over the record."""
    try:
        body = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise UsageError(f"{file} is no JSON: {error}.") from None
    _run(agent, where, "PUT", _path(agent), body)


@command.command("run")
@_agent
@connection
def run_again(agent: str, **where: Any) -> None:
    """Decide anew what is personal in every conversation."""
    _run(agent, where, "POST", _path(agent) + "/run", None)


def _run(agent: str, where: dict[str, Any], method: str, path: str, body: Any) -> None:
    """One connection for all of it: without a server, the run goes on only as long as this command does."""
    from vivavoce.cli.loop import run  # noqa: PLC0415  # not needed for --help

    async def going() -> int:
        async with connected(where) as remote:
            await remote.call(method, path, body)
            return await _followed(remote, agent)

    click.echo(f"{run(going()):,} conversations were looked at by the rules as they are now.")


async def _followed(remote: Remote, agent: str) -> int:
    found = (await remote.call("GET", _path(agent)))["run"]
    with progress("looking", found["conversations"]) as advance:
        done = 0
        while not found["finishedAt"]:
            await asyncio.sleep(POLL_SECONDS)
            found = (await remote.call("GET", _path(agent)))["run"]
            advance(found["done"] - done)
            done = found["done"]
    return int(found["done"])


def _path(agent: str) -> str:
    return f"/v1/agents/{quote(agent, safe='')}/redaction"
