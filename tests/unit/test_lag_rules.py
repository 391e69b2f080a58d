"""The rules of /ops/lag as a table: what was seen, and the word for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.broker import TopicPartition
from shared.ops.lag import AtRisk, Seen, horizon, rates, report
from shared.ops.status import Sample, judge, worst

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def seen(
    second: float,
    end: int,
    committed: int | None,
    *,
    start: int = 0,
    moved: float | None = None,
    oldest: float | None = None,
    alive: bool | None = True,
    stopped: str = "",
) -> Sample:
    return Sample(
        at=at(second),
        start=start,
        end=end,
        committed=committed,
        moved_at=None if moved is None else at(moved),
        oldest_at=None if oldest is None else at(oldest),
        alive=alive,
        stopped=stopped,
    )


# --- the numbers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "committed", "lag"),
    [
        (0, 10, 4, 6),
        (0, 10, 10, 0),
        (0, 0, 0, 0),
        (7, 10, 4, 3),  # retention passed the position: what is gone does not wait
        (10, 10, 4, 0),  # retention took everything
        (0, 3, 9, 0),  # the topic was deleted and made again
        (0, 10, None, None),  # no commit is not zero
    ],
)
def test_lag_counts_what_waits_and_is_kept(
    start: int, end: int, committed: int | None, lag: int | None
) -> None:
    assert seen(0, end, committed, start=start).lag == lag


def test_the_age_is_the_oldest_records_own() -> None:
    assert seen(90, 10, 4, oldest=30).lag_seconds == 60
    assert seen(90, 10, 10, oldest=30).lag_seconds == 0
    assert seen(90, 10, None).lag_seconds is None
    assert seen(90, 10, 4, oldest=95).lag_seconds == 0  # clocks differ a little


# --- the words ---------------------------------------------------------------------------------

CASES: list[tuple[str, Sequence[Sample], str]] = [
    ("nothing waits", [seen(0, 5, 5, moved=-9000)], "OK"),
    ("an empty partition", [seen(0, 0, 0, moved=-9000)], "OK"),
    (
        "an idle one for a week",
        [seen(s, 5, 5, moved=-9000) for s in (0, 604_800)],
        "OK",
    ),
    ("no position", [seen(0, 5, None)], "NO_OFFSET"),
    ("no position and nothing to read", [seen(0, 0, None)], "NO_OFFSET"),
    ("a burst just came", [seen(0, 500, 0, moved=-2, oldest=-1)], "OK"),
    (
        "a slow topic's first message in an hour",
        [seen(0, 6, 5, moved=-3600, oldest=-1)],
        "OK",
    ),
    (
        "stopped a moment short of thirty seconds",
        [seen(29.9, 6, 5, moved=-60, oldest=0, alive=False)],
        "OK",
    ),
    (
        "stopped for thirty seconds with one message waiting",
        [seen(30, 6, 5, moved=-60, oldest=0, alive=False)],
        "STOP",
    ),
    ("nobody knows of a consumer", [seen(31, 6, 5, moved=0, oldest=0, alive=None)], "STOP"),
    ("alive and not moving", [seen(31, 6, 5, moved=0, oldest=0)], "STALL"),
    (
        "the position moved, though not enough",
        [seen(31, 600, 5, moved=20, oldest=0)],
        "OK",
    ),
    ("gave up on poison", [seen(0, 6, 5, moved=0, stopped="21 dead letters in a row")], "STOP"),
    (
        "gave up, and nothing waits",
        [seen(0, 5, 5, moved=0, stopped="21 dead letters in a row")],
        "STOP",
    ),
    ("the position is above the end", [seen(0, 3, 9, moved=0)], "STOP"),
    ("the position is below the start", [seen(0, 30, 4, start=7, moved=0, oldest=0)], "STOP"),
    (
        "without moved_at, the samples tell",
        [seen(s, 9, 5, oldest=0) for s in (0, 10, 20, 31)],
        "STALL",
    ),
    (
        "old, growing for five minutes",
        [seen(s, 100 + s, s // 2, moved=s, oldest=s / 2 - 60) for s in range(0, 301, 10)],
        "WARN",
    ),
    (
        "old, but shrinking",
        [seen(s, 1000, 2 * s, moved=s, oldest=s - 90) for s in range(0, 301, 10)],
        "OK",
    ),
    (
        "one dip does not hide growth",
        [
            seen(s, 1000 + 10 * s, 9 * s if s != 150 else 9 * s + 400, moved=s, oldest=-100)
            for s in range(0, 301, 10)
        ],
        "WARN",
    ),
    (
        "a thousand waiting, none of them old",
        [seen(s, 1000 + 100 * s, 100 * s, moved=s, oldest=s - 10) for s in range(0, 301, 10)],
        "OK",
    ),
    ("old, and we only just started looking", [seen(0, 9, 5, moved=-1, oldest=-300)], "WARN"),
    (
        "a long commit interval",
        [seen(s, 10 + s, (s // 25) * 25, moved=(s // 25) * 25, oldest=(s // 25) * 25)
         for s in range(0, 60, 5)],
        "OK",
    ),
    (
        "back after a stop",
        [*(seen(s, 100, 5, moved=-60, oldest=0) for s in (0, 20, 40)),
         seen(50, 100, 40, moved=49, oldest=0)],
        "OK",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("words", "samples", "status"), CASES, ids=[case[0] for case in CASES])
def test_the_status(words: str, samples: Sequence[Sample], status: str) -> None:
    judged = judge(samples)
    assert judged.status == status, judged.reason
    assert judged.reason


def test_a_reason_has_the_evidence_in_it() -> None:
    judged = judge([seen(45, 6, 5, moved=-60, oldest=0, alive=False)])
    assert judged.since == at(0)
    assert "1 wait" in judged.reason
    assert "45 s" in judged.reason


@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.none() | st.integers(0, 60), st.integers(0, 40)),
        min_size=1,
        max_size=20,
    ),
    st.booleans(),
)
def test_any_history_has_a_word(history: list[tuple[int, int | None, int]], alive: bool) -> None:
    samples = [
        seen(10 * n, max(end, start), committed, start=start, moved=0, oldest=0, alive=alive)
        for n, (end, committed, start) in enumerate(history)
    ]
    judged = judge(samples)
    assert judged.reason
    assert judged.status != "OK" or samples[-1].committed is not None


def test_a_group_is_as_its_worst_partition() -> None:
    assert worst(["OK", "STOP", "WARN"]) == "STOP"
    assert worst(["OK", "NO_OFFSET"]) == "NO_OFFSET"
    assert worst(["STALL", "NO_OFFSET"]) == "STALL"
    assert worst([]) == "OK"


# --- pace and report ---------------------------------------------------------------------------


def test_the_pace_and_the_time_to_drain() -> None:
    pace = rates([seen(0, 100, 0), seen(30, 160, 90), seen(60, 220, 180)])
    assert (pace.produced, pace.consumed) == (2.0, 3.0)
    assert pace.eta == 40.0


def test_without_gain_there_is_no_time_to_drain() -> None:
    assert rates([seen(0, 100, 0), seen(60, 220, 60)]).eta is None
    assert rates([seen(0, 100, 0)]).eta is None
    assert rates([seen(0, 100, 100)]).eta == 0.0


def test_the_horizon_is_how_far_the_lag_reaches() -> None:
    tp = TopicPartition("messages.received", 0)
    idle = Seen("g", tp, [seen(0, 5, 5)])
    behind = Seen("g", tp, [seen(0, 100, 0, oldest=-20), seen(60, 100, 60, oldest=-20)])
    assert horizon([idle]) == timedelta(0)
    assert horizon([idle, behind]) == timedelta(seconds=80)


def test_the_report_has_the_public_shape() -> None:
    group = [
        Seen("regie.router", TopicPartition("messages.received", n), [seen(40, 6, 5 + n % 2)])
        for n in (1, 0)
    ]
    risk = [AtRisk("parcels", "whatsapp", 3, at(99))]
    found = report([*group, Seen("regie.a", TopicPartition("x", 0), [seen(0, 1, None)])], risk)
    assert [each["group"] for each in found["groups"]] == ["regie.a", "regie.router"]
    assert found["groups"][0]["status"] == "NO_OFFSET"
    [topic] = found["groups"][1]["topics"]
    assert topic["topic"] == "messages.received"
    first = topic["partitions"][0]
    wanted = {
        "partition", "start", "end", "committed", "kafka_committed", "lag", "lag_seconds",
        "status", "reason", "since", "owner", "produced_per_second", "consumed_per_second",
        "eta_seconds",
    }  # fmt: skip
    assert set(first) == wanted
    assert [part["partition"] for part in topic["partitions"]] == [0, 1]
    assert found["deadlines_at_risk"] == [
        {"team": "parcels", "channel": "whatsapp", "count": 3, "earliest": at(99)}
    ]
