"""An agent's own redaction rules: kept, changed, and run again over what was recorded before."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from vivavoce.domain.clock import Clock
from vivavoce.domain.conversation import BY_HAND
from vivavoce.domain.fact import Fact
from vivavoce.domain.principal import Principal
from vivavoce.domain.record import Criteria, Order, Position
from vivavoce.domain.work import Work
from vivavoce.errors import Invalid, VivavoceError
from vivavoce.redaction.finder import OwnRules, PatternInvalid, try_out
from vivavoce.redaction.tagger import CATEGORIES
from vivavoce.service.access import require
from vivavoce.service.audit import Audit
from vivavoce.service.deployments import Deployments
from vivavoce.service.finders import Finders
from vivavoce.service.recordings import listen_again
from vivavoce.service.reviews import Reviews
from vivavoce.store.interface import Store

log = logging.getLogger(__name__)

REDACT = "redact"  # kind of work
RUN = "redaction_run"  # kind of fact
BLOCK = 20  # conversations between two looks at what else is due
MOST_PATTERNS, MOST_KEPT = 50, 1_000
MAX_PATTERN_CHARACTERS = 500
MAX_KEPT_CHARACTERS = 200
_CATEGORY = re.compile(r"[a-z][a-z0-9_]{0,39}")
_OLDEST_FIRST = Order(by="started_at", is_descending=False)


class Run(Struct, frozen=True, kw_only=True):
    """Rules going over the record. `finished_at` None: it still goes on."""

    conversations: int  # that were there when it began
    done: int = 0
    after: int = 0  # the number of the last one that is done
    started_at: datetime
    finished_at: datetime | None = None


class RedactionRules:
    def __init__(
        self, store: Store, clock: Clock, deployments: Deployments, audit: Audit, finders: Finders, reviews: Reviews
    ) -> None:
        self._store = store
        self._clock = clock
        self._deployments = deployments
        self._audit = audit
        self._finders = finders
        self._reviews = reviews
        self._lock = asyncio.Lock()  # around what is kept of a run

    async def get(self, principal: Principal, agent_id: str) -> OwnRules:
        require(principal, "read", agent_id)
        return await self._finders.rules(await self._deployments.account_of(principal, agent_id), agent_id)

    async def put(self, principal: Principal, agent_id: str, rules: OwnRules) -> Run:
        """Holds at once for all that is shown, and goes over what is kept of the record, the search index too, from then on."""
        _require(principal, agent_id)
        _check(rules)
        account_id = await self._deployments.account_of(principal, agent_id)
        try:
            await asyncio.to_thread(try_out, rules)
            await self._finders.put_rules(account_id, agent_id, rules)
        except PatternInvalid as error:
            raise Invalid(f"{error}.") from error
        await self._audit.note(principal, "redaction.change", account_id, agent_id)
        return await self.run(principal, agent_id)

    async def run(self, principal: Principal, agent_id: str) -> Run:
        """Looks again at every conversation, in the background; one that goes on already begins anew."""
        _require(principal, agent_id)
        account_id = await self._deployments.account_of(principal, agent_id)
        now = self._clock.now()
        count = await self._store.count(account_id, agent_id, Criteria())
        begun = Run(conversations=count.number, started_at=now)
        async with self._lock:
            await self._keep(account_id, agent_id, begun)
        await self._store.add_work([Work(kind=REDACT, key=_key(account_id, agent_id), due_at=now)])
        await self._audit.note(principal, "redaction.run", account_id, agent_id, conversations=count.number)
        return begun

    async def last_run(self, principal: Principal, agent_id: str) -> Run | None:
        require(principal, "read", agent_id)
        return await self._last_run(await self._deployments.account_of(principal, agent_id), agent_id)

    async def go_on(self, work: Work) -> datetime | None:
        """The next few conversations of a run. What was done is known after a crash; doing one twice changes nothing."""
        account_id, _, agent_id = work.key.replace("\0", "/").partition("/")  # as it was written once
        run = await self._last_run(account_id, agent_id)
        if run is None or run.finished_at is not None:
            return None
        after = Position(number=run.after) if run.after else None
        page = await self._store.find(account_id, agent_id, Criteria(), _OLDEST_FIRST, limit=BLOCK, after=after)
        for item in page.items:
            try:
                await self._reviews.look_again(item.conversation.subject)
                if item.conversation.is_recorded and item.conversation.is_ended:
                    await self._store.add_work([listen_again(item.conversation, self._clock.now())])
            except VivavoceError as error:  # one damaged conversation must not stop the others
                log.warning("a conversation could not be looked at again: %s", error.code)
        now = self._clock.now()
        later = replace(
            run,
            done=run.done + len(page.items),
            after=page.next.number if page.next is not None else run.after,
            finished_at=None if page.next is not None else now,
        )
        async with self._lock:
            current = await self._last_run(account_id, agent_id)
            if current is None or current.started_at != run.started_at:
                return now  # it has begun anew, with other rules perhaps
            await self._keep(account_id, agent_id, later)
        return now if page.next is not None else None

    async def _last_run(self, account_id: str, agent_id: str) -> Run | None:
        fact = await self._store.get_fact(account_id, agent_id, RUN, "", self._clock.now())
        return msgspec.convert(fact.body, Run) if fact is not None else None

    async def _keep(self, account_id: str, agent_id: str, run: Run) -> None:
        body = msgspec.to_builtins(run)
        now = self._clock.now()
        await self._store.put_fact(Fact(account_id=account_id, agent_id=agent_id, kind=RUN, key="", body=body, at=now))


def _require(principal: Principal, agent_id: str) -> None:
    """Who decides what is hidden must be somebody from whom nothing is."""
    require(principal, "admin", agent_id)
    require(principal, "pii", agent_id)


def _key(account_id: str, agent_id: str) -> str:
    return f"{account_id}/{agent_id}"


def _check(rules: OwnRules) -> None:
    if len(rules.patterns) > MOST_PATTERNS or any(len(p.pattern) > MAX_PATTERN_CHARACTERS for p in rules.patterns):
        raise Invalid(f"patterns may be up to {MOST_PATTERNS}, of {MAX_PATTERN_CHARACTERS} characters each.")
    _check_texts("keep", rules.keep)
    known = {*CATEGORIES, *(p.category for p in rules.patterns)}
    strange = [category for category in rules.shown if category not in known]
    if strange:
        raise Invalid(f"shown has {strange[0][:40]!r}; it should be of {', '.join(sorted(known))}.")
    for category in (p.category for p in rules.patterns):
        if category == BY_HAND:
            raise Invalid(f"{category!r} is what is hidden by hand; give the category another name.")
        if not _CATEGORY.fullmatch(category):
            raise Invalid(
                f"{category[:40]!r} is no category; small letters, digits and _ are taken, such as loyalty_card."
            )


def _check_texts(name: str, texts: Sequence[str]) -> None:
    if len(texts) > MOST_KEPT or any(not 0 < len(text.strip()) <= MAX_KEPT_CHARACTERS for text in texts):
        raise Invalid(f"{name} may be up to {MOST_KEPT:,} texts, of 1 to {MAX_KEPT_CHARACTERS} characters each.")
