"""What an attacker tried against exports, imports, redaction rules and the client, and what must come of it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_access import http as personal_http
from tests.integration.test_access import key, personal
from tests.integration.test_erasure import LIST, finished, http, planted
from tests.integration.test_exports import EXPORT, IMPORT, exported, foreign
from tests.support.http import Api
from tests.support.talk import run
from vivavoce.client import AnswerInvalid, AsyncClient
from vivavoce.domain.conversation import PersonalSpan, Turn
from vivavoce.redaction.finder import Finder
from vivavoce.service import redaction
from vivavoce.service.keys import OPERATOR
from vivavoce.wire import vcon

RULES = "/v1/agents/tiny/redaction"


@pytest.mark.parametrize("said", ["[" * 3000, "[" * 400 + "]" * 400, '{"a":' * 300 + "1" + "}" * 300])
def test_a_caller_cannot_make_the_record_unreadable(tmp_path: Path, said: str) -> None:
    async def check(http: Api) -> None:
        reader, talker = await key(http, "read"), await key(http, "chat")
        await http.open(conversationId="deep")
        assert (await http.say("deep", said))[0] == 200
        body = {"clientEnv": "sandbox", "message": said}
        assert (await http.call("POST", "/v1/agents/tiny/debug-chat/deep", body, key=talker))[0] == 200
        for path in (f"{LIST}/deep", "/v3/acme/tiny/conversations?client_env=sandbox", f"{EXPORT}?format=vcon", LIST):
            status, reply, _ = await http.call("GET", path, key=reader)
            assert status == 200 and reply, path

    personal_http(tmp_path, check)


def test_tags_are_hidden_by_themselves_and_tell_nothing_of_the_conversation(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await personal(http)
        await http.open(conversationId="strange")
        writer = await key(http, "read", "write")
        tags = {"tags": ["Zuleika", "Barnaby", "07700 900461 today", "07700 900462 today", "refund due"]}
        seen = []
        for id in ("one", "strange"):
            await http.call("PUT", f"{LIST}/{id}/tags", tags, key=writer)
            seen.append((await http.call("GET", f"{LIST}/{id}", key=writer))[1]["tags"])
        assert seen[0] == seen[1] and "refund due" in seen[0]

    personal_http(tmp_path, check)


def test_who_may_not_see_personal_data_may_not_decide_what_is_hidden(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        admin = await key(http, "read", "admin")
        for method, path, body in (
            ("PUT", RULES, {"shown": ["name"]}),
            ("POST", f"{RULES}/run", None),
            ("POST", IMPORT, {"records": []}),
        ):
            status, refused, _ = await http.call(method, path, body, key=admin)
            assert status == 403 and "'pii'" in refused["error"]

    personal_http(tmp_path, check)


def test_a_run_that_was_begun_anew_is_not_ended_by_the_one_before(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        assert http.started is not None
        await http.started.work.stop()
        for n in range(45):
            await http.open(conversationId=f"c{n}")
        rules = http.started.services.redaction_rules
        await http.call("POST", f"{RULES}/run")
        reached, go_on = asyncio.Event(), asyncio.Event()
        original = rules._reviews.look_again

        async def slow(subject: Any) -> None:
            reached.set()
            await go_on.wait()
            await original(subject)

        rules._reviews.look_again = slow  # type: ignore[method-assign]
        working = asyncio.create_task(http.started.work.run_due())
        await reached.wait()
        begun = (await http.call("POST", f"{RULES}/run"))[1]
        rules._reviews.look_again = original  # type: ignore[method-assign]
        go_on.set()
        await working
        await http.started.work.run_due()
        last = (await http.call("GET", RULES))[1]["run"]
        assert (last["startedAt"], last["done"]) == (begun["startedAt"], 45) and last["finishedAt"]

    personal_http(tmp_path, check)


@pytest.mark.parametrize("pattern", ["(?R)", "(a+)+b"])
def test_a_pattern_that_takes_too_long_is_not_taken(tmp_path: Path, pattern: str) -> None:
    async def check(http: Api) -> None:
        status, refused, _ = await http.call("PUT", RULES, {"patterns": [{"category": "x", "pattern": pattern}] * 50})
        assert status == 400 and ("takes too long" in refused["error"] or "is no regular" in refused["error"])

    personal_http(tmp_path, check)


EXTREME = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "2026-01-01T00:00:00")


@pytest.mark.parametrize("at", EXTREME)
def test_times_that_cannot_be_written_do_not_come_in(tmp_path: Path, at: str) -> None:
    async def check(http: Api) -> None:
        await planted(http, "one")
        await finished(http, "one")
        mark = {"turnId": 1, "role": "agent", "annotationType": "other"}
        await http.call("POST", f"{LIST}/one/annotation", {"annotations": [mark]})
        line = (await exported(http))[0]
        await http.call("DELETE", f"{LIST}/one")
        changes: tuple[Any, ...] = (
            lambda r: r["conversation"].update(finished_at=at),
            lambda r: r["conversation"].update(last_turn_at=at),
            lambda r: r["turns"][1].update(started_at=at),
            lambda r: r["review"]["annotations"][0].update(at=at),
            lambda r: r["review"]["annotations"][0].update(turn=99_999_999_999_999),
            lambda r: r["closing"]["metrics"][0].update(at=at),
            lambda r: r["state"].update(deep=json.loads("[" * 300 + "]" * 300)),
        )
        for change in changes:
            body = json.loads(line)
            change(body["record"])
            status, refused, _ = await http.call("POST", IMPORT, {"records": [body]})
            assert status == 400 and "records[0]" in refused["error"], refused
        if at != EXTREME[2]:  # without a zone, a vCon's time is taken for UTC
            for name in ("created_at", "start"):
                strange = foreign(created_at=at) if name == "created_at" else foreign()
                for dialog in strange["dialog"]:
                    dialog["start"] = at
                assert (await http.call("POST", IMPORT, {"records": [strange]}))[0] == 400
        assert (await http.call("GET", LIST))[1]["count"] == 0

    http(tmp_path, check)


def test_a_vcon_of_many_texts_takes_time_in_proportion() -> None:
    """Counted in the bytes that are joined: each of them once."""
    texts = [
        {"type": "text", "parties": [1, 0], "start": f"2025-01-01T00:00:{n % 60:02}Z", "body": "x" * 3000}
        for n in range(5000)
    ]
    body = json.dumps(foreign(dialog=texts)).encode()
    record = vcon.record_of(body, "acme", "tiny")
    assert len(record.turns) == 1 and len(record.turns[0].reply) == 5000 * 3001 - 1


def test_whose_number_it_is_is_not_guessed(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        customer = {"type": "person", "role": "customer", "tel": "+447700900461"}
        parties = [{"type": "person", "role": "agent", "name": "Desk"}, customer]
        texts = [
            {"type": "text", "parties": [who], "start": f"2025-01-01T00:00:0{n}Z", "body": text, "mediatype": "text/plain", "encoding": "none"}
            for n, (who, text) in enumerate([(0, "Hello, how can I help?"), (1, "I want to cancel."), (0, "Done.")])
        ]  # fmt: skip
        for role, id in (("agent", "a1"), ("staff", "a2")):
            parties[0] = {**parties[0], "role": role}
            records = [foreign(uuid=id, parties=parties, dialog=texts)]
            assert (await http.call("POST", IMPORT, {"records": records}))[1]["imported"] == 1
        reader = await key(http, "read", account="acme")
        known = (await http.call("GET", f"{LIST}/a1"))[1]
        assert known["fromNumber"] == "+447700900461" and known["turns"][1]["user_input"] == "I want to cancel."
        for id in ("a1", "a2"):
            assert "900461" not in json.dumps((await http.call("GET", f"{LIST}/{id}", key=reader))[1])

    http(tmp_path, check)


def test_exports_that_nobody_reads_are_counted_and_let_go(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        assert http.started is not None
        await planted(http, "one")
        exports = http.started.services.exports
        held = [exports.counted(OPERATOR) for _ in range(4)]
        for one in held:
            one.__enter__()
        status, refused, headers = await http.call("GET", EXPORT)
        assert status == 429 and refused["error_code"] == "TOO_MANY_EXPORTS" and headers["Retry-After"]
        for one in held:
            one.__exit__(None, None, None)
        for _ in range(10):  # begun, and left
            async with http.session.get(http.url + EXPORT, headers={"X-API-KEY": "test-key"}) as reply:
                reply.close()
        assert (await http.call("GET", f"{EXPORT}?format=csv"))[0] == 200

    http(tmp_path, check)


def verified(file: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "vivavoce", "conversations", "verify", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_signature_covers_all_that_it_says(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await planted(http, "one")
        sent = (await http.call("GET", f"{EXPORT}?format=csv&exportId=x"))[1]
        found = (await http.call("GET", "/v1/agents/tiny/exports/x"))[1]
        file, beside = tmp_path / "e.csv", tmp_path / "e.csv.signature.json"
        file.write_bytes(sent)
        beside.write_text(json.dumps(found))
        assert await asyncio.to_thread(verified, file) == (
            0,
            f"{file} is whole: 1 conversations, signed by {found['publicKey']}.\n",
        )
        for change in ({"conversations": 987654}, {"format": "parquet"}, {"id": "y"}, {"sha256": "00" * 32}):
            beside.write_text(json.dumps({**found, **change}))
            status, said = await asyncio.to_thread(verified, file)
            assert status == 1 and "changed since it was signed" in said, change

    http(tmp_path, check)


@pytest.mark.parametrize("text", ["5", "[null]", "[" * 5000, '"\\ud800"', '{"vivavoce": 1}', "", "\x00"])
def test_files_that_are_no_export_are_refused_in_a_sentence(tmp_path: Path, text: str) -> None:
    file = tmp_path / "strange.jsonl"
    file.write_text(text)
    for command in (["verify", str(file)], ["import", str(file), "--agent", "tiny", "--data", str(tmp_path / "data")]):
        done = subprocess.run(
            [sys.executable, "-m", "vivavoce", "conversations", *command], capture_output=True, text=True, check=False
        )
        assert done.returncode == 1 and "Traceback" not in done.stderr and done.stderr.startswith("vivavoce:"), (
            done.stderr
        )


async def serve_once(answer: bytes) -> tuple[asyncio.Server, str]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"conversations": "\xff"}', b"nonsense", b"[]"])
def test_the_client_takes_no_nonsense_from_a_server(body: bytes) -> None:
    async def go() -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        server, url = await serve_once(head + body)
        async with AsyncClient(url, "k", attempts=1) as c:
            with pytest.raises(AnswerInvalid):
                await c.conversations.list("tiny")
        server.close()

    run(go())


@pytest.mark.parametrize("id", ["", ".", ".."])
def test_the_client_sends_no_id_that_leads_elsewhere(id: str) -> None:
    async def go() -> None:
        async with AsyncClient("http://127.0.0.1:9", "k") as c:
            with pytest.raises(ValueError, match="is no agentId"):
                await c.agents.forget(id, "x")

    run(go())


def test_looking_at_a_whole_conversation_keeps_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: set[int] = set()
    original = redaction.decide

    def decide(turn: Turn, finder: Finder) -> tuple[PersonalSpan, ...]:
        threads.add(threading.get_ident())
        return original(turn, finder)

    monkeypatch.setattr(redaction, "decide", decide)

    async def check(http: Api) -> None:
        assert http.started is not None
        await http.open(conversationId="long")
        await http.say("long", "My name is Zuleika Quorn.")
        await http.call("POST", f"{RULES}/run")
        await http.started.work.run_due()
        assert threads and threading.get_ident() not in threads

    personal_http(tmp_path, check)
