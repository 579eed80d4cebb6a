"""vivavoce ab-tests"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import click

from vivavoce.cli import versions
from vivavoce.cli.asking import ask, connection
from vivavoce.errors import UsageError

SHOWN = 8  # digits of an id

share_option = click.option("--share", type=click.FloatRange(0, 100), help="Percent of new conversations.")


@click.group("ab-tests")
def command() -> None:
    """A share of new conversations begins on another version, and the two are compared."""


@command.command("list")
@versions.agent_option
@connection
@versions.json_option
def listed(agent: str | None, as_json: bool, **where: Any) -> None:
    """Those that run, marked by a star, and those that have ended."""
    found = ask(where, "GET", _path(where, versions.agent_of(agent)))["ab_tests"]
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    if not found:
        click.echo("No A/B test.")
    for each in found:
        click.echo(_line(each))


@command.command("create")
@click.argument("version")
@share_option
@click.option("--name", required=True, help="What it is called.")
@click.option("--env", type=click.Choice(("live", "pre-release")), default="live", show_default=True)
@versions.agent_option
@connection
@versions.json_option
def create(
    version: str, share: float | None, name: str, env: str, agent: str | None, as_json: bool, **where: Any
) -> None:
    """VERSION gets a share of the environment's new conversations from now on.

    VERSION is the id of a deployment, the first digits of its version, or an environment, which is what serves that."""
    body = {"name": name, "variant_deployment_id": version, "traffic_percentage": _needed(share), "client_env": env}
    _told("Running now:", ask(where, "POST", _path(where, versions.agent_of(agent)), body), as_json)


@command.command("share")
@click.argument("test")
@share_option
@versions.agent_option
@connection
@versions.json_option
def share_of(test: str, share: float | None, agent: str | None, as_json: bool, **where: Any) -> None:
    """Another share for TEST, an id or the first digits of one. Conversations that have begun stay where they are."""
    place = _path(where, versions.agent_of(agent))
    body = {"traffic_percentage": _needed(share)}
    _told("Running now:", ask(where, "PATCH", f"{place}/{_id(where, place, test)}", body), as_json)


@command.command("end")
@click.argument("test")
@click.option("--choose", type=click.Choice(("control", "variant")), help="Which of the two serves from now on.")
@versions.agent_option
@connection
@versions.json_option
def end(test: str, choose: str | None, agent: str | None, as_json: bool, **where: Any) -> None:
    """End TEST. Without --choose the environment is served by what serves it anyway."""
    place = _path(where, versions.agent_of(agent))
    id = _id(where, place, test)
    chosen = ask(where, "GET", f"{place}/{id}")[f"{choose}_deployment_id"] if choose else None
    _told("Ended:", ask(where, "DELETE", f"{place}/{id}", {"chosen_deployment_id": chosen}), as_json)


@command.command("results")
@click.argument("test", required=False)
@click.option(
    "--confidence", type=click.IntRange(50, 99), default=95, show_default=True, help="Percent, of all looks together."
)
@versions.agent_option
@connection
@versions.json_option
def results(test: str | None, confidence: int, agent: str | None, as_json: bool, **where: Any) -> None:
    """What both versions of TEST come to; without one, of the newest. It may be asked as often as one likes."""
    place = _path(where, versions.agent_of(agent))
    found = ask(where, "GET", f"{place}/{_id(where, place, test)}/results?confidence={confidence}")
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    click.echo(_line(found["ab_test"]))
    control, variant = found["control"], found["variant"]
    click.echo(
        f"  ended conversations: control {control['conversations']}, variant {variant['conversations']}", nl=False
    )
    click.echo(f", of other versions {found['other_conversations']}" if found["other_conversations"] else "")
    for name in sorted(control["metrics"].keys() | variant["metrics"].keys()):
        one, other = (_mean(group["metrics"].get(name)) for group in (control, variant))
        click.echo(f"  {click.style(versions.plain(name), bold=True)}  control {one}, variant {other}")
        click.echo(f"    {_judgement(found['comparisons'].get(name))}")
    if not (control["is_whole"] and variant["is_whole"]):
        click.echo("  Only the newest conversations were looked at.")


def _mean(metric: Mapping[str, Any] | None) -> str:
    if metric is None:
        return "-"
    between = f" ({metric['low']:.4g} to {metric['high']:.4g})" if metric["low"] is not None else ""
    return f"{metric['mean']:.4g}{between}"


def _judgement(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "Nothing can be said yet."
    between = (
        f"difference {found['difference']:+.4g} ({found['low']:+.4g} to {found['high']:+.4g}), p {found['p_value']:.2g}"
    )
    if not found["is_decided"]:
        return f"not decided: {between}"
    better = "more" if found["difference"] > 0 else "less"
    return click.style(f"the variant has {better}: {between}", fg="green")


def _line(each: Mapping[str, Any]) -> str:
    is_running = each["status"] == "active"
    told = f"{each['traffic_percentage']:g} % of {each['client_env']}" if is_running else "ended"
    if each["chosen_deployment_id"] is not None:
        told += ", " + ("control" if each["chosen_deployment_id"] == each["control_deployment_id"] else "variant")
        told += " chosen"
    return (
        f"{'*' if is_running else ' '} {each['id'][:SHOWN]}  {each['created_at'][:16].replace('T', ' ')}"
        f"  {versions.plain(each['name'])}  {told}"
    )


def _told(done: str, found: dict[str, Any], as_json: bool) -> None:
    click.echo(json.dumps(found, ensure_ascii=False) if as_json else f"{done}\n{_line(found)}")


def _needed(share: float | None) -> float:
    if share is None:
        raise UsageError("Which share? Say it with --share, from 0 to 100 percent.")
    return share


def _path(where: dict[str, Any], agent: str) -> str:
    """The account is that of the versions that serve."""
    active = ask(where, "GET", versions.path_of(agent, "active"))["activeDeployments"]
    account = next((each["accountId"] for each in active.values() if each), None)
    if account is None:
        raise UsageError(f"Nothing of {agent} is deployed; `vivavoce publish` comes first.")
    return f"/adk/v1/accounts/{quote(account, safe='')}/projects/{quote(agent, safe='')}/ab-tests"


def _id(where: dict[str, Any], place: str, test: str | None) -> str:
    known = [each["id"] for each in ask(where, "GET", place)["ab_tests"]]
    found = [id for id in known if id.startswith(test)] if test else known[:1]
    if len(found) == 1:
        return str(found[0])
    if not known:
        raise UsageError("There is no A/B test.")
    raise UsageError(f"{'Several A/B tests begin' if found else 'No A/B test begins'} with {test!r}.")
