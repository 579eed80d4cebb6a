"""The `plog` module that agents import: structured logging into the call's record."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from vivavoce.functions.runtime.session import Running


class Logger:
    """`info("text", key=value)`; `bind` adds fields to a new logger, `tmp_bind` for a block or a function."""

    def __init__(self, fields: dict[str, Any] | None = None) -> None:
        self._fields = fields or {}

    def _log(self, level: str, message: object = "", *args: object, is_pii: bool = False, **fields: Any) -> None:
        text = str(message)
        if args:
            try:
                text = text % args
            except (TypeError, ValueError):
                text = " ".join([text, *map(str, args)])
        Running.effects.log("plog", level, text, is_pii=is_pii, **{**_bound, **self._fields, **fields})

    def debug(self, message: object = "", *args: object, **fields: Any) -> None:
        self._log("debug", message, *args, **fields)

    def info(self, message: object = "", *args: object, **fields: Any) -> None:
        self._log("info", message, *args, **fields)

    def warning(self, message: object = "", *args: object, **fields: Any) -> None:
        self._log("warning", message, *args, **fields)

    warn = warning

    def error(self, message: object = "", *args: object, **fields: Any) -> None:
        self._log("error", message, *args, **fields)

    def exception(self, message: object = "", *args: object, **fields: Any) -> None:
        self._log("error", message, *args, **fields)

    critical = error

    def bind(self, **fields: Any) -> Logger:
        return Logger({**self._fields, **fields})

    def tmp_bind(self, **fields: Any) -> TemporaryBinding:
        return TemporaryBinding(fields)


_bound: dict[str, Any] = {}


class TemporaryBinding:
    """Fields that every entry carries while the block or the decorated function runs."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields
        self._before: list[dict[str, Any]] = []

    def __enter__(self) -> TemporaryBinding:
        self._before.append(dict(_bound))
        _bound.update(self._fields)
        return self

    def __exit__(self, *error: object) -> None:
        before = self._before.pop()
        _bound.clear()
        _bound.update(before)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def bound(*args: Any, **kwargs: Any) -> Any:
            with TemporaryBinding(self._fields):
                return function(*args, **kwargs)

        return bound


_logger = Logger()
debug, info, warning, warn, error = _logger.debug, _logger.info, _logger.warning, _logger.warn, _logger.error
exception, critical, bind, tmp_bind = _logger.exception, _logger.critical, _logger.bind, _logger.tmp_bind


def get_logger(*args: object, **fields: Any) -> Logger:
    return Logger(fields)
