"""conv.api and secrets: what author code gets, what the record shows, and where requests may not go."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.support.talk import Talk, run, script, serving, write
from vivavoce.errors import UsageError
from vivavoce.outbound.guarded import GuardedHttp, is_public
from vivavoce.outbound.interface import Refused, Request, TimedOut
from vivavoce.secrets import file as secret_file

MODEL = "rules:\n  - when: {said: act, tool: act}\n    call: {name: act}\n  - when: {result_of: act}\n    say: '{result}'\notherwise: done\n"


class Server:
    """A little company on loopback; `seen` is what reached it."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.url = ""
        self.tokens = 0
        self.withdrawn: set[str] = set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = (await request.read()).decode()
        self.seen.append(
            {"method": request.method, "path": request.raw_path, "body": body, "headers": dict(request.headers)}
        )
        if request.path == "/token":
            self.tokens += 1
            return web.json_response({"access_token": f"token-{self.tokens}", "expires_in": 3600})
        if request.path == "/away":
            raise web.HTTPFound(request.query["to"])
        if request.path == "/slow":
            import asyncio

            await asyncio.sleep(5)
        if request.headers.get("Authorization") in self.withdrawn:
            raise web.HTTPUnauthorized(text="withdrawn")
        if "X-Withdraw" in request.headers:
            self.withdrawn.add(request.headers["Authorization"])
        if request.path.startswith("/bad"):
            raise web.HTTPUnprocessableEntity(text="no such order")
        return web.json_response({"path": request.raw_path, "got": body})


@asynccontextmanager
async def company() -> AsyncIterator[Server]:
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


def integration(url: str, auth: str = "none") -> str:
    return f"""api_integrations:
- name: shop
  description: The shop.
  environments:
    sandbox: {{base_url: '{url}', auth_type: {auth}}}
    live: {{base_url: '{url}/live', auth_type: none}}
  operations:
  - {{name: order, method: GET, resource: '/orders/{{order_id}}?full=1'}}
  - {{name: create, method: POST, resource: /orders}}
  - {{name: bad, method: GET, resource: /bad}}
  - {{name: away, method: GET, resource: /away}}
  - {{name: slow, method: GET, resource: /slow}}
"""


def act(body: str) -> str:
    lines = "\n".join(f"    {line}" for line in body.strip().split("\n"))
    return f"from _gen import *\nimport requests\n\ndef act(conv: Conversation):\n{lines}\n"


def call(
    tmp_path: Path, body: str, *, auth: str = "none", secrets: dict[str, str] | None = None, turns: int = 1, **more: Any
) -> tuple[Talk, Server]:
    async def hold() -> tuple[Talk, Server]:
        async with company() as server:
            more.setdefault("private_hosts", ("127.0.0.1",))
            files = {
                "agent_settings/rules.txt": "{{fn:act}}",
                "functions/act.py": act(body),
                "config/api_integrations.yaml": integration(server.url, auth),
            }
            given = {name: text.replace("SERVER", server.url) for name, text in (secrets or {}).items()}
            async with serving(write(tmp_path, files), script(MODEL), secrets=given, **more) as talk:
                one = talk()
                await one.open()
                for _ in range(turns):
                    await one.say("act")
                return one, server

    found: tuple[Talk, Server] = run(hold())
    return found


def test_an_operation_is_called_with_its_variables_and_code_gets_a_response_of_requests(tmp_path: Path) -> None:
    talk, server = call(
        tmp_path,
        "a = conv.api.shop.order('A/1', params={'page': 2})\n"
        "b = conv.api.shop.create(json={'item': 'bell'}, headers={'X-Shop': 'north'})\n"
        "assert isinstance(a, requests.Response) and a.ok\n"
        "a.raise_for_status()\n"
        "return f\"{a.status_code} {a.json()['path']} {b.json()['got']}\"",
    )
    assert talk.replies[-1]["response"] == '200 /orders/A%2F1?full=1&page=2 {"item":"bell"}'
    assert server.seen[1]["headers"]["X-Shop"] == "north"
    event = talk.calls[0]
    assert [(e["operation"], e["status"]) for e in event["logs"]["api"]] == [("order", 200), ("create", 200)]
    assert [e["kind"] for e in event["exchanges"]] == ["api", "api"]


def test_a_failing_answer_is_handed_to_code_and_logged_with_its_body(tmp_path: Path) -> None:
    talk, _ = call(tmp_path, "r = conv.api.shop.bad()\nreturn f'{r.status_code} {r.text}'")
    assert talk.replies[-1]["response"] == "422 no such order"
    entry = talk.calls[0]["logs"]["api"][0]
    assert entry["level"] == "error" and entry["error"] == "no such order" and entry["latency_ms"] > 0


@pytest.mark.parametrize(
    ("auth", "secret", "header", "value"),
    [
        ("basic", {"username": "u", "password": "p-secret"}, "Authorization", "Basic " + base64.b64encode(b"u:p-secret").decode()),
        ("apiKey", {"header": "X-Key", "value": "k-secret"}, "X-Key", "k-secret"),
        ("oauth2", {"token_url": "SERVER/token", "client_id": "c", "client_secret": "s-secret"}, "Authorization", "Bearer token-1"),
    ],
)  # fmt: skip
def test_credentials_are_put_on_by_the_server_and_never_shown(
    auth: str, secret: dict[str, str], header: str, value: str, tmp_path: Path
) -> None:
    talk, server = call(
        tmp_path,
        "return str(conv.api.shop.create(json={}).status_code)",
        auth=auth,
        secrets={"api.shop": json.dumps(secret)},
    )
    assert talk.replies[-1]["response"] == "200" and server.seen[-1]["headers"][header] == value
    shown = json.dumps(talk.replies)
    assert value not in shown and "-secret" not in shown and "token-1" not in shown


def test_an_access_token_is_kept_and_fetched_anew_when_it_was_withdrawn(tmp_path: Path) -> None:
    body = "return str([conv.api.shop.create(json={}, headers={'X-Withdraw': '1'}).status_code for _ in range(2)])"
    secret = {"token_url": "SERVER/token", "client_id": "c", "client_secret": "s"}
    talk, server = call(tmp_path, body, auth="oauth2", secrets={"api.shop": json.dumps(secret)}, turns=2)
    assert server.tokens == 4 and talk.replies[-1]["response"] == "[200, 200]"


def test_missing_credentials_and_variables_are_errors_of_the_call(tmp_path: Path) -> None:
    talk, _ = call(tmp_path, "conv.api.shop.order()")
    assert "InvalidInput: order needs a value for order_id." in talk.calls[0]["error"]
    talk, _ = call(tmp_path / "b", "conv.api.shop.create()", auth="basic")
    assert "SecretNotFound" in talk.calls[0]["error"] and "api.shop" in talk.calls[0]["error"]
    talk, _ = call(tmp_path / "c", "conv.api.shop.nothing()")
    assert "has no operation named 'nothing'" in talk.calls[0]["error"]


def test_private_addresses_are_not_called_unless_named_and_never_by_redirect(tmp_path: Path) -> None:
    talk, server = call(tmp_path, "conv.api.shop.create(json={})", private_hosts=())
    assert "127.0.0.1 is a private address" in talk.calls[0]["error"] and server.seen == []
    talk, _ = call(tmp_path / "b", "conv.api.shop.away(params={'to': 'http://169.254.169.254/latest'})")
    assert "169.254.169.254 is a private address" in talk.calls[0]["error"]
    talk, _ = call(tmp_path / "c", "conv.api.shop.away(params={'to': 'http://localhost:1/x'})")
    assert "localhost is a private address" in talk.calls[0]["error"]


def test_a_slow_answer_is_a_timeout_of_requests(tmp_path: Path) -> None:
    body = "try:\n    conv.api.shop.slow(timeout=0.2)\nexcept requests.Timeout as e:\n    return 'timed out: ' + str(e)"
    talk, _ = call(tmp_path, body)
    assert talk.replies[-1]["response"] == "timed out: 127.0.0.1 did not answer within 0.2 s."


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "169.254.169.254",
        "::1",
        "fd00::1",
        "::ffff:127.0.0.1",
        "0.0.0.0",
        "100.64.0.1",
        "224.0.0.1",
    ],
)
def test_addresses_that_are_not_of_the_open_internet(address: str) -> None:
    assert not is_public(address)


def test_a_redirect_to_another_host_does_not_carry_the_credentials() -> None:
    async def check() -> None:
        async with company() as first, company() as second:
            outbound = GuardedHttp(("127.0.0.1",))
            request = Request(
                method="GET",
                url=first.url + "/away",
                params={"to": second.url + "/x"},
                headers={"Authorization": "Bearer t"},
            )
            assert (await outbound.send(request)).status == 200
            assert "Authorization" not in second.seen[0]["headers"]
            with pytest.raises(Refused):
                await outbound.send(Request(method="GET", url="file:///etc/passwd"))
            with pytest.raises(TimedOut):
                await outbound.send(Request(method="GET", url=first.url + "/slow", timeout=0.1))
            await outbound.close()

    run(check())


# Secrets.


def test_a_secret_reaches_code_and_no_trace_whatever_code_does_with_it(tmp_path: Path) -> None:
    body = (
        "token = conv.utils.get_secret('crm')\n"
        "conv.state.token = token\nconv.log.info('got ' + token, token=token)\nprint(token)\n"
        "if conv.state.seen:\n    assert conv.state.token == 'sesame-open'\n    raise ValueError(token)\n"
        "conv.state.seen = True\nreturn 'it is ' + token"
    )
    talk, _ = call(tmp_path, body, secrets={"crm": "sesame-open"}, turns=2)
    assert talk.replies[1]["response"] == "it is [secret crm]"
    assert talk.calls[1]["error"].startswith("ValueError: [secret crm]")
    assert "sesame-open" not in json.dumps(talk.replies)


def test_a_missing_secret_raises_its_own_error(tmp_path: Path) -> None:
    body = "try:\n    conv.utils.get_secret('gone')\nexcept SecretNotFound as e:\n    return str(e)"
    talk, _ = call(tmp_path, body)
    assert talk.replies[-1]["response"].startswith("There is no secret 'gone'")


def test_a_secrets_file_is_private_and_keeps_agents_apart(tmp_path: Path) -> None:
    path = tmp_path / "secrets.yaml"
    path.write_text("secrets: {a: everyone}\nagents:\n  one: {a: ones, b: {user: u, pass: p}}\n")
    path.chmod(0o600)
    secrets = secret_file.load(path, {"A": "environment", "c": '{"x": 1}'})
    assert secrets.get("one", "a") == "ones" and secrets.get("two", "a") == "everyone"
    assert secrets.get("one", "b") == {"user": "u", "pass": "p"} and secrets.get("two", "c") == {"x": 1}
    with pytest.raises(Exception, match="not for this agent"):
        secrets.get("two", "b")
    path.chmod(0o644)
    with pytest.raises(UsageError, match="chmod 600"):
        secret_file.load(path, {})
