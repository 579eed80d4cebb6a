"""A share of new conversations begins on another version, by their ids, and the two are compared."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_access import key
from tests.integration.test_turns import function
from tests.integration.test_versions import Author
from tests.support.console import visitor
from tests.support.http import KEY, api
from tests.support.talk import run, script, write
from vivavoce.cli.main import main
from vivavoce.domain.experiment import point_of
from vivavoce.service.keys import OPERATOR

AGENT = {
    "voice/configuration.yaml": "greeting:\n  welcome_message: One\n",
    "agent_settings/rules.txt": "Be brief. {{fn:finish}}\n",
    "functions/finish.py": function(
        "conv.write_metric('BASKET', float(amount))\nif float(amount) > 20:\n    conv.write_metric('BIG')\nreturn {'hangup': True}",
        "finish",
        ", amount: str",
    ),
}
MODEL = """
rules:
  - when: {said: "take (?P<amount>.+)", tool: finish}
    call: {name: finish, arguments: {amount: "{amount}"}}
otherwise: 'Go on.'
"""
TESTS = "/adk/v1/accounts/acme/projects/tiny/ab-tests"


def compared(tmp_path: Path, check: Callable[[Author, str, str], Awaitable[None]]) -> None:
    """`check(author, control, variant)`: version One serves live, version Two is in sandbox."""

    async def go() -> None:
        folder = write(tmp_path / "agent", AGENT)
        async with api(folder, script(MODEL)) as http:
            author = Author(http, folder)
            control = await author.does("publish")
            for _ in range(2):
                control = await author.does(f"{control['id']}/promote")
            await author.greets("Two")
            variant = await author.does("publish")
            await check(author, control["id"], variant["id"])

    run(go())


async def ask(
    author: Author, method: str, path: str = "", body: Any = None, *, expect: int = 200, key: str | None = None
) -> Any:
    status, found, _ = await author.http.call(method, TESTS + path, body, **({"key": key} if key else {}))
    assert status == expect, (status, found)
    return found


def wish(variant: str, share: float, name: str = "greeting", **more: Any) -> dict[str, Any]:
    return {"name": name, "variant_deployment_id": variant, "traffic_percentage": share, **more}


async def greetings(author: Author, ids: list[str]) -> dict[str, str]:
    return {id: (await author.http.open(clientEnv="live", conversationId=id))["response"] for id in ids}


def test_a_conversation_s_id_says_which_version_it_begins_on_and_it_stays_there(tmp_path: Path) -> None:
    async def check(author: Author, control: str, variant: str) -> None:
        ids = [f"c{n}" for n in range(60)]
        made = await ask(author, "POST", "", wish(variant, 40))
        assert (made["control_deployment_id"], made["client_env"], made["status"]) == (control, "live", "active")
        found = await greetings(author, ids)
        assert found == {id: "Two" if point_of("acme", "tiny", "live", id) < 40 else "One" for id in ids}
        assert len(set(found.values())) == 2
        assert (await author.http.open(clientEnv="sandbox"))["response"] == "Two"  # no test there
        listed = (
            await author.http.call("GET", f"/v1/agents/tiny/conversations?deploymentId={variant}&clientEnv=live")
        )[1]
        assert {each["conversationId"] for each in listed["conversations"]} == {id for id in ids if found[id] == "Two"}
        one = next(id for id in ids if found[id] == "Two")
        await ask(author, "PATCH", f"/{made['id']}", {"traffic_percentage": 0})
        assert set((await greetings(author, [f"d{n}" for n in range(20)])).values()) == {"One"}
        status, reply, _ = await author.http.call(
            "POST", f"/v1/agents/tiny/debug-chat/{one}", {"clientEnv": "live", "message": "on"}
        )
        assert status == 200
        detail = (await author.http.call("GET", f"/v1/agents/tiny/conversations/{one}"))[1]
        assert detail["deploymentId"] == variant, reply

    compared(tmp_path, check)


def test_promotion_is_not_blocked_and_its_conversations_belong_to_neither_side(tmp_path: Path) -> None:
    async def check(author: Author, control: str, variant: str) -> None:
        made = await ask(author, "POST", "", wish(variant, 50))
        await author.greets("Three")
        third = await author.does("publish")
        for _ in range(2):
            third = await author.does(f"{third['id']}/promote")
        found = await greetings(author, [f"c{n}" for n in range(30)])
        assert set(found.values()) == {"Two", "Three"}
        for id in found:
            await author.http.call(
                "POST", f"/v1/agents/tiny/debug-chat/{id}", {"clientEnv": "live", "message": "take 3"}
            )
        results = await ask(author, "GET", f"/{made['id']}/results")
        thirds = sum(text == "Three" for text in found.values())
        assert results["other_conversations"] == thirds
        assert (results["control"]["conversations"], results["variant"]["conversations"]) == (0, 30 - thirds)

    compared(tmp_path, check)


def test_what_both_come_to_is_told_from_the_record(tmp_path: Path) -> None:
    async def check(author: Author, control: str, variant: str) -> None:
        made = await ask(author, "POST", "", wish(variant, 50))
        found = await greetings(author, [f"c{n}" for n in range(40)])
        for id, text in found.items():
            amount = 10 if text == "One" else 30
            await author.http.call(
                "POST", f"/v1/agents/tiny/debug-chat/{id}", {"clientEnv": "live", "message": f"take {amount}"}
            )
        await author.http.open(clientEnv="live", conversationId="goes-on")  # is not counted: who knows how it ends
        results = await ask(author, "GET", f"/{made['id']}/results?confidence=90")
        ones = sum(text == "One" for text in found.values())
        control_, variant_ = results["control"], results["variant"]
        assert (control_["conversations"], variant_["conversations"]) == (ones, 40 - ones)
        assert control_["is_whole"] and results["confidence"] == 0.9 and results["other_conversations"] == 0
        assert (control_["metrics"]["BASKET"]["mean"], variant_["metrics"]["BASKET"]["mean"]) == (10, 30)
        assert (control_["metrics"]["BIG"]["count"], control_["metrics"]["BIG"]["mean"]) == (
            ones,
            0,
        )  # none wrote it: none had
        assert variant_["metrics"]["BIG"]["mean"] == 1 and results["comparisons"]["BIG"]["is_decided"]
        contained = results["comparisons"]["containment"]
        assert contained["difference"] == 0 and contained["low"] < 0 < contained["high"] and not contained["is_decided"]
        assert variant_["metrics"]["containment"]["mean"] == 1
        await ask(author, "GET", f"/{made['id']}/results?confidence=100", expect=400)

    compared(tmp_path, check)


def test_the_chosen_one_serves_when_the_test_ends(tmp_path: Path) -> None:
    async def check(author: Author, control: str, variant: str) -> None:
        made = await ask(author, "POST", "", wish(variant, 10))
        assert (await ask(author, "GET", "/active"))["id"] == made["id"]
        await ask(author, "DELETE", f"/{made['id']}", {"chosen_deployment_id": "another"}, expect=400)
        ended = await ask(author, "DELETE", f"/{made['id']}", {"chosen_deployment_id": variant})
        assert (ended["status"], ended["chosen_deployment_id"]) == ("ended", variant)
        assert set((await greetings(author, [f"c{n}" for n in range(20)])).values()) == {"Two"}
        assert await ask(author, "GET", "/active") == {}
        for method, body in (("DELETE", {}), ("PATCH", {"name": "x"})):
            assert (await ask(author, method, f"/{made['id']}", body, expect=409))["error_code"] == "AB_TEST_ENDED"
        assert [each["id"] for each in (await ask(author, "GET"))["ab_tests"]] == [made["id"]]
        audited = (await author.http.call("GET", "/v1/audit"))[1]
        assert {"experiment.create", "experiment.end"} <= {each["action"] for each in audited["entries"]}

    compared(tmp_path, check)


def test_the_control_may_be_chosen_as_well_and_it_serves_already(tmp_path: Path) -> None:
    async def check(author: Author, control: str, variant: str) -> None:
        made = await ask(author, "POST", "", wish(variant, 90))
        version = (await author.http.call("GET", f"/v1/agents/tiny/deployments/{control}"))[1]["version"]
        ended = await ask(author, "DELETE", f"/{made['id']}", {"chosen_deployment_id": version[:9]})
        assert ended["chosen_deployment_id"] == control
        assert set((await greetings(author, [f"c{n}" for n in range(10)])).values()) == {"One"}
        made = await ask(author, "POST", "", wish(variant, 90))
        assert (await ask(author, "DELETE", f"/{made['id']}", {}))["chosen_deployment_id"] is None

    compared(tmp_path, check)


def test_several_tests_share_the_conversations_and_no_more_than_there_are(tmp_path: Path) -> None:
    async def check(author: Author, control: str, variant: str) -> None:
        await author.greets("Three")
        third = await author.does("publish")
        await ask(author, "POST", "", wish(variant, 30, "two"))
        await ask(author, "POST", "", wish(third["id"], 30, "three"))
        found = await greetings(author, [f"c{n}" for n in range(60)])
        assert {text: text for text in found.values()}.keys() == {"One", "Two", "Three"}
        assert found == {
            id: "Two" if (at := point_of("acme", "tiny", "live", id)) < 30 else "Three" if at < 60 else "One"
            for id in found
        }
        refused = await ask(author, "POST", "", wish(variant, 41, "four"), expect=409)
        assert refused["error_code"] == "AB_TEST_TRAFFIC_EXCEEDED" and "60 of 100" in refused["error"]
        replies = await asyncio.gather(
            *(author.http.call("POST", TESTS, wish(variant, 15, f"race {n}")) for n in range(6))
        )
        assert sorted(status for status, _, _ in replies) == [200, 200, 409, 409, 409, 409]

    compared(tmp_path, check)


def test_a_test_that_cannot_be_is_refused_with_the_reason(tmp_path: Path) -> None:
    async def check(author: Author, control: str, variant: str) -> None:
        for body, code in (
            (wish(variant, 101), "SCHEMA_VALIDATION_FAILED"),
            (wish(variant, -1), "SCHEMA_VALIDATION_FAILED"),
            (wish(variant, 10, ""), "SCHEMA_VALIDATION_FAILED"),
            (wish(variant, 10, client_env="sandbox"), "SCHEMA_VALIDATION_FAILED"),
            (wish(control, 10), "SCHEMA_VALIDATION_FAILED"),
            ({"name": "x"}, "SCHEMA_VALIDATION_FAILED"),
        ):
            assert (await ask(author, "POST", "", body, expect=400))["error_code"] == code, body
        status, _, _ = await author.http.call(
            "POST", TESTS, b'{"name": "x", "variant_deployment_id": "x", "traffic_percentage": NaN}'
        )
        assert status == 400
        assert (await ask(author, "POST", "", wish("none", 10), expect=404))["error_code"] == "DEPLOYMENT_NOT_FOUND"
        assert (await ask(author, "GET", "/none", expect=404))["error_code"] == "AB_TEST_NOT_FOUND"
        assert author.http.started is not None
        keys = author.http.started.services.keys
        writer = (await keys.create(OPERATOR, "k", account_id="acme", permissions=("read", "write", "chat")))[1]
        await ask(author, "POST", "", wish(variant, 10), expect=403, key=writer)
        other = (await keys.create(OPERATOR, "k", account_id="other", permissions=("read", "admin")))[1]
        await ask(author, "GET", "", expect=404, key=other)
        assert (await ask(author, "GET"))["ab_tests"] == []

    compared(tmp_path, check)


def test_the_command_tells_in_the_terminal_how_it_stands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def check(author: Author, control: str, variant: str) -> None:
        def command(*arguments: str) -> str:
            line = ["ab-tests", *arguments, "--agent", "tiny", "--url", author.http.url, "--api-key", KEY]
            with pytest.raises(SystemExit) as left:
                main(line)
            assert left.value.code == 0, capsys.readouterr()
            return capsys.readouterr().out

        assert await asyncio.to_thread(command, "list") == "No A/B test.\n"
        told = await asyncio.to_thread(command, "create", "sandbox", "--share", "50", "--name", "greeting")
        assert told.startswith("Running now:\n* ") and told.endswith("greeting  50 % of live\n")
        for id, text in (await greetings(author, [f"c{n}" for n in range(40)])).items():
            amount = 10 if text == "One" else 30
            await author.http.call(
                "POST", f"/v1/agents/tiny/debug-chat/{id}", {"clientEnv": "live", "message": f"take {amount}"}
            )
        results = await asyncio.to_thread(command, "results")
        assert "BIG  control 0 (" in results and "the variant has more: difference +1" in results
        assert "containment  control 1 (" in results and "not decided: difference +0" in results
        test = (await ask(author, "GET"))["ab_tests"][0]["id"]
        assert "10 % of live" in await asyncio.to_thread(command, "share", test[:6], "--share", "10")
        assert "ended, variant chosen" in await asyncio.to_thread(command, "end", test[:6], "--choose", "variant")
        assert json.loads(await asyncio.to_thread(command, "list", "--json"))[0]["chosen_deployment_id"] == variant

    compared(tmp_path, check)


def test_a_test_is_begun_looked_at_and_ended_at_the_console(tmp_path: Path) -> None:
    async def check(author: Author, control: str, variant: str) -> None:
        path = "/console/agents/tiny/ab-tests"
        async with await visitor(author.http) as me:
            assert (
                "None yet." in (await me.get(path))[1] and f'href="{path}"' in (await me.get("/console/operations"))[1]
            )
            fields = {"what": "create", "name": "<b>greeting</b>", "version": "sandbox", "environment": "live"}
            assert (await me.post(path, {**fields, "share": "101"}))[0] == 400
            status, body = (await me.post(path, {**fields, "share": "50"}))[:2]
            assert status == 200 and "new conversations are drawn from now on" in body
            assert "&lt;b&gt;greeting&lt;/b&gt;" in body and "<b>greeting" not in body
            for id, text in (await greetings(author, [f"c{n}" for n in range(40)])).items():
                amount = 10 if text == "One" else 30
                await author.http.call(
                    "POST", f"/v1/agents/tiny/debug-chat/{id}", {"clientEnv": "live", "message": f"take {amount}"}
                )
            body = (await me.get(path))[1]
            assert "the variant has more" in body and "not decided" in body and 'class="interval"' in body
            test = (await ask(author, "GET"))["ab_tests"][0]["id"]
            await me.post(path, {"what": "share", "test": test, "share": "20"})
            assert (await ask(author, "GET", f"/{test}"))["traffic_percentage"] == 20
            assert "It has ended." in (await me.post(path, {"what": "end", "test": test, "chosen": variant}))[1]
            assert (await ask(author, "GET", f"/{test}"))["chosen_deployment_id"] == variant
            assert "variant chosen" in (await me.get(f"{path}/{test}"))[1]
            assert (await me.get(f"{path}/none"))[0] == 404
            assert (await me.post(path, {"what": "paint", "test": test}))[0] == 400
        async with await visitor(author.http, await key(author.http, "read")) as guest:
            body = (await guest.get(path))[1]
            assert "Begin a test" not in body and "the variant has more" in body
            assert (await guest.post(path, {**fields, "share": "1"}))[0] == 403

    compared(tmp_path, check)
