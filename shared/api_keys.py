"""Making, listing and revoking API keys. Reading them is `shared.security`'s."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.errors import Invalid, NotFound
from shared.security import ROLES, Role, hash_of, new_key


@dataclass(frozen=True)
class KeyRow:
    """A key as it may be shown: its secret is nowhere."""

    id: str
    role: Role
    agent: str
    teams: Sequence[str]
    accounts: Sequence[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True)
class Grant:
    """What a key is for. No teams or accounts: all of them. Times in UTC."""

    role: Role
    agent: str = ""
    teams: Sequence[str] = ()
    accounts: Sequence[str] = ()
    expires_at: datetime | None = None


async def create(connection: AsyncConnection, grant: Grant) -> str:
    """Stores the key's hash and returns the key itself: the only time it can be read.

    Raises Invalid when an agent's key has no agent's name.
    """
    if grant.role not in ROLES:
        raise Invalid(f"there is no role {grant.role!r}: choose one of {', '.join(ROLES)}")
    if grant.role == "agent" and not grant.agent:
        raise Invalid("an agent's key carries the agent's name: add --agent jo")
    key_id, key = new_key()
    await connection.execute(
        _INSERT,
        {
            "id": key_id,
            "hash": hash_of(key),
            "role": grant.role,
            "agent": grant.agent,
            "teams": list(grant.teams),
            "accounts": list(grant.accounts),
            "expires_at": grant.expires_at,
        },
    )
    return key


async def listing(connection: AsyncConnection) -> list[KeyRow]:
    """All keys, the revoked ones too, oldest first."""
    return [KeyRow(**row._mapping) for row in await connection.execute(_LIST)]


async def revoke(connection: AsyncConnection, key_id: str) -> None:
    """In force within 5 s, at ingest within 60 s. Takes an id or a whole key. Raises NotFound."""
    bare = key_id.split("_")[1] if key_id.startswith("regie_") else key_id
    done = await connection.execute(_REVOKE, {"id": bare})
    if done.rowcount != 1:
        raise NotFound(f"there is no key {bare}: `regie keys list` shows them")


_INSERT: Final = text(
    "INSERT INTO api_keys (id, hash, role, agent, teams, accounts, expires_at)"
    " VALUES (:id, :hash, :role, :agent, :teams, :accounts, :expires_at)"
)
_LIST: Final = text(
    "SELECT id, role, agent, teams, accounts, created_at, expires_at, revoked_at"
    " FROM api_keys ORDER BY created_at, id"
)
_REVOKE: Final = text("UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = :id")
