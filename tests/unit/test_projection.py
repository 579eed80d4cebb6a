"""A folder as one document and back: what is rendered can be written, and what is not changed stays as its author wrote it."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.commands import batch, message, topic
from vivavoce.errors import Conflict, Invalid
from vivavoce.project.loader import load
from vivavoce.project.projection.commands import applying
from vivavoce.project.projection.commands.applying import CommandRefused
from vivavoce.project.projection.rendering import AmbiguousNames, living, render, written
from vivavoce.project.tree import Tree, read_tree, tree_hash
from vivavoce.wire.commands.batch import MAX_BYTES, BadBatch, read

ROOT = Path(__file__).parents[2]
FOLDERS = [ROOT / "examples" / "bike-workshop", *(p for p in (ROOT / "tests" / "agents").iterdir() if p.is_dir())]
PROJECT = {"project.yaml": b"project_id: tiny\naccount_id: acme\n"}
folders = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def files_of(folder: Path) -> dict[str, bytes]:
    return dict(read_tree(folder).files)


def pushed(
    files: dict[str, bytes], *sent: tuple[str, dict[str, Any]], ids: dict[str, str] | None = None
) -> tuple[Any, Any]:
    before = render(files, ids or {})
    return written(files, ids or {}, before, applying.apply(before.projection, read(batch(0, *sent)).commands))


@folders
def test_a_push_of_no_change_changes_no_byte(folder: Path) -> None:
    files = files_of(folder)
    before = render(files, {})
    assert written(files, {}, before, before.projection)[0] == files


@folders
def test_a_document_that_is_written_into_an_empty_folder_is_rendered_as_the_same_document(folder: Path) -> None:
    whole = render(files_of(folder), {}).projection
    files, ids = written(PROJECT, {}, render(PROJECT, {}), whole)
    again = render(files, ids).projection
    for case in again["testing"]["testCases"][
        "entities"
    ].values():  # whose calls the client brings into an order of its own
        case["assertions"] = whole["testing"]["testCases"]["entities"][case["id"]]["assertions"]
    assert again == whole
    assert not [fault for fault in load(Tree(hash=tree_hash(files), files=files)).faults if fault.severity == "error"]


@folders
def test_one_change_touches_one_file_and_leaves_its_comments(folder: Path) -> None:
    files = {**files_of(folder), "topics/parking.yaml": b"# where to\nname: Parking   # and bikes\nenabled: true\nactions: ''\ncontent: Behind.  # the house\nexample_queries:\n- Where?\n"}  # fmt: skip
    topics = render(files, {}).projection["knowledgeBase"]["topics"]["entities"]
    (id,) = (id for id, each in topics.items() if each["name"] == "Parking")
    found, _ = pushed(files, ("update_topic", {"id": id, "content": "In front."}))
    assert {path for path in found if found[path] != files.get(path)} == {"topics/parking.yaml"}
    assert found["topics/parking.yaml"] == files["topics/parking.yaml"].replace(b"Behind.  #", b"In front. #")


names = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=60)


@settings(deadline=None)
@given(names, names)
def test_whatever_a_topic_is_called_and_says_it_is_read_back_or_refused(name: str, content: str) -> None:
    try:
        found, ids = pushed(dict(PROJECT), topic("TOPIC-1", name, content))
    except (Invalid, Conflict):
        return
    (path,) = found.keys() - PROJECT.keys()
    assert path.startswith("topics/") and path.count("/") == 1 and ".." not in path and "\0" not in path
    said = render(found, ids).projection["knowledgeBase"]["topics"]["entities"]["TOPIC-1"]
    assert (said["name"], said["content"]) == (name, content)


@settings(deadline=None)
@given(names)
def test_whatever_the_rules_say_they_are_read_back(text: str) -> None:
    found, ids = pushed(dict(PROJECT), ("update_rules", {"behaviour": text}))
    lines = text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    assert render(found, ids).projection["agentSettings"]["rules"]["behaviour"] == lines


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "", "x y", "1st", "..", "é\n", "a" * 300])
def test_a_function_s_name_leads_to_its_own_file_or_is_refused(name: str) -> None:
    code = "from _gen import *\n\n\ndef act(conv: Conversation):\n    return 'x'\n"
    try:
        found, _ = pushed(
            dict(PROJECT), ("create_function", {"id": "F-1", "name": name, "description": "d", "code": code})
        )
    except (Invalid, Conflict):
        assert not name.isidentifier() or len(name) > 200
        return
    assert found.keys() - PROJECT.keys() == {f"functions/{name}.py"} and name.isidentifier()


@pytest.mark.parametrize("path", ["functions/my-helpers.py", "functions/__helpers.py", "flows/f/functions/my-fn.py"])
def test_a_file_that_is_called_otherwise_is_rendered_and_stays(path: str) -> None:
    """What the loader takes can be pulled, and merged, whatever a push might not make."""
    flow = {"flows/f/flow_config.yaml": b"name: f\ndescription: d\nstart_step: a\n", "flows/f/steps/a.yaml": b"step_type: advanced_step\nname: a\nprompt: x\n"}  # fmt: skip
    files = {**PROJECT, **flow, path: b"X = 1\n"}
    assert not [fault for fault in load(Tree(hash=tree_hash(files), files=files)).faults if fault.severity == "error"]
    found, ids = pushed(files, topic("T-1", "One"))
    assert found[path] == files[path] and living(found, ids) == ids


def test_mocks_of_no_sensible_shape_are_rendered_as_none() -> None:
    files = files_of(ROOT / "tests/agents/carried")
    text = files["test_suite/a_room.yaml"].decode()
    start, end = text.index("api_mocks:"), text.index("prompt_assertions:")
    odd = {**files, "test_suite/a_room.yaml": f"{text[:start]}api_mocks: {{rooms: {{book: 5}}}}\n{text[end:]}".encode()}
    assert not [fault for fault in load(Tree(hash=tree_hash(odd), files=odd)).faults if fault.severity == "error"]
    (case,) = render(odd, {}).projection["testing"]["testCases"]["entities"].values()
    assert case["apiMocks"] == {"rooms": {"book": []}}


def test_two_parts_that_would_be_one_file_are_refused_by_its_name() -> None:
    with pytest.raises(AmbiguousNames, match=r"topics/"):
        pushed(dict(PROJECT), topic("T-1", "Opening hours"), topic("T-2", "opening-hours"))


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (("update_topic", {"id": "none", "content": "x"}), r"Command 2 of 3 \(update_topic\): there is no .*'none'"),
        (("delete_topic", {"id": "none"}), r"Command 2 of 3 \(delete_topic\): there is no .*'none'"),
        (topic("T-1", "again"), r"Command 2 of 3 \(create_topic\): there is a .*'T-1' already"),
        (topic("", "nameless"), r"Command 2 of 3 \(create_topic\): .* has no id"),
    ],
)
def test_a_refusal_names_the_command_and_why(sent: tuple[str, dict[str, Any]], said: str) -> None:
    with pytest.raises(CommandRefused, match=said):
        pushed(dict(PROJECT), topic("T-1", "One"), sent, topic("T-3", "Three"))


# The batch itself.


def test_every_cut_of_a_batch_is_refused_or_is_whole_commands() -> None:
    whole = batch(7, topic("T-1", "One", "x" * 40), topic("T-2", "Two"))
    for end in range(len(whole)):
        try:
            assert read(whole[:end]).commands == read(whole).commands[:1]
        except BadBatch as error:
            assert "Nothing was changed" in error.message


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_batch_or_are_refused(body: bytes) -> None:
    try:
        read(body)
    except BadBatch as error:
        assert error.message


def test_a_command_of_no_known_type_or_of_another_than_it_says_is_refused_by_its_number() -> None:
    made = message(0, topic("T-1", "One"), topic("T-2", "Two"))
    made.commands[1].type = "delete_topic"
    with pytest.raises(BadBatch, match=r"Command 2 says that it is 'delete_topic' and carries 'create_topic'"):
        read(made.SerializeToString())
    made.commands[1].ClearField("create_topic")
    made.commands[1].type = "paint_it"
    with pytest.raises(BadBatch, match=r"Command 2 .'paint_it'. is of a type that is not known"):
        read(made.SerializeToString())


def test_a_field_that_is_not_known_is_refused_and_one_that_says_nothing_passed_over() -> None:
    made = message(0, topic("T-1", "One"))
    topics = made.commands[0].create_topic
    topics.MergeFromString(bytes([7 << 3 | 2, 0]))  # references
    assert read(made.SerializeToString()).commands[0].payload["name"] == "One"
    topics.example_queries.MergeFromString(bytes([9 << 3 | 2, 1, 65]))
    with pytest.raises(
        BadBatch, match=r"Command 1 .create_topic. has a field that is not known here, number 9 of ExampleQueries"
    ):
        read(made.SerializeToString())


def test_a_batch_may_be_large_and_not_more() -> None:
    assert MAX_BYTES == 8 << 20
    with pytest.raises(BadBatch, match="50000 commands"):
        read(batch(0, *[("delete_topic", {"id": "x"})] * 50_001))


@folders
def test_code_that_is_pushed_again_with_a_line_more_has_it_and_all_others(folder: Path) -> None:
    """But for the import of the names that the format gives, which the client writes where it likes."""
    files = files_of(folder)
    before = render(files, {}).projection["functions"]["functions"]["entities"]
    for id, function in before.items():
        code = function["code"].rstrip("\n") + "\n# one line more\n"
        found, _ = pushed(files, ("update_function", {"id": id, "code": code}))
        (path,) = (path for path in found if found[path] != files.get(path))
        ast.parse(found[path])
        assert code_lines(files[path]) == [line for line in code_lines(found[path]) if line != b"# one line more"]


def code_lines(content: bytes) -> list[bytes]:
    return [line for line in content.splitlines() if line.strip() and line != b"from _gen import *"]
