"""The conversation's own clock, put in place of the real one before any author module is imported.

`datetime.now()` and its kin are shifted by one offset; every value they make is an ordinary `datetime`, so pickles,
comparisons and libraries notice nothing.
"""

from __future__ import annotations

import copyreg
import datetime as _datetime
import time as _time
from typing import Any

_real_datetime = _datetime.datetime
_real_date = _datetime.date
_real_time = _time.time
_real_time_ns = _time.time_ns
_real_localtime = _time.localtime
_real_gmtime = _time.gmtime
_real_strftime = _time.strftime
_real_ctime = _time.ctime

_offset = 0.0  # seconds that the conversation's clock is ahead of the real one


def set_now(now: float | None) -> None:
    """`now` is POSIX seconds; None returns to real time."""
    global _offset
    _offset = 0.0 if now is None else now - _real_time()


def now() -> float:
    return _real_time() + _offset


def aware_now() -> _datetime.datetime:
    return _real_datetime.fromtimestamp(now(), _datetime.UTC)


class _Impersonates(type):
    """isinstance and issubclass answer for the real class; an author's own subclass is judged as usual."""

    def __instancecheck__(cls, instance: object) -> bool:
        real = cls.__dict__.get("real")
        return isinstance(instance, real) if real else type.__instancecheck__(cls, instance)

    def __subclasscheck__(cls, subclass: type) -> bool:
        real = cls.__dict__.get("real")
        return issubclass(subclass, real) if real else type.__subclasscheck__(cls, subclass)


class datetime(_real_datetime, metaclass=_Impersonates):  # noqa: N801  # takes the place of datetime.datetime
    real = _real_datetime

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return _real_datetime.__new__(_real_datetime if cls is datetime else cls, *args, **kwargs)

    @classmethod
    def now(cls, tz: _datetime.tzinfo | None = None) -> Any:
        return _real_datetime.fromtimestamp(now(), tz)

    @classmethod
    def utcnow(cls) -> Any:
        return _real_datetime.fromtimestamp(now(), _datetime.UTC).replace(tzinfo=None)

    @classmethod
    def today(cls) -> Any:
        return _real_datetime.fromtimestamp(now())


class date(_real_date, metaclass=_Impersonates):  # noqa: N801  # takes the place of datetime.date
    real = _real_date

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return _real_date.__new__(_real_date if cls is date else cls, *args, **kwargs)

    @classmethod
    def today(cls) -> Any:
        return _real_date.fromtimestamp(now())


def make_datetime(*state: Any) -> Any:
    """Named in pickles: brings a real datetime back whatever stands in its place."""
    return _real_datetime(*state)


def make_date(*state: Any) -> Any:
    return _real_date(*state)


def install() -> None:
    copyreg.pickle(_real_datetime, lambda value: (make_datetime, value.__reduce_ex__(2)[1]))  # type: ignore[arg-type,return-value]
    copyreg.pickle(_real_date, lambda value: (make_date, value.__reduce_ex__(2)[1]))  # type: ignore[arg-type,return-value]
    datetime.min, datetime.max = _real_datetime.min, _real_datetime.max
    date.min, date.max = _real_date.min, _real_date.max
    _datetime.datetime = datetime  # type: ignore[misc]
    _datetime.date = date  # type: ignore[misc]
    _time.time = now
    _time.time_ns = lambda: int(now() * 1e9)
    _time.localtime = lambda seconds=None: _real_localtime(now() if seconds is None else seconds)
    _time.gmtime = lambda seconds=None: _real_gmtime(now() if seconds is None else seconds)
    _time.ctime = lambda seconds=None: _real_ctime(now() if seconds is None else seconds)
    _time.strftime = lambda form, *t: _real_strftime(form, *(t or (_real_localtime(now()),)))
