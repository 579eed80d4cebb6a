"""What lists find, whichever engine looks: the one in memory looks at everything, and the others must agree with it."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.support import postgres
from tests.support.talk import run
from vivavoce.domain.conversation import Conversation, Snapshot, Turn
from vivavoce.domain.record import Annotation, Criteria, Order, Position, Review, Score
from vivavoce.store.interface import Store
from vivavoce.store.memory import MemoryStore
from vivavoce.store.postgres.store import PostgresStore
from vivavoce.store.sealing import Keyring
from vivavoce.store.sqlite.store import SqliteStore

START = datetime(2026, 1, 1, tzinfo=UTC)
ENVIRONMENTS = ("sandbox", "live", "draft")
CONTACTS = ("+44 7700 900123", "+447700900124", "sam@example.org")

heads = st.fixed_dictionaries(
    {
        "started": st.integers(0, 40),  # often the same moment
        "agent_id": st.sampled_from(("bot", "bot", "bot", "other")),
        "account_id": st.sampled_from(("acme", "acme", "acme", "rival")),
        "environment": st.sampled_from(ENVIRONMENTS),
        "channel": st.sampled_from(("chat.polyai", "sip.polyai", "sms.twilio")),
        "variant": st.sampled_from((None, "north", "south")),
        "from_number": st.sampled_from((None, *CONTACTS)),
        "seconds": st.integers(0, 9),
        "is_ended": st.booleans(),
        "is_handoff": st.booleans(),
        "score": st.sampled_from((None, 1, 3, 5)),
        "tags": st.sets(st.sampled_from(("a", "b")), max_size=2),
    }
)
some = st.sampled_from
criteria = st.builds(
    Criteria,
    since=st.none() | st.integers(0, 40).map(lambda n: START + timedelta(seconds=n)),
    until=st.none() | st.integers(0, 41).map(lambda n: START + timedelta(seconds=n)),
    environments=st.lists(some(ENVIRONMENTS), max_size=2, unique=True).map(tuple),
    channels=st.lists(some(("chat", "sip")), max_size=2, unique=True).map(tuple),
    variants=st.lists(some(("north", "gone")), max_size=1).map(tuple),
    contacts=st.lists(some(("07700900123", "447700900123", "SAM@example.org")), max_size=1).map(tuple),
    handoff=st.none() | st.booleans(),
    tags=st.lists(some(("a", "b")), max_size=2, unique=True).map(tuple),
    in_progress=st.none() | st.booleans(),
    min_score=st.none() | st.integers(1, 5),
    max_score=st.none() | st.integers(1, 5),
    min_duration=st.none() | st.integers(0, 9),
    max_duration=st.none() | st.integers(0, 9),
)
orders = st.builds(Order, by=some(("started_at", "duration", "score")), is_descending=st.booleans())


def conversation(n: int, values: dict[str, Any]) -> Conversation:
    started = START + timedelta(seconds=values["started"])
    ended = started + timedelta(seconds=values["seconds"])
    return Conversation(
        account_id=values["account_id"],
        agent_id=values["agent_id"],
        id=f"c{n}",
        environment=values["environment"],
        channel=values["channel"],
        tree="t",
        variant=values["variant"],
        started_at=started,
        last_turn_at=ended,
        finished_at=ended if values["is_ended"] else None,
        end_reason="client" if values["is_ended"] else None,
        is_handoff=values["is_handoff"],
        from_number=values["from_number"],
        turns=1,
    )


def every_store(folder: Path) -> list[Store]:
    """All of them empty; the one in memory is the last."""
    return [
        SqliteStore(folder / "s.db", Keyring(bytes(32))),
        PostgresStore(postgres.fresh(), Keyring(bytes(32))),
        MemoryStore(),
    ]


async def fill(store: Store, rows: list[dict[str, Any]]) -> None:
    await store.open()
    for n, values in enumerate(rows):
        made = conversation(n, values)
        await store.create(made, Turn(index=0, started_at=START, finished_at=START), Snapshot())
        score = Score(value=values["score"], made_by="rules") if values["score"] else None
        review = Review(tags=tuple(sorted(values["tags"])), score=score)
        await store.revise(made, lambda _, review=review: review)  # type: ignore[misc]


async def every_page(store: Store, wanted: Criteria, order: Order, limit: int) -> list[str]:
    found: list[str] = []
    after: Position | None = None
    while True:
        page = await store.find("acme", "bot", wanted, order, limit=limit, after=after)
        assert len(page.items) <= limit
        found += [item.conversation.id for item in page.items]
        if page.next is None:
            return found
        assert page.items
        after = page.next


@settings(max_examples=60, deadline=None)
@given(st.lists(heads, max_size=14), st.lists(st.tuples(criteria, orders, st.integers(1, 5)), min_size=1, max_size=6))
def test_every_store_finds_the_same_in_the_same_order_page_by_page(
    rows: list[dict[str, Any]], questions: list[tuple[Criteria, Order, int]]
) -> None:
    async def check() -> None:
        with tempfile.TemporaryDirectory() as folder:
            stores = every_store(Path(folder))
            for store in stores:
                await fill(store, rows)
            memory = stores[-1]
            for wanted, order, limit in questions:
                expected = await every_page(memory, wanted, order, 100)
                number = (await memory.count("acme", "bot", wanted)).number
                for store in stores:
                    assert await every_page(store, wanted, order, limit) == expected
                    skipped = await store.find("acme", "bot", wanted, order, limit=100, offset=2)
                    assert [item.conversation.id for item in skipped.items] == expected[2:]
                    assert (await store.count("acme", "bot", wanted)).number == number
            for store in stores:
                await store.close()

    run(check())


def test_what_changes_about_a_conversation_changes_where_it_is_found() -> None:
    async def check() -> None:
        with tempfile.TemporaryDirectory() as folder:
            for store in every_store(Path(folder)):
                await fill(store, [])
                head = conversation(0, {**_PLAIN, "is_ended": False})
                turn = Turn(index=0, started_at=START, finished_at=START)
                await store.create(head, turn, Snapshot())

                async def found(wanted: Criteria, store: Store = store) -> int:
                    return (await store.count("acme", "bot", wanted)).number

                assert await found(Criteria(in_progress=True)) == 1
                ended = replace(head, end_reason="client", finished_at=START + timedelta(seconds=7))
                await store.end(ended)
                assert await found(Criteria(in_progress=True)) == 0 and await found(Criteria(min_duration=7)) == 1
                marked = Review(tags=("new",), annotations=(_MARK,))
                await store.revise(ended, lambda _, marked=marked: marked)  # type: ignore[misc]
                assert await found(Criteria(tags=("new",), annotations=("any",))) == 1
                await store.revise(ended, lambda r: replace(r, tags=(), annotations=()))
                assert await found(Criteria(tags=("new",))) == await found(Criteria(annotations=("any",))) == 0
                assert (await store.count("acme", "bot", Criteria())).number == 1
                await store.close()

    run(check())


_MARK = Annotation(id="a", turn=0, role="agent", type="wrong_info", author="x", at=START)
_PLAIN: dict[str, Any] = {
    "started": 0,
    "agent_id": "bot",
    "account_id": "acme",
    "environment": "live",
    "channel": "chat.polyai",
    "variant": None,
    "from_number": None,
    "seconds": 1,
    "is_ended": True,
    "is_handoff": False,
}
