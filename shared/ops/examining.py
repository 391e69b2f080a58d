"""Asks the accounts' providers how they are, all at once: what `regie doctor` shows.

Nothing is sent to a customer and nothing is changed. Every call goes through the guarded client,
as a reply would.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

import httpx
import structlog

from shared.accounts import Account
from shared.channels import Finding, Health
from shared.channels.table import provider_of
from shared.guard import Guard
from shared.guarded_http import guarded_client
from shared.named_targets import origins_of
from shared.ops.findings import configured, in_time
from shared.runtime import Runtime

BOUND: Final = 15.0  # seconds for each account

log = structlog.get_logger("ops")


@dataclass(frozen=True, slots=True)
class Examined:
    """How an account is. None: it cannot be told.

    subscribed  whether the provider calls us
    """

    configured: bool
    reachable: bool | None
    subscribed: bool | None
    findings: Sequence[Finding]


@dataclass
class Seen:
    """What passed between us and the provider."""

    now: Callable[[], datetime]
    asked: int = 0
    answered: int = 0
    skew: timedelta | None = None

    async def request(self, request: httpx.Request) -> None:
        self.asked += 1

    async def response(self, response: httpx.Response) -> None:
        self.answered += 1
        if (theirs := _date(response.headers.get("date", ""))) is not None:
            self.skew = theirs - self.now()


@dataclass
class Examiner:
    """`bound`: seconds that each account's provider has."""

    runtime: Runtime
    bound: float = BOUND
    _busy: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def examine(self, accounts: Iterable[Account]) -> dict[str, Examined]:
        """By name; they were made ready by `hooks.prepared`. One examination at a time, so that
        asking often is no flood to the providers."""
        asked = list(accounts)
        async with self._busy:
            found = await asyncio.gather(*map(self._examine, asked))
        return {account.name: each for account, each in zip(asked, found, strict=True)}

    async def _examine(self, account: Account) -> Examined:
        own = list(configured(account))
        seen = Seen(self.runtime.now)
        health = provider_of(account).health
        found = await self._asked(health, account, seen) if health is not None else []
        told = [_worded(each, account) for each in (*found, *in_time(seen.skew))]
        return Examined(
            configured=all(each.ok for each in own),
            reachable=_reachable(told, seen),
            subscribed=_subscribed(told),
            findings=[*own, *told],
        )

    async def _asked(self, health: Health, account: Account, seen: Seen) -> Sequence[Finding]:
        settings = self.runtime.settings
        guard = Guard.of(
            settings.allow_private_targets, origins_of(self.runtime.accounts.api_bases())
        )
        async with guarded_client(guard) as http:
            http.event_hooks = {"request": [seen.request], "response": [seen.response]}
            try:
                async with asyncio.timeout(self.bound):
                    return await health.examine(account, http)
            except TimeoutError:
                advice = f"no answer within {self.bound:g} s: look at the provider's status page"
                return [Finding("reachable", False, advice, "reach")]
            except Exception as error:
                log.exception("an examination failed", account=account.name)
                advice = f"it could not be examined ({type(error).__name__}): see the log"
                return [Finding("examination", False, advice)]


def _worded(finding: Finding, account: Account) -> Finding:
    """Without a secret, which a provider may quote; and never without advice where it is wrong."""
    advice = finding.advice or "compare the account's fields with what the provider shows"
    return Finding(
        account.hide(finding.what),
        finding.ok,
        "" if finding.ok else account.hide(advice),
        finding.about,
    )


def _reachable(found: Sequence[Finding], seen: Seen) -> bool | None:
    if any(each.about == "reach" and not each.ok for each in found):
        return False
    if seen.asked:
        return seen.answered > 0
    return True if any(each.about != "account" and each.ok for each in found) else None


def _subscribed(found: Sequence[Finding]) -> bool | None:
    told = [each.ok for each in found if each.about == "subscription"]
    return all(told) if told else None


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
