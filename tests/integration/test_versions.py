"""Publishing, promoting and going back: what new conversations begin on, and what goes on as it was."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.http import Api, api
from tests.support.talk import run, script, write
from vivavoce.cli.main import main
from vivavoce.project.tree import read_tree
from vivavoce.service.keys import OPERATOR

AGENT = {"voice/configuration.yaml": "greeting:\n  welcome_message: One\n", "agent_settings/rules.txt": "Be brief.\n"}
MODEL = "rules: []\notherwise: 'Go on.'"
PLACE = "/v1/agents/tiny/deployments"
ADK = "/adk/v1/accounts/acme/projects/tiny"


class Author:
    """Who changes the folder, and lets the server read it again."""

    def __init__(self, http: Api, folder: Path) -> None:
        self.http, self.folder = http, folder

    async def greets(self, text: str) -> None:
        (self.folder / "voice/configuration.yaml").write_text(f"greeting:\n  welcome_message: {text}\n")
        assert self.http.started is not None
        await self.http.started.services.deployments.serve(self.folder)

    async def does(self, what: str, **body: Any) -> dict[str, Any]:
        status, found, _ = await self.http.call("POST", f"{PLACE}/{what}", body)
        assert status == (201 if what == "publish" else 200), found
        return dict(found["deployment"])

    async def greeting(self, environment: str) -> str:
        return str((await self.http.open(clientEnv=environment))["response"])

    async def refused(self, what: str, **body: Any) -> tuple[int, str]:
        status, found, _ = await self.http.call("POST", f"{PLACE}/{what}", body)
        return status, found["error_code"]


def authored(tmp_path: Path, check: Callable[[Author], Awaitable[None]]) -> None:
    async def go() -> None:
        folder = write(tmp_path / "agent", AGENT)
        async with api(folder, script(MODEL)) as http:
            await check(Author(http, folder))

    run(go())


def test_each_environment_is_served_by_what_was_published_or_promoted_to_it(tmp_path: Path) -> None:
    async def check(author: Author) -> None:
        assert await author.greeting("sandbox") == "One"  # follows the draft while nothing is published
        first = await author.does("publish", deploymentMessage="first")
        assert (first["environment"], first["createdBy"], first["metadata"]["deployment_type"]) == (
            "sandbox", "operator", "publish",
        )  # fmt: skip
        await author.greets("Two")
        assert [await author.greeting(name) for name in ("sandbox", "draft")] == ["One", "Two"]
        promoted = await author.does(f"{first['id']}/promote")
        assert promoted["environment"] == "pre-release" and promoted["version"] == first["version"]
        second = await author.does("publish")
        assert [await author.greeting(name) for name in ("sandbox", "pre-release")] == ["Two", "One"]
        live = await author.does(f"{second['version'][:9]}/promote", targetEnvironment="live")
        assert live["metadata"]["source_deployment_id"] == second["id"] and await author.greeting("live") == "Two"
        _, active, _ = await author.http.call("GET", f"{PLACE}/active")
        assert {name: found["version"] for name, found in active["activeDeployments"].items()} == {
            "sandbox": second["version"], "pre-release": first["version"], "live": second["version"],
        }  # fmt: skip

    authored(tmp_path, check)


def test_who_goes_on_stays_on_the_version_that_they_began_with(tmp_path: Path) -> None:
    async def check(author: Author) -> None:
        await author.does("publish")
        id = (await author.http.open())["conversationId"]
        (author.folder / "agent_settings/rules.txt").write_text("Be long.\n")
        await author.greets("Two")
        later = await author.does("publish")
        status, said, _ = await author.http.say(id, "Hello?")
        assert status == 200
        prompts = said["metadata"]["llmRequests"][0]["llm_request"]["base_system_prompts"]
        assert any("Be brief." in part["content"] for part in prompts)
        _, detail, _ = await author.http.call("GET", f"/v1/agents/tiny/conversations/{id}")
        assert detail["deploymentId"] != later["id"]
        _, packed, _ = await author.http.call("GET", f"{PLACE}/{detail['deploymentId']}/files")
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            assert archive.read("agent_settings/rules.txt") == b"Be brief.\n"

    authored(tmp_path, check)


def test_going_back_and_promoting_again_never_lose_what_was_there(tmp_path: Path) -> None:
    async def check(author: Author) -> None:
        first = await author.does("publish")
        await author.greets("Two")
        await author.does("publish")
        back = await author.does(f"{first['id']}/rollback", deploymentMessage="Two was rude")
        assert await author.greeting("sandbox") == "One"
        _, found, _ = await author.http.call("GET", f"{PLACE}?environment=sandbox")
        assert [(each["id"] == back["id"], each["metadata"]["deployment_type"]) for each in found["deployments"]] == [
            (True, "rollback"), (False, "publish"), (False, "publish"),
        ]  # fmt: skip
        assert await author.refused(f"{first['id']}/rollback") == (409, "DEPLOYMENTS_ALREADY_PUBLISHED")
        promoted = await author.does(f"{back['id']}/promote", targetEnvironment="live")
        assert (
            await author.does(f"{back['id']}/promote", targetEnvironment="live") == promoted
        )  # it serves there already
        assert await author.refused(f"{promoted['id']}/promote") == (400, "DEPLOYMENTS_INVALID_ENVIRONMENT")

    authored(tmp_path, check)


def test_what_cannot_be_done_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    async def check(author: Author) -> None:
        await author.does("publish")
        draft = (await author.http.call("GET", f"{PLACE}/draft"))[1]["id"]
        assert await author.refused("publish") == (409, "DEPLOYMENTS_ALREADY_PUBLISHED")
        await author.greets("Two")
        assert await author.refused("publish", version="0" * 32) == (409, "CONFLICT")
        assert await author.refused("publish", environment="live") == (400, "DEPLOYMENTS_INVALID_ENVIRONMENT")
        assert await author.refused("publish", deploymentMessage="x" * 2001) == (400, "SCHEMA_VALIDATION_FAILED")
        assert await author.refused("nothing/promote") == (404, "DEPLOYMENT_NOT_FOUND")
        assert await author.refused("live/rollback") == (404, "DEPLOYMENT_NOT_FOUND")
        assert await author.refused("sandbox/promote", targetEnvironment="sandbox") == (
            400, "SCHEMA_VALIDATION_FAILED",
        )  # fmt: skip
        assert await author.refused(f"{draft}/promote", targetEnvironment="live") == (
            400, "DEPLOYMENTS_INVALID_ENVIRONMENT",
        )  # fmt: skip
        assert await author.refused(f"{draft}/rollback") == (400, "DEPLOYMENTS_INVALID_ENVIRONMENT")
        status, found, _ = await author.http.call("GET", f"{PLACE}?environment=moon")
        assert (status, found["error_code"]) == (400, "DEPLOYMENTS_INVALID_ENVIRONMENT")
        status, found, _ = await author.http.call("GET", PLACE)
        assert (status, found["error_code"]) == (400, "DEPLOYMENTS_INVALID_ENVIRONMENT")
        assert await author.greeting("sandbox") == "One"
        assert len((await author.http.call("GET", f"{PLACE}?environment=sandbox"))[1]["deployments"]) == 1

    authored(tmp_path, check)


def test_a_difference_names_each_file_and_shows_what_can_be_read(tmp_path: Path) -> None:
    async def check(author: Author) -> None:
        await author.does("publish")
        (author.folder / "topics").mkdir()
        (author.folder / "topics/hours.yaml").write_text("name: hours\ncontent: We open at nine.\n")
        (author.folder / "sources").mkdir()
        (author.folder / "sources/prices.txt").write_bytes(b"15\n" * 800_000)
        await author.greets("Two")
        _, found, _ = await author.http.call("GET", f"{PLACE}/draft/diff?against=sandbox")
        files = {file["path"]: file for file in found["files"]}
        assert {path: file["change"] for path, file in files.items()} == {
            "sources/prices.txt": "added", "topics/hours.yaml": "added", "voice/configuration.yaml": "changed",
        }  # fmt: skip
        assert {"-  welcome_message: One", "+  welcome_message: Two"} <= set(files["voice/configuration.yaml"]["lines"])
        assert files["sources/prices.txt"]["lines"] is None  # too long to be compared
        _, found, _ = await author.http.call("GET", f"{PLACE}/sandbox/diff")
        assert found["against"] is None and {file["change"] for file in found["files"]} == {"added"}

    authored(tmp_path, check)


def test_a_version_is_found_with_the_commit_that_its_author_stood_at(tmp_path: Path) -> None:
    async def check(author: Author) -> None:
        git = author.folder / ".git"
        (git / "refs/heads").mkdir(parents=True)
        (git / "HEAD").write_text("ref: refs/heads/main\n")
        (git / "packed-refs").write_text(f"# pack-refs with: peeled\n{'a' * 40} refs/heads/main\n")
        await author.greets("Two")
        assert (await author.does("publish"))["metadata"]["git_commit"] == "a" * 40
        (git / "refs/heads/main").write_text("b" * 40 + "\n")
        await author.greets("Three")
        assert (await author.does("publish"))["metadata"]["git_commit"] == "b" * 40
        for head in ("ref: refs/../../../etc/passwd", "ref: refs/heads/none", "nonsense", ""):
            (git / "HEAD").write_text(head)
            await author.greets(f"With {len(head)}")
            assert (await author.does("publish"))["metadata"]["git_commit"] is None

    authored(tmp_path, check)


def test_publishing_needs_the_right_to_administer_and_stands_in_the_audit_log(tmp_path: Path) -> None:
    async def check(author: Author) -> None:
        assert author.http.started is not None
        keys = author.http.started.services.keys
        _, reader = await keys.create(OPERATOR, "r", account_id="acme", permissions=("read", "chat", "write"))
        status, found, _ = await author.http.call("POST", f"{PLACE}/publish", {}, key=reader)
        assert (status, found["error_code"]) == (403, "USER_ACCESS_FORBIDDEN")
        status, _, _ = await author.http.call("POST", f"{PLACE}/publish", {}, headers={"X-PolyAI-Email": "sam@x.org"})
        assert status == 201
        status, found, _ = await author.http.call("GET", f"{PLACE}?environment=sandbox", key=reader)
        assert status == 200 and found["deployments"][0]["createdBy"] == "sam@x.org"
        _, log, _ = await author.http.call("GET", "/v1/audit")
        assert "deployment.publish" in [entry["action"] for entry in log["entries"]]

    authored(tmp_path, check)


# The spelling of the field's command-line client.


def test_the_routes_of_the_command_line_client_chat_in_snake_case(tmp_path: Path) -> None:
    async def check(author: Author) -> None:
        http = author.http
        _, accounts, _ = await http.call("GET", "/adk/v1/accounts")
        assert accounts == [{"id": "acme", "name": "acme", "active": True}]
        _, projects, _ = await http.call("GET", "/adk/v1/accounts/acme/projects")
        assert [project["id"] for project in projects["projects"]] == ["tiny"]
        assert (await http.call("GET", ADK))[1]["id"] == "tiny"
        status, made, _ = await http.call(
            "POST", f"{ADK}/chat", {"client_env": "sandbox", "channel": "webchat.polyai", "sip_headers": {"X-A": "1"}}
        )
        assert status == 200 and made["user_input"] == "" and made["conversation_ended"] is False
        id = made["conversation_id"]
        status, said, _ = await http.call("POST", f"{ADK}/chat/{id}", {"message": "Hello", "client_env": "sandbox"})
        assert (status, said["response"], said["user_input"]) == (200, "Go on.", "Hello")
        assert {"function_events", "in_flow", "in_step", "asr_lang_code"} <= said["metadata"].keys()
        assert "functionEvents" not in json.dumps(said)
        status, ended, _ = await http.call("POST", f"{ADK}/chat/{id}/end", {"client_env": "sandbox"})
        assert (status, ended) == (200, {"function_events": []})
        for gone in (id, "never-was"):
            status, told, _ = await http.call("POST", f"{ADK}/chat/{gone}", {"message": "Hello?"})
            assert (status, told["error_code"]) == (410, "CHAT_CONVERSATION_ENDED")

    authored(tmp_path, check)


def test_the_routes_of_the_command_line_client_know_accounts_apart(tmp_path: Path) -> None:
    async def check(author: Author) -> None:
        for method, path in (("GET", ""), ("GET", "/deployments"), ("GET", "/deployments/active"), ("POST", "/chat")):
            place = f"/adk/v1/accounts/rival/projects/tiny{path}"
            body = {"client_env": "sandbox"} if method == "POST" else None
            status, told, _ = await author.http.call(method, place, body)
            assert (status, told["error_code"]) == (404, "PROJECT_NOT_FOUND"), path
        status, told, _ = await author.http.call("GET", "/adk/v1/accounts/rival/projects")
        assert (status, told["error_code"]) == (404, "ACCOUNT_NOT_FOUND")

    authored(tmp_path, check)


def test_the_command_line_client_reads_deployments_as_it_knows_them(tmp_path: Path) -> None:
    async def check(author: Author) -> None:
        first = await author.does("publish", deploymentMessage="first")
        _, found, _ = await author.http.call("GET", f"{ADK}/deployments?client_env=sandbox")
        (each,) = found["deployments"]
        assert (each["id"], each["version_hash"], each["client_env"]) == (first["id"], first["version"], "sandbox")
        assert each["created_at"].endswith(" GMT") and each["deployment_metadata"]["deployment_message"] == "first"
        _, found, _ = await author.http.call("GET", f"{ADK}/deployments/active")
        assert found == {
            "sandbox": {"deployment_id": first["id"], "version": first["version"]},
            "pre-release": {"deployment_id": "", "version": ""},
            "live": {"deployment_id": "", "version": ""},
        }

    authored(tmp_path, check)


# The commands.


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    out = capsys.readouterr()
    return int(ended.value.code or 0), out.out, out.err


def test_versions_from_the_terminal_without_a_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path / "agent", AGENT)
    place = ("--agent", "tiny", "--data", str(tmp_path / "data"))

    def does(*arguments: str) -> str:
        code, out, err = command(capsys, *arguments)
        assert code == 0, err
        return out

    first = json.loads(does("publish", str(folder), "--data", str(tmp_path / "data"), "-m", "first", "--json"))
    (folder / "agent_settings/rules.txt").write_text("Be long.\n")
    dry = does("publish", str(folder), "--data", str(tmp_path / "data"), "--dry-run")
    assert "-Be brief." in dry and "+Be long." in dry
    assert len(json.loads(does("deployments", *place, "--json"))) == 1  # nothing was done
    does("publish", str(folder), "--data", str(tmp_path / "data"))
    assert "Serving now" in does("promote", *place) and "pre-release" in does("deployments", *place)
    assert "+Be brief." in does("promote", first["version"][:9], "--to", "pre-release", "--dry-run", *place)
    assert "+Be brief." in does("rollback", "--env", "sandbox", "--dry-run", *place)
    assert first["version"][:9] in does("rollback", "--env", "sandbox", *place)
    assert "changed" in does("diff", "sandbox", "pre-release", "--brief", *place)
    does("checkout", "sandbox", str(tmp_path / "out"), *place)
    assert read_tree(tmp_path / "out").hash == read_tree(write(tmp_path / "again", AGENT)).hash
    code, _, told = command(capsys, "checkout", "sandbox", str(tmp_path / "out"), *place)
    assert code != 0 and "not empty" in told
    code, _, told = command(capsys, "rollback", "--env", "live", *place)
    assert code != 0 and "never served" in told
    (folder / "voice/configuration.yaml").write_text("greeting: [")
    code, _, told = command(capsys, "publish", str(folder), "--data", str(tmp_path / "data"))
    assert code != 0 and "error" in told
