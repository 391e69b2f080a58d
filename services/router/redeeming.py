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
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.router import queries
from services.router.case import Case
from services.router.joining import Joined, alive
from services.router.queries import Code
from shared import codes
from shared.database import copy, driver
from shared.events import Identity, MessageReceived

if TYPE_CHECKING:
    from services.router.desk import Desk

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
    def addresses(self) -> set[str]:
        """Where the codes were sent for: who writes from there shows whose the address is."""
        return {code.address for code in self._stored.values() if code.address}

    @property
    def customers(self) -> set[UUID]:
        return {code.customer_id for code in self._stored.values()}

    def shown(self, message: MessageReceived) -> bool:
        return bool(self._shown.get(message.id))

    async def read(self, desk: Desk, batch: Sequence[MessageReceived]) -> None:
        shown = self._shown = {}
        for message in batch:  # a call may be told of twice under one id, once with its digits
            known = shown.get(message.id, [])
            shown[message.id] = list(dict.fromkeys((*known, *_shown(message))))
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
        stands = any(offer.handoff_id == code.handoff_id for offer in case.offers)
        if code.redeemed_at is not None or code.hash in self._spent:
            return self._spent_one(message, customer, code, case, stands=stands)
        if code.expires_at <= desk.now or not stands:
            return None
        self._spent[code.hash] = _sender(message)
        return self._accepted(message, customer, code, case) or Redemption(
            Joined(case, "code", "code_from_elsewhere"), code.handoff_id
        )

    def _spent_one(
        self, message: MessageReceived, customer: UUID, code: Code, case: Case, *, stands: bool
    ) -> Redemption | None:
        """A thread tag for a participant. Whoever was named is still awaited where somebody else
        spent it."""
        named = _named(message, code)
        if stands and named is not None:
            return self._accepted(message, customer, code, case)
        same = customer == case.customer_id or named is not None
        return Redemption(Joined(case, "thread"), None) if same else None

    def _accepted(
        self, message: MessageReceived, customer: UUID, code: Code, case: Case
    ) -> Redemption | None:
        """From the address named, or, where none was, from one the customer has on record."""
        named = _named(message, code)
        if named is not None:
            self._adopted.append((named, case.customer_id))
            return Redemption(Joined(case, "code"), code.handoff_id, adopted=True)
        if not code.address and customer == case.customer_id:
            return Redemption(Joined(case, "code"), code.handoff_id)
        return None

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
            await self._verify(desk)

    async def _verify(self, desk: Desk) -> None:
        """The address is proven to be the customer's, whose record it joined (`adopting`)."""
        await (await driver(desk.connection)).execute(
            "UPDATE identities SET verified = true "
            "FROM unnest($1::text[], $2::text[], $3::uuid[]) AS new (scheme, value, customer_id) "
            "WHERE identities.scheme = new.scheme AND identities.value = new.value "
            "AND identities.customer_id = new.customer_id",
            [i.scheme for i, _ in self._adopted],
            [i.value for i, _ in self._adopted],
            [customer for _, customer in self._adopted],
        )


async def keep_codes(desk: Desk) -> None:
    """The hashes of the fresh codes, beside their offers."""
    rows = [
        (
            codes.hashed(offer.code), codes.hashed(codes.digits(offer.code)), offer.handoff_id,
            case.id, case.customer_id, offer.to_channel, offer.address, desk.now,
            next(o.expires_at for o in case.offers if o.handoff_id == offer.handoff_id),
        )
        for case, offer in desk.standing_offers()
        if offer.code
    ]  # fmt: skip
    await copy(desk.connection, "resume_codes", _KEPT, rows)


_KEPT: Final = (
    "hash", "digits", "handoff_id", "case_id", "customer_id", "channel", "address", "created_at",
    "expires_at",
)  # fmt: skip


async def opens(connection: AsyncConnection, told: str, handoff_id: UUID, now: datetime) -> bool:
    """Whether what a customer read out to an agent is the fresh code of this handoff."""
    written = [*codes.found_in(told), *codes.digits_in(told)]
    found = await queries.codes_by_hash(connection, map(codes.hashed, written))
    return any(
        code.handoff_id == handoff_id and code.redeemed_at is None and code.expires_at > now
        for code in found.values()
    )


def _named(message: MessageReceived, code: Code) -> Identity | None:
    """The sender's identity that the handoff names."""
    theirs = (i for i in message.sender.identities if code.address and i.value == code.address)
    return next(theirs, None)


def _shown(message: MessageReceived) -> list[str]:
    """Codes in the subject or the newly written text; none in what answers by itself."""
    if message.automatic or message.echo:
        return []
    given = str(message.attributes.get("code", ""))  # by the resume page, beside the words
    shown = codes.found_in(given, message.subject, message.reply_text or message.text)
    if message.channel == "phone":
        keyed = str(message.attributes.get("digits", ""))
        shown += codes.digits_in(keyed, message.reply_text or message.text)
    return shown


def _sender(message: MessageReceived) -> str:
    identities = message.sender.identities
    return str(identities[0]) if identities else f"{message.account}:withheld"
