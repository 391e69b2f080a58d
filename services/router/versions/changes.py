"""Putting another policy in force: checked, then numbered and stored in the caller's transaction.
From its commit on every router decides under it (`Handlers.desk`).

The check comes first and holds no connection: it takes seconds, in which others need one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from services.router.policy import Policy
from services.router.versions import rows as versions
from services.router.versions.candidate import Candidate, Checks
from services.router.versions.policies import Policies
from services.router.versions.rows import Origin, Version
from services.router.versions.stranded import stranded
from shared.database import transaction
from shared.errors import NotFound, PreconditionFailed, PreconditionRequired


@dataclass(frozen=True, slots=True)
class Change:
    """Who wants it, and why. `seen` is the version they looked at; None: they did not say."""

    author: str
    reason: str
    seen: int | None


@dataclass(frozen=True, slots=True)
class Made:
    """What is in force once this is committed; `changed` is false when it was already."""

    version: Version
    policy: Policy
    changed: bool
    tests: int
    warnings: Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Changes:
    policies: Policies
    checks: Checks

    async def check(self, source: str, change: Change) -> Candidate:
        """Raises PreconditionRequired, PreconditionFailed, TooMany, and Invalid with all that is
        wrong."""
        async with transaction(self.checks.engine) as connection:
            await self._expected(connection, change)
        return await self.checks.pass_all(source)

    async def _expected(self, connection: AsyncConnection, change: Change) -> None:
        current = await self.policies.in_force(connection)
        if change.seen is None:
            raise PreconditionRequired(
                "say which version you changed, as the ETag of GET /v1/policy shows it: "
                f'If-Match: "{current.version}"',
                version=current.version,
            )
        await _check_seen(connection, current, change.seen)

    async def check_earlier(self, version: int) -> Candidate:
        """An earlier version's text, to be stored as a new one. Raises NotFound, TooMany, and
        Invalid when it does not fit the accounts of today."""
        async with transaction(self.checks.engine) as connection:
            found = await versions.find(connection, version)
        if found is None:
            raise NotFound(f"there is no version {version}: GET /v1/policy/versions lists them")
        return await self.checks.fit(found[1])

    async def store(
        self, connection: AsyncConnection, candidate: Candidate, change: Change, origin: Origin
    ) -> Made:
        """Raises PreconditionFailed when another came in between."""
        await versions.alone(connection)
        current = await self.policies.in_force(connection)
        await _check_seen(connection, current, change.seen)
        policy = candidate.policy
        warnings = [*candidate.warnings, *await stranded(connection, policy)]
        same = policy.text == current.text and await versions.newest(connection) == current.version
        if same:
            stored, policy = await _version(connection, current.version), current
        else:
            self.policies.expect(policy)
            stored = await versions.store(
                connection, policy.text, origin=origin, author=change.author, reason=change.reason
            )
            policy = policy.with_version(stored.version)
        return Made(stored, policy, not same, candidate.tests, warnings)


async def _check_seen(connection: AsyncConnection, current: Policy, seen: int | None) -> None:
    if seen in (None, current.version):
        return
    now = await _version(connection, current.version)
    why = f", “{now.reason}”" if now.reason else ""
    raise PreconditionFailed(
        f"the policy is at version {now.version} by {now.author}{why}; you changed version {seen}: "
        f'take over what changed (GET /v1/policy), then send again with If-Match: "{now.version}"',
        version=now.version,
    )


async def _version(connection: AsyncConnection, number: int) -> Version:
    found = await versions.find(connection, number)
    assert found is not None, "versions are never deleted"
    return found[0]
