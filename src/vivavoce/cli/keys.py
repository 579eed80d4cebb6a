"""vivavoce keys"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import click

from vivavoce import settings
from vivavoce.cli.asking import ask

_data = click.option("--data", help="Folder of the database.")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("keys")
def command() -> None:
    """Create, list and revoke API keys: through the running server when there is one, else in the data folder."""


@command.command("create")
@click.argument("name")
@click.option("--account", help="The account it belongs to; every account when left out.")
@click.option("--agent", "agents", multiple=True, help="Only for this agent; may be given again.")
@click.option(
    "--permission",
    "permissions",
    multiple=True,
    type=click.Choice(["chat", "read", "write", "pii", "admin"]),
    help="Only this right; may be given again.",
)
@click.option("--expires", help="When it stops: a date or time such as 2027-01-31; never when left out.")
@_data
@_json
def create(
    name: str,
    account: str | None,
    agents: tuple[str, ...],
    permissions: tuple[str, ...],
    expires: str | None,
    data: str | None,
    as_json: bool,
) -> None:
    """Make a key and print it, once."""
    body = {
        "name": name,
        "accountId": account,
        "agents": list(agents) or None,
        "permissions": list(permissions) or None,
        "expiresAt": expires,
    }
    made = _ask(data, "POST", "/v1/keys", body)
    if as_json:
        click.echo(json.dumps(made))
    else:
        click.echo(
            f"{made['key']}\n\nThis is the only time that the key {made['name']!r} is shown. Its id is {made['id']}."
        )
        if not (account or agents or permissions):
            click.echo("It may do everything, in every account: --permission, --agent and --account make it less.")
        click.echo(f"It is for the server on the data folder {settings.load(data=data, model='local').data}.", err=True)


@command.command("list")
@_data
@_json
def list_keys(data: str | None, as_json: bool) -> None:
    """Show every key, without its text."""
    found = _ask(data, "GET", "/v1/keys")["keys"]
    if as_json:
        click.echo(json.dumps(found))
        return
    for key in found:
        state = "revoked" if key["revokedAt"] else f"until {key['expiresAt'][:10]}" if key["expiresAt"] else "valid"
        used = f"used {key['lastUsedAt'][:16]}" if key["lastUsedAt"] else "never used"
        where = f"account={key['accountId'] or 'all'}  agents={','.join(key['agents'] or ['all'])}"
        click.echo(
            f"{key['id']}  {key['name']}  …{key['hint']}  {state}  {used}  {where}  {','.join(key['permissions'])}"
        )
    if not found:
        click.echo("No keys yet besides the operator's. Make one with `vivavoce keys create NAME`.")


@command.command("revoke")
@click.argument("key")
@_data
def revoke(key: str, data: str | None) -> None:
    """Make a key (its id or name) invalid, for good."""
    revoked = _ask(data, "DELETE", f"/v1/keys/{quote(key, safe='')}")
    click.echo(f"The key {revoked['name']!r} is no longer valid.")


def _ask(data: str | None, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    return ask({"data": data}, method, path, body)
