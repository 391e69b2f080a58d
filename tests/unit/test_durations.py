"""Durations: what people write, and what they mean by the wall clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from shared.durations import Duration

UNITS = ["s", "m", "h", "bd", "d", "y"]


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [
        ("20s", 20, "s"),
        ("90m", 90, "m"),
        ("2h", 2, "h"),
        ("1bd", 1, "bd"),
        ("3d", 3, "d"),
        ("2y", 2, "y"),
        ("0m", 0, "m"),
    ],
)
def test_reads_what_people_write(text: str, amount: int, unit: str) -> None:
    duration = Duration.parse(text)
    assert (duration.amount, duration.unit) == (amount, unit)
    assert str(duration) == text


@given(st.integers(0, 90), st.sampled_from(UNITS))
def test_writing_and_reading_agree(amount: int, unit: str) -> None:
    assert str(Duration.parse(f"{amount}{unit}")) == f"{amount}{unit}"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("2 hours", "20s 90m 2h"),
        ("1h30m", "one unit"),
        ("-1h", "whole number"),
        ("1.5h", "whole number"),
        ("", "one unit"),
        ("2 h", "write 2h"),
        ("2H", "write 2h"),
        (30, "`30` has no unit"),
        (True, "not a duration"),
        (None, "not a duration"),
        ("٣m", "not a duration"),
        ("1000y", "more than 100 years"),
        ("999999999999h", "more than 100 years"),
    ],
)
def test_says_what_would_be_right(wrong: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Duration.parse(wrong)


def test_wall_clock() -> None:
    assert Duration.parse("90m").timedelta() == timedelta(minutes=90)
    assert Duration.parse("3d").timedelta() == timedelta(days=3)


@pytest.mark.parametrize("text", ["1bd", "1y"])
def test_some_units_have_no_fixed_length(text: str) -> None:
    with pytest.raises(ValueError, match="no fixed length"):
        Duration.parse(text).timedelta()


def test_years_are_calendar_years() -> None:
    leap = datetime(2028, 2, 29, 12, tzinfo=UTC)
    assert Duration.parse("1y").after(leap) == datetime(2029, 2, 28, 12, tzinfo=UTC)
    assert Duration.parse("4y").before(leap) == datetime(2024, 2, 29, 12, tzinfo=UTC)
    assert Duration.parse("30d").before(leap) == leap - timedelta(days=30)


def test_in_words() -> None:
    assert Duration.parse("1h").in_words() == "1 hour"
    assert Duration.parse("5bd").in_words() == "5 business days"


def test_in_a_model_it_is_its_text() -> None:
    class Rule(BaseModel):
        lease: Duration

    rule = Rule.model_validate({"lease": "30m"})
    assert rule.lease == Duration(30, "m")
    assert rule.model_dump_json() == '{"lease":"30m"}'
    with pytest.raises(ValidationError, match="has no unit"):
        Rule.model_validate({"lease": 30})


def test_refuses_a_unit_that_is_none() -> None:
    with pytest.raises(ValueError, match="no unit"):
        Duration(3, "w")  # type: ignore[arg-type]
