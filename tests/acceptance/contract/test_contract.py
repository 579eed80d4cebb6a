"""What is served is what the public contracts say, but for the deviations that are written down; needs CONTRACTS."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.acceptance.contract.comparing import differences
from vivavoce.api.app import ROUTES
from vivavoce.api.openapi import document

HERE = Path(__file__).parent
# In order: where two speak of one path, the first is right.
NOT_SERVED = re.compile("/telephony/|/voice-library")
FILES = ("conversations", "conversations-v3", "conversations-v1", "concurrent-calls", "handoff", "external-events")


def contracts() -> Iterator[dict[str, Any]]:
    """Each path stands in the first that has it. Of the agents' contract only the part that is served."""
    folder = Path(os.environ["CONTRACTS"])
    seen: set[str] = set()
    for name in FILES:
        contract = json.loads((folder / f"{name}.openapi.json").read_text())
        contract["paths"] = {path: ops for path, ops in contract["paths"].items() if path not in seen}
        seen |= set(contract["paths"])
        yield contract
    agents = json.loads((folder / "agents.openapi.json").read_text())
    agents["paths"] = {path: ops for path, ops in agents["paths"].items() if not NOT_SERVED.search(path)}
    yield agents


def found() -> set[str]:
    served = document(ROUTES)
    return {line for contract in contracts() for line in differences(contract, served)}


def test_what_is_served_differs_from_the_contracts_only_where_it_was_decided() -> None:
    written = json.loads((HERE / "deviations.json").read_text())
    assert all(d["reason"] and d["source"] for d in written)
    assert sorted(found()) == sorted(d["difference"] for d in written)  # no more, and none that is no longer one


def test_a_contract_differs_from_itself_in_nothing_and_from_another_in_much() -> None:
    folder = Path(os.environ["CONTRACTS"])
    one, other = (json.loads((folder / f"{name}.openapi.json").read_text()) for name in FILES[:2])
    assert list(differences(one, one)) == []
    assert len(list(differences(one, other))) > 5
