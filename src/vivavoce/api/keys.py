"""API keys over HTTP, for whoever may administer."""

from __future__ import annotations

from datetime import datetime

import msgspec

from vivavoce.api.route import Answer, Call, Route
from vivavoce.domain.principal import EVERY_PERMISSION
from vivavoce.errors import Invalid
from vivavoce.wire import times
from vivavoce.wire.keys import CreatedKeyResponse, CreateKeyBody, KeyResponse, KeysResponse, key_summary

_encode = msgspec.json.Encoder().encode


async def create(call: Call) -> Answer:
    body: CreateKeyBody = call.body
    key, text = await call.services.keys.create(
        call.principal,
        body.name,
        account_id=body.account_id,
        permissions=tuple(body.permissions) if body.permissions is not None else tuple(EVERY_PERMISSION),
        agents=body.agents,
        expires_at=_moment(body.expires_at),
    )
    return Answer(status=201, body=_encode({**key_summary(key), "key": text}))


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return times.parse(text)
    except ValueError:
        raise Invalid(f"expiresAt should be a time such as 2027-01-31T00:00:00Z, not {text[:40]!r}.") from None


async def list_keys(call: Call) -> Answer:
    keys = await call.services.keys.list(call.principal)
    used = await call.services.keys.last_used(call.principal)
    return Answer(body=_encode({"keys": [key_summary(key, used.get(key.id)) for key in keys]}))


async def revoke(call: Call) -> Answer:
    key = await call.services.keys.revoke(call.principal, call.request.path_params["keyId"])
    return Answer(body=_encode(key_summary(key)))


ROUTES = (
    Route(
        method="POST",
        path="/v1/keys",
        handler=create,
        summary="Make a key; its text is in this reply and nowhere else.",
        permission="admin",
        request=CreateKeyBody,
        response=CreatedKeyResponse,
        status=201,
        errors=(400, 401, 403),
    ),
    Route(
        method="GET",
        path="/v1/keys",
        handler=list_keys,
        summary="Every key, without its text.",
        permission="admin",
        response=KeysResponse,
        errors=(401, 403),
    ),
    Route(
        method="DELETE",
        path="/v1/keys/{keyId}",
        handler=revoke,
        summary="Make a key, by its id or name, invalid for good.",
        permission="admin",
        response=KeyResponse,
        errors=(400, 401, 403, 404),
    ),
)
