"""vivavoce rollback"""

from __future__ import annotations

import json
from typing import Any

import click

from vivavoce.cli import versions
from vivavoce.cli.asking import ask, connection
from vivavoce.errors import UsageError


@click.command("rollback")
@click.argument("version", required=False)
@click.option(
    "--env", "environment", type=click.Choice(versions.ENVIRONMENTS), required=True, help="Which environment."
)
@versions.agent_option
@versions.message_option
@versions.dry_option
@connection
@versions.json_option
def command(
    version: str | None,
    environment: str,
    agent: str | None,
    message: str,
    is_dry: bool,
    as_json: bool,
    **where: Any,
) -> None:
    """An environment is served again by VERSION, or, without one, by what served it before. Conversations that go on stay
    on the version that they began with."""
    agent = versions.agent_of(agent)
    known = ask(where, "GET", versions.path_of(agent, environment=environment, limit="1000"))["deployments"]
    found = _chosen(known, version, environment)
    if is_dry:
        difference = versions.difference(where, agent, found["id"], environment)
        if as_json:
            click.echo(json.dumps(difference, ensure_ascii=False))
        else:
            click.echo(f"{environment} would go back to {versions.short(found)}, of {found['createdAt'][:16]}:")
            versions.show_difference(difference)
        return
    body = {"deploymentMessage": message}
    made = ask(where, "POST", versions.path_of(agent, found["id"], "rollback"), body)["deployment"]
    if as_json:
        click.echo(json.dumps(made, ensure_ascii=False))
    else:
        versions.show_deployment("Back to", made)


def _chosen(known: list[dict[str, Any]], version: str | None, environment: str) -> dict[str, Any]:
    if version is None:
        found = [each for each in known if each["version"] != known[0]["version"]]
    else:
        found = [each for each in known if each["id"] == version or each["version"].startswith(version)]
    if not found:
        what = "another version" if version is None else f"version {version}"
        raise UsageError(
            f"{environment} was never served by {what}; `vivavoce deployments --env {environment}` lists them."
        )
    return found[0]
