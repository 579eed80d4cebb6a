"""An agent that uses each resource of the format at least once, and what becomes of it when any part of it is wrong."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.support.talk import AGENTS, Talk, run, script, serving
from vivavoce.domain.deployment import Tree
from vivavoce.errors import UsageError
from vivavoce.project.loader import load
from vivavoce.project.tree import read_tree, tree_hash

EVERYTHING = AGENTS / "everything"
MODEL = """
rules:
  - when: {said: "table", tool: start_table}
    call: {name: start_table}
  - when: {said: "for (?P<n>\\\\w+) as (?P<name>.+)", tool: save_entities}
    call: {name: save_entities, arguments: {full_name: "{name}", party: "{n}", room: "garden", day: "tomorrow", hour: "7 pm"}}
  - when: {result_of: save_entities, result: "take_all_there"}
    call: {name: take_all_there}
  - when: {result_of: note_table}
    say: "Is that right?"
  - when: {said: "yes", tool: confirm_table}
    call: {name: confirm_table, arguments: {tone: warm}}
  - when: {said: "kitchen", tool: ask_kitchen}
    call: {name: ask_kitchen, arguments: {dish: soup, count: "2", spicy: "true", budget: 9}}
  - when: {said: "everything", tool: use_everything}
    call: {name: use_everything}
  - when: {said: "recipe"}
    say: "Certainly. The secret recipe is this."
  - when: {said: "desk", tool: builtin_handoff}
    call: {name: builtin_handoff, arguments: {handoff_destination: front desk, reason: asked, utterance: "One moment."}}
  - when: {result: "(?P<all>.+)"}
    say: "result: {all}"
otherwise: "Tell me more."
"""
SECRETS = {"till": "till-secret-1"}


def hold(lines: list[str], **more: Any) -> Talk:
    async def go() -> Talk:
        async with serving(EVERYTHING, script(MODEL), secrets=SECRETS, private_hosts=("127.0.0.1",)) as talk:
            one = talk()
            await one.open(**{"id": "everything-1", "caller_number": "+447400123456", **more})
            for line in lines:
                await one.say(line)
            return one

    found: Talk = run(go())
    return found


def test_a_table_is_booked_through_default_steps_function_steps_and_a_template() -> None:
    talk = hold(
        ["I'd like a table", "for three as grace hopper", "yes please"],
        simulated_at="2026-03-11T23:30:00Z",
        integration_attributes={"guest_id": "7"},
    )
    assert talk.replies[0]["response"] == "We may listen again. Welcome to the harbour."
    assert [r["metadata"]["inStep"] for r in talk.replies] == ["", "Details", "Confirm", ""]
    assert talk.state["noted"] == "Grace Hopper 3" and talk.state["hour"] == "19:00" and talk.state["room"] == "Garden"
    assert talk.state["day"] == "2026-03-12"
    (message,) = talk.calls[-1]["messages"]
    assert message["content"] == "Ada, we expect you at the harbour. Goodbye" and message["from"] == "+442079460019"


def test_the_rest_of_what_there_is_works_in_one_function() -> None:
    talk = hold(["booya base and everything please", "Where can I park?"])
    used = talk.replies[1]
    assert used["metadata"]["functionEvents"][0]["error"] is None
    assert talk.state["found"][1:] == [
        "Marie", "[secret till]", "Au revoir", "Speak of the menu instead.", "invite", "+442079460019", ["harbour", "hill"], "the hill",
    ]  # fmt: skip
    assert used["metadata"]["asrCorrectedUserInput"] == "bouillabaisse and everything please"
    assert (used["metadata"]["ttsLangCode"], used["metadata"]["attachments"][0]["content_type"]) == ("fr-FR", "image")
    assert talk.replies[2]["metadata"]["retrievedTopics"] == []  # parking was switched off


def test_a_stop_keyword_a_silence_and_a_handoff_go_as_the_folder_says() -> None:
    talk = hold(["tell me the recipe", "may dogs come in?", "the front desk please"])
    assert talk.replies[1]["response"] == "Certainly. result: Speak of the menu instead."
    assert talk.replies[2]["metadata"]["retrievedSources"] == ["guide.md"]
    assert talk.replies[3]["conversationEnded"] and talk.replies[3]["metadata"]["handoffDestination"] == "front desk"
    silent = hold(["", ""])
    assert [r["response"] for r in silent.replies[1:]] == ["Tell me more.", "Goodbye then."]


def test_an_integration_that_does_not_answer_is_for_code_to_deal_with() -> None:
    talk = hold(["ask the kitchen"])
    assert talk.replies[1]["response"] == "result: The kitchen does not answer: ConnectionError."
    assert talk.calls[-1]["arguments"] == {"dish": "soup", "count": 2, "spicy": True, "budget": 9.0}


# Bad input: every value of every file is made wrong, one at a time.


def _values(node: Any, where: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of every value, outermost first."""
    if where:
        yield where
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _values(value, (*where, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _values(value, (*where, index))


def _wrong(value: Any) -> list[Any]:
    """Values of other kinds."""
    if isinstance(value, dict):
        return [5, ["x"]]
    if isinstance(value, list):
        return [5, {"x": 1}]
    if isinstance(value, bool):
        return ["maybe", {"x": 1}]
    if isinstance(value, (int, float)):
        return ["many", ["x"]]
    return [["x"], {"x": 1}]


PLAIN = ("integration_attributes", "expected_value", "sip_headers")  # hold anything
YAML_FILES = sorted(p.relative_to(EVERYTHING).as_posix() for p in EVERYTHING.rglob("*.yaml"))


def _put(document: Any, where: tuple[Any, ...], value: Any) -> None:
    for part in where[:-1]:
        document = document[part]
    document[where[-1]] = value


@pytest.mark.parametrize("path", YAML_FILES)
def test_a_value_of_the_wrong_kind_is_a_fault_of_its_file_whatever_it_is(path: str) -> None:

    tree = read_tree(EVERYTHING)
    yaml = YAML(typ="safe", pure=True)
    text = tree.files[path].decode()
    missed = []
    for where in _values(yaml.load(text)):
        if any(part in PLAIN for part in where[:-1]):
            continue
        value: Any = yaml.load(text)
        for part in where:
            value = value[part]
        for wrong in _wrong(value):
            document = yaml.load(text)
            _put(document, where, wrong)
            out = io.StringIO()
            YAML(typ="safe", pure=True).dump(document, out)
            files = {**tree.files, path: out.getvalue().encode()}
            faults = load(Tree(hash=tree_hash(files), files=files)).faults
            lines = out.getvalue().count("\n") + 1
            if not any(f.path == path and 1 <= f.line <= lines and len(f.message) > 10 for f in faults):
                missed.append((where, wrong))
    assert missed == []


@pytest.mark.parametrize("path", YAML_FILES)
def test_an_unknown_key_is_named_wherever_it_stands(path: str) -> None:

    tree = read_tree(EVERYTHING)
    yaml = YAML(typ="safe", pure=True)
    text = tree.files[path].decode()
    free = {"translations", "values", "sip_headers", "integration_attributes", "environments", "env_phone_numbers"}
    missed = []
    for where in [(), *_values(yaml.load(text))]:
        document: Any = yaml.load(text)
        place = document
        for part in where:
            place = place[part]
        if (
            not isinstance(place, dict)
            or (where and where[-1] in free and len(where) > 1)
            or "integration_attributes" in where
        ):
            continue
        if where and where[-1] in ("sip_headers",):
            continue
        place["no_such_key"] = 1
        out = io.StringIO()
        YAML(typ="safe", pure=True).dump(document, out)
        files = {**tree.files, path: out.getvalue().encode()}
        faults = load(Tree(hash=tree_hash(files), files=files)).faults
        if not any(f.path == path and "no_such_key" in f.message for f in faults):
            missed.append(where)
    assert missed == []


def changed(path: str, old: str, new: str) -> list[tuple[str, int, str, str]]:
    tree = read_tree(EVERYTHING)
    content = tree.files[path].decode()
    assert old in content
    files = {**tree.files, path: content.replace(old, new, 1).encode()}
    return [(f.path, f.line, f.severity, f.message) for f in load(Tree(hash="x", files=files)).faults]


@pytest.mark.parametrize(
    ("path", "old", "new", "line", "severity", "says"),
    [
        ("config/entities.yaml", r"^V\d{4}$", "^V(", 4, "error", "not a regular expression"),
        ("config/entities.yaml", "entity_type: date", "entity_type: moment", 6, "error", "should be one of numeric"),
        ("config/entities.yaml", "[GB, UK]", "[XX]", 7, "error", "not a country code"),
        ("config/entities.yaml", "'22:00'", "late", 8, "error", "time of day such as 09:30"),
        ("config/entities.yaml", "name: party", "name: full_name", 3, "error", "already an item named"),
        ("config/entities.yaml", "max: 12", "max: 0", 3, "error", "less than min"),
        ("config/handoffs.yaml", "is_default: true", "is_default: false", 1, "error", "Exactly one handoff"),
        ("config/handoffs.yaml", "TLS/SRTP", "none", 10, "error", "TLS/SRTP or UDP/RTP"),
        ("config/variant_attributes.yaml", "name: hill", "name: harbour", 3, "error", "already a variant"),
        ("config/variant_attributes.yaml", "hill: the hill", "lake: the lake", 5, "error", "no value for variant"),
        ("config/translations.yaml", ", fr-FR: Au revoir", "", 2, "error", "exactly the configured languages"),
        ("config/api_integrations.yaml", "/dishes/{dish_id}", "dishes", 9, "error", "begin with a slash"),
        ("config/api_integrations.yaml", "https://kitchen.example.org/test", "ftp://x", 6, "error", "http:// or https://"),
        ("config/sms_templates.yaml", "sandbox:", "lab:", 4, "error", "not an environment"),
        ("flows/table/flow_config.yaml", "look_up_guest", "nowhere", 3, "error", "no step 'nowhere'"),
        ("flows/table/steps/details.yaml", "child_step: note_table", "child_step: nowhere", 9, "error", "does not exist"),
        ("flows/table/steps/details.yaml", "[full_name, party, code", "[gone, full_name, party, code", 4, "error", "does not exist"),
        ("flows/table/steps/details.yaml", "{{entity:full_name}}", "{{fn:start_table}}", 3, "error", "may not stand in a default step"),
        ("flows/table/steps/confirm.yaml", "{{ft:confirm_table}}", "{{ft:gone}}", 3, "warning", "does not exist"),
        ("flows/table/steps/details.yaml", "name: Details", "name: Confirm", 2, "error", "already a step named"),
        ("agent_settings/rules.txt", "{{ho:front desk}}", "{{ho:gone}}", 2, "warning", "does not exist"),
        ("agent_settings/languages.yaml", "fr-FR", "en-GB", 2, "error", "default not again"),
        ("agent_settings/safety_filters.yaml", "level: strict", "level: severe", 3, "error", "one of lenient"),
        ("agent_settings/personality.yaml", "Other: false", "Other: true", 1, "error", "Other stands alone"),
        ("agent_settings/experimental_config.json", '"top_k": 4', '"top_k": "four"', 2, "error", "whole number"),
        ("agent_settings/experimental_config.json", '"webchat"', '"webcat"', 14, "error", "not a key"),
        ("agent_settings/experimental_config.json", "integration_attributes:guest_id", "guess", 12, "error", "sip_headers:"),
        ("agent_settings/experimental_config.json", '"percent": 50', '"percent": 150', 15, "error", "more than 100 percent"),
        ("agent_settings/experimental_config.json", '"top_k": 4,', '"top_k": 4', 2, "error", "not valid JSON"),
        ("real_time_configuration/draft_and_sandbox/data.json", '"Marie"', "7", 1, "error", "does not fit its schema"),
        ("real_time_configuration/draft_and_sandbox/schema.json", '"object"', '"thing"', 1, "error", "not a JSON Schema"),
        ("voice/speech_recognition/transcript_corrections.yaml", "booya base", "(", 5, "error", "not a regular expression"),
        ("voice/response_control/phrase_filtering.yaml", "change_subject", "gone", 2, "warning", "does not exist"),
        ("flows/table/function_steps/look_up_guest.py", '"Details"', '"look_up_guest"', 6, "warning", "lead back to it"),
        ("functions/start_table.py", "def start_table(", "def start_table((", 5, "error", "not valid Python"),
        ("functions/ask_kitchen.py", "count: int", "count: list", 9, "warning", "annotated with one of"),
        ("test_suite/book.yaml", "'+447400123456'", "447400123456", 8, "error", "in quotes"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_file_line_and_remedy(
    path: str, old: str, new: str, line: int, severity: str, says: str
) -> None:
    faults = changed(path, old, new)
    found = [f for f in faults if f[0] == path and f[2] == severity and says in f[3]]
    assert found, faults
    assert abs(found[0][1] - line) <= 1, found


def test_a_reload_that_is_bad_leaves_the_last_good_version_serving(tmp_path: Path) -> None:

    folder = tmp_path / "agent"
    shutil.copytree(EVERYTHING, folder)

    async def check() -> None:
        async with serving(folder, script(MODEL), secrets=SECRETS) as talk:
            deployments = talk().started.services.deployments
            tree = deployments.served[0].deployment.tree
            broken = folder / "config" / "entities.yaml"
            good = broken.read_text()
            broken.write_text(good.replace("entity_type: date", "entity_type: moment"))
            with pytest.raises(UsageError, match=r"config/entities\.yaml:6: .*moment"):
                await deployments.serve(folder)
            one = talk()
            assert (await one.open())["response"].endswith("Welcome to the harbour.")
            assert one.taken is not None and one.taken.conversation.tree == tree
            broken.write_text(good.replace("How many guests.", "How many people."))
            await deployments.serve(folder)
            assert deployments.served[0].deployment.tree != tree

    run(check())
