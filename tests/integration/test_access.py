"""Who may see and do what: every route with every kind of key, other accounts, and personal data."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.integration.test_turns import function
from tests.support.http import Api, api
from tests.support.talk import run, script, write
from vivavoce.api.app import ROUTES
from vivavoce.api.route import Route
from vivavoce.domain.principal import EVERY_PERMISSION, Permission
from vivavoce.service.keys import OPERATOR

AGENT = {
    "agent_settings/rules.txt": "Be brief. {{fn:look_up}}",
    "functions/look_up.py": function(
        "conv.log.info('looked up Zuleika Quorn', is_pii=True)\n"
        "conv.log.info('looked up ' + who)\n"
        "conv.state.customer_name = 'Zuleika Quorn'\n"
        "conv.state.balance = 12\n"
        "conv.write_metric('CALLER', 'zuleika.quorn@example.org')\n"
        "return 'Found Zuleika Quorn, phone 07700 900461.'",
        "look_up",
        ", who: str",
    ),
}
MODEL = """
rules:
  - when: {said: "name is (?P<who>[A-Za-z ]+)[.]", tool: look_up}
    call: {name: look_up, arguments: {who: "{who}"}}
  - when: {result_of: look_up}
    say: "Thank you, Zuleika, I have 07700 900461, is that right?"
otherwise: "Go on."
"""
# What no key without the right may ever be shown, in whatever spelling.
# Not within a word or a fraction: times and ids hold any five digits now and then.
SECRETS = re.compile(
    r"zuleika|quorn|(?<![\w.])07700|(?<![\w.])900461|\+447700900461|four six one|example\.org", re.IGNORECASE
)


def http(tmp_path: Path, check: Callable[[Api], Awaitable[None]], **overrides: Any) -> None:
    async def go() -> None:
        async with api(write(tmp_path / "agent", AGENT), script(MODEL), **overrides) as found:
            await check(found)

    run(go())


async def key(http: Api, *permissions: Permission, account: str | None = "acme", **more: Any) -> str:
    assert http.started is not None
    made = await http.started.services.keys.create(OPERATOR, "k", account_id=account, permissions=permissions, **more)
    return made[1]


VALUES = {
    "agentId": "tiny", "conversationId": "one", "account_id": "acme", "project_id": "tiny", "conversation_id": "one",
    "annotationId": "none", "receiptId": "none", "clientEnv": "sandbox", "identifier": "none", "keyId": "none",
    "exportId": "none", "entryId": "1", "turnIndex": "0", "deploymentId": "sandbox",
    "accountId": "acme", "branchId": "main", "branch_id": "main", "topicId": "none",
    "deployment_id": "sandbox", "ab_test_id": "none", "testRunId": "none", "testId": "none", "template_id": "none", "variantId": "none", "attributeId": "none",
}  # fmt: skip


def path_of(route: Route, **others: str) -> str:
    return re.sub(r"{(\w+)}", lambda m: {**VALUES, **others}[m[1]], route.path)


def test_every_route_lets_in_the_keys_it_names_and_no_others(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await http.open(conversationId="one")
        keys = {permission: await key(http, permission) for permission in EVERY_PERMISSION}
        for route in ROUTES:
            path = path_of(route)
            if route.authentication == "none":
                assert (await http.call(route.method, path, key=None))[0] == 200, path
                continue
            for bad in (None, "", "vv_wrong"):
                assert (await http.call(route.method, path, key=bad))[0] == 401, (route.method, path)
            assert route.permission is not None, f"{path} names no permission"
            for permission, text in keys.items():
                status, body, _ = await http.call(route.method, path, b"{}" if route.request else None, key=text)
                if permission == route.permission:
                    # Let in; what it asks may still need another right, or not be there.
                    assert status != 401 and not (status == 403 and f"{permission!r}" in body["error"]), (path, body)
                else:
                    assert status == 403, (route.method, path, permission, status)
                    assert repr(route.permission) in body["error"]

    http(tmp_path, check)


def test_a_key_for_other_agents_or_another_account_sees_nothing(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await http.open(conversationId="one")
        rival = await key(http, *EVERY_PERMISSION, account="rival")
        elsewhere = await key(http, *EVERY_PERMISSION, agents=["another"])
        bodies = {
            "CreateDebugChatBody": {"clientEnv": "sandbox"},
            "RespondDebugChatBody": {"clientEnv": "sandbox", "message": "hi"},
            "AddAnnotationsBody": {"annotations": [{"turnId": 0, "role": "agent", "annotationType": "wrong_info"}]},
            "UpsertNoteBody": {"note": "x"},
            "TagsBody": {"tags": ["x"]},
            "CreateCallBody": {"clientEnv": "sandbox"},
            "BulkDeleteAudioCacheRequest": {"ids": ["1"]},
            "SynthesizeAudioRequest": {"text": "x", "config": {}},
            "RedactionBody": {},
            "PublishDeploymentBody": {},
            "PromoteDeploymentBody": {},
            "RollbackDeploymentBody": {},
            "AdkChatBody": {"client_env": "sandbox"},
            "AdkRespondBody": {"message": "hi"},
            "AdkEndBody": {},
            "AdkDraftChatBody": {"artifact_version": "x"},
            "AdkExpectedBody": {},
            "AdkRenameBody": {"name": "x"},
            "AdkTagBody": {"tag": "x"},
            "DuplicateAgentBody": {"newAgentName": "x"},
            "CreateBranchBody": {"branchName": "x"},
            "MergeBranchBody": {},
            "UpdateAgentRulesBody": {"behavior": "x"},
            "CreateTopicBody": {"name": "x", "content": "x"},
            "UpdateTopicBody": {},
            "CreateVariantBody": {"name": "x"},
            "UpdateVariantBody": {},
            "AttributeBody": {"name": "x"},
            "CreateAbTestBody": {"name": "x", "variant_deployment_id": "sandbox", "traffic_percentage": 10},
            "UpdateAbTestBody": {},
            "EndAbTestBody": {},
            "TriggerTestRunBody": {},
            "UpdateConfigSchemaBody": {"schema": {}},
            "UpdateConfigVariablesBody": {"variables": {}},
        }
        before = (await http.call("GET", "/v1/agents/tiny/conversations/one"))[1]
        for route in ROUTES:
            if "{agentId}" not in route.path and "{project_id}" not in route.path:
                continue
            body = bodies.get(route.request.__name__) if route.request else None
            for text, expected in ((rival, {404}), (elsewhere, {403})):
                for others in ({}, {"account_id": "rival"}):
                    status, reply, _ = await http.call(route.method, path_of(route, **others), body, key=text)
                    assert status in expected | {400, 404}, (route.method, route.path, status, reply)
                    assert "one" not in json.dumps(reply if isinstance(reply, dict) else "").split('"')
        assert (await http.call("GET", "/v1/agents/tiny/conversations/one"))[1] == before
        listed = (await http.call("GET", "/v1/keys", key=rival))[1]["keys"]
        assert {k["accountId"] for k in listed} == {"rival"}

    http(tmp_path, check)


def test_ids_and_technical_names_are_no_personal_data(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        opened = await http.open()  # an id of the server's own making
        id = opened["conversationId"]
        await http.say(id, "my name is Zuleika Quorn.")
        await http.say(id, "this is useless, rubbish")
        reader = await key(http, "read")
        detail = (await http.call("GET", f"/v1/agents/tiny/conversations/{id}", key=reader))[1]
        (event,) = detail["functionEvents"]["2"]
        assert (event["name"], event["function_id"]) == ("look_up", "functions.look_up")
        assert event["arguments"] == {"who": "[NAME]"}
        assert detail["turns"][2]["user_input"] == "this is useless, rubbish"
        whole = (await http.call("GET", f"/v3/acme/tiny/conversations/{id}", key=reader))[1]
        assert whole["id"] == whole["state"]["call_sid"] == id

    http(tmp_path, check)


def test_a_key_expires_is_revoked_and_tells_when_it_was_used(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        assert http.started is not None
        status, made, _ = await http.call(
            "POST", "/v1/keys", {"name": "ci", "permissions": ["read"], "expiresAt": "2999-01-31"}
        )
        assert status == 201 and made["expiresAt"].startswith("2999-01-31")
        assert (await http.call("GET", "/v1/agents/tiny/conversations", key=made["key"]))[0] == 200
        (listed,) = (await http.call("GET", "/v1/keys"))[1]["keys"]
        assert listed["lastUsedAt"] and "key" not in listed and "digest" not in listed
        keys = http.started.services.keys
        later = keys._clock.now() + timedelta(days=400_000 // 400)
        clock = keys._clock
        keys._clock = type("Later", (), {"now": lambda self: later.replace(year=3000)})()  # type: ignore[assignment]
        status, body, _ = await http.call("GET", "/v1/agents/tiny/conversations", key=made["key"])
        assert status == 401 and "expired on 2999-01-31" in body["error"]
        keys._clock = clock
        assert (await http.call("DELETE", f"/v1/keys/{made['id']}"))[0] == 200
        assert (await http.call("GET", "/v1/agents/tiny/conversations", key=made["key"]))[0] == 401
        for bad in ({"expiresAt": "soon"}, {"expiresAt": "2001-01-01"}, {"permissions": []}, {"permissions": ["root"]}):
            assert (await http.call("POST", "/v1/keys", {"name": "x", **bad}))[0] == 400, bad

    http(tmp_path, check)


def test_a_key_cannot_make_one_that_may_more_than_itself(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        admin = await key(http, "admin", "read")
        assert (await http.call("POST", "/v1/keys", {"name": "x", "permissions": ["pii"]}, key=admin))[0] == 403
        assert (await http.call("POST", "/v1/keys", {"name": "x", "permissions": ["read"]}, key=admin))[0] == 201
        some = await key(http, "admin", "read", agents=["tiny"])
        assert (await http.call("POST", "/v1/keys", {"name": "x", "permissions": ["read"]}, key=some))[0] == 403
        given = {"name": "x", "permissions": ["read"], "agents": ["tiny"], "accountId": "rival"}
        status, made, _ = await http.call("POST", "/v1/keys", given, key=some)
        assert (status, made["accountId"]) == (201, "acme")  # never another account than its own

    http(tmp_path, check)


async def personal(http: Api) -> None:
    """A conversation with personal data wherever it can be."""
    await http.open(
        conversationId="one", callerNumber="+447700900461", integrationAttributes={"email": "zuleika.quorn@example.org"}
    )
    status, body, _ = await http.say("one", "Hello, my name is Zuleika Quorn. You can reach me on 07700 900461")
    assert status == 200 and "Zuleika" in body["response"], body
    await http.say(
        "one", "it's oh seven seven double oh nine oh oh four six one and zuleika dot quorn at example dot org"
    )
    await http.call("POST", "/v1/agents/tiny/conversations/one/note", {"note": "Call Zuleika Quorn on 07700 900461"})
    mark = {"turnId": 1, "role": "agent", "annotationType": "other", "text": "Said Zuleika, not Ms Quorn"}
    await http.call("POST", "/v1/agents/tiny/conversations/one/annotation", {"annotations": [mark]})


READS = (
    "/v1/agents/tiny/conversations", "/v1/agents/tiny/conversations/one", "/v3/acme/tiny/conversations?client_env=sandbox",
    "/v3/acme/tiny/conversations/one", "/v1/acme/tiny/conversations?client_env=sandbox", "/v1/agents/tiny/conversations/one/annotation",
    "/v1/acme/tiny/handoff_state?id=one",
)  # fmt: skip


def test_without_the_right_nothing_personal_is_shown_anywhere(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await personal(http)
        reader = await key(http, "read", "chat", "write")
        seer = await key(http, "read", "pii")
        for path in READS:
            for accept in ("application/json", "application/x-ndjson"):
                async with http.session.get(http.url + path, headers={"X-API-KEY": reader, "Accept": accept}) as reply:
                    text = await reply.text()
                    assert reply.status == 200 and not SECRETS.search(text), (path, SECRETS.findall(text), text[:2000])
        whole = json.dumps((await http.call("GET", READS[1], key=seer))[1])
        assert "Zuleika Quorn" in whole and "+447700900461" in whole and '"is_pii": true' in whole
        hidden = (await http.call("GET", READS[1], key=reader))[1]
        assert hidden["fromNumber"] == "REDACTED" and hidden["turns"][1]["user_input"].startswith(
            "Hello, my name is [NAME]."
        )
        assert hidden["turns"][1]["turn_id"] == 2 and hidden["turns"][1]["llm_requests"][0]["llm_request"]["functions"]
        third = (await http.call("GET", READS[3], key=reader))[1]
        assert third["from_number"] == "REDACTED" and third["state"]["balance"] == 12

    http(tmp_path, check)


def test_a_chat_key_gets_its_replies_and_not_what_the_agent_knows(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        chatter = await key(http, "chat")
        path = "/v1/agents/tiny/debug-chat"
        await http.call("POST", path, {"clientEnv": "sandbox", "conversationId": "two"}, key=chatter)
        said = {"clientEnv": "sandbox", "message": "My name is Zuleika Quorn."}
        headers = {"Idempotency-Key": "k1"}
        status, body, _ = await http.call("POST", f"{path}/two", said, key=chatter, headers=headers)
        assert status == 200 and "Zuleika" in body["response"] and "Zuleika" in body["userInput"]
        assert not SECRETS.search(json.dumps(body["metadata"])), body["metadata"]
        # The stored reply of a key that sees everything is not for one that does not.
        whole = await key(http, "chat", "pii")
        status, body, _ = await http.call("POST", f"{path}/two", said, key=whole, headers=headers)
        assert (status, body["error_code"]) == (409, "IDEMPOTENCY_KEY_REUSED")

    http(tmp_path, check)


def test_without_the_right_there_is_no_asking_by_what_is_hidden(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await personal(http)
        reader = await key(http, "read")
        for query in ("contact=%2B447700900461", "contact=0", "metric=CALLER", "metric=CALLER:x"):
            status, body, _ = await http.call("GET", f"/v1/agents/tiny/conversations?{query}", key=reader)
            assert status == 403 and "'pii'" in body["error"] and "conversations" not in body

    http(tmp_path, check)


def test_what_everybody_may_ask_names_nothing_that_is_served(tmp_path: Path) -> None:
    async def check(client: Api) -> None:
        for path in ("/healthz", "/readyz"):
            status, told, _ = await client.call("GET", path, key="")
            assert status == 200
            assert "tiny" not in json.dumps(told) and "acme" not in json.dumps(told), told
        assert told["agents"] == 1

    http(tmp_path, check)
