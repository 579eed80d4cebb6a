"""One at a time within a process and among processes, and no claim that nobody knows of stays."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.talk import run
from vivavoce.errors import ConversationBusy
from vivavoce.service.claims import Claims
from vivavoce.store.interface import StoreError
from vivavoce.store.memory import MemoryStore


async def two() -> tuple[MemoryStore, Claims, Claims]:
    store = MemoryStore()
    await store.live("a", 60.0)
    await store.live("b", 60.0)
    return store, Claims(store, "a", lease=60.0, wait=0.1), Claims(store, "b", lease=60.0, wait=0.1)


def test_who_comes_second_waits_and_is_told_when_that_takes_too_long() -> None:
    async def scenario() -> None:
        _, first, second = await two()
        async with first.hold("x"):
            for claims in (first, second):
                with pytest.raises(ConversationBusy):
                    async with claims.hold("x"):
                        pass
            async with second.hold("y"):
                assert not await second.is_free("x") and await second.is_free("z")
        async with second.hold("x") as held:
            assert not held.is_continued
        async with second.hold("x") as held:
            assert held.is_continued

    run(scenario())


def test_a_claim_whose_answer_was_lost_is_given_back_and_memory_is_not_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        store, first, second = await two()
        async with first.hold("x"):
            pass
        claim = store.claim

        async def lost(*names: str) -> Any:
            await claim(*names)
            raise StoreError("The connection was cut.")

        with monkeypatch.context() as patch:
            patch.setattr(store, "claim", lost)
            with pytest.raises(StoreError):
                async with first.hold("x"):
                    pass
        assert not await second.is_free("x")
        async with first.hold("x") as held:
            assert not held.is_continued  # another process may have had it before the claim that was lost
        assert await second.is_free("x")

    run(scenario())


def test_claims_of_a_process_that_ends_are_free_at_once() -> None:
    async def scenario() -> None:
        _, first, second = await two()
        await first.begin()
        async with first.hold("x"):
            await first.end()
            assert await second.is_free("x")
        await asyncio.sleep(0)

    run(scenario())
