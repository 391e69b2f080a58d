"""What a list of cases shows: the query's parameters, and the conditions they are in SQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal, get_args
from uuid import UUID

from fastapi import Query

from services.router.api import views
from services.router.case import PRIORITIES
from shared.errors import Invalid
from shared.security import Caller

State = Literal["open", "waiting_customer", "waiting_internal", "closed"]
WAITING: Final = ("open", "waiting_internal")
_Condition = tuple[str, str, Any]  # (name of the value, the test, the value)


@dataclass(frozen=True)
class Filters:
    """What a list shows. Only teams in the caller's scope are ever listed.

    frozen    only cases that went to and fro, or only others
    takeable  only what `POST /v1/inbox/next` would give the caller, in that order
    """

    team: Annotated[list[str] | None, Query()] = None
    agent: str | None = None
    channel: Annotated[list[str] | None, Query()] = None
    state: Annotated[list[str] | None, Query(description=", ".join(get_args(State)))] = None
    priority: Annotated[list[Literal["urgent", "high", "normal", "low"]] | None, Query()] = None
    customer: UUID | None = None
    q: Annotated[str | None, Query(max_length=200)] = None
    due_before: datetime | None = None
    frozen: bool | None = None
    takeable: bool = False

    def where(self, who: Caller, hidden: Sequence[str]) -> tuple[str, dict[str, Any]]:
        conditions = [*_scope(who, hidden), *self._lists(), *self._values()]
        parts = [self._in_states(), *(test for _, test, _ in conditions)]
        return " AND ".join(parts), {name: value for name, _, value in conditions}

    def _in_states(self) -> str:
        states = views.names(self.state) or list(WAITING)
        if unknown := sorted(set(states) - set(get_args(State))):
            raise Invalid(f"state {unknown[0]!r} is none of {', '.join(get_args(State))}")
        # literals, so that the partial indexes of the waiting states are seen to apply
        return "state IN ({})".format(", ".join(f"'{state}'" for state in states))

    def _lists(self) -> Iterator[_Condition]:
        for name, wanted in (("team", self.team), ("channel", self.channel)):
            if wanted:
                yield name, f"{name} = ANY(:{name})", views.names(wanted)
        if self.priority:
            ranks = [PRIORITIES.index(priority) for priority in self.priority]
            yield "priority", "priority = ANY(:priority)", ranks

    def _values(self) -> Iterator[_Condition]:
        for name, value, test in (
            ("agent", self.agent, "agent = :agent"),
            ("customer", self.customer, "customer_id = :customer"),
            ("due_before", self.due_before, "due_at < :due_before"),
            ("frozen", self.frozen, "(frozen <> '') = :frozen"),
        ):
            if value is not None:
                yield name, test, value
        if self.q:
            words = self.q.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            yield "q", "(subject ILIKE :q OR preview ILIKE :q)", f"%{words}%"


def _scope(who: Caller, hidden: Sequence[str]) -> Iterator[_Condition]:
    if who.teams and who.role != "admin":
        yield "scope", "team = ANY(:scope)", sorted(who.teams)
    if hidden:
        yield "hidden", "team <> ALL(:hidden)", list(hidden)
