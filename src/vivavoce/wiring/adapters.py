"""One adapter for each thing that the settings name. Only what is asked for is imported."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vivavoce.domain.agent import Agent
from vivavoce.domain.conversation import SENT_KINDS
from vivavoce.errors import UsageError
from vivavoce.knowledge.interface import PassageRetriever, Retriever
from vivavoce.messages.interface import Sender
from vivavoce.models.interface import Model
from vivavoce.recordings.interface import Recordings
from vivavoce.safety.interface import Classifier
from vivavoce.settings import Settings
from vivavoce.store.interface import Store
from vivavoce.telemetry.interface import Telemetry

if TYPE_CHECKING:
    from vivavoce.store.sealing import Keyring


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


def make_memory_store() -> Store:
    from vivavoce.store.memory import MemoryStore  # noqa: PLC0415

    return MemoryStore()


def make_recordings(settings: Settings, *, in_memory: bool = False) -> Recordings:
    if in_memory:
        from vivavoce.recordings.memory import MemoryRecordings  # noqa: PLC0415

        return MemoryRecordings()
    from vivavoce.recordings.objects import ObjectRecordings  # noqa: PLC0415

    return ObjectRecordings(settings.recordings)


def make_spool(settings: Settings, *, in_memory: bool) -> Path:
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

            return LocalModel(make_embedder())
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
    embedder = make_embedder() if kind != "lexical" else None
    if embedder is None and kind == "hybrid":
        raise UsageError(
            "VIVAVOCE_RETRIEVAL is hybrid, but the embedding model is not installed: pip install 'vivavoce[embeddings]'."
        )
    if embedder is None:
        return Lexical(topics), PassageIndex(agent.passages)
    index = KeptVectors(embedder, cache / "vectors.db") if cache is not None else embedder
    return Hybrid(topics, embedder, index), PassageIndex(agent.passages, embedder, index)


def make_embedder() -> Any:
    """The packaged embedding model, when its extra is installed."""
    from vivavoce.knowledge.embedded import packaged  # noqa: PLC0415

    return packaged()


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
