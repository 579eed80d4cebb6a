"""The query of a request, read by what is declared of it. A bad parameter is named, with what would do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, KeysView, Sequence
from typing import Any, Literal, Protocol

from msgspec import Struct

from vivavoce.errors import Invalid
from vivavoce.wire import times

MAX_INTEGER = 2**63 - 1
_MAX_VALUES = 100  # of one list
IGNORED = frozenset(("include_turn_metadata", "include_context_state"))  # that older clients of version 3 still send


class Query(Struct, frozen=True, kw_only=True):
    """A parameter of the query. A `list` may be given again and again; its values are alternatives."""

    name: str
    type: Literal["integer", "string", "boolean", "time", "list"]
    default: Any = None
    minimum: int | None = None
    maximum: int | None = None
    choices: tuple[str, ...] = ()
    may_be_empty: bool = True
    is_required: bool = False
    description: str = ""


class Given(Protocol):
    """A query string, taken apart."""

    def getlist(self, key: Any, /) -> list[str]: ...

    def keys(self) -> KeysView[str]: ...


def read(
    queries: Sequence[Query], given: Given, error: type[Invalid] = Invalid, *, is_strict: bool = True
) -> dict[str, Any]:
    """name -> value, for every parameter that is declared. `is_strict` refuses names that are not."""
    found: dict[str, Any] = {}
    if queries and is_strict:
        _check_names(queries, given.keys(), error)
    for query in queries:
        values = given.getlist(query.name)
        if query.type == "list":
            found[query.name] = _list(query, values, error)
        elif query.is_required and not values:
            raise error(f"{query.name} is missing; it is needed.")
        elif len(values) > 1:
            raise error(f"{query.name} is given {len(values)} times; once is enough.")
        else:
            found[query.name] = _one(query, values[0], error) if values else query.default
    return found


def _check_names(queries: Sequence[Query], given: Iterable[str], error: type[Invalid]) -> None:
    """A misspelled filter that is passed over would hand over everything."""
    known = [query.name for query in queries]
    for name in given:
        if name in known or name in IGNORED:
            continue
        spoken = {known_name.replace("_", "").lower(): known_name for known_name in known}
        near = difflib.get_close_matches(name.replace("_", "").lower(), spoken, n=1)
        hint = f"did you mean {spoken[near[0]]}?" if near else f"there are {', '.join(known)}."
        raise error(f"There is no parameter {name[:40]!r} here; {hint}")


def _list(query: Query, values: list[str], error: type[Invalid]) -> tuple[str, ...]:
    if len(values) > _MAX_VALUES:
        raise error(f"{query.name} is given {len(values)} times; at most {_MAX_VALUES} are taken.")
    for value in values:
        _check_text(query, value, error)
        if not value:
            raise error(f"{query.name} is empty; leave it out, or name what to look for.")
    return tuple(values)


def _one(query: Query, text: str, error: type[Invalid]) -> Any:
    match query.type:
        case "integer":
            return _integer(query, text, error)
        case "boolean":
            if text.lower() not in ("true", "false"):
                raise error(f"{query.name} should be true or false, not {text[:40]!r}.")
            return text.lower() == "true"
        case "time":
            try:
                return times.parse(text)
            except ValueError:
                raise error(f"{query.name} should be a time such as 2026-01-31T09:30:00Z, not {text[:40]!r}.") from None
        case _:
            _check_text(query, text, error)
            return text


def _check_text(query: Query, text: str, error: type[Invalid]) -> None:
    if query.choices and text not in query.choices:
        raise error(f"{query.name} should be one of {', '.join(query.choices)}, not {text[:40]!r}.")
    if not text and not query.may_be_empty:
        raise error(f"{query.name} is empty; say what it should be.")
    if "\0" in text:
        raise error(f"{query.name} holds a NUL character, which no text may.")


def _integer(query: Query, text: str, error: type[Invalid]) -> int:
    # int() also takes "1_000" and digits of other scripts, which nobody means.
    value = (
        int(text) if text.removeprefix("-").isascii() and text.removeprefix("-").isdigit() and len(text) < 20 else None
    )
    low, high = query.minimum, query.maximum
    if (
        value is not None
        and (low is None or value >= low)
        and (value <= high if high is not None else value <= MAX_INTEGER)
    ):
        return value
    bounds = f"of at least {low}" if high is None else f"from {low} to {high:,}"
    raise error(f"{query.name} should be a whole number {bounds}, not {text[:40]!r}.")
