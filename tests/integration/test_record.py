"""The record over HTTP: lists, filters, pages, lines, notes, tags, annotations."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_turns import function
from tests.support.http import Api, api
from tests.support.talk import run, script, write

RULES = "Be brief. {{fn:book}}"
AGENT = {
    "agent_settings/rules.txt": RULES,
    "functions/book.py": function(
        "conv.state.day = 'Monday'\nconv.write_metric('BOOKED', True)\nreturn 'Booked.'", "book"
    ),
    "functions/end_function.py": "def end_function(conv):\n    conv.write_metric('DONE', 'yes')\n",
}
MODEL = "rules:\n  - when: {said: book, tool: book}\n    call: {name: book}\n  - say: Fine\n"


def http(tmp_path: Path, check: Callable[[Api], Awaitable[None]], **overrides: Any) -> None:
    async def go() -> None:
        async with api(write(tmp_path / "agent", AGENT), script(MODEL), **overrides) as found:
            await check(found)

    run(go())


LIST = "/v1/agents/tiny/conversations"


async def ids(http: Api, query: str) -> list[str]:
    status, body, _ = await http.call("GET", f"{LIST}?{query}")
    assert status == 200, body
    return [c["conversationId"] for c in body["conversations"]]


async def three(http: Api) -> None:
    await http.open(conversationId="one", callerNumber="+44 7700 900123")
    await http.open(conversationId="two", channel="webchat.polyai")
    await http.open(conversationId="three", clientEnv="draft")
    await http.say("one", "please book it")


def test_a_list_is_filtered_sorted_and_paged(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await three(http)
        assert await ids(http, "") == ["three", "two", "one"]
        assert await ids(http, "sort=startedAt&limit=2") == ["one", "two"]
        assert await ids(http, "channel=webchat&channel=VOICE-SIP") == ["two"]
        assert await ids(http, "clientEnv=draft") == ["three"]
        assert await ids(http, "contact=07700+900123") == []  # another number: the country is part of it
        assert await ids(http, "contact=%2B447700900123") == ["one"]
        assert await ids(http, "inProgress=false") == []
        first = (await http.call("GET", f"{LIST}?limit=2"))[1]
        assert first["count"] == 3 and first["cursor"]
        rest = (await http.call("GET", f"{LIST}?limit=2&cursor={first['cursor']}"))[1]
        assert [c["conversationId"] for c in rest["conversations"]] == ["one"] and rest["cursor"] is None
        day = first["conversations"][0]["startedAt"].replace("+", "%2B")
        assert await ids(http, f"startTime={day}") == ["three"]
        assert await ids(http, f"endTime={day}") == ["two", "one"]

    http(tmp_path, check)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("limit=0", "from 1 to 5,000"), ("limit=5001", "from 1 to 5,000"), ("limit=%D9%A3", "whole number"), ("offset=-1", "offset"),
        ("limit=1&limit=2", "given 2 times"), ("cursor=zzz", "cursor"), ("cursor=" + "A" * 500, "cursor"),
        ("cursor=%F0%9F%98%80", "cursor"), ("startTime=yesterday", "2026-01-31"), ("startTime=0001-01-01T00:00%2B23:00", "time"),
        ("startTime=2026-02-02&endTime=2026-02-01", "after the end"), ("channel=pigeon", "VOICE-SIP"), ("clientEnv=prod", "sandbox"),
        ("inProgress=maybe", "true or false"), ("minScore=9", "from 1 to 5"), ("metric=:x", "NAME"), ("tag=", "empty"),
        ("tag=a%00b", "NUL"),
    ],
)  # fmt: skip
def test_a_bad_filter_is_refused_with_what_would_do(tmp_path: Path, query: str, says: str) -> None:
    async def check(http: Api) -> None:
        status, body, _ = await http.call("GET", f"{LIST}?{query}")
        assert (status, body["error_code"]) == (400, "GET_CONVERSATIONS_FILTER_PARSE_ERROR") and says in body["error"]

    http(tmp_path, check)


def test_a_cursor_belongs_to_its_question(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await three(http)
        cursor = (await http.call("GET", f"{LIST}?limit=1"))[1]["cursor"]
        status, body, _ = await http.call("GET", f"{LIST}?limit=1&clientEnv=draft&cursor={cursor}")
        assert status == 400 and "other filters" in body["error"]
        status, body, _ = await http.call("GET", f"{LIST}?sort=best")
        assert (status, body["error_code"]) == (400, "GET_CONVERSATIONS_INVALID_SORT_PARAMETER")

    http(tmp_path, check)


def test_lines_hold_everything_or_end_with_a_cursor(tmp_path: Path) -> None:
    async def lines(http: Api, path: str) -> list[dict[str, Any]]:
        status, raw, headers = await http.call("GET", path, headers={"Accept": "application/x-ndjson"})
        assert status == 200 and headers["content-type"] == "application/x-ndjson"
        text = raw if isinstance(raw, bytes) else json.dumps(raw).encode()
        return [json.loads(line) for line in text.splitlines()]

    async def check(http: Api) -> None:
        await three(http)
        async with http.session.get(
            http.url + LIST, headers={"X-API-KEY": "test-key", "Accept": "application/x-ndjson"}
        ) as reply:
            assert [json.loads(line)["conversationId"] async for line in reply.content] == ["three", "two", "one"]
        async with http.session.get(
            http.url + "/v3/acme/tiny/conversations?client_env=sandbox&limit=1",
            headers={"X-API-KEY": "test-key", "Accept": "application/x-ndjson"},
        ) as reply:
            first, last = [json.loads(line) async for line in reply.content]
            assert first["id"] == "one" and list(last) == ["cursor"]
        status, body, _ = await http.call("GET", f"{LIST}?limit=0", headers={"Accept": "application/x-ndjson"})
        assert status == 400 and body["error_code"] == "GET_CONVERSATIONS_FILTER_PARSE_ERROR"

    http(tmp_path, check)


def test_the_third_version_lists_whole_transcripts_oldest_first(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await three(http)
        status, body, _ = await http.call("GET", "/v3/acme/tiny/conversations")
        assert (status, body) == (200, {"conversations": [], "cursor": None})  # live, unless asked otherwise
        path = "/v3/acme/tiny/conversations?client_env=sandbox"
        status, body, _ = await http.call("GET", path + "&include_latency=true")
        one, two = body["conversations"]
        assert (one["id"], two["id"], body["cursor"]) == ("one", "two", None) and "next_offset" not in body
        assert one["num_turns"] == 2 and one["turns"][1]["user_input"] == "please book it"
        assert one["turns"][1]["latency"] >= 0 and one["metrics"]["BOOKED"] == "true"
        assert one["state"]["day"] == "Monday" and one["state"]["call_sid"] == "one"
        assert one["metrics"]["TOTAL_AGENT_TURNS"] == "2" and two["channel"] == "WEBCHAT"
        status, body, _ = await http.call("GET", path + "&limit=1")
        assert body["next_offset"] == 1
        again = (await http.call("GET", f"{path}&limit=1&cursor={body['cursor']}"))[1]
        assert [c["id"] for c in again["conversations"]] == ["two"]
        status, body, _ = await http.call("GET", "/v3/acme/tiny/conversations/one")
        assert status == 200 and body["id"] == "one"
        for path in ("/v3/other/tiny/conversations", "/v1/acme/none/conversations"):
            status, body, _ = await http.call("GET", path)
            assert (status, body["error_code"]) == (404, "PROJECT_NOT_FOUND")

    http(tmp_path, check)


def test_the_first_version_goes_by_offset_and_five_at_a_time(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        for n in range(7):
            await http.open(conversationId=f"c{n}")
        body = (await http.call("GET", "/v1/acme/tiny/conversations?client_env=sandbox"))[1]
        assert [c["id"] for c in body["conversations"]] == ["c0", "c1", "c2", "c3", "c4"]
        assert body["next_offset"] == 5 and body["descriptions"] == {"conversations": {}}
        body = (await http.call("GET", "/v1/acme/tiny/conversations?client_env=sandbox&offset=5"))[1]
        assert [c["id"] for c in body["conversations"]] == ["c5", "c6"] and "next_offset" not in body

    http(tmp_path, check)


def test_notes_and_tags_are_kept_replaced_and_shown(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await http.open(conversationId="one")
        path = f"{LIST}/one"
        status, body, _ = await http.call("POST", f"{path}/note", {"note": "Call back \U0001f600"})
        assert (status, body) == (201, {"success": True})
        await http.say("one", "hello")  # a turn in between takes nothing away
        assert (await http.call("GET", path))[1]["note"] == "Call back \U0001f600"
        await http.call("POST", f"{path}/note", {"note": ""})
        assert (await http.call("GET", LIST))[1]["conversations"][0]["note"] is None
        status, body, _ = await http.call("PUT", f"{path}/tags", {"tags": ["vip", " vip ", "late"]})
        assert (status, body) == (200, {"tags": ["vip", "late"]}) and await ids(http, "tag=late") == ["one"]
        for name, sent in (
            ("note", {"note": "x" * 100_001}),
            ("note", {"note": "a\0b"}),
            ("note", {}),
            ("note", {"note": 1}),
        ):
            status, body, _ = await http.call("POST", f"{path}/{name}", sent)
            assert status == 400, body
        status, body, _ = await http.call("POST", f"{path}/note", {"note": "x" * 3_000_000})
        assert status == 413
        for tags in ([""], ["x" * 101], [str(n) for n in range(51)]):
            assert (await http.call("PUT", f"{path}/tags", {"tags": tags}))[0] == 400
        status, body, _ = await http.call("POST", f"{LIST}/..%2Fone/note", {"note": "x"})
        assert status == 404

    http(tmp_path, check)


def test_annotations_are_checked_against_the_conversation_and_can_be_taken_back(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await http.open(conversationId="one")
        await http.say("one", "hello")
        path = f"{LIST}/one/annotation"
        mark = {"turnId": 1, "role": "agent", "annotationType": "wrong_info"}
        status, body, _ = await http.call(
            "POST", path, {"annotations": [mark]}, headers={"X-PolyAI-Email": "ann@example.org"}
        )
        assert status == 201 and body["success"] is True
        bad = {
            "turnId": 1,
            "role": "agent",
            "annotationType": "bad_response",
            "reasons": ["too_long"],
            "text": "Rambles",
        }
        await http.call("POST", path + "s", {"annotations": [bad, {**mark, "turnId": 0}]})
        turns = (await http.call("GET", f"{LIST}/one"))[1]["turns"]
        assert [(r["annotationType"], r["author"]) for r in turns[1]["reviews"]] == [
            ("wrong_info", "ann@example.org"), ("bad_response", "operator"),
        ]  # fmt: skip
        assert turns[1]["reviews"][1]["reasons"] == ["too_long"] and turns[0]["reviews"][0]["turnId"] == 0
        assert await ids(http, "annotation=bad_response") == ["one"]
        found = (await http.call("GET", path))[1]["annotations"]
        assert len(found) == 3
        assert (await http.call("DELETE", f"{path}/{found[0]['id']}"))[0] == 204
        assert (await http.call("DELETE", f"{path}s/{found[0]['id']}"))[0] == 404
        await http.call("POST", path, {"annotations": [bad]})  # the same again is still one
        assert len((await http.call("GET", path))[1]["annotations"]) == 2

    http(tmp_path, check)


@pytest.mark.parametrize(
    "mark",
    [
        {"turnId": 2}, {"turnId": -1}, {"turnId": 10**30}, {"turnId": "1"}, {"turnId": 1.5}, {"role": "caller"},
        {"annotationType": "other thing"}, {"turnId": 0, "role": "user"}, {"role": "user", "annotationType": "good_response"},
        {"reasons": ["too_long"]}, {"text": "x" * 2001},
    ],
)  # fmt: skip
def test_an_annotation_of_nothing_is_refused(tmp_path: Path, mark: dict[str, Any]) -> None:
    async def check(http: Api) -> None:
        await http.open(conversationId="one")
        await http.say("one", "hello")
        sent = {"turnId": 1, "role": "agent", "annotationType": "wrong_info", **mark}
        good = {"turnId": 1, "role": "agent", "annotationType": "wrong_info"}
        status, body, _ = await http.call("POST", f"{LIST}/one/annotation", {"annotations": [good, sent]})
        assert status == 400 and body["error"]
        assert (await http.call("GET", f"{LIST}/one/annotation"))[1]["annotations"] == []  # all or nothing
        assert (await http.call("POST", f"{LIST}/one/annotation", {"annotations": []}))[0] == 400
        assert (await http.call("POST", f"{LIST}/none/annotation", {"annotations": [good]}))[0] == 404

    http(tmp_path, check)


def test_there_is_no_recording_of_a_chat(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await http.open(conversationId="one")
        status, body, _ = await http.call("GET", f"{LIST}/one/audio")
        assert (status, body["error_code"]) == (404, "CONVERSATIONS_RECORDING_NOT_FOUND")
        status, body, _ = await http.call("GET", f"{LIST}/none/audio")
        assert (status, body["error_code"]) == (404, "CONVERSATIONS_NOT_FOUND")
        assert (await http.call("GET", f"{LIST}/one/audio?direction=up"))[0] == 400

    http(tmp_path, check)


def test_how_many_went_on_at_once_is_told_for_each_five_minutes(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await three(http)
        path = "/v1/acme/tiny/conversations/concurrency"
        now = datetime.now(UTC)
        span = f"start_time={now - timedelta(minutes=30):%Y-%m-%dT%H:%M:%SZ}&end_time={now + timedelta(minutes=5):%Y-%m-%dT%H:%M:%SZ}"
        status, body, _ = await http.call("GET", f"{path}?{span}&client_env=sandbox")
        most = [i["max_concurrent_conversations"] for i in body["intervals"]]
        assert status == 200 and len(most) in (7, 8) and 1 <= max(most) <= 2 and most[0] == 0
        body = (await http.call("GET", f"{path}?{span}&client_env=sandbox&slice_by=phone_number"))[1]
        assert {i["phone_number"] for i in body["intervals"]} == {"+44 7700 900123", ""}
        assert (await http.call("GET", f"{path}?{span}"))[1]["intervals"][0]["max_concurrent_conversations"] == 0
        for bad in ("", "start_time=2026-01-01", f"{span}&slice_by=colour", "start_time=2026-01-01&end_time=2026-03-01",
                    "start_time=2026-01-02&end_time=2026-01-01"):  # fmt: skip
            assert (await http.call("GET", f"{path}?{bad}"))[0] == 400, bad
        assert (await http.call("GET", f"/v1/rival/tiny/conversations/concurrency?{span}"))[0] == 404

    http(tmp_path, check)
