"""How a server logs: a line a thing, as text or as JSON, with the id of the request that it is about."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from vivavoce.domain import correlation
from vivavoce.settings import Settings

# They log more than anybody wants, or what clients sent.
_QUIET = {
    "watchfiles": logging.WARNING,
    "faster_whisper": logging.WARNING,
    "opentelemetry": logging.ERROR,
    "python_multipart": logging.CRITICAL,
}


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        id_ = correlation.current.get().id
        return f"{text} [{id_}]" if id_ else text


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "correlation_id": correlation.current.get().id or None,
            "error": type(record.exc_info[1]).__name__ if record.exc_info and record.exc_info[1] else None,
            "trace": self.formatException(record.exc_info) if record.exc_info else None,
        }
        return json.dumps({name: value for name, value in told.items() if value is not None})


def configure(settings: Settings) -> None:
    handler = logging.StreamHandler(sys.stderr)
    is_json = settings.log_format == "json"
    handler.setFormatter(_Json() if is_json else _Text("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    for name, level in _QUIET.items():
        logging.getLogger(name).setLevel(level)
