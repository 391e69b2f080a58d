"""The policy in force in this process, and how it follows what is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

import structlog
from prometheus_client import Counter, Gauge
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.router.policy import Policy, PolicyError
from services.router.repeating import repeatedly
from services.router.rules.accounts import check_accounts
from services.router.versions import rows as versions
from services.router.versions.turns import Turns
from shared.database import transaction
from shared.errors import Misconfigured, Unavailable
from shared.events import Channel
from shared.telemetry import METRICS, describe

_LOG = structlog.get_logger()
_POLL: Final = 1.0
_IN_FORCE: Final = Gauge(
    "regie_policy_version", "The policy version in force in this process.", registry=METRICS
)
_UNREADABLE: Final = Gauge(
    "regie_policy_unreadable_version",
    "The newest version that this program cannot read, and so does not follow; 0: none.",
    registry=METRICS,
)
_READ: Final = Counter(
    "regie_policy_reads_total", "Stored versions that were read to follow them.", registry=METRICS
)
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
    """Every router process follows the newest stored version that it can read.

    `senders`: the accounts that can send, None where that is not known.

    A version is read once a process, whoever asks first: the others wait for that reading.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        accounts: Mapping[str, Channel],
        senders: Collection[str] | None = None,
    ) -> None:
        self.accounts = accounts
        self.senders = senders
        self.turns = Turns()
        self._engine = engine
        self._current: Policy | None = None
        self._seen = 0  # the newest version that was looked at, readable or not
        self._checked: Policy | None = None
        self._reading = asyncio.Lock()

    @property
    def current(self) -> Policy:
        if self._current is None:
            raise Unavailable("the policy is not loaded yet: the database has not answered")
        return self._current

    @property
    def loaded(self) -> bool:
        return self._current is not None

    async def in_force(self, connection: AsyncConnection) -> Policy:
        """As committed when this transaction asks. Never goes back to an earlier version."""
        newest = await versions.newest(connection)
        if newest > self._seen:
            await self._catch_up(connection, newest)
        return self.current

    def expect(self, policy: Policy) -> None:
        """What is about to be stored was read here already: whoever meets it first, uses this."""
        self._checked = policy

    def adopt(self, policy: Policy) -> None:
        """Puts in force what was just committed here."""
        if policy.version > self._seen:
            self._put_in_force(policy)
            self._seen = policy.version

    async def load(self, file: str) -> None:
        """Stores the file as a new version if the store is empty or the file changed since it was
        last loaded; then puts the newest version in force. Raises Misconfigured."""
        source = _read(file) if file else _BUILT_IN
        policy = _parse(source, file or "built-in policy")
        self._check(policy)
        self.expect(policy)
        async with transaction(self._engine) as connection:
            await versions.alone(connection)
            if await _differs(connection, source, file):
                await versions.store(
                    connection, source, origin="file" if file else "built-in",
                    author="regie serve", reason="loaded at start",
                )  # fmt: skip
        await self.refresh()
        if not self.loaded:
            raise Misconfigured(
                "no stored version of the policy can be read by this program (see the log): name "
                "a policy file in REGIE_POLICY_FILE"
            )

    async def refresh(self) -> None:
        """Puts the newest version in force, if it is not already."""
        async with transaction(self._engine) as connection:
            newest = await versions.newest(connection)
            if newest > self._seen:
                await self._catch_up(connection, newest)

    async def follow(self) -> None:
        """Keeps up with versions that other processes store, also while there is no batch."""
        await repeatedly("policy", self.refresh, _POLL)

    async def _catch_up(self, connection: AsyncConnection, newest: int) -> None:
        async with self._reading:
            if newest <= self._seen:
                return
            numbers = await versions.since(connection, self._version)
            for version in numbers:
                policy = await self._readable(connection, version)
                if policy is not None:
                    self._put_in_force(policy)
                    break
            self._seen = max(newest, *numbers)
            _UNREADABLE.set(self._seen if self._seen > self._version else 0)

    async def _readable(self, connection: AsyncConnection, version: int) -> Policy | None:
        """A stored version; None for one of another program's, which must not stop the batches."""
        found = await versions.find(connection, version)
        if found is None:
            return None
        try:
            policy = await self._parsed(found[1], f"policy version {version}")
        except Exception as error:
            _LOG.warning("policy version not followed", version=version, reason=describe(error))
            return None
        return policy.with_version(version)

    async def _parsed(self, source: str, name: str) -> Policy:
        if self._checked is not None and self._checked.text == source:
            return self._checked
        _READ.inc()
        # In a thread: it takes tens of milliseconds, in which other requests go on.
        return await asyncio.to_thread(Policy.parse, source, name)

    @property
    def _version(self) -> int:
        return 0 if self._current is None else self._current.version

    def _put_in_force(self, policy: Policy) -> None:
        if policy.version > self._version:
            self._current = policy
            _IN_FORCE.set(policy.version)
            _UNREADABLE.set(0)
            _LOG.info("policy in force", version=policy.version, name=policy.name)

    def _check(self, policy: Policy) -> None:
        """Against the accounts there are. Raises Misconfigured; what is useless is only logged."""
        problems = check_accounts(policy, self.accounts, self.senders)
        for problem in problems:
            if problem.warning:
                _LOG.warning("policy", problem=str(problem))
        wrong = [problem for problem in problems if not problem.warning]
        if wrong:
            raise Misconfigured("\n".join(map(str, wrong)))


async def _differs(connection: AsyncConnection, source: str, file: str) -> bool:
    """Against the last one loaded from a file, not the one in force: that may be newer."""
    last = await versions.last_loaded(connection)
    if last is None:
        return not await versions.newest(connection) or bool(file)
    return bool(file) and last != versions.digest(source)


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
