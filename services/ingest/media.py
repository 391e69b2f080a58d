"""The fetcher: files that stayed with their provider, brought into the blob store.

A row is claimed under a lease and fetched without a transaction; the bytes are durable before the
event that tells of them is. Whoever dies in between leaves the row to the next, who finds the same
name for the same bytes.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import httpx
import structlog
from prometheus_client import Counter
from sqlalchemy.exc import TimeoutError as PoolTimeout

from services.ingest import media_queries as queries
from services.ingest.media_handlers import told
from services.ingest.media_queries import Ended, Waiting
from services.ingest.media_retries import wait
from shared import outbox
from shared.accounts import Account
from shared.blobs import blob_for
from shared.blobs.sniffing import sniff
from shared.channels import Media
from shared.channels.media import download
from shared.channels.table import provider_of
from shared.database import is_deadlock, transaction
from shared.errors import FetchError, Misconfigured, Unavailable
from shared.events import Attachment
from shared.guard import Guard
from shared.guarded_http import guarded_client
from shared.named_targets import origins_of
from shared.runtime import Runtime
from shared.telemetry import METRICS, describe

LARGEST: Final = 25 * 1024 * 1024  # bytes of one file, unless the account's `max_size` says less
AT_ONCE: Final = 4
_CALL: Final = 90.0  # s, more than an adapter gives itself
_LEASE: Final = timedelta(seconds=180)
_POLL: Final = 0.5
_AWAY: Final = 2.0
_KEPT: Final = timedelta(days=9)  # as long as repeats are recognised
_HOUR: Final = timedelta(hours=1)
_LONGEST: Final = 500  # characters of a reason

_FETCHED: Final = Counter(
    "regie_media_fetches_total",
    "Files asked of their provider, by account and outcome: fetched, again or lost.",
    ("account", "outcome"),
    registry=METRICS,
)
log = structlog.get_logger("media")


class Plain:
    """A file at a plain address of the web."""

    async def fetch(
        self, file: Attachment, account: Account, http: httpx.AsyncClient, most: int
    ) -> bytes:
        """Raises FetchError."""
        return await download(http, file.url, {}, most)


class Fetcher:
    """One process's; any number share the work. `chance`: in [0, 1), for the jitter."""

    def __init__(self, runtime: Runtime, chance: Callable[[], float] = random.random) -> None:
        self._runtime = runtime
        self._chance = chance
        allowed = runtime.settings.allow_private_targets
        # A provider's own API may be where the channels file says; an address that somebody sent
        # is a stranger's, and never private.
        named = origins_of(runtime.accounts.api_bases())
        self._apis = guarded_client(Guard.of(allowed, named))
        self._strangers = guarded_client(Guard.of(allowed))
        self._calls: set[asyncio.Task[None]] = set()
        self._forget_at = runtime.now()

    async def run(self) -> None:
        """Until cancelled. While the database or the blob store is away, files wait."""
        async with self._apis, self._strangers, asyncio.TaskGroup() as group:
            while True:
                try:
                    begun = await self._turn(group)
                except (Unavailable, PoolTimeout) as error:
                    log.warning("files wait", error=describe(error))
                    await asyncio.sleep(_AWAY)
                else:
                    if not begun:
                        await self._rest()

    async def _turn(self, group: asyncio.TaskGroup) -> int:
        """Begins what is due and has room; how many."""
        room = AT_ONCE - len(self._calls)
        if not room:
            return 0
        now = self._runtime.now()
        async with transaction(self._runtime.engine) as connection:
            claimed = await queries.claim(connection, now, _LEASE, room)
            if now >= self._forget_at:
                await queries.forget(connection, now - _KEPT)
                self._forget_at = now + _HOUR
        for waiting in claimed:
            call = group.create_task(self._carry(waiting), name=f"media {waiting.message_id}")
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
        return len(claimed)

    async def _rest(self) -> None:
        """Until a call ended, or a moment."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=_POLL, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(_POLL)

    async def _carry(self, waiting: Waiting) -> None:
        """One file, fetched or not; what cannot be recorded now is done again after the lease."""
        try:
            await self._record(waiting, await self._fetched(waiting))
        except FetchError as error:
            await self._failed(waiting, error)
        except (Unavailable, PoolTimeout) as error:
            log.warning("a file waits", account=waiting.account, error=describe(error))
        except Exception as error:
            if not is_deadlock(error):
                raise

    async def _fetched(self, waiting: Waiting) -> bytes:
        """Raises FetchError, and nothing else of what an adapter may do."""
        account, media, http = self._way(waiting)
        most = min(int(account.settings.get("max_size", LARGEST)), LARGEST)
        try:
            async with asyncio.timeout(_CALL):
                content = await media.fetch(waiting.file, account, http, most)
        except FetchError:
            raise
        except TimeoutError as error:
            raise FetchError("timeout", f"no file within {_CALL:g} s", again=True) from error
        except Exception as error:
            log.exception("an adapter failed", account=account.name)
            raise FetchError("internal", describe(error), again=True) from error
        _check(waiting, content, most)
        return content

    def _way(self, waiting: Waiting) -> tuple[Account, Media, httpx.AsyncClient]:
        account = self._runtime.accounts.get(waiting.account)
        if account is None:
            raise FetchError(
                "no_account", f"there is no account {waiting.account!r} in the channels file"
            )
        try:
            media = provider_of(account).media
        except Misconfigured as error:
            raise FetchError("no_account", str(error)) from error
        if media is not None:
            return account, media, self._apis
        if not waiting.file.url:
            raise FetchError("unsupported", f"{account.provider} files cannot be fetched")
        return account, Plain(), self._strangers

    async def _record(self, waiting: Waiting, content: bytes) -> None:
        blob = await asyncio.to_thread(blob_for, content, waiting.key)
        await self._runtime.blobs.put([(blob.ref, content)])
        kind = sniff(content, waiting.file.content_type)
        await self._end(Ended(waiting, self._runtime.now(), blob, kind))
        _FETCHED.labels(waiting.account, "fetched").inc()

    async def _failed(self, waiting: Waiting, error: FetchError) -> None:
        now, reason = self._runtime.now(), error.reason[:_LONGEST]
        seconds = wait(error, waiting.tries, self._chance())
        outcome = "lost" if seconds is None else "again"
        _FETCHED.labels(waiting.account, outcome).inc()
        log.info("a file was not had", account=waiting.account, code=error.code, outcome=outcome)
        try:
            if seconds is None:
                await self._end(Ended(waiting, now, code=error.code, reason=reason))
                return
            async with transaction(self._runtime.engine) as connection:
                until = now + timedelta(seconds=seconds)
                await queries.postpone(connection, waiting, until, error.code, reason)
        except (Unavailable, PoolTimeout) as away:
            log.warning("a file waits", account=waiting.account, error=describe(away))

    async def _end(self, ended: Ended) -> None:
        async with transaction(self._runtime.engine) as connection:
            if await queries.end(connection, ended):
                await outbox.enqueue(connection, [told(ended)])
        self._runtime.written.set()


def _check(waiting: Waiting, content: bytes, most: int) -> None:
    """Raises FetchError for what is not the file its message named."""
    if len(content) > most:
        raise FetchError("too_large", f"the file is larger than the {most} bytes allowed")
    if not content:
        raise FetchError("empty", "the provider sent no bytes", again=True)
    named = waiting.file.sha256.lower()
    if named and hashlib.sha256(content).hexdigest() != named:
        raise FetchError("changed", "the bytes are not those the provider signed for", again=True)
