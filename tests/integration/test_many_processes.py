"""Many processes over one PostgreSQL: any of them takes any turn, and none that stalls or dies costs an answered one."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from msgspec.structs import replace

from tests.integration.test_turns import function
from tests.support import postgres
from tests.support.http import Api, Process
from tests.support.talk import run, script, serving, write
from vivavoce.domain.work import Work
from vivavoce.service.calls import CALL, WATCH_CALL
from vivavoce.service.chats import Opening, Taken
from vivavoce.service.keys import OPERATOR

AGENT = {
    "agent_settings/rules.txt": "Be brief. {{fn:act}}",
    "functions/act.py": function(
        "import time\ntime.sleep(float(word))\nconv.state.count = (conv.state.count or 0) + 1\n"
        "return f'{conv.state.count} times'",
        "act",
        ", word: str",
    ),
    "real_time_config/sandbox/config.json": "{}",
}
MODEL = """
rules:
  - when: {said: "act (?P<word>.+)", tool: act}
    call: {name: act, arguments: {word: "{word}"}}
  - when: {result_of: act}
    say: "Done, {result}"
otherwise: "Go on."
"""
LEASE = 4.0  # seconds; a busy machine must not pass for a dead one
LIST = "/v1/agents/tiny/conversations"


class Two:
    """Two servers of one agent, each with a data folder of its own, over one database."""

    def __init__(self, tmp_path: Path) -> None:
        folder = write(tmp_path / "agent", AGENT)
        play = tmp_path / "play.yaml"
        play.write_text(MODEL)
        self._folder, self._play, self._path = folder, play, tmp_path
        self._env = {
            "VIVAVOCE_DATABASE": postgres.fresh(),
            "VIVAVOCE_SEAL_KEY": "07" * 32,
            "VIVAVOCE_LEASE_SECONDS": str(LEASE),
            "VIVAVOCE_RECORDINGS": f"file://{tmp_path / 'recordings'}",
        }
        self.servers = [self.start("a"), self.start("b")]

    def start(self, name: str, **env: str) -> Process:
        arguments = ("--data", str(self._path / name), "--model", f"scripted:{self._play}", "--no-reload")
        return Process(str(self._folder), *arguments, env={**self._env, **env})

    def signal(self, which: int, number: int) -> None:
        os.kill(self.servers[which].process.pid, number)

    def stop(self) -> None:
        for server in self.servers:
            if server.process.poll() is None:
                os.kill(server.process.pid, signal.SIGCONT)
            server.kill()


@contextmanager
def _two(tmp_path: Path) -> Iterator[Two]:
    two = Two(tmp_path)
    try:
        yield two
    finally:
        two.stop()


def both(tmp_path: Path, check: Callable[[Two, Api, Api], Awaitable[None]]) -> None:
    async def go() -> None:
        with _two(tmp_path) as two:
            async with AsyncExitStack() as stack:
                sessions = [await stack.enter_async_context(aiohttp.ClientSession()) for _ in two.servers]
                first, second = (Api(s, p.address) for s, p in zip(sessions, two.servers, strict=True))
                await check(two, first, second)

    run(go())


async def turns(http: Api, id: str) -> list[str]:
    status, found, _ = await http.call("GET", f"{LIST}/{id}")
    assert status == 200
    return [turn["user_input"] for turn in found["turns"]]


def test_turns_of_a_conversation_are_taken_by_any_process(tmp_path: Path) -> None:
    async def check(two: Two, first: Api, second: Api) -> None:
        id = (await first.open())["conversationId"]
        for n, http in enumerate((second, first, first, second, first), 1):
            status, reply, _ = await http.say(id, "act 0")
            assert status == 200 and reply["response"] == f"Done, {n} times"
        assert await turns(second, id) == ["", *["act 0"] * 5]

    both(tmp_path, check)


def test_messages_at_once_to_two_processes_wait_for_each_other(tmp_path: Path) -> None:
    async def check(two: Two, first: Api, second: Api) -> None:
        id = (await first.open())["conversationId"]
        said = await asyncio.gather(*(http.say(id, "act 0.05") for http in (first, second) * 4))
        assert [status for status, _, _ in said] == [200] * 8
        assert sorted(reply["response"] for _, reply, _ in said) == [f"Done, {n} times" for n in range(1, 9)]
        assert len(await turns(first, id)) == 9

    both(tmp_path, check)


def test_an_answer_that_was_kept_does_not_hide_what_another_process_has_done_since(tmp_path: Path) -> None:
    """The first process answers from what is stored; its own memory of the conversation is old all the same."""

    async def check(two: Two, first: Api, second: Api) -> None:
        id = (await first.open())["conversationId"]
        path, sent = f"/v1/agents/tiny/debug-chat/{id}", {"clientEnv": "sandbox", "message": "act 0"}
        assert (await first.say(id, "act 0"))[0] == 200
        for http in (second, first):
            status, reply, _ = await http.call("POST", path, sent, headers={"Idempotency-Key": "k"})
            assert status == 200 and reply["response"] == "Done, 2 times"
        status, reply, _ = await first.say(id, "act 0")
        assert status == 200 and reply["response"] == "Done, 3 times"

    both(tmp_path, check)


def test_a_turn_whose_process_dies_is_taken_by_another_when_it_is_sent_again(tmp_path: Path) -> None:
    async def check(two: Two, first: Api, second: Api) -> None:
        id = (await first.open())["conversationId"]
        await first.say(id, "act 0")
        dying = asyncio.ensure_future(first.say(id, "act 5"))
        await asyncio.sleep(0.5)
        two.signal(0, signal.SIGKILL)
        status, reply, _ = await second.say(id, "act 0")  # waits for the lease to run out, and no longer
        assert status == 200 and reply["response"] == "Done, 2 times"
        assert isinstance((await asyncio.gather(dying, return_exceptions=True))[0], aiohttp.ClientError)
        assert await turns(second, id) == ["", "act 0", "act 0"]

    both(tmp_path, check)


def test_a_process_that_stalls_cannot_write_late(tmp_path: Path) -> None:
    async def check(two: Two, first: Api, second: Api) -> None:
        id = (await first.open())["conversationId"]
        late = asyncio.ensure_future(first.say(id, "act 0.5"))
        await asyncio.sleep(0.2)
        two.signal(0, signal.SIGSTOP)
        status, reply, _ = await second.say(id, "act 0")
        assert status == 200 and reply["response"] == "Done, 1 times"
        two.signal(0, signal.SIGCONT)
        status, refused, _ = await late
        assert status == 409, refused
        assert await turns(second, id) == ["", "act 0"]
        status, reply, _ = await first.say(id, "act 0")  # and goes on from what the other has written
        assert status == 200 and reply["response"] == "Done, 2 times"

    both(tmp_path, check)


def test_one_idempotency_key_opens_one_conversation_at_two_processes(tmp_path: Path) -> None:
    async def check(two: Two, first: Api, second: Api) -> None:
        body, key = {"clientEnv": "sandbox"}, {"Idempotency-Key": "k"}
        path = "/v1/agents/tiny/debug-chat"
        opened = await asyncio.gather(*(http.call("POST", path, body, headers=key) for http in (first, second) * 3))
        assert len({reply["conversationId"] for _, reply, _ in opened}) == 1
        _, listed, _ = await first.call("GET", LIST)
        assert listed["total"] == 1 if "total" in listed else len(listed["conversations"]) == 1

    both(tmp_path, check)


def test_what_is_changed_at_one_process_holds_at_the_other(tmp_path: Path) -> None:
    async def check(two: Two, first: Api, second: Api) -> None:
        status, made, _ = await first.call("POST", "/v1/keys", {"name": "n", "permissions": ["read"]})
        assert status == 201, made
        await until(lambda: _status(second, made["key"]), 200)
        await first.call("DELETE", f"/v1/keys/{made['id']}")
        await until(lambda: _status(second, made["key"]), 401)

    async def _status(http: Api, key: str) -> int:
        return (await http.call("GET", LIST, key=key))[0]

    both(tmp_path, check)


async def until(ask: Callable[[], Awaitable[Any]], wanted: Any) -> None:
    """News travel in milliseconds; a second is long."""
    for _ in range(100):
        if (found := await ask()) == wanted:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{found!r} is not {wanted!r}")


def test_what_is_published_at_one_process_is_served_by_the_other_within_a_second(tmp_path: Path) -> None:
    async def check(two: Two, first: Api, second: Api) -> None:
        before = (await second.open())["conversationId"]
        branches = "/v1/agents/tiny/branches"
        _, made, _ = await first.call("POST", branches, {"branchName": "work"})
        branch = f"{branches}/{made['branchId']}"
        status, _, _ = await second.call("PATCH", f"{branch}/behavior", {"behavior": "Be kind. {{fn:act}}\n"})
        assert status == 200
        status, merged, _ = await first.call("POST", f"{branch}/merge", {})
        assert status == 200, merged
        _, active, _ = await first.call("GET", "/v1/agents/tiny/deployments/active")
        wanted = active["activeDeployments"]["sandbox"]["id"]

        async def deployment() -> str:
            id = (await second.open())["conversationId"]
            return str((await second.call("GET", f"{LIST}/{id}"))[1]["deploymentId"])

        await asyncio.wait_for(until(deployment, wanted), 1.0)
        assert (await second.say(before, "act 0"))[0] == 200  # goes on where it was
        status, back, _ = await second.call("POST", f"/v1/agents/tiny/deployments/{wanted}/promote", {})
        assert status == 200, back
        assert (await first.open(clientEnv="pre-release"))["conversationId"]

    both(tmp_path, check)


def test_an_ab_test_that_is_begun_at_one_process_draws_at_the_other_within_a_second(tmp_path: Path) -> None:
    async def check(two: Two, first: Api, second: Api) -> None:
        branches, deployments = "/v1/agents/tiny/branches", "/v1/agents/tiny/deployments"

        async def published(text: str) -> str:
            _, made, _ = await first.call("POST", branches, {"branchName": text})
            branch = f"{branches}/{made['branchId']}"
            await first.call("PATCH", f"{branch}/behavior", {"behavior": f"{text} {{{{fn:act}}}}\n"})
            status, merged, _ = await first.call("POST", f"{branch}/merge", {})
            assert status == 200, merged
            return str((await first.call("GET", f"{deployments}/sandbox"))[1]["id"])

        async def deployment() -> str:
            id = (await second.open(clientEnv="pre-release"))["conversationId"]
            return str((await second.call("GET", f"{LIST}/{id}"))[1]["deploymentId"])

        control = await published("Be kind.")
        await first.call("POST", f"{deployments}/{control}/promote", {})
        control = (await first.call("GET", f"{deployments}/pre-release"))[1]["id"]
        await asyncio.wait_for(until(deployment, control), 1.0)
        variant = await published("Be brief.")
        wish = {
            "name": "brief",
            "variant_deployment_id": variant,
            "traffic_percentage": 100,
            "client_env": "pre-release",
        }
        tests = "/adk/v1/accounts/acme/projects/tiny/ab-tests"
        status, made, _ = await first.call("POST", tests, wish)
        assert status == 200, made
        await asyncio.wait_for(until(deployment, variant), 1.0)
        status, refused, _ = await second.call("POST", tests, wish)  # which knows of the first one's
        assert (status, refused["error_code"]) == (409, "AB_TEST_TRAFFIC_EXCEEDED")
        await second.call("DELETE", f"{tests}/{made['id']}", {})

        async def running() -> str:
            return str((await first.call("GET", f"{tests}/active"))[1].get("id", "none"))

        await asyncio.wait_for(until(running, "none"), 1.0)

    both(tmp_path, check)


def test_a_call_whose_process_is_gone_is_ended_by_another(tmp_path: Path) -> None:
    async def go() -> None:
        database, data = postgres.fresh(), tmp_path / "a"
        async with serving(write(tmp_path / "agent", AGENT), script(MODEL), data=data, database=database) as talk:
            started = talk().started
            opened = await started.services.chats.open(OPERATOR, "tiny", Opening(environment="sandbox", id="call"))
            assert isinstance(opened, Taken)
            name = msgspec.structs.astuple(opened.conversation.subject)
            await started.store.live("another", 30.0)
            held = await started.store.claim("another", CALL, *name)
            assert held is not None
            work = Work(kind=WATCH_CALL, key="", subject=opened.conversation.subject, due_at=datetime.now(UTC))
            watch = started.services.calls.watch

            async def looked_at() -> tuple[Any, Any]:
                """What the table of work says after one look, and whether the call has ended."""
                await watch(work)
                found = await started.store.get(*name)
                assert found is not None
                return (await started.store.next_due()), found.end_reason

            due, reason = await looked_at()
            assert due > datetime.now(UTC) and reason is None
            await started.store.leave("another")
            _, reason = await looked_at()
            assert (
                reason is None
            )  # once is not enough: a database that starts again has forgotten its claims for a moment
            await watch(replace(work, payload={"free_since": ""}))
            found = await started.store.get(*name)
            assert found is not None and found.end_reason == "lost"

    run(go())


def test_a_server_that_is_told_to_stop_finishes_its_turn_and_says_that_it_stops(tmp_path: Path) -> None:
    async def check(two: Two, first: Api, second: Api) -> None:
        server = two.start("c", VIVAVOCE_DRAIN_NOTICE_SECONDS="1.5")
        two.servers.append(server)
        async with aiohttp.ClientSession() as session:
            third = Api(session, server.address)
            id = (await third.open())["conversationId"]
            running = asyncio.ensure_future(third.say(id, "act 1"))
            await asyncio.sleep(0.2)
            two.signal(2, signal.SIGTERM)
            await asyncio.sleep(0.2)
            status, ready, _ = await third.call("GET", "/readyz")
            assert status == 503 and ready["status"] == "stopping"
            assert (await running)[0] == 200
        assert await asyncio.to_thread(server.process.wait, 20) == 0
        status, reply, _ = await second.say(id, "act 0")  # at once: its claims went with it
        assert status == 200 and reply["response"] == "Done, 2 times"

    both(tmp_path, check)
