"""What is asked of a table: the period, the groups, filters and scope; and the SQL for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from services.router.case import PRIORITIES
from services.router.reports.periods import Range
from services.router.reports.tables import PERIODS, Table
from shared.errors import Invalid

MOST_ITEMS: Final = 10_000
FILTERS: Final = ("team", "agent", "channel", "product")


@dataclass(frozen=True, slots=True)
class Question:
    """One question to one table.

    part    the table's name within its report; empty for the main one
    by      what the items are told apart by, beside the table's own columns
    wanted  filters by column: any of these values
    scope   the asker's teams; None: all
    hidden  teams whose cases the asker may not see
    terms   what the facts take from the policy and the clock
    """

    table: Table
    range: Range
    part: str = ""
    by: tuple[str, ...] = ()
    wanted: Mapping[str, Sequence[str]] = field(default_factory=dict)
    scope: Sequence[str] | None = None
    hidden: Sequence[str] = ()
    terms: Mapping[str, Any] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        """What tells one item from another."""
        return (*self.table.own, *(name for name in self.by if name not in self.table.own))

    @property
    def apart(self) -> tuple[str, ...]:
        return (self.table.apart[0],) if self.table.apart else ()

    def summary(self) -> tuple[str, dict[str, Any]]:
        """One row a group, one for each of the totals: the columns, how many of them it leaves
        out (`left_out`), and a column `f0 f1 …` for each figure."""
        names = [f'"{name}"' for name in self.columns]
        figures = [f"{f.select()} AS f{i}" for i, f in enumerate(self.table.figures)]
        left_out = f"GROUPING({', '.join(names)})" if names else "0"
        sets = dict.fromkeys((self.columns, self.apart))
        grouping = ", ".join("({})".format(", ".join(f'"{n}"' for n in each)) for each in sets)
        query = (
            f"WITH {self._chosen()} SELECT {', '.join([*names, *figures])}, "  # noqa: S608 - names are ours, values are bound
            f"{left_out} AS left_out FROM chosen GROUP BY GROUPING SETS ({grouping}) "
            f"ORDER BY left_out DESC LIMIT {MOST_ITEMS + len(self._totals()) + 1}"
        )
        return query, self._values()

    def cases(
        self, figure: str, group: Mapping[str, Any], columns: str
    ) -> tuple[str, dict[str, Any]]:
        """The cases behind a figure of one group, oldest first; continued after `:opened`, `:id`;
        at most `:most`. Without a figure, all of the group."""
        values = self._values()
        parts = [self.table.behind(figure) if figure else "true"]
        for index, (name, shown) in enumerate(group.items()):
            if name not in self.columns:
                raise Invalid(f"`group` names {name!r}, and the items are not told apart by it")
            values[f"g{index}"] = self._raw(name, shown)
            parts.append(f'CAST("{name}" AS text) IS NOT DISTINCT FROM :g{index}')
        where = " AND ".join(f"({part})" for part in parts)
        query = (
            f"WITH {self._chosen()} SELECT {columns} FROM cases "  # noqa: S608 - names are ours, values are bound
            f"WHERE id IN (SELECT case_id FROM chosen WHERE {where}) "
            "AND (CAST(:id AS uuid) IS NULL OR (opened_at, id) > (:opened, :id)) "
            "ORDER BY opened_at, id LIMIT :most"
        )
        return query, values

    def shown(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The group of a row, as the API writes it."""
        return {name: self._shown(name, row[name]) for name in self.columns}

    def _totals(self) -> tuple[str, ...]:
        return self.table.apart[1] if self.table.apart else ("",)

    # --- a column's values, in the database and in the API ----------------------------------------

    def _shown(self, name: str, value: Any) -> Any:
        if name in PERIODS:
            days = self.range.first_days(name)
            return str(days[value - 1]) if 0 < value <= len(days) else None
        return PRIORITIES[value] if name == "priority" and value is not None else value

    def _raw(self, name: str, shown: Any) -> str | None:
        if shown is None and name in PERIODS:
            return "0"  # before the range
        if shown is None:
            return None
        known: Sequence[str] = ()
        if name in PERIODS:
            known = ["", *(str(day) for day in self.range.first_days(name))]
        elif name == "priority":
            known = PRIORITIES
        if known and str(shown) not in known:
            raise Invalid(f"`group` has {name} {shown!r}: take the whole link from the report")
        return str(known.index(str(shown))) if known else str(shown)

    # --- SQL --------------------------------------------------------------------------------------

    def _chosen(self) -> str:
        """The facts that were asked for, with the number of the period each is in."""
        periods = "".join(
            f', width_bucket(at, CAST(:{name} AS timestamptz[])) AS "{name}"'
            for name in self.columns
            if name in PERIODS
        )
        parts = [f"{name} = ANY(:{name}_)" for name in self.wanted]
        if self.scope is not None:
            parts.append(" OR ".join(f"{name} = ANY(:scope)" for name in self.table.scope))
        if self.hidden:
            parts.append("team <> ALL(:hidden) AND coalesce(now_team, '') <> ALL(:hidden)")
        where = " AND ".join(f"({part})" for part in parts) or "true"
        return (
            f"facts AS ({self.table.facts}), "  # noqa: S608 - names are ours, values are bound
            f"chosen AS (SELECT *{periods} FROM facts WHERE {where})"
        )

    def _values(self) -> dict[str, Any]:
        values: dict[str, Any] = {"since": self.range.since, "until": self.range.until}
        values |= {f"{name}_": list(given) for name, given in self.wanted.items()}
        values |= {n: self.range.starts(n) for n in self.columns if n in PERIODS}
        if self.scope is not None:
            values["scope"] = list(self.scope)
        if self.hidden:
            values["hidden"] = list(self.hidden)
        return {**self.terms, **values}


def group_of(text: str) -> dict[str, Any]:
    """`{"team": "parcels", "day": "2026-11-17"}`, as a link carries it. Raises Invalid."""
    try:
        return msgspec.json.decode(text, type=dict[str, str | int | None]) if text else {}
    except msgspec.MsgspecError:
        raise Invalid("`group` is not one of ours: take the whole link from the report") from None
