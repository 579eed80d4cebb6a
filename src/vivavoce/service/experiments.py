"""A/B tests: which version a new conversation begins on, and what the versions come to."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from vivavoce.domain import experiment as splitting
from vivavoce.domain.audit import Action
from vivavoce.domain.clock import Clock, Random
from vivavoce.domain.deployment import Deployment
from vivavoce.domain.experiment import Experiment
from vivavoce.domain.fact import Fact
from vivavoce.domain.principal import Principal
from vivavoce.domain.record import Criteria, Listed, Order, Transcript
from vivavoce.domain.sequential import Bounds, Comparison, Sample, compare, interval
from vivavoce.errors import Conflict, Invalid, NotFound
from vivavoce.service.audit import Audit
from vivavoce.service.claims import Claims
from vivavoce.service.deployments import Deployments
from vivavoce.service.kept import Kept
from vivavoce.service.news import News
from vivavoce.service.versions import SHORTEST_PREFIX, DeploymentNotFound, Versions
from vivavoce.store.interface import Store

EXPERIMENT = "experiment"  # kind of facts
MAX_NAME = 200
MOST_RUNNING = 20  # of an agent at once
MOST_COMPARED = 100_000  # conversations of a group; the newest of them
BLOCK = 500
MOST_METRICS = 100  # that are compared
LARGEST = 1e100  # of a value that is compared
CONTAINMENT, SCORE = "containment", "score"
_UNIT = Bounds(low=0, high=1)
_BOUNDS = {CONTAINMENT: _UNIT, SCORE: Bounds(low=1, high=5)}


class ExperimentNotFound(NotFound):
    code = "AB_TEST_NOT_FOUND"


class ExperimentEnded(Conflict):
    code = "AB_TEST_ENDED"


class TooMuchTraffic(Conflict):
    code = "AB_TEST_TRAFFIC_EXCEEDED"


class Group(Struct, frozen=True, kw_only=True):
    """One version: its conversations, and each metric's mean with where it lies."""

    deployment: str
    conversations: int
    counts: dict[str, int]
    means: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    is_whole: bool  # False: only the newest were looked at


class Result(Struct, frozen=True, kw_only=True):
    """`comparisons` by metric; one of which nothing can be said yet is not there."""

    experiment: Experiment
    confidence: float
    control: Group
    variant: Group
    comparisons: dict[str, Comparison]
    others: int  # conversations of other versions meanwhile: those that the environment was given since


class Assignments:
    """Read with every conversation that begins."""

    def __init__(self, store: Store, clock: Clock, news: News) -> None:
        self._store = store
        self._clock = clock
        self._known: Kept[tuple[Experiment, ...]] = Kept()
        news.on("experiments", self._known.forget)

    def forget(self, account_id: str, agent_id: str) -> None:
        self._known.forget((account_id, agent_id))

    async def all(self, account_id: str, agent_id: str) -> tuple[Experiment, ...]:
        """Newest first."""

        async def read() -> tuple[Experiment, ...]:
            bodies = await self._store.facts(account_id, agent_id, EXPERIMENT, self._clock.now())
            found = [msgspec.convert(body, Experiment) for body in bodies]
            return tuple(sorted(found, key=lambda each: (each.created_at, each.id), reverse=True))

        return await self._known.get((account_id, agent_id), read)

    async def deployment_for(self, served: Deployment, environment: str, conversation_id: str) -> Deployment:
        """What a conversation begins on where `served` serves the environment."""
        running = [
            each
            for each in await self.all(served.account_id, served.agent_id)
            if each.ended_at is None and each.environment == environment
        ]
        if not running:
            return served
        point = splitting.point_of(served.account_id, served.agent_id, environment, conversation_id)
        found = splitting.drawn(running, point)
        if found is None:
            return served
        return await self._store.deployment(served.account_id, served.agent_id, found.variant) or served


class Experiments:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        random: Random,
        deployments: Deployments,
        versions: Versions,
        assignments: Assignments,
        audit: Audit,
        claims: Claims,
        news: News,
    ) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._deployments = deployments
        self._versions = versions
        self._assignments = assignments
        self._audit = audit
        self._claims = claims
        self._news = news

    # Reading.

    async def listed(self, principal: Principal, agent_id: str) -> Sequence[Experiment]:
        """Newest first."""
        return await self._assignments.all(await self._deployments.account_for(principal, agent_id, "read"), agent_id)

    async def active(self, principal: Principal, agent_id: str) -> Sequence[Experiment]:
        return [each for each in await self.listed(principal, agent_id) if each.ended_at is None]

    async def get(self, principal: Principal, agent_id: str, id: str) -> Experiment:
        account_id = await self._deployments.account_for(principal, agent_id, "read")
        return await self._find(account_id, agent_id, id)

    async def result(self, principal: Principal, agent_id: str, id: str, *, confidence: float = 0.95) -> Result:
        """How the two have done since it began. It may be asked at any time and as often as one likes: what it says holds at all
        of these looks together with that confidence."""
        account_id = await self._deployments.account_for(principal, agent_id, "read")
        found = await self._find(account_id, agent_id, id)
        control, variant = [await self._seen(found, deployment) for deployment in (found.control, found.variant)]
        alpha = 1 - confidence
        bounds = {**dict.fromkeys(_flags(control, variant), _UNIT), **_BOUNDS}
        told = _told(control, variant)
        names = [name for name in told if name in control.samples and name in variant.samples]
        comparisons = await asyncio.to_thread(
            lambda: {n: compare(control.samples[n], variant.samples[n], alpha, bounds.get(n)) for n in names}
        )
        every = await self._store.count(account_id, agent_id, _during(found, None))
        return Result(
            experiment=found,
            confidence=confidence,
            control=_group(control, told, alpha, bounds),
            variant=_group(variant, told, alpha, bounds),
            comparisons={name: each for name, each in comparisons.items() if each is not None},
            others=max(0, every.number - control.count - variant.count),
        )

    async def _seen(self, experiment: Experiment, deployment: str) -> _Seen:
        seen = _Seen(deployment)
        criteria, after = _during(experiment, deployment), None
        while seen.count < MOST_COMPARED:
            page = await self._store.find(
                experiment.account_id, experiment.agent_id, criteria, Order(), limit=BLOCK, after=after
            )
            said = await self._store.transcripts([listed.conversation for listed in page.items])
            for listed, transcript in zip(page.items, said, strict=True):
                seen.add(_values(listed, transcript))
            after = page.next
            if after is None:
                return seen
        seen.is_whole = False
        return seen

    # Changing.

    async def create(
        self,
        principal: Principal,
        agent_id: str,
        *,
        name: str,
        variant: str,
        share: float,
        environment: str = "live",
        by: str = "",
    ) -> Experiment:
        """From now on. The variant is any version that was published."""
        account_id = await self._deployments.account_for(principal, agent_id, "admin")
        if environment not in ("live", "pre-release"):
            raise Invalid("An A/B test runs in live or in pre-release.")
        async with self._claims.hold(EXPERIMENT, account_id, agent_id):
            self._assignments.forget(account_id, agent_id)  # what another process did last may not have been heard
            control = (await self._deployments.active(account_id, agent_id)).get(environment)
            if control is None:
                raise DeploymentNotFound(f"Nothing is deployed to {environment}, so there is nothing to compare with.")
            other = await self._versions.get(principal, agent_id, variant)
            if other.environment not in ("sandbox", "pre-release", "live"):
                raise Invalid("The variant should be a version that was published, not a draft.")
            if other.tree == control.tree:
                raise Invalid(f"The variant is what {environment} serves already: {control.version[:9]}.")
            if other.id == control.id:
                raise Invalid("The variant and the control should be two deployments.")
            made = Experiment(
                id=self._random.uuid(),
                account_id=account_id,
                agent_id=agent_id,
                name=_checked_name(name),
                environment=environment,
                control=control.id,
                variant=other.id,
                share=_checked_share(share),
                created_by=by or principal.name,
                created_at=self._clock.now(),
            )
            await self._check_traffic(made)
            return await self._put(principal, "experiment.create", made)

    async def change(
        self, principal: Principal, agent_id: str, id: str, *, name: str | None = None, share: float | None = None
    ) -> Experiment:
        """Conversations that have begun stay on what they began on."""
        async with self._own(principal, agent_id, id) as found:
            changed = replace(
                found,
                name=found.name if name is None else _checked_name(name),
                share=found.share if share is None else _checked_share(share),
            )
            await self._check_traffic(changed)
            return await self._put(principal, "experiment.change", changed)

    async def end(
        self, principal: Principal, agent_id: str, id: str, *, chosen: str | None = None, by: str = ""
    ) -> Experiment:
        """The one that is chosen serves the environment from now on. Where none is, what serves it goes on."""
        async with self._own(principal, agent_id, id) as found:
            chosen = await self._one_of_both(found, chosen) if chosen is not None else None
            ended = replace(found, ended_at=self._clock.now(), chosen=chosen)
            if chosen is not None:  # before it ends: else the environment would be without the one that was chosen
                await self._versions.promote(
                    principal, agent_id, chosen, target=found.environment, by=by, message=f"A/B test {found.name}"
                )
            return await self._put(principal, "experiment.end", ended)

    async def _one_of_both(self, experiment: Experiment, named: str) -> str:
        """The deployment that is named by its id or by the first digits of its version."""
        for id in (experiment.control, experiment.variant):
            deployment = await self._store.deployment(experiment.account_id, experiment.agent_id, id)
            is_version = deployment is not None and len(named) >= SHORTEST_PREFIX and deployment.tree.startswith(named)
            if named == id or is_version:
                return id
        raise Invalid(
            f"chosen_deployment_id should be the test's control or its variant: {experiment.control} or {experiment.variant}."
        )

    async def _check_traffic(self, wanted: Experiment) -> None:
        running = [
            each
            for each in await self._assignments.all(wanted.account_id, wanted.agent_id)
            if each.ended_at is None and each.environment == wanted.environment and each.id != wanted.id
        ]
        if len(running) >= MOST_RUNNING:
            raise Conflict(f"{MOST_RUNNING} A/B tests are running; end one first.")
        taken = sum(each.share for each in running)
        if taken + wanted.share > 100:
            raise TooMuchTraffic(
                f"{taken:g} of 100 percent of the conversations take part in other tests, so {wanted.share:g} are too many."
            )

    async def _put(self, principal: Principal, action: Action, experiment: Experiment) -> Experiment:
        account_id, agent_id = experiment.account_id, experiment.agent_id
        await self._audit.note(principal, action, account_id, agent_id, experiment=experiment.id)
        fact = Fact(
            account_id=account_id,
            agent_id=agent_id,
            kind=EXPERIMENT,
            key=experiment.id,
            body=msgspec.to_builtins(experiment),
            at=self._clock.now(),
        )
        await self._store.put_fact(fact)
        self._assignments.forget(account_id, agent_id)
        await self._news.tell("experiments", account_id, agent_id)
        return experiment

    @asynccontextmanager
    async def _own(self, principal: Principal, agent_id: str, id: str) -> AsyncIterator[Experiment]:
        """One that is running, held while it is changed."""
        account_id = await self._deployments.account_for(principal, agent_id, "admin")
        async with self._claims.hold(EXPERIMENT, account_id, agent_id):
            self._assignments.forget(account_id, agent_id)
            found = await self._find(account_id, agent_id, id)
            if found.ended_at is not None:
                raise ExperimentEnded(f"The A/B test {found.name!r} has ended.")
            yield found

    async def _find(self, account_id: str, agent_id: str, id: str) -> Experiment:
        for each in await self._assignments.all(account_id, agent_id):
            if each.id == id:
                return each
        raise ExperimentNotFound(f"There is no A/B test {id[:64]!r} of agent {agent_id!r}.")


def _during(experiment: Experiment, deployment: str | None) -> Criteria:
    """Its conversations that are over; of one version, or of all."""
    return Criteria(
        since=experiment.created_at,
        until=experiment.ended_at,
        environments=(experiment.environment,),
        deployments=(deployment,) if deployment is not None else (),
        in_progress=False,
    )


class _Seen:
    """What was seen of one version's conversations that have ended."""

    def __init__(self, deployment: str) -> None:
        self.deployment = deployment
        self.count = 0
        self.is_whole = True
        self.samples: dict[str, Sample] = defaultdict(Sample)
        self.numbers: set[str] = set()  # metrics of which a value was not just true or false

    def add(self, values: Mapping[str, float]) -> None:
        self.count += 1
        for name, value in values.items():
            self.samples[name] = self.samples[name].with_value(float(value))
            if not isinstance(value, bool):
                self.numbers.add(name)


def _told(*sides: _Seen) -> list[str]:
    """The metrics; of very many those that were written most."""
    written: dict[str, int] = defaultdict(int)
    for side in sides:
        for name, sample in side.samples.items():
            written[name] += sample.count
    return sorted(sorted(written, key=lambda name: (name not in _BOUNDS, -written[name], name))[:MOST_METRICS])


def _flags(*sides: _Seen) -> set[str]:
    """Metrics that only ever say yes or no. A conversation that does not write one says no: its sample is made whole."""
    flags = {name for side in sides for name in side.samples} - {name for side in sides for name in side.numbers}
    for side in sides:
        for name in flags if side.count else ():
            side.samples[name] = replace(side.samples[name], count=side.count)
    return flags


def _values(listed: Listed, transcript: Transcript) -> dict[str, float]:
    """Of a metric that was written more than once, the last value; only numbers and true or false are compared."""
    found: dict[str, float] = {
        metric.name: metric.value
        for metric in (*(each for turn in transcript.turns for each in turn.metrics), *transcript.closing_metrics)
        if metric.name not in _BOUNDS and isinstance(metric.value, (bool, int, float)) and abs(metric.value) < LARGEST
    }
    found[CONTAINMENT] = 0.0 if listed.conversation.is_handoff else 1.0
    score = listed.review.score
    if score is not None and score.value is not None:
        found[SCORE] = float(score.value)
    return found


def _group(seen: _Seen, told: Sequence[str], alpha: float, bounds: Mapping[str, Bounds]) -> Group:
    samples = {name: seen.samples[name] for name in told if name in seen.samples}
    between = {name: interval(sample, alpha, bounds.get(name)) for name, sample in samples.items()}
    return Group(
        deployment=seen.deployment,
        conversations=seen.count,
        counts={name: sample.count for name, sample in samples.items()},
        means={name: sample.mean for name, sample in samples.items() if sample.mean is not None},
        intervals={name: found for name, found in between.items() if found is not None},
        is_whole=seen.is_whole,
    )


def _checked_name(name: str) -> str:
    name = name.strip()
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise Invalid(f"The name of an A/B test should have 1 to {MAX_NAME} characters.")
    return name


def _checked_share(share: float) -> float:
    if not 0 <= share <= 100:
        raise Invalid("traffic_percentage should be from 0 to 100.")
    return share
