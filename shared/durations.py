"""Durations as people write them: `20s 90m 2h 1bd 3d 2y`. The one place that reads them.

A duration is a whole number and one unit. Outside service levels it is wall clock, and `d` and `y`
are calendar days and years. `bd`, a business day, means something only together with a calendar:
see `services.router.calendars`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, get_args

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

Unit = Literal["s", "m", "h", "bd", "d", "y"]

_SECONDS: Final[dict[Unit, int]] = {"s": 1, "m": 60, "h": 3600, "bd": 86_400, "d": 86_400}
_WRITTEN: Final = re.compile(r"(\d{1,12})(s|m|h|bd|d|y)", re.ASCII)
_MOST_YEARS: Final = 100
_WORDS: Final[dict[Unit, str]] = {
    "s": "seconds", "m": "minutes", "h": "hours",
    "bd": "business days", "d": "calendar days", "y": "calendar years",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Duration:
    """`amount` of `unit`; written and read as one word, also in JSON.

    >>> str(Duration.parse("90m")), Duration.parse("90m").timedelta()
    ('90m', datetime.timedelta(seconds=5400))
    """

    amount: int
    unit: Unit

    def __post_init__(self) -> None:
        if self.unit not in get_args(Unit):
            raise ValueError(f"`{self.unit}` is no unit: use one of {' '.join(get_args(Unit))}")
        if self.amount < 0:
            raise ValueError(f"`{self}` is negative: a duration is zero or more")
        if self._rough_seconds() > _MOST_YEARS * 366 * 86_400:
            raise ValueError(f"`{self}` is more than {_MOST_YEARS} years")

    @classmethod
    def parse(cls, text: object) -> Duration:
        """Reads `2h`. Raises ValueError that says what would be right."""
        if isinstance(text, Duration):
            return text
        match = _WRITTEN.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise ValueError(_wrong(text))
        return cls(int(match[1]), match[2])  # type: ignore[arg-type]  # the pattern allows units only

    def __str__(self) -> str:
        return f"{self.amount}{self.unit}"

    def __bool__(self) -> bool:
        return self.amount > 0

    def in_words(self) -> str:
        """`2 business days`, `1 hour`."""
        name = _WORDS[self.unit]
        return f"{self.amount} {name[:-1] if self.amount == 1 else name}"

    def timedelta(self) -> timedelta:
        """The wall-clock length of s, m, h and d. Raises ValueError for bd and y.

        Those have no fixed length: a business day needs a calendar, a year a date (`after`).
        """
        if self.unit in ("bd", "y"):
            raise ValueError(f"`{self}` has no fixed length: use s, m, h or d here")
        return timedelta(seconds=self._rough_seconds())

    def after(self, start: datetime) -> datetime:
        """`start` and this much wall clock later. Raises ValueError for bd."""
        return self._shift(start, 1)

    def before(self, end: datetime) -> datetime:
        """This much wall clock before `end`. Raises ValueError for bd."""
        return self._shift(end, -1)

    def _shift(self, at: datetime, sign: int) -> datetime:
        if self.unit != "y":
            return at + sign * self.timedelta()
        return add_years(at, sign * self.amount)

    def _rough_seconds(self) -> int:
        return self.amount * _SECONDS.get(self.unit, 366 * 86_400)

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """In models and JSON a duration is its text."""
        return core_schema.no_info_plain_validator_function(
            cls.parse,
            json_schema_input_schema=core_schema.str_schema(pattern=f"^{_WRITTEN.pattern}$"),
            serialization=core_schema.to_string_ser_schema(),
        )


def add_years(at: datetime, years: int) -> datetime:
    """The same day and time, `years` on; 29 February becomes the 28th where there is none."""
    try:
        return at.replace(year=at.year + years)
    except ValueError:
        return at.replace(year=at.year + years, day=28)


def _wrong(text: object) -> str:
    """What is wrong with it, and the nearest thing that would be right."""
    rule = "write a whole number and one unit of s m h bd d y, such as 20s 90m 2h 1bd 3d 2y"
    if isinstance(text, int) and not isinstance(text, bool):
        return f"`{text}` has no unit: {rule}"
    joined = re.sub(r"\s+", "", str(text)).lower()
    if isinstance(text, str) and joined != text and _WRITTEN.fullmatch(joined):
        return f"`{text}` is not a duration: write {joined}"
    return f"`{text}` is not a duration: {rule}"
