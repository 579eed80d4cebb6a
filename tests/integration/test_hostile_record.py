"""What was tried against the record: to see what is hidden, to find it out by asking, to reach what is another's."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_access import key
from tests.integration.test_record import LIST, function
from tests.support.http import Api, api
from tests.support.talk import run, script, write
from vivavoce.domain.principal import Permission
from vivavoce.redaction.finder import Finder
from vivavoce.redaction.redact import Redactor
from vivavoce.redaction.text import Span

WHOLE: tuple[Permission, ...] = ("read", "write", "chat", "pii", "admin")
AGENT = {
    "agent_settings/rules.txt": "Be brief. {{fn:act}}",
    "agent_settings/experimental_config.json": json.dumps(
        {"handoff_api": {"state_keys": ["phone_int", "who"], "shared_id_state_key": "ticket"}}
    ),
    "functions/act.py": function(
        "conv.send_sms('+447700900461', '+441', 'Dear Zuleika, it is booked')\n"
        "conv.log.info('looked up', to_number='+447700900461', n=447700900461, reference='Zuleika Quorn', id='447700900461')\n"
        "conv.state.phone_int = 447700900461\nconv.state.who = 'Zuleika'\nconv.state.ticket = '447700900461'\n"
        "conv.state.outcome = 'booking_made'\nconv.state.repair_number = '1193'\n"
        "return 'done'"
    ),
}
MODEL = "rules:\n  - when: {said: '^act', tool: act}\n    call: {name: act}\notherwise: Go on.\n"
HIDDEN = re.compile(r"zuleika|quorn|7700900461|4471", re.IGNORECASE)


def http(tmp_path: Path, check: Callable[[Api], Awaitable[None]], **overrides: Any) -> None:
    async def go() -> None:
        async with api(write(tmp_path / "agent", AGENT), script(MODEL), **overrides) as found:
            await check(found)

    run(go())


async def told(http: Api, id: str = "one") -> None:
    await http.open(conversationId=id, callerNumber="+447700900461")
    await http.say(id, "Hello, my name is Zuleika Quorn and my PIN is 4471")
    await http.say(id, "act now")
    await http.say(id, "", metadata={"dtmf": "4471"})
    await http.say(id, "so what did Zuleika say about 4471")


def test_recipients_log_fields_keys_pressed_and_histories_are_hidden(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await told(http)
        reader = await key(http, "read", "chat")
        for path in (f"{LIST}/one", LIST, "/v3/acme/tiny/conversations/one", "/v1/acme/tiny/handoff_state?id=one"):
            text = json.dumps((await http.call("GET", path, key=reader))[1])
            assert not HIDDEN.search(text), (path, HIDDEN.findall(text))
        said = {"clientEnv": "sandbox", "message": "and again"}
        status, reply, _ = await http.call("POST", "/v1/agents/tiny/debug-chat/one", said, key=reader)
        assert status == 200 and not HIDDEN.search(json.dumps(reply["metadata"]))

    http(tmp_path, check)


def test_what_is_not_personal_stays_as_it_is(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await told(http)
        reader = await key(http, "read")
        whole = (await http.call("GET", f"{LIST}/one"))[1]
        hidden = (await http.call("GET", f"{LIST}/one", key=reader))[1]
        for name in (
            "direction",
            "channel",
            "clientEnv",
            "endReason",
            "conversationId",
            "duration",
            "startedAt",
            "inProgress",
        ):
            assert hidden[name] == whole[name], name
        state = (await http.call("GET", "/v3/acme/tiny/conversations/one", key=reader))[1]["state"]
        assert (
            state["outcome"] == "booking_made"
            and state["repair_number"] == "1193"
            and state["phone_int"] == "[REDACTED]"
        )

    http(tmp_path, check)


def test_a_note_full_of_guesses_tells_whoever_wrote_it_nothing(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await told(http)
        await http.open(conversationId="strange")  # in which nothing of it was said
        await http.say("strange", "hello")
        writer = await key(http, "read", "write")
        guesses = "; ".join(("quentin", "quorn", "harold", *(str(n) for n in range(4465, 4475))))
        mark = {"turnId": 1, "role": "agent", "annotationType": "other", "text": guesses}
        seen = []
        for id in ("one", "strange"):
            await http.call("POST", f"{LIST}/{id}/note", {"note": guesses}, key=writer)
            await http.call("POST", f"{LIST}/{id}/annotation", {"annotations": [mark]}, key=writer)
            detail = (await http.call("GET", f"{LIST}/{id}", key=writer))[1]
            seen.append((detail["note"], detail["turns"][1]["reviews"][0]["text"]))
        assert seen[0] == seen[1]  # it is hidden by itself, and not by what the conversation holds

    http(tmp_path, check)


class Blind(Finder):
    def quick(self, text: str) -> Sequence[Span]:
        return ()


def test_hiding_many_values_in_long_texts_takes_time_in_proportion() -> None:
    def steps(count: int) -> int:
        """Words that are looked at."""
        values = [(f"person{n}@example.org", "email") for n in range(count)]
        redactor = Redactor(values, finder=Blind())
        looked = 0
        original = redactor._phrases.get

        class Counting(dict):  # type: ignore[type-arg]
            def get(self, word: str, default: Any = ()) -> Any:
                nonlocal looked
                found = original(word, default)
                looked += 1 + len(found)
                return found

        redactor._phrases = Counting(redactor._phrases)
        hidden = redactor.text(" ".join(text for text, _ in values))
        assert "person" not in hidden
        return looked

    assert steps(2_000) <= steps(200) * 12


def test_asking_by_a_shared_id_or_forgetting_somebody_is_for_who_may_see_them(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await told(http)
        reader, writer = await key(http, "read"), await key(http, "write")
        for id in ("447700900461", "447700900462"):
            assert (await http.call("GET", f"/v1/acme/tiny/handoff_state?shared_id={id}", key=reader))[0] == 403
            assert (await http.call("DELETE", f"/v1/agents/tiny/memory/{id}", key=writer))[0] == 403

    http(tmp_path, check)


def test_keys_for_some_agents_reach_no_others_and_none_is_not_all(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await told(http)
        whole = await key(http, *WHOLE)
        await http.call("DELETE", f"{LIST}/one", key=whole)
        receipt = (await http.call("GET", "/v1/audit?limit=1000"))[1]["entries"][-1]["detail"]["receipt"]
        other = await key(http, *WHOLE, agents=["another"])
        assert (await http.call("GET", "/v1/audit", key=other))[1]["entries"] == []
        assert (await http.call("GET", "/v1/audit/verify", key=other))[0] == 403
        assert (await http.call("GET", f"/v1/erasures/{receipt}", key=other))[0] == 404
        listed = (await http.call("GET", "/v1/keys", key=other))[1]["keys"]
        assert [k["agents"] for k in listed] == [["another"]]
        every = next(k for k in (await http.call("GET", "/v1/keys"))[1]["keys"] if k["agents"] is None)
        assert (await http.call("DELETE", f"/v1/keys/{every['id']}", key=other))[0] == 404
        assert (await http.call("POST", "/v1/keys", {"name": "x", "agents": []}))[0] == 400

    http(tmp_path, check)


def test_reads_that_point_at_somebody_are_on_record(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await told(http)
        span = "start_time=2026-01-01&end_time=2026-01-02"
        for path in (
            f"{LIST}?contact=%2B447700900999", "/v1/acme/tiny/handoff_state?id=one",
            f"/v1/acme/tiny/conversations/concurrency?{span}&slice_by=phone_number",
        ):  # fmt: skip
            before = len((await http.call("GET", "/v1/audit?limit=1000"))[1]["entries"])
            assert (await http.call("GET", path))[0] == 200, path
            assert len((await http.call("GET", "/v1/audit?limit=1000"))[1]["entries"]) == before + 1, path

    http(tmp_path, check)


@pytest.mark.parametrize(
    "span",
    ["start_time=0001-01-01T00:00:00Z&end_time=0001-01-02", "start_time=9999-12-30&end_time=9999-12-31T23:59:59Z"],
)
def test_times_at_the_ends_of_the_calendar_are_refused(tmp_path: Path, span: str) -> None:
    async def check(http: Api) -> None:
        assert (await http.call("GET", f"/v1/acme/tiny/conversations/concurrency?{span}"))[0] == 400

    http(tmp_path, check)


def test_a_cursor_of_another_mode_is_refused(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        for id in ("a", "b"):
            await http.open(conversationId=id)
        cursor = (await http.call("GET", f"{LIST}?limit=1"))[1]["cursor"]
        assert (await http.call("GET", f"{LIST}?sample=random&limit=1&cursor={cursor}"))[0] == 400
        assert (await http.call("GET", f"/v3/acme/tiny/conversations?client_env=sandbox&cursor={cursor}"))[0] == 400

    http(tmp_path, check)


@pytest.mark.sqlite_file
def test_a_damaged_row_costs_its_own_conversation_only(tmp_path: Path) -> None:
    async def go() -> None:
        data = tmp_path / "data"
        database = f"sqlite:///{data / 'vivavoce.db'}"
        folder = write(tmp_path / "agent", {"agent_settings/rules.txt": "Be brief.\n"})
        play = script("rules: []\notherwise: 'Go on.'")
        async with api(folder, play, data=data, database=database) as http:
            ids = [(await http.open())["conversationId"] for _ in range(3)]
            for id in ids:
                assert (await http.say(id, "one"))[0] == 200 and (await http.say(id, "two"))[0] == 200
        db = sqlite3.connect(data / "vivavoce.db")
        numbers = [number for (number,) in db.execute("SELECT number FROM conversations ORDER BY number")]
        db.execute("UPDATE conversations SET head = zeroblob(80) WHERE number = ?", (numbers[0],))
        db.execute("DELETE FROM turns WHERE conversation = ? AND position = 1", (numbers[1],))
        db.commit()
        db.close()
        async with api(folder, play, data=data, database=database) as http:
            status, found, _ = await http.call("GET", "/v1/agents/tiny/conversations")
            assert status == 200 and [c["conversationId"] for c in found["conversations"]] == [ids[2], ids[1]]
            told = [(await http.call("GET", f"/v1/agents/tiny/conversations/{id}")) for id in ids]
            assert [status for status, _, _ in told] == [503, 503, 200]
            assert "missing" in told[1][1]["error"] and "damaged" in told[0][1]["error"]

    run(go())
