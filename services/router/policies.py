"""The stored versions of the policy, and the one in force."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.router.policy import Policy, PolicyError
from services.router.policy_accounts import check_accounts
from services.router.repeating import repeatedly
from shared.database import transaction
from shared.errors import Misconfigured, Unavailable
from shared.events import Channel

_LOG = structlog.get_logger()
_LOCK: Final = 7_233_011
_POLL: Final = 1.0
_BUILT_IN: Final = """\
# In force until a policy is given (REGIE_POLICY_FILE): everything to one team, within four hours.
name: built-in
timezone: UTC
calendars:
  always: {hours: 24/7}
teams:
  frontdesk: {calendar: always}
routing:
  - {name: everything, team: frontdesk}
service_levels:
  - {name: the rest, calendar: always, first_response: 4h, resolution: 3d, warn_before: [1h]}
"""


class Policies:
    """Holds the policy in force; every router process follows the newest stored version."""

    def __init__(self, engine: AsyncEngine, accounts: Mapping[str, Channel]) -> None:
        self._engine = engine
        self._accounts = accounts
        self._current: Policy | None = None

    @property
    def current(self) -> Policy:
        if self._current is None:
            raise Unavailable("the policy is not loaded yet: the database has not answered")
        return self._current

    @property
    def loaded(self) -> bool:
        return self._current is not None

    async def load(self, file: str) -> None:
        """Stores the file as a new version if the store is empty or the file changed since it was
        last loaded; then puts the newest version in force. Raises Misconfigured."""
        source = _read(file) if file else _BUILT_IN
        name = file or "built-in policy"
        self._check(_parse(source, name))
        async with transaction(self._engine) as connection:
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            if await self._differs(connection, source, file):
                await _store(connection, source, origin="file" if file else "built-in")
        await self.refresh()

    async def refresh(self) -> None:
        """Puts the newest version in force, if it is not already."""
        async with transaction(self._engine) as connection:
            row = (await connection.execute(_NEWEST)).one_or_none()
            if row is None or (self._current and self._current.version == row.version):
                return
            source = await connection.scalar(_SOURCE, {"version": row.version})
        self._current = _parse(str(source), f"policy version {row.version}").with_version(
            row.version
        )
        _LOG.info("policy in force", version=row.version, name=self._current.name)

    async def follow(self) -> None:
        """Keeps up with versions that other processes store; one that this program cannot read
        leaves the one in force."""
        await repeatedly("policy", self.refresh, _POLL)

    def _check(self, policy: Policy) -> None:
        """Against the accounts there are. Raises Misconfigured; what is useless is only logged."""
        problems = check_accounts(policy, self._accounts)
        for problem in problems:
            if problem.warning:
                _LOG.warning("policy", problem=str(problem))
        wrong = [problem for problem in problems if not problem.warning]
        if wrong:
            raise Misconfigured("\n".join(map(str, wrong)))

    async def _differs(self, connection: AsyncConnection, source: str, file: str) -> bool:
        """Against the last one loaded from a file, not the one in force: that may be newer."""
        last = await connection.scalar(_LAST_LOADED)
        if last is None:
            return not await connection.scalar(_ANY) or bool(file)
        return bool(file) and last != _digest(source)


def _read(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(
            f"REGIE_POLICY_FILE names {file}, which cannot be read ({error}): give a YAML file "
            "like deploy/policy.yaml"
        ) from error


def _parse(source: str, name: str) -> Policy:
    try:
        return Policy.parse(source, name)
    except PolicyError as error:
        raise Misconfigured(str(error)) from error


async def _store(connection: AsyncConnection, source: str, *, origin: str) -> None:
    await connection.execute(
        _INSERT,
        {"source": source, "sha256": _digest(source), "origin": origin, "author": "regie serve"},
    )


def _digest(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()


_NEWEST: Final = text("SELECT version FROM policies ORDER BY version DESC LIMIT 1")
_SOURCE: Final = text("SELECT source FROM policies WHERE version = :version")
_ANY: Final = text("SELECT EXISTS (SELECT FROM policies)")
_LAST_LOADED: Final = text(
    "SELECT sha256 FROM policies WHERE origin = 'file' ORDER BY version DESC LIMIT 1"
)
_INSERT: Final = text(
    "INSERT INTO policies (version, source, sha256, author, reason, origin) "
    "SELECT coalesce(max(version), 0) + 1, :source, :sha256, :author, 'loaded at start', :origin "
    "FROM policies"
)
