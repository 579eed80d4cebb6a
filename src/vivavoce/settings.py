"""Process configuration as one frozen value; the only reader of the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from vivavoce.errors import UsageError

APOLOGY = "I'm sorry, I'm having trouble right now. Could you say that again?"


class Settings(Struct, frozen=True, kw_only=True):
    data: Path
    database: str
    recordings: str
    model: str
    api_key: str | None = None
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
    workers: int = 64  # warm author workers kept at most
    idle_seconds: float = 600.0
    max_turns: int = 200
    log_level: str = "info"


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
        openai_api_key=env.get("OPENAI_API_KEY") or None,
        openai_base_url=(env.get("OPENAI_BASE_URL") or "https://api.openai.com/v1").rstrip("/"),
        anthropic_api_key=env.get("ANTHROPIC_API_KEY") or None,
        anthropic_base_url=(env.get("ANTHROPIC_BASE_URL") or "https://api.anthropic.com").rstrip("/"),
        retrieval=_one_of(env, "VIVAVOCE_RETRIEVAL", ("auto", "lexical", "hybrid")),
        fallback_models=tuple(m.strip() for m in env.get("VIVAVOCE_FALLBACK_MODELS", "").split(",") if m.strip()),
        apology=env.get("VIVAVOCE_APOLOGY") or APOLOGY,
        model_timeout_seconds=_number(env, "VIVAVOCE_MODEL_TIMEOUT_SECONDS", 30.0),
        function_timeout_seconds=_number(env, "VIVAVOCE_FUNCTION_TIMEOUT_SECONDS", 10.0),
        function_memory_bytes=int(_number(env, "VIVAVOCE_FUNCTION_MEMORY_MB", 1024) * (1 << 20)),
        workers=int(_number(env, "VIVAVOCE_WORKERS", 64)),
        idle_seconds=_number(env, "VIVAVOCE_IDLE_SECONDS", 600.0),
        max_turns=int(_number(env, "VIVAVOCE_MAX_TURNS", 200)),
        log_level=env.get("VIVAVOCE_LOG_LEVEL") or "info",
    )


def _default_model(env: Mapping[str, str]) -> str:
    """`local` unless a provider's key says otherwise: a key in the environment is a wish to use it."""
    if env.get("OPENAI_API_KEY"):
        return "openai:gpt-4.1"
    if env.get("ANTHROPIC_API_KEY"):
        return "anthropic:claude-sonnet-4-5"
    return "local"


def _one_of(env: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    """The first choice is the default."""
    text = env.get(name) or choices[0]
    if text not in choices:
        raise UsageError(f"{name} must be one of {', '.join(choices)}, not {text!r}.")
    return text


def _number(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if value <= 0:
        raise UsageError(f"{name} must be a number above zero, not {text!r}.")
    return value
