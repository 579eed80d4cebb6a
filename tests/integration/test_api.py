"""The Conversations API over HTTP: shapes, errors, keys, repeats, and what bad input gets."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.test_turns import CALLS, FLOW, RULES, function
from tests.support.http import Api, Process, api
from tests.support.talk import run, script, write
from vivavoce.api.app import ROUTES
from vivavoce.service.keys import OPERATOR

FILES = {
    "agent_settings/rules.txt": RULES,
    "functions/start_function.py": "def start_function(conv):\n    conv.state.attributes = conv.integration_attributes\n",
    "functions/act.py": function("conv.goto_flow('Flow F')\nconv.state.who = 'Ada'\nreturn 'x'"),
    "functions/other.py": function(
        "conv.state.n = (conv.state.n or 0) + 1\nimport time\ntime.sleep(0.2)\nreturn str(conv.state.n)", "other"
    ),
    "config/variant_attributes.yaml": "variants:\n- name: v\n  is_default: true\n- name: w\nattributes: []\n",
    "voice/configuration.yaml": "greeting:\n  welcome_message: Hello!\n  language_code: en-GB\n",
    **FLOW,
}
MODEL = CALLS.replace("rules:", "rules:\n  - when: {said: other, tool: other}\n    call: {name: other}", 1)


def served(tmp_path: Path, check: Any, **overrides: Any) -> None:
    async def go() -> None:
        async with api(write(tmp_path / "agent", FILES), script(MODEL), **overrides) as found:
            await check(found)

    run(go())


ENVELOPE = {"success", "error", "error_id", "error_code", "error_message", "data"}


def assert_error(found: tuple[int, Any, Any], status: int, code: str) -> None:
    got, body, headers = found
    assert (got, body["error_code"]) == (status, code), body
    assert (
        set(body) == ENVELOPE
        and body["error"] == body["error_message"]
        and body["data"] is None
        and body["success"] is False
    )
    assert body["error_id"] == headers["X-PolyAI-Correlation-Id"]


def test_a_conversation_has_the_fields_of_the_contract_filled_from_what_happened(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        opened = await http.open(
            integrationAttributes={"crm": 7}, variantId="w", asrLangCode="en-US", callerNumber="+441632960001"
        )
        assert set(opened) == {
            "conversationId",
            "userInput",
            "response",
            "metadata",
            "conversationEnded",
            "delayedResponse",
        }
        assert (
            opened["conversationId"].startswith("AS_CHAT_")
            and opened["userInput"] == ""
            and opened["response"] == "Hello!"
        )
        metadata = opened["metadata"]
        assert metadata["state"]["attributes"] == {"crm": 7} and metadata["state"]["from_"] == "+441632960001"
        assert (metadata["asrLangCode"], metadata["ttsLangCode"]) == ("en-US", "en-US")
        assert (
            metadata["citedTopic"] == ""
            and metadata["llmRequests"] == []
            and metadata["inFlow"] == ""
            and metadata["currentNode"] == ""
        )
        _, reply, _ = await http.say(opened["conversationId"], "act")
        metadata = reply["metadata"]
        assert metadata["currentNode"] == "Flow F/First" and metadata["nodeTrace"] == [
            "global",
            "function:act",
            "Flow F/First",
        ]
        event = metadata["functionEvents"][0]
        assert event["transition"] == {"goto_flow": "Flow F", "goto_step": None, "exit_flow": False}
        assert (
            event["state_changes"]["added"] == {"who": "Ada"}
            and event["llm_request_id"] == metadata["llmRequests"][0]["log_id"]
        )
        assert metadata["llmRequests"][0]["llm_response"]["function_calls"] == [
            {"function_id": "", "name": "act", "parameters": "{}"}
        ]

    served(tmp_path, check)


def test_what_was_said_can_be_read_back(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        ids = [(await http.open())["conversationId"] for _ in range(3)]
        await http.say(ids[0], "act")
        status, page, _ = await http.call("GET", "/v1/agents/tiny/conversations?limit=2")
        assert status == 200 and page["count"] == 3 and page["limit"] == 2 and page["offset"] == 0
        assert [c["conversationId"] for c in page["conversations"]] == [ids[2], ids[1]]
        assert page["conversations"][0]["channel"] == "CHAT" and page["conversations"][0]["inProgress"] is True
        _, found, _ = await http.call("GET", f"/v1/agents/tiny/conversations/{ids[0]}")
        assert [(t["user_input"], t["agent_response"]) for t in found["turns"]] == [
            ("", "Hello!"),
            ("act", "after act: x"),
        ]
        assert list(found["functionEvents"]) == ["1", "2"] and found["functionEvents"]["2"][0]["turn_id"] == 2
        assert len(found["turns"][1]["llm_requests"]) == 2 and found["turns"][1]["metadata"]["in_step"] == "First"
        assert found["turns"][1]["llm_requests"][1]["llm_request"]["conversation_history"][-1]["content"] == "x"

    served(tmp_path, check)


def test_every_route_wants_a_key_and_takes_no_wrong_one(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        for route in ROUTES:
            path = route.path.replace("{agentId}", "tiny").replace("{conversationId}", "c")
            if route.authentication == "none":
                assert (await http.call(route.method, path, key=None))[0] == 200
                continue
            for key in (None, "", "wrong", "test-keyX", "test-ke"):
                assert_error(await http.call(route.method, path, {}, key=key), 401, "AUTH_USER_INVALID_TOKEN")

    served(tmp_path, check)


def test_a_key_opens_what_it_was_made_for_until_it_is_revoked(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        assert http.started is not None
        keys = http.started.services.keys
        _, reader = await keys.create(OPERATOR, "reader", account_id="acme", permissions=("read",))
        _, stranger = await keys.create(OPERATOR, "stranger", account_id="elsewhere")
        _, narrow = await keys.create(OPERATOR, "narrow", account_id="acme", agents=("another",))
        path = "/v1/agents/tiny/conversations"
        chat = "/v1/agents/tiny/debug-chat"
        assert (await http.call("GET", path, key=reader))[0] == 200
        assert_error(await http.call("POST", chat, {"clientEnv": "sandbox"}, key=reader), 403, "USER_ACCESS_FORBIDDEN")
        assert_error(await http.call("GET", path, key=stranger), 404, "PROJECT_NOT_FOUND")
        assert_error(await http.call("POST", chat, {"clientEnv": "sandbox"}, key=narrow), 403, "USER_ACCESS_FORBIDDEN")
        await keys.revoke(OPERATOR, "reader")
        assert_error(await http.call("GET", path, key=reader), 401, "AUTH_USER_INVALID_TOKEN")

    served(tmp_path, check)


BODY = {"clientEnv": "sandbox"}
BAD_OPENINGS: list[tuple[Any, int, str]] = [
    (b"{not json", 400, "SCHEMA_VALIDATION_FAILED"),
    (b"", 400, "SCHEMA_VALIDATION_FAILED"),
    (b"\xff\xfe{}", 400, "SCHEMA_VALIDATION_FAILED"),
    (b"[" * 100_000, 400, "SCHEMA_VALIDATION_FAILED"),
    ([], 400, "SCHEMA_VALIDATION_FAILED"),
    ({}, 400, "SCHEMA_VALIDATION_FAILED"),
    ({"clientEnv": 1}, 400, "SCHEMA_VALIDATION_FAILED"),
    ({"clientEnv": "moon"}, 400, "SCHEMA_VALIDATION_FAILED"),
    ({"clientEnv": "live"}, 400, "CHAT_DRAFT_NOT_EXIST"),
    ({**BODY, "variantId": "nope"}, 400, "SCHEMA_VALIDATION_FAILED"),
    ({**BODY, "channel": "pigeon"}, 400, "SCHEMA_VALIDATION_FAILED"),
    ({**BODY, "asrLangCode": "english!"}, 400, "SCHEMA_VALIDATION_FAILED"),
    ({**BODY, "conversationId": "../../etc"}, 400, "SCHEMA_VALIDATION_FAILED"),
    ({**BODY, "conversationId": ""}, 400, "SCHEMA_VALIDATION_FAILED"),
    ({**BODY, "integrationAttributes": []}, 400, "SCHEMA_VALIDATION_FAILED"),
    ({**BODY, "simulatedAt": "yesterday"}, 400, "SCHEMA_VALIDATION_FAILED"),
    (b'{"clientEnv": "sandbox", "channel": "' + b"x" * (3 << 20) + b'"}', 413, "PAYLOAD_TOO_LARGE"),
]


def test_a_bad_opening_gets_the_documented_error_and_no_conversation(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        for body, status, code in BAD_OPENINGS:
            assert_error(await http.call("POST", "/v1/agents/tiny/debug-chat", body), status, code)
        assert_error(await http.call("POST", "/v1/agents/nobody/debug-chat", BODY), 404, "PROJECT_NOT_FOUND")
        assert (await http.call("GET", "/v1/agents/tiny/conversations"))[1]["count"] == 0

    served(tmp_path, check)


def test_a_bad_message_gets_the_documented_error_and_no_turn(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        one = (await http.open())["conversationId"]
        bad: list[tuple[dict[str, Any], str]] = [
            ({"clientEnv": "draft", "message": "x"}, "SCHEMA_VALIDATION_FAILED"),
            ({"clientEnv": "sandbox", "message": 5}, "SCHEMA_VALIDATION_FAILED"),
            ({"clientEnv": "sandbox", "message": "x" * (1 << 20)}, "SCHEMA_VALIDATION_FAILED"),
            ({"clientEnv": "sandbox", "ttsLangCode": "??"}, "SCHEMA_VALIDATION_FAILED"),
            ({"clientEnv": "sandbox", "metadata": "x"}, "SCHEMA_VALIDATION_FAILED"),
            ({"clientEnv": "sandbox", "metadata": {"dtmf": "drop table"}}, "SCHEMA_VALIDATION_FAILED"),
        ]
        path = f"/v1/agents/tiny/debug-chat/{one}"
        for body, code in bad:
            assert_error(await http.call("POST", path, body), 400, code)
        assert_error(await http.say("unknown", "x"), 404, "CONVERSATIONS_NOT_FOUND")
        assert_error(await http.say("%2e%2e%2f", "x"), 404, "NOT_FOUND")
        _, found, _ = await http.call("GET", f"/v1/agents/tiny/conversations/{one}")
        assert len(found["turns"]) == 1
        status, reply, _ = await http.say(one, "emoji 🚲, \x00 and {{fn:act}} are only words")
        assert status == 200 and reply["userInput"] == "emoji 🚲, \x00 and {{fn:act}} are only words"

    served(tmp_path, check)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=-1", "limit=x", "offset=-1", "offset=1e9", "limit=99999999999999999999"]
)
def test_a_bad_page_is_refused(query: str, tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        assert_error(
            await http.call("GET", f"/v1/agents/tiny/conversations?{query}"),
            400,
            "GET_CONVERSATIONS_FILTER_PARSE_ERROR",
        )

    served(tmp_path, check)


def test_a_page_beyond_the_end_is_empty(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await http.open()
        _, page, _ = await http.call("GET", "/v1/agents/tiny/conversations?offset=500")
        assert page["conversations"] == [] and page["count"] == 1

    served(tmp_path, check)


def test_a_taken_id_is_409_and_the_first_conversation_goes_on(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await http.open(conversationId="mine")
        body = {**BODY, "conversationId": "mine"}
        assert_error(await http.call("POST", "/v1/agents/tiny/debug-chat", body), 409, "CONVERSATION_ID_EXISTS")
        assert (await http.say("mine", "act"))[0] == 200

    served(tmp_path, check)


def test_the_same_idempotency_key_gets_the_same_reply_and_runs_once(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        path = "/v1/agents/tiny/debug-chat"
        headers = {"Idempotency-Key": "k1"}
        first = await http.call("POST", path, BODY, headers=headers)
        again = await http.call("POST", path, BODY, headers=headers)
        assert first[:2] == again[:2] and first[0] == 201
        assert (await http.call("GET", "/v1/agents/tiny/conversations"))[1]["count"] == 1
        other = await http.call("POST", path, {**BODY, "variantId": "w"}, headers=headers)
        assert_error(other, 409, "IDEMPOTENCY_KEY_REUSED")
        one = first[1]["conversationId"]
        body = {**BODY, "message": "other", "metadata": {"client_message_id": "m1"}}
        replies = await asyncio.gather(*(http.call("POST", f"{path}/{one}", body) for _ in range(5)))
        assert [r[1]["response"] for r in replies] == ["after other: 1"] * 5
        assert len((await http.call("GET", f"/v1/agents/tiny/conversations/{one}"))[1]["turns"]) == 2

    served(tmp_path, check)


def test_one_idempotency_key_for_several_conversations_at_once_is_taken_by_one(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        ids = [(await http.open())["conversationId"] for _ in range(4)]
        headers = {"Idempotency-Key": "shared"}

        async def say(id: str) -> int:
            path = f"/v1/agents/tiny/debug-chat/{id}"
            return (await http.call("POST", path, {**BODY, "message": "other"}, headers=headers))[0]

        first = await asyncio.gather(*(say(id) for id in ids))
        assert sorted(first) == [200, 409, 409, 409]
        assert [await say(id) for id in ids] == list(first)  # what was answered so is answered so again

    served(tmp_path, check)


def test_nothing_has_a_name_with_a_nul(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        for path in ("/v1/agents/ti%00ny/conversations", "/v1/agents/tiny/conversations/%00", "/v1/erasures/%00"):
            assert_error(await http.call("GET", path), 404, "NOT_FOUND")

    served(tmp_path, check)


def test_messages_that_arrive_together_are_answered_one_after_the_other(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        one = (await http.open())["conversationId"]
        replies = await asyncio.gather(*(http.say(one, "other") for _ in range(4)))
        assert sorted(r[1]["response"] for r in replies) == [f"after other: {n}" for n in (1, 2, 3, 4)]

    served(tmp_path, check)


def test_a_conversation_that_stays_busy_is_409_with_a_time_to_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check(http: Api) -> None:
        assert http.started is not None
        monkeypatch.setattr(http.started.services.chats._claims, "_wait", 0.02)
        one = (await http.open())["conversationId"]
        first = asyncio.create_task(http.say(one, "other"))
        await asyncio.sleep(0.05)
        busy = await http.say(one, "other")
        assert_error(busy, 409, "CONVERSATION_BUSY")
        assert int(busy[2]["Retry-After"]) >= 1
        assert (await first)[0] == 200

    served(tmp_path, check)


def test_errors_come_as_problem_json_for_those_who_ask(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        status, body, headers = await http.call(
            "GET", "/v1/agents/no/conversations", headers={"Accept": "application/problem+json"}
        )
        assert status == 404 and headers["content-type"] == "application/problem+json"
        assert body["title"] == "PROJECT_NOT_FOUND" and body["status"] == 404

    served(tmp_path, check)


def test_a_correlation_id_is_echoed_and_never_a_redirect_given(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        _, body, headers = await http.call("GET", "/v1/nothing/", headers={"X-PolyAI-Correlation-Id": "adk-1"})
        assert (
            headers["X-PolyAI-Correlation-Id"] == "adk-1" == body["error_id"]
            and headers["access-control-allow-origin"] == "*"
        )
        status, _, headers = await http.call("GET", "/v1/agents/tiny/conversations/")
        assert status in (404, 405) and len(headers["X-PolyAI-Correlation-Id"]) == 36
        assert_error(await http.call("DELETE", "/v1/agents/tiny/conversations"), 405, "METHOD_NOT_ALLOWED")

    served(tmp_path, check)


def test_no_answer_of_ours_reads_as_html_or_tells_of_the_server(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        _, _, headers = await http.call("GET", "/v1/agents/<script>/conversations")
        assert headers["content-type"] == "application/json" and headers["x-content-type-options"] == "nosniff"

    served(tmp_path, check)


def test_a_change_of_the_folder_reaches_the_next_conversation_and_no_running_one(tmp_path: Path) -> None:
    folder = write(tmp_path / "agent", FILES)

    async def go() -> None:
        server = Process(str(folder), "--data", str(tmp_path / "data"), "--model", "local")
        try:
            async with aiohttp.ClientSession() as session:
                http = Api(session, server.address)
                old = (await http.open())["conversationId"]
                write(
                    folder,
                    {"voice/configuration.yaml": FILES["voice/configuration.yaml"].replace("Hello!", "Good day!")},
                )
                for _ in range(100):
                    await asyncio.sleep(0.05)
                    if (await http.open())["response"] == "Good day!":
                        break
                else:
                    raise AssertionError("the change never arrived")
                write(
                    folder, {"config/variant_attributes.yaml": "variants: [\n"}
                )  # a fault: the last good version goes on
                await asyncio.sleep(0.6)
                assert (await http.open())["response"] == "Good day!"
                _, found, _ = await http.call("GET", f"/v1/agents/tiny/conversations/{old}")
                assert found["turns"][0]["agent_response"] == "Hello!"
                assert (await http.say(old, "hello"))[0] == 200
        finally:
            assert server.stop() == 0

    run(go())


def test_an_answered_turn_survives_kill_9_and_the_conversation_goes_on_in_its_flow_without_its_folder(
    tmp_path: Path,
) -> None:
    folder = write(tmp_path / "agent", FILES)
    other = write(tmp_path / "other", {"project.yaml": "project_id: other\naccount_id: acme\n"})
    play = tmp_path / "script.yaml"
    play.write_text(MODEL)

    async def go() -> None:
        arguments = ("--data", str(tmp_path / "data"), "--model", f"scripted:{play}")
        server = Process(str(folder), *arguments)
        try:
            async with aiohttp.ClientSession() as session:
                http = Api(session, server.address)
                one = (await http.open())["conversationId"]
                assert (await http.say(one, "act"))[1]["metadata"]["inStep"] == "First"
        finally:
            server.kill()
        import shutil

        shutil.rmtree(folder)
        server = Process(str(other), *arguments)
        try:
            async with aiohttp.ClientSession() as session:
                http = Api(session, server.address)
                status, reply, _ = await http.say(one, "go")
                assert (
                    status == 200
                    and reply["metadata"]["inStep"] == "Second"
                    and reply["metadata"]["state"]["who"] == "Ada"
                )
                _, found, _ = await http.call("GET", f"/v1/agents/tiny/conversations/{one}")
                assert [t["user_input"] for t in found["turns"]] == ["", "act", "go"]
        finally:
            server.stop()

    run(go())


def test_two_servers_never_share_a_data_folder(tmp_path: Path) -> None:
    folder = write(tmp_path / "agent", FILES)
    server = Process(str(folder), "--data", str(tmp_path / "data"), "--model", "local")
    try:
        with pytest.raises(AssertionError, match=f"Another vivavoce at {server.address}"):
            Process(str(folder), "--data", str(tmp_path / "data"), "--model", "local")
    finally:
        server.stop()


def test_two_folders_of_one_agent_are_refused(tmp_path: Path) -> None:
    one, two = write(tmp_path / "one", FILES), write(tmp_path / "two", FILES)
    with pytest.raises(AssertionError, match="both are agent 'tiny'"):
        Process(str(one), str(two), "--data", str(tmp_path / "data"), "--model", "local")
