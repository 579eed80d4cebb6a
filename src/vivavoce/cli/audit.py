"""vivavoce audit"""

from __future__ import annotations

import json
from typing import Any

import click

from vivavoce.cli.asking import ask, connection

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("audit")
def command() -> None:
    """Who saw personal data and who changed what; whether the log is whole."""


@command.command("list")
@click.option("--after", default=0, show_default=True, help="Entries after this number.")
@click.option("--limit", default=100, show_default=True, help="How many at most.")
@connection
@_json
def list_entries(after: int, limit: int, as_json: bool, **where: Any) -> None:
    """Show entries in order."""
    found = ask(where, "GET", f"/v1/audit?after={after}&limit={limit}")["entries"]
    for entry in found:
        if as_json:
            click.echo(json.dumps(entry))
        else:
            detail = " ".join(f"{name}={value}" for name, value in entry["detail"].items())
            place = "/".join(part for part in (entry["accountId"], entry["agentId"]) if part)
            click.echo(
                f"{entry['number']:>6}  {entry['at'][:19]}  {entry['action']:24} {place}  key={entry['keyId']}  {detail}"
            )
    if not found and not as_json:
        click.echo("No entries.")
    if len(found) == limit:
        click.echo(f"There may be more: --after {found[-1]['number']}.", err=True)


@command.command("verify")
@connection
@_json
def verify(as_json: bool, **where: Any) -> int:
    """Read the whole log and say whether anything was changed, dropped or moved. Exit status 1 if so."""
    found = ask(where, "GET", "/v1/audit/verify")
    if as_json:
        click.echo(json.dumps(found))
    elif found["isWhole"]:
        click.echo(f"The audit log is whole: {found['entries']:,} entries, head {found['head']}.")
    else:
        click.echo(
            f"The audit log is NOT whole: {found['fault']}. Up to there it holds {found['entries']:,} entries.",
            err=True,
        )
    return 0 if found["isWhole"] else 1
