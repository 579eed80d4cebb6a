"""Settings become running services: the only module that knows every adapter."""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from vivavoce.domain.conversation import Subject
from vivavoce.engine.draft import Options, Ports
from vivavoce.functions.host import Host
from vivavoce.functions.interface import FunctionsUnavailable
from vivavoce.functions.sandbox import Guards
from vivavoce.messages.interface import Sender
from vivavoce.models.interface import Model
from vivavoce.outbound.guarded import GuardedHttp
from vivavoce.outbound.oauth import Tokens
from vivavoce.project.starting import template
from vivavoce.safety.interface import Classifier
from vivavoce.secrets import file as secret_file
from vivavoce.service.admission import Admission, Rates
from vivavoce.service.agents import Agents
from vivavoce.service.audio_cache import AudioCache
from vivavoce.service.audio_redaction import AudioRedaction
from vivavoce.service.audit import Audit
from vivavoce.service.authoring import Authoring
from vivavoce.service.branches import Branches
from vivavoce.service.calls import WATCH_CALL, Calls
from vivavoce.service.chats import END_FUNCTION, IDLE_END, Around, Chats
from vivavoce.service.claims import Claims
from vivavoce.service.concurrency import Concurrency
from vivavoce.service.conversations import Conversations
from vivavoce.service.deployments import Deployments
from vivavoce.service.erasure import RETAIN, Erasure
from vivavoce.service.events import Events
from vivavoce.service.experiments import Assignments, Experiments
from vivavoce.service.exports import Exports
from vivavoce.service.finders import Finders
from vivavoce.service.hand_redaction import HandRedaction
from vivavoce.service.handoffs import Handoffs
from vivavoce.service.keys import Keys
from vivavoce.service.knowledge import Knowledge
from vivavoce.service.ledger import Effects
from vivavoce.service.memories import Memories
from vivavoce.service.news import News
from vivavoce.service.operations import Operations
from vivavoce.service.outbox import MESSAGE, Outbox
from vivavoce.service.outlines import Outlines
from vivavoce.service.projections import Projections
from vivavoce.service.real_time import RealTimeConfigs
from vivavoce.service.recordings import REDACT_AUDIO, STORE_RECORDING, CallRecordings
from vivavoce.service.redaction_rules import REDACT, RedactionRules
from vivavoce.service.reviews import REVIEW, Reviews
from vivavoce.service.services import Services
from vivavoce.service.sessions import Sessions
from vivavoce.service.statistics import TALLY, Statistics
from vivavoce.service.test_runs import TestRuns
from vivavoce.service.turn_audio import TurnAudio
from vivavoce.service.versions import Versions
from vivavoce.service.views import SavedViews
from vivavoce.service.work import WorkLoop
from vivavoce.settings import Settings
from vivavoce.store.interface import Store
from vivavoce.telemetry.interface import Every
from vivavoce.telemetry.prometheus import PrometheusTelemetry
from vivavoce.voice.call import Engines
from vivavoce.wiring import adapters
from vivavoce.wiring.kept import bootstrap_key, make_keyring
from vivavoce.wiring.speech import Loaded, can_speak, make_engines

if TYPE_CHECKING:
    from vivavoce.store.sealing import Keyring

log = logging.getLogger(__name__)


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class SystemRandom:
    def uuid(self) -> str:
        return str(uuid.uuid4())

    def seed(self) -> int:
        return int.from_bytes(os.urandom(8), "big") >> 1


class Running(Struct, frozen=True, kw_only=True):
    settings: Settings
    services: Services
    store: Store
    functions: Host
    model: Model
    work: WorkLoop
    engines: Loaded
    api_key: str


class _Ground(Struct, frozen=True, kw_only=True):
    """What all services stand on."""

    settings: Settings
    in_memory: bool
    clock: SystemClock
    random: SystemRandom
    keyring: Keyring
    store: Store
    claims: Claims
    news: News
    model: Model
    audit: Audit
    embedder: Any

    def mark(self, subject: Subject) -> str:
        """A conversation's name where its own must not stand."""
        return self.keyring.name("mark", *msgspec.structs.astuple(subject)).hex()


class _Talking(Struct, frozen=True, kw_only=True):
    """What a turn goes through."""

    deployments: Deployments
    functions: Host
    finders: Finders
    events: Events
    around: Around
    admission: Admission
    numbers: PrometheusTelemetry
    telemetry: Every
    assignments: Assignments
    chats: Chats


class _Calling(Struct, frozen=True, kw_only=True):
    """What a call goes through besides, and what its sound is asked for by."""

    conversations: Conversations
    recordings: CallRecordings
    engines: Loaded
    cache: AudioCache
    calls: Calls
    turn_audio: TurnAudio


@asynccontextmanager
async def running(
    settings: Settings,
    *,
    folders: tuple[Path, ...] = (),
    in_memory: bool = False,
    model: Model | None = None,
    senders: Mapping[str, Sender] | None = None,
    classifier: Classifier | None = None,
    engines: Callable[[], Engines] | None = None,
) -> AsyncIterator[Running]:
    """Everything started, in order; everything stopped again, in the other order."""
    async with AsyncExitStack() as closing:
        ground = await _ground(closing, settings, model, in_memory=in_memory)
        sending = adapters.make_senders(settings) if senders is None else dict(senders)
        for sender in set(sending.values()):
            closing.push_async_callback(sender.close)
        talking = _talking(closing, ground, classifier or adapters.make_classifier(settings))
        api_key = settings.api_key or bootstrap_key(settings.data, in_memory=in_memory)
        keys = Keys(ground.store, ground.clock, ground.random, ground.audit, bootstrap=api_key, news=ground.news)
        closing.push_async_callback(keys.close)
        await keys.load()
        calling = _calling(ground, talking, engines)
        services, work = _serving(ground, talking, calling, keys, sending)
        for close in (
            services.versions.close,
            work.stop,
            calling.engines.close,
            calling.cache.close,
            calling.calls.close,
        ):
            closing.push_async_callback(close)
        closing.push_async_callback(services.admission.stop)
        services.admission.start()
        for folder in folders:
            served = await talking.deployments.serve(folder)
            await _prepare(talking.functions, served.deployment.tree)
        await calling.calls.recover()
        await services.statistics.begin_catching_up()
        work.start()
        yield Running(
            settings=settings,
            services=services,
            store=ground.store,
            functions=talking.functions,
            model=ground.model,
            work=work,
            engines=calling.engines,
            api_key=api_key,
        )


async def _prepare(functions: Host, tree: str) -> None:
    """Ready to run, so that the first conversation does not wait."""
    try:
        await functions.prepare(tree)
    except FunctionsUnavailable as error:  # its functions will fail; the rest of it, and other agents, work
        log.error("the functions of version %s cannot run: %s", tree[:9], error.message)


async def _ground(closing: AsyncExitStack, settings: Settings, model: Model | None, *, in_memory: bool) -> _Ground:
    clock, random = SystemClock(), SystemRandom()
    keyring = make_keyring(settings, in_memory=in_memory)
    store = adapters.make_memory_store() if in_memory else adapters.make_store(settings, keyring)
    await store.open()
    closing.push_async_callback(store.close)
    model = model or adapters.make_model(settings)
    closing.push_async_callback(model.close)
    own = random.uuid()
    claims, news = Claims(store, own, lease=settings.lease_seconds), News(store, own)
    closing.push_async_callback(claims.end)
    await claims.begin()
    closing.push_async_callback(news.end)
    await news.begin()
    return _Ground(
        settings=settings,
        in_memory=in_memory,
        clock=clock,
        random=random,
        keyring=keyring,
        store=store,
        claims=claims,
        news=news,
        model=model,
        audit=Audit(store, clock, keyring),
        embedder=adapters.make_embedder() if settings.retrieval != "lexical" else None,
    )


def _talking(closing: AsyncExitStack, ground: _Ground, classifier: Classifier) -> _Talking:
    settings, store, clock, random = ground.settings, ground.store, ground.clock, ground.random
    claims, news, audit = ground.claims, ground.news, ground.audit
    closing.push_async_callback(classifier.close)
    cache = None if ground.in_memory else settings.data / "cache"
    deployments = Deployments(
        store,
        clock,
        random,
        partial(adapters.make_index, settings.retrieval, cache),
        news=news,
        cache=cache / "agents" if cache is not None else None,
    )
    functions = Host(
        deployments.code_of,
        workers=settings.workers,
        memory_bytes=settings.function_memory_bytes,
        closed_ports=settings.function_closed_ports,
        has_network=settings.function_network,
        bubblewrap=settings.bubblewrap,
    )
    admission = Admission(settings.requests)
    numbers = _numbers(admission, functions)
    telemetry = Every(
        [numbers, *adapters.make_telemetry(settings, lambda id: ground.keyring.name("trace", id).hex()[:16])]
    )
    closing.push_async_callback(asyncio.to_thread, telemetry.close)
    outbound = GuardedHttp(settings.private_hosts)
    closing.push_async_callback(outbound.close)
    closing.push_async_callback(functions.close)
    events = Events(store, clock, random, deployments, claims)
    ports = Ports(
        functions=functions,
        model=ground.model,
        clock=clock,
        random=random,
        secrets=secret_file.load(settings.secrets_file, settings.secrets),
        outbound=outbound,
        tokens=Tokens(outbound),
        classifier=classifier,
        events=events,
        ledger=Effects(store, clock),
        options=_options(settings),
    )
    around = Around(
        real_time=RealTimeConfigs(store, clock, deployments, audit, claims, news),
        memories=Memories(store, clock, deployments, audit, claims),
        events=events,
    )
    finders = Finders(store, clock, deployments, news)
    assignments = Assignments(store, clock, news)
    idle = timedelta(seconds=settings.idle_seconds)
    return _Talking(
        deployments=deployments,
        functions=functions,
        finders=finders,
        events=events,
        around=around,
        admission=admission,
        numbers=numbers,
        telemetry=telemetry,
        assignments=assignments,
        chats=Chats(store, deployments, assignments, ports, around, finders, claims, telemetry, idle=idle),
    )


def _calling(ground: _Ground, talking: _Talking, engines: Callable[[], Engines] | None) -> _Calling:
    settings, store, clock, random = ground.settings, ground.store, ground.clock, ground.random
    deployments, chats = talking.deployments, talking.chats
    kept = adapters.make_recordings(settings, in_memory=ground.in_memory)
    spool = adapters.make_spool(settings, in_memory=ground.in_memory)
    recordings = CallRecordings(store, clock, kept, spool, ground.claims)
    loaded = Loaded(engines or partial(make_engines, settings))
    cache = AudioCache(
        store,
        clock,
        random,
        deployments,
        chats,
        ground.audit,
        talking.finders,
        kept,
        loaded,
        ground.claims,
        ground.news,
    )
    calls = Calls(
        store,
        clock,
        random,
        chats,
        deployments,
        recordings,
        loaded,
        ground.claims,
        ground.news,
        apology=settings.apology,
        mark=ground.mark,
        most=settings.calls,
        is_recording=settings.record_calls,
        speaker=cache.over,
    )
    conversations = Conversations(
        store, clock, random, deployments, ground.audit, talking.finders, ground.embedder, recordings
    )
    return _Calling(
        recordings=recordings,
        engines=loaded,
        cache=cache,
        calls=calls,
        conversations=conversations,
        turn_audio=TurnAudio(
            conversations,
            deployments,
            recordings,
            cache,
            loaded,
            can_speak=engines is not None or can_speak(settings),
        ),
    )


def _serving(
    ground: _Ground, talking: _Talking, calling: _Calling, keys: Keys, senders: Mapping[str, Sender]
) -> tuple[Services, WorkLoop]:
    """What the doors ask, and what goes on by itself."""
    settings, store, clock, random = ground.settings, ground.store, ground.clock, ground.random
    audit, finders, deployments = ground.audit, talking.finders, talking.deployments
    views, outlines = SavedViews(store, clock, deployments), Outlines()

    def forget() -> None:
        calling.turn_audio.forget()
        outlines.forget()

    erasure = Erasure(
        store,
        clock,
        random,
        ground.keyring,
        deployments,
        talking.chats,
        audit,
        calling.recordings,
        calling.calls.drop,
        forget,
        views.forget,
        ground.news,
        ground.mark,
    )
    statistics = Statistics(store, clock, deployments, time_zone=settings.time_zone)
    reviews = Reviews(
        store, clock, finders, statistics, model=_reviewer(settings, ground.model), embedder=ground.embedder
    )
    rules = RedactionRules(store, clock, deployments, audit, finders, reviews)
    work = WorkLoop(
        store,
        clock,
        {
            END_FUNCTION: talking.chats.run_end_function,
            IDLE_END: talking.chats.end_if_idle,
            MESSAGE: Outbox(store, clock, senders).deliver,
            RETAIN: erasure.expire,
            REVIEW: reviews.review,
            REDACT: rules.go_on,
            WATCH_CALL: calling.calls.watch,
            STORE_RECORDING: calling.recordings.store_again,
            REDACT_AUDIO: AudioRedaction(store, clock, finders, calling.recordings, calling.engines).redact,
            TALLY: statistics.catch_up,
        },
        slow=frozenset((REDACT_AUDIO, TALLY)),
    )
    versions = Versions(
        store,
        clock,
        random,
        deployments,
        audit,
        ground.claims,
        ground.news,
        partial(_prepare, talking.functions),
    )
    branches = Branches(store, clock, random, deployments, versions, audit, ground.claims)
    services = Services(
        chats=talking.chats,
        conversations=calling.conversations,
        concurrency=Concurrency(store, deployments, audit),
        deployments=deployments,
        keys=keys,
        real_time=talking.around.real_time,
        memories=talking.around.memories,
        events=talking.events,
        handoffs=Handoffs(store, deployments, audit, finders),
        audit=audit,
        erasure=erasure,
        exports=Exports(store, clock, random, ground.keyring, deployments, calling.conversations, audit, finders),
        finders=finders,
        redaction_rules=rules,
        calls=calling.calls,
        audio_cache=calling.cache,
        turn_audio=calling.turn_audio,
        sessions=Sessions(store, clock, keys),
        statistics=statistics,
        knowledge=Knowledge(deployments),
        views=views,
        versions=versions,
        branches=branches,
        authoring=Authoring(branches),
        projections=Projections(branches, versions, template),
        test_runs=TestRuns(store, clock, random, deployments, branches),
        experiments=Experiments(
            store,
            clock,
            random,
            deployments,
            versions,
            talking.assignments,
            audit,
            ground.claims,
            ground.news,
        ),
        agents=Agents(store, clock, random, deployments, branches, audit, ground.claims, template),
        outlines=outlines,
        operations=Operations(
            store,
            clock,
            deployments,
            lambda: _readiness(deployments, talking.functions),
            talking.numbers.expose,
            model=ground.model.name,
        ),
        admission=talking.admission,
        telemetry=talking.telemetry,
        rates=Rates(settings.key_rate),
        hand_redaction=HandRedaction(store, clock, deployments, audit, reviews),
    )
    return services, work


def _numbers(admission: Admission, functions: Host) -> PrometheusTelemetry:
    return PrometheusTelemetry(
        {
            "vivavoce_requests_in_work": ("HTTP requests that are let in.", lambda: admission.in_work),
            "vivavoce_requests_waiting": ("HTTP requests that wait to be let in.", lambda: admission.waiting),
            "vivavoce_requests_room": ("How many are let in at once just now.", lambda: admission.room),
            "vivavoce_requests_refused": ("Requests that were told to come again.", lambda: admission.refused),
            "vivavoce_late_seconds": ("How late the process is with its work.", lambda: admission.late),
            "vivavoce_workers_warm": ("Processes of author code that are kept.", lambda: functions.warm),
        }
    )


def _reviewer(settings: Settings, model: Model) -> Model | None:
    """Who judges conversations; None is the rules. The embedded and scripted models are no language models."""
    has_language = not settings.model.startswith(("local", "scripted:"))
    return model if settings.review == "model" or (settings.review == "auto" and has_language) else None


def _options(settings: Settings) -> Options:
    return Options(
        apology=settings.apology,
        safety_reply=settings.safety_reply,
        function_timeout=settings.function_timeout_seconds,
        max_turns=settings.max_turns,
        api_timeout=settings.api_timeout_seconds,
        time_zone=settings.time_zone,
    )


def _readiness(deployments: Deployments, functions: Host) -> dict[str, Any]:
    """For everybody, so no names."""
    guards = functions.guards or Guards()
    return {
        "status": "ready",
        "agents": len(deployments.served),
        "guards": {name: getattr(guards, name) for name in Guards.__struct_fields__},
        "warmWorkers": functions.warm,
    }
