"""Agents are pulled and pushed by the field's own client, as whole folders and in pieces, and come out as they went in."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.acceptance.poly.driving import POLY, ROOT, WORKSHOP, Poly
from tests.support.http import KEY, Process
from vivavoce.client import Client

AGENTS = ROOT / "tests" / "agents"
# The public ones are tried where AGENTS names the folder that holds them.
PUBLIC = [Path(os.environ["AGENTS"]) / name for name in ("restaurant-table-booking", "healthcare-appointment-scheduling")] if os.environ.get("AGENTS") else []  # fmt: skip
FOLDERS = [WORKSHOP, AGENTS / "everything", AGENTS / "carried", *PUBLIC]
# What the client does not carry, or writes itself.
NOT_CARRIED = ("project.yaml", "_gen/", "real_time_configuration/", "sources/", "agent_settings/personality.yaml", "agent_settings/role.yaml")  # fmt: skip


class Place:
    """A server with an agent, and folders of the client."""

    def __init__(self, tmp_path: Path, *folders: Path) -> None:
        self.root = tmp_path
        self.process = Process(*map(str, folders), "--data", str(tmp_path / "data"), "--model", "local")
        self.count = 0

    def init(self, account: str, agent: str) -> Poly:
        """A folder of its own, as the client pulls it."""
        self.count += 1
        base = self.root / f"pulled-{self.count}"
        base.mkdir()
        names = ("--account_id", account, "--project_id", agent, "--base-path", str(base))
        assert Poly(base, self.process.address)("init", "--region", "studio", *names)["success"] is True
        return Poly(base / account / agent, self.process.address)


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Place]:
    served = tmp_path / "served"
    shutil.copytree(WORKSHOP, served)
    place = Place(tmp_path, served)
    yield place
    place.process.kill()


def carried(folder: Path) -> dict[str, bytes]:
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith(NOT_CARRIED)}


def in_order(files: dict[str, bytes]) -> dict[str, bytes]:
    """The client lists the entities of a step in the order of their ids, and each agent has ids of its own."""
    return {name: _LISTED.sub(lambda m: m[1] + b"".join(sorted(m[2].splitlines(True))), c) for name, c in files.items()}


_LISTED = re.compile(rb"(extracted_entities:\n)((?:- .*\n)+)")


def told(folder: Path) -> tuple[str, str]:
    said = YAML(typ="safe").load((folder / "project.yaml").read_text())
    return said["account_id"], said["project_id"]


def blank(folder: Path, like: Path) -> Path:
    """An agent that is nothing yet. The client cannot make guardrails, so one that gets some has to have them."""
    (folder / "agent_settings").mkdir(parents=True)
    (folder / "project.yaml").write_text("project_id: blank\naccount_id: acme\n")
    if (like / "agent_settings/guardrails.yaml").exists():
        (folder / "agent_settings/guardrails.yaml").write_text("platform_guardrails: []\n")
    return folder


def clean(poly: Poly) -> bool:
    return not any(value for key, value in poly("status").items() if key.endswith("_files"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_folder_that_is_pulled_pushed_to_another_agent_and_pulled_again_is_the_same(
    folder: Path, tmp_path: Path
) -> None:
    place = Place(tmp_path, folder, blank(tmp_path / "blank", folder))
    try:
        first = place.init(*told(folder))
        assert clean(first)
        before = carried(first.folder)
        # To another agent: the folder as it is, with that one's name.
        second = Poly(tmp_path / "second", first.address)
        shutil.copytree(first.folder, second.folder, ignore=shutil.ignore_patterns("_gen"))
        (second.folder / "project.yaml").write_text("region: studio\naccount_id: acme\nproject_id: blank\n")
        second("status")
        second("fetch")
        pushed = second("push", "--force", *(["--skip-validation"] if folder.name == "everything" else []))
        assert pushed["success"] is True, pushed
        assert clean(second)
        assert second("branch", "merge", "all of it")["success"] is True
        assert in_order(carried(place.init("acme", "blank").folder)) == in_order(before)
        with Client(first.address, KEY) as client:
            archive = client.deployments.files("blank", "sandbox")
        with zipfile.ZipFile(io.BytesIO(archive)) as files:
            stored = {name: files.read(name) for name in files.namelist() if not name.startswith(NOT_CARRIED)}
        # What says nothing that was not so by default has no file on the server.
        assert in_order({name: before[name] for name in stored}) == in_order(stored)
        assert set(before) - set(stored) <= {
            "agent_settings/persona.txt", "agent_settings/languages.yaml", "agent_settings/safety_filters.yaml", "voice/safety_filters.yaml",
        }  # fmt: skip
    finally:
        place.process.kill()


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, path
    path.write_text(text.replace(old, new))


def test_an_edit_that_is_pushed_is_in_the_served_folder_after_a_merge_and_in_every_other_copy(workshop: Place) -> None:
    first = workshop.init("spoke-and-chain", "bike-workshop")
    second = workshop.init("spoke-and-chain", "bike-workshop")
    edited(first.folder / "topics/warranty.yaml", "content: ", "content: Ask us. ")
    edited(first.folder / "functions/goodbye.py", "Ride safely, goodbye!", "Come back soon!")
    edited(first.folder / "flows/check_a_repair/steps/confirm_cancelling.yaml", "{{ft:keep_repair}}", "{{ft:leave_repair}}")  # fmt: skip
    (first.folder / "flows/check_a_repair/functions/keep_repair.py").unlink()
    (first.folder / "topics/snow_tyres.yaml").write_text(
        "name: Snow tyres\nenabled: true\nactions: ''\ncontent: From October, by {{fn:hand_over}}.\nexample_queries: []\n"
    )
    assert first("validate")["valid"] is True
    assert "Ask us." in json.dumps(first("diff"))
    assert first("push", "--dry-run")["success"] is True and clean(second)
    pushed = first("push")
    assert pushed["success"] is True and pushed["new_branch_id"] and clean(first)
    # On the branch it can be talked to; on main nothing has happened.
    (talk,) = first("chat", "-m", "Do you have snow tyres?")["conversations"]
    assert "From October" in talk["turns"][1]["response"]
    served = workshop.root / "served"
    assert not (served / "topics/snow_tyres.yaml").exists()
    assert first("branch", "merge", "snow")["success"] is True
    assert (served / "topics/snow_tyres.yaml").read_bytes() == (first.folder / "topics/snow_tyres.yaml").read_bytes()
    assert not (served / "flows/check_a_repair/functions/keep_repair.py").exists()
    # What the author wrote in a way of his own stays so where it says the same.
    goodbye = (served / "functions/goodbye.py").read_text()
    assert (
        goodbye.startswith('from _gen import *\n\n\n@func_description("Says goodbye') and "Come back soon!" in goodbye
    )
    untouched = [path for path in WORKSHOP.rglob("*") if path.is_file() and path.suffix in (".py", ".yaml")]
    same = [
        p for p in untouched if (q := served / p.relative_to(WORKSHOP)).exists() and q.read_bytes() == p.read_bytes()
    ]
    assert len(untouched) - len(same) == 4
    second("pull")
    assert carried(second.folder) == carried(first.folder)


def test_branches_are_made_switched_diffed_renamed_and_deleted(workshop: Place) -> None:
    poly = workshop.init("spoke-and-chain", "bike-workshop")
    before = carried(poly.folder)
    assert poly("branch", "create", "prices")["success"] is True
    edited(poly.folder / "topics/prices.yaml", "content: ", "content: Dearer. ")
    assert poly("push")["success"] is True
    assert "Dearer." in json.dumps(poly("branch", "diff")) and poly("branch", "status")
    assert poly("branch", "switch", "main", "--force")["success"] is True
    assert carried(poly.folder) == before
    assert poly("branch", "switch", "prices", "--force")["success"] is True
    assert "Dearer." in (poly.folder / "topics/prices.yaml").read_text()
    assert poly("branch", "rename", "dearer")["success"] is True
    assert set(poly("branch", "list")["branches"]) == {"main", "dearer"}
    assert poly("branch", "delete", "dearer")["success"] is True
    assert set(poly("branch", "list")["branches"]) == {"main"}


def test_a_merge_in_conflict_says_where_and_is_settled_by_a_resolution(workshop: Place) -> None:
    one = workshop.init("spoke-and-chain", "bike-workshop")
    other = workshop.init("spoke-and-chain", "bike-workshop")
    for poly, words in ((one, "Mine. "), (other, "Theirs. ")):
        edited(poly.folder / "topics/prices.yaml", "content: ", f"content: {words}")
        assert poly("push")["success"] is True
    assert one("branch", "merge", "first")["success"] is True
    done = other.run("branch", "merge", "second", "--json")
    found = json.loads(done.stdout)
    assert found["success"] is False
    (conflict,) = found["conflicts"]
    assert conflict["path"] == ["topics/prices.yaml", "content"]
    settled = json.dumps([{"path": conflict["path"], "strategy": "theirs"}])
    (other.folder / "settled.json").write_text(settled)
    merged = other("branch", "merge", "second", "--resolutions", "settled.json")
    assert merged["success"] is True
    assert "Theirs. " in (workshop.root / "served/topics/prices.yaml").read_text()


def test_what_was_made_on_the_branch_meanwhile_comes_with_the_next_push(workshop: Place) -> None:
    poly = workshop.init("spoke-and-chain", "bike-workshop")
    assert poly("branch", "create", "both")["success"] is True
    branch = poly("branch", "list")["branches"]["both"]["branchId"]
    with Client(poly.address, KEY) as client:
        # The same branch, by the other door.
        client.branches.create_topic("bike-workshop", branch, name="Late", content="At night.")
    edited(poly.folder / "topics/prices.yaml", "content: ", "content: Late. ")
    assert poly("push")["success"] is True  # it pulls first, and has what was made meanwhile
    assert (poly.folder / "topics/late.yaml").exists()


def test_the_commands_that_are_read_are_those_that_the_client_writes() -> None:
    compiled = ROOT / "src/vivavoce/wire/commands/commands.binpb"
    script = Path(__file__).parent / "compare_commands.py"
    done = subprocess.run([str(ROOT / POLY), str(script), str(compiled)], capture_output=True, text=True, check=True)
    assert done.stdout.endswith(" messages compared\n") and done.stdout.count("\n") == 1, done.stdout
