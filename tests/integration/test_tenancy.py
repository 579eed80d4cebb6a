"""Whatever another account asks, of whatever route, with whatever it has seen or guessed: it is shown nothing of this one."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.integration.test_access import http, key
from tests.support.http import Api
from vivavoce.api.app import ROUTES
from vivavoce.api.route import Route
from vivavoce.domain.principal import EVERY_PERMISSION
from vivavoce.wire.query import Query

MARK = re.compile("zqxj", re.IGNORECASE)  # in everything that the first account has
ASKED_EACH = 6  # requests for each route
MINE = {
    "conversation": "zqxj-conversation",
    "note": "zqxj note",
    "tag": "zqxj",
    "number": "+449999zqxj",
    "account": "acme",
}


async def planted(http: Api) -> list[str]:
    """Data of the first account; what it was told on the way, which the other may have got hold of."""
    await http.open(conversationId=MINE["conversation"], callerNumber=MINE["number"])
    await http.say(MINE["conversation"], "zqxj says my name is Zqxj.")
    base = "/v1/agents/tiny/conversations"
    one = f"{base}/{MINE['conversation']}"
    mark = {"turnId": 1, "role": "agent", "annotationType": "other", "text": "zqxj"}
    made = (await http.call("POST", f"{one}/annotation", {"annotations": [mark]}))[1]
    await http.call("POST", f"{one}/note", {"note": MINE["note"]})
    await http.call("PUT", f"{one}/tags", {"tags": [MINE["tag"]]})
    await http.call("PUT", "/v1/agents/tiny/real-time-configs/sandbox/schema", {"schema": {"title": "zqxj"}})
    await http.call("PUT", "/v1/agents/tiny/redaction", {"keep": ["zqxj"]})
    await http.call("GET", "/v1/agents/tiny/export?format=csv&exportId=zqxj-export")
    await http.call("POST", "/v1/keys", {"name": "zqxj-key", "permissions": ["read"], "accountId": "acme"})
    for n in range(3):
        await http.open(conversationId=f"zqxj-{n}", callerNumber=MINE["number"])
    listed = (await http.call("GET", f"{base}?limit=1"))[1]
    v3 = (await http.call("GET", "/v3/acme/tiny/conversations?client_env=sandbox&limit=1"))[1]
    receipt = (await http.call("DELETE", f"{base}/zqxj-2"))[1]
    keys = (await http.call("GET", "/v1/keys"))[1]["keys"]
    return [
        made["annotations"][0]["id"],
        listed["cursor"],
        v3["cursor"],
        receipt["id"],
        "zqxj-export",
        *(k["id"] for k in keys),
    ]


def asked(route: Route, known: list[str], own: str) -> st.SearchStrategy[tuple[str, Any]]:
    """(path, body) of a request that the other account may make."""
    values = st.sampled_from(
        [*MINE.values(), *known, own, "tiny", "acme", "rival", "sandbox", "zqxj-0", "*", "%", ".."]
    )

    def value(query: Query) -> st.SearchStrategy[str]:
        if query.choices:
            return st.sampled_from(query.choices)
        match query.type:
            case "integer":
                return st.integers(query.minimum or 0, min(query.maximum or 50, 50)).map(str)
            case "boolean":
                return st.sampled_from(("true", "false"))
            case "time":
                return st.sampled_from(("2020-01-01", "2100-01-01"))
            case _:
                return values

    names = re.findall(r"{(\w+)}", route.path)
    paths = st.tuples(*(st.sampled_from(("tiny", own)) if n == "agentId" else values for n in names))
    queries = st.fixed_dictionaries({}, optional={q.name: value(q) for q in route.query if q.name != "limit"})
    body = st.sampled_from(bodies(route)) if route.request is not None else st.none()
    return st.builds(
        lambda path, query, sent: (
            re.sub(r"{\w+}", lambda _, left=list(path): quote(left.pop(0), safe=""), route.path)
            + (f"?{urlencode(query)}" if query else ""),
            sent,
        ),
        paths,
        queries,
        body,
    )


def bodies(route: Route) -> list[Any]:
    return [
        {},
        {"clientEnv": "sandbox"},
        {"clientEnv": "sandbox", "conversationId": MINE["conversation"]},
        {"clientEnv": "sandbox", "message": "hello"},
        {"contact": MINE["number"]},
        {"note": "x"},
        {"tags": ["x"]},
        {"annotations": [{"turnId": 1, "role": "agent", "annotationType": "other"}]},
        {"name": "k", "accountId": "acme"},
        {"records": []},
        {"conversations": 1},
        {"schema": {}},
        {"branchName": "x"},
        {"client_env": "sandbox", "message": "x"},
        {"artifact_version": MINE["conversation"]},
        {"variables": {}},
    ]


def test_no_route_ever_shows_another_accounts_data(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        known = await planted(http)
        before = (await http.call("GET", f"/v1/agents/tiny/conversations/{MINE['conversation']}"))[1]
        rival = await key(http, *EVERY_PERMISSION, account="rival")
        routes = [r for r in ROUTES if r.authentication == "key" and r.path != "/openapi.json"]
        requests: list[tuple[Route, str, Any]] = []

        def collect(route: Route) -> None:
            @settings(
                max_examples=ASKED_EACH, derandomize=True, database=None, phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )  # fmt: skip
            @given(asked(route, known, "rivals-own"))
            def one(request: tuple[str, Any]) -> None:
                requests.append((route, *request))

            one()

        for route in routes:
            await asyncio.to_thread(collect, route)
        for route, path, body in requests:
            status, reply, headers = await http.call(route.method, path, body, key=rival)
            text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else json.dumps(reply)
            if status < 400:  # a refusal may name what was asked for
                assert not MARK.search(text), (route.method, path, status, text[:300])
            assert not MARK.search(str(dict(headers))), (path, dict(headers))
        assert (await http.call("GET", f"/v1/agents/tiny/conversations/{MINE['conversation']}"))[1] == before
        assert (await http.call("GET", "/v1/agents/tiny/redaction"))[1]["keep"] == ["zqxj"]
        names = {k["name"]: k["revokedAt"] for k in (await http.call("GET", "/v1/keys"))[1]["keys"]}
        assert names["zqxj-key"] is None

    http(tmp_path, check)
