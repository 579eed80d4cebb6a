"""Whatever the served OpenAPI document lets through is answered as it says: schemathesis over every operation, with all of its checks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
import schemathesis

from tests.support.openapi import SETTINGS, check, fitted, serving
from vivavoce.api.app import ROUTES
from vivavoce.api.openapi import document

schema = fitted(document(ROUTES))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, requests.Session]]:
    with serving(tmp_path_factory.mktemp("data")) as found:
        yield found


@schema.parametrize()
@SETTINGS
def test_every_request_is_answered_as_the_document_says(
    case: schemathesis.Case, served: tuple[str, requests.Session]
) -> None:
    check(case, served)
