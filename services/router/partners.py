"""Links for chain partners: whoever holds one answers a handoff without a key (DESIGN 8).

A token is 128 random bits, stored hashed, for one handoff, until the handoff's time is over.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database import copy

if TYPE_CHECKING:
    from services.router.desk import Desk

# After accepting, the partner answers by the same link.
_ANSWERABLE: Final = timedelta(days=30)


@dataclass(frozen=True)
class Link:
    handoff_id: UUID
    case_id: UUID
    expires_at: datetime


def drawn() -> str:
    return secrets.token_urlsafe(16)


def link(public_url: str, token: str) -> str:
    """Whole where REGIE_PUBLIC_URL says how the world reaches us, else from the root."""
    return f"{public_url.rstrip('/')}/v1/partner/{token}"


def _hashed(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


async def keep_links(desk: Desk) -> None:
    """Those of the offers made at this desk to external teams."""
    rows = [
        (
            _hashed(offer.partner_token), offer.handoff_id, case.id, desk.now,
            desk.now + _ANSWERABLE,
        )
        for case, offer in desk.standing_offers()
        if offer.partner_token and desk.policy.is_external(offer.to_team)
    ]  # fmt: skip
    columns = ("hash", "handoff_id", "case_id", "created_at", "expires_at")
    await copy(desk.connection, "partner_links", columns, rows)


async def find(connection: AsyncConnection, token: str, now: datetime) -> Link | None:
    """None for one that never was, or is over."""
    row = (
        await connection.execute(
            text(
                "SELECT handoff_id, case_id, expires_at FROM partner_links "
                "WHERE hash = :hash AND expires_at > :now"
            ),
            {"hash": _hashed(token), "now": now},
        )
    ).one_or_none()
    return None if row is None else Link(row.handoff_id, row.case_id, row.expires_at)
