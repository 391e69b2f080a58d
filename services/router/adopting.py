"""A redeemed code proves that the address named in its handoff is the customer's: the two records
become one (DESIGN 5.10).

That a code counts is known only while the batch is decided, so the merge happens in memory first
and in the rows at the end; what it may need is locked before.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.router import customers, merging
from services.router.commands import MoveCase
from services.router.desk import Desk
from services.router.merging import Merge
from services.router.recognising import Bars
from shared.events import Identity, MessageReceived


@dataclass
class Adoptions:
    """The records that the codes of one batch bring together."""

    _suitors: set[UUID] = field(default_factory=set)
    _hosts: set[UUID] = field(default_factory=set)
    _bars: Bars = frozenset()
    _into: dict[UUID, UUID] = field(default_factory=dict)
    _merges: list[Merge] = field(default_factory=list)

    async def prepare(
        self, connection: AsyncConnection, suitors: Collection[UUID], hosts: Collection[UUID]
    ) -> set[UUID]:
        """`suitors` write from an address that a code of a `host` names; all are locked. Returns
        the suitors' cases, to be locked too."""
        if not suitors:
            return set()
        self._suitors, self._hosts = set(suitors), set(hosts)
        self._bars = await merging.bars(connection, self._suitors | self._hosts)
        return set(await customers.cases_of(connection, suitors))

    def standing(self, customer: UUID) -> UUID:
        """Whose the customer's messages are by now."""
        return self._into.get(customer, customer)

    def unite(self, desk: Desk, message: MessageReceived, guest: UUID, host: UUID) -> UUID:
        """The record of both: the host's. The guest's own where a person took the two apart, or
        where others joined it in this same batch."""
        barred = any(frozenset(of) in self._bars for of in ((guest, host), (guest,), (host,)))
        ready = guest in self._suitors and host in self._hosts
        if guest == host or barred or not ready or guest in self._into.values():
            return guest
        early = [row.id for row in desk.messages if row.customer_id == guest]
        cases = [case.id for case in desk.cases.values() if case.customer_id == guest]
        merge = Merge(
            host, guest, merging.CODE, "regie", _address(message), message.id,
            cases=tuple(cases), messages=tuple(early),
        )  # fmt: skip
        for id in cases:
            desk.decide(id, MoveCase(host, merge.id, f"merged: {merge.reason}"))
        desk.messages = [
            row._replace(customer_id=host) if row.customer_id == guest else row
            for row in desk.messages
        ]
        self._into[guest] = host
        self._merges.append(merge)
        return host

    async def store(self, desk: Desk) -> None:
        proven = {identity for merge in self._merges for identity in merge.met}
        done = await merging.unite(desk.connection, self._merges, desk.now, proven)
        await merging.carry(desk, done)


def _address(message: MessageReceived) -> tuple[Identity, ...]:
    return message.sender.identities[:1]


def addressed(messages: Sequence[MessageReceived], addresses: Collection[str]) -> set[UUID]:
    """The messages that come from one of these addresses."""
    return {m.id for m in messages if any(i.value in addresses for i in _address(m))}
