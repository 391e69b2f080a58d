"""A policy that remembers the service levels it found: for who asks the same thousands of times.
Pure.

Most service levels depend on little: a channel, a team, a priority. Where a condition asks for the
customer's own words or for the time, nothing is remembered.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import Final

from services.router.policy import Facts, Policy, Routing, ServiceLevel
from services.router.rules.conditions import NAMES

_MOST: Final = 10_000
_OPEN: Final = "open"  # the one function of the conditions that asks for the time
# The facts behind a name of the conditions; behind the others are words, never the same twice.
_BEHIND: Final[Mapping[str, tuple[str, ...]]] = {
    "channel": ("channel",),
    "account": ("account",),
    "kind": ("kind",),
    "product": ("product",),
    "priority": ("priority",),
    "tags": ("tags",),
    "customer": ("customer_group", "customer_language", "customer_internal", "customer_known"),
    "message": ("authentication",),
    "team": (),
}


class RememberingPolicy(Policy):
    """Answers as `Policy` does. Made by `parse` only."""

    def service_level(self, facts: Facts, team: str, now: datetime) -> ServiceLevel | None:
        fields, found = self.asked, self.found
        if fields is None:
            return super().service_level(facts, team, now)
        key = (team, *[getattr(facts, name) for name in fields])
        if key not in found:
            if len(found) >= _MOST:
                found.clear()
            found[key] = super().service_level(facts, team, now)
        return found[key]

    def assess(self, facts: Facts, now: datetime) -> tuple[Routing, ServiceLevel | None]:
        if self.asked is None:
            return super().assess(facts, now)
        routing = self.route(facts, now)
        decided = replace(
            facts, product=routing.product, priority=routing.priority, tags=routing.tags
        )
        return routing, self.service_level(decided, routing.team, now)

    @cached_property
    def version(self) -> int:
        """None: it rules nowhere. Kept at hand, since every decision asks for it."""
        return 0

    @cached_property
    def asked(self) -> tuple[str, ...] | None:
        """The facts that the service levels depend on; None where they cannot be remembered."""
        names = self.names_in_levels & {*NAMES, _OPEN}
        if not names <= _BEHIND.keys():
            return None
        return tuple(field for name in sorted(names) for field in _BEHIND[name])

    @cached_property
    def found(self) -> dict[Hashable, ServiceLevel | None]:
        """By what was asked."""
        return {}
