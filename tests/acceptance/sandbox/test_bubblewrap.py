"""Author code in a file system of its own, by bubblewrap."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
from tests.integration.test_functions import GUARDS, connected
from tests.integration.test_turns import converse, function

assert shutil.which("bwrap"), "bubblewrap is needed: apt-get install bubblewrap"


def answer(tmp_path: Path, body: str, **overrides: Any) -> str:
    talk = converse(tmp_path, {"functions/act.py": function(body)}, "act", bubblewrap=True, **overrides)
    return str(talk.replies[-1]["response"]).removeprefix("after act: ")


def test_author_code_runs_and_keeps_its_state(tmp_path: Path) -> None:
    body = "import requests, json\nopen('own', 'w').write('x')\nconv.state.n = (conv.state.n or 0) + 1\nreturn str(conv.state.n)"
    files = {"functions/act.py": function(body)}
    talk = converse(tmp_path, files, "act", "act", bubblewrap=True)
    assert talk.replies[-1]["response"] == "after act: 2"


@pytest.mark.parametrize("path", ["/etc/passwd", "/etc/hostname", "/var/lib", "/root/.bashrc", "/opt", "/mnt", "/srv"])
def test_there_is_nothing_to_see_but_what_it_may_read(tmp_path: Path, path: str) -> None:
    assert answer(tmp_path, f"import os\nreturn str(os.path.lexists({path!r}))") == "False"


def test_its_processes_are_the_first_of_a_world_of_their_own(tmp_path: Path) -> None:
    assert int(answer(tmp_path, "import os\nreturn str(os.getpid())")) < 20


def test_without_network_it_reaches_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as backend:
        port = backend.getsockname()[1]
        assert connected(tmp_path / "a", port, bubblewrap=True) == "CONNECTED"
        assert connected(tmp_path / "b", port, bubblewrap=True, function_network=False) != "CONNECTED"


@pytest.mark.parametrize("attempt", GUARDS)
def test_what_it_may_not_do_without_it_may_not_do_with_it(attempt: str, tmp_path: Path) -> None:
    lines = "\n".join(f"    {line}" for line in GUARDS[attempt].split("\n"))
    body = f"import os\npid, key, database = 1 << 21, '/data/api-key', '/data/v.db'\ntry:\n{lines}\nexcept OSError as error:\n    return type(error).__name__\nreturn 'SUCCEEDED'"
    assert answer(tmp_path, body) != "SUCCEEDED"
