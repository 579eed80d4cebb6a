"""Settings become running services: the only module that knows every adapter."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from vivavoce.domain.agent import Agent
from vivavoce.domain.conversation import SENT_KINDS, Subject
from vivavoce.engine.draft import Options, Ports
from vivavoce.errors import UsageError
from vivavoce.functions.host import Host
from vivavoce.functions.interface import FunctionsUnavailable
from vivavoce.functions.sandbox import Guards
from vivavoce.knowledge.interface import PassageRetriever, Retriever
from vivavoce.messages.interface import Sender
from vivavoce.models.interface import Model
from vivavoce.outbound.guarded import GuardedHttp
from vivavoce.outbound.oauth import Tokens
from vivavoce.recordings.interface import Recordings
from vivavoce.safety.interface import Classifier
from vivavoce.secrets import file as secret_file
from vivavoce.service.admission import Admission, Rates
from vivavoce.service.audio_cache import AudioCache
from vivavoce.service.audio_redaction import AudioRedaction
from vivavoce.service.audit import Audit
from vivavoce.service.calls import WATCH_CALL, Calls
from vivavoce.service.chats import END_FUNCTION, IDLE_END, Around, Chats
from vivavoce.service.claims import Claims
from vivavoce.service.concurrency import Concurrency
from vivavoce.service.conversations import Conversations
from vivavoce.service.deployments import Deployments
from vivavoce.service.erasure import RETAIN, Erasure
from vivavoce.service.events import Events
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
from vivavoce.service.real_time import RealTimeConfigs
from vivavoce.service.recordings import REDACT_AUDIO, STORE_RECORDING, CallRecordings
from vivavoce.service.redaction_rules import REDACT, RedactionRules
from vivavoce.service.reviews import REVIEW, Reviews
from vivavoce.service.services import Services
from vivavoce.service.sessions import Sessions
from vivavoce.service.statistics import TALLY, Statistics
from vivavoce.service.turn_audio import TurnAudio
from vivavoce.service.views import SavedViews
from vivavoce.service.work import WorkLoop
from vivavoce.settings import Settings
from vivavoce.store.interface import Store
from vivavoce.telemetry.interface import Every, Telemetry
from vivavoce.telemetry.prometheus import PrometheusTelemetry
from vivavoce.voice.call import Engines
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
    clock, random = SystemClock(), SystemRandom()
    keyring = make_keyring(settings, in_memory=in_memory)
    store = _memory() if in_memory else make_store(settings, keyring)
    await store.open()
    model = model or make_model(settings)
    own = random.uuid()

    def mark(subject: Subject) -> str:
        return keyring.name("mark", *msgspec.structs.astuple(subject)).hex()

    claims, news = Claims(store, own, lease=settings.lease_seconds), News(store, own)
    try:
        await claims.begin()
        await news.begin()
        cache = None if in_memory else settings.data / "cache"
        deployments = Deployments(
            store,
            clock,
            random,
            partial(make_index, settings.retrieval, cache),
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
        events = Events(store, clock, random, deployments, claims)
        outbound = GuardedHttp(settings.private_hosts)
        classifier = classifier or make_classifier(settings)
        ports = Ports(
            functions=functions,
            model=model,
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
        audit = Audit(store, clock, keyring)
        finders = Finders(store, clock, deployments, news)
        around = Around(
            real_time=RealTimeConfigs(store, clock, deployments, audit, claims, news),
            memories=Memories(store, clock, deployments, audit, claims),
            events=events,
        )
        idle = timedelta(seconds=settings.idle_seconds)
        admission = Admission(settings.requests)
        numbers = _numbers(admission, functions)
        telemetry = Every([numbers, *make_telemetry(settings, lambda id: keyring.name("trace", id).hex()[:16])])
        chats = Chats(store, deployments, ports, around, finders, claims, telemetry, idle=idle)
        api_key = settings.api_key or _bootstrap_key(settings.data, in_memory=in_memory)
        keys = Keys(store, clock, random, audit, bootstrap=api_key, news=news)
        await keys.load()
        senders = dict(senders) if senders is not None else make_senders(settings)
        recordings_store = make_recordings(settings, in_memory=in_memory)
        recordings = CallRecordings(store, clock, recordings_store, _spool(settings, in_memory=in_memory), claims)
        embedder = _embedder() if settings.retrieval != "lexical" else None
        conversations = Conversations(store, clock, random, deployments, audit, finders, embedder, recordings)
        loaded = Loaded(engines or partial(make_engines, settings))
        cache_of_speech = AudioCache(
            store, clock, random, deployments, chats, audit, finders, recordings_store, loaded, claims, news
        )
        calls = Calls(
            store,
            clock,
            random,
            chats,
            deployments,
            recordings,
            loaded,
            claims,
            news,
            apology=settings.apology,
            mark=mark,
            most=settings.calls,
            is_recording=settings.record_calls,
            speaker=cache_of_speech.over,
        )
        turn_audio = TurnAudio(
            conversations,
            deployments,
            recordings,
            cache_of_speech,
            loaded,
            can_speak=engines is not None or can_speak(settings),
        )
        views, outlines = SavedViews(store, clock, deployments), Outlines()

        def forget() -> None:
            turn_audio.forget()
            outlines.forget()

        erasure = Erasure(
            store,
            clock,
            random,
            keyring,
            deployments,
            chats,
            audit,
            recordings,
            calls.drop,
            forget,
            views.forget,
            news,
            mark,
        )
        statistics = Statistics(store, clock, deployments, time_zone=settings.time_zone)
        reviews = Reviews(store, clock, finders, statistics, model=_reviewer(settings, model), embedder=embedder)
        rules = RedactionRules(store, clock, deployments, audit, finders, reviews)
        work = WorkLoop(
            store,
            clock,
            {
                END_FUNCTION: chats.run_end_function,
                IDLE_END: chats.end_if_idle,
                MESSAGE: Outbox(store, clock, senders).deliver,
                RETAIN: erasure.expire,
                REVIEW: reviews.review,
                REDACT: rules.go_on,
                WATCH_CALL: calls.watch,
                STORE_RECORDING: recordings.store_again,
                REDACT_AUDIO: AudioRedaction(store, clock, finders, recordings, loaded).redact,
                TALLY: statistics.catch_up,
            },
            slow=frozenset((REDACT_AUDIO, TALLY)),
        )
        services = Services(
            chats=chats,
            conversations=conversations,
            concurrency=Concurrency(store, deployments, audit),
            deployments=deployments,
            keys=keys,
            real_time=around.real_time,
            memories=around.memories,
            events=events,
            handoffs=Handoffs(store, deployments, audit, finders),
            audit=audit,
            erasure=erasure,
            exports=Exports(store, clock, random, keyring, deployments, conversations, audit, finders),
            finders=finders,
            redaction_rules=rules,
            calls=calls,
            audio_cache=cache_of_speech,
            turn_audio=turn_audio,
            sessions=Sessions(store, clock, keys),
            statistics=statistics,
            knowledge=Knowledge(deployments),
            views=views,
            outlines=outlines,
            operations=Operations(
                store, clock, deployments, lambda: _readiness(deployments, functions, model), numbers.expose
            ),
            admission=admission,
            telemetry=telemetry,
            rates=Rates(settings.key_rate),
            hand_redaction=HandRedaction(store, clock, deployments, audit, reviews),
        )
        services.admission.start()
        for folder in folders:
            served = await deployments.serve(folder)
            try:
                await functions.prepare(served.deployment.tree)
            except FunctionsUnavailable as error:  # its functions will fail; the rest of it, and other agents, work
                log.error("the functions of %s cannot run: %s", served.agent_id, error.message)
        await calls.recover()
        await statistics.begin_catching_up()
        work.start()
        try:
            yield Running(
                settings=settings,
                services=services,
                store=store,
                functions=functions,
                model=model,
                work=work,
                engines=loaded,
                api_key=api_key,
            )
        finally:
            await services.admission.stop()
            await calls.close()
            await cache_of_speech.close()
            await loaded.close()
            await work.stop()
            await keys.close()
            await functions.close()
            await outbound.close()
            await asyncio.to_thread(telemetry.close)
            await classifier.close()
            for sender in set(senders.values()):
                await sender.close()
    finally:
        await news.end()
        await claims.end()
        await model.close()
        await store.close()


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


def make_telemetry(settings: Settings, mark: Callable[[str], str]) -> list[Telemetry]:
    """OpenTelemetry, where the variables that its own tools read name a place to send to."""
    if not settings.telemetry:
        return []
    try:
        from vivavoce.telemetry import otel  # noqa: PLC0415  # an extra

        tracing, metering = otel.by_environment()
    except ImportError:
        raise UsageError(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry is not installed: pip install 'vivavoce[telemetry]'."
        ) from None
    provider = settings.model.partition(":")[0]
    return [
        otel.OtelTelemetry(tracing, metering, provider="vivavoce.local" if provider == "local" else provider, mark=mark)
    ]


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


def make_keyring(settings: Settings, *, in_memory: bool = False) -> Keyring:
    from vivavoce.store.sealing import Keyring  # noqa: PLC0415  # cryptography is loaded with the store, not with --help

    if in_memory:
        return Keyring(os.urandom(32))
    return Keyring(settings.seal_key or _seal_key(settings.data))


def is_postgres(url: str) -> bool:
    return url.startswith(("postgresql://", "postgres://"))


def make_store(settings: Settings, keyring: Keyring) -> Store:
    url = settings.database
    if url.startswith("sqlite:///"):
        from vivavoce.store.sqlite.store import SqliteStore  # noqa: PLC0415  # one adapter is loaded, not all

        return SqliteStore(Path(url.removeprefix("sqlite:///")), keyring)
    if is_postgres(url):
        from vivavoce.store.postgres.store import PostgresStore  # noqa: PLC0415

        return PostgresStore(url, keyring)
    raise UsageError(f"VIVAVOCE_DATABASE is {url.split('@')[-1]!r}; it takes sqlite:///PATH or postgresql://HOST/NAME.")


def _memory() -> Store:
    from vivavoce.store.memory import MemoryStore  # noqa: PLC0415

    return MemoryStore()


def make_recordings(settings: Settings, *, in_memory: bool = False) -> Recordings:
    if in_memory:
        from vivavoce.recordings.memory import MemoryRecordings  # noqa: PLC0415

        return MemoryRecordings()
    from vivavoce.recordings.objects import ObjectRecordings  # noqa: PLC0415

    return ObjectRecordings(settings.recordings)


def _spool(settings: Settings, *, in_memory: bool) -> Path:
    """Where calls are recorded while they go on."""
    return Path(tempfile.mkdtemp(prefix="vivavoce-")) if in_memory else settings.data / "spool"


def make_classifier(settings: Settings) -> Classifier:
    """The provider's moderation, with the patterns behind it when it is away; or the patterns alone."""
    from vivavoce.safety.lexical import LexicalClassifier  # noqa: PLC0415

    has_moderation = bool(settings.openai_api_key) and "api.openai.com" in settings.openai_base_url
    if settings.safety == "lexical" or (settings.safety == "auto" and not has_moderation):
        return LexicalClassifier()
    if not settings.openai_api_key:
        raise UsageError("VIVAVOCE_SAFETY is openai, which needs OPENAI_API_KEY.")
    from vivavoce.safety.fallback import Fallback  # noqa: PLC0415
    from vivavoce.safety.moderation import ModerationClassifier  # noqa: PLC0415

    return Fallback(
        ModerationClassifier(key=settings.openai_api_key, base_url=settings.openai_base_url), LexicalClassifier()
    )


def make_senders(settings: Settings) -> dict[str, Sender]:
    """Who sends each kind of message: the provider that is configured for it, else the log."""
    from vivavoce.messages.log import LogSender  # noqa: PLC0415

    senders: dict[str, Sender] = dict.fromkeys(SENT_KINDS, LogSender())
    if settings.twilio_account_sid and settings.twilio_auth_token:
        from vivavoce.messages.twilio import TwilioSender  # noqa: PLC0415

        twilio = TwilioSender(
            account_sid=settings.twilio_account_sid,
            auth_token=settings.twilio_auth_token,
            base_url=settings.twilio_base_url,
        )
        senders.update(dict.fromkeys(("sms", "whatsapp", "content_template"), twilio))
    if settings.smtp:
        from vivavoce.messages.smtp import SmtpSender  # noqa: PLC0415

        senders["email"] = SmtpSender(settings.smtp, sender=settings.email_from)
    return senders


def make_model(settings: Settings) -> Model:
    """The model that VIVAVOCE_MODEL names, with its fallbacks behind it."""
    from vivavoce.models.fallback import Fallback  # noqa: PLC0415

    first = _model(settings, settings.model)
    rest = tuple(_model(settings, name) for name in settings.fallback_models)
    return Fallback((first, *rest)) if rest else first


def _model(settings: Settings, name: str) -> Model:
    kind, _, rest = name.partition(":")
    match kind:
        case "local":
            from vivavoce.models.local.model import LocalModel  # noqa: PLC0415

            return LocalModel(_embedder())
        case "scripted" if rest:
            from vivavoce.models.scripted import ScriptedModel  # noqa: PLC0415

            return ScriptedModel.from_file(Path(rest))
        case "openai" if rest:
            if not settings.openai_api_key and "api.openai.com" in settings.openai_base_url:
                raise UsageError(f"{name} needs OPENAI_API_KEY, or OPENAI_BASE_URL for a server of your own.")
            from vivavoce.models.openai import OpenAIModel  # noqa: PLC0415
            from vivavoce.models.retrying import Retrying  # noqa: PLC0415

            return Retrying(
                OpenAIModel(
                    rest,
                    key=settings.openai_api_key,
                    base_url=settings.openai_base_url,
                    timeout=settings.model_timeout_seconds,
                )
            )
        case "anthropic" if rest:
            if not settings.anthropic_api_key:
                raise UsageError(f"{name} needs ANTHROPIC_API_KEY.")
            from vivavoce.models.anthropic import AnthropicModel  # noqa: PLC0415
            from vivavoce.models.retrying import Retrying  # noqa: PLC0415

            return Retrying(
                AnthropicModel(
                    rest,
                    key=settings.anthropic_api_key,
                    base_url=settings.anthropic_base_url,
                    timeout=settings.model_timeout_seconds,
                )
            )
        case _ if rest:
            from vivavoce.models.provider import ProviderModel  # noqa: PLC0415
            from vivavoce.models.retrying import Retrying  # noqa: PLC0415

            return Retrying(ProviderModel(name, timeout=settings.model_timeout_seconds))
        case _:
            raise UsageError(
                f"There is no model {name!r}; name local, scripted:FILE or PROVIDER:MODEL, such as openai:gpt-4.1."
            )


def make_index(kind: str, cache: Path | None, agent: Agent) -> tuple[Retriever, PassageRetriever]:
    """What searches an agent's topics, and what searches its sources; `cache` keeps their vectors."""
    from vivavoce.knowledge.hybrid import Hybrid  # noqa: PLC0415  # numpy is loaded with the first agent, not with the command
    from vivavoce.knowledge.indexing import KeptVectors  # noqa: PLC0415
    from vivavoce.knowledge.lexical import Lexical  # noqa: PLC0415
    from vivavoce.knowledge.passages import PassageIndex  # noqa: PLC0415

    topics = tuple(agent.topics.values())
    embedder = _embedder() if kind != "lexical" else None
    if embedder is None and kind == "hybrid":
        raise UsageError(
            "VIVAVOCE_RETRIEVAL is hybrid, but the embedding model is not installed: pip install 'vivavoce[embeddings]'."
        )
    if embedder is None:
        return Lexical(topics), PassageIndex(agent.passages)
    index = KeptVectors(embedder, cache / "vectors.db") if cache is not None else embedder
    return Hybrid(topics, embedder, index), PassageIndex(agent.passages, embedder, index)


def _embedder() -> Any:
    """The packaged embedding model, when its extra is installed."""
    from vivavoce.knowledge.embedded import packaged  # noqa: PLC0415

    return packaged()


def _bootstrap_key(data: Path, *, in_memory: bool) -> str:
    """The operator's key."""
    if in_memory:
        return "vv_" + secrets.token_urlsafe(32)
    return _kept_secret(data / "api-key", lambda: "vv_" + secrets.token_urlsafe(32))


def _seal_key(data: Path) -> bytes:
    """The key under which the conversations' own keys are kept: without this file the record cannot be read."""
    text = _kept_secret(data / "seal-key", lambda: secrets.token_hex(32))
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise UsageError(f"{data / 'seal-key'} does not hold a key; put the one that belongs there back.") from None


def _kept_secret(path: Path, make: Callable[[], str]) -> str:
    """Made on the first start, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.is_file() and (text := path.read_text("utf-8").strip()):
        return text
    text = make()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)  # a key that a power cut takes away takes the record with it
    os.close(folder)
    return text


def _readiness(deployments: Deployments, functions: Host, model: Model) -> dict[str, Any]:
    guards = functions.guards or Guards()
    return {
        "status": "ready",
        "model": model.name,
        "agents": [
            {
                "agentId": served.agent_id,
                "accountId": served.account_id,
                "tree": served.deployment.tree[:12],
                "refusedChange": deployments.refused.get(served.agent_id),
            }
            for served in deployments.served
        ],
        "guards": {name: getattr(guards, name) for name in Guards.__struct_fields__},
        "warmWorkers": functions.warm,
    }
