"""An operation of the API, defined once and called in two ways: blocking from a Client, awaited from an AsyncClient.

A resource is a class of operations. Each is a method that only says what is sent; what answers is in its decorator.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from datetime import datetime
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from vivavoce.client.errors import AnswerInvalid

P = ParamSpec("P")
T = TypeVar("T")


class Given(Struct, frozen=True):
    """What the caller of an operation gave: values for the path in their order, the query, the body."""

    path: tuple[str, ...] = ()
    query: Mapping[str, Any] = {}
    body: Any = None
    headers: Mapping[str, str] = {}


class Request(Struct, frozen=True, kw_only=True):
    """One HTTP request, ready to be sent."""

    method: str
    target: str  # path and query
    headers: dict[str, str]
    body: bytes | None
    is_repeatable: bool  # sent twice, it does no more than sent once
    takes_key: bool  # an Idempotency-Key makes it repeatable


class Blocking(Protocol):
    """Sends requests, and waits."""

    def send(self, request: Request, read: Callable[[bytes], T]) -> T: ...

    def stream(self, request: Request, read: Callable[[bytes], T] | None) -> Iterator[Any]: ...


class Awaiting(Protocol):
    """Sends requests on an event loop."""

    async def send(self, request: Request, read: Callable[[bytes], T]) -> T: ...

    def stream(self, request: Request, read: Callable[[bytes], T] | None) -> AsyncIterator[Any]: ...


X = TypeVar("X")  # Blocking or Awaiting


class Group(Generic[X]):
    """The operations of one resource, bound to what sends them."""

    def __init__(self, transport: X) -> None:
        self._transport = transport


class _Described:
    """What operations and streams have in common: method, path, and how to make a request."""

    def __init__(
        self, method: str, path: str, make: Callable[..., Given], accept: str, *, takes_key: bool = False
    ) -> None:
        self.method, self.path, self.make, self.accept, self.takes_key = method, path, make, accept, takes_key
        self.__doc__ = make.__doc__

    def request(self, group: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Request:
        given = self.make(group, *arguments, **named)
        target = _filled(self.path, given.path)
        query = urlencode(list(_pairs(given.query)))
        has_body = given.body is not None
        body = given.body if isinstance(given.body, bytes) else msgspec.json.encode(given.body) if has_body else None
        headers = {"Accept": self.accept, **({"Content-Type": "application/json"} if has_body else {}), **given.headers}
        return Request(
            method=self.method,
            target=f"{target}?{query}" if query else target,
            headers=headers,
            body=body,
            is_repeatable=self.method in ("GET", "PUT", "DELETE"),
            takes_key=self.takes_key,
        )


class Operation(_Described, Generic[P, T]):
    """Answered whole."""

    def __init__(
        self, method: str, path: str, make: Callable[..., Given], accept: str, response: type[T], **options: bool
    ) -> None:
        super().__init__(method, path, make, accept, **options)
        self.response = response
        self._read = _reader(response)

    @overload
    def __get__(self, group: None, owner: type) -> Operation[P, T]: ...
    @overload
    def __get__(self, group: Group[Blocking], owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, group: Group[Awaiting], owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...

    def __get__(self, group: Any, owner: type) -> Any:
        if group is None:
            return self

        def call(*arguments: Any, **named: Any) -> Any:
            return group._transport.send(self.request(group, arguments, named), self._read)

        return functools.wraps(self.make)(call)


class Stream(_Described, Generic[P, T]):
    """Answered in pieces, which are handed on as they come: lines that are read, or bytes as they are."""

    def __init__(
        self, method: str, path: str, make: Callable[..., Given], accept: str, read: Callable[[bytes], T] | None
    ) -> None:
        super().__init__(method, path, make, accept)
        self._read = read

    @overload
    def __get__(self, group: None, owner: type) -> Stream[P, T]: ...
    @overload
    def __get__(self, group: Group[Blocking], owner: type) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, group: Group[Awaiting], owner: type) -> Callable[P, AsyncIterator[T]]: ...

    def __get__(self, group: Any, owner: type) -> Any:
        if group is None:
            return self

        def call(*arguments: Any, **named: Any) -> Any:
            return group._transport.stream(self.request(group, arguments, named), self._read)

        return functools.wraps(self.make)(call)


def operation(
    method: str, path: str, response: type[T], *, takes_key: bool = False, accept: str = "application/json"
) -> Callable[[Callable[Concatenate[Any, P], Given]], Operation[P, T]]:
    """`path` is that of the route table; `response` the shape of the answer, or bytes, or NoneType for none."""
    return lambda make: Operation(method, path, make, accept, response, takes_key=takes_key)


def lines(
    method: str, path: str, item: type[T], *, accept: str = "application/x-ndjson"
) -> Callable[[Callable[Concatenate[Any, P], Given]], Stream[P, T]]:
    """JSON lines, each of them one `item`."""
    read = _reader(item)
    return lambda make: Stream(method, path, make, accept, read)


def chunks(
    method: str, path: str, *, accept: str = "*/*"
) -> Callable[[Callable[Concatenate[Any, P], Given]], Stream[P, bytes]]:
    """Bytes as they arrive."""
    return lambda make: Stream(method, path, make, accept, None)


def _reader(shape: type[T]) -> Callable[[bytes], T]:
    if shape is bytes:
        return lambda body: body  # type: ignore[return-value]  # T is bytes here
    if shape is type(None):
        return lambda _: None
    decode = msgspec.json.Decoder(shape).decode

    def read(body: bytes) -> T:
        try:
            return decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise AnswerInvalid(f"The server's answer is not a {shape.__name__}: {error}.") from error

    return read


def _filled(path: str, values: tuple[str, ...]) -> str:
    parts, left = [], list(values)
    for part in path.split("/"):
        if part.startswith("{"):
            value = left.pop(0)
            if value in ("", ".", ".."):
                raise ValueError(f"{value!r} is no {part.strip('{}')}.")  # it would lead to another address
            part = quote(value, safe="")
        parts.append(part)
    return "/".join(parts)


def _pairs(query: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """None is left out; a list is the parameter again and again."""
    for name, value in query.items():
        for one in value if isinstance(value, (list, tuple, set, frozenset)) else (value,):
            if one is None:
                continue
            if isinstance(one, bool):
                yield name, "true" if one else "false"
            else:
                yield name, one.isoformat() if isinstance(one, datetime) else str(one)
