"""A table's rows as the API answers them: items and totals, each with the way to its cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec

from services.router.reports.questions import MOST_ITEMS, Question
from shared.errors import Invalid


def shape(question: Question, rows: Sequence[Mapping[str, Any]], way: str) -> dict[str, Any]:
    """`{items, totals}` of the rows of `Question.summary`.

    way  the address of the cases behind the whole question; a group is added to it
    """
    full = [_item(question, row, way) for row in rows if row["left_out"] == 0]
    if len(full) > MOST_ITEMS:
        raise Invalid(
            f"more than {MOST_ITEMS} items: ask for fewer things in `by`, or for a shorter period",
            name="report-too-large",
        )
    most = max((row["left_out"] for row in rows), default=0)
    sums = [_sum(question, row, way) for row in rows if row["left_out"] == most]
    return {"items": _sorted(question, full), "totals": _totals(question, sums, way)}


def _item(question: Question, row: Mapping[str, Any], way: str) -> dict[str, Any]:
    group = question.shown(row)
    return {**group, **_figures(question, row), "cases": _link(way, group)}


def _sum(question: Question, row: Mapping[str, Any], way: str) -> dict[str, Any]:
    group = {name: row[name] for name in question.apart}
    return {**group, **_figures(question, row), "cases": _link(way, group)}


def _figures(question: Question, row: Mapping[str, Any]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for index, figure in enumerate(question.table.figures):
        figures |= figure.read(row[f"f{index}"])
    return question.table.finish(figures)


def _totals(question: Question, sums: Sequence[dict[str, Any]], way: str) -> dict[str, Any]:
    """One set of figures; or one for each value that is kept apart, also where it has no facts."""
    if question.table.apart is None:
        return sums[0]
    name, values = question.table.apart
    found = {each.pop(name): each for each in sums}
    nothing = question.table.blank()
    return {
        value: found.get(value, {**nothing, "cases": _link(way, {name: value})}) for value in values
    }


def _sorted(question: Question, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By their groups, what has no value last; before that by what is worst."""
    worst = question.table.worst

    def key(item: Mapping[str, Any]) -> list[tuple[bool, Any]]:
        rank = [(False, -(item[worst] or 0))] if worst else []
        groups = [(item[name] in (None, ""), item[name]) for name in question.columns]
        return rank + [(empty, "" if empty else value) for empty, value in groups]

    return sorted(items, key=key)


def _link(way: str, group: Mapping[str, Any]) -> str:
    if not group:
        return way
    return f"{way}&{urlencode({'group': msgspec.json.encode(group).decode()})}"
