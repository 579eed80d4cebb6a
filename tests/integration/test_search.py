"""Conversations are found by words, by meaning and at random, and judged after their end; without the right, only by what may be seen."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.integration.test_access import key
from tests.integration.test_record import AGENT, LIST, MODEL, ids
from tests.support.console import visitor
from tests.support.embedder import Topics
from tests.support.http import Api, api
from tests.support.openai_server import OpenAIServer, openai_server
from tests.support.talk import run, script, write
from vivavoce.domain.conversation import Conversation, ModelReply, Turn, UserInput
from vivavoce.engine import reviewing
from vivavoce.models.interface import ModelRefused, ModelUnavailable
from vivavoce.service.keys import OPERATOR

V3 = "/v3/acme/tiny/conversations?client_env=sandbox&start_time=2020-01-01&end_time=2099-01-01"
SAID = {
    "leak": ("My kitchen tap is leaking, my name is Zuleika Quorn", "It drips all night", "Please book a plumber"),
    "refund": ("I want my money back for order 88213", "It arrived broken"),
    "hours": ("When are you open on Sunday?",),
}


def http(tmp_path: Path, check: Any, *, in_memory: bool = False, has_meaning: bool = True) -> None:
    async def go() -> None:
        data = None if in_memory else tmp_path / "data"
        async with api(write(tmp_path / "agent", AGENT), script(MODEL), data=data) as found:
            assert found.started is not None
            services, handlers = found.started.services, found.started.work._handlers
            if has_meaning:
                services.conversations._embedder = Topics()
                handlers["review"].__self__._embedder = Topics()
            for id, lines in SAID.items():
                await found.open(conversationId=id)
                for line in lines:
                    await found.say(id, line)
                await services.chats.end(OPERATOR, "tiny", id)
            await done(found)
            await check(found)

    run(go())


async def done(http: Api) -> None:
    assert http.started is not None
    for _ in range(300):
        await http.started.work.run_due()
        due = await http.started.store.next_due()
        if due is None or due > datetime.now(UTC) + timedelta(minutes=1):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("background work goes on and on")


async def found_v3(http: Api, query: str, who: str | None = None) -> list[str]:
    status, body, _ = await http.call("GET", f"{V3}&{query}", key=who or "test-key")
    assert status == 200, body
    return [c["id"] for c in body["conversations"]]


@pytest.mark.parametrize("in_memory", [False, True])
def test_words_are_found_whoever_said_them_and_phrases_stand_together(tmp_path: Path, in_memory: bool) -> None:
    async def check(http: Api) -> None:
        assert await found_v3(http, "query_type=transcript&query=leaking") == ["leak"]
        assert await found_v3(http, "query_type=transcript&query=LEAKING+tap") == ["leak"]  # all of them
        assert await found_v3(http, "query_type=transcript&query=leaking+refund") == []
        assert await found_v3(http, "query_type=transcript&query=%22kitchen+tap%22") == ["leak"]
        assert await found_v3(http, "query_type=transcript&query=%22tap+kitchen%22") == []
        assert await found_v3(http, "query_type=transcript&query=%22quorn+it+drips%22") == []  # two turns, no phrase
        both = (await http.call("GET", f"{LIST}?queryType=transcript&query=fine&turnType=agent&limit=1"))[1]
        assert {m["role"] for m in both["conversations"][0]["matches"]} == {"agent"}
        assert await found_v3(http, "query_type=transcript&query=fine") == ["leak", "refund", "hours"]
        assert await found_v3(http, "query_type=transcript&query=fine&turn_type=agent") == ["leak", "refund", "hours"]
        assert await found_v3(http, "query_type=transcript&query=fine&turn_type=user") == []
        assert await found_v3(http, "query_type=transcript&query=fine&channel=WEBCHAT") == []
        listed = (await http.call("GET", f"{LIST}?queryType=transcript&query=leaking&function=book"))[1]
        assert listed["count"] == 1 and listed["conversations"][0]["matches"] == [
            {"turnId": 1, "role": "user", "snippet": "My kitchen tap is leaking, my name is Zuleika Quorn"}
        ]
        first = (await http.call("GET", f"{V3}&query_type=transcript&query=fine&limit=2"))[1]
        assert await found_v3(http, f"query_type=transcript&query=fine&limit=2&cursor={first['cursor']}") == ["hours"]

    http(tmp_path, check, in_memory=in_memory)


@pytest.mark.parametrize("in_memory", [False, True])
def test_without_the_right_words_and_meanings_that_are_hidden_find_nothing(tmp_path: Path, in_memory: bool) -> None:
    async def check(http: Api) -> None:
        reader = await key(http, "read")
        for word in ("zuleika", "quorn", "88213", "%22zuleika+quorn%22"):
            assert await found_v3(http, f"query_type=transcript&query={word}") != []
            assert await found_v3(http, f"query_type=transcript&query={word}", reader) == []
            assert (await http.call("GET", f"{LIST}?queryType=transcript&query={word}", key=reader))[1]["count"] == 0
        assert await found_v3(http, "query_type=transcript&query=leaking", reader) == ["leak"]
        listed = (await http.call("GET", f"{LIST}?queryType=transcript&query=leaking", key=reader))[1]
        assert listed["conversations"][0]["matches"][0]["snippet"].endswith("my name is [NAME]")
        summary = listed["conversations"][0]["shortSummary"]
        assert "Zuleika" not in str(summary) and "[NAME]" in summary["heading"]

    http(tmp_path, check, in_memory=in_memory)


def test_the_console_marks_what_a_search_has_found_by_words_and_by_meaning(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        page = "/console/agents/tiny/conversations?queryType"
        async with await visitor(http) as me, await visitor(http, await key(http, "read")) as reader:
            _, body, _ = await me.get(f"{page}=transcript&query=leaking")
            assert "My kitchen tap is <mark>leaking</mark>, my name is Zuleika Quorn" in body
            _, body, _ = await me.get(f"{page}=semantic&query=is+water+leaking")
            assert "My kitchen tap is <mark>leaking</mark>, my name is Zuleika Quorn" in body
            assert "/conversations/leak?turn=1" in body and body.count("<mark>") == 1
            for kind in ("transcript", "semantic"):
                _, body, _ = await reader.get(f"{page}={kind}&query=leaking")
                assert "<mark>leaking</mark>, my name is [NAME]" in body and "Zuleika" not in body

    http(tmp_path, check)


@pytest.mark.parametrize("in_memory", [False, True])
def test_meaning_is_found_best_first_page_by_page(tmp_path: Path, in_memory: bool) -> None:
    async def check(http: Api) -> None:
        assert (await found_v3(http, "query_type=semantic&query=water+everywhere"))[0] == "leak"
        assert (await found_v3(http, "query_type=semantic&query=refund&limit=1")) == ["refund"]
        first = (await http.call("GET", f"{V3}&query_type=semantic&query=refund&limit=1"))[1]
        rest = (await http.call("GET", f"{V3}&query_type=semantic&query=refund&limit=9&cursor={first['cursor']}"))[1]
        assert {c["id"] for c in rest["conversations"]} == {"leak", "hours"} and rest["cursor"] is None
        await http.call("DELETE", f"{LIST}/refund")
        assert "refund" not in await found_v3(http, "query_type=semantic&query=refund")

    http(tmp_path, check, in_memory=in_memory)


def test_without_an_embedding_model_search_by_meaning_says_so(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        status, body, _ = await http.call("GET", f"{V3}&query_type=semantic&query=refund")
        assert (status, body["error_code"]) == (400, "SEMANTIC_SEARCH_UNAVAILABLE")

    http(tmp_path, check, has_meaning=False)


@pytest.mark.parametrize("in_memory", [False, True])
def test_a_sample_is_so_many_at_random(tmp_path: Path, in_memory: bool) -> None:
    async def check(http: Api) -> None:
        assert set(await found_v3(http, "sample=random&limit=9")) == set(SAID)
        seen = {(await found_v3(http, "sample=random&limit=1"))[0] for _ in range(60)}
        assert seen == set(SAID)
        assert len(await ids(http, "sample=random&limit=2&function=book")) == 1

    http(tmp_path, check, in_memory=in_memory)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("query_type=transcript", "needs query"), ("query=x", "query_type"), ("query_type=words&query=x", "transcript, semantic"),
        ("sample=random&query_type=transcript&query=x", "one of them"), ("sample=all", "random"), ("turn_type=user", "transcript only"),
        ("query_type=transcript&query=%21%3F", "no word"), ("query_type=transcript&query=" + "x" * 1001, "1,000"),
        ("query_type=semantic&query=x&turn_type=user", "transcript only"), ("variant_id=a&variant_name=b", "not both"),
    ],
)  # fmt: skip
def test_modes_that_contradict_themselves_are_refused(tmp_path: Path, query: str, says: str) -> None:
    async def check() -> None:
        async with api(write(tmp_path / "agent", AGENT), script(MODEL)) as http:
            status, body, _ = await http.call("GET", f"{V3}&{query}")
            assert (status, body["error_code"]) == (400, "GET_CONVERSATIONS_FILTER_PARSE_ERROR") and says in body[
                "error"
            ]
            for times in ("", "&start_time=2020-01-01", "&end_time=2020-01-01"):
                status, body, _ = await http.call("GET", f"/v3/acme/tiny/conversations?sample=random{times}")
                assert status == 400 and "must both be given" in body["error"]

    run(check())


def test_a_conversation_is_summed_up_and_scored_by_rules_that_say_so(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        found = {c["conversationId"]: c for c in (await http.call("GET", LIST))[1]["conversations"]}
        assert found["leak"]["shortSummary"]["heading"] == SAID["leak"][0]
        assert (
            "book" in found["leak"]["shortSummary"]["content"] and found["leak"]["shortSummary"]["made_by"] == "rules"
        )
        assert found["leak"]["polyScore"] is None and "3 turns" in found["leak"]["score"]["reason"]
        await http.open(conversationId="long")
        for _ in range(4):
            await http.say("long", "please book it for me")
        assert http.started is not None
        await http.started.services.chats.end(OPERATOR, "tiny", "long")
        await done(http)
        long = (await http.call("GET", f"{LIST}/long"))[1]
        assert long["polyScore"] == long["score"]["value"] >= 3 and long["score"]["made_by"] == "rules"
        assert await ids(http, f"minScore={long['polyScore']}") == ["long"] and await ids(http, "sort=-polyScore") == [
            "long"
        ]

    http(tmp_path, check)


class Judge:
    """A model that answers what it is told to."""

    name = "judge"

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    async def stream(self, request: Any) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        yield ModelReply(text=answer)

    async def close(self) -> None: ...


NOW = datetime(2026, 1, 1, tzinfo=UTC)
HEAD = Conversation(
    account_id="a", agent_id="b", id="c", environment="live", channel="chat.polyai", tree="t", started_at=NOW, last_turn_at=NOW,
    finished_at=NOW, end_reason="hangup",
)  # fmt: skip


def turns(*said: str) -> list[Turn]:
    greeting = Turn(index=0, started_at=NOW, finished_at=NOW, reply="Hello")
    return [
        greeting,
        *(
            Turn(index=n, started_at=NOW, finished_at=NOW, input=UserInput(text=t), reply=f"r{n}", topics=(("x", 0.1),))
            for n, t in enumerate(said, 1)
        ),
    ]


FIVE = '{"heading": "Tap", "content": "All done.", "agent_quality": "good", "task_success": "good", "reason": "ok"}'


def test_a_model_judges_where_it_can_and_rules_where_it_cannot() -> None:
    long = turns("a b c", "d", "e", "f")

    def judged(*answers: Any, turns: list[Turn] = long, **head: Any) -> reviewing.Judged:
        found: reviewing.Judged = run(reviewing.review(replace(HEAD, **head), turns, Judge(*answers)))
        return found

    assert judged(f"Sure! {FIVE}").score.value == 5 and judged(FIVE).summary.made_by == "judge"
    fair = FIVE.replace('"good", "reason"', '"fair", "reason"')
    assert judged(fair, is_handoff=True).score.value == 4
    poor = FIVE.replace('"good"', '"poor"')
    assert judged(poor).score.value == 1 and judged(poor, is_handoff=True).score.value == 2
    for nonsense in ("", "{}", "[1]", '{"heading": 1}', FIVE.replace("good", "great"), "\x00{" * 99):
        assert judged(nonsense).summary.made_by == "rules"
    assert judged(ModelRefused("no")).summary.made_by == "rules"
    with pytest.raises(ModelUnavailable):
        judged(ModelUnavailable("away"))


def test_who_was_not_served_is_not_scored() -> None:
    for said, head, reason in (
        ((), {}, "said nothing"),
        (("", "", "", ""), {}, "said nothing"),
        (("a human please",), {"is_handoff": True}, "at once"),
        (("one", "two", "three"), {}, "3 turns"),
    ):
        found = run(reviewing.review(replace(HEAD, **head), turns(*said), Judge(FIVE)))
        assert found.score.value is None and reason in found.score.reason


def test_a_configured_language_model_judges_over_its_own_wire(tmp_path: Path) -> None:
    answer = {"rules": [{"when": {"said": "It ended by"}, "say": FIVE}], "otherwise": "Fine"}

    async def go() -> None:
        import msgspec

        from vivavoce.models.openai import OpenAIModel
        from vivavoce.models.scripted import Script, ScriptedModel

        async with openai_server(OpenAIServer(ScriptedModel(msgspec.convert(answer, Script)))) as server:
            model = OpenAIModel("m", key="k", base_url=server.url, timeout=5)
            async with api(write(tmp_path / "agent", AGENT), model, review="model") as http:
                await http.open(conversationId="one")
                for _ in range(4):
                    await http.say("one", "hello there friend")
                assert http.started is not None
                await http.started.services.chats.end(OPERATOR, "tiny", "one")
                await done(http)
                found = (await http.call("GET", f"{LIST}/one"))[1]
                assert found["polyScore"] == 5 and found["shortSummary"]["content"] == "All done."
                assert found["score"]["made_by"] == "openai:m"

    run(go())
