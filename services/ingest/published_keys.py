"""Public keys that providers publish: fetched before a verifier needs them, kept, never trusted
longer than they are fresh.

A stranger may name any key: so each account has a bound on how often it may make us ask, and what
we hold already is served all the same.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from weakref import WeakValueDictionary

from services.ingest.fetching import Client, fetch
from shared.channels import KeySource
from shared.errors import ProviderUnavailable

LIMIT: Final = 3.0  # seconds for one document; providers wait 10 to 15 for our answer
AGAIN: Final = timedelta(seconds=60)  # until a list that lacks a key is asked for again
MOST: Final = 10  # fetches a minute for one account
_MINUTE: Final = timedelta(minutes=1)
_LARGEST: Final = 1024 * 1024  # bytes of a document
_KEPT: Final = 200  # documents


@dataclass(frozen=True, slots=True)
class _Held:
    keys: Mapping[str, Any]
    read_at: datetime

    def serves(self, source: KeySource, now: datetime) -> bool:
        age = now - self.read_at
        return age < timedelta(seconds=source.fresh) and (source.id in self.keys or age < AGAIN)

    def will_do(self, source: KeySource, now: datetime) -> bool:
        """Better than nothing, while its publisher is away."""
        return source.id in self.keys and now - self.read_at < timedelta(seconds=2 * source.fresh)


@dataclass
class PublishedKeys:
    """The keys at hand, by the address they were published at."""

    client: Client
    now: Callable[[], datetime]
    _held: OrderedDict[str, _Held] = field(default_factory=OrderedDict)
    _asked: dict[str, deque[datetime]] = field(default_factory=dict)
    _under_way: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    async def of(self, source: KeySource, account: str) -> Mapping[str, Any]:
        """The keys of `source`; without the one it names, where its publisher has none such.

        Raises ProviderUnavailable where that is not known: then the webhook must come again.
        """
        if (held := self._held.get(source.url)) and held.serves(source, self.now()):
            return held.keys
        # Many webhooks may wait for the same new key: one of them asks.
        lock = self._under_way.setdefault(source.url, asyncio.Lock())
        async with lock:
            if (held := self._held.get(source.url)) and held.serves(source, self.now()):
                return held.keys
            return await self._renewed(source, account, held)

    async def _renewed(
        self, source: KeySource, account: str, held: _Held | None
    ) -> Mapping[str, Any]:
        try:
            self._count(account)
            keys = await self._fetched(source)
        except ProviderUnavailable:
            if held is not None and held.will_do(source, self.now()):
                return held.keys
            raise
        # That there is no such key is not kept: strangers could fill the memory with it.
        if keys:
            self._hold(source.url, _Held(keys, self.now()))
        return keys

    def _count(self, account: str) -> None:
        asked = self._asked.setdefault(account, deque(maxlen=MOST))
        if len(asked) == MOST and self.now() - asked[0] < _MINUTE:
            raise ProviderUnavailable(f"{account} asked for {MOST} unknown keys within a minute")
        asked.append(self.now())

    async def _fetched(self, source: KeySource) -> Mapping[str, Any]:
        try:
            document = await self._document(source.url, source)
            if document is not None and source.leads is not None:
                document = await self._document(source.leads(document), source)
            return {} if document is None else source.read(document)
        except ValueError as error:
            raise ProviderUnavailable(f"the keys cannot be read: {error}") from error

    async def _document(self, url: str, source: KeySource) -> bytes | None:
        found = await fetch(self.client, url, most=_LARGEST, seconds=LIMIT)
        if found is None and not source.chosen:
            raise ProviderUnavailable("the provider refuses its list of keys")
        return found

    def _hold(self, url: str, held: _Held) -> None:
        self._held[url] = held
        self._held.move_to_end(url)
        while len(self._held) > _KEPT:
            self._held.popitem(last=False)
