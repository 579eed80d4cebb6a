"""A folder is read with every fault named at once, by file and line, and without running a line of it."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st
from ruamel.yaml import YAML, YAMLError
from ruamel.yaml.nodes import ScalarNode, SequenceNode

from tests.support.talk import write
from vivavoce.domain.ids import clean_name
from vivavoce.project import composing
from vivavoce.project.loader import Loaded, load
from vivavoce.project.source import Faults, read_yaml
from vivavoce.project.tree import read_tree, tree_hash

EXAMPLE = Path(__file__).parents[2] / "examples" / "bike-workshop"


def loaded(folder: Path, files: dict[str, str]) -> Loaded:
    return load(read_tree(write(folder, files)), name=folder.name)


def codes(found: Loaded) -> set[tuple[str, int, str]]:
    return {(f.path, f.line, f.code) for f in found.faults}


def test_the_example_agent_has_no_fault_of_any_kind() -> None:
    assert load(read_tree(EXAMPLE)).faults == ()


@pytest.mark.parametrize("text", ["yes", "no", "on", "off", "10:30", "2026-01-02", "+447700", "~x"])
def test_yaml_is_1_2_so_these_stay_text(text: str) -> None:
    source = read_yaml("x.yaml", f"value: {text}\n".encode(), Faults())
    assert source is not None and source.text("value") == text


def test_all_faults_are_told_at_once_with_file_and_line(tmp_path: Path) -> None:
    found = loaded(
        tmp_path,
        {
            "config/entities.yaml": "entities:\n- name: a\n  entity_type: number\n- name: a\n  entity_type: date\n",
            "config/variant_attributes.yaml": "variants:\n- name: x\n- name: y\nattributes:\n- name: site\n  values:\n    x: one\n",
            "voice/response_control/phrase_filtering.yaml": "phrase_filtering:\n- name: p\n  regular_expressions:\n  - '(unclosed'\n",
            "topics/broken.yaml": "name: broken\nexample_queries:\n- fine\n  - not: fine\n :\n",
            "flows/f/flow_config.yaml": "name: F\ndescription: d\nstart_step: Nowhere\n",
        },
    )
    assert {
        ("config/entities.yaml", 3, "unknown-value"),
        ("config/entities.yaml", 4, "duplicate"),
        ("config/variant_attributes.yaml", 1, "default"),
        ("config/variant_attributes.yaml", 6, "missing"),
        ("voice/response_control/phrase_filtering.yaml", 3, "bad-regex"),
        ("flows/f/flow_config.yaml", 3, "unknown-reference"),
    } <= codes(found)
    assert any(path == "topics/broken.yaml" and code == "yaml" for path, _, code in codes(found))


def test_a_wrong_type_is_a_fault_and_the_default_stands(tmp_path: Path) -> None:
    found = loaded(tmp_path, {"topics/t.yaml": "name: t\nenabled: sometimes\nexample_queries: one\ncontent: [a]\n"})
    assert {
        ("topics/t.yaml", 2, "wrong-type"),
        ("topics/t.yaml", 3, "wrong-type"),
        ("topics/t.yaml", 4, "wrong-type"),
    } <= codes(found)
    assert found.agent.topics["t"].enabled is True


def test_a_reference_that_leads_nowhere_is_a_warning(tmp_path: Path) -> None:
    found = loaded(tmp_path, {"agent_settings/rules.txt": "Be kind.\nCall {{fn:nothing}} or read {{attr:none}}.\n"})
    assert ("agent_settings/rules.txt", 2, "unknown-reference") in codes(found)
    assert found.errors == ()


def test_a_default_step_may_not_name_functions(tmp_path: Path) -> None:
    step = "step_type: default_step\nname: S\nprompt: call {{ft:x}}\nconditions: []\nextracted_entities: [gone]\n"
    found = loaded(
        tmp_path, {"flows/f/flow_config.yaml": "name: F\ndescription: d\nstart_step: S\n", "flows/f/steps/s.yaml": step}
    )
    assert {(f.code, f.severity) for f in found.faults} >= {
        ("reference", "error"),
        ("unknown-reference", "error"),
    }


def test_author_code_is_never_run_by_loading(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    code = f"open({str(marker)!r}, 'w')\n\ndef f(conv: Conversation, n: int):\n    return conv.integrations.opentable.list()\n"
    found = loaded(
        tmp_path / "agent",
        {
            "functions/f.py": code,
        },
    )
    assert not marker.exists()
    assert found.agent.functions["f"].parameters[0].type == "integer"
    assert {f.code for f in found.faults} >= {"not-implemented"}
    assert found.errors == ()


def test_an_import_of_a_name_that_its_sibling_lacks_is_told_without_running_it(tmp_path: Path) -> None:
    found = loaded(
        tmp_path,
        {
            "functions/a.py": "from functions.b import gone\n\ndef a(conv):\n    pass\n",
            "functions/b.py": "def b(conv):\n    pass\n",
        },
    )
    assert ("functions/a.py", 1, "import") in codes(found)


def test_a_move_to_a_flow_or_step_that_does_not_exist_is_told(tmp_path: Path) -> None:
    files = {
        "functions/a.py": "def a(conv):\n    conv.goto_flow('Nowhere')\n",
        "flows/f/flow_config.yaml": "name: F\ndescription: d\nstart_step: S\n",
        "flows/f/steps/s.yaml": "step_type: advanced_step\nname: S\nprompt: p\n",
        "flows/f/functions/b.py": "def b(conv, flow):\n    flow.goto_step('S')\n    flow.goto_step('Gone')\n",
    }
    found = codes(loaded(tmp_path, files))
    assert {("functions/a.py", 2, "unknown-reference"), ("flows/f/functions/b.py", 3, "unknown-reference")} <= found
    assert ("flows/f/functions/b.py", 2, "unknown-reference") not in found


def test_configuration_that_has_no_effect_yet_is_named(tmp_path: Path) -> None:
    found = loaded(tmp_path, {"agent_settings/experimental_config.json": '{\n "vad": {"x": 1}\n}'})
    assert ("agent_settings/experimental_config.json", 2, "no-effect") in codes(found)


def test_an_experimental_configuration_with_a_fault_is_ignored_as_a_whole(tmp_path: Path) -> None:
    text = '{\n "ragdoll": {"top_k": 2},\n "conversation_control": {"max_silence_count": "three"}\n}'
    found = loaded(tmp_path, {"agent_settings/experimental_config.json": text})
    assert ("agent_settings/experimental_config.json", 3, "wrong-type") in codes(found)
    assert found.agent.experimental.retrieval.top_k == 5


def test_a_link_that_leads_out_of_the_folder_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "secret.yaml").write_text("name: secret\n")
    folder = write(tmp_path / "agent", {})
    (folder / "topics").mkdir()
    (folder / "topics/secret.yaml").symlink_to(tmp_path / "secret.yaml")
    assert "topics/secret.yaml" not in read_tree(folder).files


def test_a_folder_without_ids_gets_its_cleaned_name(tmp_path: Path) -> None:
    folder = write(tmp_path / "My Agent!", {"project.yaml": "region: uk-1\n"})
    identity = load(read_tree(folder), name=folder.name).agent.identity
    assert (identity.agent_id, identity.account_id) == ("my_agent", "local")


def test_the_hash_of_a_tree_depends_on_every_path_and_byte() -> None:
    files = {"a": b"1", "b": b"2"}
    assert tree_hash(files) == tree_hash(dict(reversed(files.items())))
    assert len({tree_hash(f) for f in (files, {"a": b"2", "b": b"1"}, {"a": b"1"}, {"ab": b"12"})}) == 4


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("Opening Hours & Locations", "opening_hours_locations"),
        ("test_flow_with_punctuation!", "test_flow_with_punctuation"),
    ],
)
def test_names_are_cleaned_as_the_format_says(name: str, cleaned: str) -> None:
    assert clean_name(name) == cleaned


@given(st.binary(max_size=400))
def test_no_bytes_make_the_reader_fail(content: bytes) -> None:
    faults = Faults()
    source = read_yaml("x.yaml", content, faults)
    assert source is not None or faults.found


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=8,
    )
)
def test_any_shape_under_a_known_key_is_a_fault_or_a_value(value: object) -> None:
    import json

    from vivavoce.domain.deployment import Tree

    content = json.dumps(
        {"entities": value, "variants": value, "handoffs": value, "name": value, "content": value}
    ).encode()
    paths = (
        "config/entities.yaml",
        "config/variant_attributes.yaml",
        "config/handoffs.yaml",
        "topics/t.yaml",
        "agent_settings/languages.yaml",
    )
    load(Tree(hash="h", files={"project.yaml": b"project_id: x\n", **dict.fromkeys(paths, content)}))


def test_the_example_loads_in_well_under_half_a_second() -> None:
    """Not a timed test: fails only when loading has become something else altogether."""
    began = time.perf_counter()
    load(read_tree(EXAMPLE))
    assert time.perf_counter() - began < 5


# YAML.

plain_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.text(st.characters(codec="utf-8", exclude_categories=("C",)), max_size=40),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text("abc_", min_size=1, max_size=5), children, max_size=4)
    ),
    max_leaves=12,
)


def shape(node: Any) -> Any:
    """An empty value has no place of its own: each of the two parsers takes another line for it."""
    if node is None or isinstance(node, ScalarNode):
        style = node.style if node and node.style in ("'", '"', "|", ">") else None
        return node and (node.value, style, node.start_mark.line if node.value or style else None)
    if isinstance(node, SequenceNode):
        return [shape(item) for item in node.value]
    return [(shape(key), shape(value)) for key, value in node.value]


@given(st.dictionaries(st.text("abc", min_size=1, max_size=5), plain_values, min_size=1, max_size=5))
def test_the_quick_parser_and_the_other_read_the_same(document: dict[str, Any]) -> None:
    out = io.StringIO()
    YAML(typ="safe", pure=True).dump(document, out)
    try:
        other = composing._composed(YAML(typ="safe", pure=True).parse(out.getvalue()))
    except YAMLError:
        reject()  # it writes {a: ?0} and cannot read that itself
    assert shape(composing.compose(out.getvalue())) == shape(other)


def test_the_quick_parser_reads_every_agent_as_the_other_does() -> None:
    root = Path(__file__).parents[2]
    files = [*(root / "tests" / "agents").rglob("*.yaml"), *(root / "examples").rglob("*.yaml")]
    assert len(files) > 50
    for path in files:
        text = path.read_text("utf-8")
        assert shape(composing.compose(text)) == shape(composing._composed(YAML(typ="safe", pure=True).parse(text))), (
            path
        )


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "- " * 100_000 + "x", "{a: " * 100_000, "a: *gone\n", "a: 1\n---\nb: 2\n", "a: &x [*x]\nb: 1\n"],
)
def test_a_document_that_is_too_deep_or_refers_to_itself_is_a_fault_not_a_crash(text: str) -> None:
    faults = Faults()
    found = read_yaml("x.yaml", text.encode(), faults)
    assert faults.found if found is None else found.plain("a") is None and faults.found


def test_aliases_of_aliases_do_not_grow_beyond_bounds() -> None:
    lines = ["a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9]"] + [
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)
    ]
    faults = Faults()
    found = read_yaml("x.yaml", "\n".join(lines).encode(), faults)
    assert found is not None and found.plain("a11") is None and "at most" in faults.found[0].message
