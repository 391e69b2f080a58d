"""Whose messages these are, among the people on record: one customer each. Pure.

proven, of one person     → theirs; identities nobody has are added to them
proven, of two records    → the records are one person's: they are merged, the older one stays
asserted                  → finds who has the identity, or opens a record with it unverified;
                            what else it says is a claim, and adds nothing
a changed number          → detaches: it may soon be a stranger's
shared (a switchboard)    → tells nobody from anybody: it merges nothing where there is more
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from uuid import UUID

from shared.events import Identity, MessageReceived, Sender
from shared.ids import new_id

ASSERTED: Final = "asserted_identity"  # found by what it says of itself, not by where it came from


class Owner(NamedTuple):
    """Whose an identity is. Firm: it was proven, or it is all that is known of them."""

    customer: UUID
    firm: bool = True
    verified: bool = True


Found = dict[Identity, Owner]
Bars = frozenset[frozenset[UUID]]  # pairs a person took apart; alone: to be erased


class Meeting(NamedTuple):
    """One message proved that two records are one person's."""

    winner: UUID
    loser: UUID
    met: tuple[Identity, ...]
    message_id: UUID


class Claim(NamedTuple):
    """A customer's message asserted this identity too."""

    identity: Identity
    customer: UUID
    message_id: UUID


class Conflict(NamedTuple):
    """Two records lay hold of one identity, and Regie does not decide between them.

    why  unmerged (a person undid their merge), unproven (it stands unverified on the other),
         to_be_erased
    """

    identity: Identity
    customer: UUID
    other: UUID
    why: str
    message_id: UUID


@dataclass
class Recognised:
    """What the batch says of people; customers are named by the record that stays.

    new       identities nobody has yet, and whether they are verified
    gone      identities on record that leave their customer; where a later message of the batch
              brings one, it is `taken_over` at once
    absorbed  every record that gave way → the one that stays
    meetings  those of them that were on record before the batch
    proven    identities their own customer proved
    """

    people: dict[UUID, UUID]
    marked: dict[UUID, str]
    new: dict[Identity, tuple[UUID, bool]]
    gone: set[Identity]
    taken_over: dict[Identity, tuple[UUID, bool]]
    owners: dict[Identity, UUID]
    absorbed: dict[UUID, UUID]
    meetings: list[Meeting]
    proven: set[Identity]
    claims: list[Claim]
    conflicts: list[Conflict]

    @property
    def customers(self) -> set[UUID]:
        """All whose record must stand still meanwhile."""
        return {*self.people.values(), *self.absorbed, *self.absorbed.values()}


def named(message: MessageReceived) -> Iterable[Identity]:
    """Every identity that may tell whose message it is."""
    sender = message.sender
    former = () if sender.former is None else (sender.former,)
    return (*_identities(sender), *former)


def recognise(
    messages: Sequence[MessageReceived],
    known: Found,
    made: set[UUID],
    bars: Bars = frozenset(),
    is_shared: Callable[[Identity], bool] = lambda _: False,
) -> Recognised:
    """In message order. `made`: records this batch makes; new ones are added to it."""
    batch = _Batch(known, made, bars, is_shared)
    for message in messages:
        batch.take(message)
    return batch.outcome()


def _identities(sender: Sender) -> tuple[Identity, ...]:
    """Proven, the customer number is an identity like any other."""
    if sender.authentication != "proven" or not sender.customer_ref:
        return sender.identities
    number = Identity(scheme="customer_no", value=sender.customer_ref)
    return sender.identities if number in sender.identities else (*sender.identities, number)


@dataclass
class _Batch:
    known: Found
    made: set[UUID]
    bars: Bars
    is_shared: Callable[[Identity], bool]
    people: dict[UUID, UUID] = field(default_factory=dict)
    marked: dict[UUID, str] = field(default_factory=dict)
    gone: set[Identity] = field(default_factory=set)
    meetings: list[Meeting] = field(default_factory=list)
    proven: set[Identity] = field(default_factory=set)
    claims: list[Claim] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.found = dict(self.known)
        self._into: dict[UUID, UUID] = {}
        self._members: dict[UUID, set[UUID]] = {}

    def take(self, message: MessageReceived) -> None:
        proven = message.sender.authentication == "proven"
        customer = self._proven(message) if proven else self._asserted(message)
        self.people[message.id] = customer

    def _proven(self, message: MessageReceived) -> UUID:
        former = message.sender.former
        identities = self._personal(_identities(message.sender))
        # Numbers change: who was known by the former one is who writes now.
        linked = identities if former is None else (*identities, former)
        owned = [i for i in linked if i in self.found]
        main = next((i for i in owned if self.found[i].firm), owned[0] if owned else None)
        customer = self._make() if main is None else self._root(self.found[main].customer)
        for identity in owned:
            if main is not None and self._root(self.found[identity].customer) != customer:
                customer = self._meet(customer, main, identity, message)
        for identity in identities:
            if identity not in self.found or self._owner(identity) == customer:
                self.found[identity] = Owner(customer)
                self.proven.add(identity)
        if former in self.found:
            del self.found[former]
            self.gone.update({former} & self.known.keys())
        return customer

    def _asserted(self, message: MessageReceived) -> UUID:
        identities = self._personal(message.sender.identities)
        by = next((i for i in identities if i in self.found), None)
        if by is not None:
            customer = self._owner(by)
            if by != identities[0]:
                self.marked[message.id] = ASSERTED
        else:
            customer, by = self._make(), next(iter(identities), None)
            if by is not None:
                self.found[by] = Owner(customer, firm=True, verified=False)
        said = [i for i in identities if i != by and not self.is_shared(i)]
        if message.sender.customer_ref:
            said.append(Identity(scheme="customer_no", value=message.sender.customer_ref))
        self.claims.extend(Claim(i, customer, message.id) for i in said if i != by)
        return customer

    def _personal(self, identities: tuple[Identity, ...]) -> tuple[Identity, ...]:
        """Without those of many people, unless there is nothing else."""
        if len(identities) < 2:
            return identities
        return tuple(i for i in identities if not self.is_shared(i)) or identities

    def _meet(
        self, customer: UUID, main: Identity, identity: Identity, message: MessageReceived
    ) -> UUID:
        """The one record of both, or the first, where they must not be merged by themselves."""
        other = self._owner(identity)
        why = self._against(customer, other, identity)
        if why:
            self.conflicts.append(Conflict(identity, customer, other, why, message.id))
            return customer
        # The older record stays. Ids sort by age; what this batch made is younger than all.
        winner, loser = sorted((customer, other), key=lambda c: (c in self.made, c))
        self.meetings.append(Meeting(winner, loser, (main, identity), message.id))
        self._into[loser] = winner
        self._members[winner] = self._all(winner) | self._all(loser)
        return winner

    def _against(self, customer: UUID, other: UUID, identity: Identity) -> str:
        if not self.found[identity].firm:
            return "unproven"
        both = self._all(customer), self._all(other)
        if any(frozenset((c,)) in self.bars for members in both for c in members):
            return "to_be_erased"
        if any(frozenset((a, b)) in self.bars for a in both[0] for b in both[1]):
            return "unmerged"
        return ""

    def _make(self) -> UUID:
        customer = new_id()
        self.made.add(customer)
        return customer

    def _owner(self, identity: Identity) -> UUID:
        return self._root(self.found[identity].customer)

    def _root(self, customer: UUID) -> UUID:
        while customer in self._into:
            customer = self._into[customer]
        return customer

    def _all(self, customer: UUID) -> set[UUID]:
        return self._members.get(customer, {customer})

    def outcome(self) -> Recognised:
        root, found = self._root, self.found
        owners = {identity: root(owner.customer) for identity, owner in found.items()}

        def entered(identities: Iterable[Identity]) -> dict[Identity, tuple[UUID, bool]]:
            return {i: (owners[i], found[i].verified) for i in identities}

        return Recognised(
            people={id: root(customer) for id, customer in self.people.items()},
            marked=self.marked,
            new=entered(found.keys() - self.known.keys()),
            gone=self.gone - found.keys(),
            taken_over=entered(self.gone & found.keys()),
            owners=owners,
            absorbed={loser: root(loser) for loser in self._into},
            meetings=[
                m._replace(winner=root(m.loser)) for m in self.meetings if m.loser not in self.made
            ],
            proven=self.proven & found.keys(),
            claims=[c._replace(customer=root(c.customer)) for c in self.claims],
            conflicts=self._standing_conflicts(),
        )

    def _standing_conflicts(self) -> list[Conflict]:
        named = [
            c._replace(customer=self._root(c.customer), other=self._root(c.other))
            for c in self.conflicts
        ]
        return [conflict for conflict in named if conflict.customer != conflict.other]
