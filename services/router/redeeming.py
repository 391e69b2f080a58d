"""Resume codes in messages (DESIGN 5.10).

from the address the handoff names  → its case, and the address joins the customer
from another address                → its case, that message only, marked
spent                               → a thread tag for its customer, a new case for others
five wrong ones an hour             → refused, the right one too
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.router import codes, queries
from services.router.case import Case
from services.router.commands import OfferHandoff
from services.router.desk import Desk
from services.router.joining import Joined, alive
from services.router.queries import Code
from shared.database import copy, driver
from shared.events import Identity, MessageReceived

_WRONG: Final = 5
_HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Redemption:
    """A message whose code counts: the case it joins, and the handoff that is thereby accepted.

    adopted  its sender's address belongs to the case's customer from now on
    """

    joined: Joined
    handoff_id: UUID | None
    adopted: bool = False


@dataclass
class Codes:
    """The codes of one batch."""

    _stored: dict[bytes, Code] = field(default_factory=dict)
    _shown: dict[UUID, list[str]] = field(default_factory=dict)
    _wrong: Counter[str] = field(default_factory=Counter)
    _spent: dict[bytes, str] = field(default_factory=dict)
    _guessed: list[str] = field(default_factory=list)
    _adopted: list[tuple[Identity, UUID]] = field(default_factory=list)

    @property
    def cases(self) -> set[UUID]:
        return {code.case_id for code in self._stored.values()}

    @property
    def customers(self) -> set[UUID]:
        return {code.customer_id for code in self._stored.values()}

    async def read(self, desk: Desk, batch: Sequence[MessageReceived]) -> None:
        shown = self._shown = {message.id: _shown(message) for message in batch}
        hashes = {codes.hashed(code) for found in shown.values() for code in found}
        self._stored = await queries.codes_by_hash(desk.connection, hashes)
        senders = {_sender(message) for message in batch if shown[message.id]}
        self._wrong = Counter(await queries.wrong_codes(desk.connection, senders, desk.now - _HOUR))

    def redeem(self, desk: Desk, message: MessageReceived, customer: UUID) -> Redemption | None:
        """None where no code of this message counts; then the usual rules join it."""
        shown = self._shown.get(message.id)
        if not shown or self._wrong[_sender(message)] >= _WRONG:
            return None
        for written in shown:
            code = self._stored.get(codes.hashed(written))
            if code is None or code.channel != message.channel:
                self._guess(message)
                continue
            case = desk.cases.get(code.case_id)
            if case is not None:
                return self._count(desk, message, customer, code, case)
        return None

    def _count(
        self, desk: Desk, message: MessageReceived, customer: UUID, code: Code, case: Case
    ) -> Redemption | None:
        if not alive(case, desk.policy, desk.now):
            return None
        if code.redeemed_at is not None or code.hash in self._spent:
            same = customer == case.customer_id or self._adopts(message, code)
            return Redemption(Joined(case, "thread"), None) if same else None
        stands = any(offer.handoff_id == code.handoff_id for offer in case.offers)
        if code.expires_at <= desk.now or not stands:
            return None
        self._spent[code.hash] = _sender(message)
        if not self._adopts(message, code):
            return Redemption(Joined(case, "code", "code_from_elsewhere"), code.handoff_id)
        self._adopted.append((message.sender.identities[0], case.customer_id))
        return Redemption(Joined(case, "code"), code.handoff_id, adopted=True)

    def _adopts(self, message: MessageReceived, code: Code) -> bool:
        identities = message.sender.identities
        return bool(code.address and identities and identities[0].value == code.address)

    def _guess(self, message: MessageReceived) -> None:
        self._wrong[_sender(message)] += 1
        self._guessed.append(_sender(message))

    async def store(self, desk: Desk) -> None:
        raw = await driver(desk.connection)
        await copy(
            desk.connection, "wrong_codes", ("sender", "at"), [(s, desk.now) for s in self._guessed]
        )
        if self._spent:
            await raw.execute(
                "UPDATE resume_codes SET redeemed_at = $3, redeemed_by = new.sender "
                "FROM unnest($1::bytea[], $2::text[]) AS new (hash, sender) "
                "WHERE resume_codes.hash = new.hash AND redeemed_at IS NULL",
                list(self._spent), list(self._spent.values()), desk.now,
            )  # fmt: skip
        if self._adopted:
            await self._adopt(desk)

    async def _adopt(self, desk: Desk) -> None:
        """The address joins the customer, unless it is somebody else's with cases of their own."""
        await (await driver(desk.connection)).execute(
            "UPDATE identities SET customer_id = new.customer_id, verified = true "
            "FROM unnest($1::text[], $2::text[], $3::uuid[]) AS new (scheme, value, customer_id) "
            "WHERE identities.scheme = new.scheme AND identities.value = new.value AND NOT EXISTS "
            "(SELECT 1 FROM cases WHERE cases.customer_id = identities.customer_id)",
            [i.scheme for i, _ in self._adopted],
            [i.value for i, _ in self._adopted],
            [customer for _, customer in self._adopted],
        )


async def keep_code(connection: AsyncConnection, case: Case, offer: OfferHandoff) -> None:
    """Stores the hash of a fresh code beside its offer."""
    stands = next(o for o in case.offers if o.handoff_id == offer.handoff_id)
    await connection.execute(
        _KEEP,
        {
            "hash": codes.hashed(offer.code),
            "handoff": offer.handoff_id,
            "case": case.id,
            "customer": case.customer_id,
            "channel": offer.to_channel,
            "address": offer.address,
            "expires": stands.expires_at,
        },
    )


_KEEP: Final = text(
    "INSERT INTO resume_codes (hash, handoff_id, case_id, customer_id, channel, address, "
    "created_at, expires_at) VALUES (:hash, :handoff, :case, :customer, :channel, :address, "
    "now(), :expires)"
)


def _shown(message: MessageReceived) -> list[str]:
    """Codes in the subject or the newly written text; none in what answers by itself."""
    if message.automatic or message.echo:
        return []
    return codes.found_in(message.subject, message.reply_text or message.text)


def _sender(message: MessageReceived) -> str:
    identities = message.sender.identities
    return str(identities[0]) if identities else f"{message.account}:withheld"
