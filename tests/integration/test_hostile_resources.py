"""Bad input to what surrounds a conversation: addresses, schemas, caches, providers, secrets, races. Each was once a fault."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.integration.test_integrations import call, company
from tests.integration.test_sources import Counting
from tests.integration.test_surroundings import EVENTS, HOOK, PAGES, with_api
from tests.integration.test_turns import CALLS, function
from tests.support.http import Api
from tests.support.talk import Talk, run, script, serving, write
from vivavoce.domain import entity
from vivavoce.domain.agent import TranscriptCorrection
from vivavoce.domain.conversation import SENT_KINDS, OutgoingMessage
from vivavoce.engine.corrections import correct
from vivavoce.entities.validation import validate
from vivavoce.knowledge.indexing import KeptVectors
from vivavoce.messages.interface import MessageRefused, Sender
from vivavoce.messages.scripted import ScriptedSender
from vivavoce.messages.smtp import SmtpSender
from vivavoce.outbound.guarded import GuardedHttp, is_public
from vivavoce.outbound.interface import OutboundError, Request
from vivavoce.outbound.oauth import Tokens
from vivavoce.project.cache import load_cached
from vivavoce.project.html import text_of
from vivavoce.project.source import Faults, read_yaml
from vivavoce.project.sources import passages
from vivavoce.project.tree import read_tree
from vivavoce.secrets.memory import MemorySecrets
from vivavoce.service.keys import OPERATOR
from vivavoce.store.interface import StoreError

# Addresses.


@pytest.mark.parametrize(
    "host", ["①②⑦.⓪.⓪.①", "127。0。0。1", "⑯⑨.254.169.254", "127.1", "0x7f.1", "2130706433", "localhost.", "[::ffff:127.0.0.1]", "u:p@127.0.0.1"]
)  # fmt: skip
def test_however_a_private_address_is_written_it_is_not_called(host: str) -> None:
    async def check() -> None:
        async with company() as server:
            port = server.url.rsplit(":", 1)[1]
            outbound = GuardedHttp()
            with pytest.raises(OutboundError):
                await outbound.send(Request(method="GET", url=f"http://{host}:{port}/", timeout=5))
            assert server.seen == []
            await outbound.close()

    run(check())


@pytest.mark.parametrize(
    "address", ["64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "::ffff:0:7f00:1", "2002:7f00:1::", "::7f00:1", "fec0::1"]
)
def test_addresses_that_stand_for_private_ones_are_private(address: str) -> None:
    assert not is_public(address)


def test_a_redirect_to_another_host_takes_neither_keys_nor_bodies_with_it() -> None:
    async def check() -> None:
        async with company() as first, company() as second:
            outbound = GuardedHttp(("127.0.0.1",))
            asked = {"url": first.url + "/away", "params": {"to": second.url + "/x"}}
            await outbound.send(Request(method="GET", headers={"X-Shop-Token": "k", "Accept": "a/b"}, **asked))
            assert "X-Shop-Token" not in second.seen[0]["headers"] and second.seen[0]["headers"]["Accept"] == "a/b"
            with pytest.raises(OutboundError, match="not sent on"):
                await outbound.send(Request(method="PUT", body=b"secret", **asked))
            assert len(second.seen) == 1
            await outbound.close()

    run(check())


def test_a_token_is_only_for_those_who_know_the_secret() -> None:
    async def check() -> None:
        async with company() as server:
            tokens = Tokens(GuardedHttp(("127.0.0.1",)))
            base = {"token_url": server.url + "/token", "client_id": "c"}
            first = await tokens.token({**base, "client_secret": "a"})
            assert await tokens.token({**base, "client_secret": "a"}) == first
            assert await tokens.token({**base, "client_secret": "b"}) != first
            await tokens._outbound.close()

    run(check())


# Author code and providers that are odd.


@pytest.mark.parametrize(
    ("arguments", "outcome"),
    [
        ("json={}, timeout=(3, 5)", "200"),
        ("json={}, params=[('a', 'b')]", "200"),
        ("json={}, params='a=b'", "200"),
        ("json={}, timeout='x'", "InvalidInput"),
        ("json={}, headers=[1]", "InvalidInput"),
        ("json={}, timeout=-1", "InvalidInput"),
    ],
)
def test_what_requests_takes_is_taken_and_what_it_does_not_is_an_error_at_once(
    arguments: str, outcome: str, tmp_path: Path
) -> None:
    began = time.monotonic()
    talk, _ = call(tmp_path, f"return str(conv.api.shop.create({arguments}).status_code)")
    assert outcome in (talk.calls[0]["error"] or talk.replies[-1]["response"])
    assert time.monotonic() - began < 8  # it does not wait for its time limit


def test_a_providers_headers_that_are_no_text_lose_nothing(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\xff\r\nX-Bad: \xff\xfe\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        writer.close()

    async def hold() -> Talk:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        files = {
            "agent_settings/rules.txt": "{{fn:act}}",
            "functions/act.py": function("return conv.api.shop.get().text"),
            "config/api_integrations.yaml": f"api_integrations:\n- name: shop\n  environments: {{sandbox: {{base_url: '{url}'}}}}\n  operations:\n  - {{name: get, method: GET, resource: /}}\n",
        }
        async with serving(write(tmp_path, files), script(CALLS), private_hosts=("127.0.0.1",)) as talk:
            one = talk()
            await one.open()
            await one.say("act")
        server.close()
        return one

    talk = run(hold())
    assert talk.replies[-1]["response"] == "after act: ok"


KINDS = (
    entity.Numeric(has_decimal=True), entity.Quantity(), entity.Currency(), entity.Alphanumeric(pattern=r"^[A-Z]{2}\d+$"), entity.Email(),
    entity.Enum(options=("Small", "Large")), entity.Date(), entity.Time(earliest="09:00", latest="17:00"), entity.Phone(), entity.Name(),
)  # fmt: skip
NOW = datetime(2026, 3, 11, 10, tzinfo=UTC)
spoken = st.lists(
    st.one_of(
        st.text(max_size=8),
        st.sampled_from(["in", "99999999999", "²", "days", "weeks", "ago", "at", "dot", "double", "point", "minus", "half", "a", "dozen", "two", "thousand", "and", "nineteen", "the", "31st", "of", "february", "3", "9999-99-99", "+44", "£", "@"]),
    ),
    max_size=10,
).map(" ".join)  # fmt: skip


@given(spoken, st.sampled_from(KINDS))
def test_no_words_whatever_make_a_value_fail_instead_of_being_refused(text: str, kind: entity.Kind) -> None:
    validate(text, kind, NOW)


@pytest.mark.parametrize("text", ["in 99999999999 days", "in ² days", "9" * 30, "nine hundred million million million"])
def test_numbers_beyond_all_measure_are_refused(text: str) -> None:
    for kind in KINDS:
        found = validate(text, kind, NOW)
        assert abs(getattr(found, "typed", 0) if isinstance(getattr(found, "typed", 0), (int, float)) else 0) <= 10**15


def test_numbers_of_more_than_64_bits_are_not_let_in_where_functions_would_choke_on_them(tmp_path: Path) -> None:
    async def check(client: Api) -> None:
        conversation = (await client.open())["conversationId"]
        event = (await client.say(conversation, "act"))[1]["metadata"]["state"]["event"]
        place = f"{HOOK}&event_id_location=payload&event_id_path=id"
        status, error, _ = await client.call("POST", place, {"id": event, "n": 2**70})
        assert status == 400 and "64 bits" in error["error"]
        status, error, _ = await client.call("PATCH", f"{PAGES}/sandbox/variables", {"variables": {"a": 2**70}})
        assert status == 400
        assert (await client.say(conversation, "act"))[1]["metadata"]["functionEvents"][0]["error"] is None

    with_api(tmp_path, EVENTS, check)


# Schemas.


@pytest.mark.parametrize(
    "schema",
    [
        {"$id": "http://[", "$ref": "foo"},
        {"$ref": "#/enum/x", "enum": [1]},
        {"$defs": {"n0": {"type": "string"}, **{f"n{i}": {"allOf": [{"$ref": f"#/$defs/n{i - 1}"}] * 2} for i in range(1, 40)}}, "$ref": "#/$defs/n39"},
    ],
)  # fmt: skip
def test_a_schema_that_takes_for_ever_or_breaks_its_checker_holds_nobody_up(
    schema: dict[str, Any], tmp_path: Path
) -> None:
    async def check(client: Api) -> None:
        status, _, _ = await client.call("PUT", f"{PAGES}/sandbox/schema", {"schema": schema})
        assert status in (200, 400)
        patching = asyncio.create_task(client.call("PATCH", f"{PAGES}/sandbox/variables", {"variables": {"a": 1}}))
        began = time.monotonic()
        assert (await client.call("GET", "/healthz"))[0] == 200
        assert time.monotonic() - began < 3
        assert (await patching)[0] in (200, 400)

    with_api(tmp_path, EVENTS, check)


def test_schema_and_variables_that_are_written_at_once_are_both_there(tmp_path: Path) -> None:
    async def check(client: Api) -> None:
        for n in range(3):
            schema = {"type": "object", "title": str(n)}
            results = await asyncio.gather(
                client.call("PUT", f"{PAGES}/sandbox/schema", {"schema": schema}),
                client.call("PATCH", f"{PAGES}/sandbox/variables", {"variables": {"n": n}}),
            )
            assert [status for status, _, _ in results] == [200, 200]
            page = (await client.call("GET", f"{PAGES}/sandbox"))[1]
            assert (page["schema"], page["variables"]) == (schema, {"n": n})

    with_api(tmp_path, EVENTS, check)


def test_a_key_that_may_only_write_can_use_what_is_for_writing(tmp_path: Path) -> None:
    async def check(client: Api) -> None:
        body = {"name": "w", "permissions": ["write"], "agents": ["tiny"]}
        key = (await client.call("POST", "/v1/keys", body))[1]["key"]
        assert (await client.call("PATCH", f"{PAGES}/sandbox/variables", {"variables": {}}, key=key))[0] == 200
        place = f"{HOOK}&event_id_location=payload&event_id_path=id"
        assert (await client.call("POST", place, {"id": "x"}, key=key))[1]["error_code"] == "EXTERNAL_EVENT_UNKNOWN"
        assert (await client.call("GET", f"{PAGES}/sandbox", key=key))[0] == 403
        other = (await client.call("POST", "/v1/keys", {**body, "name": "o", "agents": ["another"]}))[1]["key"]
        assert (await client.call("PATCH", f"{PAGES}/sandbox/variables", {"variables": {}}, key=other))[0] == 403
        for odd in ("headers&event_id_path=你好", "payload&event_id_path=²", "payload&event_id_path=" + "9" * 5000):
            assert (await client.call("POST", f"{HOOK}&event_id_location={odd}", [1]))[0] == 400

    with_api(tmp_path, EVENTS, check)


# Secrets.


def test_no_part_of_the_record_holds_a_secret(tmp_path: Path) -> None:
    body = """
token = conv.utils.get_secret('crm')
pin = conv.utils.get_secret('vault')['pin']
conv.state[token] = {token: pin}
conv.write_metric('used ' + token, token)
conv.api.shop.create(params={'t': token}, json={'x': token})
conv.send_sms(token, token, 'x ' + token)
conv.goto_flow(token)
try:
    conv.utils.prompt_llm('who is ' + token)
except RuntimeError:
    pass
return conv.call_handoff('desk', token)
"""
    secrets = {"crm": "sesame-open", "vault": json.dumps({"pin": 1234567890123, "username": "customer"})}
    talk, server = call(tmp_path, body, secrets=secrets)
    assert talk.calls[0]["error"] is None and "sesame-open" in str(server.seen)
    shown = json.dumps(talk.replies)
    assert "sesame-open" not in shown and "1234567890123" not in shown


def test_what_is_no_secret_in_a_mapping_of_credentials_is_not_masked() -> None:
    secrets = MemorySecrets({"api.shop": {"username": "customer", "header": "Authorization", "password": "p-secret-1"}})
    assert (
        secrets.mask("a", "Dear customer, Authorization: p-secret-1")
        == "Dear customer, Authorization: [secret api.shop]"
    )


# Messages.


@pytest.mark.parametrize("to", ['"' * 30_000, "a@[", "(" * 5000 + "@x.y", ",".join(["a@b.example"] * 20_000), "a@b"])
def test_an_odd_address_is_refused_in_no_time(to: str) -> None:
    began = time.monotonic()
    with pytest.raises(MessageRefused):
        run(SmtpSender("smtp://127.0.0.1:9", sender="a@b.example").send(OutgoingMessage(id="m", kind="email", to=to)))
    assert time.monotonic() - began < 1


def test_a_sender_that_stumbles_over_a_message_fails_it_visibly(tmp_path: Path) -> None:
    class Stumbling(ScriptedSender):
        async def send(self, message: OutgoingMessage) -> Any:
            raise AttributeError("inside")

    async def hold() -> Any:
        files = {
            "agent_settings/rules.txt": "{{fn:act}}",
            "functions/act.py": function("conv.send_sms('+1', '+2', 'x')"),
        }
        senders: dict[str, Sender] = dict.fromkeys(SENT_KINDS, Stumbling())
        async with serving(write(tmp_path, files), script(CALLS), senders=senders) as talk:
            one = talk()
            await one.open()
            await one.say("act")
            await one.started.work.run_due()
            return (await one.started.services.conversations.get(OPERATOR, one.agent, one.id)).deliveries

    (delivery,) = run(hold())
    assert delivery.status == "failed" and "AttributeError" in (delivery.error or "")


# Memory and shared ids.


def test_two_conversations_of_one_caller_that_end_together_are_both_remembered(tmp_path: Path) -> None:
    async def hold() -> dict[str, Any]:
        config = {"memory": {"repeat_caller": {"state_keys": ["a", "b"]}}}
        files = {
            "agent_settings/experimental_config.json": json.dumps(config),
            "agent_settings/rules.txt": "{{fn:act}}",
            "functions/act.py": function("setattr(conv.state, word, 1)\nreturn 'x'", parameters=", word: str"),
        }
        async with serving(write(tmp_path, files), script(CALLS)) as talk:
            for n in range(5):
                both = [talk(), talk()]
                for one, word in zip(both, "ab", strict=True):
                    await one.open(caller_number=f"+{n}")
                    await one.say(f"act {word}")
                    await one.started.services.chats.end(OPERATOR, one.agent, one.id)
                await both[0].started.work.run_due()
                fact = await both[0].started.services.memories.get(OPERATOR, both[0].agent, f"+{n}")
                assert fact.body["values"] == {"a": 1, "b": 1}
        return {}

    run(hold())


def test_what_is_remembered_is_written_with_the_end_or_not_at_all(tmp_path: Path) -> None:
    async def hold() -> None:
        config = {
            "memory": {"repeat_caller": {"state_keys": ["a"]}},
            "handoff_api": {"state_keys": ["a"], "shared_id_state_key": "a"},
        }
        files = {
            "agent_settings/experimental_config.json": json.dumps(config),
            "agent_settings/rules.txt": "{{fn:act}}",
            "functions/act.py": function("conv.state.a = 'T1'\nreturn 'x'"),
        }
        async with serving(write(tmp_path / "agent", files), script(CALLS), data=tmp_path / "data") as talk:
            one = talk()
            await one.open(caller_number="+1")
            await one.say("act")
            found = await one.started.services.handoffs.state(OPERATOR, "acme", one.agent, id=None, shared_id="T1")
            assert found["id"] == one.id  # written with the turn
            await one.started.services.chats.end(OPERATOR, one.agent, one.id)
            store = one.started.store
            put = store.put_closing
            fails = [True]

            async def failing(*arguments: Any, **more: Any) -> None:
                if fails:
                    fails.pop()
                    raise StoreError("the disk went away")
                await put(*arguments, **more)

            store.put_closing = failing  # type: ignore[method-assign]
            clock = one.started.work._clock
            for _ in range(2):
                far = clock.now().replace(year=2100)
                for item in await store.claim_work(far, far, limit=9):
                    await one.started.work._do(item)
            fact = await one.started.services.memories.get(OPERATOR, one.agent, "+1")
            assert fact.body["values"] == {"a": "T1"}

    run(hold())


# Folders and caches.


def test_a_cache_of_which_any_byte_has_changed_is_read_again(tmp_path: Path) -> None:
    folder = write(tmp_path / "agent", {"topics/a.yaml": "name: a\ncontent: some words\n"})
    tree, cache = read_tree(folder), tmp_path / "cache"
    first = load_cached(tree, cache)
    (kept,) = cache.iterdir()
    good = kept.read_bytes()
    for at in range(0, len(good), 7):
        kept.write_bytes(good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1 :])
        assert load_cached(tree, cache) == first


def test_rows_of_vectors_that_are_none_are_made_anew(tmp_path: Path) -> None:

    kept = KeptVectors(Counting(), tmp_path / "v.db")
    good = kept.embed(["one", "two"])
    for value in (b"\0\0", None, "text"):
        with sqlite3.connect(tmp_path / "v.db") as connection:
            connection.execute("UPDATE vectors SET vector = ?", (value,))
        connection.close()
        again = KeptVectors(Counting(), tmp_path / "v.db").embed(["one", "two"])
        assert [[round(x, 2) for x in row] for row in again] == [[round(x, 2) for x in row] for row in good]


@pytest.mark.parametrize(
    "html", ["<a " * 20_000, "<!--" * 40_000, "<![foo[ x", "<" * 50_000, "<script>" * 10_000, "&" * 50_000]
)
def test_html_is_read_in_time_that_grows_with_its_length(html: str) -> None:
    began = time.monotonic()
    text_of(html)
    passages({"sources/x.html": html.encode()}, Faults())
    assert time.monotonic() - began < 2


def test_half_a_surrogate_pair_is_a_fault_of_its_line() -> None:
    faults = Faults()
    assert read_yaml("x.yaml", b'name: a\ncontent: "\\uD800"\n', faults) is None
    assert faults.found[0].line == 2


def test_corrections_that_take_too_long_together_hold_nobody_up() -> None:
    rules = tuple(
        TranscriptCorrection(name=str(n), pattern=f"(a|aa)+{n}$", replacement="x", whole=False) for n in range(100)
    )
    began = time.monotonic()
    correct("a" * 200 + "!", rules)
    assert time.monotonic() - began < 1
