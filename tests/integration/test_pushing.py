"""The field's command-line client pulls an agent as one document and pushes batches of commands: whole, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_branches import AGENT, BRANCHES, MODEL
from tests.support.commands import batch, message, topic
from tests.support.http import Api, api
from tests.support.talk import run, script, write
from vivavoce.service.keys import OPERATOR
from vivavoce.wire.commands.batch import MAX_BYTES

PROJECT = "/adk/v1/accounts/acme/projects/tiny"


class Client:
    def __init__(self, http: Api, folder: Path) -> None:
        self.http, self.folder = http, folder
        self.branch = ""
        self.begun = 0

    async def begin(self) -> int:
        """A branch to push to; the last step of it."""
        self.begun += 1
        status, made, _ = await self.http.call("POST", BRANCHES, {"branchName": f"work {self.begun}"})
        assert status == 201, made
        self.branch = f"{PROJECT}/branches/{made['branchId']}"
        return (await self.pull())[0]

    async def pull(self, at: int | None = None) -> tuple[int, Any]:
        query = "" if at is None else f"?atSequence={at}"
        status, found, _ = await self.http.call("GET", f"{self.branch}/projection{query}")
        assert status == 200, found
        return int(found["lastKnownSequence"]), found["projection"]

    async def push(self, body: bytes) -> tuple[int, Any]:
        status, found, _ = await self.http.call("POST", f"{self.branch}/command-batch", body)
        return status, found

    async def topics(self) -> dict[str, Any]:
        return dict((await self.pull())[1]["knowledgeBase"]["topics"]["entities"])


def pushing(tmp_path: Path, check: Callable[[Client, int], Awaitable[None]]) -> None:
    async def go() -> None:
        folder = write(tmp_path / "agent", AGENT)
        async with api(folder, script(MODEL)) as http:
            client = Client(http, folder)
            await check(client, await client.begin())

    run(go())


def test_what_is_pushed_is_pulled_and_is_in_the_folder_after_the_merge(tmp_path: Path) -> None:
    async def check(client: Client, sequence: int) -> None:
        (hours,) = await client.topics()
        status, found = await client.push(
            batch(
                sequence,
                topic("TOPIC-park", "Parking", "Behind the house."),
                ("update_topic", {"id": hours, "content": "We open at ten."}),
                ("update_rules", {"behaviour": "Be long.\n"}),
            )
        )
        assert status == 200 and not found.get("error"), found
        after, projection = await client.pull()
        assert after > sequence and projection["agentSettings"]["rules"]["behaviour"] == "Be long.\n"
        assert projection["knowledgeBase"]["topics"]["entities"]["TOPIC-park"]["content"] == "Behind the house."
        assert (await client.pull(at=sequence))[1]["agentSettings"]["rules"]["behaviour"] == "Be brief.\n"  # as it was
        assert not (client.folder / "topics/parking.yaml").exists()
        status, _, _ = await client.http.call("POST", f"{client.branch}/merge", {})
        assert status == 200
        assert "Behind the house." in (client.folder / "topics/parking.yaml").read_text()
        kept = (client.folder / "topics/hours.yaml").read_text()
        assert kept == AGENT["topics/hours.yaml"].replace("nine.   #", "ten.    #")
        main = (await client.http.call("GET", f"{PROJECT}/branches/main/projection"))[1]["projection"]
        assert set(main["knowledgeBase"]["topics"]["entities"]) == {
            hours,
            "TOPIC-park",
        }  # by the id that the client chose

    pushing(tmp_path, check)


def test_a_batch_for_an_older_state_is_refused_and_of_many_at_once_one_wins(tmp_path: Path) -> None:
    async def check(client: Client, sequence: int) -> None:
        replies = await asyncio.gather(
            *(client.push(batch(sequence, topic(f"TOPIC-{n}", f"Topic {n}"))) for n in range(8))
        )
        assert sorted(status for status, _ in replies) == [200, *[409] * 7]
        assert {found["error_code"] for status, found in replies if status == 409} == {"BRANCH_SEQUENCE_CONFLICT"}
        assert len(await client.topics()) == 2
        for wrong in (sequence, sequence + 100):
            assert (await client.push(batch(wrong, topic("TOPIC-late", "Late"))))[0] == 409

    pushing(tmp_path, check)


def test_a_batch_with_one_command_that_cannot_be_is_refused_whole_and_named(tmp_path: Path) -> None:
    async def check(client: Client, sequence: int) -> None:
        before = await client.pull()
        for sent, code, said in (
            (("delete_topic", {"id": "none"}), "COMMAND_REFUSED", "Command 2 of 2 (delete_topic)"),
            (("update_function", {"id": "none", "code": "x"}), "COMMAND_REFUSED", "Command 2 of 2 (update_function)"),
            (topic("TOPIC-1", "Again"), "COMMAND_REFUSED", "Command 2 of 2 (create_topic)"),
            (topic("TOPIC-2", "\0"), "SCHEMA_VALIDATION_FAILED", "topics/"),
        ):
            status, found = await client.push(batch(sequence, topic("TOPIC-1", "One"), sent))
            assert (status, found["error_code"]) == (400, code), found
            assert said in found["error"] and found["data"] is None, found
        status, found = await client.push(batch(sequence, topic("TOPIC-1", "a b"), topic("TOPIC-2", "a-b")))
        assert (status, found["error_code"]) == (409, "PROJECTION_NAMES_CLASH")
        code = "def act(conv):\n  return (\n"
        status, found = await client.push(
            batch(sequence, ("create_function", {"id": "F", "name": "act", "description": "d", "code": code}))
        )
        assert status == 400 and "functions/act.py" in found["error"], found
        assert await client.pull() == before

    pushing(tmp_path, check)


def test_what_is_no_batch_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    async def check(client: Client, sequence: int) -> None:
        before = await client.pull()
        whole = batch(sequence, topic("TOPIC-1", "One", "x" * 1000))
        strange = message(sequence, topic("TOPIC-1", "One"))
        strange.commands[0].type = "paint_it"
        for body in (b"", b"{}", whole[:-1], whole[1:], b"\xff" * 100, strange.SerializeToString()):
            status, found = await client.push(body)
            assert (status, found["error_code"]) == (400, "COMMAND_BATCH_INVALID"), (body[:20], found)
        status, found = await client.push(b"\0" * (MAX_BYTES + 1))
        assert (status, found["error_code"]) == (413, "PAYLOAD_TOO_LARGE")
        assert await client.pull() == before

    pushing(tmp_path, check)


def test_main_is_not_pushed_to_and_names_lead_nowhere_else(tmp_path: Path) -> None:
    async def check(client: Client, sequence: int) -> None:
        found = (await client.http.call("GET", f"{PROJECT}/branches/main/projection"))[1]
        work, client.branch = client.branch, f"{PROJECT}/branches/main"
        status, reply = await client.push(batch(int(found["lastKnownSequence"]), topic("TOPIC-1", "One")))
        assert (status, reply["error_code"]) == (422, "BRANCH_IS_MAIN")
        client.branch = work
        before = {path for path in tmp_path.rglob("*") if path.is_file() and "data" not in path.parts}
        for name in ("../../escaped", "/etc/cron.d/x", "..", "a/../../b", "C:\\x", "x\0y", "." * 300):
            for sent in (
                topic("X", name),
                ("create_function", {"id": "X", "name": name, "description": "d", "code": "def x(conv):\n    pass\n"}),
                ("create_flow", {"id": "X", "name": name, "description": "", "start_step_id": ""}),
            ):
                status, reply = await client.push(batch((await client.pull())[0], sent))
                assert status in (200, 400, 409), reply
        await client.http.call("POST", f"{client.branch}/merge", {})
        new = {p for p in tmp_path.rglob("*") if p.is_file() and "data" not in p.parts} - before
        assert all(client.folder in path.resolve().parents for path in new), new

    pushing(tmp_path, check)


@pytest.mark.parametrize("name", ["small-agent", "none"])
def test_templates_are_listed_and_rendered(tmp_path: Path, name: str) -> None:
    async def check(client: Client, sequence: int) -> None:
        status, listed, _ = await client.http.call("GET", "/adk/v1/template-projects")
        assert status == 200 and "small-agent" in str(listed)
        status, found, _ = await client.http.call("GET", f"/adk/v1/template-projects/{name}/projection")
        if name == "none":
            assert (status, found["error_code"]) == (404, "TEMPLATE_NOT_FOUND") and "small-agent" in found["error"]
        else:
            assert status == 200 and found["projection"]["knowledgeBase"]["topics"]["ids"]

    pushing(tmp_path, check)


def test_who_may_read_may_pull_and_who_may_write_may_push_in_their_own_account(tmp_path: Path) -> None:
    async def check(client: Client, sequence: int) -> None:
        assert client.http.started is not None
        keys = client.http.started.services.keys
        body = batch(sequence, topic("TOPIC-1", "One"))
        for account, permissions, pulled, was_pushed in (
            ("acme", ("read",), 200, 403), ("acme", ("chat",), 403, 403), ("other", ("read", "write"), 404, 404),
        ):  # fmt: skip
            key = (await keys.create(OPERATOR, "k", account_id=account, permissions=permissions))[1]
            assert (await client.http.call("GET", f"{client.branch}/projection", key=key))[0] == pulled
            assert (await client.http.call("POST", f"{client.branch}/command-batch", body, key=key))[0] == was_pushed
        assert (await client.pull())[0] == sequence

    pushing(tmp_path, check)


# Test runs.

RUNS = "/v1/agents/tiny/testing"


def test_a_test_run_says_of_every_case_that_it_was_not_run(tmp_path: Path) -> None:
    async def go() -> None:
        case = "name: {0}\nscenario: Ask when you open.\nchannel: voice\ntags: [{0}]\nprompt_assertions:\n- The hours are told.\n"
        files = {f"test_suite/{name}.yaml": case.format(name) for name in ("opens", "closes")}
        async with api(write(tmp_path / "agent", {**AGENT, **files}), script(MODEL)) as http:
            status, run_, _ = await http.call(
                "POST", f"{RUNS}/test-runs/trigger", {"select": {"mode": "all"}, "name": "nightly"}
            )
            assert status == 200 and run_["test_case_count"] == 2
            status, found, _ = await http.call("GET", f"{RUNS}/test-runs/{run_['id']}")
            assert (found["status"], found["errorCount"], found["passedCount"]) == (found["status"], 2, 0)
            for each in found["testHistory"]:
                assert each["status"] == "errored" and "not run" in each["error"]
                assert each["testCaseSnapshot"]["name"] in ("opens", "closes")
            await http.call("POST", f"{RUNS}/test-runs/trigger", {"select": {"mode": "tags", "tags": ["opens"]}})
            status, listed, _ = await http.call("GET", f"{RUNS}/test-runs?limit=1")
            assert (listed["totalCount"], [each["testCaseCount"] for each in listed["testRuns"]]) == (2, [1])
            case_id = found["testHistory"][0]["testCaseId"]
            status, history, _ = await http.call("GET", f"{RUNS}/test-history?testCaseId={case_id}")
            assert status == 200 and {each["testCaseId"] for each in history["testHistory"]} == {case_id}
            for body, code in (
                ({"select": {"mode": "testIds", "testIds": ["none"]}}, "TEST_CASE_NOT_FOUND"),
                ({"branchId": "none"}, "BRANCH_NOT_FOUND"),
            ):
                status, refused, _ = await http.call("POST", f"{RUNS}/test-runs/trigger", body)
                assert (status, refused["error_code"]) == (404, code), refused
            status, refused, _ = await http.call("GET", f"{RUNS}/test-runs/none")
            assert (status, refused["error_code"]) == (404, "TEST_RUN_NOT_FOUND")

    run(go())


def test_a_branch_that_is_merged_late_does_not_give_ids_away(tmp_path: Path) -> None:
    async def check(client: Client, sequence: int) -> None:
        async def begun(*commands: tuple[str, dict[str, Any]], branch: str = "") -> str:
            if branch:
                client.branch = branch
            else:
                await client.begin()
            status, found = await client.push(batch((await client.pull())[0], *commands))
            assert status == 200, found
            return client.branch

        async def merge(branch: str, how: str = "merge") -> None:
            status, found, _ = await client.http.call("POST", f"{branch}/{how}", {})
            assert status == 200, found

        await merge(await begun(topic("T-1", "zza", "one")))
        late = await begun(topic("T-2", "another", "two"))
        await merge(await begun(("update_topic", {"id": "T-1", "name": "zze"})))
        await merge(await begun(topic("T-9", "zza", "nine")))
        expected = {"T-1": ("zze", "one"), "T-9": ("zza", "nine"), "T-2": ("another", "two")}
        await merge(late, "sync")
        for place in (late, f"{PROJECT}/branches/main"):
            if place != late:
                await merge(late)
            client.branch = place
            found = {id: (each["name"], each["content"]) for id, each in (await client.topics()).items()}
            assert {id: found.get(id) for id in expected} == expected

    pushing(tmp_path, check)
