"""The small parts of the record: cursors, words, times, facets, seals."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.domain.record import Criteria, Order, Position
from vivavoce.domain.words import phrases, words
from vivavoce.redaction.redact import MOST_WORDS, Redactor, _pieces
from vivavoce.redaction.rules import personal_spans
from vivavoce.store.facets import contact
from vivavoce.store.interface import StoreError
from vivavoce.store.sealing import Keyring
from vivavoce.wire import cursor, times

orders = st.builds(Order, by=st.sampled_from(("started_at", "duration", "score")), is_descending=st.booleans())


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**62), orders, st.text(max_size=20))
def test_a_cursor_is_read_back_as_it_was_given(number: int, value: int, order: Order, about: str) -> None:
    position = Position(value=value, number=number)
    text = cursor.encode(position, Criteria(), order, about)
    assert text.isascii() and not set(text) & set("+/= ")
    assert cursor.decode(text, Criteria(), order, about) == position
    with pytest.raises(cursor.CursorInvalid):
        cursor.decode(text, Criteria(tags=("x",)), order, about)
    with pytest.raises(cursor.CursorInvalid):
        cursor.decode(text, Criteria(), order, about + "x")


@given(st.text(max_size=300))
def test_any_other_text_is_no_cursor(text: str) -> None:
    with pytest.raises(cursor.CursorInvalid):
        cursor.decode(text, Criteria(), Order(), "")


@given(st.text(max_size=200))
def test_a_text_is_found_by_each_of_its_own_words(text: str) -> None:
    said = words(text)
    assert words(text.swapcase().swapcase()) == said or not text.isascii()
    assert all(word in said for phrase in phrases(text.replace('"', " ")) for word in phrase)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T09:30Z", datetime(2026, 1, 31, 9, 30, tzinfo=UTC)),
        ("2026-01-31T09:30:00.5+02:00", datetime(2026, 1, 31, 7, 30, 0, 500000, tzinfo=UTC)),
        ("2026-01-31T09:30:00 02:00", datetime(2026, 1, 31, 7, 30, tzinfo=UTC)),  # a plus sign that a URL has eaten
        ("20260131T093000Z", datetime(2026, 1, 31, 9, 30, tzinfo=UTC)),
        ("2026-W05-6", datetime(2026, 1, 31, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_in_any_form(text: str, moment: datetime) -> None:
    assert times.parse(text) == moment


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-01", "2026-02-30", "1", "0001-01-01T00:00+23:00", "\0", "９９９９-01-01x"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        times.parse(text)


def test_numbers_compare_by_digits_and_addresses_without_case() -> None:
    assert contact("+44 (7700) 900-123") == contact("447700900123")
    assert contact(" Sam@Example.org ") == contact("sam@example.org") != contact("samexample.org")


@given(st.binary(max_size=200), st.binary(min_size=1, max_size=20))
def test_a_seal_opens_only_where_it_was_closed_and_only_whole(value: bytes, place: bytes) -> None:
    wrapped, seal = Keyring(bytes(32)).make()
    sealed = seal.close(value, place)
    assert Keyring(bytes(32)).unwrap(wrapped).open(sealed, place) == value
    for broken, where in ((sealed, place + b"x"), (sealed[:-1], place), (sealed[:-1] + bytes([sealed[-1] ^ 1]), place)):
        with pytest.raises(StoreError):
            seal.open(broken, where)
    with pytest.raises(StoreError):
        Keyring(b"y" * 32).unwrap(wrapped)


@given(st.text(max_size=400))
def test_any_text_is_looked_at_and_spans_lie_in_it_in_order(text: str) -> None:
    spans = personal_spans(text)
    places = [(s.start, s.end) for s in spans]
    assert all(0 <= start < end <= len(text) for start, end in places)
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(places))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=12,
    )
)
def test_what_is_hidden_keeps_the_shape_of_what_was_there(value: object) -> None:
    hidden = Redactor([("Zuleika Quorn", "name")]).json({"state": value})["state"]
    assert type(hidden) is type(value) or isinstance(hidden, str)
    if isinstance(value, dict):
        assert len(hidden) == len(value)


@given(st.lists(st.sampled_from(("a", "b", "7")), max_size=130))
def test_a_long_value_is_hidden_whole_and_its_pieces_are_bounded(said: list[str]) -> None:
    pieces = _pieces(tuple(said))
    assert all(len(piece) <= MOST_WORDS for piece in pieces)
    text = " ".join(said)
    if len(text) > 1 and not text.isdigit():
        assert Redactor([(text, "secret")]).known(text).replace("[SECRET]", "").strip() == ""
