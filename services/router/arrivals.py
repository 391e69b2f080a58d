"""A batch of messages becomes cases: find the people, find the cases, decide one by one.

Lock order, as everywhere: positions, identities, customers, cases by id (DESIGN 5, "How they
hold"). After the load there is no query per message.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace as evolved
from datetime import datetime
from functools import reduce
from typing import Final
from uuid import UUID

from msgspec.structs import replace

from services.router import (
    amended,
    answer_to,
    echoes,
    heard_rows,
    mentions,
    merging,
    notice_answers,
    queries,
    redeeming,
    surveying,
)
from services.router.adopting import Adoptions, addressed
from services.router.amended import Standing, Word
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
from services.router.taking import WAITS, facts_of
from shared.events import Identity, MessageReceived, Thread
from shared.ids import new_id

_WITHDRAWN: Final = "[withdrawn]"


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
        self._noted: Mapping[UUID, UUID] = {}

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
        again: list[int] = []
        for message in messages:
            if message.id not in fresh:
                if message.call is None:
                    continue
                again.append(len(batch))
            fresh.discard(message.id)
            batch.append(self._cleaned(message))
        if batch:
            await self._take_all(batch, frozenset(again))

    async def _take_all(self, batch: Sequence[MessageReceived], again: frozenset[int]) -> None:
        """`again`: which of them come once more, which for a call may still say something new."""
        new = [message for index, message in enumerate(batch) if index not in again]
        repeats = [batch[index] for index in again]
        self._noted = await notice_answers.cases(self.desk.connection, new)
        await self._load([message for message in new if message.id not in self._noted], repeats)
        for index, message in enumerate(batch):
            if index in again:
                self._take_again(message)
            elif message.id in self._noted:
                notice_answers.take(self.desk, message, self._noted[message.id])
            else:
                self._take(message)
        await self._amendments.store(self.desk.connection)
        await self._adoptions.store(self.desk)
        await self._codes.store(self.desk)

    def _cleaned(self, message: MessageReceived) -> MessageReceived:
        """Our own addresses are never customers; a switchboard's number is nobody's alone."""
        message = answer_to.without_ours(message, self._own)
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

    async def _load(
        self, batch: Sequence[MessageReceived], repeats: Sequence[MessageReceived]
    ) -> None:
        desk, connection = self.desk, self.desk.connection
        told = [*batch, *repeats]
        await self._codes.read(desk, told)
        known = [*batch, *(m for m in repeats if m.sender.identities and self._codes.shown(m))]
        people = await identify(connection, known, desk.policy, self._codes.customers, desk.now)
        self._people, merges = people, people.merges
        named = addressed(known, self._codes.addresses)
        moving = await self._adoptions.prepare(
            connection, {people.of[id] for id in named}, people.facts.keys()
        )
        moving.update(case for merge in merges for case in merge.cases)
        # Only now, with the customers locked: a split moves the threads of theirs.
        self._known = await queries.messages_by_ref(
            connection, (ref for m in told for ref in mentions.refs(m))
        )
        early = await self._amendments.read_early(connection, batch)
        self._returned = await echoes.returned(connection, batch, people.of, desk.now)
        self._ours = await queries.messages_by_id(
            connection, {id for m in batch for id in mentions.our_ids(m)}
        )
        threads = [*self._known.values(), *self._ours.values()]
        parents = {o.parent_id for o in self._openings.values() if o.parent_id is not None}
        marked = mentions.tokens(batch) | mentions.tags(batch)
        cases = await queries.lock_cases(
            connection,
            {k.case_id for k in threads}
            | early
            | self._codes.cases
            | marked
            | parents
            | moving
            | {*self._noted.values()},
            set(self._people.of.values()),
            surveying.reach(desk.policy, desk.now),
        )
        desk.seat(cases)
        await self._amendments.read(connection, self._amended(told))
        await merging.carry(desk, merges)
        for case in desk.cases.values():
            self._of_customer[case.customer_id].append(case.id)
        if self._codes.cases:
            await self._codes.read(desk, told)  # again, now that nobody else can redeem them

    def _amended(self, told: Iterable[MessageReceived]) -> set[UUID]:
        """The stored messages that these say more of."""
        refs = {(m.account, m.thread.target) for m in told if m.kind in heard_rows.REPLACING}
        refs |= {(m.account, m.thread.message_id) for m in told if m.call is not None}
        return {self._known[ref].id for ref in refs if ref in self._known}

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
                customer=self._facts(customer),
                joined=joined.why,
                marked=joined.marked,
                handoff_id=redemption.handoff_id if redemption else None,
                arrived_at=self._replayed.get(message.id),
                opening=opening,
            ),
        )
        if joined.case is None:
            self._of_customer[customer].append(case_id)
            notice_answers.put_away(self.desk, message, case_id)
        self._keep(message, decided.case, customer, joined, redemption)

    def _adopt(self, message: MessageReceived, guest: UUID, host: UUID) -> UUID:
        """What this sender writes later in the batch is the customer's too."""
        customer = self._adoptions.unite(self.desk, message, guest, host)
        if customer != guest:
            self._of_customer[customer] += self._of_customer.pop(guest, [])
        return customer

    def _take_again(self, message: MessageReceived) -> None:
        known = self._known.get((message.account, message.thread.message_id))
        if known is not None:
            self._hear_more(message, known)

    def _hear_more(self, message: MessageReceived, known: Known) -> None:
        """A call tells its outcome in several requests."""
        ref = (message.account, message.thread.message_id)
        found = self._people.of.get(message.id) if message.sender.identities else None
        customer = self._adoptions.standing(found or known.customer_id)
        calls = CallsHeard(self.desk, self._codes, self._amendments, self._adopt, self._facts)
        self._known[ref] = calls.hear(message, customer, known)

    def _facts(self, customer: UUID) -> CustomerFacts:
        return self._people.facts.get(customer) or CustomerFacts(id=customer, known=True)

    def _customer(self, message: MessageReceived) -> UUID:
        if not message.sender.identities:
            told = self._known.get((message.account, message.thread.target))
            early = [told] if told is not None else self._amendments.early(message)
            if early:  # nobody can say who called, but that it is one call
                return self._adoptions.standing(early[0].customer_id)
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
        facts = facts_of(message, self._facts(customer))
        return message.product or self.desk.policy.route(facts, self.desk.now).product

    def _threads(self, message: MessageReceived, customer: UUID) -> Iterable[Case]:
        """Nearest first: what the message answers, which may have been split off since our token
        named its case; the token; what else it refers to; the tag in its subject, which anyone can
        copy, so only the case's own customer is let in by it."""
        named = [self._known[ref] for ref in mentions.refs(message) if ref in self._known]
        named += [self._ours[id] for id in mentions.our_ids(message) if id in self._ours]
        answers = [k for k in named if mentions.answers(message, k, self._known)]
        tokens = mentions.tokens([message])
        for id in (*(k.case_id for k in answers), *tokens, *(k.case_id for k in named)):
            if id in self.desk.cases:
                yield self.desk.cases[id]
        early = (early.case_id for early in self._amendments.early(message))
        for id in (*mentions.tags([message]), *early):
            if id in self.desk.cases and self.desk.cases[id].customer_id == customer:
                yield self.desk.cases[id]

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
        row = heard_rows.row(message, case.id, self._facts(customer), joined.marked, self.desk.now)
        self._amendments.place(row.id, len(self.desk.messages))
        self.desk.messages.append(row)
        if message.kind in heard_rows.REPLACING:
            self._amend_target(message, case, customer)
            return
        if message.thread.target and (message.account, message.thread.target) not in self._known:
            self._amendments.note_early(message, case.id, customer)
        if message.thread.message_id:
            known = Known(
                message.id, case.id, customer, message.account, message.kind, row.state, "in",
                message.text[:600], joined.marked,
            )  # fmt: skip
            self._known[message.account, message.thread.message_id] = known
            self._amend_early(known, message)

    def _amend_early(self, known: Known, message: MessageReceived) -> None:
        """What came before its message, all at once: one that was withdrawn and brought back waits
        as if nothing had happened."""
        words = [
            early.word
            for early in self._amendments.early(message)
            if early.word.kind in heard_rows.REPLACING and self._same(early.customer_id, known)
        ]
        if words:
            self._amend(known, words)

    def _amend_target(self, message: MessageReceived, case: Case, customer: UUID) -> None:
        """What it is about, or nothing yet: that may come after it."""
        target = self._known.get((message.account, message.thread.target))
        if target is None:
            self._amendments.note_early(message, case.id, customer)
        elif target.direction == "in" and self._same(customer, target):
            back = self._amend(target, [amended.word_of(message)])
            if back is not None:
                self._bring_back(message, target, back, customer)

    def _same(self, customer: UUID, known: Known) -> bool:
        """Only who said it changes it or takes it back."""
        standing = self._adoptions.standing
        return standing(customer) == standing(known.customer_id)

    def _amend(self, known: Known, words: Sequence[Word]) -> Standing | None:
        """The message, where it was withdrawn before and is not any more."""
        old = self._amendments.standing(self.desk, known.id)
        if old is None:
            return None
        new = reduce(amended.amended, words, old)
        self._amendments.change(self.desk, known.id, new)
        gone = new.gone and not old.gone
        if known.case_id in self.desk.cases and new.words != old.words:
            before, after = (_WITHDRAWN if each.gone else each.words for each in (old, new))
            revised = ReviseMessage(known.id, words[-1].kind, before, after, settled=gone)
            self.desk.decide(known.case_id, revised)
        return new if old.gone and not new.gone else None

    def _bring_back(
        self, message: MessageReceived, known: Known, back: Standing, customer: UUID
    ) -> None:
        """It waits again, since it was sent; nobody could have answered it meanwhile."""
        case = self.desk.cases.get(known.case_id)
        if case is None or back.kind not in WAITS:
            return
        again = replace(
            message,
            id=known.id,
            kind=back.kind,
            text=back.words,
            reply_text="",
            occurred_at=back.occurred_at,
            thread=Thread(message_id=message.thread.target),
        )
        self.desk.decide(
            case.id,
            TakeMessage(
                case_id=case.id,
                message=again,
                customer=self._facts(customer),
                joined="thread",
                marked=known.marked,
                arrived_at=self._replayed.get(message.id, message.received_at),
            ),
        )
