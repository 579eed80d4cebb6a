"""The shape of the house: families, documents and the route table say what is there."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from vivavoce.api.app import ROUTES
from vivavoce.api.openapi import document
from vivavoce.cli.main import COMMANDS
from vivavoce.functions.sandbox import Guards

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "vivavoce"
FAMILIES = (
    "models",
    "knowledge",
    "functions",
    "store",
    "safety",
    "messages",
    "secrets",
    "outbound",
    "speech",
    "recordings",
)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_has_one_interface(family: str) -> None:
    assert (SOURCE / family / "interface.py").is_file()


def test_every_module_says_in_its_first_line_what_it_holds() -> None:
    silent = [str(p) for p in SOURCE.rglob("*.py") if "template" not in p.parts and not p.read_text().startswith('"""')]
    assert silent == []


def test_only_the_settings_read_the_environment() -> None:
    readers = {
        p.relative_to(SOURCE).as_posix()
        for p in SOURCE.rglob("*.py")
        if re.search(r"os\.environ|os\.getenv", p.read_text())
    }
    assert readers <= {"settings.py", "functions/zygote.py"}  # the zygote sets TMPDIR in its own, empty one


def test_no_decoder_is_made_where_threads_read() -> None:
    """msgspec crashes the process when two threads ask for a type for the first time at once: decoders are made at import."""
    families = ("store", "wire", "project", "service", "engine")
    guilty = [
        p.relative_to(SOURCE).as_posix()
        for family in families
        for p in (SOURCE / family).rglob("*.py")
        if re.search(r"decode\(.*\btype=", p.read_text())
    ]
    assert guilty == []


def test_every_command_setting_route_and_guard_is_documented() -> None:
    readme = (ROOT / "README.md").read_text()
    configuration = (ROOT / "docs" / "configuration.md").read_text()
    for command in COMMANDS:
        assert f"vivavoce {command}" in readme + configuration, command
    for name in re.findall(
        r'"(VIVAVOCE_[A-Z_]+|OPENAI_[A-Z_]+|TWILIO_[A-Z_]+|ANTHROPIC_[A-Z_]+)"', (SOURCE / "settings.py").read_text()
    ):
        assert f"`{name}`" in configuration or f"`{name}NAME`" in configuration, name
    api = (ROOT / "docs" / "api.md").read_text()
    for route in ROUTES:
        assert f"{route.method} {route.path}" in api, route.path
    security = (ROOT / "docs" / "security.md").read_text()
    for guard in Guards.__struct_fields__:
        assert f"`{guard}`" in security, guard


def test_every_error_code_is_documented() -> None:
    codes = set(
        re.findall(r'code(?:: ClassVar\[str\])? = "([A-Z_]+)"', "".join(p.read_text() for p in SOURCE.rglob("*.py")))
    )
    api = "".join((ROOT / "docs" / page).read_text() for page in ("api.md", "python.md"))
    assert {c for c in codes if f"`{c}`" not in api} == set()


def test_the_openapi_document_is_the_one_that_was_reviewed() -> None:
    """Change on purpose: write the new document to tests/architecture/openapi.json and read the difference."""
    kept = json.loads((Path(__file__).parent / "openapi.json").read_text())
    assert json.loads(json.dumps(document(ROUTES))) == kept


def test_the_project_names_no_machine_and_no_registry() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    pattern = re.compile(r"/(?:root|home)/\w|registry\.npm|files\.pythonhosted|--index-url|--find-links")
    guilty = [
        p
        for p in tracked
        if p.endswith((".md", ".txt", ".toml", "Makefile", ".py", ".yaml"))
        and p != "tests/architecture/test_house.py"
        and pattern.search((ROOT / p).read_text("utf-8", "replace"))
    ]
    assert guilty == []
