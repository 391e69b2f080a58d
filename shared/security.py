"""Who calls: API keys, their roles and their scope.

A key is `regie_<id>_<secret>`: a prefix that secret scanners find, a public id to look it up by,
and 32 random bytes. Only its SHA-256 is stored; a plain hash is enough for what cannot be guessed.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import string
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import transaction
from shared.errors import Forbidden, Unauthenticated

Role = Literal["integrator", "agent", "supervisor", "operator", "admin"]

ROLES: Final[dict[str, frozenset[str]]] = {
    "integrator": frozenset({"integrator"}),
    "agent": frozenset({"agent"}),
    "supervisor": frozenset({"supervisor", "agent"}),
    "operator": frozenset({"operator"}),
    "admin": frozenset({"admin", "supervisor", "agent", "operator", "integrator"}),
}

# How long a revoked key may still be taken. Ingest stretches it, to outlive a database restart.
FRESH: Final = timedelta(seconds=5)
FRESH_AT_INGEST: Final = timedelta(seconds=60)

_ALPHABET: Final = string.digits + string.ascii_letters
_CACHED: Final = 10_000


@dataclass(frozen=True)
class Caller:
    """The one behind a request. Empty `teams` or `accounts` means all of them.

    agent  the name under which this caller claims, replies and decides; may be empty
    """

    role: Role
    key_id: str
    agent: str = ""
    teams: frozenset[str] = frozenset()
    accounts: frozenset[str] = frozenset()

    @property
    def actor(self) -> str:
        """A name for histories."""
        return self.agent or f"key {self.key_id}"

    def may(self, *roles: Role) -> bool:
        return not ROLES[self.role].isdisjoint(roles)

    def writes_team(self, team: str) -> bool:
        """Whether `team` is in this caller's inbox: may be listed, claimed, answered, changed."""
        return not self.teams or team in self.teams or self.role == "admin"

    def sees_team(self, team: str, *, confidential: bool = False) -> bool:
        """Whether one of `team`'s cases may be read. Any agent reads any case, but a confidential
        team's own people are named in their keys, and besides them only a supervisor over all
        teams, or an admin, looks in."""
        if not confidential:
            return True
        return (
            team in self.teams
            or self.role == "admin"
            or (self.role == "supervisor" and not self.teams)
        )

    def uses_account(self, account: str) -> bool:
        return not self.accounts or account in self.accounts or self.role == "admin"


def new_key() -> tuple[str, str]:
    """A fresh id and the whole key, which is shown once and never again."""
    number = int.from_bytes(secrets.token_bytes(32))
    letters = []
    for _ in range(43):
        number, digit = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[digit])
    key_id = "".join(secrets.choice(string.digits + string.ascii_lowercase) for _ in range(10))
    return key_id, f"regie_{key_id}_{''.join(letters)}"


def hash_of(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


@dataclass(frozen=True)
class _Row:
    caller: Caller
    hash: bytes
    expires_at: datetime | None
    read_at: datetime


@dataclass
class KeyRing:
    """Finds the caller behind a key; remembers keys that were right, for a while."""

    engine: AsyncEngine
    admin_key: str
    now: Callable[[], datetime]
    _rows: OrderedDict[str, _Row] = field(default_factory=OrderedDict)

    async def find(self, key: str, fresh: timedelta = FRESH) -> Caller | None:
        """None for a key that is wrong, revoked or expired. Raises DatabaseUnavailable when the
        answer is not known and the database is away."""
        digest = hash_of(key)
        if self.admin_key and hmac.compare_digest(digest, hash_of(self.admin_key)):
            return Caller("admin", "admin", agent="admin")
        prefix, _, rest = key.partition("_")
        key_id = rest.partition("_")[0]
        if prefix != "regie" or not key_id:
            return None
        row = await self._row(key_id, fresh)
        if row is None or not hmac.compare_digest(row.hash, digest):
            return None
        if row.expires_at is not None and row.expires_at <= self.now():
            return None
        self._remember(key_id, row)
        return row.caller

    async def _row(self, key_id: str, fresh: timedelta) -> _Row | None:
        held = self._rows.get(key_id)
        if held is not None and self.now() - held.read_at < fresh:
            return held
        row = await self._read(key_id)
        if row is None:
            self._rows.pop(key_id, None)
        return row

    async def _read(self, key_id: str) -> _Row | None:
        async with transaction(self.engine) as connection:
            found = (await connection.execute(_SELECT, {"id": key_id})).one_or_none()
        if found is None:
            return None
        caller = Caller(
            found.role, key_id, found.agent, frozenset(found.teams), frozenset(found.accounts)
        )
        return _Row(caller, bytes(found.hash), found.expires_at, self.now())

    def _remember(self, key_id: str, row: _Row) -> None:
        self._rows[key_id] = row
        self._rows.move_to_end(key_id)
        if len(self._rows) > _CACHED:
            self._rows.popitem(last=False)


_SELECT: Final = text(
    "SELECT hash, role, agent, teams, accounts, expires_at FROM api_keys"
    " WHERE id = :id AND revoked_at IS NULL"
)

_bearer: Final = HTTPBearer(auto_error=False, description="A key made by `regie keys create`.")
_Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


async def identify(request: Request, key: str | None, fresh: timedelta = FRESH) -> Caller:
    """The caller behind this request's key. Raises Unauthenticated."""
    if not key:
        raise Unauthenticated("send a key: `Authorization: Bearer regie_…`")
    ring: KeyRing = request.app.state.keys
    found = await ring.find(key, fresh)
    if found is None:
        raise Unauthenticated(
            "the key is unknown, expired or revoked: ask for one made by `regie keys create`"
        )
    return found


def caller(*roles: Role, fresh: timedelta = FRESH) -> Callable[..., Awaitable[Caller]]:
    """A FastAPI dependency: `Depends(caller("agent"))`. Raises Unauthenticated or Forbidden.

    fresh  the oldest knowledge of a key that will do
    """

    async def depend(request: Request, credentials: _Credentials) -> Caller:
        found = await identify(request, credentials.credentials if credentials else None, fresh)
        if not found.may(*roles):
            wanted = " or ".join(roles)
            raise Forbidden(f"this needs a key of role {wanted}; yours is of role {found.role}")
        return found

    return depend
