"""A batch of messages becomes cases: find the people, find the cases, decide one by one.

Lock order, as everywhere: positions, identities, customers, cases by id (DESIGN 5, "How they
hold"). After the load there is no query per message.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace as evolved
from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from services.router import (
    amended,
    echoes,
    heard_rows,
    mentions,
    merging,
    queries,
    redeeming,
    surveying,
)
from services.router.adopting import Adoptions, addressed
from services.router.amending import Amendments
from services.router.calls_heard import CallsHeard
from services.router.case import Case
from services.router.commands import CustomerFacts, Opening, ReviseMessage, TakeMessage
from services.router.desk import Desk
from services.router.joining import Joined, join
from services.router.people import People, identify
from services.router.queries import Known, Ref
from services.router.redeeming import Redemption
from services.router.rights import barring
from services.router.taking import facts_of
from shared.events import Identity, MessageReceived
from shared.ids import new_id


class Arrivals:
    """One batch at a desk."""

    def __init__(self, desk: Desk, own: frozenset[Identity]) -> None:
        self.desk = desk
        self._own = own
        self._people = People()
        self._known: dict[Ref, Known] = {}
        self._ours: dict[UUID, Known] = {}
        self._codes = redeeming.Codes()
        self._adoptions = Adoptions()
        self._of_customer: dict[UUID, list[UUID]] = defaultdict(list)
        self._amendments = Amendments()
        self._returned: frozenset[UUID] = frozenset()
        self._replayed: Mapping[UUID, datetime] = {}
        self._openings: Mapping[UUID, Opening] = {}

    async def take(
        self,
        messages: Sequence[MessageReceived],
        replayed: Mapping[UUID, datetime],
        openings: Mapping[UUID, Opening] | None = None,
    ) -> None:
        """Decides every message and leaves the rows at the desk. Repeats are dropped.

        `replayed` says when those arrived that come back from the dead letters; `openings` what
        the agent said who registered one.
        """
        self._replayed, self._openings = replayed, openings or {}
        messages = await barring.admitted(self.desk.connection, messages)
        fresh = await queries.unseen(self.desk.connection, [m.id for m in messages], self.desk.now)
        batch: list[MessageReceived] = []
        for message in messages:
            if message.id in fresh:
                fresh.discard(message.id)
                batch.append(self._cleaned(message))
        if batch:
            await self._load(batch)
            for message in batch:
                self._take(message)
            await self._store_updates()
            await self._adoptions.store(self.desk)
            await self._codes.store(self.desk)

    def _cleaned(self, message: MessageReceived) -> MessageReceived:
        """Our own addresses are never customers; a switchboard's number is nobody's alone."""
        sender = message.sender
        identities = tuple(i for i in sender.identities if i not in self._own)
        shared = any(self.desk.policy.is_shared(i) for i in identities)
        if len(identities) == len(sender.identities) and not shared:
            return message
        return replace(
            message,
            sender=replace(sender, identities=identities),
            shared_sender=shared or message.shared_sender,
            # what comes from ourselves waits for nobody, or two mailboxes could go on for ever
            automatic=message.automatic or len(identities) < len(sender.identities),
        )

    async def _load(self, batch: Sequence[MessageReceived]) -> None:
        desk, connection = self.desk, self.desk.connection
        await self._codes.read(desk, batch)
        people = await identify(connection, batch, desk.policy, self._codes.customers, desk.now)
        self._people, merges = people, people.merges
        named = addressed(batch, self._codes.addresses)
        moving = await self._adoptions.prepare(
            connection, {people.of[id] for id in named}, people.facts.keys()
        )
        moving.update(case for merge in merges for case in merge.cases)
        # Only now, with the customers locked: a split moves the threads of theirs.
        self._known = await queries.messages_by_ref(
            connection, (ref for m in batch for ref in mentions.refs(m))
        )
        self._returned = await echoes.returned(connection, batch, people.of, desk.now)
        self._ours = await queries.messages_by_id(
            connection, {id for m in batch for id in mentions.our_ids(m)}
        )
        threads = [*self._known.values(), *self._ours.values()]
        parents = {o.parent_id for o in self._openings.values() if o.parent_id is not None}
        marked = mentions.tokens(batch) | mentions.tags(batch)
        cases = await queries.lock_cases(
            connection,
            {k.case_id for k in threads} | self._codes.cases | marked | parents | moving,
            set(self._people.of.values()),
            surveying.reach(desk.policy, desk.now),
        )
        desk.seat(cases)
        await merging.carry(desk, merges)
        for case in desk.cases.values():
            self._of_customer[case.customer_id].append(case.id)
        if self._codes.cases:
            await self._codes.read(desk, batch)  # again, now that nobody else can redeem them

    def _take(self, message: MessageReceived) -> None:
        if message.id in self._returned:
            return
        known = self._known.get((message.account, message.thread.message_id))
        if message.call is not None and known is not None:
            self._hear_more(message, known)
            return
        customer = self._customer(message)
        opening = self._openings.get(message.id)
        alone = opening is not None and opening.fresh
        redemption = None if alone else self._codes.redeem(self.desk, message, customer)
        if alone:
            joined = Joined(None, "new")
        else:
            joined = redemption.joined if redemption else self._join(message, customer)
        if redemption is not None and redemption.adopted and joined.case is not None:
            customer = self._adopt(message, customer, joined.case.customer_id)
        if redemption is None and not joined.marked:
            joined = evolved(joined, marked=self._people.marked.get(message.id, ""))
        case_id = joined.case.id if joined.case else new_id()
        decided = self.desk.decide(
            case_id,
            TakeMessage(
                case_id=case_id,
                message=message,
                customer=self._people.facts[customer],
                joined=joined.why,
                marked=joined.marked,
                handoff_id=redemption.handoff_id if redemption else None,
                arrived_at=self._replayed.get(message.id),
                opening=opening,
            ),
        )
        if joined.case is None:
            self._of_customer[customer].append(case_id)
        self._keep(message, decided.case, customer, joined, redemption)

    def _adopt(self, message: MessageReceived, guest: UUID, host: UUID) -> UUID:
        """What this sender writes later in the batch is the customer's too."""
        customer = self._adoptions.unite(self.desk, message, guest, host)
        if customer != guest:
            self._of_customer[customer] += self._of_customer.pop(guest, [])
        return customer

    def _customer(self, message: MessageReceived) -> UUID:
        return self._adoptions.standing(self._people.of[message.id])

    def _join(self, message: MessageReceived, customer: UUID) -> Joined:
        desk = self.desk
        mine = [desk.cases[id] for id in self._of_customer[customer]]
        if message.channel == "webchat" and message.id in self._people.marked:
            mine = []  # who only says they are this customer is answered in a case of their own
        return join(
            message,
            customer,
            threads=self._threads(message, customer),
            cases=mine,
            product_of=lambda: self._product(message, customer),
            policy=desk.policy,
            now=desk.now,
        )

    def _product(self, message: MessageReceived, customer: UUID) -> str:
        """The one given, else that of the rule it matches, evaluated for this message alone."""
        facts = facts_of(message, self._people.facts[customer])
        return message.product or self.desk.policy.route(facts, self.desk.now).product

    def _threads(self, message: MessageReceived, customer: UUID) -> Iterable[Case]:
        """Nearest first: what the message answers, which may have been split off since our token
        named its case; the token; what else it refers to; the tag in its subject, which anyone can
        copy, so only the case's own customer is let in by it."""
        named = [self._known[ref] for ref in mentions.refs(message) if ref in self._known]
        named += [self._ours[id] for id in mentions.our_ids(message) if id in self._ours]
        answers = [known for known in named if self._answers(message, known)]
        tokens = mentions.tokens([message])
        for id in (*(k.case_id for k in answers), *tokens, *(k.case_id for k in named)):
            if id in self.desk.cases:
                yield self.desk.cases[id]
        for id in mentions.tags([message]):
            if id in self.desk.cases and self.desk.cases[id].customer_id == customer:
                yield self.desk.cases[id]

    def _answers(self, message: MessageReceived, known: Known) -> bool:
        """Whether it is the very message that this one replies to."""
        nearest = message.thread.references[:1]
        return any(self._known.get((message.account, ref)) == known for ref in nearest) or (
            known.id in _our_ids_in(nearest)
        )

    def _keep(
        self,
        message: MessageReceived,
        case: Case,
        customer: UUID,
        joined: Joined,
        redemption: Redemption | None,
    ) -> None:
        if message.echo:
            return  # its row comes with ReplyRecorded
        row = self._row(message, case, customer, joined.marked)
        self.desk.messages.append(row)
        if message.thread.message_id and message.kind not in _REPLACING:
            self._known[message.account, message.thread.message_id] = Known(
                message.id, case.id, customer, message.account, message.kind, row.state, "in",
                message.text[:600],
            )  # fmt: skip
        target = self._known.get((message.account, message.thread.target))
        if message.kind in _REPLACING and target is not None and target.direction == "in":
            self._updates[target.id].append(message)
            self._revise(target, message, message.kind)

    def _row(self, message: MessageReceived, case: Case, customer: UUID, marked: str) -> MessageRow:
        reference = "" if message.kind in _REPLACING else message.thread.message_id
        return MessageRow(
            id=message.id, case_id=case.id, customer_id=customer, account=message.account,
            channel=message.channel, direction="in", kind=message.kind, state="received",
            authentication=message.sender.authentication, author=message.sender.name,
            provider_id=reference, subject=message.subject, text=message.text, marked=marked,
            occurred_at=message.occurred_at, received_at=message.received_at,
            processed_at=self.desk.now, data=_data(message, self._people.facts[customer]),
        )  # fmt: skip

    def _revise(
        self, known: Known, message: MessageReceived, reason: str, settled: bool = False
    ) -> None:
        after = "[withdrawn]" if message.kind == "revoke" else message.text
        if known.case_id in self.desk.cases and not _adds(message):
            self.desk.decide(
                known.case_id, ReviseMessage(known.id, reason, known.text, after, settled)
            )

    def _hear_more(self, message: MessageReceived, known: Known) -> None:
        """A call tells its outcome in several requests: the better one stands, in place."""
        if not calls.better(known.kind, message.kind):  # type: ignore[arg-type]
            return
        answered = message.kind == "call_ended"
        self._revise(known, message, "a better outcome of the call", settled=answered)
        ref = (message.account, message.thread.message_id)
        self._known[ref] = evolved(known, kind=message.kind, text=message.text[:600])
        for index, row in enumerate(self.desk.messages):
            if row.id == known.id:
                data = _data(message, self._people.facts[self._customer(message)])
                self.desk.messages[index] = row._replace(
                    kind=message.kind, text=message.text, data=data
                )
                return
        self._updates[known.id].append(message)

    async def _store_updates(self) -> None:
        """Edits, withdrawals and better outcomes of messages stored before, or in this batch;
        one after the other, as each builds on what the one before it left."""
        places = {row.id: index for index, row in enumerate(self.desk.messages)}
        for id, updates in self._updates.items():
            for message in updates:
                if id in places:
                    row = self.desk.messages[places[id]]
                    new = row._replace(text=_new_text(message, row.text))
                    self.desk.messages[places[id]] = new
                else:
                    await self._store_update(id, message)

    async def _store_update(self, id: UUID, message: MessageReceived) -> None:
        replaces = message.kind in _REPLACING
        await (await driver(self.desk.connection)).execute(
            "UPDATE messages SET text = CASE WHEN $5 THEN text || chr(10) ELSE '' END || $2, "
            "kind = coalesce($3, kind), data = data || $4::jsonb WHERE id = $1",
            id,
            "" if message.kind == "revoke" else message.text,
            None if replaces else message.kind,
            '{"edited": true}' if replaces else _data(message),
            _adds(message),
        )
