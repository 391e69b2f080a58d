"""What a policy that can be read may still get wrong: hours that never come, and what has no use.

All but the hours and the words of templates are warnings: such a policy can rule, only not as its
author thinks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Final

from services.router.calendars import NeverOpen
from services.router.policy_terms import PolicyTerms
from services.router.rules.model import CalendarSection, ServiceLevelRule, SwitchRow
from services.router.rules.reach import alternatives
from services.router.rules.templates import template_problems
from shared.durations import Duration
from shared.yamlfile import Document, Path, Problem

_ONE_DAY: Final = timedelta(days=1)
_MOST_YEARS: Final = 10
_WEEKS_A_YEAR: Final = 52
_OPEN_TIME: Final = ("s", "m", "h")


def policy_problems(policy: PolicyTerms, document: Document) -> Iterator[Problem]:
    yield from _never_open(policy, document)
    for index, level in enumerate(policy.service_levels):
        yield from _too_long(policy, document, index, level)
        yield from _steps_that_never_come(document, index, level)
        yield from _leads_nowhere(policy, document, index)
    yield from _waits_in_vain(policy, document)
    yield from _hidden_switches(policy, document)
    yield from _too_heavy(policy, document)
    yield from template_problems(policy, document)


# --- hours -----------------------------------------------------------------------------------


def _never_open(policy: PolicyTerms, document: Document) -> Iterator[Problem]:
    """Exceptions that close it for years. (No weekly hours at all: see `WorkingCalendar`.)"""
    for name, section in policy.calendars.items():
        if not any(section.hours.values()):
            continue
        for day in (day for day in section.exceptions if day - _ONE_DAY not in section.exceptions):
            try:
                policy.calendar(name).next_opening(datetime.combine(day, time(), UTC))
            except NeverOpen as error:
                path = ("calendars", name, "exceptions", day.isoformat())
                yield document.problem(path, f"{error}; give it hours again, or leave these out")


def _too_long(
    policy: PolicyTerms, document: Document, index: int, level: ServiceLevelRule
) -> Iterator[Problem]:
    section = policy.calendars[level.calendar]
    for path, duration in _durations(level):
        if _years(section, duration) > _MOST_YEARS:
            message = (
                f"`{duration}` takes more than {_MOST_YEARS} years in calendar "
                f"`{level.calendar}`: give less, or a calendar with more hours"
            )
            yield document.problem(("service_levels", index, *path), message)


def _durations(level: ServiceLevelRule) -> Iterator[tuple[Path, Duration]]:
    for name in ("first_response", "next_response", "resolution", "update_every"):
        target: Duration | None = getattr(level, name)
        if target is not None:
            yield (name,), target
    yield from _steps(level)
    for at, step in enumerate(level.escalate):
        if step.after is not None:
            yield ("escalate", at, "after"), step.after


def _steps(level: ServiceLevelRule) -> Iterator[tuple[Path, Duration]]:
    """What is counted back from due."""
    for at, warning in enumerate(level.warn_before):
        yield ("warn_before", at), warning
    for at, step in enumerate(level.escalate):
        if step.before is not None:
            yield ("escalate", at, "before"), step.before


def _years(calendar: CalendarSection, duration: Duration) -> float:
    """Roughly, by the weekly hours."""
    week = calendar.week()
    if duration.unit == "bd":
        return duration.amount / max(sum(map(bool, week)), 1) / _WEEKS_A_YEAR
    if duration.unit in _OPEN_TIME:
        minutes = sum(span.end - span.start for spans in week for span in spans)
        return duration.timedelta().total_seconds() / 60 / max(minutes, 1) / _WEEKS_A_YEAR
    return duration.amount / (1 if duration.unit == "y" else 366)


def _steps_that_never_come(
    document: Document, index: int, level: ServiceLevelRule
) -> Iterator[Problem]:
    """Those as long as every target: they would fall on the start or before it, and are skipped."""
    targets = list(level.targets.values())
    for path, step in _steps(level):
        if all(_no_longer(target, step) for target in targets):
            message = f"`{step}` before due is never after the start: give less, or a longer target"
            yield document.problem(("service_levels", index, *path), message, warning=True)


def _no_longer(target: Duration, step: Duration) -> bool:
    if target.unit in _OPEN_TIME and step.unit in _OPEN_TIME:
        return target.timedelta() <= step.timedelta()
    return target.unit == step.unit and target.amount <= step.amount


# --- what has no use -------------------------------------------------------------------------


def _leads_nowhere(policy: PolicyTerms, document: Document, index: int) -> Iterator[Problem]:
    """A service level for a team or product that no routing rule gives."""
    source = document.section("service_levels", index, "when")
    asked = {part for parts in alternatives(source or "true") for part in parts}
    reached = {"team": _teams_reached(policy), "product": {rule.product for rule in policy.routing}}
    only = {"team": "is handed over to it", "product": "comes with it"}
    for name, word in sorted((part.text, word) for part in asked if (word := part.word)):
        if name in reached and word not in reached[name]:
            message = (
                f"no routing rule leads to {name} `{word}`: this counts only for what {only[name]}"
            )
            yield document.problem(("service_levels", index, "when"), message, warning=True)


def _teams_reached(policy: PolicyTerms) -> set[str | None]:
    """By routing, its targets, and the fallback of each, and so on."""
    teams = {rule.team for rule in policy.routing}
    teams |= {target.team for rule in policy.routing for target in rule.targets if target.team}
    while more := {policy.fallback_of(team) for team in teams} - teams - {""}:
        teams |= more
    return {*teams}


def _waits_in_vain(policy: PolicyTerms, document: Document) -> Iterator[Problem]:
    """A last target that goes on to the same team, asked for no more than before."""
    for index, rule in enumerate(policy.routing):
        last = rule.targets[-1] if rule.targets else None
        if last is None or last.wait is None:
            continue
        team = last.team or rule.team
        skills = rule.skills if last.skills is None else last.skills
        if not skills and not policy.fallback_of(team):
            path = ("routing", index, "targets", len(rule.targets) - 1, "for")
            message = (
                f"after it the case stays where it is: give team `{team}` a fallback, or leave "
                "`for` out"
            )
            yield document.problem(path, message, warning=True)


def _hidden_switches(policy: PolicyTerms, document: Document) -> Iterator[Problem]:
    for index, row in enumerate(policy.switches):
        hiding = _hiding(policy.switches[:index], row)
        if hiding is not None:
            line = document.line(("switches", hiding))
            message = f"is never used: the row on line {line} permits all that it would"
            yield document.problem(("switches", index), message, warning=True)


def _hiding(earlier: Sequence[SwitchRow], row: SwitchRow) -> int | None:
    for index, other in enumerate(earlier):
        if (
            (other.from_channel, other.to_channel) == (row.from_channel, row.to_channel)
            and other.product in (None, row.product)
            and other.hours in (None, row.hours)
            and set(row.reasons) <= set(other.reasons)
        ):
            return index
    return None


def _too_heavy(policy: PolicyTerms, document: Document) -> Iterator[Problem]:
    for name, team in policy.teams.items():
        for channel, weight in policy.weights.items():
            if team.capacity is not None and weight > team.capacity:
                message = (
                    f"a case on {channel} counts {weight:g} (`weights`): nobody in `{name}` has "
                    "room for one; give more, unless each agent's own capacity says otherwise"
                )
                yield document.problem(("teams", name, "capacity"), message, warning=True)
