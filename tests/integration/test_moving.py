"""A record that has outgrown its file is carried to PostgreSQL by one command, and nothing of it is lost."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_many_processes import AGENT, LIST, MODEL
from tests.integration.test_search import done
from tests.support import postgres
from tests.support.http import api
from tests.support.talk import run, script, write
from vivavoce.cli.main import main
from vivavoce.service.keys import OPERATOR

SEARCH = f"{LIST}?queryType=transcript&query=sailing"


def migrate(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["migrate", *arguments])
    return int(ended.value.code or 0)


async def fill(folder: Path, data: Path) -> list[Any]:
    database = f"sqlite:///{data / 'vivavoce.db'}"
    async with api(folder, script(MODEL), data=data, database=database) as http:
        for n in range(5):
            id = (await http.open())["conversationId"]
            await http.say(id, "act 0")
            await http.say(id, f"I went sailing number {n}")
        assert http.started is not None
        await http.started.services.chats.end(OPERATOR, "tiny", id)
        await http.call("POST", f"{LIST}/{id}/note", {"note": "seen"})
        await http.call("POST", "/v1/keys", {"name": "kept", "permissions": ["read"]})
        await done(http)
        return await seen(http)


async def seen(http: Any) -> list[Any]:
    found = [(await http.call("GET", path))[1] for path in (LIST, SEARCH, "/v1/keys", "/v1/audit/verify")]
    for item in found[0]["conversations"]:
        found.append((await http.call("GET", f"{LIST}/{item['conversationId']}"))[1])
    return json.loads(json.dumps(found))


def test_a_whole_record_is_moved_and_goes_on_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, data, url = write(tmp_path / "agent", AGENT), tmp_path / "data", postgres.fresh()
    before = run(fill(folder, data))
    assert migrate("--from", f"sqlite:///{data / 'vivavoce.db'}", "--database", url) == 0
    assert "Moved 5 conversations with 15 turns, and compared every row." in capsys.readouterr().out

    async def go() -> None:
        async with api(folder, script(MODEL), data=data, database=url) as http:
            after = await seen(http)
            assert after[1]["conversations"] and after[:3] == before[:3] and after[4:] == before[4:]
            assert after[3]["isWhole"] and after[3]["entries"] >= before[3]["entries"]
            open_ = after[0]["conversations"][-1]
            status, reply, _ = await http.say(open_["conversationId"], "act 0")
            assert status == 200 and reply["response"] == "Done, 2 times"
            await http.open()  # numbers that the database gives out go on after those that were moved

    run(go())


def test_nothing_is_moved_into_a_record_that_is_not_empty_or_under_another_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, data, url = write(tmp_path / "agent", AGENT), tmp_path / "data", postgres.fresh()
    run(fill(folder, data))
    source = ("--from", f"sqlite:///{data / 'vivavoce.db'}")
    assert migrate(*source, "--database", url) == 0
    assert migrate(*source, "--database", url) == 1
    assert "not empty" in capsys.readouterr().err
    assert migrate(*source, "--database", postgres.fresh(), "--data", str(tmp_path / "other")) == 1
    assert "sealed with another key" in capsys.readouterr().err
    assert migrate("--from", "sqlite:////nowhere", "--database", url) == 1
    assert migrate(*source) == 1


@pytest.mark.parametrize("table", ["turns", "facets", "tallies"])
def test_a_row_that_did_not_arrive_as_it_was_undoes_the_move(
    tmp_path: Path, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vivavoce.store.postgres import moving

    folder, data, url = write(tmp_path / "agent", AGENT), tmp_path / "data", postgres.fresh()
    run(fill(folder, data))
    db = sqlite3.connect(data / "vivavoce.db")
    assert db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] > 0
    db.close()
    right = moving._rows
    broken: set[str] = set()

    def wrong(db: Any, name: str, columns: Any) -> Any:
        rows = right(db, name, columns)
        if name == table and name not in broken:  # on the way, not when it is compared
            broken.add(name)
            next(rows)
        return rows

    monkeypatch.setattr(moving, "_rows", wrong)
    source = ("--from", f"sqlite:///{data / 'vivavoce.db'}", "--database", url)
    assert migrate(*source) == 1
    monkeypatch.undo()
    assert migrate(*source) == 0  # the target was left as it was


def test_migrating_says_what_it_did_and_may_be_run_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--database", postgres.empty(), "--data", str(tmp_path), "--json")
    assert migrate(*arguments) == 0 and json.loads(capsys.readouterr().out) == {"migrations": [1, 2]}
    assert migrate(*arguments) == 0 and json.loads(capsys.readouterr().out) == {"migrations": []}
    assert migrate("--data", str(tmp_path)) == 0
