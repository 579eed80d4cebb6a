"""An agent is changed part by part on branches, and merged: the API and the folder are the same thing seen twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.http import Api, api
from tests.support.talk import run, script, write
from vivavoce.service.deployments import FolderRefused
from vivavoce.service.keys import OPERATOR

TOPIC = """# what callers ask most
name: hours
enabled: true
actions: ''
content: We open at nine.   # Saturdays as well
example_queries:
- When do you open?
"""
AGENT = {
    "project.yaml": "project_id: tiny\naccount_id: acme\n",
    "voice/configuration.yaml": "greeting:\n  welcome_message: Hello\n",
    "agent_settings/rules.txt": "Be brief.\n",
    "topics/hours.yaml": TOPIC,
    "config/variant_attributes.yaml": (
        "variants:\n- name: North\n  is_default: true\n- name: South\n"
        "attributes:\n- name: street\n  values:\n    North: High Street\n    South: Low Street\n"
    ),
}
MODEL = "rules: []\notherwise: 'Go on.'"
BRANCHES = "/v1/agents/tiny/branches"


class Author:
    def __init__(self, http: Api, folder: Path) -> None:
        self.http, self.folder = http, folder

    async def call(self, method: str, path: str, body: Any = None, *, expect: int = 200) -> Any:
        status, found, _ = await self.http.call(method, path, body, headers={"X-PolyAI-Email": "sam@x.org"})
        assert status == expect, (status, found)
        return found

    async def refused(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        status, found, _ = await self.http.call(method, path, body)
        assert status >= 400, found
        return status, found["error_code"]

    async def branch(self, name: str = "work", **body: Any) -> str:
        made = await self.call("POST", BRANCHES, {"branchName": name, **body}, expect=201)
        return f"{BRANCHES}/{made['branchId']}"

    async def merge(self, branch: str, **body: Any) -> Any:
        return await self.call("POST", f"{branch}/merge", body)


def authored(tmp_path: Path, check: Callable[[Author], Awaitable[None]]) -> None:
    async def go() -> None:
        folder = write(tmp_path / "agent", AGENT)
        async with api(folder, script(MODEL)) as http:
            await check(Author(http, folder))

    run(go())


def test_a_topic_that_is_changed_on_a_branch_comes_into_the_folder_with_the_merge(tmp_path: Path) -> None:
    async def check(author: Author) -> None:
        branch = await author.branch()
        (topic,) = await author.call("GET", f"{branch}/knowledge-base/topics")
        assert (topic["name"], topic["content"], topic["isActive"]) == ("hours", "We open at nine.", True)
        place = f"{branch}/knowledge-base/topics/{topic['id']}"
        await author.call("PATCH", place, {"content": "We open at ten."}, expect=204)
        made = await author.call(
            "POST", f"{branch}/knowledge-base/topics",
            {"name": "Parking", "content": "Behind the house.\nFor free.", "exampleQueries": {"queries": ["Where do I park?"]}},
            expect=201,
        )  # fmt: skip
        assert (author.folder / "topics/hours.yaml").read_text() == TOPIC  # nothing yet
        merged = await author.merge(branch, deploymentMessage="ten o'clock")
        assert merged["message"] == "Branch merged to main and deployed to sandbox" and merged["testRunIds"] == []
        text = (author.folder / "topics/hours.yaml").read_text()
        assert text == TOPIC.replace("nine.   #", "ten.    #")  # comments and all
        assert "content: |-\n  Behind the house.\n  For free.\n" in (author.folder / "topics/parking.yaml").read_text()
        found = await author.call("GET", "/v1/agents/tiny/deployments?environment=sandbox")
        (deployed,) = found["deployments"]
        assert (deployed["createdBy"], deployed["metadata"]["deployment_message"]) == ("sam@x.org", "ten o'clock")
        draft = await author.call("GET", "/v1/agents/tiny/deployments/draft")
        assert draft["version"] == deployed["version"]
        again = await author.call("GET", f"{BRANCHES}/main/knowledge-base/topics/{made['id']}")
        assert again["exampleQueries"] == {"queries": ["Where do I park?"]}
        await author.call("DELETE", f"{branch}/knowledge-base/topics/{made['id']}", expect=204)
        await author.merge(branch)
        assert not (author.folder / "topics/parking.yaml").exists()

    authored(tmp_path, check)


def test_behaviour_is_changed_on_a_branch_and_never_on_main(tmp_path: Path) -> None:
    async def check(author: Author) -> None:
        assert await author.call("GET", f"{BRANCHES}/main/behavior") == {"behavior": "Be brief.\n"}
        status, found, _ = await author.http.call("PATCH", f"{BRANCHES}/main/behavior", {"behavior": "Be long."})
        assert status == 422 and found["error"].startswith("Cannot directly update main branch")
        branch = await author.branch()
        await author.call("PATCH", f"{branch}/behavior", {"behavior": "Be long.\n"})
        await author.merge(branch)
        assert (author.folder / "agent_settings/rules.txt").read_text() == "Be long.\n"

    authored(tmp_path, check)


def test_variants_and_attributes_keep_their_ids_when_they_are_renamed(tmp_path: Path) -> None:
    async def check(author: Author) -> None:
        branch = await author.branch()
        variants = (await author.call("GET", f"{branch}/variants"))["variants"]
        (street,) = (await author.call("GET", f"{branch}/attributes"))["attributes"]
        assert [(v["name"], v["isDefault"], v["attributeValues"]["values"]) for v in variants] == [
            ("North", True, {street["id"]: "High Street"}), ("South", False, {street["id"]: "Low Street"}),
        ]  # fmt: skip
        east = await author.call(
            "POST", f"{branch}/variants", {"name": "East", "attributeValues": {"values": {street["id"]: "Sun Street"}}}, expect=201
        )  # fmt: skip
        phone = await author.call("POST", f"{branch}/attributes", {"name": "phone"}, expect=201)
        changed = await author.call(
            "PATCH", f"{branch}/variants/{east['id']}",
            {"name": "Far East", "isDefault": True, "attributeValues": {"values": {phone["id"]: "123"}}},
        )  # fmt: skip
        assert changed == {
            "id": east["id"], "name": "Far East", "isDefault": True,
            "attributeValues": {"values": {street["id"]: "Sun Street", phone["id"]: "123"}},
        }  # fmt: skip
        renamed = await author.call("PATCH", f"{branch}/attributes/{phone['id']}", {"name": "telephone"})
        assert renamed == {"id": phone["id"], "name": "telephone"}
        assert await author.refused("DELETE", f"{branch}/variants/{east['id']}") == (
            400,
            "VARIANTS_REMOVE_DEFAULT_ERROR",
        )
        north = variants[0]["id"]
        assert await author.call("DELETE", f"{branch}/variants/{north}") == {"id": north}
        assert await author.call("DELETE", f"{branch}/attributes/{street['id']}") == {"id": street["id"]}
        await author.merge(branch)
        assert (author.folder / "config/variant_attributes.yaml").read_text() == (
            "variants:\n- name: South\n- name: Far East\n  is_default: true\n"
            "attributes:\n- name: telephone\n  values:\n    South: ''\n    Far East: '123'\n"
        )
        main = (await author.call("GET", f"{BRANCHES}/main/variants"))["variants"]
        assert main[1]["id"] == east["id"]

    authored(tmp_path, check)


def test_what_only_one_side_has_changed_is_merged_and_what_both_have_is_asked(tmp_path: Path) -> None:
    async def check(author: Author) -> None:
        branch = await author.branch()
        (topic,) = await author.call("GET", f"{branch}/knowledge-base/topics")
        place = f"{branch}/knowledge-base/topics/{topic['id']}"
        await author.call("PATCH", place, {"content": "We open at ten.", "actions": "Say goodbye."}, expect=204)
        (author.folder / "topics/hours.yaml").write_text(
            TOPIC.replace("nine.", "eleven.").replace("- When do", "- Are you open?\n- When do")
        )
        assert author.http.started is not None
        await author.http.started.services.deployments.serve(author.folder)
        listed = (await author.call("GET", BRANCHES))["branches"]
        assert [(b["name"], b["isDiverged"]) for b in listed] == [("main", False), ("work", True)]
        status, found, _ = await author.http.call("POST", f"{branch}/merge", {})
        assert status == 400 and found["hasConflicts"] is True and found["errors"] == []
        assert found["conflicts"] == [
            {
                "path": ["topics/hours.yaml", "content"], "type": "modify", "baseValue": "We open at nine.",
                "oursValue": "We open at eleven.", "theirsValue": "We open at ten.",
            }
        ]  # fmt: skip
        broken = [{"path": ["topics/hours.yaml", "content"], "strategy": "ours", "value": [1, {"a": "b"}]}]
        status, told, _ = await author.http.call("POST", f"{branch}/merge", {"conflictResolutions": broken})
        assert status == 400 and "topics/hours.yaml:" in told["error"]  # the agent would not load any more
        settled = [{"path": ["topics/hours.yaml", "content"], "strategy": "theirs"}]
        await author.merge(branch, conflictResolutions=settled)
        (topic,) = await author.call("GET", f"{BRANCHES}/main/knowledge-base/topics")
        assert (topic["content"], topic["actions"]) == ("We open at ten.", "Say goodbye.")
        assert topic["exampleQueries"]["queries"] == ["Are you open?", "When do you open?"]

    authored(tmp_path, check)


def test_comments_of_the_folder_outlive_a_merge_that_both_sides_have_a_part_in(tmp_path: Path) -> None:
    async def check(author: Author) -> None:
        branch = await author.branch()
        (topic,) = await author.call("GET", f"{branch}/knowledge-base/topics")
        place = f"{branch}/knowledge-base/topics/{topic['id']}"
        await author.call("PATCH", place, {"content": "We open at ten."}, expect=204)
        (author.folder / "topics/hours.yaml").write_text(
            TOPIC.replace("- When do", "- Are you open?   # asked at night\n- When do") + "# reviewed in May\n"
        )
        assert author.http.started is not None
        await author.http.started.services.deployments.serve(author.folder)
        await author.merge(branch)
        text = (author.folder / "topics/hours.yaml").read_text()
        assert "content: We open at ten." in text and "- Are you open?" in text
        for comment in ("# what callers ask most", "# Saturdays as well", "# asked at night", "# reviewed in May"):
            assert comment in text

    authored(tmp_path, check)


def test_names_of_topics_however_long_or_odd_become_files(tmp_path: Path) -> None:
    async def check(author: Author) -> None:
        branch = await author.branch()
        names = ["x" * 300, "\N{SLIGHTLY SMILING FACE}", "'", "../../x", "a\0b"]
        for name in names:
            await author.call("POST", f"{branch}/knowledge-base/topics", {"name": name, "content": "x"}, expect=201)
        await author.merge(branch)
        found = await author.call("GET", f"{BRANCHES}/main/knowledge-base/topics")
        assert {topic["name"] for topic in found} == {*names, "hours"}
        assert len(list((author.folder / "topics").iterdir())) == len(names) + 1

    authored(tmp_path, check)


def test_reading_a_branch_adds_no_step_to_it(tmp_path: Path) -> None:
    async def check(author: Author) -> None:
        for n in range(3):
            (author.folder / "agent_settings/rules.txt").write_text(f"Rules {n}.\n")
            assert author.http.started is not None
            await author.http.started.services.deployments.serve(author.folder)
            for _ in range(2):
                await author.call("GET", BRANCHES)
        (main,) = (await author.call("GET", BRANCHES))["branches"]
        assert main["lastKnownSequence"] == "1"  # nobody has gone on from any of them

    authored(tmp_path, check)


def test_a_conflict_may_be_settled_by_a_value_of_ones_own(tmp_path: Path) -> None:
    async def check(author: Author) -> None:
        branch = await author.branch()
        await author.call("PATCH", f"{branch}/behavior", {"behavior": "One way.\n"})
        (author.folder / "agent_settings/rules.txt").write_text("Another way.\n")
        assert author.http.started is not None
        await author.http.started.services.deployments.serve(author.folder)
        assert (await author.http.call("POST", f"{branch}/merge", {}))[0] == 400
        path = ["agent_settings/rules.txt"]
        odd = {"conflictResolutions": [{"path": path, "strategy": "ours", "value": {"a": 1}}]}
        assert (await author.refused("POST", f"{branch}/merge", odd))[0] == 400
        await author.merge(branch, conflictResolutions=[{"path": path, "strategy": "ours", "value": "Both ways.\n"}])
        assert (author.folder / "agent_settings/rules.txt").read_text() == "Both ways.\n"

    authored(tmp_path, check)


def test_branches_are_put_away_and_known_by_name(tmp_path: Path) -> None:
    async def check(author: Author) -> None:
        branch = await author.branch()
        assert await author.refused("POST", BRANCHES, {"branchName": "work"}) == (409, "BRANCH_NAME_ALREADY_EXISTS")
        assert await author.refused("POST", BRANCHES, {"branchName": "main"}) == (409, "BRANCH_NAME_ALREADY_EXISTS")
        assert await author.refused("POST", BRANCHES, {"branchName": "x", "expectedMainLastKnownSequence": 9}) == (
            409, "BRANCH_SEQUENCE_CONFLICT",
        )  # fmt: skip
        assert await author.refused("DELETE", f"{BRANCHES}/main") == (422, "BRANCH_IS_MAIN")
        assert await author.refused("POST", f"{BRANCHES}/main/merge", {}) == (422, "BRANCH_IS_MAIN")
        gone = await author.call("DELETE", branch)
        assert gone["message"] == "Branch deleted"
        assert await author.refused("GET", f"{branch}/behavior") == (404, "BRANCH_NOT_FOUND")
        assert await author.refused("PATCH", f"{branch}/behavior", {"behavior": "x"}) == (404, "BRANCH_NOT_FOUND")
        assert await author.branch() != branch  # its name is free again
        assert len((await author.call("GET", BRANCHES))["branches"]) == 2

    authored(tmp_path, check)


def test_a_branch_of_a_branch_comes_into_it_first(tmp_path: Path) -> None:
    async def check(author: Author) -> None:
        work = await author.branch()
        deeper = await author.branch("deeper", sourceBranchId=work.rpartition("/")[2])
        await author.call("PATCH", f"{deeper}/behavior", {"behavior": "Deep.\n"})
        await author.merge(deeper)
        assert (await author.call("GET", f"{work}/behavior"))["behavior"] == "Deep.\n"
        assert (await author.call("GET", f"{BRANCHES}/main/behavior"))["behavior"] == "Be brief.\n"
        steps = (await author.call("GET", f"{work}/history"))["steps"]
        assert [(s["kind"], s["by"], s["branchName"] == "deeper") for s in steps] == [
            ("create", "sam@x.org", False), ("merge", "sam@x.org", True),
        ]  # fmt: skip

    authored(tmp_path, check)


def test_a_folder_that_changes_in_the_middle_of_a_merge_is_not_written_over(tmp_path: Path) -> None:
    async def check(author: Author) -> None:
        branch = await author.branch()
        await author.call("PATCH", f"{branch}/behavior", {"behavior": "Be long.\n"})
        (author.folder / "topics/hours.yaml").write_text(TOPIC + "# just saved\n")  # and not loaded yet
        assert await author.refused("POST", f"{branch}/merge", {}) == (409, "FOLDER_CONFLICT")
        assert (author.folder / "agent_settings/rules.txt").read_text() == "Be brief.\n"
        assert (author.folder / "topics/hours.yaml").read_text().endswith("# just saved\n")
        assert (await author.call("GET", "/v1/agents/tiny/deployments/active"))["activeDeployments"] == {}

    authored(tmp_path, check)


def test_a_folder_with_an_error_says_so_when_it_is_merged_into(tmp_path: Path) -> None:
    async def check(author: Author) -> None:
        branch = await author.branch()
        await author.call("PATCH", f"{branch}/behavior", {"behavior": "Be long.\n"})
        (author.folder / "topics/hours.yaml").write_text("name: hours\ncontent: [\n")
        assert author.http.started is not None
        deployments = author.http.started.services.deployments
        with pytest.raises(FolderRefused) as refused:
            await deployments.serve(author.folder)
        deployments.refuse("tiny", refused.value.message, refused.value.faults)  # as the watcher of folders does
        status, found, _ = await author.http.call("POST", f"{branch}/merge", {})
        assert (status, found["error_code"]) == (409, "FOLDER_CONFLICT") and "topics/hours.yaml:" in found["error"]

    authored(tmp_path, check)


def test_a_file_behind_a_link_is_not_written(tmp_path: Path) -> None:
    async def check(author: Author) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        branch = await author.branch()
        await author.call("POST", f"{branch}/knowledge-base/topics", {"name": "New", "content": "x"}, expect=201)
        (author.folder / "topics/hours.yaml").rename(outside / "hours.yaml")
        (author.folder / "topics").rmdir()
        (author.folder / "topics").symlink_to(outside)
        assert (await author.refused("POST", f"{branch}/merge", {}))[0] == 409
        assert sorted(path.name for path in outside.iterdir()) == ["hours.yaml"]

    authored(tmp_path, check)


# Agents.


def test_an_agent_that_begins_by_the_api_talks_is_copied_and_removed(tmp_path: Path) -> None:
    async def check(author: Author) -> None:
        body = {"name": "Front Desk", "agentId": "front-desk", "responseSettings": {"greeting": "Front desk, hello!"}}
        made = await author.call("POST", "/v1/accounts/acme/agents", body)
        assert (made["agentId"], made["agentName"], made["branchCount"]) == ("front-desk", "Front Desk", 0)
        assert await author.refused("POST", "/v1/accounts/acme/agents", body) == (409, "PROJECT_ID_ALREADY_EXISTS")
        greeted = await author.call(
            "POST", "/v1/agents/front-desk/debug-chat", {"clientEnv": "draft", "channel": "chat.polyai"}, expect=201
        )
        assert greeted["response"] == "Front desk, hello!"
        place = "/v1/agents/front-desk/branches"
        branch = (await author.call("POST", place, {"branchName": "b"}, expect=201))["branchId"]
        await author.call("PATCH", f"{place}/{branch}/behavior", {"behavior": "Be kind.\n"})
        await author.call("POST", f"{place}/{branch}/merge", {})
        copy = await author.call("POST", "/v1/agents/front-desk/duplicate", {"newAgentName": "Second Desk"})
        kind = await author.call("GET", f"/v1/agents/{copy['agentId']}/branches/main/behavior")
        assert kind == {"behavior": "Be kind.\n"}
        listed = await author.call("GET", "/v1/accounts/acme/agents")
        assert {each["agentId"] for each in listed} == {"tiny", "front-desk", copy["agentId"]}
        assert await author.refused("DELETE", "/v1/agents/front-desk") == (
            409,
            "PROJECT_IN_USE",
        )  # it has a conversation
        assert await author.refused("DELETE", "/v1/agents/tiny") == (409, "PROJECT_IN_USE")  # its folder is served
        rtc = f"/v1/agents/{copy['agentId']}/real-time-configs/sandbox"
        await author.call("PATCH", f"{rtc}/variables", {"variables": {"open": True}})
        await author.call("DELETE", f"/v1/agents/{copy['agentId']}", expect=204)
        assert await author.refused("GET", f"/v1/agents/{copy['agentId']}/branches") == (404, "PROJECT_NOT_FOUND")
        again = {**body, "agentId": copy["agentId"]}
        await author.call("POST", "/v1/accounts/acme/agents", again)  # the id is free, and nothing is left of it
        assert (await author.call("GET", rtc))["variables"] is None

    authored(tmp_path, check)


def test_agents_of_another_account_are_out_of_reach(tmp_path: Path) -> None:
    async def check(author: Author) -> None:
        assert author.http.started is not None
        _, rival = await author.http.started.services.keys.create(OPERATOR, "r", account_id="rival")
        body = {"name": "Mine", "responseSettings": {"greeting": "Hello"}}
        status, _, _ = await author.http.call("POST", "/v1/accounts/acme/agents", body, key=rival)
        assert status == 404
        status, listed, _ = await author.http.call("GET", "/v1/accounts/acme/agents", key=rival)
        assert (status, listed["error_code"]) == (404, "ACCOUNT_NOT_FOUND")
        for method, path in (("GET", BRANCHES), ("POST", f"{BRANCHES}/main/merge"), ("DELETE", "/v1/agents/tiny")):
            status, _, _ = await author.http.call(method, path, {} if method == "POST" else None, key=rival)
            assert status == 404, path

    authored(tmp_path, check)
