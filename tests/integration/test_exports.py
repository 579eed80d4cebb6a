"""What is carried out comes back as it went; what is changed on the way is found; tables hide what may not be seen."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.integration.test_access import SECRETS, key, personal
from tests.integration.test_access import http as personal_http
from tests.integration.test_erasure import LIST, finished, http, planted
from tests.support.http import Api

EXPORT, IMPORT = "/v1/agents/tiny/export", "/v1/agents/tiny/import"


async def exported(http: Api, query: str = "") -> list[bytes]:
    async with http.session.get(http.url + EXPORT + query, headers={"X-API-KEY": "test-key"}) as reply:
        assert reply.status == 200
        return (await reply.read()).splitlines(keepends=True)


def test_a_record_comes_back_whole_after_it_was_erased(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await planted(http, "one")
        await finished(http, "one")
        await http.open(conversationId="open")
        before = (await http.call("GET", f"{LIST}/one"))[1]
        v3 = (await http.call("GET", "/v3/acme/tiny/conversations/one"))[1]
        *records, last = await exported(http)
        assert len(records) == 2
        signature = json.loads(last)["signature"]
        digest = hashlib.sha256(b"".join(records))
        assert (signature["conversations"], signature["sha256"]) == (2, digest.hexdigest())
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(signature["public_key"]))
        public.verify(bytes.fromhex(signature["ed25519"]), digest.digest())
        await http.call("DELETE", f"{LIST}/one")
        sent = {"records": [json.loads(line) for line in records]}
        status, done, _ = await http.call("POST", IMPORT, sent)
        assert (status, done) == (200, {"imported": 1, "skipped": {"open": "it was still going on"}})
        assert (await http.call("GET", f"{LIST}/one"))[1] == before
        assert (await http.call("GET", "/v3/acme/tiny/conversations/one"))[1] == v3
        assert (await http.call("POST", IMPORT, sent))[1]["skipped"]["one"] == "it is there already"
        again = await exported(http, "?inProgress=false")
        assert again[0] == records[0]  # byte for byte
        await http.started.work.run_due()  # type: ignore[union-attr]
        assert [c["conversationId"] for c in (await http.call("GET", f"{LIST}?function=act"))[1]["conversations"]] == [
            "one"
        ]

    http(tmp_path, check)


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r["record"]["conversation"].update(id="../x"),
        lambda r: r["record"]["conversation"].update(turns=9),
        lambda r: r["record"]["turns"].pop(0),
        lambda r: r["record"]["turns"].clear(),
        lambda r: r["record"]["conversation"].update(started_at="0001-01-01T00:00:00Z"),
        lambda r: r["record"]["conversation"].pop("channel"),
        lambda r: r.update(vivavoce=2),
        lambda r: r.pop("record"),
    ],
)
def test_an_import_that_does_not_hold_together_is_refused_whole(tmp_path: Path, change: Any) -> None:
    async def check(http: Api) -> None:
        for id in ("one", "two"):
            await planted(http, id)
            await finished(http, id)
        first, second, _ = (json.loads(line) for line in await exported(http))
        for id in ("one", "two"):
            await http.call("DELETE", f"{LIST}/{id}")
        change(second)
        status, body, _ = await http.call("POST", IMPORT, {"records": [first, second]})
        assert status == 400 and "records[1]" in body["error"]
        assert (await http.call("GET", LIST))[1]["count"] == 0
        assert (await http.call("POST", IMPORT, {"records": [{}] * 201}))[0] == 400
        assert (await http.call("POST", IMPORT, b"[1,"))[0] == 400

    http(tmp_path, check)


def test_a_table_hides_what_may_not_be_seen_and_whole_records_are_not_given(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await personal(http)
        reader = await key(http, "read")
        status, raw, headers = await http.call("GET", f"{EXPORT}?format=csv", key=reader)
        assert status == 200 and headers["content-type"].startswith("text/csv")
        (row,) = csv.DictReader(io.StringIO(raw.decode()))
        assert row["conversationId"] == "one" and row["fromNumber"] == "REDACTED" and not SECRETS.search(raw.decode())
        status, body, _ = await http.call("GET", EXPORT, key=reader)
        assert status == 403 and "'pii'" in body["error"]
        raw = (await http.call("GET", f"{EXPORT}?format=csv"))[1]
        (row,) = csv.DictReader(io.StringIO(raw.decode()))
        assert row["fromNumber"] == "'+447700900461" and "Zuleika" in row["note"]  # no formula for a spreadsheet
        actions = [e["action"] for e in (await http.call("GET", "/v1/audit"))[1]["entries"]]
        assert actions.count("conversations.export") == 2

    personal_http(tmp_path, check)
