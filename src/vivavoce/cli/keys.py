"""vivavoce keys"""

from __future__ import annotations

import json
from typing import Any

import click

from vivavoce import settings

_data = click.option("--data", help="Folder of the database.")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("keys")
def command() -> None:
    """Create, list and revoke API keys. The server need not be running; stop it first when it is."""


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
@_data
@_json
def create(
    name: str,
    account: str | None,
    agents: tuple[str, ...],
    permissions: tuple[str, ...],
    data: str | None,
    as_json: bool,
) -> None:
    """Make a key and print it, once."""

    async def make(keys: Any, operator: Any) -> Any:
        rights = permissions or ("chat", "read", "write", "pii", "admin")
        return await keys.create(operator, name, account_id=account, permissions=rights, agents=agents or None)

    key, text = _with_keys(data, make)
    if as_json:
        click.echo(json.dumps({"id": key.id, "name": key.name, "key": text}))
    else:
        click.echo(f"{text}\n\nThis is the only time that the key {key.name!r} is shown. Its id is {key.id}.")


@command.command("list")
@_data
@_json
def list_keys(data: str | None, as_json: bool) -> None:
    """Show every key, without its text."""

    async def find(keys: Any, operator: Any) -> Any:
        return await keys.list(operator)

    found = _with_keys(data, find)
    if as_json:
        rows = [
            {
                "id": k.id, "name": k.name, "hint": k.hint, "account": k.account_id, "agents": sorted(k.agents) if k.agents else None,
                "permissions": sorted(k.permissions), "createdAt": k.created_at.isoformat(), "revokedAt": k.revoked_at.isoformat() if k.revoked_at else None,
            }
            for k in found
        ]  # fmt: skip
        click.echo(json.dumps(rows))
        return
    for k in found:
        state = "revoked" if k.revoked_at else "valid"
        click.echo(
            f"{k.id}  {k.name}  …{k.hint}  {state}  account={k.account_id or 'all'}  {','.join(sorted(k.permissions))}"
        )
    if not found:
        click.echo("No keys yet besides the operator's. Make one with `vivavoce keys create NAME`.")


@command.command("revoke")
@click.argument("key")
@_data
def revoke(key: str, data: str | None) -> None:
    """Make a key (its id or name) invalid, for good."""

    async def do(keys: Any, operator: Any) -> Any:
        return await keys.revoke(operator, key)

    revoked = _with_keys(data, do)
    click.echo(f"The key {revoked.name!r} is no longer valid.")


def _with_keys(data: str | None, use: Any) -> Any:
    from vivavoce.cli.local import owned  # noqa: PLC0415  # not needed for --help
    from vivavoce.cli.loop import run  # noqa: PLC0415
    from vivavoce.service.keys import OPERATOR  # noqa: PLC0415

    async def do() -> Any:
        async with owned(settings.load(data=data, model="local")) as started:
            return await use(started.services.keys, OPERATOR)

    return run(do())
