"""What is taken on is finished; the rest is told at once when to come again."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from tests.support.talk import run
from vivavoce.api.admitted import Admitted
from vivavoce.domain.principal import Principal
from vivavoce.service.admission import LEAST, SPARE, WAITING_ROOM, Admission, Overloaded, RateLimited, Rates

KEY = Principal(key_id="k", account_id="acme")


def test_a_key_may_send_some_seconds_worth_at_once_and_then_its_rate() -> None:
    rates = Rates(10.0)
    for _ in range(20):
        rates.take(KEY, 0.0)
    with pytest.raises(RateLimited) as refused:
        rates.take(KEY, 0.0)
    assert refused.value.retry_after == pytest.approx(0.1)
    rates.take(Principal(key_id="other", account_id="acme"), 0.0)  # another key is not held up
    rates.take(KEY, 0.11)
    with pytest.raises(RateLimited):
        rates.take(KEY, 0.11)
    for _ in range(20):
        rates.take(KEY, 100.0)  # no more than the burst is saved up
    with pytest.raises(RateLimited):
        rates.take(KEY, 100.0)


def test_the_operator_and_a_rate_of_none_have_no_limit() -> None:
    for rates, who in ((Rates(1.0), Principal(key_id="operator")), (Rates(0.0), KEY)):
        for _ in range(100):
            rates.take(who, 0.0)


def test_who_does_not_fit_waits_a_little_and_who_does_not_fit_the_waiting_room_not_at_all() -> None:
    async def scenario() -> None:
        gate, done = Admission(LEAST), asyncio.Event()

        async def work() -> bool:
            async with gate.let_in():
                await done.wait()
            return True

        first = [asyncio.create_task(work()) for _ in range(LEAST + WAITING_ROOM)]
        await asyncio.sleep(0)
        assert gate.in_work == LEAST and gate.waiting == WAITING_ROOM
        with pytest.raises(Overloaded) as refused:
            await work()
        assert refused.value.retry_after is not None
        done.set()
        assert all(await asyncio.gather(*first)) and gate.in_work == gate.waiting == 0

    run(scenario())


def test_who_leaves_the_waiting_room_leaves_no_gap() -> None:
    async def scenario() -> None:
        gate, done = Admission(1), asyncio.Event()

        async def work() -> None:
            async with gate.let_in():
                await done.wait()

        held = [asyncio.create_task(work()) for _ in range(3)]
        await asyncio.sleep(0)
        held[1].cancel()
        await asyncio.sleep(0)
        assert gate.waiting == 1
        done.set()
        await asyncio.gather(held[0], held[2])
        assert gate.in_work == 0

    run(scenario())


def test_a_process_that_is_behind_lets_in_less_until_it_has_caught_up() -> None:
    gate = Admission(1000)
    gate.in_work = 700  # that wait for models
    for _ in range(100):
        gate.look(0.001)
    assert gate.room == 1000
    for _ in range(60):
        gate.look(0.5)
    assert gate.room == LEAST  # never none at all
    for _ in range(100):
        gate.look(0.0)
    assert gate.room == 1000


def test_a_flood_is_not_let_in_before_it_is_seen_to_be_one() -> None:
    gate = Admission(1000)
    for _ in range(100):
        gate.look(0.0)
    assert gate.room == SPARE  # nothing was in work
    gate.in_work = 80
    gate.look(0.0)
    gate.look(0.0)
    assert SPARE < gate.room <= 2 * 80 + SPARE


def test_a_body_takes_its_place_when_it_is_there_and_one_that_nobody_reads_at_once() -> None:
    async def scenario() -> None:
        admission, seen = Admission(8), []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(admission.in_work)
            if scope["method"] == "POST":
                while (await receive()).get("more_body"):
                    seen.append(admission.in_work)
                seen.append(admission.in_work)

        parts = [{"type": "http.request", "more_body": True}, {"type": "http.request"}]

        async def receive() -> Message:
            return parts.pop(0)

        async def send(message: Message) -> None:
            raise AssertionError(message)

        for method in ("GET", "POST"):
            scope = {"type": "http", "method": method, "path": "/x", "headers": [(b"content-length", b"2")]}
            await Admitted(app, admission)(scope, receive, send)
        assert seen == [1, 0, 0, 1] and admission.in_work == 0

    asyncio.run(scenario())
