"""What one record takes over from another in a merge, and what leaves again. Pure.

A field is taken only where the winner has nothing in it, so that what was taken can be told apart
later, in whatever order merges are undone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import UNSET

FIELDS: Final = ("name", "language", "grp", "internal", "opted_out")

Fields = Mapping[str, Any]


def taken(winner: Fields, loser: Fields) -> dict[str, Any]:
    """The fields the winner has from the loser after the merge."""
    return {name: loser[name] for name in FIELDS if loser[name] and not winner[name]}


def given_back(
    winner: Fields, took: Fields, others: Sequence[Fields]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The winner's fields once a merge that took `took` is undone.

    others   the records that stay merged into the winner, first merged first
    returns  the fields, and what each of the others has now given instead
    A field that a person changed since stays as they wrote it.
    """
    fields = {name: winner[name] for name in FIELDS}
    for name, value in took.items():
        if fields.get(name, UNSET) == value:
            fields[name] = type(value)()
    instead: list[dict[str, Any]] = []
    for other in others:
        gives = {name: v for name, v in taken(fields, other).items() if name in took}
        fields |= gives
        instead.append(gives)
    return fields, instead
