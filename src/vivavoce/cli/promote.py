"""vivavoce promote"""

from __future__ import annotations

import json
from typing import Any

import click

from vivavoce.cli import versions
from vivavoce.cli.asking import ask, connection
from vivavoce.errors import UsageError


@click.command("promote")
@click.argument("version", required=False)
@click.option("--to", "target", type=click.Choice(versions.ENVIRONMENTS[1:]), default=None, help="Which environment.")
@versions.agent_option
@versions.message_option
@versions.dry_option
@connection
@versions.json_option
def command(
    version: str | None,
    target: str | None,
    agent: str | None,
    message: str,
    is_dry: bool,
    as_json: bool,
    **where: Any,
) -> None:
    """VERSION serves the next environment as well: sandbox's goes to pre-release, pre-release's to live.

    VERSION is the id of a deployment, the first digits of its version, or an environment, which is what serves that.
    Without one it is what serves the environment before --to; without --to as well, what sandbox serves."""
    agent = versions.agent_of(agent)
    version = version or ("pre-release" if target == "live" else "sandbox")
    found = ask(where, "GET", versions.path_of(agent, version))
    if is_dry:
        place = target or _next(found["environment"])
        try:
            difference = versions.difference(where, agent, found["id"], place)
        except UsageError as error:
            if not versions.not_there(error):
                raise
            raise UsageError(
                f"Nothing is deployed to {place} yet: all of {versions.short(found)} would be new."
            ) from None
        if as_json:
            click.echo(json.dumps(difference, ensure_ascii=False))
        else:
            versions.show_difference(difference)
        return
    body = {"deploymentMessage": message, **({"targetEnvironment": target} if target else {})}
    made = ask(where, "POST", versions.path_of(agent, found["id"], "promote"), body)["deployment"]
    if as_json:
        click.echo(json.dumps(made, ensure_ascii=False))
    else:
        versions.show_deployment("Serving now:", made)


def _next(environment: str) -> str:
    place = versions.ENVIRONMENTS.index(environment) + 1 if environment in versions.ENVIRONMENTS else 0
    if place >= len(versions.ENVIRONMENTS):
        raise UsageError("It is live; there is nowhere further to promote it to.")
    return versions.ENVIRONMENTS[place]
