"""The Python client against the served API: one definition of each operation, blocking and awaited."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import vivavoce.client
from tests.integration.test_erasure import finished, http, planted
from tests.support.http import KEY, Api
from tests.support.talk import run
from vivavoce.api.app import ROUTES
from vivavoce.client import AnnotationItem, ApiError, AsyncClient, Client, ConnectionFailed
from vivavoce.client.operation import Group, Operation, Stream

ALIASES = {"/v1/agents/{agentId}/conversations/{conversationId}/annotations"}  # of /annotation
OF_ANOTHER_CLIENT = ("/adk/", "/v1/agents/{agentId}/testing/")  # in its own spelling; tests are for it alone
PAGES = {"/docs"}  # for people


def operations() -> Iterator[tuple[str, Operation[..., Any] | Stream[..., Any]]]:
    for resource in Group.__subclasses__():
        for name, found in vars(resource).items():
            if isinstance(found, (Operation, Stream)):
                yield f"{resource.__name__}.{name}", found


def test_every_route_of_the_server_has_an_operation_and_no_operation_lacks_a_route() -> None:
    others = (*ALIASES, *OF_ANOTHER_CLIENT)
    served = {(r.method, r.path) for r in ROUTES if r.path not in PAGES and not r.path.startswith(others)}
    of_both = {(r.method, r.path) for r in ROUTES if "/ab-tests" in r.path and not r.path.endswith("/active")}
    assert {(found.method, found.path) for _, found in operations()} == served | of_both


def test_every_operation_is_answered_by_the_shape_that_its_route_declares() -> None:
    shapes = {(r.method, r.path): r.response for r in ROUTES}
    for name, found in operations():
        declared = shapes[found.method, found.path]
        if isinstance(found, Operation) and declared is not None:
            assert found.response == declared, name


def in_thread(http: Api, work: Callable[[Client], Any]) -> Any:
    def call() -> Any:
        with Client(http.url, KEY, author="rae@example.com") as found:
            return work(found)

    return asyncio.to_thread(call)


def test_a_conversation_is_held_found_reviewed_and_erased_by_the_blocking_client(tmp_path: Path) -> None:
    def work(c: Client) -> None:
        opened = c.chats.create("tiny", caller_number="+447700900461", conversation_id="by-client")
        assert (opened.conversation_id, opened.conversation_ended) == ("by-client", False)
        said = c.chats.respond("tiny", "by-client", "Hello")
        assert said.user_input == "Hello" and said.metadata.turn_index == 1
        page = c.conversations.list("tiny", limit=1, in_progress=True)
        assert page.count == 1 and page.conversations[0].started_at is not msgspec.UNSET
        assert [item.conversation_id for item in c.conversations.all("tiny")] == ["by-client"]
        detail = c.conversations.get("tiny", "by-client")
        assert [turn.user_input for turn in detail.turns] == ["", "Hello"]
        mark = AnnotationItem(turn_id=1, role="agent", annotation_type="bad_response", reasons=["too_long"])
        made = c.conversations.annotate("tiny", "by-client", mark).annotations[0]
        assert (made.author, made.turn_id, made.reasons) == ("rae@example.com", 1, ["too_long"])
        assert c.conversations.get("tiny", "by-client").turns[1].reviews == [made]
        c.conversations.remove_annotation("tiny", "by-client", made.id)
        assert c.conversations.annotations("tiny", "by-client").annotations == []
        assert c.conversations.put_tags("tiny", "by-client", ["a", "a", "b"]).tags == ["a", "b"]
        c.conversations.put_note("tiny", "by-client", "Looked at.")
        assert c.conversations.get("tiny", "by-client").note == "Looked at."
        whole = c.transcripts.get("acme", "tiny", "by-client")
        assert whole.num_turns == 2 and whole.turns[1].user_input == "Hello"
        assert c.transcripts.list("acme", "tiny", client_env="sandbox").conversations[0].id == "by-client"
        assert [item.id for item in c.transcripts.all("acme", "tiny", client_env="sandbox")] == ["by-client"]
        assert c.conversations.erase("tiny", "by-client").conversations == 1
        with pytest.raises(ApiError) as missing:
            c.conversations.get("tiny", "by-client")
        assert (missing.value.status, missing.value.code) == (404, "CONVERSATIONS_NOT_FOUND")
        assert missing.value.correlation_id

    async def check(http: Api) -> None:
        await in_thread(http, work)

    http(tmp_path, check)


def test_the_awaited_client_does_the_same(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await planted(http, "one")
        await finished(http, "one")
        async with AsyncClient(http.url, KEY) as c:
            assert [item.conversation_id async for item in c.conversations.all("tiny")] == ["one"]
            body = b"".join([chunk async for chunk in c.agents.export("tiny")])
            record, signature = body.splitlines()
            assert json.loads(signature)["signature"]["conversations"] == 1
            await c.conversations.erase("tiny", "one")
            assert (await c.agents.take_in("tiny", [record])).imported == 1
            assert (await c.conversations.get("tiny", "one")).conversation_id == "one"
            made = await c.server.create_key("reader", permissions=["read"], account_id="acme")
            assert made.key.startswith("vv_") and made.permissions == ["read"]
            assert "reader" in {key.name for key in (await c.server.keys()).keys}
            assert (await c.server.revoke_key(made.id)).revoked_at is not None
            assert (await c.server.verify_audit()).is_whole
            assert "conversation.erase" in {entry.action for entry in (await c.server.audit(limit=1000)).entries}
            kept = await c.agents.put_retention("tiny", details=30)
            assert (kept.details, (await c.agents.retention("tiny")).details) == (30, 30)
            assert (await c.server.health())["status"] == "ok"
            with pytest.raises(ApiError, match="Audio recording not found"):
                await c.conversations.audio("tiny", "one")

    http(tmp_path, check)


def test_no_field_that_the_server_sends_is_lost_on_the_way(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await planted(http, "one")
        await finished(http, "one")
        mark = {"turnId": 0, "role": "agent", "annotationType": "other", "text": "see"}
        await http.call("POST", "/v1/agents/tiny/conversations/one/annotations", {"annotations": [mark]})
        for path in (
            "/v1/agents/tiny/conversations",
            "/v1/agents/tiny/conversations?queryType=transcript&query=a",
            "/v1/agents/tiny/conversations/one",
            "/v1/agents/tiny/conversations/one/annotations",
            "/v3/acme/tiny/conversations?client_env=sandbox&include_latency=true&limit=1",
            "/v1/acme/tiny/conversations?client_env=sandbox",
            "/v1/acme/tiny/conversations/concurrency?client_env=sandbox&start_time=2026-01-01&end_time=2026-01-02",
            "/v1/keys",
            "/v1/audit",
            "/v1/audit/verify",
            "/v1/agents/tiny/retention",
            "/v1/agents/tiny/real-time-configs",
            "/v1/acme/tiny/handoff_state?id=one",
        ):
            status, sent, _ = await http.call("GET", path)
            assert status == 200, (path, sent)
            bare = path.partition("?")[0]
            route = next(r for r in ROUTES if r.method == "GET" and fits(r.path, bare) and r.response is not None)
            kept = msgspec.to_builtins(msgspec.convert(sent, route.response, strict=False))
            assert names(sent) <= names(kept), (path, names(sent) - names(kept))

    http(tmp_path, check)


def fits(template: str, path: str) -> bool:
    parts, given = template.split("/"), path.split("/")
    return len(parts) == len(given) and all(a == b or a.startswith("{") for a, b in zip(parts, given, strict=True))


def names(value: Any, place: str = "") -> set[str]:
    """The places of all that is in a JSON value; an item of a list is at []."""
    if isinstance(value, dict):
        return {place}.union(*(names(item, f"{place}.{key}") for key, item in value.items()))
    if isinstance(value, list):
        return {place}.union(*(names(item, f"{place}[]") for item in value))
    return {place}


def test_a_message_that_is_sent_again_after_a_broken_connection_is_said_once(tmp_path: Path) -> None:
    """The server answers, the answer is lost, the client tries again with the same key."""

    async def check(http: Api) -> None:
        await http.open(conversationId="lost")
        port = int(http.url.rsplit(":", 1)[1])
        dropped = 0

        relays: list[asyncio.Task[None] | None] = []

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal dropped
            relays.append(asyncio.current_task())
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)

            async def upwards() -> None:
                while chunk := await reader.read(65536):
                    up_writer.write(chunk)
                up_writer.close()

            upward = asyncio.create_task(upwards())
            while chunk := await up_reader.read(65536):
                if dropped == 0:
                    dropped += 1
                    break
                writer.write(chunk)
            writer.close()
            await upward

        proxy = await asyncio.start_server(relay, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
        async with AsyncClient(url, KEY) as c:
            reply = await c.chats.respond("tiny", "lost", "Hello")
        assert (dropped, reply.metadata.turn_index) == (1, 1)
        proxy.close()
        await asyncio.gather(*(found for found in relays if found is not None))
        async with AsyncClient(http.url, KEY) as c:
            assert len((await c.conversations.get("tiny", "lost")).turns) == 2

    http(tmp_path, check)


def test_what_must_not_be_sent_twice_is_not_tried_again() -> None:
    async def go() -> None:
        asked = 0

        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal asked
            asked += 1
            await reader.readuntil(b"\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with AsyncClient(url, "k", attempts=2) as c:
            with pytest.raises(ConnectionFailed, match="does not answer"):
                await c.conversations.put_note("tiny", "one", "x")
            assert asked == 1
            with pytest.raises(ConnectionFailed):
                await c.conversations.get("tiny", "one")
            assert asked > 2
        server.close()

    run(go())


def test_the_examples_of_the_documentation_are_of_this_package() -> None:
    """Each name that docs/python.md uses of a client is there."""
    text = (Path(__file__).parents[2] / "docs" / "python.md").read_text()
    known = {name.split(".")[1] for name, _ in operations()}
    used = set(vivavoce.client.__all__)
    for name, found in operations():
        assert f"`{name.split('.')[1]}" in text or f".{name.split('.')[1]}(" in text, (
            f"{name} is not documented: {found.path}"
        )
    for line in text.splitlines():
        if line.startswith("from vivavoce.client import"):
            assert set(line.removeprefix("from vivavoce.client import ").replace(" ", "").split(",")) <= used
    assert known
