"""What a client may send that means harm, or that nobody thought of: refused by its name, or kept as it was sent."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from tests.support.commands import batch, message, topic
from tests.unit.test_projection import PROJECT, pushed
from vivavoce.engine.rendering import template
from vivavoce.errors import Conflict, Invalid
from vivavoce.functions.runtime import gen
from vivavoce.project import references
from vivavoce.project.projection import code
from vivavoce.project.projection.commands.functions import MOST_CODE
from vivavoce.project.projection.rendering import living, render
from vivavoce.project.source import Faults
from vivavoce.project.sources import passages
from vivavoce.wire.commands.batch import MOST_COMMANDS, BadBatch, read


def function(name: str, text: str, **more: Any) -> tuple[str, dict[str, Any]]:
    return "create_function", {"id": f"F-{name}", "name": name, "code": text, **more}


def document(path: str, content: str = "x") -> tuple[str, dict[str, Any]]:
    return "document_create", {"path": path, "content": content}


# With a pattern that goes back over what it has read, these would not come to an end within the day.
LONG = 1_000_000


def test_texts_that_never_close_what_they_open_are_read_once() -> None:
    for text in ("{{a:" * (LONG // 4), "{{fn:a" + " " * LONG, "{{fn:" + " " * LONG + "{"):
        assert references.find(text) == []
        assert template(text).tools == ()
        found, ids = pushed(dict(PROJECT), topic("T", "t", text))
        assert render(found, ids).projection["knowledgeBase"]["topics"]["entities"]["T"]["content"] == text
    heading = "# a" + " " * LONG + "b\n\ntext\n"
    assert passages({"sources/a.md": heading.encode()}, Faults())


@pytest.mark.parametrize(
    "head", ["def f(conv):{}return 1\n", "def f(conv,{}x=1):\n    return 1\n", "def f(  # a:{}\n    conv):\n    pass\n"]
)
def test_a_head_full_of_spaces_is_read_once(head: str) -> None:
    assert code.opened(head.format(" " * (LONG // 5)), "f", {}).text


@pytest.mark.parametrize(
    "path",
    [
        "/NOTES.md",
        "a\0.md",
        "NOTES.md/x.md",
        "x//N.md",
        "../N.md",
        "a/b.md",
        ".N.md",
        "N.txt",
        "",
        "n" * 300 + ".md",
        "a\nb.md",
    ],
)
def test_a_document_has_a_name_and_no_path(path: str) -> None:
    with pytest.raises(Invalid):
        pushed({**PROJECT, "context/NOTES.md": b"old"}, document(path))


def test_a_file_that_could_not_be_read_again_is_not_written() -> None:
    with pytest.raises(Invalid, match=r"context/big.md is too large"):
        pushed(dict(PROJECT), document("big.md", "x" * (5 << 20)))


@pytest.mark.parametrize("name", ["Tests", "venv", "", "..", "n" * 300, "_gen"])
def test_a_flow_s_folder_is_one_that_is_read(name: str) -> None:
    flow = {
        "id": "FL",
        "name": name,
        "description": "d",
        "startStepId": "S",
        "steps": [{"id": "S", "name": "one", "prompt": "p"}],
    }
    try:
        found, ids = pushed(dict(PROJECT), ("create_flow", flow))
    except (Invalid, Conflict):
        return
    assert "FL" in render(found, ids).projection["flows"]["flows"]["entities"]


@pytest.mark.parametrize(
    "sent",
    [
        ("create_child_topic", {"id": "C", "name": "c", "content": "x", "actions": ""}),
        ("create_child_topic", {"id": "C", "name": "c", "content": "x", "actions": "", "variantId": "none"}),
        ("voice_channel_update_vad_config", {"vadConfig": {"speechEndWindowSeconds": "NaN"}}),
        ("voice_channel_update_vad_config", {"vadConfig": {"speechEndWindowSeconds": 1e308}}),
        ("voice_channel_update_vad_config", {"vadConfig": {"speechEndWindowSeconds": "Infinity"}}),
        function("__init__", "x = 1\n"),
        function("f", "x=1\n" * (MOST_CODE // 4 + 1)),
        function("f", "def f(conv, a: str):\n    pass\n", parameters=[{"id": "P", "name": "a", "type": "string"}] * 2),
    ],
    ids=lambda sent: sent[0],
)
def test_what_cannot_be_is_refused_and_no_fault_of_the_server(sent: tuple[str, dict[str, Any]]) -> None:
    with pytest.raises((Invalid, Conflict)):
        pushed(dict(PROJECT), sent)


@pytest.mark.parametrize("depth", [10, 32, 33, 400, 5_000])
def test_the_body_of_a_mock_is_kept_or_refused_for_its_depth(depth: int) -> None:
    body = "[" * depth + "]" * depth
    sent = (
        ("create_test_case", {"id": "C", "name": "c", "scenario": "s", "channel": "chat.polyai"}),
        ("update_test_case_api_operation_mock", {"id": "C", "integrationName": "i", "operationName": "o", "responses": [{"respond": {"status": 200, "body": body}}]}),
    )  # fmt: skip
    if depth > 32:
        with pytest.raises(Invalid, match="32 deep"):
            pushed(dict(PROJECT), *sent)
    else:
        pushed(dict(PROJECT), *sent)


def test_decorators_are_written_above_their_function_and_into_no_text() -> None:
    text = 'X="""\n@"""\ndef f(conv, a: str):\n    pass\n'
    parameters = [{"id": "P", "name": "a", "description": "d", "type": "string"}]
    found, ids = pushed(dict(PROJECT), function("f", text, description="d", parameters=parameters))
    module = ast.parse(found["functions/f.py"])
    values = [
        node.value.value
        for node in module.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
    ]
    assert values == ["\n@"]
    (entity,) = render(found, ids).projection["functions"]["functions"]["entities"].values()
    assert entity["description"] == "d" and [each["name"] for each in entity["parameters"]["entities"].values()] == [
        "a"
    ]


@pytest.mark.parametrize("mark", ["\u2028", "\u0085", "\x0b", "\x0c", "\x1c"])
def test_no_other_character_than_its_end_ends_a_line_of_code(mark: str) -> None:
    text = f"# a{mark}b\nY = 'c{mark}d'\ndef f(\n    conv,\n    a: str,\n):\n    return Y\n"
    found, ids = pushed(dict(PROJECT), function("f", text, description="said"))
    (entity,) = render(found, ids).projection["functions"]["functions"]["entities"].values()
    assert entity["description"] == "said" and f"Y = 'c{mark}d'\ndef f(conv, a: str):\n" in entity["code"]


def test_an_empty_update_takes_nothing_away() -> None:
    files = {**PROJECT, "agent_settings/persona.txt": b"You are Ada."}
    assert pushed(files, ("update_persona", {}))[0] == files


def test_commands_are_counted_before_they_are_read() -> None:
    empty = b"\x08\x01" + b"\x12\x00" * (MOST_COMMANDS + 1)
    with pytest.raises(BadBatch, match=f"{MOST_COMMANDS} commands"):
        read(empty)
    made = message(0, topic("T", "t"))
    made.commands[0].create_topic.MergeFromString(b"\x82\x7d\x00")  # a field of a high number
    with pytest.raises(BadBatch, match="not known here"):
        read(made.SerializeToString())


def test_an_id_goes_with_its_part_and_to_nobody_who_takes_its_place() -> None:
    files, ids = pushed(dict(PROJECT), topic("Q-1", "alpha"))
    found, ids = pushed(files, ("update_topic", {"id": "Q-1", "name": "beta"}), ids={**ids})
    both = {
        **found,
        "topics/alpha.yaml": b"name: alpha\nenabled: true\nactions: ''\ncontent: by hand\nexample_queries: []\n",
    }
    assert living(found, {"topics/alpha.yaml": "Q-1", **ids}) == ids == {"topics/beta.yaml": "Q-1"}
    for known in (ids, {"topics/alpha.yaml": "Q-1", **ids}):  # even where it was left
        topics = render(both, known).projection["knowledgeBase"]["topics"]["entities"]
        assert sorted(each["name"] for each in topics.values()) == ["alpha", "beta"]


def test_messages_of_a_delay_that_were_added_by_hand_are_not_lost() -> None:
    text = "def f(conv):\n    pass\n"
    delays = {"enabled": True, "initialDelay": 1, "interval": 1}
    messages = [{"id": f"X{n}", "message": f"m{n}", "duration": 2} for n in range(2)]
    files, ids = pushed(dict(PROJECT), function("f", text, latencyControl={**delays, "delayResponses": messages}))
    files = {**files, "functions/f.py": files["functions/f.py"].replace(b"('m1', 2)", b"('m1', 2), ('byhand', 3)")}
    ids = {**ids, "functions/f.py#delay/2": "X1"}  # as it was once
    found, _ = pushed(files, ("update_latency_control", {"functionId": "F-f", "enabled": True, "initialDelay": 1, "interval": 7, "randomize": False}), ids=ids)  # fmt: skip
    for said in (b"'m0'", b"'m1'", b"'byhand'", b"silence_after_each_response=7"):
        assert said in found["functions/f.py"]


def test_the_smallest_batch_is_read() -> None:
    assert read(batch(3, topic("T", "t"))).sequence == 3


# Code as its author laid it out.

BY_HAND = {
    "a comment in the head": "def f(\n    conv,  # the call\n    a: str,\n):\n    return a\n",
    "a default with spaces": 'def f(conv, sep="a  b", other=" : ", last="( x )"):\n    return sep\n',
    "a default over lines": 'def f(conv, sep="""x\n  y:\nz"""):\n    return sep\n',
    "a body behind the colon": "def f(conv, a: str): return 1\n\n\ndef g():\n    pass\n",
    "a docstring with quotes": '"""a \\""" b"""\nimport re\n\n\ndef f(conv):\n    return re\n',
    "something behind the docstring": '"""one"""; X = 2\n\n\ndef f(conv):\n    return X\n',
    "an import in a text": 'X = """\nfrom _gen import *\n"""\n\n\ndef f(conv):\n    return X\n',
    "a tab": 'def f(conv, sep="\t\t"):\n    return sep\n',
}


@pytest.mark.parametrize("text", BY_HAND.values(), ids=BY_HAND.keys())
@pytest.mark.parametrize("head", ["", "from _gen import *\n\n\n"], ids=["bare", "with the import"])
def test_a_new_description_changes_nothing_of_the_code(text: str, head: str) -> None:
    text = text if text.startswith('"""') else head + text
    before = text.replace("def f(", "@func_description('old')\ndef f(", 1)
    files = {**PROJECT, "functions/f.py": before.encode()}
    (entity,) = render(files, {}).projection["functions"]["functions"]["entities"].values()
    assert entity["description"] == "old"
    found, ids = pushed(files, ("update_function", {"id": entity["id"], "description": "new"}))
    after = found["functions/f.py"].decode()
    assert after.replace("@func_description('new')\n", "", 1) == text
    (entity,) = render(found, ids).projection["functions"]["functions"]["entities"].values()
    assert entity["description"] == "new"


@pytest.mark.parametrize("text", BY_HAND.values(), ids=BY_HAND.keys())
def test_code_that_is_sent_means_the_same_where_it_is_written(text: str) -> None:
    found, ids = pushed(dict(PROJECT), function("f", text, description="said"))
    module = ast.parse(found["functions/f.py"])
    main = next(node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == "f")
    main.decorator_list = []
    module.body = [n for n in module.body if not (isinstance(n, ast.ImportFrom) and n.module == "_gen")]
    assert ast.dump(module) == ast.dump(ast.parse(text))
    (entity,) = render(found, ids).projection["functions"]["functions"]["entities"].values()
    assert entity["description"] == "said" and ast.parse(entity["code"])


def test_a_description_without_a_function_to_stand_at_is_refused() -> None:
    with pytest.raises(Invalid, match="has no function f"):
        pushed(dict(PROJECT), function("f", "x = 1\n", description="said"))


def test_a_random_delay_is_one_that_runs() -> None:
    delay = {
        "enabled": True,
        "initialDelay": 1,
        "interval": 2,
        "randomize": True,
        "delayResponses": [{"id": "D", "message": "m", "duration": 1}],
    }
    found, _ = pushed(dict(PROJECT), function("f", "def f(conv):\n    pass\n", latencyControl=delay))
    given = ast.parse(found["functions/f.py"]).body[-1]
    assert isinstance(given, ast.FunctionDef)
    call = next(d for d in given.decorator_list if isinstance(d, ast.Call) and d.keywords)
    getattr(gen, ast.unparse(call.func))(**{k.arg: ast.literal_eval(k.value) for k in call.keywords if k.arg})


def test_words_of_flows_are_exchanged_in_one_reading() -> None:
    flows = {f"flow_{n}": f"id_{n}" for n in range(2_000)}
    text = "import flows.flow_7.functions\n" + "x = 'no flow'\n" * 20_000 + "def f(conv):\n    pass\n"
    opened = code.opened(text, "f", flows)
    assert opened.text.startswith("import functions.id_7\n")
    assert "import flows.flow_7.functions\n" in code.closed(opened, "f", flows)


@pytest.mark.parametrize(
    "body",
    [
        b"\x08\x01\x19\x0012345678" + b"\x12\x00" * 60_000,
        b"\x1b",
        b"\x08\x01\x1d1234\x12\x00",
        b"\x12\xff\xff\xff\xff\x7f",
    ],
)
def test_a_batch_has_no_other_fields_that_could_hide_its_commands(body: bytes) -> None:
    with pytest.raises(BadBatch):
        read(body)
