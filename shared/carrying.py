"""One batch through one transaction; and, where it fails, the search for the event that is to
blame, so that poison does not stop the line.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, MutableMapping, Sequence
from itertools import groupby
from typing import Any, Final

import structlog

from shared import outbox, positions
from shared.broker import Message, Record, TopicPartition
from shared.database import is_away, is_deadlock, transaction
from shared.errors import Fenced, RegieError, Unavailable, Unreadable
from shared.positions import Move, Position
from shared.progress import GroupProgress
from shared.runtime import Runtime, Subscription
from shared.telemetry import describe
from shared.topics import DEAD_LETTER_TOPICS, dead_letters_of

TRIES: Final = 3
DEADLOCK_TRIES: Final = 2
IN_A_ROW: Final = 20
STOP_SECONDS: Final = 10.0

log = structlog.get_logger("consume")


class Stopping(Exception):
    """The process stops; what was not committed is left to the next one."""


class TooManyDeadLetters(RegieError):
    """So many in a row that the fault is more likely ours than theirs."""


def is_dependency(error: BaseException) -> bool:
    """Whether waiting helps. A file that is not there is no outage."""
    if isinstance(error, FileNotFoundError | FileExistsError | PermissionError):
        return False
    return isinstance(error, Unavailable) or is_away(error)


class Patience:
    """Waits 0.1 s, then twice as long each time, at most 5 s; less when the process stops."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop
        self._seconds = 0.1

    async def wait(self) -> None:
        seconds, self._seconds = self._seconds, min(2 * self._seconds, 5.0)
        try:
            await asyncio.wait_for(self._stop.wait(), seconds * random.uniform(0.7, 1.0))
        except TimeoutError:
            pass

    def restored(self) -> None:
        self._seconds = 0.1


class Carrier:
    """Carries the records of one consumer; `places` are its positions, moved with each commit."""

    def __init__(
        self,
        runtime: Runtime,
        subscription: Subscription,
        places: MutableMapping[TopicPartition, Position],
        progress: GroupProgress,
        stop: asyncio.Event,
    ) -> None:
        self._runtime = runtime
        self._subscription = subscription
        self._places = places
        self._progress = progress
        self._stop = stop
        self._condemned: dict[tuple[TopicPartition, int], str] = {}
        self._in_a_row = 0

    async def carry(self, records: Sequence[Record], tries: int = TRIES) -> None:
        """Returns once each record is handled or a dead letter, committed with its position.

        Raises Fenced, TooManyDeadLetters, and Stopping when told to stop before the end.
        """
        tries = TRIES if len(records) == 1 else tries
        error = await self._try(records, tries)
        if error is None:
            return
        if len(records) > 1:
            middle = len(records) // 2
            await self.carry(records[:middle], tries=1)
            await self.carry(records[middle:], tries=1)
            return
        self._condemn(records[0], error)
        await self.carry(records)
        self._condemned.clear()

    async def _try(self, records: Sequence[Record], tries: int) -> Exception | None:
        """None when committed, otherwise the error because of which it should be halved."""
        failures = deadlocks = 0
        patience = Patience(self._stop)
        while not self._stop.is_set():
            try:
                await unbroken(self._commit(records), self._stop)
            except (Fenced, TooManyDeadLetters):
                raise
            except Exception as error:
                if is_deadlock(error):
                    deadlocks += 1
                    self._progress.moved()
                    if deadlocks >= DEADLOCK_TRIES and len(records) > 1:
                        return error
                elif is_dependency(error):
                    log.warning("waiting", group=self._subscription.group, error=describe(error))
                    self._progress.waits(describe(error))
                else:
                    failures += 1
                    log.warning("batch failed", size=len(records), **self._words(error))
                    if failures >= tries:
                        return error
                await patience.wait()
            else:
                self._runtime.written.set()
                self._progress.resumed()
                self._progress.moved()
                return None
        raise Stopping

    async def _commit(self, records: Sequence[Record]) -> None:
        sorted_out = self._sort(records)
        handled = [item for item, letter in sorted_out if letter is None]
        letters = [letter for _, letter in sorted_out if letter is not None]
        moves = self._moves(records[: len(sorted_out)])
        if moves:
            async with transaction(self._runtime.engine) as conn:
                cluster = self._runtime.broker.cluster
                await positions.advance(conn, self._subscription.group, cluster, moves)
                if handled:
                    await self._subscription.handle(conn, handled)
                if letters:
                    await outbox.enqueue(conn, letters)
        for tp, move in moves.items():
            self._places[tp] = Position(move.new, move.epoch)
        for _, letter in sorted_out:
            self._in_a_row = self._in_a_row + 1 if letter else 0
        if len(sorted_out) < len(records):
            at = records[len(sorted_out)]
            row, self._in_a_row = self._in_a_row, 0
            raise TooManyDeadLetters(
                f"{row} in a row before {at.topic}/{at.partition} {at.offset}. `regie dead-letters"
                " list` says why; mend that, then `regie positions resume "
                f"{self._subscription.group}` or a restart, and replay the letters; `regie "
                "positions set` passes over them"
            )

    def _sort(self, records: Sequence[Record]) -> list[tuple[Any, Message | None]]:
        """What each record is: an item to handle, or a dead letter. Ends where these are too many
        in a row."""
        found: list[tuple[Any, Message | None]] = []
        row = self._in_a_row
        for record in records:
            item, reason = None, None
            if self._condemned:
                reason = self._condemned.get((record.tp, record.offset))
            if reason is None:
                try:
                    item = self._subscription.decode(record)
                except Unreadable as error:
                    reason = str(error)
            row = row + 1 if reason is not None else 0
            if row > IN_A_ROW or (reason is not None and record.topic in DEAD_LETTER_TOPICS):
                break
            found.append((item, None if reason is None else dead_letter(record, reason)))
        return found

    def _moves(self, records: Sequence[Record]) -> dict[TopicPartition, Move]:
        lasts = {tp: list(run)[-1] for tp, run in groupby(records, key=lambda record: record.tp)}
        return {
            tp: Move(at.next, last.offset + 1, at.epoch, last.timestamp)
            for tp, last in sorted(lasts.items())
            for at in (self._places[tp],)
        }

    def _condemn(self, record: Record, error: Exception) -> None:
        place = (record.tp, record.offset)
        if place in self._condemned:
            raise error  # not the event but the dead letter itself fails
        log.error("dead letter", **self._words(error), offset=record.offset)
        self._condemned[place] = describe(error)

    def _words(self, error: Exception) -> dict[str, str]:
        return {"group": self._subscription.group, "error": describe(error)}


def dead_letter(record: Record, reason: str) -> Message:
    """The record as it was, in the topic's dead-letter twin, with where it stood and why."""
    headers = (
        *record.headers,
        ("dlq_reason", reason.encode()),
        ("dlq_topic", record.topic.encode()),
        ("dlq_partition", str(record.partition).encode()),
        ("dlq_offset", str(record.offset).encode()),
    )
    return Message(dead_letters_of(record.topic), record.key, record.value, headers)


async def unbroken(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> None:
    """Runs work that holds a transaction. Neither a cancellation nor `stop` breaks into it: it
    has 10 s to end by itself. A cancelled transaction can leave its connection, and its locks,
    behind."""
    task = asyncio.create_task(work)
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
        if not task.done():
            await asyncio.wait({task}, timeout=STOP_SECONDS)
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=STOP_SECONDS)
    if task.cancelled():
        raise Stopping
    task.result()
