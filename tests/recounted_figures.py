"""What each figure of a report means, in plain Python over the facts of `tests.recounting`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.recounting import Fact

Test = Callable[[Fact], bool]


def quantile(values: Iterable[float], q: float) -> float | None:
    ordered = sorted(values)
    if not ordered:
        return None
    place = (len(ordered) - 1) * q
    low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
    return low + (high - low) * (place - math.floor(place))


@dataclass(frozen=True)
class Figure:
    of: Test
    make: Callable[[list[Fact]], Any]


def count(of: Test = lambda _: True) -> Figure:
    return Figure(of, len)


def each_case(of: Test = lambda _: True) -> Figure:
    return Figure(of, lambda facts: len({f["case"] for f in facts}))


def mean(name: str, of: Test = lambda _: True) -> Figure:
    return Figure(of, lambda fs: sum(f[name] for f in fs) / len(fs) if fs else None)


def total(make: Callable[[Fact], float], of: Test = lambda _: True) -> Figure:
    return Figure(of, lambda facts: sum(make(f) for f in facts))


def at_quantile(name: str, q: float, of: Test = lambda _: True) -> Figure:
    return Figure(
        lambda f: f[name] is not None and of(f),
        lambda facts: quantile((f[name] for f in facts), q),
    )


def first(name: str, of: Test) -> Figure:
    return Figure(of, lambda facts: min((f[name] for f in facts), default=None))


def share(part: Test, whole: Test) -> Figure:
    return Figure(whole, lambda fs: sum(part(f) for f in fs) / len(fs) if fs else None)


def _state(*states: str) -> Test:
    return lambda f: f["state"] in states


def _timely(*states: str) -> Test:
    return lambda f: f["state"] in states and not f["late"]


def _scored(f: Fact) -> bool:
    return f["score"] is not None


LOW_BELOW: Final = 2  # as the example policy follows up
FIGURES: Final[Mapping[str, Mapping[str, Figure]]] = {
    "service-levels": {
        "started": count(lambda f: f["state"] != "superseded"),
        "met": count(_timely("met")),
        "breached": count(_timely("breached")),
        "overdue": count(lambda f: _timely("breached")(f) and f["ended"] is None),
        "arrived_late": count(lambda f: f["late"] and f["state"] != "superseded"),
        "open": count(_timely("running")),
        "at_risk": count(lambda f: _timely("running")(f) and bool(f["risk"])),
        "paused": count(_timely("paused")),
        "superseded": count(_state("superseded")),
        "median_seconds": at_quantile("seconds", 0.5, _timely("met", "breached")),
        "p90_seconds": at_quantile("seconds", 0.9, _timely("met", "breached")),
        "share_met": share(_timely("met"), _timely("met", "breached")),
    },
    "promises": {
        "made": count(),
        "kept": count(_state("kept")),
        "broken": count(_state("broken")),
        "kept_late": count(lambda f: f["late"]),
        "unreached": count(lambda f: f["state"] == "broken" and f["reason"] == "unreached"),
        "overdue": count(lambda f: f["state"] == "broken" and not f["over"]),
        "renegotiated": count(_state("renegotiated")),
        "open": count(_state("open")),
        "attempts": total(lambda f: f["attempts"]),
        "share_kept": share(_state("kept"), _state("kept", "broken")),
    },
    "handoffs": {
        "offered": count(),
        "accepted": count(_state("accepted")),
        "declined": count(_state("declined")),
        "expired": count(_state("expired")),
        "stalled": count(_state("declined", "expired")),
        "open": count(_state("offered")),
        "open_since": first("at", _state("offered")),
        "external": count(lambda f: f["external"]),
        "median_hours": at_quantile("hours", 0.5),
        "p90_hours": at_quantile("hours", 0.9),
        "cost_saved": total(lambda f: f["saved"], lambda f: (f["saved"] or 0) > 0),
        "cost_spent": total(lambda f: -f["saved"], lambda f: (f["saved"] or 0) < 0),
        "share_accepted": share(_state("accepted"), _state("accepted", "declined", "expired")),
    },
    "handoffs/waiting": {
        "requests": count(),
        "answered": count(lambda f: f["over"] is not None),
        "open": count(lambda f: f["over"] is None),
        "open_since": first("at", lambda f: f["over"] is None),
        "hours": total(lambda f: f["hours"]),
        "median_hours": at_quantile("hours", 0.5, lambda f: f["over"] is not None),
        "p90_hours": at_quantile("hours", 0.9, lambda f: f["over"] is not None),
    },
    "ping-pong": {
        "frozen": count(lambda f: f["recent"]),
        "frozen_now": count(lambda f: f["over"] is None),
        "thawed": count(lambda f: f["recent"] and f["over"] is not None),
        "median_hours": at_quantile("hours", 0.5, lambda f: f["recent"]),
        "p90_hours": at_quantile("hours", 0.9, lambda f: f["recent"]),
    },
    "ping-pong/hops": {"opened": count()},
    "ping-pong/pairs": {
        "transfers": count(),
        "there": count(lambda f: f["there"]),
        "back": count(lambda f: not f["there"]),
        "handed_over": each_case(),
        "both_ways": each_case(lambda f: f["both"]),
    },
    "satisfaction": {
        "asked": count(lambda f: f["asked"]),
        "skipped": count(lambda f: not f["asked"]),
        "answered": count(_scored),
        "declined": count(lambda f: f["declined"]),
        "mean_score": mean("score", _scored),
        "median_score": at_quantile("score", 0.5),
        "low": count(lambda f: _scored(f) and f["score"] < LOW_BELOW),
        "share_answered": share(_scored, lambda f: f["asked"]),
        "share_low": share(lambda f: f["score"] < LOW_BELOW, _scored),
    },
    "satisfaction/skips": {"skipped": count()},
    "journeys": {
        "closed": count(),
        "median_hours": at_quantile("hours", 0.5),
        "p90_hours": at_quantile("hours", 0.9),
        "mean_channels": mean("channels"),
        "several_channels": count(lambda f: f["channels"] > 1),
        "mean_team_hops": mean("team_hops"),
        "handed_over": count(lambda f: f["team_hops"] > 0),
        "mean_channel_hops": mean("channel_hops"),
        "switched": count(lambda f: f["channel_hops"] > 0),
        "mean_contacts_in": mean("come"),
        "mean_contacts_out": mean("gone"),
        "reopened": count(lambda f: f["reopened"]),
        "one_contact": count(lambda f: f["come"] == 1 and not f["reopened"]),
        "share_reopened": share(lambda f: f["reopened"], lambda _: True),
        "share_one_contact": share(lambda f: f["come"] == 1 and not f["reopened"], lambda _: True),
    },
}
# What tells the items of a table apart in any case.
OWN: Final[Mapping[str, tuple[str, ...]]] = {
    "service-levels": ("metric",),
    "handoffs": ("kind", "from", "to", "reason"),
    "handoffs/waiting": ("waits_on",),
    "ping-pong": ("trail", "owner"),
    "ping-pong/hops": ("hops",),
    "ping-pong/pairs": ("one", "other"),
    "satisfaction/skips": ("reason",),
}
