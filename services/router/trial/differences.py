"""What another policy would have changed: many replayed cases in one report. Pure."""

from __future__ import annotations

import statistics
from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from typing import Final
from uuid import UUID

from services.router.trial.replaying import Refusal, Replayed, Trial
from services.router.trial.report import (
    METRICS,
    NOTHING_THERE,
    WORDS,
    BreachRow,
    Cases,
    DeadlineRow,
    LoadRow,
    RefusedRow,
    Report,
    RoutingRow,
    TeamRow,
    Unmatched,
)
from services.router.trial.side import Clock, Promise, Routed, Side
from shared.durations import Duration, Unit
from shared.events import Metric

_MOST_ROWS: Final = 100
_UNMOVED: Final = timedelta(seconds=1)  # deadlines nearer to each other than this are the same


@dataclass
class Differences:
    """Takes one replayed case after the other."""

    trial: Trial
    cases: int = 0
    events: int = 0
    messages: int = 0
    _teams: dict[str, TeamRow] = field(default_factory=dict)
    _rerouted: Cases = field(default_factory=Cases)
    _routing: dict[tuple[Routed, Routed], RoutingRow] = field(default_factory=dict)
    _deadlines: dict[Metric, DeadlineRow] = field(default_factory=dict)
    _shifts: dict[tuple[Metric, bool], array[float]] = field(
        default_factory=lambda: defaultdict(lambda: array("d"))
    )
    _breaches: dict[Metric, BreachRow] = field(default_factory=dict)
    _load: tuple[Counter[tuple[str, int]], Counter[tuple[str, int]]] = field(
        default_factory=lambda: (Counter(), Counter())
    )
    _rules: set[str] = field(default_factory=set)
    _levels: set[str] = field(default_factory=set)
    _kept: Cases = field(default_factory=Cases)
    _refused: dict[tuple[str, str], RefusedRow] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._zone = self.trial.candidate.timezone

    def add(self, replayed: Replayed) -> None:
        case_id, then, now = replayed.history.case_id, replayed.then, replayed.now
        self.cases += 1
        self.events += len(replayed.history.changes)
        self.messages += len(then.heard)
        self._compare_teams(then, now)
        self._compare_routing(case_id, then, now)
        self._compare_promises(case_id, then, now)
        self._count_load(then, now)
        self._rules |= replayed.rules
        self._levels |= replayed.levels
        if replayed.kept:
            self._kept.add(case_id)
        for refusal in replayed.refused:
            self._refuse(case_id, refusal)

    def fail(self, case_id: UUID, events: int, error: Exception) -> None:
        """A case that cannot be replayed at all keeps nobody from seeing the others."""
        self.events += events
        name = type(error).__name__
        self._refuse(case_id, Refusal("the whole case", name, f"replaying it raises {name}"))

    def report(self, seconds: float) -> Report:
        candidate = self.trial.candidate
        for (metric, earlier), shifts in self._shifts.items():
            row = self._deadlines[metric]
            shifted = row.earlier if earlier else row.later
            shifted.median = _written(statistics.median(shifts))
        return Report(
            candidate=candidate.name,
            since=self.trial.since.astimezone(UTC),
            until=self.trial.until.astimezone(UTC),
            cases=self.cases,
            events=self.events,
            messages=self.messages,
            seconds=round(seconds, 3),
            events_per_second=round(self.events / seconds) if seconds else 0,
            same=self._is_same(),
            teams=sorted(self._teams.values(), key=lambda row: row.team),
            rerouted=self._rerouted,
            routing=sorted(self._routing.values(), key=lambda row: -row.count)[:_MOST_ROWS],
            deadlines=[self._deadlines[m] for m in METRICS if m in self._deadlines],
            breaches=[self._breaches[m] for m in METRICS if m in self._breaches],
            timezone=str(candidate.timezone),
            load=self._load_rows(),
            never_matched=Unmatched(
                [r.name for r in candidate.routing if r.name not in self._rules],
                [s.name for s in candidate.service_levels if s.name not in self._levels],
            ),
            not_replayed=sorted(self._refused.values(), key=lambda row: -row.count)[:_MOST_ROWS],
            kept=self._kept,
            words=WORDS if self.cases else (NOTHING_THERE, *WORDS),
        )  # fmt: skip

    # --- teams and rules -----------------------------------------------------------------------

    def _compare_teams(self, then: Side, now: Side) -> None:
        if then.case is not None:
            self._team(then.case.team).before += 1
        if now.case is not None:
            self._team(now.case.team).after += 1
        for routed in then.routed.values():
            self._team(routed.team).routed_before += bool(routed.rule)
        for routed in now.routed.values():
            self._team(routed.team).routed_after += bool(routed.rule)

    def _team(self, name: str) -> TeamRow:
        return self._teams.setdefault(name, TeamRow(name))

    def _compare_routing(self, case_id: UUID, then: Side, now: Side) -> None:
        if then.routed == now.routed:
            return
        moved = False
        for at in then.routed.keys() & now.routed.keys():
            before, after = then.routed[at], now.routed[at]
            if _went_otherwise(before, after):
                self._routing_row(before, after).add(case_id)
                moved = moved or before.team != after.team
        if moved:
            self._rerouted.add(case_id)

    def _routing_row(self, before: Routed, after: Routed) -> RoutingRow:
        row = self._routing.get((before, after))
        if row is None:
            row = self._routing[before, after] = RoutingRow(
                from_team=before.team, to_team=after.team,
                from_rule=before.rule, to_rule=after.rule,
            )  # fmt: skip
        return row

    # --- deadlines -----------------------------------------------------------------------------

    def _compare_promises(self, case_id: UUID, then: Side, now: Side) -> None:
        for clock, before in then.promised.items():
            after = now.promised.get(clock)
            if before.counted or (after is not None and after.counted):
                self._compare_promise(case_id, clock, before, after)
        for clock, after in now.promised.items():
            if after.counted and clock not in then.promised:
                self._compare_promise(case_id, clock, None, after)

    def _compare_promise(
        self, case_id: UUID, clock: Clock, before: Promise | None, after: Promise | None
    ) -> None:
        row = self._deadlines.setdefault(clock.metric, DeadlineRow(clock.metric))
        if before is None:
            row.added.add(case_id)
        elif after is None:
            row.dropped.add(case_id)
        else:
            self._compare_due(case_id, row, after.due_at - before.due_at)
        if (before is not None and before.breached) or (after is not None and after.breached):
            self._compare_breach(case_id, clock.metric, before, after)

    def _compare_due(self, case_id: UUID, row: DeadlineRow, shift: timedelta) -> None:
        if abs(shift) < _UNMOVED:
            row.unchanged += 1
            return
        earlier = shift < timedelta()
        (row.earlier if earlier else row.later).add(case_id)
        self._shifts[row.metric, earlier].append(abs(shift).total_seconds())

    def _compare_breach(
        self, case_id: UUID, metric: Metric, before: Promise | None, after: Promise | None
    ) -> None:
        row = self._breaches.setdefault(metric, BreachRow(metric))
        broken = [p is not None and p.breached and not p.late for p in (before, after)]
        late = [p is not None and p.breached and p.late for p in (before, after)]
        row.before, row.after = row.before + broken[0], row.after + broken[1]
        row.arrived_late_before += late[0]
        row.arrived_late_after += late[1]
        if broken == [True, False]:
            row.avoided.add(case_id)
        elif broken == [False, True]:
            row.caused.add(case_id)

    # --- load, and what could not be -------------------------------------------------------------

    def _count_load(self, then: Side, now: Side) -> None:
        for load, side in zip(self._load, (then, now), strict=True):
            for received_at, team in side.heard:
                load[team, received_at.astimezone(self._zone).hour] += 1

    def _load_rows(self) -> list[LoadRow]:
        before, after = self._load
        teams = sorted({team for team, _ in (*before, *after)})
        return [LoadRow(team, _by_hour(before, team), _by_hour(after, team)) for team in teams]

    def _refuse(self, case_id: UUID, refusal: Refusal) -> None:
        key = (refusal.asked, refusal.name)
        row = self._refused.get(key)
        if row is None:
            row = self._refused[key] = RefusedRow(
                asked=refusal.asked, name=refusal.name, reason=refusal.detail
            )
        row.add(case_id)

    def _is_same(self) -> bool:
        return not (
            self._routing
            or self._refused
            or any(row.before != row.after for row in self._teams.values())
            or any(_moved(row) for row in self._deadlines.values())
            or any(_broken_otherwise(row) for row in self._breaches.values())
            or self._load[0] != self._load[1]
        )


def _went_otherwise(before: Routed, after: Routed) -> bool:
    """Where a case only stayed (it has no rule then), that is no other way."""
    if before.team == after.team:
        return bool(before.rule and after.rule) and before.rule != after.rule
    return bool(before.rule or after.rule)


def _written(seconds: float) -> str:
    """In the largest unit that says it exactly."""
    whole = round(seconds)
    sizes: tuple[tuple[Unit, int], ...] = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))
    return next(str(Duration(whole // n, unit)) for unit, n in sizes if whole % n == 0)


def _moved(row: DeadlineRow) -> bool:
    return any(cases.count for cases in (row.earlier, row.later, row.added, row.dropped))


def _broken_otherwise(row: BreachRow) -> bool:
    late = row.arrived_late_before != row.arrived_late_after
    return late or bool(row.avoided.count or row.caused.count)


def _by_hour(load: Mapping[tuple[str, int], int], team: str) -> list[int]:
    return [load.get((team, hour), 0) for hour in range(24)]
