"""An agent's own redaction rules: they hold at once for all that is shown, and a run carries them over the record."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_access import http, key
from tests.support.http import Api
from vivavoce.domain.work import Work
from vivavoce.service.keys import OPERATOR
from vivavoce.service.redaction_rules import BLOCK

LIST, RULES = "/v1/agents/tiny/conversations", "/v1/agents/tiny/redaction"
OWN = {"patterns": [{"category": "plan", "pattern": r"\bplan-[a-z]+"}], "keep": ["Zuleika Quorn"], "shown": ["email"]}


async def said(http: Api, id: str, text: str) -> None:
    await http.open(conversationId=id)
    assert (await http.say(id, text))[0] == 200


async def shown(http: Api, id: str, reader: str) -> str:
    return str((await http.call("GET", f"{LIST}/{id}", key=reader))[1]["turns"][1]["user_input"])


def test_own_rules_hold_at_once_for_what_was_recorded_before(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        reader = await key(http, "read")
        await http.started.work.stop()  # type: ignore[union-attr]
        text = "I am Zuleika Quorn, on PLAN-basic, mail zq@example.org."
        await said(http, "one", text)
        assert await shown(http, "one", reader) == "I am [NAME], on PLAN-basic, mail [EMAIL]."
        status, kept, _ = await http.call("PUT", RULES, OWN)
        assert status == 200 and {k: kept[k] for k in OWN} == OWN
        assert (kept["run"]["conversations"], kept["run"]["done"]) == (1, 0)  # which has begun
        assert "[PLAN]" in await shown(http, "one", reader)
        await said(http, "two", text)
        assert await shown(http, "two", reader) == "I am Zuleika Quorn, on [PLAN], mail zq@example.org."
        status, run, _ = await http.call("POST", f"{RULES}/run")
        assert (status, run["conversations"], run["done"], run["finishedAt"]) == (202, 2, 0, None)
        await http.started.work.run_due()  # type: ignore[union-attr]
        run = (await http.call("GET", RULES, key=reader))[1]["run"]
        assert run["done"] == 2 and run["finishedAt"]
        assert await shown(http, "one", reader) == "I am Zuleika Quorn, on [PLAN], mail zq@example.org."
        actions = [e["action"] for e in (await http.call("GET", "/v1/audit"))[1]["entries"]]
        assert "redaction.change" in actions and "redaction.run" in actions

    http(tmp_path, check)


def test_search_follows_the_rules_once_they_have_run(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        assert http.started is not None
        reader = await key(http, "read")
        search = f"{LIST}?queryType=transcript&query=basic"
        await said(http, "one", "I have plan-basic.")
        await http.started.services.chats.end(OPERATOR, "tiny", "one")
        await http.started.work.run_due()
        assert (await http.call("GET", search, key=reader))[1]["count"] == 1
        await http.call("PUT", RULES, OWN)
        await http.started.work.run_due()
        assert (await http.call("GET", search, key=reader))[1]["count"] == 0
        assert (await http.call("GET", search))[1]["count"] == 1  # who may see it, finds it

    http(tmp_path, check)


def test_a_run_goes_on_where_it_was_and_ends(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        reader = await key(http, "read")
        await http.started.work.stop()  # type: ignore[union-attr]  # only what is asked for here is done
        many = BLOCK * 2 + 3
        for n in range(many):
            await said(http, f"c{n}", "I have plan-basic.")
        await http.call("PUT", RULES, OWN)
        await http.call("POST", f"{RULES}/run")
        rules = http.started.services.redaction_rules  # type: ignore[union-attr]
        work = Work(kind="redact", key="acme\0tiny", due_at=datetime.now(UTC))
        assert await rules.go_on(work) is not None  # and here the process is killed
        assert (await http.call("GET", RULES))[1]["run"]["done"] == BLOCK
        await http.started.work.run_due()  # type: ignore[union-attr]
        run = (await http.call("GET", RULES))[1]["run"]
        assert (run["done"], run["conversations"]) == (many, many) and run["finishedAt"]
        assert await shown(http, f"c{many - 1}", reader) == "I have [PLAN]."

    http(tmp_path, check)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"patterns": [{"category": "x", "pattern": "("}]}, "is no regular expression"),
        ({"patterns": [{"category": "Two Words", "pattern": "a"}]}, "is no category"),
        ({"patterns": [{"category": "x", "pattern": "a" * 501}]}, "500 characters"),
        ({"patterns": [{"category": "x", "pattern": "a"}] * 51}, "up to 50"),
        ({"keep": [" "]}, "keep may be"),
        ({"shown": ["pistcode"]}, "postcode"),
        ({"nonsense": 1}, "nonsense"),
        ([], "not as it should be"),
    ],
)
def test_rules_that_cannot_be_are_refused_and_change_nothing(tmp_path: Path, body: Any, says: str) -> None:
    async def check(http: Api) -> None:
        await http.call("PUT", RULES, OWN)
        status, refused, _ = await http.call("PUT", RULES, body)
        assert status == 400 and says in refused["error"]
        assert (await http.call("GET", RULES))[1]["keep"] == OWN["keep"]

    http(tmp_path, check)


def test_own_patterns_go_before_what_is_built_in_and_the_names_of_the_house_are_kept(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        reader = await key(http, "read")
        rules = {"patterns": [{"category": "loyalty_card", "pattern": r"\bSC-\d{6}\b"}], "keep": ["Spoke and Chain"]}
        assert (await http.call("PUT", RULES, rules))[0] == 200
        await said(http, "one", "Is that Spoke  and chain? My card SC-654321, my name is Zuleika Quorn")
        assert await shown(http, "one", reader) == "Is that Spoke  and chain? My card [LOYALTY_CARD], my name is [NAME]"

    http(tmp_path, check)


def test_a_pattern_that_never_ends_on_a_text_hides_it_and_holds_nobody_up(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        reader = await key(http, "read")
        pattern = "x(y|y|yy)+$"  # quick on the texts that it is tried on
        assert (await http.call("PUT", RULES, {"patterns": [{"category": "slow", "pattern": pattern}]}))[0] == 200
        await said(http, "one", "x" + "y" * 60 + "!")
        assert await shown(http, "one", reader) == "[SLOW]"

    http(tmp_path, check)


def test_rules_are_of_one_agent_and_one_account(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        other = await key(http, "read", "admin", "pii", account="other")
        assert (await http.call("PUT", RULES, OWN, key=other))[0] == 404
        assert (await http.call("GET", RULES, key=other))[0] == 404
        reader = await key(http, "read")
        assert (await http.call("PUT", RULES, OWN, key=reader))[0] == 403
        assert (await http.call("POST", f"{RULES}/run", key=reader))[0] == 403
        assert json.loads(json.dumps((await http.call("GET", RULES, key=reader))[1]))["patterns"] == []

    http(tmp_path, check)
