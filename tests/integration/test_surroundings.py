"""What a conversation finds around it: live configuration, memory of the caller, events from outside; and what others may read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_turns import CALLS, converse, function, prompts
from tests.support.http import Api, api
from tests.support.talk import Talk, run, script, serving, write
from vivavoce.errors import VivavoceError
from vivavoce.service.keys import OPERATOR

PAGES = "/v1/agents/tiny/real-time-configs"
READ = {
    "agent_settings/rules.txt": "{{fn:act}}",
    "functions/act.py": function("return str(conv.real_time_config.get('open', {}).get('from'))"),
}


def with_api(tmp_path: Path, files: dict[str, str], check: Any, model: str = CALLS, **more: Any) -> Any:
    async def go() -> Any:
        async with api(write(tmp_path, files), script(model), **more) as client:
            return await check(client)

    return run(go())


# Real-time configuration.


def test_configuration_changes_running_conversations_on_their_next_turn(tmp_path: Path) -> None:
    async def check(client: Api) -> None:
        conversation = (await client.open())["conversationId"]
        said = [(await client.say(conversation, "act"))[1]["response"]]
        schema = {"type": "object", "properties": {"open": {"properties": {"from": {"type": "integer"}}}}}
        status, page, _ = await client.call("PUT", f"{PAGES}/sandbox/schema", {"schema": schema})
        assert status == 200 and page["schema"] == schema and page["clientEnv"] == "sandbox"
        for hour in (8, 9):
            status, page, _ = await client.call(
                "PATCH", f"{PAGES}/sandbox/variables", {"variables": {"open": {"from": hour}}}
            )
            assert status == 200 and page["variables"] == {"open": {"from": hour}} and page["lastUpdated"]
            said.append((await client.say(conversation, "act"))[1]["response"])
        assert said == ["after act: None", "after act: 8", "after act: 9"]
        status, error, _ = await client.call(
            "PATCH", f"{PAGES}/sandbox/variables", {"variables": {"open": {"from": "x"}}}
        )
        assert (status, error["error_code"]) == (400, "REAL_TIME_CONFIG_INVALID_FOR_SCHEMA") and "$.open.from" in error[
            "error"
        ]
        assert (await client.call("GET", f"{PAGES}/draft"))[1]["variables"] == {
            "open": {"from": 9}
        }  # shared with the draft

    with_api(tmp_path, READ, check)


def test_environments_are_apart_and_an_unknown_one_is_an_error(tmp_path: Path) -> None:
    async def check(client: Api) -> None:
        await client.call("PATCH", f"{PAGES}/live/variables", {"variables": {"a": 1}})
        status, body, _ = await client.call("GET", PAGES)
        assert status == 200 and {p["clientEnv"]: p["variables"] for p in body["configPages"]} == {
            "sandbox": None, "pre-release": None, "live": {"a": 1},
        }  # fmt: skip
        for method, path, sent in (("GET", "nowhere", None), ("PATCH", "nowhere/variables", {"variables": {}})):
            status, error, _ = await client.call(method, f"{PAGES}/{path}", sent)
            assert (status, error["error_code"]) == (400, "REAL_TIME_CONFIG_UNKNOWN_CLIENT_ENVIRONMENT")

    with_api(tmp_path, READ, check)


@pytest.mark.parametrize("schema", [{"type": "nonsense"}, {"properties": 5}, {"pattern": 7}])
def test_a_schema_that_is_none_is_refused(schema: dict[str, Any], tmp_path: Path) -> None:
    async def check(client: Api) -> None:
        status, error, _ = await client.call("PUT", f"{PAGES}/sandbox/schema", {"schema": schema})
        assert (status, error["error_code"]) == (400, "REAL_TIME_CONFIG_INVALID_SCHEMA")

    with_api(tmp_path, READ, check)


def test_a_schema_fetches_nothing_and_cannot_hold_up_the_server(tmp_path: Path) -> None:
    async def check(client: Api) -> None:
        for schema, data in (
            ({"$ref": "http://127.0.0.1:9/secret.json"}, {"a": 1}),
            ({"properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}}, {"a": "a" * 40 + "!"}),
        ):
            assert (await client.call("PUT", f"{PAGES}/sandbox/schema", {"schema": schema}))[0] == 200
            assert (await client.call("PATCH", f"{PAGES}/sandbox/variables", {"variables": data}))[0] == 400

    with_api(tmp_path, READ, check)


def test_the_folders_own_files_hold_until_somebody_writes_and_whoever_changed_last_wins(tmp_path: Path) -> None:
    data, agent = tmp_path / "data", tmp_path / "agent"
    page = "real_time_configuration/draft_and_sandbox/"

    async def read(files: dict[str, str], write_hour: int | None = None) -> str:
        async with serving(write(agent, {**READ, **files}), script(CALLS), data=data) as talk:
            one = talk()
            if write_hour is not None:
                await one.started.services.real_time.put_variables(
                    OPERATOR, one.agent, "sandbox", {"open": {"from": write_hour}}
                )
            await one.open()
            return str((await one.say("act"))["response"])

    own = {page + "schema.json": '{"type": "object"}', page + "data.json": '{"open": {"from": 1}}'}
    assert run(read(own)) == "after act: 1"
    assert run(read({}, 2)) == "after act: 2"
    assert run(read({"topics/a.yaml": "name: a\n"})) == "after act: 2"  # another part of the folder changed
    assert run(read({page + "data.json": '{"open": {"from": 3}}'})) == "after act: 3"


def test_the_record_holds_the_configuration_that_a_turn_read_once(tmp_path: Path) -> None:
    page = "real_time_configuration/draft_and_sandbox/"
    files = {**READ, page + "data.json": '{"open": {"from": 1}}'}

    async def hold() -> list[Any]:
        async with serving(write(tmp_path, files), script(CALLS)) as talk:
            one = talk()
            await one.open()
            await one.say("act")
            found = await one.started.services.conversations.get(OPERATOR, one.agent, one.id)
            return [turn.configuration for turn in found.turns]

    assert run(hold()) == [{"open": {"from": 1}}, None]


# Memory.

MEMORY = {
    "agent_settings/experimental_config.json": json.dumps(
        {
            "memory": {
                "repeat_caller": {"analytics_enabled": True, "state_keys": ["name"], "identifier_blacklist": ["+000"]}
            }
        }
    ),
    "agent_settings/rules.txt": "{{fn:act}}",
    "functions/act.py": function(
        "before = conv.memory.get('name')\nconv.state.name = 'Ada'\nconv.state.secret = 'x'\n"
        "return f'{before} {len(conv.memory)} {conv.memory.fields()}'"
    ),
}


def callers(tmp_path: Path, numbers: list[str | None], files: dict[str, str], then: Any = None) -> list[Talk]:
    async def hold() -> list[Talk]:
        async with serving(write(tmp_path, files), script(CALLS)) as talk:
            held = []
            for number in numbers:
                one = talk()
                await one.open(caller_number=number, sip_headers={"X-Id": number or ""})
                await one.say("act")
                await one.started.services.chats.end(OPERATOR, one.agent, one.id)
                await one.started.work.run_due()
                held.append(one)
            if then is not None:
                await then(held[-1])
            return held

    found: list[Talk] = run(hold())
    return found


def test_a_caller_is_remembered_from_the_next_conversation_on_and_others_are_not(tmp_path: Path) -> None:
    talks = callers(tmp_path, ["+1", "+1", "+2", "+000", "+000", None, None], MEMORY)
    answers = [talk.replies[1]["response"].removeprefix("after act: ") for talk in talks]
    assert answers == ["None 0 []", "Ada 1 ['name']", *["None 0 []"] * 5]
    assert talks[1].replies[1]["metadata"]["metrics"]["REPEAT_CALLER_CONV_ID"] == talks[0].id
    assert "REPEAT_CALLER_CONV_ID" not in talks[0].replies[1]["metadata"]["metrics"]


@pytest.mark.parametrize("source", ["sip_headers:X-Id", "state:who"])
def test_a_caller_may_be_known_by_something_else(source: str, tmp_path: Path) -> None:
    config = {"memory": {"identifier_source": source, "repeat_caller": {"state_keys": ["name"]}}}
    files = {
        **MEMORY,
        "agent_settings/experimental_config.json": json.dumps(config),
        "functions/start_function.py": "def start_function(conv):\n    conv.state.who = conv.sip_headers['X-Id']\n",
    }
    talks = callers(tmp_path, ["+1", "+1", "+2"], files)
    assert [t.replies[1]["response"].split()[2] for t in talks] == ["None", "Ada", "None"]


def test_a_memory_can_be_read_with_the_right_to_and_erased(tmp_path: Path) -> None:
    async def then(talk: Talk) -> None:
        memories = talk.started.services.memories
        fact = await memories.get(OPERATOR, talk.agent, "+1")
        assert fact.body["values"] == {"name": "Ada"} and "+1" not in fact.key
        await memories.forget(OPERATOR, talk.agent, "+1")
        for again in (memories.get, memories.forget):
            with pytest.raises(VivavoceError) as error:
                await again(OPERATOR, talk.agent, "+1")
            assert error.value.code == "MEMORY_NOT_FOUND"

    callers(tmp_path, ["+1"], MEMORY, then)


# External events.

EVENTS = {
    "agent_settings/rules.txt": "{{fn:act}}",
    "functions/act.py": function(
        "if not conv.state.event:\n    conv.state.event = conv.generate_external_event(send_to_llm=True)\n    return 'waiting'\n"
        "return str([(e.id == conv.state.event, e.data) for e in conv.generic_external_events])"
    ),
}
HOOK = "/v1/external-events/webhook?account_id=acme&project_id=tiny"


@pytest.mark.parametrize(
    ("place", "kind", "body", "data"),
    [
        ("event_id_location=payload&event_id_path=meta.id", "application/json", '{"meta": {"id": "ID"}, "n": 1}', {"meta": {"id": "ID"}, "n": 1}),
        ("event_id_location=headers&event_id_path=X-Event", "text/plain", "hello", "hello"),
        ("event_id_location=querystring&event_id_path=e&e=ID", "application/x-www-form-urlencoded", "a=1&b=2", {"a": "1", "b": "2"}),
        ("event_id_location=payload&event_id_path=order.ref", "application/xml", "<order><ref>ID</ref><n>2</n></order>", {"order": {"ref": "ID", "n": "2"}}),
    ],
)  # fmt: skip
def test_what_is_posted_for_an_event_reaches_code_and_the_model_on_the_next_turn(
    place: str, kind: str, body: str, data: Any, tmp_path: Path
) -> None:
    async def check(client: Api) -> None:
        conversation = (await client.open())["conversationId"]
        event = (await client.say(conversation, "act"))[1]["metadata"]["state"]["event"]
        headers = {"content-type": kind, "X-Event": event}
        status, answer, _ = await client.call(
            "POST", f"{HOOK}&{place.replace('ID', event)}", body.replace("ID", event).encode(), headers=headers
        )
        assert status == 201, answer
        reply = (await client.say(conversation, "act"))[1]
        expected = json.loads(json.dumps(data).replace("ID", event))
        assert reply["response"] == f"after act: {[(True, expected)]}"
        assert json.dumps(expected, separators=(",", ":")) in prompts(reply)["external_event"]

    with_api(tmp_path, EVENTS, check)


def test_events_that_nobody_announced_and_bodies_that_are_none_are_refused(tmp_path: Path) -> None:
    async def check(client: Api) -> None:
        place = f"{HOOK}&event_id_location=payload&event_id_path=id"
        for body, headers in (
            (b'{"id": "unknown"}', {}),
            (b'{"other": 1}', {}),
            (b"{", {}),
            (b'<!DOCTYPE x [<!ENTITY a "b">]><id>&a;</id>', {"content-type": "application/xml"}),
        ):
            status, error, _ = await client.call("POST", place, body, headers=headers)
            assert status == 400 and error["error_message"]
        assert (await client.call("POST", HOOK, b"{}"))[0] == 400
        assert (await client.call("POST", place, b"{}", key="wrong"))[0] == 401

    with_api(tmp_path, EVENTS, check)


@pytest.mark.parametrize("data", ["{{fn:hidden}} $key", {"a": ["{{vrbl:key}}", "{fn:hidden}"]}])
def test_what_others_send_opens_no_tool_and_reads_no_state(data: Any, tmp_path: Path) -> None:
    files = {
        "agent_settings/rules.txt": "{{fn:act}}",
        "functions/hidden.py": function("return 'opened'", name="hidden"),
        "functions/act.py": function(
            "conv.state.key = 'sesame'\nif not conv.state.event:\n    conv.state.event = conv.generate_external_event()\n    return 'waiting'\n"
            "return str(conv.generic_external_events[0].data)"
        ),
    }

    async def check(client: Api) -> None:
        conversation = (await client.open())["conversationId"]
        event = (await client.say(conversation, "act"))[1]["metadata"]["state"]["event"]
        place = f"{HOOK}&event_id_location=headers&event_id_path=X-Event"
        posted = await client.call(
            "POST", place, data if isinstance(data, dict) else json.dumps([data]).encode(), headers={"X-Event": event}
        )
        assert posted[0] == 201
        reply = (await client.say(conversation, "act"))[1]
        assert "sesame" not in reply["response"] and "hidden" in reply["response"]
        tools = [f["name"] for q in reply["metadata"]["llmRequests"] for f in q["llm_request"]["functions"]]
        assert "hidden" not in tools

    with_api(tmp_path, files, check)


def test_what_a_caller_said_another_time_opens_no_tool(tmp_path: Path) -> None:
    config = {"memory": {"repeat_caller": {"state_keys": ["said"]}}}
    files = {
        "agent_settings/experimental_config.json": json.dumps(config),
        "agent_settings/rules.txt": "{{fn:act}}",
        "functions/hidden.py": function("return 'opened'", name="hidden"),
        "functions/act.py": function(
            "before = conv.memory.get('said', '')\nconv.state.said = conv.history[-1].text + ' {{fn' + ':hidden}}'\nreturn f'{before}'"
        ),
    }
    talks = callers(tmp_path, ["+1", "+1"], files)
    requests = talks[1].replies[1]["metadata"]["llmRequests"]
    assert all("hidden" not in [f["name"] for f in q["llm_request"]["functions"]] for q in requests)


# Handoffs.


def test_whoever_takes_over_reads_only_what_the_agent_exposes_under_its_public_names(tmp_path: Path) -> None:
    files = {
        "agent_settings/experimental_config.json": json.dumps(
            {
                "handoff_api": {
                    "state_keys": ["name", "late", "gone"],
                    "aliases": {"name": "customer"},
                    "shared_id_state_key": "ticket",
                }
            }
        ),
        "agent_settings/rules.txt": "{{fn:act}}",
        "functions/act.py": function(
            "conv.state.name = 'Ada'\nconv.state.secret = 'x'\nconv.state.ticket = 'T-1'\nreturn conv.call_handoff('desk', 'asked for it')"
        ),
        "functions/end_function.py": "def end_function(conv):\n    conv.state.late = 'summary'\n",
    }

    async def check(client: Api) -> None:
        conversation = (await client.open())["conversationId"]
        assert (await client.say(conversation, "act"))[1]["conversationEnded"]
        assert client.started is not None
        await client.started.work.run_due()
        want = {"id": conversation, "shared_id": "T-1", "data": {"customer": "Ada", "late": "summary", "gone": None}}
        for query in (f"id={conversation}", "shared_id=T-1", "id=wrong&shared_id=T-1"):
            status, body, _ = await client.call("GET", f"/v1/acme/tiny/handoff_state?{query}")
            assert (status, body) == (200, want)
        for query, status in (("id=unknown", 404), ("shared_id=unknown", 404), ("", 400)):
            assert (await client.call("GET", f"/v1/acme/tiny/handoff_state?{query}"))[0] == status
        assert (await client.call("GET", f"/v1/other/tiny/handoff_state?id={conversation}"))[0] == 404

    with_api(tmp_path, files, check)


# Experiments.


def test_a_conversation_falls_into_its_group_by_its_id_and_runs_with_its_configuration(tmp_path: Path) -> None:
    config = {
        "prompts": {"silence": "base", "step_footer": "kept"},
        "ab": {
            "is_enabled": True,
            "test_groups": [
                {"group_name": "a", "percent": 50, "test_config": {"prompts": {"silence": "of a"}}},
                {"group_name": "b", "percent": 30, "test_config": {"conversation_control": {"max_silence_count": 1}}},
            ],
        },
    }

    async def hold() -> dict[str | None, list[Any]]:
        found: dict[str | None, list[Any]] = {}
        files = {"agent_settings/experimental_config.json": json.dumps(config)}
        async with serving(write(tmp_path, files), script(CALLS)) as talk:
            for n in range(120):
                one = talk()
                await one.open(id=f"c{n}")
                assert one.taken is not None
                if n < 40:
                    await one.say("")
                found.setdefault(one.taken.conversation.test_group, []).append(one)
        return found

    found = run(hold())
    assert {name: len(talks) for name, talks in found.items()} == {"a": 61, "b": 44, None: 15}
    for name, talks in found.items():
        reply = next(t for t in talks if len(t.replies) == 2).replies[1]
        if name == "b":
            assert reply["conversationEnded"]
            continue
        history = reply["metadata"]["llmRequests"][0]["llm_request"]["conversation_history"]
        assert history[-1]["content"] == ("of a" if name == "a" else "base")


# Small members.


def test_the_csat_flow_is_entered_after_its_lead_in(tmp_path: Path) -> None:
    files = {
        "agent_settings/rules.txt": "{{fn:act}}",
        "functions/act.py": function(
            "conv.state.csat_output_args = {'utterance': 'One question.'}\nconv.set_csat_eligibility(True)\nconv.set_csat_score(5)\nconv.goto_csat_flow()"
        ),
        "flows/csat/flow_config.yaml": "name: CSAT\ndescription: d\nstart_step: Ask\n",
        "flows/csat/steps/ask.yaml": "step_type: advanced_step\nname: Ask\nprompt: How was it?\n",
    }
    reply = converse(tmp_path, files, "act").replies[1]
    assert (reply["response"], reply["metadata"]["inFlow"]) == ("One question.", "CSAT")
    assert reply["metadata"]["metrics"] == {"CSAT_ELIGIBILITY": True, "CSAT_SCORE": 5}


def test_attachments_suggestions_and_call_actions_stand_on_the_turn_that_queued_them(tmp_path: Path) -> None:
    body = (
        "conv.attachments.append(Attachment(content_url='https://x.example/a.png', content_type='image', title='Map'))\n"
        "conv.response_suggestions.append('Yes please')\n"
        "conv.webchat.set_chat_call_actions([ChatCallAction(contact_number='+1', title='Call')])\nreturn 'x'"
    )
    talk = converse(
        tmp_path,
        {"functions/act.py": function(f"if conv.state.done:\n    return 'again'\nconv.state.done = True\n{body}")},
        "act",
        "act",
    )
    first, second = talk.calls
    assert [(m["kind"], m.get("title") or m.get("message_text")) for m in first["messages"]] == [
        ("call_action", "Call"), ("attachment", "Map"), ("response_suggestion", "Yes please"),
    ]  # fmt: skip
    assert second["messages"] == []
    assert talk.replies[1]["metadata"]["attachments"][0]["content_url"] == "https://x.example/a.png"
    assert talk.replies[1]["metadata"]["responseSuggestions"] == [{"message_text": "Yes please"}]
    assert talk.replies[1]["metadata"]["chatCallActions"] == [{"contact_number": "+1", "title": "Call"}]


def test_a_channel_may_have_its_own_disclaimer_or_none(tmp_path: Path) -> None:
    config = {"conversation_control": {"channel_overrides": {
        "sip.polyai": {"disclaimer_message": {"is_enabled": True, "message": "Recorded line."}},
        "chat.polyai": {"disclaimer_message": {"is_enabled": False, "message": "x"}},
    }}}  # fmt: skip
    files = {
        "agent_settings/experimental_config.json": json.dumps(config),
        "voice/configuration.yaml": "greeting: {welcome_message: Hello., language_code: en-GB}\ndisclaimer_messages: {message: Ours., enabled: true, language_code: en-GB}\n",
    }
    said = [
        converse(tmp_path / channel, files, opening={"channel": channel}).replies[0]["response"]
        for channel in ("sip.polyai", "chat.polyai")
    ]
    assert said == ["Recorded line. Hello.", "Hello."]
