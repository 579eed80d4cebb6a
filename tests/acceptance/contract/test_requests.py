"""Whatever the public contracts let through is answered as they say, but for the deviations that are written down; needs CONTRACTS."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import requests
import schemathesis

from tests.acceptance.contract.comparing import applied
from tests.acceptance.contract.test_contract import HERE, contracts
from tests.support.openapi import SETTINGS, check, fitted, serving
from vivavoce.api.app import ROUTES
from vivavoce.api.openapi import document

WRITTEN = [d["difference"] for d in json.loads((HERE / "deviations.json").read_text())]
# Where the contracts set no bound, and we do, in a sentence.
OURS = (r"limit should be a whole number from 1 to 5,000", r"\w+ is empty; ", r"\w+ has [\d,]+ characters; at most")


def merged() -> dict[str, object]:
    """All of them as one document."""
    served = document(ROUTES)
    paths: dict[str, object] = {}
    for contract in contracts():
        paths |= applied(contract, served, WRITTEN)["paths"]
    parts = {name: served[name] for name in ("openapi", "info", "security")}
    return {**parts, "components": {"securitySchemes": served["components"]["securitySchemes"]}, "paths": paths}


schema = fitted(merged())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, requests.Session]]:
    with serving(tmp_path_factory.mktemp("data")) as found:
        yield found


@schema.parametrize()
@SETTINGS
def test_every_request_is_answered_as_the_contracts_say(
    case: schemathesis.Case, served: tuple[str, requests.Session]
) -> None:
    check(case, served, sentences=OURS, has_less=True)
