"""What a running process is made of: its parts (Runtime), its services, and their tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.accounts import Accounts
from shared.blobs import Blobs
from shared.broker import Broker, Record
from shared.cloudevents import decode
from shared.settings import Settings

# What it is given is what the subscription's `decode` makes of each record: `Received`, mostly.
Handler = Callable[[AsyncConnection, Sequence[Any]], Awaitable[None]]

# (connection, letter id, now): settles nothing itself, raises Refused where it cannot be
Replay = Callable[[AsyncConnection, UUID, datetime], Awaitable[None]]


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Runtime:
    """The parts every service shares; made once, by the composition root.

    now      the clock; tests hand in their own
    written  set after a commit that may have filled the outbox, so that the relay looks at once
    """

    settings: Settings
    engine: AsyncEngine
    broker: Broker
    blobs: Blobs
    accounts: Accounts
    now: Callable[[], datetime] = utc_now
    written: asyncio.Event = field(default_factory=asyncio.Event, compare=False)


@dataclass(frozen=True)
class Subscription:
    """A group's work: `handle` gets a batch and a transaction in which the positions already
    moved; what it does there is committed with them, or not at all.

    decode  what `handle` gets of each record; raises Unreadable, which makes it a dead letter
    aside   its process is ready for work without it
    """

    group: str
    topics: Sequence[str]
    handle: Handler
    batch: int = 500
    decode: Callable[[Record], Any] = decode
    aside: bool = False


@dataclass(frozen=True)
class Service:
    """One room of the process: what it serves, what it consumes, what it keeps running.

    replays  how a dead letter of a topic goes again, where not by its topic
    start    awaited before its consumers and tasks begin; may wait for a dependency
    """

    name: str
    routers: Sequence[APIRouter] = ()
    subscriptions: Sequence[Subscription] = ()
    tasks: Mapping[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    replays: Mapping[str, Replay] = field(default_factory=dict)
    start: Callable[[], Awaitable[None]] | None = None
