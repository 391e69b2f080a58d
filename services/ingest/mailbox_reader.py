"""One account's mailbox, for as long as the process lives: wait for mail, take it in, mark it.

The mark comes only after the events are durable. A crash between the two takes a mail in again,
under the same ids, which is known further on (DESIGN 5.2).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from services.ingest.apart import Apart
from services.ingest.mailbox_pauses import Attempts, Key, pause_after
from services.ingest.mailbox_rows import began
from services.ingest.mailbox_taking import Taking
from services.ingest.turns import Turns
from shared.accounts import Account
from shared.channels.email.imap import Mailbox
from shared.channels.email.imap_connection import MailboxUnavailable
from shared.channels.email.imap_settings import Waiting, groups
from shared.errors import Unavailable
from shared.telemetry import describe, trouble

_STANDBY: Final = 2.0  # seconds between two looks whether it is our turn
_LISTEN: Final = 5.0  # seconds of listening, then another such look
_RENEW: Final = 540.0  # seconds; servers end IDLE after 30 minutes, many routers after 10
_FAREWELL: Final = 5.0  # seconds that mails in hand get when the process ends
_PORTION: Final = 200  # mails whose sizes are asked for at once

log = structlog.get_logger("ingest")


class MailboxReader:
    """`pause` tells how long to wait after a failure (code, failures in a row)."""

    def __init__(
        self,
        account: Account,
        taking: Taking,
        turns: Turns,
        engine: AsyncEngine,
        pause: Callable[[str, int], float] = pause_after,
    ) -> None:
        self._account, self._taking, self._turns, self._engine = account, taking, turns, engine
        self._pause = pause
        self._attempts = Attempts()
        self._done: set[Key] = set()  # marked, whatever the server makes of marks
        self._failures = 0

    async def run(self) -> None:
        """Reads until cancelled. What goes wrong outside is waited out."""
        while True:
            try:
                # The process whose turn it is tells nobody when it ends.
                while not await self._turns.mine(self._account.name):  # noqa: ASYNC110
                    await asyncio.sleep(_STANDBY * random.uniform(0.5, 1.5))
                await self._session()
            except Unavailable as error:
                await self._wait_after(error)

    async def _wait_after(self, error: Unavailable) -> None:
        code = error.code if isinstance(error, MailboxUnavailable) else "delayed"
        self._failures += 1
        seconds = self._pause(code, self._failures) * random.uniform(0.8, 1.2)
        tell = log.warning if code in ("unreachable", "delayed") else log.error
        tell("a mailbox is not read", account=self._account.name, trouble=code,
             error=describe(error), again_in=round(seconds, 1))  # fmt: skip
        trouble(self._account.name, code)
        await asyncio.sleep(seconds)

    async def _session(self) -> None:
        """One connection, until it is no longer our turn."""
        thread = Apart(f"mailbox {self._account.name}")
        box: Mailbox | None = None
        try:
            box = await thread.call(Mailbox.open, self._account)
            log.info("mailbox open", account=self._account.name, validity=box.validity,
                     keywords=box.keywords, idles=box.idles)  # fmt: skip
            await self._read(_Line(thread, box))
        finally:
            if box is not None:
                box.cut()
            thread.end(box.close if box is not None else None)

    async def _read(self, line: _Line) -> None:
        await self._begin(line)
        while await self._turns.mine(self._account.name):
            keys = [(line.box.validity, uid) for uid in await line.call(line.box.waiting)]
            self._done.intersection_update(keys)
            new = [key for key in keys if key not in self._done]
            went_in = [
                await self._portion(line, new[start : start + _PORTION])
                for start in range(0, len(new), _PORTION)
            ]
            self._failures = 0
            trouble(self._account.name, "")
            if not any(went_in):
                await self._rest(line)

    async def _portion(self, line: _Line, keys: Sequence[Key]) -> bool:
        """Whether any of it went in. What the server names and does not give is given up at last,
        so that it is neither lost from sight nor asked for for ever."""
        hopeless = [key for key in keys if self._attempts.hopeless(key)]
        for key in hopeless:
            await _to_its_end(self._give_up(line, key))
        wanted = [uid for validity, uid in keys if (validity, uid) not in hopeless]
        mails = await line.call(line.box.sizes, wanted)
        self._missed(line, set(wanted) - {mail.uid for mail in mails})
        suspects = [uid for uid in wanted if self._attempts.suspect((line.box.validity, uid))]
        went_in = len(hopeless)
        for group in groups(mails, alone=suspects):
            went_in += await _to_its_end(self._take(line, group))
        return went_in > 0

    async def _begin(self, line: _Line) -> None:
        """Puts aside what was there before Regie and is nobody's question any more.

        Without a mark in the folder it is either the first connection, or the mailbox has lost its
        marks; then the account's first message tells when Regie began."""
        start = line.box.settings.start
        if start == "all" or await line.call(line.box.taken_before):
            return
        since = await began(self._engine, self._account.name)
        old = await line.call(line.box.older, since, seen=start == "unseen")
        await line.call(line.box.put_aside, old)
        log.info("mails put aside", account=self._account.name, count=len(old), first=since is None)

    async def _take(self, line: _Line, group: Sequence[Waiting]) -> int:
        """How many mails of the group are durable and marked now."""
        keys = [(line.box.validity, mail.uid) for mail in group]
        try:
            mails = await line.call(line.box.fetch, group)
        except MailboxUnavailable as error:
            self._attempts.failed(keys, error.code)
            raise
        taken = await self._taking.take(mails)
        await line.call(line.box.mark, taken.uids, visibly=taken.odd)
        done = [(line.box.validity, uid) for uid in taken.uids]
        self._done.update(done)
        self._attempts.done(done)
        self._missed(line, {mail.uid for mail in group} - set(taken.uids))
        return len(done)

    async def _give_up(self, line: _Line, key: Key) -> int:
        _, uid = key
        await self._taking.give_up(line.box.settings.folder, *key)
        await line.call(line.box.mark, [uid], visibly=[uid])
        self._done.add(key)
        self._attempts.done([key])
        return 1

    def _missed(self, line: _Line, uids: Iterable[int]) -> None:
        self._attempts.failed(((line.box.validity, uid) for uid in uids), "protocol")

    async def _rest(self, line: _Line) -> None:
        """Until there may be new mail, or it is time to look anyhow."""
        box = line.box
        if not box.idles:
            await asyncio.sleep(box.settings.every)
            return
        clock = asyncio.get_running_loop().time
        until = clock() + _RENEW
        told = await line.call(box.listen)
        while not told and clock() < until and await self._turns.mine(self._account.name):
            told = await line.call(box.heard, _LISTEN)
        await line.call(box.listen_no_more)


class _Line:
    """An open mailbox and the thread that speaks to it."""

    def __init__(self, thread: Apart, box: Mailbox) -> None:
        self.call = thread.call
        self.box = box


async def _to_its_end(work: Awaitable[int]) -> int:
    """Cancelled, it still gets a moment: what is durable should be marked too."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=_FAREWELL)
        task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await task
        raise
