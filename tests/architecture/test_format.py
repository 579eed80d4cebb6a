"""The table of the format says what every field does: what is read and not in it fails here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from vivavoce.domain import agent as agent_module
from vivavoce.domain import entity as entity_module
from vivavoce.domain import flow as flow_module
from vivavoce.functions.runtime import conversation as runtime
from vivavoce.functions.runtime.utils import Utils
from vivavoce.project import experimental, source
from vivavoce.project.loader import load
from vivavoce.project.tree import read_tree

ROOT = Path(__file__).parents[2]
AGENTS = ROOT / "tests" / "agents"
TABLE = (ROOT / "docs" / "format.md").read_text()
GENERIC = (
    (r"^adjectives\.\w+$", "adjectives.ADJECTIVE"),
    (r"^categories\.\w+", "categories.CATEGORY"),
    (r"environments\.[\w-]+", "environments.ENV"),
    (r"env_phone_numbers\.\w+", "env_phone_numbers.ENV"),
    (r"\.translations\.[\w-]+$", ".translations.TAG"),
    (r"^attributes\[\]\.values\.\w+$", "attributes[].values.VARIANT"),
    (r"^sip_headers\.[\w-]+$", "sip_headers.KEY"),
    (r"^asr_biasing\.(?!is_enabled|custom_keywords)\w+$", "asr_biasing.BIAS"),
)


def rows(section: str) -> list[tuple[list[str], list[str], str]]:
    """(names of the first cell, of the second, state); an empty first cell repeats the one above."""
    text = TABLE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    found: list[tuple[list[str], list[str], str]] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip()[1:-1].split("|")]
        if (
            not line.startswith("|")
            or len(cells) < 3
            or cells[0] in ("file", "key", "members")
            or (cells[0] and set(cells[0]) <= set("-|"))
        ):
            continue
        first = re.findall(r"`([^`]+)`", cells[0]) or (found[-1][0] if found else [])
        found.append((first, re.findall(r"`([^`]+)`", cells[1]), cells[2]))
    return found


def read_fields(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """Every field that the loader reads, by file: of the agent that has everything, and of the one that is carried."""
    found: dict[str, set[str]] = {}
    plain = source.Mapping._node

    def node(self: source.Mapping, key: str, required: bool) -> Any:
        path = re.sub(r"^topics/.+", "topics/*.yaml", self.path)
        path = re.sub(r"^flows/\w+", "flows/*", path)
        path = re.sub(r"/steps/.+", "/steps/*.yaml", path)
        path = re.sub(r"^test_suite/.+", "test_suite/*.yaml", path)
        name = re.sub(r"\[\d+\]", "[]", f"{self.where}{key}")
        for pattern, generic in GENERIC:
            name = re.sub(pattern, generic, name)
        found.setdefault(path, set()).add(name)
        return plain(self, key, required)

    monkeypatch.setattr(source.Mapping, "_node", node)
    assert load(read_tree(AGENTS / "everything")).faults == ()
    assert {fault.code for fault in load(read_tree(AGENTS / "carried")).faults} == {"unknown-file"}  # kept, as it says
    return found


def test_every_field_that_is_read_is_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    documented: dict[str, set[str]] = {}
    for files, fields, state in rows("Files"):
        assert state in ("works", "for calls", "none"), (files, state)
        for file in files:
            documented.setdefault(file, set()).update(fields)
    read = read_fields(monkeypatch)
    assert {(f, n) for f, names in read.items() for n in names} - {
        (f, n) for f, names in documented.items() for n in names
    } == set()
    ghosts = {(f, n) for f in read for n in documented[f] - read[f]}
    assert ghosts == set()  # and nothing is promised that nobody reads


def test_every_key_of_the_experimental_configuration_is_in_the_table() -> None:
    found: dict[str, set[str]] = {}
    states: dict[str, str] = {}
    for keys, fields, state in rows("`agent_settings/experimental_config.json`"):
        for key in keys:
            found.setdefault(key, set()).update(fields)
            states |= {f"{key}.{field}": state for field in fields} or {key: state}
    assert set(found) == experimental.KNOWN
    for key, fields in experimental.FIELDS.items():
        assert found[key] == set(fields), key
    assert found["prompts"] == experimental.PROMPTS
    assert {name for name, state in states.items() if state == "none"} == set(experimental.NO_EFFECT)


def test_every_member_of_conv_is_in_the_table() -> None:
    text = (ROOT / "src/vivavoce/functions/runtime/conversation.py").read_text()
    body = text.split("class Conversation:")[1].split("\nclass ")[0]
    members = set(re.findall(r"self\.([a-z]\w*)\s*(?::|=)", body.split("def refresh")[0]))
    members |= {name for name in dir(runtime.Conversation) if not name.startswith("_")}
    members -= {"refresh", "saved", "restore", "settle"}  # the worker's own
    documented = {name for names, _, _ in _conv_rows() for name in names}
    assert members == documented
    for cls, names in ((Utils, dir(Utils)), (runtime.Flow, ("goto_step", "current_step", "functions"))):
        for name in names:
            assert name.startswith("_") or f"`{name}`" in TABLE, (cls, name)


def _conv_rows() -> list[tuple[list[str], str, str]]:
    text = TABLE.split("\n## `conv`\n")[1]
    found = []
    for line in text.splitlines():
        if line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip()[1:-1].split("|")]
            found.append((re.findall(r"`([^`]+)`", cells[0]), cells[1], ""))
    return found


def structs() -> list[type[Struct]]:
    return [
        thing
        for module in (agent_module, flow_module, entity_module)
        for thing in vars(module).values()
        if isinstance(thing, type)
        and issubclass(thing, Struct)
        and thing is not Struct
        and thing.__module__ == module.__name__
    ]


# Parsed and carried, and read by nobody yet, as the table says of them: "for calls", "none", or kept to be shown.
CARRIED = {
    "Identity": {"region", "name"},
    "ChannelSettings": set(),
    "Function": {"path", "line"},
    "TestCase": {"scenario", "caller_number", "simulated_at", "prompt_assertions", "call_assertions", "tags", "path"},
    "CallAssertion": {"is_asserted"},
    "Agent": {"test_cases"},
}


def test_no_field_of_a_parsed_agent_is_read_and_then_ignored() -> None:
    """Whatever the loader puts into an agent is used past the loader, or the table says that it is not."""
    code = "".join(
        path.read_text()
        for folder in (
            "engine",
            "service",
            "functions",
            "knowledge",
            "models",
            "entities",
            "voice",
            "wiring",
            "cli",
            "wire",
        )
        for path in (ROOT / "src/vivavoce" / folder).rglob("*.py")
    )
    unused = {
        (struct.__name__, field)
        for struct in structs()
        for field in struct.__struct_fields__
        if not re.search(rf"\.{field}\b", code)
    }
    assert unused <= {(name, field) for name, fields in CARRIED.items() for field in fields}
