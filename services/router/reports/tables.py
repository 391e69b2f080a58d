"""What a report is made of: tables, each a set of facts and the figures taken over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from services.router.policy import Policy
from services.router.reports.figures import Figure, Share
from shared.errors import Invalid

PERIODS: Final = ("day", "week", "month")
OF_A_CASE: Final = ("team", "agent", "channel", "product", "priority")
ANY: Final = (*OF_A_CASE, *PERIODS)


@dataclass(frozen=True, slots=True)
class Table:
    """Facts, and what is told of them.

    facts   a SELECT of `case_id`, `at` (what places it in a period), `team agent channel product
            priority`, `now_team` (the case's today) and what the figures need. It knows `:since`,
            `:until`, `:now` and the report's own terms. What needs the case comes by LEFT JOIN,
            so that PostgreSQL drops the join where nobody asks for it
    own     the columns that tell its items apart in any case
    apart   those of them that the totals keep apart as well, with their values: what must not be
            added up
    scope   whose fact it is: a supervisor of one of these teams sees it
    worst   the figure that puts an item first; else they stand in the order of their groups
    """

    facts: str
    figures: tuple[Figure, ...]
    shares: tuple[Share, ...] = ()
    own: tuple[str, ...] = ()
    apart: tuple[str, tuple[str, ...]] | None = None
    scope: tuple[str, ...] = ("team",)
    worst: str = ""

    @property
    def names(self) -> list[str]:
        """Of all its figures, in the order they are shown."""
        return [name for f in self.figures for name in f.names] + [s.name for s in self.shares]

    def behind(self, figure: str) -> str:
        """Which facts a figure was taken over. Raises Invalid for one it does not have."""
        for each in self.figures:
            if figure in each.names:
                return each.where
        for share in self.shares:
            if figure == share.name:
                return " OR ".join(f"({self.behind(name)})" for name in share.whole)
        raise Invalid(f"`figure` {figure!r} is none of {', '.join(self.names)}")

    def blank(self) -> dict[str, Any]:
        """The figures of nothing."""
        return self.finish({k: v for f in self.figures for k, v in f.read(None).items()})

    def finish(self, figures: dict[str, Any]) -> dict[str, Any]:
        return figures | {share.name: share.of(figures) for share in self.shares}


def _no_terms(_: Policy) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class Report:
    """One of `/v1/reports`.

    words  what it tells, for the API's own documentation
    parts  further tables, by the name they have in the answer
    by     what it can be told apart by
    terms  what its facts and figures take from the policy
    told   those of them that the answer shows
    """

    name: str
    words: str
    main: Table
    parts: Mapping[str, Table] = field(default_factory=dict)
    by: tuple[str, ...] = ANY
    terms: Callable[[Policy], Mapping[str, Any]] = _no_terms
    told: tuple[str, ...] = ()

    def table(self, part: str) -> Table:
        """Raises Invalid for a part it does not have; without a name, the main one."""
        if not part:
            return self.main
        if part not in self.parts:
            known = ", ".join(self.parts) or "none"
            raise Invalid(f"`part` {part!r} is no part of {self.name}: it has {known}")
        return self.parts[part]
