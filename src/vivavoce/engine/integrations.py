"""`conv.api`: an operation of the folder's API integrations is called by the server, which alone knows the credentials."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import msgspec

from vivavoce.domain.agent import ApiIntegration, ApiOperation
from vivavoce.domain.conversation import LogEntry
from vivavoce.errors import VivavoceError
from vivavoce.outbound.interface import OutboundError, Request, Response

if TYPE_CHECKING:
    from vivavoce.engine.asks import Asked
    from vivavoce.engine.draft import Draft

MAX_LOGGED_CHARACTERS = 2000
MAX_RECORDED_CHARACTERS = 20_000
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


class BadCall(VivavoceError):
    """The author's call of an operation cannot be made as it stands."""

    code = "INVALID_INPUT"
    status = 400


async def call(draft: Draft, body: dict[str, Any], asked: Asked) -> dict[str, Any]:
    """Makes the request and gives back what a requests.Response is made of; the record gets it without the credentials."""
    integration, operation = _find(draft, body)
    environment = draft.session.conversation.environment
    settings = integration.environments.get("sandbox" if environment == "draft" else environment, {})
    if not settings.get("base_url"):
        raise BadCall(f"API integration {integration.name!r} has no base_url for {environment}.")
    url = settings["base_url"].rstrip("/") + _resource(operation, body)
    headers, params, content = _content(body)
    credentials = _credentials(draft, integration, environment, settings["auth_type"])
    request = Request(
        method=operation.method,
        url=url,
        headers=headers,
        params=params,
        body=content,
        timeout=_timeout(body.get("timeout"), draft.ports.options.api_timeout),
    )
    started_at = draft.ports.clock.now()
    shown = {"integration": integration.name, "operation": operation.name, "method": operation.method, "url": url}
    try:
        response = await _send(draft, request, settings["auth_type"], credentials)
    except OutboundError as error:
        asked.record("api", {**shown, **_given(body)}, error=error.message)
        asked.log(
            LogEntry(logger="api", level="error", content=f"{operation.method} {url} failed", at=started_at,
                     fields={**shown, "status": None, "error": error.message})
        )  # fmt: skip
        raise
    text = response.body.decode("utf-8", "replace")
    asked.record(
        "api",
        {**shown, **_given(body)},
        answer={"status": response.status, "body": text[:MAX_RECORDED_CHARACTERS], "headers": response.headers},
    )
    has_failed = response.status >= 400
    asked.log(
        LogEntry(
            logger="api",
            level="error" if has_failed else "info",
            content=f"{operation.method} {url} -> {response.status}",
            at=started_at,
            fields={
                **shown,
                "status": response.status,
                "latency_ms": round(response.seconds * 1000, 1),
                "error": text[:MAX_LOGGED_CHARACTERS] if has_failed else None,
            },
        )
    )
    return {
        "status": response.status,
        "reason": response.reason,
        "headers": response.headers,
        "body": response.body,
        "url": response.url,
        "seconds": response.seconds,
        "method": operation.method,
    }


def _timeout(given: Any, most: float) -> float:
    """Seconds; requests' pair of connect and read counts as its sum."""
    if isinstance(given, (list, tuple)) and all(isinstance(part, (int, float)) for part in given):
        given = sum(given)
    if given is not None and (isinstance(given, bool) or not isinstance(given, (int, float)) or not given > 0):
        raise BadCall("timeout should be a number of seconds above zero.")
    return min(given or most, most)


def _pairs(name: str, given: Any) -> list[tuple[Any, Any]]:
    """A mapping, a list of pairs or, for params, a query string."""
    if given is None:
        return []
    if isinstance(given, dict):
        return list(given.items())
    if isinstance(given, str) and name == "params":
        return list(parse_qsl(given, keep_blank_values=True))
    if isinstance(given, list) and all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in given):
        return [(key, value) for key, value in given]
    raise BadCall(f"{name} should be a mapping.")


def _find(draft: Draft, body: dict[str, Any]) -> tuple[ApiIntegration, ApiOperation]:
    integration = draft.agent.api_integrations.get(str(body.get("integration")))
    if integration is None:
        raise BadCall(f"There is no API integration {str(body.get('integration'))[:80]!r}.")
    for operation in integration.operations:
        if operation.name == body.get("operation"):
            return integration, operation
    names = ", ".join(operation.name for operation in integration.operations)
    raise BadCall(
        f"{integration.name} has no operation {str(body.get('operation'))[:80]!r}; it has: {names or 'none'}."
    )


def _resource(operation: ApiOperation, body: dict[str, Any]) -> str:
    """The resource with its placeholders filled: by name, then in order."""
    wanted = list(dict.fromkeys(_PLACEHOLDER.findall(operation.resource)))
    named = dict(body.get("named") or {})
    unknown = [name for name in named if name not in wanted]
    if unknown:
        raise BadCall(f"{operation.name} has no path variable {unknown[0]!r}; it has: {', '.join(wanted) or 'none'}.")
    given = list(body.get("positional") or [])
    values = {**named}
    for name in wanted:
        if name not in values and given:
            values[name] = given.pop(0)
    missing = [name for name in wanted if values.get(name) in (None, "")]
    if missing:
        raise BadCall(f"{operation.name} needs a value for {', '.join(missing)}.")
    if given:
        raise BadCall(f"{operation.name} takes {len(wanted)} path variables; more were given.")
    return _PLACEHOLDER.sub(lambda m: quote(str(values[m[1]]), safe=""), operation.resource)


def _content(body: dict[str, Any]) -> tuple[dict[str, str], dict[str, Any], bytes | None]:
    headers = {str(k): str(v) for k, v in _pairs("headers", body.get("headers"))}
    if any("\n" in text or "\r" in text for pair in headers.items() for text in pair):
        raise BadCall("A header may not hold a line break.")
    params = {
        str(k): v if isinstance(v, (str, int, float)) and not isinstance(v, bool) else str(v).lower() if isinstance(v, bool) else str(v)
        for k, v in _pairs("params", body.get("params"))
        if v is not None
    }  # fmt: skip
    kinds = {k.lower() for k in headers}
    if body.get("json") is not None:
        if "content-type" not in kinds:
            headers["Content-Type"] = "application/json"
        return headers, params, msgspec.json.encode(body["json"])
    data = body.get("data")
    if data is None:
        return headers, params, None
    if isinstance(data, dict):
        if "content-type" not in kinds:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        return headers, params, urlencode(data, doseq=True).encode()
    return headers, params, data if isinstance(data, bytes) else str(data).encode()


def _credentials(draft: Draft, integration: ApiIntegration, environment: str, auth: str) -> dict[str, Any]:
    """The secret `api.<integration>.<environment>`, or `api.<integration>` for all environments."""
    if auth == "none":
        return {}
    agent_id = draft.session.conversation.agent_id
    env = "sandbox" if environment == "draft" else environment
    failure: VivavoceError | None = None
    for name in (f"api.{integration.name}.{env}", f"api.{integration.name}"):
        try:
            found = draft.ports.secrets.get(agent_id, name)
        except VivavoceError as error:
            failure = failure or error
            continue
        if not isinstance(found, dict):
            raise BadCall(f"The secret {name!r} should be a mapping with the credentials for {auth}.")
        return found
    assert failure is not None
    raise failure


async def _send(draft: Draft, request: Request, auth: str, credentials: dict[str, Any]) -> Response:
    outbound = draft.ports.outbound
    if auth == "jwt_client_assertion":
        raise BadCall(
            "The integration signs a JWT for its calls (jwt_client_assertion), which is not implemented here."
        )
    if auth in ("oauth2", "oauth2_client_credentials"):
        response = await outbound.send(_bearing(request, await draft.ports.tokens.token(credentials)))
        if response.status != 401:
            return response
        draft.ports.tokens.forget(credentials)  # it was withdrawn before its time
        return await outbound.send(_bearing(request, await draft.ports.tokens.token(credentials)))
    if auth == "basic":
        pair = f"{credentials.get('username', '')}:{credentials.get('password', '')}"
        return await outbound.send(
            _with_header(request, "Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}")
        )
    if auth == "apiKey":
        value = str(credentials.get("value", ""))
        if credentials.get("query"):
            parts = urlsplit(request.url)
            query = urlencode([*parse_qsl(parts.query), (str(credentials["query"]), value)])
            return await outbound.send(msgspec.structs.replace(request, url=urlunsplit(parts._replace(query=query))))
        return await outbound.send(_with_header(request, str(credentials.get("header") or "X-API-Key"), value))
    return await outbound.send(request)


def _bearing(request: Request, token: str) -> Request:
    return _with_header(request, "Authorization", f"Bearer {token}")


def _with_header(request: Request, name: str, value: str) -> Request:
    kept = {k: v for k, v in request.headers.items() if k.lower() != name.lower()}
    return msgspec.structs.replace(request, headers={**kept, name: value})


def _given(body: dict[str, Any]) -> dict[str, Any]:
    """What author code sent, for the record."""
    found = {key: body[key] for key in ("params", "json", "data") if body.get(key) is not None}
    if isinstance(found.get("data"), bytes):
        found["data"] = found["data"].decode("utf-8", "replace")[:MAX_RECORDED_CHARACTERS]
    return found
