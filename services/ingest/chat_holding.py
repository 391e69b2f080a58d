"""Whose session it is: the token's holder, and nobody else; and how often they may ask."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.ingest import chat_store
from services.ingest.chat_gate import Chat, Gate
from services.ingest.chat_store import Session
from shared.blobs import Blobs
from shared.channels import Rate
from shared.errors import Unauthenticated
from shared.runtime import Runtime

_SIGNALS: Final = 4  # receipts and typing for each line


@dataclass(frozen=True)
class Holding:
    runtime: Runtime
    gate: Gate

    @property
    def engine(self) -> AsyncEngine:
        return self.runtime.engine

    @property
    def blobs(self) -> Blobs:
        return self.runtime.blobs

    def now(self) -> datetime:
        return self.runtime.now()

    async def held(
        self,
        connection: AsyncConnection,
        request: Request,
        chat: Chat,
        id: UUID,
        *,
        lock: bool = False,
    ) -> Session:
        """The session, for whoever holds its token. Raises Unauthenticated."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("send the session's token: `Authorization: Bearer chat_…`")
        session = await chat_store.find(connection, id, hash_of(token.strip()), lock=lock)
        if session is None or session.account != chat.account.name:
            raise Unauthenticated("there is no such session with this token: start a new one")
        if session.over(self.runtime.now()):
            raise Unauthenticated("this session is over: start a new one", name="session-over")
        return session

    def one_line(self, chat: Chat, id: UUID) -> None:
        """Raises TooMany."""
        self.gate.slow_down(chat, "session", chat.settings.limits["session"], f"line:{id}")

    def one_signal(self, chat: Chat, id: UUID) -> None:
        """Raises TooMany."""
        rate = chat.settings.limits["session"]
        often = Rate(rate.count * _SIGNALS, rate.seconds)
        self.gate.slow_down(chat, "session", often, f"signal:{id}")


def hash_of(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
