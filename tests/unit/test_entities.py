"""What people say becomes dates, times, numbers and names."""

from __future__ import annotations

from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.entities.choices import find_choice, find_yes_no
from vivavoce.entities.numbers import digits, find_number
from vivavoce.entities.people import find_email, find_name, find_phone
from vivavoce.entities.times import find_date, find_time

SUNDAY = datetime(2026, 11, 22, 10)


@pytest.mark.parametrize(
    ("said", "day"),
    [
        ("next Tuesday", "2026-11-24"),
        ("tomorrow please", "2026-11-23"),
        ("the day after tomorrow", "2026-11-24"),
        ("December the 4th", "2026-12-04"),
        ("the twenty first of december", "2026-12-21"),
        ("on the 3rd", "2026-12-03"),
        ("in two weeks", "2026-12-06"),
        ("friday week", "2026-12-04"),
        ("a week today", "2026-11-29"),
        ("5/12", "2026-12-05"),
        ("1st of January", "2027-01-01"),
    ],
)
def test_a_day_is_the_next_one_that_is_meant(said: str, day: str) -> None:
    assert find_date(said, SUNDAY) == date.fromisoformat(day)


@pytest.mark.parametrize(
    ("said", "time"),
    [
        ("2 pm", "14:00"),
        ("half past eleven", "11:30"),
        ("eleven thirty", "11:30"),
        ("quarter to 3", "14:45"),
        ("noon", "12:00"),
        ("four", "16:00"),
    ],
)
def test_a_time_is_the_one_that_people_are_awake_at(said: str, time: str) -> None:
    assert find_time(said, likely=("09:00", "11:30", "14:00", "16:00")) == time


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("oh one six three two, nine six oh five double five", "01632960555"),
        ("+44 7700 900123", "+447700900123"),
        ("you can reach me on 07700 900 123", "07700900123"),
        ("four", None),
    ],
)
def test_a_telephone_number_is_heard_in_digits_and_in_words(said: str, number: str | None) -> None:
    assert find_phone(said) == number


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("it's Sam Field", "Sam Field"),
        ("Field, first name Sam", "Sam Field"),
        ("Hart, Nathan Hart", "Nathan Hart"),
        ("priya nair please", "Priya Nair"),
        ("Priya Nair, that's N A I R", "Priya Nair"),
        ("yes", None),
    ],
)
def test_a_name_is_what_is_left_of_how_it_was_said(said: str, name: str | None) -> None:
    assert find_name(said) == name


def test_an_email_address_may_be_spoken() -> None:
    assert find_email("jane dot doe at example dot com") == "jane.doe@example.com"
    assert find_email("write to Jane.Doe@example.com.") == "jane.doe@example.com"


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("yes please", True),
        ("go ahead", True),
        ("no, that's fine", True),
        ("no that's wrong", False),
        ("yes but change the day", False),
        ("maybe", None),
    ],
)
def test_an_objection_counts_more_than_a_yes(said: str, answer: bool | None) -> None:
    assert find_yes_no(said) is answer


def test_an_option_is_found_in_spite_of_a_slip() -> None:
    assert find_choice("the brakse I think", ["puncture", "brakes"]) == "brakes"
    assert find_choice("neither", ["puncture", "brakes"]) is None


@given(st.integers(min_value=0, max_value=10**9))
def test_a_number_in_digits_is_itself(number: int) -> None:
    assert find_number(f"about {number} of them") == number


@given(st.text(max_size=200))
def test_no_text_makes_a_finder_fail(text: str) -> None:
    find_date(text, SUNDAY)
    find_time(text)
    find_number(text)
    find_phone(text)
    find_name(text)
    find_email(text)
    find_yes_no(text)
    digits(text)
