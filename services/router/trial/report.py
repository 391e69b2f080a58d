"""What a dry run answers: the difference between what happened and what would have. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from shared.events import Metric

MOST_EXAMPLES: Final = 5
METRICS: Final[tuple[Metric, ...]] = ("first_response", "next_response", "resolution", "update")
WORDS: Final = (
    "What customers and agents did stays as it was, at the instants it had: messages, replies and "
    "what became of them, notes, claims, pauses, closing, and handoffs. Messages stay in the cases "
    "they joined.",
    "Team, priority, deadlines, reminders, escalations and breaches are decided anew, and a breach "
    "is judged against the replies that were given. Nobody would have answered sooner or later "
    "here because a case had come to another team.",
    "A moment that the case waited for then as well passed as it did then; what the candidate adds "
    "passes on the second.",
    "A case that Regie gave to an agent is given to them here too, as long as the candidate gives "
    "the cases of the team that has it. What Regie would have given to whom else depends on all "
    "other cases, and is not replayed.",
    "A case that was split, that an agent began, or that has requests to colleagues is taken as it "
    "was, before and after.",
    "A message is counted by its receipt. Edited or deleted words are judged by what is left.",
)
NOTHING_THERE: Final = (
    "No case got a message in this time, so nothing was compared: that nothing differs says "
    "nothing of this policy. Go further back with `since`."
)


class Cases(msgspec.Struct):
    """How many, and some of them as links."""

    count: int = 0
    examples: list[str] = msgspec.field(default_factory=list)

    def add(self, case_id: UUID) -> None:
        self.count += 1
        link = f"/v1/cases/{case_id}"
        if len(self.examples) < MOST_EXAMPLES and link not in self.examples:
            self.examples.append(link)


class TeamRow(msgspec.Struct):
    """Cases that a team had in the end, and that routing sent it, before and after."""

    team: str
    before: int = 0
    after: int = 0
    routed_before: int = 0
    routed_after: int = 0


class RoutingRow(Cases, kw_only=True):
    """Cases that would have gone another way. A rule is empty where the case stayed."""

    from_team: str
    to_team: str
    from_rule: str
    to_rule: str


class Shifted(Cases):
    """Deadlines that move, and by how much in the middle of all (wall clock)."""

    median: str | None = None


class DeadlineRow(msgspec.Struct):
    """One metric. added: promised by the candidate only; dropped: by it no more."""

    metric: Metric
    unchanged: int = 0
    earlier: Shifted = msgspec.field(default_factory=Shifted)
    later: Shifted = msgspec.field(default_factory=Shifted)
    added: Cases = msgspec.field(default_factory=Cases)
    dropped: Cases = msgspec.field(default_factory=Cases)


class BreachRow(msgspec.Struct):
    """One metric. arrived_late: overdue when they reached us, and counted apart."""

    metric: Metric
    before: int = 0
    after: int = 0
    avoided: Cases = msgspec.field(default_factory=Cases)
    caused: Cases = msgspec.field(default_factory=Cases)
    arrived_late_before: int = 0
    arrived_late_after: int = 0


class LoadRow(msgspec.Struct):
    """Messages that wait for an answer, by the local hour in which they came."""

    team: str
    before: list[int]
    after: list[int]


class RefusedRow(Cases, kw_only=True):
    """What was carried out then and the candidate refuses: `asked` is the event it left then."""

    asked: str
    name: str
    reason: str


class Unmatched(msgspec.Struct):
    """Rules of the candidate that nothing in this time matched."""

    routing: list[str]
    service_levels: list[str]


class Report(msgspec.Struct):
    """The difference between what happened and what the candidate would have made of it.

    since, until   of the messages it is about, by their receipt
    events         recorded events that were read and replayed; messages: customers' in this time
    seconds        it took
    same           nothing differs
    timezone       of the hours in `load`
    not_replayed   what people did then and the candidate refuses
    kept           cases that are the same before and after, because they cannot be told again
    """

    candidate: str
    since: datetime
    until: datetime
    cases: int
    events: int
    messages: int
    seconds: float
    events_per_second: int
    same: bool
    teams: list[TeamRow]
    rerouted: Cases
    routing: list[RoutingRow]
    deadlines: list[DeadlineRow]
    breaches: list[BreachRow]
    timezone: str
    load: list[LoadRow]
    never_matched: Unmatched
    not_replayed: list[RefusedRow]
    kept: Cases
    words: tuple[str, ...] = WORDS
