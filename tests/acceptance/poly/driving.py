"""The field's own command-line client, driven as its users do, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.support.http import KEY

ROOT = Path(__file__).parents[3]
WORKSHOP = ROOT / "examples" / "bike-workshop"
POLY = os.environ.get("POLY", "")
assert POLY, "POLY names no Python that has the client: make poly"


class Poly:
    """The client in a folder, at a server."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder, self.address = folder, address

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(ROOT / POLY), str(Path(__file__).parent / "launcher.py"), *arguments]
        home = self.folder.parent / "home"
        home.mkdir(exist_ok=True)
        env = {
            "VIVAVOCE_URL": self.address,
            "POLY_ADK_KEY": KEY,
            "POLY_NO_UPDATE_CHECK": "1",
            "HOME": str(home),
            "PATH": os.environ["PATH"],
        }
        return subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, timeout=120)

    def __call__(self, *arguments: str) -> Any:
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)
