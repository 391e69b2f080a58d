"""Readiness and the watchdog: what counts as stuck, and what does not."""

from __future__ import annotations

import asyncio

import pytest

from shared.broker import TopicPartition
from shared.errors import BrokerUnavailable, DatabaseUnavailable, Stuck
from shared.progress import GroupProgress, Progress, State, look, watch

TP = TopicPartition("messages.received", 0)
OTHER = TopicPartition("messages.received", 1)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Work:
    """What a group has to do, and whether its dependencies answer."""

    def __init__(self, waiting: int) -> None:
        self.waiting = waiting
        self.error: Exception | None = None

    async def measure(self) -> int:
        if self.error is not None:
            raise self.error
        return self.waiting


@pytest.fixture
def clock() -> Clock:
    return Clock()


def running(clock: Clock, work: Work) -> GroupProgress:
    group = Progress(clock).of("router")
    group.measure = work.measure
    group.owns(frozenset({TP}), {})
    return group


async def test_waiting_work_without_progress_is_stuck_after_thirty_seconds(clock: Clock) -> None:
    group = running(clock, Work(3))
    clock.now += 30
    await look(group, 30)
    clock.now += 1
    with pytest.raises(Stuck, match="router has not moved for 31 s while 3 messages wait"):
        await look(group, 30)
    assert group.lag == 3


async def test_progress_starts_the_count_anew(clock: Clock) -> None:
    group = running(clock, Work(3))
    for _ in range(10):
        clock.now += 20
        group.moved()
        await look(group, 30)


async def test_an_idle_group_is_never_stuck(clock: Clock) -> None:
    work = Work(0)
    group = running(clock, work)
    for _ in range(10):
        clock.now += 3_600
        await look(group, 30)
    work.waiting = 1  # its thirty seconds begin now
    clock.now += 29
    await look(group, 30)


@pytest.mark.parametrize(
    "error", [BrokerUnavailable("away"), DatabaseUnavailable("away"), OSError("away")]
)
async def test_an_outage_is_no_standstill(clock: Clock, error: Exception) -> None:
    work = Work(3)
    group = running(clock, work)
    work.error = error
    for _ in range(10):
        clock.now += 3_600
        await look(group, 30)
    work.error = None
    clock.now += 29
    await look(group, 30)
    clock.now += 2
    with pytest.raises(Stuck):
        await look(group, 30)


async def test_a_mistake_in_measuring_is_not_taken_for_an_outage(clock: Clock) -> None:
    work = Work(3)
    work.error = KeyError("router")
    with pytest.raises(KeyError):
        await look(running(clock, work), 30)


@pytest.mark.parametrize("state", ["waiting_dependency", "standby", "stopped"])
async def test_who_has_a_reason_to_stand_still_is_not_stuck(clock: Clock, state: State) -> None:
    group = running(clock, Work(3))
    if state == "waiting_dependency":
        group.waits("the blob store is full")
    else:
        group.owns(frozenset({TP}) if state == "stopped" else frozenset(), {TP: "it is lost"})
    assert group.state == state
    clock.now += 3_600
    await look(group, 30)


async def test_the_watch_ends_with_stuck_and_with_the_stop(clock: Clock) -> None:
    progress = Progress(clock)
    group = progress.of("router")
    group.measure = Work(1).measure
    group.owns(frozenset({TP}), {})
    clock.now += 31
    with pytest.raises(Stuck):
        await watch(progress, asyncio.Event())
    stop = asyncio.Event()
    stop.set()
    await watch(progress, stop)


def test_readiness_names_who_cannot_work_and_why(clock: Clock) -> None:
    progress = Progress(clock)
    one, two, three = progress.of("one"), progress.of("two"), progress.of("three")
    assert progress.unready() == dict.fromkeys(("one", "two", "three"), "has not started yet")
    one.owns(frozenset({TP}), {})
    two.waits("PostgreSQL does not answer")
    three.owns(frozenset({TP, OTHER}), {TP: "it is lost"})
    assert progress.unready() == {"two": "PostgreSQL does not answer"}
    two.resumed()
    assert (two.state, progress.unready()) == ("standby", {})
    assert three.state == "running"
    three.owns(frozenset({TP, OTHER}), {TP: "it is lost", OTHER: "too"})
    assert (three.state, three.reason) == ("stopped", "it is lost")
    assert progress.of("one") is one
    assert progress.groups() == (one, two, three)
