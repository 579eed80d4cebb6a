"""The command, as a person types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.http import Process

EXAMPLE = Path(__file__).parents[2] / "examples" / "bike-workshop"


def vivavoce(*arguments: str, stdin: str | None = None, data: Path | None = None) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("VIVAVOCE", "OPENAI", "ANTHROPIC"))}
    env["VIVAVOCE_RETRIEVAL"] = "lexical"
    if data is not None:
        env["VIVAVOCE_DATA"] = str(data)
    return subprocess.run(
        [sys.executable, "-m", "vivavoce", *arguments], input=stdin, env=env, capture_output=True, text=True, timeout=60
    )


def test_a_new_agent_is_valid_and_can_be_talked_to(tmp_path: Path) -> None:
    folder = tmp_path / "My first agent"
    assert vivavoce("new", str(folder)).returncode == 0
    checked = vivavoce("validate", str(folder))
    assert checked.returncode == 0 and "0 errors, 0 warnings" in checked.stdout
    talk = vivavoce(
        "chat", str(folder), "-m", "when are you open?", "-m", "please call me back", "--trace", data=tmp_path / "data"
    )
    assert talk.returncode == 0, talk.stderr
    assert (
        "from nine to five" in talk.stdout
        and "Leave a message / Who" in talk.stdout
        and "start_message()" in talk.stdout
    )
    again = vivavoce("new", str(folder))
    assert again.returncode == 1 and "not empty" in again.stderr


def test_a_file_that_nothing_reads_is_named_with_where_it_belongs(tmp_path: Path) -> None:
    folder = tmp_path / "agent"
    assert vivavoce("new", str(folder)).returncode == 0
    strays = {
        "config/handoff.yaml": "is config/handoffs.yaml meant?",
        "sources/prices.docx": "sources are .md, .markdown, .txt",
        "topics/more/hours.yaml": "one .yaml file a topic",
        "topic/hours.yaml": "is topics/ meant?",
        "flows/leave_a_message/step/who.yaml": "steps/*.yaml",
    }
    read = (
        "functions/helpers/dates.py",
        "sources/deep/terms.MD",
        "context/notes.md",
        "topics/README.md",
        "docs/plan.txt",
    )
    for path in (*strays, *read):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("# nothing\n")
    checked = vivavoce("validate", str(folder), "--json")
    assert checked.returncode == 0
    (folder / "sources" / os.fsdecode(b"\xff.docx")).touch()
    assert "sources/\ufffd.docx:1: warning: It is not read" in vivavoce("validate", str(folder)).stdout
    warned = {f["path"]: f["message"] for f in json.loads(checked.stdout)["faults"] if f["code"] == "unknown-file"}
    assert warned.keys() == strays.keys()
    for path, remedy in strays.items():
        assert remedy in warned[path]


def test_faults_are_printed_with_file_and_line_and_make_the_command_fail(tmp_path: Path) -> None:
    (tmp_path / "project.yaml").write_text("project_id: x\n")
    (tmp_path / "topics").mkdir()
    (tmp_path / "topics" / "t.yaml").write_text("name: t\nenabled: maybe\n")
    plain = vivavoce("validate", str(tmp_path))
    assert plain.returncode == 1 and plain.stdout.startswith("topics/t.yaml:2: error: enabled should be true or false")
    found = json.loads(vivavoce("validate", str(tmp_path), "--json").stdout)
    assert found["faults"][0] == {
        "path": "topics/t.yaml",
        "line": 2,
        "severity": "error",
        "code": "wrong-type",
        "message": "enabled should be true or false, not text ('maybe').",
    }
    served = vivavoce("serve", str(tmp_path), "--port", "0", data=tmp_path / "data")
    assert served.returncode == 1 and "topics/t.yaml:2" in served.stderr


def test_the_example_agent_takes_a_booking_with_the_embedded_model(tmp_path: Path) -> None:
    lines = "my brakes squeal, can I bring it in on Thursday?\nthe first one please\nSam Field\n01632 960555\nyes please\n\nno that's all, goodbye\n"
    talk = vivavoce("chat", str(EXAMPLE), "--json", stdin=lines, data=tmp_path)
    assert talk.returncode == 0, talk.stderr
    replies = [json.loads(line) for line in talk.stdout.splitlines()]
    booked = next(r for r in replies if r["metadata"]["state"].get("outcome") == "booked")
    assert (
        booked["metadata"]["state"]["customer_name"] == "Sam Field"
        and booked["metadata"]["metrics"]["BOOKED"] == "brakes"
    )
    message = booked["metadata"]["functionEvents"][-1]["messages"][0]
    assert (
        message["to"] == "01632960555"
        and "Spoke & Chain, Riverside: your brake service is booked" in message["content"]
    )
    assert replies[-1]["conversationEnded"]


def test_json_is_one_line_a_reply_and_errors_go_to_stderr(tmp_path: Path) -> None:
    talk = vivavoce("chat", str(EXAMPLE), "-m", "hello", "--json", data=tmp_path)
    assert [json.loads(line)["userInput"] for line in talk.stdout.splitlines()] == ["", "hello"]
    wrong = vivavoce("chat", str(EXAMPLE), "--variant", "Nowhere", "-m", "x", data=tmp_path)
    assert (
        wrong.returncode == 1
        and wrong.stdout == ""
        and "There is no variant 'Nowhere'; there are: Riverside, Old Town." in wrong.stderr
    )


def test_usage_errors_exit_with_2_and_failures_with_1(tmp_path: Path) -> None:
    assert vivavoce("chat").returncode == 2
    assert vivavoce("nonsense").returncode == 2
    assert vivavoce("chat", str(tmp_path / "nowhere"), data=tmp_path).returncode == 1
    unreachable = vivavoce("chat", "--url", "http://127.0.0.1:1", "--agent", "x", "--api-key", "k", "-m", "x")
    assert unreachable.returncode == 1 and "Is the server running?" in unreachable.stderr


def test_keys_are_shown_once_and_listed_without_their_text(tmp_path: Path) -> None:
    made = json.loads(vivavoce("keys", "create", "ci", "--permission", "read", "--json", data=tmp_path).stdout)
    listed = vivavoce("keys", "list", data=tmp_path).stdout
    assert made["key"] not in listed and made["key"][-4:] in listed
    assert vivavoce("keys", "revoke", "ci", data=tmp_path).returncode == 0
    assert json.loads(vivavoce("keys", "list", "--json", data=tmp_path).stdout)[0]["revokedAt"]
    files = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file() and p.name != "api-key")
    assert made["key"].encode() not in files


def test_a_local_chat_goes_through_the_server_that_owns_the_data(tmp_path: Path) -> None:
    server = Process(str(EXAMPLE), "--data", str(tmp_path), "--model", "local", env={"VIVAVOCE_API_KEY": "the-key"})
    try:
        env_talk = subprocess.run(
            [sys.executable, "-m", "vivavoce", "chat", str(EXAMPLE), "-m", "where can I park?", "--data", str(tmp_path)],
            env={**os.environ, "VIVAVOCE_API_KEY": "the-key"}, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert env_talk.returncode == 0 and "parking bays" in env_talk.stdout, env_talk.stderr
        made = subprocess.run(
            [sys.executable, "-m", "vivavoce", "keys", "create", "ci", "--json", "--data", str(tmp_path)],
            env={**os.environ, "VIVAVOCE_API_KEY": "the-key"}, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert json.loads(made.stdout)["name"] == "ci", made.stderr
        other = vivavoce("chat", str(EXAMPLE), "-m", "x", "--model", "local", data=tmp_path)
        assert other.returncode == 1 and "answers with its own model" in other.stderr
    finally:
        assert server.stop() == 0


def test_redaction_rules_are_set_shown_and_run_without_a_server(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert vivavoce("chat", str(EXAMPLE), "-m", "I have plan-basic", data=data).returncode == 0
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps({"patterns": [{"category": "plan", "pattern": "plan-[a-z]+"}], "keep": ["Riverside"]}))
    place = ("--agent", "bike-workshop")
    done = vivavoce("redaction", "set", str(rules), *place, data=data)
    assert (done.returncode, done.stdout) == (0, "1 conversations were looked at by the rules as they are now.\n"), (
        done.stderr
    )
    shown = vivavoce("redaction", "show", *place, data=data)
    assert "hide   plan-[a-z]+  as [PLAN]" in shown.stdout and "1 of 1 conversations" in shown.stdout
    rules.write_text("nonsense")
    wrong = vivavoce("redaction", "set", str(rules), *place, data=data)
    assert wrong.returncode == 1 and "is no JSON" in wrong.stderr
