"""Plain answers from the policy file: who is told, until when, whose customer. No rules yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property

from msgspec.structs import replace

from services.router.calendars import Calendar
from services.router.openings import Openings
from services.router.rules.model import Notify, PolicyFile, QuietHours
from services.router.rules.quiet import Quiet
from services.router.rules.switches import SwitchRow
from services.router.rules.values import SUPERVISORS
from shared.events import Channel, Identity, Priority, Target

Addressee = tuple[Target, Quiet | None]


class PolicyTerms(PolicyFile):
    """The file, and the questions that need no condition."""

    # --- calendars -------------------------------------------------------------------------

    def calendar(self, name: str) -> Calendar:
        """Raises KeyError for a name the file does not have."""
        return self.working_time[name]

    @cached_property
    def working_time(self) -> Mapping[str, Calendar]:
        return {
            name: Calendar(
                name,
                Openings(
                    section.timezone or self.timezone,
                    section.week(),
                    section.holidays,
                    section.exceptions,
                ),
            )
            for name, section in self.calendars.items()
        }

    def instant(self, moment: datetime) -> datetime:
        """In UTC. Without an offset it is local time of the file."""
        local = moment if moment.tzinfo else moment.replace(tzinfo=self.timezone)
        return local.astimezone(UTC)

    # --- teams -----------------------------------------------------------------------------

    def has_team(self, name: str) -> bool:
        return name in self.teams

    def is_external(self, team: str) -> bool:
        """A chain partner: nobody there has a key."""
        return team in self.teams and self.teams[team].external

    def fallback_of(self, team: str) -> str:
        """The team that steps in; empty for none. For a team the policy does not have any more,
        the one for everything else."""
        if team not in self.teams:
            return self.routing[-1].team
        return self.teams[team].fallback or ""

    def gives(self, team: str) -> bool:
        """Whether its waiting cases go to its online agents by themselves."""
        return team in self.teams and self.teams[team].give

    def capacity_of(self, team: str) -> int | None:
        """What an agent of it has at most, in weights of running cases; None: no bound."""
        return self.teams[team].capacity if team in self.teams else None

    def weight(self, channel: str) -> float:
        """What a running case on this channel counts against its agent's capacity."""
        return self.weight_by_channel.get(channel, 1.0)

    @cached_property
    def weight_by_channel(self) -> Mapping[str, float]:
        return dict(self.weights.items())

    def required_results(self, product: str, receiver: str) -> list[str]:
        """The results of a product without which a team cannot take its cases over."""
        if product not in self.products:
            return []
        results = self.products[product].results.items()
        return [name for name, result in results if receiver in result.required_for]

    @cached_property
    def closing_windows(self) -> Mapping[Channel, tuple[SwitchRow, ...]]:
        """The rows of the matrix for a window about to close, by the channel it closes on."""
        rows: dict[Channel, tuple[SwitchRow, ...]] = {}
        for row in self.switches:
            if "window_closing" in row.reasons:
                rows[row.from_channel] = (*rows.get(row.from_channel, ()), row)
        return rows

    def reply_account(
        self, channel: Channel, account: str, senders: frozenset[str] | None = None
    ) -> str:
        """What a reply leaves by: the case's account, else `reply_from`; empty for neither.

        senders  the accounts that can send; None: all
        """
        named = (account, self.reply_from.get(channel, ""))
        return next((n for n in named if n and (senders is None or n in senders)), "")

    # --- who is told -----------------------------------------------------------------------

    def notify_team(self, team: str, now: datetime, priority: Priority) -> tuple[Target, ...]:
        """Where what a team must know goes at `now`, of a case of this priority.

        In a recipient's quiet hours `not_before` is their end.
        """
        return tuple(_woken(self.recipients.get(team, ()), now, priority))

    def tell_at_once(self, team: str) -> tuple[Target, ...]:
        """The same for what runs out within hours, such as an offer: it waits for no morning."""
        return tuple(target for target, _ in self.recipients.get(team, ()))

    def notify_supervisors(self, now: datetime, priority: Priority) -> tuple[Target, ...]:
        return tuple(_woken(self.supervising, now, priority))

    def notify_named(
        self, names: Sequence[str], team: str, now: datetime, priority: Priority
    ) -> tuple[Target, ...]:
        """`team` and `supervisors`, in the order named, each once."""
        told: list[Target] = []
        for name in dict.fromkeys(names):
            if name == SUPERVISORS:
                told += self.notify_supervisors(now, priority)
            else:
                told += self.notify_team(team, now, priority)
        return tuple(told)

    @cached_property
    def recipients(self) -> Mapping[str, tuple[Addressee, ...]]:
        return {
            name: tuple(self._addressees(name, team.notify)) for name, team in self.teams.items()
        }

    @cached_property
    def supervising(self) -> tuple[Addressee, ...]:
        return tuple(self._addressees(SUPERVISORS, self.supervisors.notify))

    def _addressees(self, name: str, notify: Iterable[Notify]) -> Iterator[Addressee]:
        for entry in notify:
            target = Target(kind=entry.kind, address=entry.address, name=name)
            yield target, self._quiet(entry.quiet_hours or self.quiet_hours)

    def _quiet(self, hours: QuietHours | None) -> Quiet | None:
        if hours is None:
            return None
        return Quiet(hours.start, hours.end, hours.timezone or self.timezone, hours.spared)

    # --- until when ------------------------------------------------------------------------

    def claim_expires(self, now: datetime) -> datetime:
        return self.claim_lease.after(now)

    def offer_expires(self, now: datetime) -> datetime:
        return self.handoff.offer_ttl.after(now)

    def code_expires(self, now: datetime) -> datetime:
        return self.handoff.code_ttl.after(now)

    def reopens_since(self, now: datetime) -> datetime:
        """A case closed later than this reopens with its customer's next message."""
        return self.joining.reopen.before(now)

    # --- customers -------------------------------------------------------------------------

    def standing(self, identities: Sequence[Identity]) -> tuple[str, bool]:
        """The customer group, empty for none, and whether it is a colleague."""
        theirs = {_comparable(str(identity)) for identity in identities}
        groups = self.customers.groups.items()
        group = next((name for name, members in groups if not theirs.isdisjoint(members)), "")
        return group, any(self._is_colleague(identity) for identity in identities)

    def is_shared(self, identity: Identity) -> bool:
        """Whether many people use it (a switchboard): then it joins no case."""
        return _comparable(str(identity)) in self.shared_identities

    def _is_colleague(self, identity: Identity) -> bool:
        """By employee number, or by the domain of a mail address."""
        if identity.scheme == "email":
            return identity.value.rpartition("@")[2].lower() in self.internal_domains
        return identity.scheme == "employee_no"

    @cached_property
    def internal_domains(self) -> frozenset[str]:
        return frozenset(domain.lower() for domain in self.customers.internal_domains)


def _woken(those: Iterable[Addressee], now: datetime, priority: Priority) -> Iterator[Target]:
    """Each with the end of its quiet hours, where it would come within them."""
    for target, quiet in those:
        not_before = None if quiet is None else quiet.until(now, priority)
        yield target if not_before is None else replace(target, not_before=not_before)


def _comparable(identity: str) -> str:
    return identity.lower() if identity.startswith("email:") else identity
