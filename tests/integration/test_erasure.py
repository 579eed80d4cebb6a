"""Erasure leaves nothing: not in a row, not in a page, not in the log, not under a key. And it says so, signed."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import zlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.integration.test_turns import function
from tests.support.embedder import Topics
from tests.support.http import Api, api
from tests.support.talk import run, script, write
from vivavoce.domain.erasure import Receipt
from vivavoce.service.erasure import signed_text
from vivavoce.store.sqlite.database import SqliteDatabase
from vivavoce.store.tables import erasing

CANARY = "ZQXJKVCANARY"
NUMBER = "+447700900461"
AGENT = {
    "agent_settings/rules.txt": "Be brief. {{fn:act}}",
    "agent_settings/experimental_config.json": json.dumps(
        {
            "memory": {"repeat_caller": {"analytics_enabled": True, "state_keys": ["who"]}},
            "handoff_api": {"shared_id_state_key": "ticket", "exposed_state_keys": ["who"]},
        }
    ),
    "functions/start_function.py": "def start_function(conv):\n    conv.state.who = conv.integration_attributes.get('a')\n    conv.state.ticket = f'T-{conv.state.who}'\n",
    "functions/end_function.py": "def end_function(conv):\n    conv.state.last = conv.state.who\n    conv.write_metric('END', conv.state.who)\n",
    "functions/act.py": function(
        "conv.log.info(word)\nprint(word)\nconv.write_metric('M', word)\n"
        "conv.send_email('a@example.com', word, subject='S')\n"
        "conv.state.event = conv.generate_external_event()\nconv.state.key = 'k'\n"
        "return 'found ' + word",
        "act",
        ", word: str",
    ),
}
MODEL = """
rules:
  - when: {said: "act (?P<word>.+)", tool: act}
    call: {name: act, arguments: {word: "{word}"}}
  - when: {result_of: act}
    say: "Done, {result}"
otherwise: "Go on."
"""
LIST = "/v1/agents/tiny/conversations"


def http(tmp_path: Path, check: Callable[[Api], Awaitable[None]], **overrides: Any) -> None:
    async def go() -> None:
        agent = write(tmp_path / "agent", AGENT)
        async with api(agent, script(MODEL), data=tmp_path / "data", **overrides) as found:
            assert found.started is not None
            found.started.work._handlers["review"].__self__._embedder = Topics()  # type: ignore[attr-defined]
            await check(found)

    run(go())


async def planted(http: Api, id: str = f"id-{CANARY}") -> str:
    """A conversation that has the canary wherever there is a place for it."""
    await http.open(
        conversationId=id, callerNumber=NUMBER, integrationAttributes={"a": CANARY}, sipHeaders={"X-A": CANARY}
    )
    said = f"act {CANARY} and my name is {CANARY}"
    headers = {"Idempotency-Key": f"key-{id}"}
    status, body, _ = await http.call(
        "POST", f"/v1/agents/tiny/debug-chat/{id}", {"clientEnv": "sandbox", "message": said}, headers=headers
    )
    assert status == 200 and CANARY in body["response"]
    event = body["metadata"]["state"]["event"]
    query = "event_id_location=headers&event_id_path=x-event&account_id=acme&project_id=tiny"
    posted = {"X-Event": event, "content-type": "application/json"}
    status, _, _ = await http.call("POST", f"/v1/external-events/webhook?{query}", {"data": CANARY}, headers=posted)
    assert status == 201
    await http.say(id, "again")
    await http.call("POST", f"{LIST}/{id}/note", {"note": CANARY})
    await http.call("PUT", f"{LIST}/{id}/tags", {"tags": [CANARY]})
    mark = {"turnId": 1, "role": "agent", "annotationType": "other", "text": CANARY}
    await http.call("POST", f"{LIST}/{id}/annotation", {"annotations": [mark]})
    return id


async def finished(http: Api, id: str) -> None:
    """Ended, with all that follows an end done."""
    assert http.started is not None
    from vivavoce.service.keys import OPERATOR

    await http.started.services.chats.end(OPERATOR, "tiny", id)
    for _ in range(200):
        await http.started.work.run_due()
        found = await http.started.services.conversations.get(OPERATOR, "tiny", id)
        is_judged = found.listed.review.summary is not None
        if is_judged and found.closing is not None and all(d.is_final for d in found.deliveries) and found.deliveries:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the end function did not run")


def leftovers(data: Path, number: int, wrapped: set[bytes]) -> list[str]:
    """Every trace of a conversation in the files of the store: the canary, rows of it, the bytes of its keys."""
    found: list[str] = []
    for file in (p for p in data.rglob("*") if p.is_file() and p.name not in ("seal-key", "api-key")):
        raw = file.read_bytes()
        if CANARY.encode() in raw or CANARY.lower().encode() in raw:
            found.append(f"the canary is in {file.name}")
        found += [f"a key is in {file.name}" for key in wrapped if key in raw]
    db = sqlite3.connect(f"file:{data / 'vivavoce.db'}?mode=ro", uri=True)
    for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        for column in (
            {"conversation", "number"} & set(columns) if table not in ("seals", "scopes", "audit", "audit_head") else ()
        ):
            if db.execute(f"SELECT count(*) FROM {table} WHERE {column} = ?", (number,)).fetchone()[0]:
                found.append(f"a row is in {table}")
        for row in db.execute(f"SELECT * FROM {table}"):
            for value in row:
                if isinstance(value, bytes) and CANARY.encode() in inflated(value):
                    found.append(f"the canary is inflated in {table}")
    for table in ("words_docsize", "redacted_words_docsize"):
        if db.execute(f"SELECT count(*) FROM {table} WHERE id = ?", (number,)).fetchone()[0]:
            found.append(f"its words are in {table}")
    if db.execute("SELECT count(*) FROM fact_sources").fetchone()[0]:
        found.append("a fact still knows where it came from")
    if db.execute("SELECT count(*) FROM facts WHERE seal IS NOT NULL").fetchone()[0]:
        found.append("a sealed fact is there")
    db.close()
    return found


def inflated(value: bytes) -> bytes:
    try:
        return zlib.decompress(value)
    except zlib.error:
        return b""


def keys_of(data: Path) -> tuple[int, set[bytes]]:
    """The conversation's number, and every wrapped key there is."""
    db = sqlite3.connect(data / "vivavoce.db")
    (number,) = db.execute("SELECT number FROM conversations").fetchone()
    wrapped = {row[0] for row in db.execute("SELECT wrapped FROM seals")}
    db.close()
    return number, wrapped


@pytest.mark.sqlite_file
@pytest.mark.parametrize("is_ended", [False, True])
def test_erasure_leaves_no_byte_of_a_conversation_in_any_file(tmp_path: Path, is_ended: bool) -> None:
    async def check(http: Api) -> None:
        id = await planted(http)
        if is_ended:
            await finished(http, id)
        number, wrapped = keys_of(tmp_path / "data")
        assert len(wrapped) >= 3  # the conversation's, and those of facts that came from it
        assert leftovers(tmp_path / "data", number, wrapped)  # so the search does find things
        status, receipt, _ = await http.call("DELETE", f"{LIST}/{id}")
        assert status == 200 and receipt["conversations"] == 1 and receipt["removed"]["turns"] == 3
        assert receipt["isLogCut"] is True and CANARY not in json.dumps(receipt)
        assert leftovers(tmp_path / "data", number, wrapped) == []
        assert (await http.call("GET", f"{LIST}/{id}"))[0] == 404
        assert (await http.call("DELETE", f"{LIST}/{id}"))[0] == 404
        assert (await http.call("GET", LIST))[1]["count"] == 0
        assert (await http.say(id, "hello?"))[0] == 404
        # The same request with the same key is a new one now: its stored reply is gone.
        assert (await http.open(conversationId=id))["conversationId"] == id

    http(tmp_path, check)


@pytest.mark.sqlite_file
@pytest.mark.parametrize("step", [*erasing.STEPS, "log"])
def test_the_search_for_leftovers_misses_no_step_that_was_left_out(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def not_cut(self: SqliteDatabase) -> bool:
        return True

    async def check(http: Api) -> None:
        id = await planted(http)
        await finished(http, id)
        number, wrapped = keys_of(tmp_path / "data")
        if step == "log":
            monkeypatch.setattr(SqliteDatabase, "cut_log", not_cut)
        else:
            monkeypatch.setattr(erasing, "STEPS", {k: v for k, v in erasing.STEPS.items() if k != step})
        await http.call("DELETE", f"{LIST}/{id}")
        assert leftovers(tmp_path / "data", number, wrapped), f"nobody noticed that {step} was left out"

    http(tmp_path, check)


def test_a_receipt_can_be_checked_by_whoever_has_the_public_key(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await http.open(conversationId="one")
        receipt = (await http.call("DELETE", f"{LIST}/one"))[1]
        assert (await http.call("GET", f"/v1/erasures/{receipt['id']}"))[1] == receipt
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(receipt["publicKey"]))
        stored = Receipt(
            id=receipt["id"], at=datetime.fromisoformat(receipt["at"]), kind=receipt["kind"], account_id=receipt["accountId"],
            agent_id=receipt["agentId"], subject=receipt["subject"], conversations=receipt["conversations"],
            removed=receipt["removed"], is_log_cut=receipt["isLogCut"],
        )  # fmt: skip
        public.verify(bytes.fromhex(receipt["signature"]), signed_text(stored))
        from msgspec.structs import replace

        with pytest.raises(InvalidSignature):
            public.verify(bytes.fromhex(receipt["signature"]), signed_text(replace(stored, conversations=2)))
        assert (await http.call("GET", "/v1/erasures/none"))[0] == 404

    http(tmp_path, check)


def test_everything_about_a_caller_goes_and_nothing_of_others(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        for id in ("a", "b"):
            await planted(http, f"{id}-{CANARY}")
            await finished(http, f"{id}-{CANARY}")
        await http.open(conversationId="other", callerNumber="+447700900462")
        who = "%2B447700900461"
        assert (await http.call("GET", f"/v1/agents/tiny/memory/{who}"))[0] == 200
        status, receipt, _ = await http.call("POST", "/v1/agents/tiny/erasures", {"contact": "+44 7700 900461"})
        assert (status, receipt["conversations"], receipt["kind"]) == (201, 2, "caller")
        assert [c["conversationId"] for c in (await http.call("GET", LIST))[1]["conversations"]] == ["other"]
        assert (await http.call("GET", f"/v1/agents/tiny/memory/{who}"))[0] == 404
        assert (await http.call("POST", "/v1/agents/tiny/erasures", {"contact": ""}))[0] == 400
        status, receipt, _ = await http.call("POST", "/v1/agents/tiny/erasures", {"contact": NUMBER})
        assert (status, receipt["conversations"]) == (201, 0)  # asked again, there is nothing left

    http(tmp_path, check)


def test_erasure_waits_for_a_turn_that_is_running_and_goes_after_it(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await http.open(conversationId="one")
        turns = [asyncio.create_task(http.say("one", f"act word{n}")) for n in range(3)]
        await asyncio.sleep(0.005)
        status, _, _ = await http.call("DELETE", f"{LIST}/one")
        assert status == 200
        assert {reply[0] for reply in await asyncio.gather(*turns)} <= {200, 404}
        assert (await http.call("GET", f"{LIST}/one"))[0] == 404 and (await http.call("GET", LIST))[1]["count"] == 0
        assert http.started is not None
        await http.started.work.run_due()  # what was waiting for it does not stumble

    http(tmp_path, check)


def test_what_is_too_old_goes_by_itself(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        assert http.started is not None
        erasure = http.started.services.erasure
        await planted(http, "one")
        await finished(http, "one")
        path = "/v1/agents/tiny/retention"
        assert (await http.call("GET", path))[1] == {"conversations": None, "details": None, "memory": None}
        for bad in ({"conversations": 0}, {"conversations": 1.5}, {"details": 10**9}, {"emails": 3}):
            assert (await http.call("PUT", path, bad))[0] == 400, bad
        status, body, _ = await http.call("PUT", path, {"conversations": 30, "details": 7, "memory": 3})
        assert status == 200 and (await http.call("GET", path))[1] == body
        now = datetime.now(UTC)

        async def in_days(days: int) -> None:
            erasure._clock = type("Later", (), {"now": lambda self: now + timedelta(days=days)})()  # type: ignore[assignment]
            from vivavoce.service.erasure import _work

            assert await erasure.expire(_work("acme", "tiny", now)) is not None

        await in_days(2)
        whole = (await http.call("GET", f"{LIST}/one"))[1]
        assert (
            whole["turns"][1]["llm_requests"]
            and (await http.call("GET", "/v1/agents/tiny/memory/%2B447700900461"))[0] == 200
        )
        await in_days(8)
        rest = (await http.call("GET", f"{LIST}/one"))[1]
        assert rest["turns"][1]["agent_response"] == whole["turns"][1]["agent_response"]
        assert rest["turns"][1]["llm_requests"] == [] and rest["functionEvents"] == {}
        assert rest["turns"][1]["metadata"]["notices"][0]["code"] == "DETAILS_EXPIRED"
        assert rest["note"] == CANARY and rest["metrics"]["M"] == whole["metrics"]["M"]
        assert (await http.call("GET", "/v1/agents/tiny/memory/%2B447700900461"))[0] == 404
        await in_days(31)
        assert (await http.call("GET", f"{LIST}/one"))[0] == 404
        actions = [e["action"] for e in (await http.call("GET", "/v1/audit?limit=1000"))[1]["entries"]]
        assert actions[-1] == "conversation.read" or "conversations.expire" in actions

    http(tmp_path, check)
