"""Which events a key may have, and which of those are asked for. Pure; and the same as SQL.

A subscription, a page of the feed and a stream are all judged by it: by the teams and accounts the
key is for, and events of a confidential team only where the key reads that team's cases.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, Protocol

from services.notifier.catalogue import TYPES
from shared.errors import Invalid
from shared.security import Caller

ALL: Final = "*"
PREFIXES: Final = tuple(dict.fromkeys(f"{name.partition('.')[0]}.*" for name in TYPES))

# `e` has the columns of `feed`, `k` role, teams and accounts of a key.
SEES: Final = """(k.role = 'admin' OR (
    (cardinality(k.teams) = 0 OR e.team = ANY (k.teams))
    AND (cardinality(k.accounts) = 0 OR e.account = ANY (k.accounts))
    AND (NOT e.confidential OR e.team = ANY (k.teams)
        OR (k.role = 'supervisor' AND cardinality(k.teams) = 0))))"""
# `s` has a subscription's `events`.
WANTS: Final = "s.events && ARRAY['*', split_part(e.type, '.', 1) || '.*', e.type]"


class Told(Protocol):
    """What is judged of an event."""

    @property
    def type(self) -> str: ...
    @property
    def team(self) -> str: ...
    @property
    def account(self) -> str: ...
    @property
    def confidential(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Audience:
    """A key's eyes. `types` None: every type."""

    who: Caller
    types: frozenset[str] | None = None

    def takes(self, event: Told) -> bool:
        return (self.types is None or event.type in self.types) and sees(self.who, event)


def sees(who: Caller, event: Told) -> bool:
    return (
        who.writes_team(event.team)
        and who.uses_account(event.account)
        and who.sees_team(event.team, confidential=event.confidential)
    )


def checked(patterns: Iterable[str]) -> tuple[str, ...]:
    """Type names, `prefix.*` or `*`, each once. Raises Invalid with the nearest that there is."""
    given = tuple(dict.fromkeys(each.strip() for each in patterns))
    for name in given:
        if name not in (ALL, *PREFIXES, *TYPES):
            raise Invalid(
                f"there is no event {name!r}: {_nearest(name)}",
                name="unknown-event",
                event=name,
                known=[ALL, *PREFIXES, *TYPES],
            )
    return given


def types_of(patterns: Collection[str]) -> frozenset[str] | None:
    """The types that checked patterns stand for; None for all of them."""
    if not patterns or ALL in patterns:
        return None
    heads = tuple(each[:-1] for each in patterns if each.endswith(".*"))
    return frozenset(
        name for name in TYPES if name in patterns or name.startswith(heads or ("\0",))
    )


def _nearest(name: str) -> str:
    found = get_close_matches(name, (*PREFIXES, *TYPES), n=1, cutoff=0.5)
    return f"did you mean {found[0]!r}?" if found else "docs/webhooks.md lists what there is"
