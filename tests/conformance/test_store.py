"""What every store keeps, whichever engine is under it."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from tests.support import postgres
from tests.support.talk import run
from vivavoce.domain.audit import AuditEntry
from vivavoce.domain.call import Played, Spoken
from vivavoce.domain.conversation import (
    BY_HAND,
    Closing,
    Conversation,
    Delivery,
    FunctionCall,
    Message,
    ModelExchange,
    ModelReply,
    ModelRequest,
    PersonalSpan,
    Place,
    Rendered,
    RetrievedTopic,
    Snapshot,
    SourcePassage,
    StateChanges,
    StepPrompt,
    SystemPart,
    Tool,
    Turn,
    UserInput,
)
from vivavoce.domain.deployment import Deployment, Tree
from vivavoce.domain.fact import Fact
from vivavoce.domain.principal import Key
from vivavoce.domain.record import Count, Criteria, Index, Meaning, Order, Page, Record, Review, Role, Text
from vivavoce.domain.tally import Tally
from vivavoce.domain.work import Work
from vivavoce.errors import ConversationExists
from vivavoce.store.interface import ClaimLost, PositionConflict, Reply, Store, StoreError
from vivavoce.store.memory import MemoryStore
from vivavoce.store.postgres.store import PostgresStore
from vivavoce.store.sealing import Keyring
from vivavoce.store.sqlite.store import SqliteStore

NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
MakeStore = Callable[[], Store]


@pytest.fixture(params=["sqlite", "postgres", "memory"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> MakeStore:
    if request.param == "sqlite":
        return lambda: SqliteStore(tmp_path / "store.db", Keyring(bytes(32)))
    if request.param == "postgres":
        url = postgres.fresh()
        return lambda: PostgresStore(url, Keyring(bytes(32)))
    kept = MemoryStore()
    return lambda: kept


def head(id: str = "c1", **changes: Any) -> Conversation:
    values: dict[str, Any] = {
        "account_id": "acme",
        "agent_id": "bot",
        "id": id,
        "environment": "sandbox",
        "channel": "chat.polyai",
        "tree": "t",
        "started_at": NOW,
        "last_turn_at": NOW,
        "turns": 1,
    }
    return Conversation(**{**values, **changes})


def exchange(history: tuple[Message, ...]) -> ModelExchange:
    rules = ("The rules of the house are long enough to be kept apart, and today is ", ".")
    request = ModelRequest(
        system=(SystemPart(title="rules", content=Rendered.of(rules, ("Monday",))),),
        topics=(
            RetrievedTopic(
                name="parking",
                distance=0.25,
                content=Rendered.of(("Behind the house there is a car park that costs nothing at all.",)),
                example_queries=("Where can I park?",),
                functions=("book",),
            ),
        ),
        passages=(
            SourcePassage(
                source="guide.md",
                start=3,
                end=60,
                distance=0.4,
                text=Rendered.of(("The car park is closed on the last Sunday of each month.",)),
            ),
        ),
        context=SystemPart(title="context_information", content=Rendered.of(("Read this: {topics_prompt}",))),
        step=StepPrompt(
            flow="f",
            step="s",
            text=Rendered.of(("Ask the caller for the day on which they would come.",)),
            functions=("book",),
        ),
        history=history,
        tools=(Tool(name="book", description="Books", schema={"type": "object", "properties": {}, "required": []}),),
        now=NOW,
        seed=5,
    )
    return ModelExchange(
        id="x",
        purpose="turn",
        request=request,
        reply=ModelReply(text="Which day?", model="m"),
        started_at=NOW,
        finished_at=NOW,
    )


def turn(index: int, **changes: Any) -> Turn:
    return Turn(**{"index": index, "started_at": NOW, "finished_at": NOW, "reply": f"reply {index}", **changes})


async def opened(make: MakeStore) -> Store:
    store = make()
    await store.open()
    return store


def test_a_turn_comes_back_as_it_was_with_its_model_requests_expanded(make: MakeStore) -> None:
    async def check() -> None:
        store = await opened(make)
        greeting = turn(0, messages=(Message(role="assistant", content="Hello"),))
        messages = (Message(role="user", content="Hi"), Message(role="assistant", content="Which day?"))
        first = turn(
            1,
            input=UserInput(text="Hi", metadata={"a": [1, None]}),
            messages=messages,
            exchanges=(exchange((*greeting.messages, messages[0])),),
            calls=(
                FunctionCall(
                    id="f",
                    name="book",
                    kind="global",
                    module="functions.book",
                    started_at=NOW,
                    state_changes=StateChanges(added={"x": 1}),
                ),
            ),
            place_after=Place(flow="f", step="s"),
        )
        await store.create(head(), greeting, Snapshot())
        await store.append(head(turns=2), first, Snapshot(state=b"\x80pickle", view={"x": Raw(b"1")}))
        await store.close()
        again = await opened(make)
        assert await again.turns(head()) == [greeting, first]
        assert await again.turns(head(), first=1) == [first]
        kept = await again.snapshot(head())
        assert kept.state == b"\x80pickle" and bytes(kept.view["x"]) == b"1"
        await again.close()

    run(check())


def test_a_taken_id_is_refused_and_nothing_is_overwritten(make: MakeStore) -> None:
    async def check() -> None:
        store = await opened(make)
        await store.create(head(), turn(0, reply="first"), Snapshot())
        with pytest.raises(ConversationExists):
            await store.create(head(), turn(0, reply="second"), Snapshot())
        assert [t.reply for t in await store.turns(head())] == ["first"]
        await store.create(
            head(account_id="other"), turn(0), Snapshot()
        )  # an id is taken within its account and agent only
        await store.close()

    run(check())


def test_of_two_writers_of_one_position_one_wins(make: MakeStore) -> None:
    async def check() -> None:
        store = await opened(make)
        await store.create(head(), turn(0), Snapshot())
        await store.append(head(turns=2), turn(1, reply="winner"), Snapshot())
        work = Work(kind="k", key="lost", due_at=NOW)
        with pytest.raises(PositionConflict):
            await store.append(head(turns=2), turn(1, reply="loser"), Snapshot(), work=[work])
        assert [t.reply for t in await store.turns(head())] == ["reply 0", "winner"]
        assert await store.next_due() is None  # the loser's work went with it
        await store.close()

    run(check())


def test_text_of_a_refused_write_is_written_by_one_that_waited_behind_it(make: MakeStore) -> None:
    async def check() -> None:
        store = await opened(make)
        await store.create(head(), turn(0), Snapshot())
        asked = exchange(())
        missing, wanted = store.put_closing(head("missing"), Closing(exchanges=(asked,))), turn(1, exchanges=(asked,))
        written = store.append(head(turns=2), wanted, Snapshot())
        refused, _ = await asyncio.gather(missing, written, return_exceptions=True)
        assert isinstance(refused, StoreError)
        await store.close()
        again = await opened(make)
        assert (await again.turns(head()))[1] == wanted
        await again.close()

    run(check())


def test_text_of_a_refused_write_is_written_by_the_next_that_needs_it(make: MakeStore) -> None:
    async def check() -> None:
        store = await opened(make)
        await store.create(head(), turn(0), Snapshot())
        wanted = turn(1, exchanges=(exchange(()),))
        with pytest.raises(StoreError):
            await store.put_closing(head("missing"), Closing(exchanges=wanted.exchanges))
        await store.append(head(turns=2), wanted, Snapshot())
        assert (await store.turns(head()))[1] == wanted
        await store.close()

    run(check())


def test_nothing_is_appended_after_the_end(make: MakeStore) -> None:
    async def check() -> None:
        store = await opened(make)
        await store.create(head(), turn(0), Snapshot())
        await store.end(head(end_reason="client", finished_at=NOW))
        with pytest.raises(PositionConflict):
            await store.append(head(turns=2), turn(1), Snapshot())
        found = await store.get("acme", "bot", "c1")
        assert found is not None and found.end_reason == "client" and found.turns == 1
        await store.close()

    run(check())


def test_a_list_is_newest_first_with_the_number_of_all_and_keeps_accounts_apart(make: MakeStore) -> None:
    async def check() -> None:
        store = await opened(make)
        for n in range(5):
            await store.create(head(f"c{n}", started_at=NOW + timedelta(seconds=n)), turn(0), Snapshot())
        await store.create(head("theirs", account_id="other"), turn(0), Snapshot())
        page = await store.find("acme", "bot", Criteria(), Order(), limit=2, offset=1)
        assert [item.conversation.id for item in page.items] == ["c3", "c2"]
        assert await store.count("acme", "bot", Criteria()) == Count(number=5)
        assert await store.count("other", "bot", Criteria()) == Count(number=1)
        assert await store.get("acme", "bot", "theirs") is None
        assert (await store.find("acme", "bot", Criteria(), Order(), limit=5, offset=99)).items == []
        assert (await store.find("acme", "none", Criteria(), Order(), limit=5)).items == []
        await store.close()

    run(check())


def test_trees_and_deployments_outlive_the_folder(make: MakeStore) -> None:
    async def check() -> None:
        store = await opened(make)
        tree = Tree(hash="h1", files={"project.yaml": b"project_id: x\n", "functions/a.py": b"\xff\x00"})
        await store.put_tree(tree)
        await store.put_tree(tree)
        for n, name in enumerate(("h0", "h1")):
            await store.put_tree(replace(tree, hash=name))
            await store.add_deployment(
                Deployment(
                    id=f"d{n}",
                    account_id="acme",
                    agent_id="bot",
                    environment="draft",
                    tree=name,
                    created_at=NOW + timedelta(seconds=n),
                )
            )
        assert await store.get_tree("h1") == tree
        assert await store.get_tree("nope") is None
        assert [d.tree for d in await store.deployments("acme", "bot", "draft", limit=5)] == ["h1", "h0"]
        assert [d.tree for d in await store.deployments("acme", "bot", "draft", limit=1)] == ["h1"]
        assert await store.deployments("acme", "bot", "live", limit=1) == []
        promoted = Deployment(
            id="p", account_id="acme", agent_id="bot", environment="live", tree="h0", created_at=NOW, kind="promotion",
            created_by="sam@example.org", message="Better greeting", source="d0", git_commit="a" * 40,
        )  # fmt: skip
        await store.add_deployment(promoted)
        again = replace(promoted, id="q")
        await store.add_deployment(again)
        assert await store.deployment("acme", "bot", "p") == promoted
        assert list(await store.deployments("acme", "bot", "live", limit=2)) == [again, promoted]
        assert await store.deployment("acme", "other", "p") is None and await store.deployment("b", "bot", "p") is None
        assert await store.accounts_of("bot") == ["acme"]
        await store.add_deployment(replace(promoted, id="r", agent_id="other"))
        await store.remove_deployments("acme", "bot")
        assert await store.accounts_of("bot") == [] and await store.accounts_of("other") == ["acme"]
        assert await store.get_tree("h1") == tree
        await store.close()

    run(check())


def test_work_is_done_by_one_at_a_time_and_comes_back_when_its_lease_runs_out(make: MakeStore) -> None:
    async def check() -> None:
        store = await opened(make)
        await store.add_work(
            [
                Work(kind="end", key="a", due_at=NOW, payload={"n": 1}),
                Work(kind="end", key="b", due_at=NOW + timedelta(hours=1)),
            ]
        )
        assert await store.next_due() == NOW
        (mine,) = await store.claim_work(NOW, NOW + timedelta(seconds=10), limit=5)
        assert mine.work.key == "a" and mine.work.payload == {"n": 1} and mine.work.attempts == 1
        assert not await store.claim_work(NOW, NOW + timedelta(seconds=10), limit=5)
        later = NOW + timedelta(seconds=11)
        (again,) = await store.claim_work(later, later + timedelta(seconds=10), limit=5)
        assert again.work.attempts == 2
        await store.finish_work(mine)  # its lease is lost: this must not take the row from the other
        await store.retry_work(again, later + timedelta(seconds=5))
        assert await store.next_due() == later + timedelta(seconds=5)
        (third,) = await store.claim_work(later + timedelta(seconds=6), later + timedelta(seconds=60), limit=5)
        await store.finish_work(third)
        assert await store.next_due() == NOW + timedelta(hours=1)
        await store.close()

    run(check())


def test_work_that_is_added_again_while_it_is_done_is_done_again(make: MakeStore) -> None:
    async def check() -> None:
        store = await opened(make)
        work = Work(kind="k", key="a", due_at=NOW)
        await store.add_work([work])
        (claimed,) = await store.claim_work(NOW, NOW + timedelta(seconds=10), limit=1)
        await store.add_work([replace(work, due_at=NOW + timedelta(seconds=3))])
        await store.finish_work(claimed)
        assert await store.next_due() == NOW + timedelta(seconds=3)
        await store.close()

    run(check())


def test_a_reply_is_kept_with_its_turn_until_it_expires(make: MakeStore) -> None:
    async def check() -> None:
        store = await opened(make)
        reply = Reply(
            account_id="acme", key="k", fingerprint="f", status=201, body=b"{}", expires_at=NOW + timedelta(hours=24)
        )
        await store.create(head(), turn(0), Snapshot(), reply=reply)
        assert await store.reply("acme", "k", NOW) == reply
        assert await store.reply("other", "k", NOW) is None
        assert await store.reply("acme", "k", NOW + timedelta(hours=25)) is None
        await store.close()

    run(check())


def test_keys_and_closings_come_back(make: MakeStore) -> None:
    async def check() -> None:
        store = await opened(make)
        key = Key(id="k1", name="ci", digest="d", hint="abcd", created_at=NOW, permissions=frozenset(("read",)))
        await store.put_key(key)
        await store.put_key(replace(key, revoked_at=NOW))
        assert [k.revoked_at for k in await store.keys()] == [NOW]
        await store.create(head(), turn(0), Snapshot())
        assert await store.closing(head()) is None
        closing = Closing(calls=(FunctionCall(id="e", name="end_function", kind="end", module="m", started_at=NOW),))
        await store.put_closing(head(), closing)
        assert await store.closing(head()) == closing
        await store.close()

    run(check())


def test_author_text_is_stored_once_however_many_turns_use_it(tmp_path: Path) -> None:
    async def check() -> None:
        store = SqliteStore(tmp_path / "store.db", Keyring(bytes(32)))
        await store.open()
        await store.create(head(), turn(0), Snapshot())
        for n in range(1, 30):
            await store.append(head(turns=n + 1), turn(n, exchanges=(exchange(()),)), Snapshot())
        await store.close()
        import sqlite3

        db = sqlite3.connect(tmp_path / "store.db")
        (texts,) = db.execute("SELECT count(*) FROM texts").fetchone()
        keyring = Keyring(bytes(32))
        seal = keyring.unwrap(db.execute("SELECT wrapped FROM seals").fetchone()[0])
        rows = db.execute("SELECT position, body FROM turns WHERE position > 0").fetchall()
        db.close()
        bodies = [seal.open(body, b"body:%d" % position) for position, body in rows]
        assert texts == 5  # rules, topic, passage, step, tools; what is shorter than a reference stays in its turn
        assert not any(b"car park" in body or b"rules of the house" in body for body in bodies)
        assert all(
            b"Monday" in body for body in bodies
        )  # what was rendered with this conversation's values stays with it

    run(check())


def test_what_became_of_a_message_is_kept_with_its_conversation_and_replaced(make: MakeStore) -> None:
    async def check() -> None:
        store = await opened(make)
        await store.create(head(), turn(0), Snapshot())
        first = Delivery(message_id="m1", status="waiting", provider="p", attempts=1, at=NOW, error="busy")
        await store.put_delivery(head(), first)
        await store.put_delivery(head(), Delivery(message_id="m2", status="logged", provider="log", at=NOW))
        await store.put_delivery(head(), replace(first, status="sent", attempts=2, error=None))
        assert [(d.message_id, d.status, d.attempts) for d in await store.deliveries(head())] == [
            ("m1", "sent", 2),
            ("m2", "logged", 1),
        ]
        with pytest.raises(StoreError):
            await store.put_delivery(head("missing"), first)
        await store.close()

    run(check())


def test_work_that_follows_from_the_end_is_written_with_it(make: MakeStore) -> None:
    async def check() -> None:
        store = await opened(make)
        await store.create(head(), turn(0), Snapshot())
        await store.put_closing(head(), Closing(), work=[Work(kind="message", key="m", due_at=NOW)])
        claimed = await store.claim_work(NOW, NOW + timedelta(seconds=9), limit=9)
        assert [c.work.key for c in claimed] == ["m"]
        await store.close()

    run(check())


def test_a_fact_is_replaced_expires_and_is_removed_and_accounts_are_apart(make: MakeStore) -> None:
    async def check() -> None:
        store = await opened(make)
        fact = Fact(account_id="acme", agent_id="bot", kind="memory", key="+44", body={"name": "Ada", "n": [1]}, at=NOW)
        await store.put_fact(fact)
        await store.put_fact(replace(fact, body={"name": "Bea"}, expires_at=NOW + timedelta(seconds=5)))
        found = await store.get_fact("acme", "bot", "memory", "+44", NOW)
        assert found is not None and found.body == {"name": "Bea"} and found.at == NOW
        assert await store.get_fact("other", "bot", "memory", "+44", NOW) is None
        assert await store.get_fact("acme", "bot", "memory", "+44", NOW + timedelta(seconds=5)) is None
        await store.put_fact(fact)
        assert await store.remove_fact("acme", "bot", "memory", "+44")
        assert not await store.remove_fact("acme", "bot", "memory", "+44")
        await store.close()

    run(check())


def test_an_agents_retention_leaves_the_facts_of_others(make: MakeStore) -> None:
    async def check() -> None:
        store = await opened(make)
        fact = Fact(account_id="acme", agent_id="bot", kind="memory", key="+44", body={"n": 1}, at=NOW)
        await store.put_fact(replace(fact, subject=head().subject))
        await store.put_fact(replace(fact, agent_id="other"))
        await store.put_fact(replace(fact, kind="shared_id"))
        await store.put_fact(replace(fact, key="new", at=NOW + timedelta(days=2)))
        assert await store.expired_facts("acme", "bot", "memory", NOW + timedelta(days=1)) == 1
        later = NOW + timedelta(days=3)
        assert await store.get_fact("acme", "bot", "memory", "+44", later) is None
        for agent, kind, name in (("other", "memory", "+44"), ("bot", "shared_id", "+44"), ("bot", "memory", "new")):
            assert await store.get_fact("acme", agent, kind, name, later) is not None
        await store.close()

    run(check())


def test_a_fact_goes_with_its_conversation_and_is_not_brought_back(make: MakeStore) -> None:
    async def check() -> None:
        store = await opened(make)
        await store.create(head(), turn(0), Snapshot())
        event = Fact(
            account_id="acme", agent_id="bot", kind="event", key="e", subject=head().subject, body={"a": 1}, at=NOW
        )
        memory = replace(event, kind="memory", key="m")
        assert not await store.replace_fact(event)
        await store.put_fact(event)
        await store.put_fact(memory)
        assert await store.replace_fact(replace(event, body={"a": 2}))
        removed = await store.erase(head(), keeps=("memory",))
        assert removed["turns"] == 1 and removed["facts"] == 1
        assert await store.get_fact("acme", "bot", "event", "e", NOW) is None
        assert await store.get_fact("acme", "bot", "memory", "m", NOW) is not None
        assert not await store.replace_fact(event)
        assert await store.erase(head()) == {}
        await store.close()

    run(check())


def test_whole_records_are_read_many_at_once_and_one_that_is_gone_leaves_a_gap(make: MakeStore) -> None:
    async def check() -> None:
        store = await opened(make)
        for id in ("one", "two"):
            await store.create(head(id=id), turn(0, reply=f"Hello {id}"), Snapshot(view={"a": Raw(b'{"b":1}')}))
        listed = [await store.listed("acme", "bot", id) for id in ("two", "one")]
        assert all(listed)
        await store.erase(head(id="two"))
        gone, kept = await store.records([item for item in listed if item is not None])
        assert gone is None and kept is not None
        assert (kept.conversation, kept.turns, kept.state) == (
            head(id="one"),
            tuple(await store.turns(head(id="one"))),
            {"a": {"b": 1}},
        )
        await store.close()

    run(check())


def test_what_is_personal_in_a_turn_can_be_decided_again(make: MakeStore) -> None:
    async def check() -> None:
        store = await opened(make)
        await store.create(head(), turn(0, reply="Hello Ada"), Snapshot())
        (before,) = await store.turns(head())
        assert before.personal is None
        spans = (PersonalSpan("reply", 6, 9, "name"),)
        await store.decide(head(), {0: spans}, "rules 7")
        assert await store.turns(head()) == [replace(before, personal=spans, personal_by="rules 7")]
        (told,) = await store.transcripts([head()])
        assert (told.turns[0].personal, told.turns[0].personal_by) == (spans, "rules 7")
        await store.close()

    run(check())


def test_what_is_hidden_by_hand_stays_whatever_is_decided(make: MakeStore) -> None:
    async def check() -> None:
        store = await opened(make)
        name, mine = PersonalSpan("reply", 0, 2, "name"), PersonalSpan("reply", 3, 5, BY_HAND)
        await store.create(head(), turn(0), Snapshot())
        await store.hide(head(), 0, lambda own: [*own, mine])  # nobody has looked: withheld whole, and it stays so
        (transcript,) = await store.transcripts([head()])
        assert transcript.turns[0].personal is None
        await store.decide(head(), {0: (name,)}, "rules")
        await store.hide(head(), 0, lambda own: [*own, mine])
        await store.hide(head(), 0, lambda own: [*own, mine])
        await store.hide(head(), 9, lambda own: [*own, mine])
        (transcript,) = await store.transcripts([head()])
        assert transcript.turns[0].personal == (name, mine) and transcript.turns[0].personal_by == "rules"
        await store.decide(head(), {0: ()}, "others")
        (transcript,) = await store.transcripts([head()])
        assert transcript.turns[0].personal == (mine,) and transcript.turns[0].personal_by == "others"
        await store.hide(head(), 0, lambda own: [])
        (transcript,) = await store.transcripts([head()])
        assert transcript.turns[0].personal == ()
        await store.close()

    run(check())


def test_a_turn_is_amended_by_what_became_known_later_and_keeps_its_model_requests(make: MakeStore) -> None:
    async def check() -> None:
        store = await opened(make)
        await store.create(head(), turn(0), Snapshot())
        spoken = UserInput(text="hi", spoken=Spoken(start=5, end=9, alternatives=("hi", "high"), is_barge_in=True))
        await store.append(head(turns=2), turn(1, input=spoken, exchanges=(exchange(()),)), Snapshot())
        _, before = await store.turns(head(turns=2))
        played = Played(start=10, end=20, perceived=700.5, problems=("synthesis_failed",))

        def change(known: Turn) -> Turn:
            assert known.exchanges == ()
            return replace(known, played=played, reply="reply", unplayed=" 1")

        await store.amend(head(turns=2), 1, change)
        await store.amend(head(turns=2), 7, change)  # there is no such turn: nothing happens
        assert (await store.turns(head(turns=2)))[1] == replace(before, played=played, reply="reply", unplayed=" 1")
        (told,) = await store.transcripts([head(turns=2)])
        assert (told.turns[1].reply, told.turns[1].perceived, told.turns[1].is_barge_in) == ("reply", 700.5, True)
        await store.close()

    run(check())


def test_an_agents_facts_of_a_kind_are_listed(make: MakeStore) -> None:
    async def check() -> None:
        store = await opened(make)
        fact = Fact(account_id="acme", agent_id="bot", kind="entry", key="a", body={"n": 1}, at=NOW)
        await store.create(head(), turn(0), Snapshot())
        await store.put_fact(fact)
        await store.put_fact(replace(fact, key="b", body={"n": 2}, subject=head().subject))
        await store.put_fact(replace(fact, key="old", body={"n": 3}, expires_at=NOW))
        for other in ({"account_id": "other"}, {"agent_id": "other"}, {"kind": "other"}):
            await store.put_fact(replace(fact, body={"n": 9}, **other))
        found = await store.facts("acme", "bot", "entry", NOW)
        assert sorted(body["n"] for body in found) == [1, 2]
        assert await store.facts("nobody", "bot", "entry", NOW) == []
        await store.close()

    run(check())


def test_a_whole_record_is_restored_once(make: MakeStore) -> None:
    async def check() -> None:
        store = await opened(make)
        ended = head(turns=2, end_reason="client", finished_at=NOW)
        record = Record(
            conversation=ended, turns=(turn(0), turn(1, exchanges=(exchange(()),))), state={"x": [1]}, closing=Closing(),
            deliveries=(Delivery(message_id="m", status="sent", provider="p", at=NOW),), review=Review(tags=("a",)),
        )  # fmt: skip
        await store.restore(record, work=[Work(kind="review", key="", subject=ended.subject, due_at=NOW)])
        assert await store.turns(ended) == list(record.turns)
        assert bytes((await store.snapshot(ended)).view["x"]) == b"[1]"
        assert await store.closing(ended) == Closing() and len(await store.deliveries(ended)) == 1
        assert (await store.count("acme", "bot", Criteria(tags=("a",), in_progress=False))).number == 1
        with pytest.raises(ConversationExists):
            await store.restore(record)
        (claimed,) = await store.claim_work(NOW, NOW + timedelta(seconds=9), limit=9)
        assert claimed.work.subject == ended.subject
        await store.close()

    run(check())


def test_a_conversation_is_counted_once_and_its_counts_stay(make: MakeStore) -> None:
    async def check() -> None:
        store = await opened(make)
        for n in range(3):
            await store.create(head(f"c{n}", started_at=NOW + timedelta(seconds=n)), turn(0), Snapshot())
        assert await store.untallied(limit=5) == Page(items=[])  # none has ended
        ended = [
            head(f"c{n}", started_at=NOW + timedelta(seconds=n), end_reason="client", finished_at=NOW) for n in range(3)
        ]
        for conversation in ended:
            await store.end(conversation)
        page = await store.untallied(limit=2)
        assert [i.conversation.id for i in page.items] == ["c2", "c1"]
        page = await store.untallied(after=page.next, limit=5)
        assert [i.conversation.id for i in page.items] == ["c0"] and page.next is None
        counts = {"outcome": {"turns": 2, "calls\0look_up": 1}, "inside": {"step\0a/b": 1}}
        assert await store.tally(ended[0], "2026-01-02", counts)  # type: ignore[arg-type]  # literals
        assert not await store.tally(ended[0], "2026-01-02", counts)  # type: ignore[arg-type]
        assert await store.tally(ended[1], "2026-01-02", {"outcome": {"turns": 3}})
        assert await store.tally(ended[2], "2026-01-03", {"outcome": {"turns": 5}})
        assert await store.untallied(limit=5) == Page(items=[])
        found = await store.tallies("acme", "bot", "outcome", "2026-01-01", "2026-01-02")
        assert found == [Tally(day="2026-01-02", environment="sandbox", counts={"turns": 5, "calls\0look_up": 1})]
        assert [t.day for t in await store.tallies("acme", "bot", "outcome", "2026-01-02", "2026-01-09")] == [
            "2026-01-02",
            "2026-01-03",
        ]
        assert await store.tallies("acme", "other", "outcome", "2026-01-01", "2026-12-31") == []
        await store.erase(ended[0])
        assert await store.tallies("acme", "bot", "outcome", "2026-01-01", "2026-01-02") == found
        assert not await store.tally(ended[0], "2026-01-02", counts)  # type: ignore[arg-type]
        await store.close()

    run(check())


def test_some_turns_are_read_without_the_others(make: MakeStore) -> None:
    async def check() -> None:
        store = await opened(make)
        said = [Message(role="user", content=f"line {n}") for n in range(4)]
        turns = [replace(turn(n), messages=(said[n],), exchanges=(exchange(tuple(said[: n + 1])),)) for n in range(4)]
        await store.create(head(), turns[0], Snapshot())
        for n in range(1, 4):
            await store.append(head(turns=n + 1), turns[n], Snapshot())
        assert await store.turns(head(), first=1, limit=2) == turns[1:3]
        (bare,) = await store.turns(head(), first=2, limit=1, has_history=False)
        assert bare.exchanges[0].request.history == () and bare.reply == turns[2].reply
        assert replace(bare, exchanges=()) == replace(turns[2], exchanges=())
        assert await store.turns(head(), first=9, limit=2) == await store.turns(head(), first=0, limit=0) == []
        await store.close()

    run(check())


def test_what_waits_the_newest_entries_and_every_agent_are_told(make: MakeStore) -> None:
    async def check() -> None:
        store = await opened(make)
        await store.add_work(
            [Work(kind="end", key=key, due_at=NOW + timedelta(hours=n)) for n, key in enumerate("abc")]
        )
        await store.claim_work(NOW, NOW + timedelta(seconds=10), limit=1)
        (waiting,) = await store.waiting(NOW)
        assert (waiting.kind, waiting.count, waiting.leased, waiting.most_attempts) == ("end", 3, 1, 1)
        assert waiting.next_due == NOW and (await store.waiting(NOW + timedelta(seconds=20)))[0].leased == 0
        for n in range(5):
            await store.append_audit(AuditEntry(at=NOW, action="key.create", key_id=f"k{n}"))
        newest = await store.newest_audit(before=None, limit=2)
        assert [r.entry.key_id for r in newest] == ["k4", "k3"]
        assert [r.entry.key_id for r in await store.newest_audit(before=newest[-1].number, limit=2)] == ["k2", "k1"]
        await store.put_tree(Tree(hash="h", files={}))
        for n, (account, agent) in enumerate((("b", "two"), ("a", "two"), ("a", "one"), ("a", "one"))):
            deployment = Deployment(
                id=f"d{n}", account_id=account, agent_id=agent, environment="draft", tree="h", created_at=NOW
            )
            await store.add_deployment(deployment)
        assert list(await store.agents()) == [("a", "one"), ("a", "two"), ("b", "two")]
        assert await store.size() >= 0
        await store.close()

    run(check())


def test_a_claim_is_one_holders_until_it_is_given_back_or_its_holder_lives_no_longer(make: MakeStore) -> None:
    async def check() -> None:
        store = await opened(make)
        for holder in ("a", "b"):
            await store.live(holder, 60.0)
        first = await store.claim("a", "conversation", "c1")
        assert first is not None and not first.is_continued
        assert await store.claim("b", "conversation", "c1") is None
        assert await store.claim("b", "conversation", "c2") is not None  # another one
        await store.release(first)
        again = await store.claim("a", "conversation", "c1")
        assert again is not None and again.is_continued
        await store.release(first)  # one that was given back gives nothing more back
        assert await store.claim("b", "conversation", "c1") is None
        await store.leave("a")
        taken = await store.claim("b", "conversation", "c1")
        assert taken is not None and not taken.is_continued
        await store.live("a", 60.0)
        assert await store.claim("a", "conversation", "c1") is None
        await store.live("b", 0.0)
        back = await store.claim("a", "conversation", "c1")
        assert back is not None and not back.is_continued
        await store.close()

    run(check())


def test_who_has_lost_a_claim_cannot_write_late(make: MakeStore) -> None:
    async def check() -> None:
        store = await opened(make)
        await store.create(head(), turn(0), Snapshot())
        late = await store.claim("a", "conversation", "c1")
        taken = await store.claim("b", "conversation", "c1")  # `a` has never said that it lives
        assert late is not None and taken is not None
        with pytest.raises(PositionConflict):
            await store.append(head(turns=2), turn(1, reply="late"), Snapshot(), claim=late)
        with pytest.raises(ClaimLost):
            await store.end(head(end_reason="client", finished_at=NOW), claim=late)
        with pytest.raises(ClaimLost):
            await store.put_closing(head(), Closing(), claim=late)
        await store.live("b", 60.0)
        await store.append(head(turns=2), turn(1, reply="in time"), Snapshot(), claim=taken)
        assert [t.reply for t in await store.turns(head())] == ["reply 0", "in time"]
        assert await store.claim("a", "conversation", "c1") is not None  # it was given back with the turn
        await store.close()

    run(check())


def test_a_claim_that_the_store_has_forgotten_is_put_back_and_one_that_was_taken_is_not(make: MakeStore) -> None:
    async def check() -> None:
        store = await opened(make)
        await store.live("a", 60.0)
        await store.live("b", 60.0)
        held = await store.claim("a", "call", "c1")
        assert held is not None
        await store.keep("a", held)  # it is there: nothing happens
        assert await store.claim("b", "call", "c1") is None
        await store.leave("a")
        taken = await store.claim("b", "call", "c1")
        assert taken is not None
        await store.live("a", 60.0)
        await store.keep("a", held)
        assert await store.claim("a", "call", "c1") is None
        await store.close()

    run(check())


def test_a_conversation_is_not_opened_by_who_has_lost_its_claim(make: MakeStore) -> None:
    async def check() -> None:
        store = await opened(make)
        late = await store.claim("a", "open", "key")
        assert await store.claim("b", "open", "key") is not None
        with pytest.raises(ClaimLost):
            await store.create(head(), turn(0), Snapshot(), claim=late)
        assert await store.get("acme", "bot", "c1") is None
        await store.close()

    run(check())


def test_work_whose_conversation_was_erased_leaves_the_table(make: MakeStore) -> None:
    async def check() -> None:
        store, other = await opened(make), await opened(make)
        await store.create(head(), turn(0), Snapshot())
        work = Work(kind="k", key="", subject=head().subject, due_at=NOW)
        await store.add_work([work])
        await other.get("acme", "bot", "c1")
        await other.erase(head())
        # What it knows of the conversation is old: it may refuse, or write what nobody is to find.
        with suppress(StoreError):
            await store.add_work([work])
        claimed = await store.claim_work(NOW, NOW, limit=5)
        assert all(item.work.subject is not None for item in claimed)
        assert await store.next_due() is None or claimed
        await store.close()
        await other.close()

    run(check())


def test_what_is_told_is_heard_by_all_who_listen(make: MakeStore) -> None:
    async def check() -> None:
        store, heard = await opened(make), asyncio.Queue[str | None]()
        await store.listen(heard.put_nowait)
        await store.tell("one")
        await store.tell("two")
        found: list[str] = []
        while len(found) < 2:
            news = await asyncio.wait_for(heard.get(), 5)
            found += [news] if news is not None else []  # None: some may have been told before we listened
        assert found == ["one", "two"]
        await store.close()

    run(check())


def index(words: str, vector: list[float] | None = None) -> Index:
    made = Index(user=words, agent="", redacted_user=words, redacted_agent="")
    return made if vector is None else replace(made, model="m", vector=vector, redacted_vector=vector)


def test_words_are_found_by_phrase_and_speaker_and_the_redacted_index_knows_no_more(make: MakeStore) -> None:
    async def check() -> None:
        store = await opened(make)
        await store.create(head(), turn(0), Snapshot())
        said = Index(
            user="my bike is broken\nring Sam Field",
            agent="we mend bikes\nbike is ready",
            redacted_user="my bike is broken\nring ***",
            redacted_agent="we mend bikes\nbike is ready",
        )
        await store.put_index(head(), said)

        async def found(*phrases: str, role: Role | None = None, is_redacted: bool = False) -> bool:
            text = Text(phrases=tuple(tuple(p.split()) for p in phrases), role=role, is_redacted=is_redacted)
            count = await store.count("acme", "bot", Criteria(text=text))
            page = await store.find("acme", "bot", Criteria(text=text), Order(), limit=5)
            assert len(page.items) == count.number
            return count.number == 1

        assert await found("bike is broken") and await found("bike", "ready") and not await found("broken bike")
        assert not await found("broken ring")  # a phrase does not reach from one turn into the next
        assert await found("is ready", role="agent") and not await found("is ready", role="user")
        assert await found("sam field") and not await found("sam field", is_redacted=True)
        assert await found("is broken", is_redacted=True)
        await store.put_index(head(), index("nothing"))
        assert not await found("bike") and await found("nothing")
        await store.erase(head())
        assert not await found("nothing")
        await store.close()

    run(check())


def test_those_nearest_in_meaning_come_first_whichever_engine_looks(make: MakeStore) -> None:
    async def check() -> None:
        store, chance = await opened(make), random.Random(7)

        def vector() -> list[float]:
            raw = [chance.gauss(0, 1) for _ in range(384)]
            size = math.sqrt(sum(x * x for x in raw))
            return [x / size for x in raw]

        vectors = {f"c{n}": vector() for n in range(30)}
        for id, own in vectors.items():
            made = head(id, environment="live" if id > "c2" else "sandbox")
            await store.create(made, turn(0), Snapshot())
            await store.put_index(made, index("", vector=own))
        asked = Meaning(model="m", vector=vectors["c13"])
        best = await store.alike("acme", "bot", Criteria(), asked, limit=3)
        assert best[0][0].conversation.id == "c13" and best[0][1] > 0.99 and best[1][1] < 0.5
        kept = await store.alike("acme", "bot", Criteria(environments=("live",)), asked, limit=30)
        assert {item.conversation.environment for item, _ in kept} == {"live"}
        await store.erase(head("c13"))
        assert (await store.alike("acme", "bot", Criteria(), asked, limit=1))[0][0].conversation.id != "c13"
        await store.close()

    run(check())


def test_of_two_who_add_a_fact_at_once_one_does(make: MakeStore) -> None:
    async def check() -> None:
        store = await opened(make)
        fact = Fact(account_id="acme", agent_id="bot", kind="effect", key="k", body={"n": 1}, is_private=True, at=NOW)
        others = [replace(fact, body={"n": n}) for n in range(8)]
        added = await asyncio.gather(*(store.add_fact(other) for other in others))
        assert sum(added) == 1
        found = await store.get_fact("acme", "bot", "effect", "k", NOW)
        assert found is not None and found.body == {"n": added.index(True)}
        assert await store.remove_fact("acme", "bot", "effect", "k") and await store.add_fact(fact)
        await store.close()

    run(check())


def test_whole_months_of_turns_go_at_once_where_a_store_has_months_and_nothing_else_does(make: MakeStore) -> None:
    async def check() -> None:
        store = await opened(make)
        this = datetime.now(UTC)
        long_ago = head("old", started_at=this - timedelta(days=400))  # of a month that has no table of its own
        for made in (long_ago, head("new", started_at=this)):
            await store.create(made, turn(0), Snapshot())
        months = await store.drop_turns(this - timedelta(days=40))
        assert len(await store.turns(long_ago)) == 1 and months == []
        later = this + timedelta(days=70)  # as it will be then
        months = await store.drop_turns(later)
        assert len(await store.turns(head("new", started_at=this))) == (0 if months else 1)
        assert (await store.erase(head("new", started_at=this)))["conversations"] == 1
        assert len(await store.turns(long_ago)) == 1
        await store.close()

    run(check())
