"""The lag report: what DESIGN 6 promises at `/ops/lag`, made of samples. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Final

from shared.broker import TopicPartition
from shared.ops.status import Sample, Status, judge, worst

RATE_WINDOW: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Seen:
    """One partition of one group: its samples, oldest first, and what else is known of it."""

    group: str
    tp: TopicPartition
    samples: Sequence[Sample]
    kafka_committed: int | None = None
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Rates:
    """Records a second over the last minute; `eta` is how many seconds until nothing waits, at
    this pace: None when it never comes to that."""

    produced: float | None = None
    consumed: float | None = None
    eta: float | None = None


@dataclass(frozen=True, slots=True)
class AtRisk:
    """Replies that will be late: how many deadlines of a team on a channel, and the first."""

    team: str
    channel: str
    count: int
    earliest: datetime


def rates(samples: Sequence[Sample]) -> Rates:
    now = samples[-1]
    window = [sample for sample in samples if sample.at >= now.at - RATE_WINDOW]
    first = window[0]
    seconds = (now.at - first.at).total_seconds()
    if seconds <= 0 or now.committed is None or first.committed is None:
        return Rates(eta=0.0 if now.lag == 0 else None)
    produced = max(now.end - first.end, 0) / seconds
    consumed = max(now.committed - first.committed, 0) / seconds
    gain = consumed - produced
    if not now.lag:
        return Rates(produced, consumed, 0.0)
    return Rates(produced, consumed, now.lag / gain if gain > 0 else None)


def report(seen: Sequence[Seen], at_risk: Sequence[AtRisk]) -> dict[str, Any]:
    """`/ops/lag`, whole."""
    ordered = sorted(seen, key=lambda each: (each.group, each.tp))
    groups = [
        _group(name, list(members)) for name, members in groupby(ordered, lambda each: each.group)
    ]
    return {
        "groups": groups,
        "deadlines_at_risk": [
            {
                "team": each.team,
                "channel": each.channel,
                "count": each.count,
                "earliest": each.earliest,
            }
            for each in at_risk
        ],
    }


def horizon(seen: Sequence[Seen]) -> timedelta:
    """How far ahead the present lag reaches: what falls due within it may be answered late.

    The longer of the oldest waiting record's age and the time to drain; zero without lag.
    """
    reach = 0.0
    for each in seen:
        if each.samples[-1].lag:
            age = each.samples[-1].lag_seconds or 0.0
            reach = max(reach, age, rates(each.samples).eta or 0.0)
    return timedelta(seconds=reach)


def _group(name: str, members: Sequence[Seen]) -> dict[str, Any]:
    topics = [
        {"topic": topic, "partitions": [_partition(each) for each in partitions]}
        for topic, partitions in groupby(members, lambda each: each.tp.topic)
    ]
    statuses: list[Status] = [judge(each.samples).status for each in members]
    return {"group": name, "status": worst(statuses), "topics": topics}


def _partition(seen: Seen) -> Mapping[str, Any]:
    now, judged, pace = seen.samples[-1], judge(seen.samples), rates(seen.samples)
    return {
        "partition": seen.tp.partition,
        "start": now.start,
        "end": now.end,
        "committed": now.committed,
        "kafka_committed": seen.kafka_committed,
        "lag": now.lag,
        "lag_seconds": _rounded(now.lag_seconds),
        "status": judged.status,
        "reason": judged.reason,
        "since": judged.since,
        "owner": seen.owner,
        "produced_per_second": _rounded(pace.produced),
        "consumed_per_second": _rounded(pace.consumed),
        "eta_seconds": _rounded(pace.eta),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
