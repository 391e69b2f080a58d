"""What open pages are shown: one loop a process looks for all of them, not one each.

PostgreSQL's NOTIFY says that a session changed; who misses it, or is told nothing, finds out by
looking twice a second. A look is one statement for all sessions, and one for their new lines.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import structlog
from prometheus_client import Gauge
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.chat_frames import end_frame, line_frame, read_frame, typing_frame
from services.ingest.chat_store import LINES, line_of
from shared.chat import HINT
from shared.database import driver, is_deadlock, transaction
from shared.errors import Unavailable
from shared.sessions import AWAY, Session, close_session, open_session
from shared.telemetry import METRICS, describe

POLL_SECONDS: Final = 0.5
SEEN_SECONDS: Final = 15.0
MOST_WAITING: Final = 500  # frames a page that does not read may let lie
_TOGETHER_SECONDS: Final = 0.02  # what changes within it is looked up at once
_AWAY_SECONDS: Final = 1.0
_LINES_AT_ONCE: Final = 100
_STREAMS: Final = Gauge(
    "regie_chat_streams", "Web chats open in a page, by their streams here.", registry=METRICS
)

log = structlog.get_logger("ingest")


@dataclass(eq=False, slots=True)
class Watcher:
    """One open page. `cursor`: the last line it was given; `frames`: what it has yet to be sent.

    ended  nothing follows the frames any more
    """

    session: UUID
    address: str
    cursor: int
    frames: deque[bytes] = field(default_factory=deque)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    ended: bool = False
    rev: int = -1
    read: int = -1
    typing_until: datetime | None = None

    def give(self, *frames: bytes) -> None:
        self.frames.extend(frames)
        if len(self.frames) > MOST_WAITING:
            self.ended = True  # it comes again, and says what it has
        self.wake.set()

    def end(self) -> None:
        self.ended = True
        self.wake.set()


class Feed:
    """The open pages of this process. `hints` False: by looking alone."""

    def __init__(
        self,
        engine: AsyncEngine,
        now: Callable[[], datetime],
        *,
        hints: bool = True,
        poll: float = POLL_SECONDS,
    ) -> None:
        self._engine = engine
        self._now = now
        self._hints = hints
        self._poll = poll
        self._watchers: dict[UUID, set[Watcher]] = defaultdict(set)
        self._addresses: Counter[str] = Counter()
        self._nudge = asyncio.Event()
        self._stopping: asyncio.Event | None = None
        self._session: Session | None = None
        self._seen_again = 0.0

    def count(self, session: UUID) -> int:
        return len(self._watchers.get(session, ()))

    def from_address(self, address: str) -> int:
        return self._addresses[address]

    @contextmanager
    def watching(self, watcher: Watcher, stopping: asyncio.Event) -> Iterator[None]:
        """`stopping`: once it is set, every page's stream ends."""
        self._stopping = stopping
        self._watchers[watcher.session].add(watcher)
        self._addresses[watcher.address] += 1
        self._seen_again = 0.0
        self._nudge.set()
        _STREAMS.inc()
        try:
            yield
        finally:
            _STREAMS.dec()
            self._watchers[watcher.session].discard(watcher)
            if not self._watchers[watcher.session]:
                del self._watchers[watcher.session]
            self._addresses[watcher.address] -= 1
            if not self._addresses[watcher.address]:
                del self._addresses[watcher.address]

    async def run(self) -> None:
        """Until cancelled. While nobody looks at a chat, it asks for nothing."""
        try:
            while True:
                if not self._watchers:
                    await self._nudge.wait()
                await self._turn()
        finally:
            await close_session(self._session)

    async def _turn(self) -> None:
        self._nudge.clear()
        if self._stopping is not None and self._stopping.is_set():
            self._end_all()
        try:
            await self._listen()
            more = await self._look()
        except (Unavailable, PoolTimeout, TimeoutError, *AWAY) as error:
            log.warning("chats wait", error=describe(error))
            await asyncio.sleep(_AWAY_SECONDS)
            return
        except Exception as error:
            if not is_deadlock(error):
                raise
            return
        if not more:
            await self._rest()

    async def _listen(self) -> None:
        if not self._hints or (self._session is not None and not self._session.is_closed()):
            return
        session = await open_session(self._engine.url, "regie-chat")
        await session.add_listener(HINT, self._heard)
        self._session = session

    def _heard(self, _connection: object, _pid: int, _channel: str, session: object) -> None:
        try:
            known = UUID(str(session)) in self._watchers
        except ValueError:
            return
        if known:
            self._nudge.set()

    async def _rest(self) -> None:
        """Until there is a hint, or this long."""
        await asyncio.sleep(_TOGETHER_SECONDS)
        try:
            async with asyncio.timeout(self._poll):
                await self._nudge.wait()
        except TimeoutError:
            pass

    def _end_all(self) -> None:
        for watcher in [w for each in self._watchers.values() for w in each]:
            watcher.end()

    async def _look(self) -> bool:
        """Gives every page what is new to it; whether there is more at once."""
        # Who comes while we look was not asked about: the next look is theirs.
        asked = {session: list(watchers) for session, watchers in self._watchers.items()}
        if not asked:
            return False
        now = self._now()
        async with transaction(self._engine) as connection:
            raw = await driver(connection)
            rows = await raw.fetch(_STATES, list(asked))
            states = {row["id"]: row for row in rows}
            new = _behind(asked, states)
            lines = await raw.fetch(LINES, list(new), list(new.values()), _LINES_AT_ONCE)
            if time.monotonic() >= self._seen_again:
                await raw.execute(_SEEN, list(states), now)
                self._seen_again = time.monotonic() + SEEN_SECONDS
        by_session: dict[UUID, list[Any]] = defaultdict(list)
        for row in lines:
            by_session[row["session_id"]].append(row)
        cut = {id for id, rows in by_session.items() if len(rows) == _LINES_AT_ONCE}
        for session, watchers in asked.items():
            if (state := states.get(session)) is None:
                for watcher in watchers:
                    watcher.end()
            else:
                _show(watchers, state, by_session.get(session, ()), session in cut, now)
        return bool(cut)


def _behind(asked: Mapping[UUID, Sequence[Watcher]], states: Mapping[UUID, Any]) -> dict[UUID, int]:
    """Sessions with something new, and the line after which their pages look on."""
    return {
        id: min(watcher.cursor for watcher in asked[id])
        for id, state in states.items()
        if any(watcher.rev != state["rev"] for watcher in asked[id])
    }


def _show(
    watchers: Sequence[Watcher], state: Any, rows: Sequence[Any], cut: bool, now: datetime
) -> None:
    """`cut`: there are more lines than these."""
    frames = [(row["n"], line_frame(line_of(row))) for row in rows]
    over = state["ended_at"] is not None or state["expires_at"] <= now
    for watcher in watchers:
        if watcher.rev != state["rev"]:
            _tell(watcher, state, frames, now)
            watcher.rev = -1 if cut else state["rev"]
        if over and not cut and not watcher.ended:
            watcher.give(end_frame())
            watcher.end()


def _tell(watcher: Watcher, state: Any, frames: Sequence[tuple[int, bytes]], now: datetime) -> None:
    new = [frame for n, frame in frames if n > watcher.cursor]
    if new:
        watcher.cursor = frames[-1][0]
        watcher.give(*new)
    if watcher.read != state["read"] and watcher.cursor >= state["read"]:
        watcher.read = state["read"]
        watcher.give(read_frame(watcher.read))
    until = state["agent_typing_until"]
    if until is not None and until > now and until != watcher.typing_until:
        watcher.give(typing_frame(until))
    watcher.typing_until = until


_STATES: Final = """
SELECT id, rev, read, agent_typing_until, ended_at, expires_at FROM chat_sessions
WHERE id = ANY($1)
"""
_SEEN: Final = """
UPDATE chat_sessions SET seen_at = $2 WHERE id IN (
    SELECT id FROM chat_sessions WHERE id = ANY($1) ORDER BY id FOR UPDATE SKIP LOCKED)
"""
