"""Signing secrets of webhook targets: one each, rotated with a day in which both sign."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database import driver
from shared.errors import NotFound
from shared.ids import new_id

OVERLAP: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Target:
    """Somebody we notify.

    rotated_at      when the secret was shown; None: nobody knows it yet
    previous_until  until when the one before signs as well
    disabled_at     since when it gets nothing, for `disabled_reason`
    """

    id: UUID
    kind: str
    address: str
    rotated_at: datetime | None
    previous_until: datetime | None
    disabled_at: datetime | None
    disabled_reason: str
    created_at: datetime


def new_secret() -> str:
    """32 random bytes, as Standard Webhooks writes them."""
    return "whsec_" + base64.b64encode(os.urandom(32)).decode()


async def know(connection: AsyncConnection, targets: Iterable[str], now: datetime) -> None:
    """Makes sure that each of these has a secret to sign with, though nobody has seen it."""
    rows = [(new_id(), target, new_secret(), now) for target in sorted(set(targets))]
    if rows:
        await (await driver(connection)).execute(_KNOW, *zip(*rows, strict=True))


async def show(connection: AsyncConnection, target: str, secret: str, now: datetime) -> None:
    """Makes a target whose secret is shown as it is made."""
    await (await driver(connection)).execute(_SHOW, new_id(), target, secret, now)


async def id_of(connection: AsyncConnection, target: str) -> UUID:
    """Raises NotFound."""
    found = await (await driver(connection)).fetchval(_ID, target)
    if found is None:
        raise NotFound("there is no such target")
    return UUID(str(found))


async def listing(connection: AsyncConnection) -> list[Target]:
    """Those of the policy. Subscriptions are listed by themselves."""
    return [_target(row) for row in await connection.execute(_LIST)]


async def rotate(connection: AsyncConnection, target_id: UUID, now: datetime) -> tuple[Target, str]:
    """A new secret, to be shown once. What nobody has seen stops signing at once; a secret that
    was shown signs beside the new one for 24 hours. Raises NotFound."""
    secret = new_secret()
    values = {"id": target_id, "secret": secret, "now": now, "until": now + OVERLAP}
    row = (await connection.execute(_ROTATE, values)).one_or_none()
    if row is None:
        raise NotFound("no target of this id: `regie targets list` names them")
    return _target(row), secret


def _target(row: Row[Any]) -> Target:
    columns = dict(row._mapping)
    kind, _, address = columns.pop("target").partition(":")
    return Target(kind=kind, address=address, **columns)


_COLUMNS: Final = "id, target, rotated_at, previous_until, disabled_at, disabled_reason, created_at"
_KNOW: Final = """
INSERT INTO targets (id, target, secret, created_at)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[])
ON CONFLICT (target) DO NOTHING
"""
_SHOW: Final = """
INSERT INTO targets (id, target, secret, rotated_at, created_at) VALUES ($1, $2, $3, $4, $4)
"""
_ID: Final = "SELECT id FROM targets WHERE target = $1"
_LIST: Final = text(
    f"SELECT {_COLUMNS} FROM targets WHERE target NOT LIKE 'subscription:%' ORDER BY target"  # noqa: S608 - our own names
)
_ROTATE: Final = text(f"""
UPDATE targets SET
    previous = CASE WHEN rotated_at IS NULL THEN '' ELSE secret END,
    previous_until = CASE WHEN rotated_at IS NULL THEN NULL ELSE CAST(:until AS timestamptz) END,
    secret = :secret, rotated_at = :now
WHERE id = :id RETURNING {_COLUMNS}
""")  # noqa: S608 - our own names
