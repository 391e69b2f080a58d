"""What a report counts: each figure an aggregate over a table's facts, with the facts behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One aggregate, and what it is called.

    names   two for a spread: its median and its 90th percentile
    sql     the aggregate
    where   which facts it is taken over; its `cases` are those of the same facts
    blank   what stands where there are none: 0 of what is counted, else null
    digits  it is rounded to
    """

    names: tuple[str, ...]
    sql: str
    where: str = "true"
    blank: int | None = None
    digits: int = 4

    def select(self) -> str:
        return f"{self.sql} FILTER (WHERE {self.where})"

    def read(self, value: Any) -> dict[str, Any]:
        """The database's value under the figure's names."""
        if value is None:
            return dict.fromkeys(self.names, self.blank)
        values = value if isinstance(value, list) else [value]
        return {
            name: self._round(each) for name, each in zip(self.names, values, strict=True)
        }  # fmt: skip

    def _round(self, value: Any) -> Any:
        return value if isinstance(value, int | datetime) else round(float(value), self.digits)


@dataclass(frozen=True, slots=True)
class Share:
    """One figure's part of several, from 0 to 1; null where there is nothing to divide by."""

    name: str
    part: str
    whole: tuple[str, ...]

    def of(self, figures: Mapping[str, Any]) -> float | None:
        whole = sum(figures[name] for name in self.whole)
        return round(figures[self.part] / whole, 4) if whole else None


def count(name: str, where: str = "true") -> Figure:
    """How many facts."""
    return Figure((name,), "count(*)", where, blank=0)


def cases(name: str, where: str = "true") -> Figure:
    """How many cases, each once."""
    return Figure((name,), "count(DISTINCT case_id)", where, blank=0)


def total(name: str, of: str, where: str = "true") -> Figure:
    return Figure((name,), f"sum({of})", where, blank=0)


def mean(name: str, of: str, where: str = "true") -> Figure:
    return Figure((name,), f"avg({of})", where)


def earliest(name: str, of: str, where: str = "true") -> Figure:
    return Figure((name,), f"min({of})", where)


def spread(median: str, p90: str, of: str, where: str = "true") -> Figure:
    """The median and the 90th percentile, between two values in proportion to how near each is."""
    sql = f"percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY {of})"
    return Figure((median, p90), sql, f"({where}) AND {of} IS NOT NULL")


def middle(name: str, of: str, where: str = "true") -> Figure:
    """The median alone."""
    return Figure((name,), f"percentile_cont(0.5) WITHIN GROUP (ORDER BY {of})", where)
