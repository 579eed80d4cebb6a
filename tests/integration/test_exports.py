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
from pyarrow import parquet

from tests.integration.test_access import SECRETS, key, personal
from tests.integration.test_access import http as personal_http
from tests.integration.test_erasure import LIST, finished, http, planted
from tests.support.http import Api
from vivavoce.wire import jws

EXPORT, IMPORT = "/v1/agents/tiny/export", "/v1/agents/tiny/import"


def text_of(signature: dict[str, Any]) -> bytes:
    """What the documentation says is signed."""
    said = ("id", "format", "conversations", "sha256")
    return "\0".join(["vivavoce export", *(str(signature[name]) for name in said)]).encode()


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
        public.verify(bytes.fromhex(signature["ed25519"]), text_of(signature))
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


async def lines_of(http: Api, kind: str, **options: Any) -> list[Any]:
    raw = (await http.call("GET", f"{EXPORT}?format={kind}", **options))[1]
    body = json.dumps(raw).encode() if isinstance(raw, dict) else raw
    return [json.loads(line) for line in body.splitlines()]


def test_a_vcon_is_signed_and_brings_back_the_whole_conversation(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await planted(http, "one")
        await finished(http, "one")
        await http.call("POST", f"{LIST}/one/note", {"note": "Looked at."})
        before = (await http.call("GET", f"{LIST}/one"))[1]
        record = (await exported(http))[0]
        (signed,) = await lines_of(http, "vcon")
        body = json.loads(jws.opened(signed))
        assert body["vcon"] == "0.4.0" and body["uuid"] == signed["signatures"][0]["header"]["uuid"]
        assert [(d["parties"][0], d["body"]) for d in body["dialog"]][:2] == [
            (0, before["turns"][1]["user_input"]),
            (1, before["turns"][1]["agent_response"]),
        ]
        assert body["parties"][0]["tel"] == before["fromNumber"]
        await http.call("DELETE", f"{LIST}/one")
        changed = {**signed, "payload": signed["payload"][:-8] + "AAAAAAAA"}
        status, refused, _ = await http.call("POST", IMPORT, {"records": [changed]})
        assert status == 400 and "changed since it was signed" in refused["error"]
        status, done, _ = await http.call("POST", IMPORT, {"records": [signed]})
        assert (status, done["imported"]) == (200, 1)
        assert (await http.call("GET", f"{LIST}/one"))[1] == before
        assert (await exported(http))[0] == record  # byte for byte

    http(tmp_path, check)


def test_a_vcon_for_who_may_not_see_personal_data_has_none(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await personal(http)
        reader = await key(http, "read")
        (signed,) = await lines_of(http, "vcon", key=reader)
        body = jws.opened(signed).decode()
        assert not SECRETS.search(body) and "vivavoce-record" not in body and "[NAME]" in body
        (whole,) = await lines_of(http, "vcon")
        assert SECRETS.search(jws.opened(whole).decode())
        table = (await http.call("GET", f"{EXPORT}?format=parquet", key=reader))[1]
        assert not SECRETS.search(str(parquet.read_table(io.BytesIO(table)).to_pylist()))

    personal_http(tmp_path, check)


def foreign(**changes: Any) -> dict[str, Any]:
    """A vCon that somebody else has made."""
    said = [
        (1, "2025-05-01T10:00:05.000Z", "Thanks for calling, how can I help?"),
        (0, "2025-05-01T10:00:09Z", "My name is Zuleika Quorn."),
        (0, "2025-05-01T10:00:12Z", "I want to cancel."),
        (1, "2025-05-01T12:00:15+02:00", "It is cancelled."),
    ]
    return {
        "vcon": "0.0.2",
        "uuid": "018e3b72-1234-8abc-9def-0123456789ab",
        "created_at": "2025-05-01T10:00:00.000Z",
        "parties": [{"tel": "tel:+447700900461", "name": "Zuleika Quorn"}, {"type": "bot", "tel": "+441632960000"}],
        "dialog": [
            {"type": "recording", "start": "2025-05-01T10:00:00Z", "parties": [0, 1], "url": "https://example.com/a.wav"},
            *(
                {"type": "text", "start": at, "parties": [who, 1 - who], "mediatype": "text/plain", "body": text, "encoding": "none"}
                for who, at, text in said
            ),
        ],
        "analysis": [],
        "attachments": [],
        **changes,
    }  # fmt: skip


def test_a_vcon_that_others_made_becomes_a_conversation_that_is_searched_and_hidden_like_any(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        status, done, _ = await http.call("POST", IMPORT, {"records": [foreign()]})
        assert (status, done) == (200, {"imported": 1, "skipped": {}})
        id = foreign()["uuid"]
        detail = (await http.call("GET", f"{LIST}/{id}"))[1]
        assert [(t["user_input"], t["agent_response"]) for t in detail["turns"]] == [
            ("", "Thanks for calling, how can I help?"),
            ("My name is Zuleika Quorn.\nI want to cancel.", "It is cancelled."),
        ]
        assert detail["fromNumber"] == "+447700900461" and detail["channel"] == "VOICE-SIP" and detail["duration"] == 10
        assert detail["turns"][0]["metadata"]["notices"][0]["code"] == "IMPORTED"
        await http.started.work.run_due()  # type: ignore[union-attr]
        assert (await http.call("GET", f"{LIST}?queryType=transcript&query=cancelled"))[1]["count"] == 1
        reader = await key(http, "read", account="acme")
        assert not SECRETS.search(json.dumps((await http.call("GET", f"{LIST}/{id}", key=reader))[1]))
        assert (await http.call("POST", IMPORT, {"records": [foreign()]}))[1]["skipped"] == {id: "it is there already"}

    http(tmp_path, check)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"uuid": "x", "created_at": "2025-05-01T10:00:00Z"}, "holds no text of anybody"),
        (foreign(critical=["lawful"]), "needs extensions that are not known here: lawful"),
        (foreign(created_at="yesterday"), "is no vCon"),
        (foreign(dialog="x"), "is no vCon"),
        (foreign(uuid="../../x"), "has an id that no conversation can have"),
        ({"ciphertext": "x", "unprotected": {}}, "is encrypted"),
        ({"payload": "x", "signatures": []}, "not a signed vCon"),
        ({"payload": "x", "signatures": [{"header": {"x5c": ["AA=="]}, "protected": "e30"}]}, "not a signed vCon"),
        ([], "is not a record of this format"),
    ],
)
def test_what_is_no_vcon_is_refused_with_the_reason(tmp_path: Path, body: Any, says: str) -> None:
    async def check(http: Api) -> None:
        status, refused, _ = await http.call("POST", IMPORT, {"records": [body]})
        assert status == 400 and says in refused["error"] and "records[0]" in refused["error"]

    http(tmp_path, check)


@pytest.mark.parametrize("kind", ["csv", "parquet", "vcon", "jsonl"])
def test_every_export_can_be_checked_by_its_signature(tmp_path: Path, kind: str) -> None:
    async def check(http: Api) -> None:
        await planted(http, "one")
        await finished(http, "one")
        query = f"{EXPORT}?format={kind}&exportId=mine"
        async with http.session.get(http.url + query, headers={"X-API-KEY": "test-key"}) as reply:
            assert reply.headers["X-Vivavoce-Export"] == "mine"
            sent = await reply.read()
        if kind == "jsonl":
            sent = sent[: sent.rindex(b'{"signature"')]
        status, found, _ = await http.call("GET", "/v1/agents/tiny/exports/mine")
        assert (status, found["format"], found["conversations"]) == (200, kind, 1)
        digest = hashlib.sha256(sent)
        assert found["sha256"] == digest.hexdigest()
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(found["publicKey"]))
        public.verify(bytes.fromhex(found["ed25519"]), text_of(found))
        assert (await http.call("GET", query))[0] == 409
        assert (await http.call("GET", "/v1/agents/tiny/exports/other"))[0] == 404

    http(tmp_path, check)


def test_a_parquet_table_has_types_and_transcripts(tmp_path: Path) -> None:
    async def check(http: Api) -> None:
        await planted(http, "one")
        await http.call("PUT", f"{LIST}/one/tags", {"tags": ["a", "b"]})
        raw = (await http.call("GET", f"{EXPORT}?format=parquet"))[1]
        (row,) = parquet.read_table(io.BytesIO(raw)).to_pylist()
        detail = (await http.call("GET", f"{LIST}/one"))[1]
        assert row["startedAt"].isoformat() == detail["startedAt"] and row["tags"] == ["a", "b"] and row["inProgress"]
        assert [t["user_input"] for t in row["turns"]] == [t["user_input"] for t in detail["turns"]]

    http(tmp_path, check)
