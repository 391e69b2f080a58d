"""Who gets on with its work: what readiness shows, and what the watchdog acts on.

A consumer that is silently stuck looks like an idle one. So each group can be asked how much
waits for it, from outside of its own loop; waiting work, dependencies that answer and no progress
together mean that something broke which only a new process mends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Literal

from shared.broker import TopicPartition
from shared.database import is_away
from shared.errors import Stuck, Unavailable

State = Literal["starting", "running", "waiting_dependency", "stopped", "standby"]

STUCK_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 5.0
MEASURE_SECONDS: Final = 15.0

Measure = Callable[[], Awaitable[int]]


async def _nothing() -> int:
    return 0


class GroupProgress:
    """How one group, or the outbox, is doing in this process.

    reason    why it waits or stands still, in words; empty while it runs
    assigned  its partitions here;  stopped: those of them that stand still, and why
    lag       how much waited when it was last measured, in messages
    since     when it came into its state;  moved_at: its last progress (seconds of `clock`)
    measure   counts what waits for it; raises when a dependency does not answer
    """

    def __init__(self, group: str, clock: Callable[[], float]) -> None:
        self.group = group
        self.state: State = "starting"
        self.reason = ""
        self.assigned: frozenset[TopicPartition] = frozenset()
        self.stopped: Mapping[TopicPartition, str] = {}
        self.lag = 0
        self.measure: Measure = _nothing
        self._clock = clock
        self.since = self.moved_at = clock()

    @property
    def still_seconds(self) -> float:
        """How long ago the last progress was."""
        return self._clock() - self.moved_at

    def moved(self) -> None:
        """Work was committed, or there is none: either is progress."""
        self.moved_at = self._clock()

    def owns(
        self, assigned: frozenset[TopicPartition], stopped: Mapping[TopicPartition, str]
    ) -> None:
        """A new assignment, or a new reason to stand still on parts of it."""
        self.assigned, self.stopped = assigned, dict(stopped)
        self.resumed()

    def resumed(self) -> None:
        """Every dependency answers."""
        if not self.assigned:
            self._enter("standby", "")
        elif self.stopped.keys() >= self.assigned:
            self._enter("stopped", next(iter(self.stopped.values())))
        else:
            self._enter("running", "")

    def runs(self) -> None:
        """For work without partitions: it goes on."""
        self._enter("running", "")

    def waits(self, reason: str) -> None:
        """A dependency does not answer, or is not ours to have just now."""
        self._enter("waiting_dependency", reason)

    def _enter(self, state: State, reason: str) -> None:
        if state != self.state:
            self.state, self.since = state, self._clock()
            self.moved()
        self.reason = reason


class Progress:
    """All groups of this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._groups: dict[str, GroupProgress] = {}

    def of(self, group: str) -> GroupProgress:
        if group not in self._groups:
            self._groups[group] = GroupProgress(group, self._clock)
        return self._groups[group]

    def groups(self) -> tuple[GroupProgress, ...]:
        return tuple(self._groups.values())

    def unready(self) -> dict[str, str]:
        """The groups that cannot work now, and why. A stopped one is a person's matter: the
        process goes on serving, and /ops/lag says STOP."""
        words = {"starting": "has not started yet", "waiting_dependency": ""}
        return {
            group.group: group.reason or words[group.state]
            for group in self.groups()
            if group.state in words
        }


async def watch(
    progress: Progress,
    stop: asyncio.Event,
    *,
    limit: float = STUCK_SECONDS,
    every: float = LOOK_SECONDS,
) -> None:
    """Until `stop`. Raises Stuck when a group with waiting work has not moved for `limit` seconds
    although its dependencies answer. Meant to end the process."""
    while not stop.is_set():
        await asyncio.gather(*(look(group, limit) for group in progress.groups()))
        try:
            await asyncio.wait_for(stop.wait(), every)
        except TimeoutError:
            pass


async def look(group: GroupProgress, limit: float) -> None:
    """Measures one group. Raises Stuck as `watch` does."""
    try:
        async with asyncio.timeout(MEASURE_SECONDS):
            group.lag = await group.measure()
    except Exception as error:
        if not (isinstance(error, Unavailable) or is_away(error)):
            raise
        group.moved()  # its thirty seconds begin when the dependency is back
        return
    if group.lag == 0 or group.state in ("waiting_dependency", "standby", "stopped"):
        group.moved()
    elif group.still_seconds > limit:
        raise Stuck(
            f"{group.group} has not moved for {group.still_seconds:.0f} s while {group.lag} "
            f"messages wait and its dependencies answer: the process ends, to be started again"
        )
