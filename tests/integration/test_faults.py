"""What is done when something that the server stands on fails: each fault has one behaviour, and a way back."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from tests.integration.test_many_processes import AGENT, LIST, MODEL
from tests.support import postgres
from tests.support.http import Api, api
from tests.support.talk import run, script, write
from vivavoce import wiring
from vivavoce.store.sqlite.database import SqliteDatabase


async def is_away(http: Api, id: str) -> None:
    """Told in the one shape, with when to come again; never a 500."""
    status, told, headers = await http.say(id, "act 0")
    assert status == 503 and told["error_code"] == "STORE_UNAVAILABLE", told
    assert int(headers["Retry-After"]) >= 1
    status, _, _ = await http.call("POST", "/v1/agents/tiny/debug-chat", {"clientEnv": "sandbox"})
    assert status == 503
    assert (await http.call("GET", "/healthz"))[0] == 200  # the process is fine, and need not be started again


async def goes_on(http: Api, id: str, turns: int) -> None:
    status, reply, _ = await http.say(id, "act 0")
    assert status == 200 and reply["response"] == f"Done, {turns} times"
    _, found, _ = await http.call("GET", f"{LIST}/{id}")
    assert len(found["turns"]) == turns + 1 and all(turn["agent_response"] for turn in found["turns"][1:])


@contextmanager
def full_disk(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """SQLite's own word for it, at the next write that needs a page."""
    commit = SqliteDatabase._commit

    def limited(self: Any, connection: sqlite3.Connection, *rest: Any) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")
        try:
            commit(self, connection, *rest)
        finally:
            connection.execute("PRAGMA max_page_count=1073741823")

    with patch.context() as only_here:
        only_here.setattr(SqliteDatabase, "_commit", limited)
        yield


def test_a_full_disk_refuses_turns_loses_none_and_is_over_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def go() -> None:
        database = f"sqlite:///{tmp_path / 'data' / 'v.db'}"
        async with api(
            write(tmp_path / "agent", AGENT), script(MODEL), data=tmp_path / "data", database=database
        ) as http:
            id = (await http.open())["conversationId"]
            await goes_on(http, id, 1)
            with full_disk(monkeypatch):
                for _ in range(300):  # pages that are free are filled first
                    status, told, headers = await http.say(id, "x" * 3000)
                    if status != 200:
                        break
                assert (status, told["error_code"]) == (503, "STORE_UNAVAILABLE") and "Retry-After" in headers
                _, found, _ = await http.call("GET", f"{LIST}/{id}")  # what is there can be read
                taken = len(found["turns"])
            status, reply, _ = await http.say(id, "act 0")
            assert status == 200 and reply["response"] == "Done, 2 times"
            _, found, _ = await http.call("GET", f"{LIST}/{id}")
            assert len(found["turns"]) == taken + 1

    run(go())


def test_a_database_that_is_away_is_a_503_and_the_server_goes_on_when_it_is_back(tmp_path: Path) -> None:
    async def go() -> None:
        url = postgres.fresh()
        name = urlsplit(url).path[1:]
        over = await asyncpg.connect(postgres.url("postgres"))
        async with api(write(tmp_path / "agent", AGENT), script(MODEL), data=tmp_path / "data", database=url) as http:
            id = (await http.open())["conversationId"]
            await goes_on(http, id, 1)
            await over.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            await over.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
            await is_away(http, id)
            await over.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            await goes_on(http, id, 2)
            assert http.started is not None
            await http.started.services.keys.create(wiring_operator(), "n")  # and hears news again
        await over.close()

    run(go())


def wiring_operator() -> Any:
    from vivavoce.service.keys import OPERATOR

    return OPERATOR


def test_a_slow_disk_makes_turns_slow_which_then_share_its_writes_and_holds_nothing_else_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, commits = SqliteDatabase._commit, 0

    def slow(self: Any, *rest: Any) -> None:
        nonlocal commits
        commits += 1
        time.sleep(0.2)
        commit(self, *rest)

    async def go() -> None:
        database = f"sqlite:///{tmp_path / 'data' / 'v.db'}"
        async with api(
            write(tmp_path / "agent", AGENT), script(MODEL), data=tmp_path / "data", database=database
        ) as http:
            ids = [(await http.open())["conversationId"] for _ in range(12)]
            monkeypatch.setattr(SqliteDatabase, "_commit", slow)
            turns = asyncio.gather(*(http.say(id, "hello") for id in ids))
            asked = 0
            while not turns.done():
                assert (await http.call("GET", "/readyz"))[0] == 200
                asked += 1
            assert [status for status, _, _ in await turns] == [200] * 12
            assert commits <= 6 and asked >= 3
            monkeypatch.undo()

    run(go())


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_jumps_ends_idle_conversations_at_worst_and_breaks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    async def go() -> None:
        async with api(write(tmp_path / "agent", AGENT), script(MODEL), data=tmp_path / "data") as http:
            id = (await http.open())["conversationId"]
            await goes_on(http, id, 1)
            monkeypatch.setattr(wiring.SystemClock, "now", lambda _: datetime.now(UTC) + timedelta(hours=hours))
            status, told, _ = await http.say(id, "act 0")
            if hours > 0:  # nobody has said anything for an hour, by all that the server can tell
                assert status != 500 and told["error_code"] == "CHAT_TIMEOUT", told
            else:
                assert status == 200 and told["response"] == "Done, 2 times"
            other = (await http.open())["conversationId"]
            await goes_on(http, other, 1)
            assert http.started is not None
            await http.started.work.run_due()
            monkeypatch.undo()
            status, _, _ = await http.say(other, "act 0")
            assert status in (200, 400, 404, 409, 410) and (await http.call("GET", LIST))[0] == 200

    run(go())
