"""Process configuration as one frozen value; the only reader of the environment."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from msgspec import Struct

from vivavoce.errors import UsageError

APOLOGY = "I'm sorry, I'm having trouble right now. Could you say that again?"
SAFETY_REPLY = "I'm sorry, I can't help with that. Is there something else I can do for you?"


class Settings(Struct, frozen=True, kw_only=True):
    data: Path
    database: str
    recordings: str
    model: str
    api_key: str | None = None
    seal_key: bytes | None = None  # 32 bytes; None: kept in the data folder
    openai_api_key: str | None = None
    openai_base_url: str = "https://api.openai.com/v1"
    anthropic_api_key: str | None = None
    anthropic_base_url: str = "https://api.anthropic.com"
    retrieval: str = "auto"  # lexical, hybrid, or auto: hybrid where the embedding model is installed
    fallback_models: tuple[str, ...] = ()
    apology: str = APOLOGY
    model_timeout_seconds: float = 30.0
    function_timeout_seconds: float = 10.0
    function_memory_bytes: int = 1 << 30
    function_network: bool = True
    function_closed_ports: tuple[int, ...] = ()
    bubblewrap: bool = False
    workers: int = 64  # warm author workers kept at most
    idle_seconds: float = 600.0
    max_turns: int = 200
    secrets_file: Path | None = None
    secrets: dict[str, str] = {}  # name -> text, from VIVAVOCE_SECRET_NAME
    private_hosts: tuple[str, ...] = ()  # that conv.api may call
    api_timeout_seconds: float = 10.0
    time_zone: str = "UTC"
    twilio_account_sid: str | None = None
    twilio_auth_token: str | None = None
    twilio_base_url: str = "https://api.twilio.com"
    review: str = "auto"  # rules, model, or auto: the model where it is a language model
    safety: str = "auto"  # lexical, openai, or auto: the provider's moderation where OpenAI itself is configured
    safety_reply: str = SAFETY_REPLY
    calls: int = 100  # at once
    record_calls: bool = True
    recognizers: tuple[str, ...] = ()  # in order; () is what has a key, then the embedded one
    synthesizers: tuple[str, ...] = ()
    deepgram_api_key: str | None = None
    deepgram_url: str = "wss://api.deepgram.com"
    elevenlabs_api_key: str | None = None
    elevenlabs_url: str = "https://api.elevenlabs.io"
    cartesia_api_key: str | None = None
    cartesia_url: str = "https://api.cartesia.ai"
    public_url: str | None = None  # under which telephone providers reach this server
    telnyx_api_key: str | None = None
    telnyx_public_key: str | None = None
    telnyx_url: str = "https://api.telnyx.com"
    plivo_auth_id: str | None = None
    plivo_auth_token: str | None = None
    plivo_url: str = "https://api.plivo.com"
    audiosocket: str | None = None  # HOST:PORT to listen on
    audiosocket_agent: str | None = None  # AGENT/ENVIRONMENT that unknown calls reach
    smtp: str | None = None
    email_from: str = ""
    requests: int = 1000  # in work at once
    key_rate: float = 200.0  # requests a second of one key; 0 is no limit
    lease_seconds: float = 15.0  # for which a process that says nothing is taken to live
    drain_seconds: float = 30.0  # for which a server that stops waits for its calls
    drain_notice_seconds: float = 0.0  # for which it still serves, so that who sends it work hears that it stops
    telemetry: bool = False  # OpenTelemetry, to where the variables say that its own tools read
    log_level: str = "info"
    log_format: str = "text"  # or json: one object a line


def default_data(environ: Mapping[str, str]) -> Path:
    home = environ.get("XDG_DATA_HOME") or str(Path(environ.get("HOME") or "~").expanduser() / ".local/share")
    return Path(home) / "vivavoce"


def load(
    *,
    environ: Mapping[str, str] | None = None,
    data: str | Path | None = None,
    database: str | None = None,
    recordings: str | None = None,
    model: str | None = None,
) -> Settings:
    """Reads the environment once; a keyword (a command-line flag) wins over its variable."""
    env = os.environ if environ is None else environ
    folder = Path(data or env.get("VIVAVOCE_DATA") or default_data(env)).expanduser().absolute()
    chosen = model or env.get("VIVAVOCE_MODEL") or _default_model(env)
    return Settings(
        data=folder,
        database=database or env.get("VIVAVOCE_DATABASE") or f"sqlite:///{folder / 'vivavoce.db'}",
        recordings=recordings or env.get("VIVAVOCE_RECORDINGS") or f"file://{folder / 'recordings'}",
        model=chosen,
        api_key=env.get("VIVAVOCE_API_KEY") or None,
        seal_key=_seal_key(env),
        openai_api_key=env.get("OPENAI_API_KEY") or None,
        openai_base_url=(env.get("OPENAI_BASE_URL") or "https://api.openai.com/v1").rstrip("/"),
        anthropic_api_key=env.get("ANTHROPIC_API_KEY") or None,
        anthropic_base_url=(env.get("ANTHROPIC_BASE_URL") or "https://api.anthropic.com").rstrip("/"),
        retrieval=_one_of(env, "VIVAVOCE_RETRIEVAL", ("auto", "lexical", "hybrid")),
        fallback_models=_list(env, "VIVAVOCE_FALLBACK_MODELS"),
        apology=env.get("VIVAVOCE_APOLOGY") or APOLOGY,
        model_timeout_seconds=_number(env, "VIVAVOCE_MODEL_TIMEOUT_SECONDS", 30.0),
        function_timeout_seconds=_number(env, "VIVAVOCE_FUNCTION_TIMEOUT_SECONDS", 10.0),
        function_memory_bytes=int(_number(env, "VIVAVOCE_FUNCTION_MEMORY_MB", 1024) * (1 << 20)),
        function_network=_one_of(env, "VIVAVOCE_FUNCTION_NETWORK", ("yes", "no")) == "yes",
        function_closed_ports=_ports(env, database or env.get("VIVAVOCE_DATABASE") or ""),
        bubblewrap=_one_of(env, "VIVAVOCE_BUBBLEWRAP", ("no", "yes")) == "yes",
        workers=int(_number(env, "VIVAVOCE_WORKERS", 64)),
        idle_seconds=_number(env, "VIVAVOCE_IDLE_SECONDS", 600.0),
        max_turns=int(_number(env, "VIVAVOCE_MAX_TURNS", 200)),
        secrets_file=Path(env["VIVAVOCE_SECRETS"]).expanduser() if env.get("VIVAVOCE_SECRETS") else None,
        secrets=_secrets(env),
        private_hosts=_list(env, "VIVAVOCE_PRIVATE_HOSTS"),
        api_timeout_seconds=_number(env, "VIVAVOCE_API_TIMEOUT_SECONDS", 10.0),
        time_zone=_time_zone(env),
        twilio_account_sid=env.get("TWILIO_ACCOUNT_SID") or None,
        twilio_auth_token=env.get("TWILIO_AUTH_TOKEN") or None,
        twilio_base_url=env.get("VIVAVOCE_TWILIO_URL") or "https://api.twilio.com",
        review=_one_of(env, "VIVAVOCE_REVIEW", ("auto", "rules", "model")),
        safety=_one_of(env, "VIVAVOCE_SAFETY", ("auto", "lexical", "openai")),
        safety_reply=env.get("VIVAVOCE_SAFETY_REPLY") or SAFETY_REPLY,
        calls=int(_number(env, "VIVAVOCE_CALLS", 100)),
        record_calls=_one_of(env, "VIVAVOCE_RECORD_CALLS", ("yes", "no")) == "yes",
        recognizers=_list(env, "VIVAVOCE_RECOGNIZERS"),
        synthesizers=_list(env, "VIVAVOCE_SYNTHESIZERS"),
        deepgram_api_key=env.get("DEEPGRAM_API_KEY") or None,
        deepgram_url=(env.get("VIVAVOCE_DEEPGRAM_URL") or "wss://api.deepgram.com").rstrip("/"),
        elevenlabs_api_key=env.get("ELEVENLABS_API_KEY") or None,
        elevenlabs_url=(env.get("VIVAVOCE_ELEVENLABS_URL") or "https://api.elevenlabs.io").rstrip("/"),
        cartesia_api_key=env.get("CARTESIA_API_KEY") or None,
        cartesia_url=(env.get("VIVAVOCE_CARTESIA_URL") or "https://api.cartesia.ai").rstrip("/"),
        public_url=(env.get("VIVAVOCE_PUBLIC_URL") or "").rstrip("/") or None,
        telnyx_api_key=env.get("TELNYX_API_KEY") or None,
        telnyx_public_key=env.get("TELNYX_PUBLIC_KEY") or None,
        telnyx_url=(env.get("VIVAVOCE_TELNYX_URL") or "https://api.telnyx.com").rstrip("/"),
        plivo_auth_id=env.get("PLIVO_AUTH_ID") or None,
        plivo_auth_token=env.get("PLIVO_AUTH_TOKEN") or None,
        plivo_url=(env.get("VIVAVOCE_PLIVO_URL") or "https://api.plivo.com").rstrip("/"),
        audiosocket=env.get("VIVAVOCE_AUDIOSOCKET") or None,
        audiosocket_agent=env.get("VIVAVOCE_AUDIOSOCKET_AGENT") or None,
        smtp=env.get("VIVAVOCE_SMTP") or None,
        email_from=env.get("VIVAVOCE_EMAIL_FROM") or "",
        requests=int(_number(env, "VIVAVOCE_REQUESTS", 1000)),
        key_rate=_number(env, "VIVAVOCE_KEY_RATE", 200.0, least=0.0),
        lease_seconds=_number(env, "VIVAVOCE_LEASE_SECONDS", 15.0),
        drain_seconds=_number(env, "VIVAVOCE_DRAIN_SECONDS", 30.0),
        drain_notice_seconds=_number(env, "VIVAVOCE_DRAIN_NOTICE_SECONDS", 0.0, least=0.0),
        telemetry=any(env.get(f"OTEL_EXPORTER_OTLP_{kind}ENDPOINT") for kind in ("", "TRACES_", "METRICS_"))
        and env.get("OTEL_SDK_DISABLED", "").lower() != "true",
        log_level=env.get("VIVAVOCE_LOG_LEVEL") or "info",
        log_format=_one_of(env, "VIVAVOCE_LOG_FORMAT", ("text", "json")),
    )


def _default_model(env: Mapping[str, str]) -> str:
    """`local` unless a provider's key says otherwise: a key in the environment is a wish to use it."""
    if env.get("OPENAI_API_KEY"):
        return "openai:gpt-4.1"
    if env.get("ANTHROPIC_API_KEY"):
        return "anthropic:claude-sonnet-4-5"
    return "local"


def _list(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in env.get(name, "").split(",") if item.strip())


def _ports(env: Mapping[str, str], database: str) -> tuple[int, ...]:
    """By default the store's own, where it has one."""
    name = "VIVAVOCE_FUNCTION_CLOSED_PORTS"
    if name not in env:
        is_server = database.startswith(("postgresql://", "postgres://"))
        return (urlsplit(database).port or 5432,) if is_server else ()
    try:
        found = tuple(int(port) for port in _list(env, name))
    except ValueError:
        found = (-1,)
    if any(not 0 <= port < 1 << 16 for port in found):
        raise UsageError(f"{name} must be numbers of ports, separated by commas.")
    return found


def _secrets(env: Mapping[str, str]) -> dict[str, str]:
    """VIVAVOCE_SECRET_CRM_TOKEN is the secret `crm_token`, and `CRM_TOKEN` too: names of variables have no small letters."""
    found = {}
    for variable, text in env.items():
        if variable.startswith("VIVAVOCE_SECRET_") and text:
            name = variable.removeprefix("VIVAVOCE_SECRET_")
            found[name] = found[name.lower()] = text
    return found


def _seal_key(env: Mapping[str, str]) -> bytes | None:
    text = env.get("VIVAVOCE_SEAL_KEY")
    if not text:
        return None
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise UsageError("VIVAVOCE_SEAL_KEY must be 64 hexadecimal digits, as in the file seal-key.")
    return key


def _time_zone(env: Mapping[str, str]) -> str:
    name = env.get("VIVAVOCE_TIME_ZONE") or "UTC"
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise UsageError(f"VIVAVOCE_TIME_ZONE is {name!r}; it should be a name such as Europe/London.") from None
    return name


def _one_of(env: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    """The first choice is the default."""
    text = env.get(name) or choices[0]
    if text not in choices:
        raise UsageError(f"{name} must be one of {', '.join(choices)}, not {text!r}.")
    return text


def _number(env: Mapping[str, str], name: str, default: float, *, least: float | None = None) -> float:
    """Above zero, or from `least` on."""
    text = env.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not math.isfinite(value) or (value <= 0 if least is None else value < least):
        wanted = "above zero" if least is None else f"of at least {least:g}"
        raise UsageError(f"{name} must be a number {wanted}, not {text!r}.")
    return value
