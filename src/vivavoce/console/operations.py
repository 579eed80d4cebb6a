"""The server itself: keys, background work, the audit log, what is kept and for how long. Each part for who has the right to it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_args

from starlette.responses import Response

from vivavoce.console import page
from vivavoce.console.visit import Page, Visit, number
from vivavoce.domain.conversation import ENVIRONMENTS
from vivavoce.domain.deployment import Deployment
from vivavoce.domain.erasure import Retention
from vivavoce.domain.principal import Permission
from vivavoce.errors import Invalid
from vivavoce.service.operations import is_operator
from vivavoce.service.versions import STAGES
from vivavoce.wire import times
from vivavoce.wire.keys import key_summary

PATH = "/console/operations"
PERMISSIONS: tuple[Permission, ...] = get_args(Permission)
MEANINGS: dict[Permission, str] = {
    "chat": "hold conversations",
    "read": "read them",
    "write": "mark, note and tag them; change drafts",
    "pii": "see personal data",
    "admin": "keys, versions, erasure, retention",
}
ENTRIES = 50  # of the audit log


async def show(visit: Visit) -> Response:
    return await _page(visit)


async def _page(visit: Visit, *, made: str = "", status: int = 200) -> Response:
    services, principal = visit.services, visit.principal
    agents = await services.deployments.agents(principal)
    values: dict[str, Any] = {"keys": None, "audit": None, "queue": None, "size": None, "kept": None, "retention": {}}
    if visit.may("read"):
        values["kept"] = await services.operations.kept(principal)
        values["retention"] = {a.agent_id: await services.erasure.retention(principal, a.agent_id) for a in agents}
    if visit.may("admin"):
        used = await services.keys.last_used(principal)
        values["keys"] = [key_summary(key, used.get(key.id)) for key in await services.keys.list(principal)]
        values["audit"] = await services.audit.newest(principal, limit=ENTRIES)
    if is_operator(principal):
        values["queue"] = await services.operations.queue(principal)
        values["size"] = await services.operations.size(principal)
    deployments = {a.agent_id: await services.deployments.environments(principal, a.agent_id) for a in agents}
    return await page.show(
        visit,
        "operations.html",
        "operations",
        agents=agents,
        **values,
        made=made,
        status=status,
        deployments=deployments,
        environments=ENVIRONMENTS,
        permissions=PERMISSIONS,
        meanings=MEANINGS,
        key_names={key["id"]: key["name"] for key in values["keys"] or ()},
        saved=visit.request.query_params.get("saved", ""),
        earlier={a.agent_id: await _earlier(visit, a.agent_id) for a in agents} if visit.may("read") else {},
        readiness=services.operations.readiness(),
        model=services.operations.model,
        now=datetime.now(UTC),
    )


async def _earlier(visit: Visit, agent_id: str) -> dict[str, Deployment | None]:
    """What served each environment before."""
    found: dict[str, Deployment | None] = {"draft": None}
    for stage in STAGES:
        listed = await visit.services.versions.listed(visit.principal, agent_id, stage)
        found[stage] = next((each for each in listed if each.tree != listed[0].tree), None)
    return found


async def change_version(visit: Visit) -> Response:
    versions, principal, agent_id = visit.services.versions, visit.principal, visit.field("agent")
    match visit.field("what"):
        case "publish":
            await versions.publish(principal, agent_id)
        case "promote":
            await versions.promote(principal, agent_id, visit.field("version"), target=visit.field("target"))
        case "back":
            await versions.roll_back(principal, agent_id, visit.field("version"))
        case what:
            raise Invalid(f"{what[:40]!r} cannot be done to a version.")
    return page.redirect(f"{PATH}?saved=versions#versions")


async def create_key(visit: Visit) -> Response:
    wanted = [p for p in PERMISSIONS if p in visit.form.get("permissions", ())]
    expires = visit.field("expires")
    try:
        expires_at = times.parse(expires) if expires else None
    except ValueError:
        raise Invalid(f"The key should expire on a day such as 2026-12-31, not {expires[:40]!r}.") from None
    agents = [text.strip() for text in visit.field("agents").split(",") if text.strip()]
    _, text = await visit.services.keys.create(
        visit.principal,
        visit.field("name"),
        account_id=visit.field("account").strip() or None,
        permissions=wanted,
        agents=agents or None,
        expires_at=expires_at,
    )
    return await _page(visit, made=text, status=201)


async def revoke_key(visit: Visit) -> Response:
    await visit.services.keys.revoke(visit.principal, visit.field("id"))
    return page.redirect(f"{PATH}#keys")


async def put_retention(visit: Visit) -> Response:
    days = {name: _days(name, visit.field(name)) for name in Retention.__struct_fields__}
    await visit.services.erasure.put_retention(visit.principal, visit.field("agent"), Retention(**days))
    return page.redirect(f"{PATH}?saved=retention#retention")


def _days(name: str, text: str) -> int | None:
    """Empty is for ever."""
    return number(name, text.strip()) if text.strip() else None


PAGES = (
    Page(method="GET", path=PATH, handler=show),
    Page(method="POST", path=f"{PATH}/versions", handler=change_version, permission="admin"),
    Page(method="POST", path=f"{PATH}/keys", handler=create_key, permission="admin"),
    Page(method="POST", path=f"{PATH}/keys/revoke", handler=revoke_key, permission="admin"),
    Page(method="POST", path=f"{PATH}/retention", handler=put_retention, permission="admin"),
)
