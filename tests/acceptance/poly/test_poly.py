"""The field's own command-line client, as it was published, does its work against this server."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.poly.driving import ROOT, WORKSHOP, Poly
from tests.support.http import KEY, Process
from vivavoce.client import Client


def project(place: Path) -> Path:
    folder = place / "project"
    folder.mkdir()
    (folder / "project.yaml").write_text("region: studio\naccount_id: spoke-and-chain\nproject_id: bike-workshop\n")
    return folder


@pytest.fixture
def poly(tmp_path: Path) -> Iterator[Poly]:
    served = shutil.copytree(WORKSHOP, tmp_path / "served")  # which merges write into
    process = Process(str(served), "--data", str(tmp_path / "data"), "--model", "local")
    try:
        yield Poly(project(tmp_path), process.address)
    finally:
        process.kill()


def test_it_chats_and_takes_a_conversation_up_again(poly: Poly) -> None:
    first = poly("chat", "-e", "sandbox", "-m", "When are you open?", "--functions", "--flows", "--state")
    (talk,) = first["conversations"]
    assert [turn["input"] for turn in talk["turns"]] == [None, "When are you open?"]
    assert "Monday to Friday" in talk["turns"][1]["response"]
    again = poly("chat", "-e", "sandbox", "--conv-id", talk["conversation_id"], "-m", "I have a puncture")
    assert again["conversations"][0]["turns"][-1]["response"]
    over = poly.run("chat", "-e", "sandbox", "-m", "When are you open?")  # ends its conversation when it leaves
    assert over.returncode == 0 and "Monday to Friday" in over.stdout
    nothing = poly("chat", "-e", "live", "-m", "Hello?")
    assert "Nothing is deployed" in json.dumps(nothing) or nothing.get("success") is False


def test_it_lists_conversations_and_shows_one(poly: Poly) -> None:
    (talk,) = poly("chat", "-e", "sandbox", "-m", "When are you open?")["conversations"]
    listed = poly("conversations", "list")["conversations"]
    assert [each["conversationId"] for each in listed] == [talk["conversation_id"]]
    detail = poly("conversations", "get", talk["conversation_id"])
    assert [turn["user_input"] for turn in detail["turns"]] == ["", "When are you open?"]
    shown = poly.run("conversations", "get", talk["conversation_id"])
    assert shown.returncode == 0 and "Monday to Friday" in shown.stdout


def test_it_promotes_and_goes_back(poly: Poly) -> None:
    with Client(poly.address, KEY) as client:
        first = client.deployments.publish("bike-workshop", message="first").deployment
        listed = poly("deployments", "list")["versions"]
        assert [each["version_hash"] for each in listed] == [first.version]
        promoted = poly("deployments", "promote", "--from", "sandbox", "--to", "pre-release", "-m", "on")
        assert promoted["success"] is True
        assert poly("deployments", "promote", "--from", "pre-release", "--to", "live", "-m", "on")["success"] is True
        active = client.deployments.active("bike-workshop").active_deployments
        assert {name: found.version for name, found in active.items() if found} == {
            "sandbox": first.version, "pre-release": first.version, "live": first.version,
        }  # fmt: skip
        assert poly("deployments", "show", first.version[:9])["deployment"]["id"] == first.id
        assert "live" in poly.run("deployments", "list").stdout
        branch = client.branches.create("bike-workshop", "shorter").branch_id
        client.branches.put_behaviour("bike-workshop", branch, "Be brief.\n")
        client.branches.merge("bike-workshop", branch)
        second = client.deployments.active("bike-workshop").active_deployments["sandbox"].version
        assert second != first.version
        poly("deployments", "rollback", "--to", first.version[:9], "--force")
        assert client.deployments.active("bike-workshop").active_deployments["sandbox"].version == first.version


def test_it_reads_and_writes_real_time_configuration(poly: Poly) -> None:
    poly("rtc", "pull")
    place = poly.folder / "real_time_configuration" / "draft_and_sandbox"
    (place / "schema.json").write_text('{"type": "object", "properties": {"open": {"type": "boolean"}}}')
    (place / "data.json").write_text('{"open": true}')
    assert poly("rtc", "push", "--env", "sandbox")["success"] is True
    with Client(poly.address, KEY) as client:
        assert client.agents.real_time_config("bike-workshop", "sandbox").variables == {"open": True}
    assert "open" not in json.dumps(poly("rtc", "diff").get("diffs", {}))


def test_it_downloads_the_recording_of_a_call(tmp_path: Path) -> None:
    data = tmp_path / "data"
    call = [
        sys.executable,
        "-m",
        "vivavoce",
        "call",
        str(WORKSHOP),
        "--script",
        str(ROOT / "examples/calls/booking.yaml"),
    ]
    done = subprocess.run(
        [*call, "--fast", "--model", "local", "--data", str(data)],
        cwd=tmp_path,  # where it leaves a recording of its own
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    process = Process(str(WORKSHOP), "--data", str(data), "--model", "local")
    try:
        poly = Poly(project(tmp_path), process.address)
        (call_,) = poly("conversations", "list")["conversations"]
        got = poly.run("conversations", "get-audio", call_["conversationId"], "-o", "call.wav")
        assert got.returncode == 0, got.stdout + got.stderr
        with wave.open(str(poly.folder / "call.wav")) as sound:
            assert sound.getnframes() / sound.getframerate() > 10
    finally:
        process.kill()


def test_a_conversation_without_a_recording_is_said_to_have_none(poly: Poly) -> None:
    (talk,) = poly("chat", "-e", "sandbox", "-m", "When are you open?")["conversations"]
    got = poly.run("conversations", "get-audio", talk["conversation_id"])
    assert got.returncode != 0 and "404" in got.stdout + got.stderr, got.stdout + got.stderr


def test_it_runs_test_cases_and_is_told_that_nothing_was_run(tmp_path: Path) -> None:
    process = Process(str(ROOT / "tests/agents/carried"), "--data", str(tmp_path / "data"), "--model", "local")
    try:
        folder = tmp_path / "project"
        folder.mkdir()
        Poly(folder, process.address)("init", "--region", "studio", "--account_id", "acme", "--project_id", "carried")
        poly = Poly(folder / "acme" / "carried", process.address)
        run = poly("test", "run", "--name", "nightly")
        assert run["success"] is True, run
        (listed,) = poly("test", "list")["test_runs"]["testRuns"]
        assert (listed["name"], listed["status"], listed["errorCount"]) == ("nightly", "errored", 1)
        shown = poly.run("test", "show", listed["id"])
        assert shown.returncode == 0 and "error" in shown.stdout.lower(), shown.stdout + shown.stderr
        assert "not run" in json.dumps(poly("test", "show", listed["id"]))
    finally:
        process.kill()


def test_it_loads_a_template_into_a_folder(poly: Poly) -> None:
    assert "small-agent" in json.dumps(poly("template", "list"))
    loaded = poly.run("template", "load", "small-agent", "--force")
    assert loaded.returncode == 0, loaded.stdout + loaded.stderr
    assert len(list((poly.folder / "topics").glob("*.yaml"))) == 2


def test_it_lists_the_audio_cache(poly: Poly) -> None:
    assert poly("audio-cache", "list")["entries"] == []
