"""Which limits a delivery counts against: its account's and its reader's, by the provider's own
rates or the account's `rate`, and what the database knows of them.

Any number of senders share the rows of `paces`, and lock them last in their transactions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier import pacing, queries
from services.notifier.models import Delivery, target_of
from services.notifier.outcomes import Outcome
from services.notifier.pacing import Bucket, Pace, Shares, Wish
from services.notifier.slots import START
from services.notifier.targets.email import mailers, sender_of
from shared.accounts import Account
from shared.channels import Provider, Rate
from shared.channels.table import provider_of
from shared.database import driver
from shared.durations import Duration
from shared.errors import Misconfigured

_NOTHING: Final = Bucket()


@dataclass(frozen=True, slots=True)
class Limits:
    """The paces of each account and of its readers, by target: `account:desk-whatsapp`.

    mailers  the accounts that notices may leave by, which count against them like replies
    """

    accounts: Mapping[str, Pace]
    recipients: Mapping[str, Pace]
    targets: Sequence[str]
    mailers: Sequence[str]

    @classmethod
    def of(cls, accounts: Sequence[Account]) -> Limits:
        both = {target_of("account", account.name): rates_of(account) for account in accounts}
        return cls(
            {target: _pace(rate) for target, (rate, _) in both.items() if rate is not None},
            {target: _pace(rate) for target, (_, rate) in both.items() if rate is not None},
            list(both),
            mailers(accounts),
        )

    async def rooms(
        self, connection: AsyncConnection, rooms: Mapping[str, int], now: datetime
    ) -> dict[str, int]:
        """The same with no more for an account than it may send now, and nothing for a target that
        asked for silence. Nothing is locked or used up: what waits is not even read until it may
        leave."""
        known = await _read(connection, self.targets, now)
        found = dict(rooms)
        for target in self.accounts.keys() | known.keys():
            free = pacing.room(known.get(target, _NOTHING), self.accounts.get(target), now)
            if free is not None:
                found[target] = min(found.get(target, START), free)
        return found

    async def admit(
        self, connection: AsyncConnection, deliveries: Sequence[Delivery], now: datetime
    ) -> list[Delivery]:
        """Those that may leave now, which counts as sent; the others come again when they may."""
        wishes = {each.id: Wish(each.id, names) for each in deliveries if (names := self._of(each))}
        if not wishes:
            return list(deliveries)
        paces = {name: self._pace_of(name) for wish in wishes.values() for name in wish.limits}
        buckets = await _lock(connection, sorted(paces))
        shares = pacing.share_out(list(wishes.values()), paces, buckets, now)
        await _write(connection, shares, paces, now)
        return [each for each in deliveries if each.id not in shares.held]

    def _of(self, delivery: Delivery) -> tuple[str, ...]:
        target = self._leaves_by(delivery)
        account = (target,) if target in self.accounts else ()
        person = (_reader(target, delivery),) if target in self.recipients else ()
        return account + person

    def _leaves_by(self, delivery: Delivery) -> str:
        if delivery.kind != "email":
            return delivery.target
        return target_of("account", sender_of(delivery, self.mailers))

    def _pace_of(self, name: str) -> Pace:
        target, _, person = name.partition(" ")
        return self.recipients[target] if person else self.accounts[target]


def _reader(account: str, delivery: Delivery) -> str:
    """The name of a reader's limit. It shows nobody's address."""
    recipient = delivery.payload.get("recipient") or {"scheme": "email", "value": delivery.address}
    address = f"{recipient.get('scheme')}:{recipient.get('value')}"
    return f"{account} {hashlib.blake2b(address.encode(), digest_size=12).hexdigest()}"


def rates_of(account: Account) -> tuple[Rate | None, Rate | None]:
    """Of the account and of each of its readers: its own `rate`, else its provider's."""
    provider, own = _provider(account), account.settings.get("rate", {})
    return (
        _rate(own["account"]) if "account" in own else provider.per_account,
        _rate(own["recipient"]) if "recipient" in own else provider.per_recipient,
    )


async def pause(connection: AsyncConnection, outcomes: Sequence[Outcome]) -> None:
    """What was asked for: silence of an account or towards one person, or towards a target."""
    asked: dict[str, datetime] = {}
    for each in outcomes:
        if each.paused_until is not None:
            account = each.delivery.target
            name = _reader(account, each.delivery) if each.one_reader else account
            asked[name] = max(asked.get(name, each.paused_until), each.paused_until)
    if asked:
        await (await driver(connection)).execute(_PAUSE, *zip(*sorted(asked.items()), strict=True))


async def forget(connection: AsyncConnection, before: datetime) -> None:
    """Limits that nothing counted against since then."""
    await (await driver(connection)).execute(_FORGET, before)


def _provider(account: Account) -> Provider:
    try:
        return provider_of(account)
    except Misconfigured:  # its replies fail by themselves, and say so
        return Provider()


def _rate(written: str) -> Rate:
    """`1/6s`, or `1/6s/45`: 45 at once."""
    count, span, *burst = written.split("/")
    seconds = Duration.parse(span).timedelta().total_seconds()
    return Rate(int(count), seconds, int(burst[0]) if burst else 0)


def _pace(rate: Rate) -> Pace:
    return Pace.of(rate.count, rate.seconds, rate.burst)


async def _read(
    connection: AsyncConnection, names: Sequence[str], now: datetime
) -> dict[str, Bucket]:
    """Of these, and of all that are silent now."""
    return _buckets(await (await driver(connection)).fetch(_READ, list(names), now))


async def _lock(connection: AsyncConnection, names: Sequence[str]) -> dict[str, Bucket]:
    """In the order of their names; made where nothing was ever sent."""
    return _buckets(await (await driver(connection)).fetch(_LOCK, names))


def _buckets(rows: Sequence[Mapping[str, Any]]) -> dict[str, Bucket]:
    return {row["name"]: Bucket(tuple(row["times"]), row["paused_until"]) for row in rows}


async def _write(
    connection: AsyncConnection, shares: Shares, paces: Mapping[str, Pace], now: datetime
) -> None:
    raw = await driver(connection)
    if shares.taken:
        rows = [(name, count, paces[name].count) for name, count in shares.taken.items()]
        await raw.execute(_TAKE, *zip(*rows, strict=True), now)
    await queries.put_off(connection, shares.held)


_READ: Final = """
SELECT name, times, paused_until FROM paces WHERE name = ANY($1)
UNION ALL SELECT name, times, paused_until FROM paces
WHERE paused_until > $2 AND name <> ALL ($1) AND name NOT LIKE 'account:%'
"""
_LOCK: Final = """
INSERT INTO paces (name) SELECT name FROM unnest($1::text[]) AS name ORDER BY name
ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING name, times, paused_until
"""
_TAKE: Final = """
UPDATE paces p SET times =
    (p.times || array_fill($4::timestamptz, ARRAY[n.taken]))
    [greatest(cardinality(p.times) + n.taken - n.most, 0) + 1 :]
FROM unnest($1::text[], $2::int[], $3::int[]) AS n (name, taken, most) WHERE p.name = n.name
"""
_PAUSE: Final = """
INSERT INTO paces AS p (name, paused_until)
SELECT * FROM unnest($1::text[], $2::timestamptz[]) AS asked (name, until) ORDER BY name
ON CONFLICT (name) DO UPDATE SET paused_until = greatest(p.paused_until, excluded.paused_until)
"""
_FORGET: Final = """
DELETE FROM paces WHERE name IN (SELECT name FROM paces
    WHERE coalesce(times[cardinality(times)], '-infinity') < $1
    AND coalesce(paused_until, '-infinity') < $1 ORDER BY name FOR UPDATE SKIP LOCKED)
"""
