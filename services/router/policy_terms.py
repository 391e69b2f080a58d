"""Plain answers from the policy file: who is told, until when, whose customer. No rules yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property

from services.router.calendars import Calendar
from services.router.openings import Openings
from services.router.policy_model import Notify, PolicyFile
from services.router.policy_values import SUPERVISORS
from shared.events import Channel, Identity, Target


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

    # --- teams -----------------------------------------------------------------------------

    def has_team(self, name: str) -> bool:
        return name in self.teams

    def fallback_of(self, team: str) -> str:
        """The team that steps in; empty for none."""
        return (self.teams[team].fallback or "") if team in self.teams else ""

    def notify_team(self, team: str) -> tuple[Target, ...]:
        """Where its reminders go."""
        return _targets(team, self.teams[team].notify) if team in self.teams else ()

    def notify_on_breach(self, team: str) -> tuple[Target, ...]:
        """Whom `on_breach` tells, each once."""
        told = {
            "team": self.notify_team(team),
            SUPERVISORS: _targets(SUPERVISORS, self.supervisors.notify),
        }
        return tuple(target for who in self.on_breach.notify for target in told[who])

    def required_results(self, product: str, receiver: str) -> list[str]:
        """The results of a product without which a team cannot take its cases over."""
        if product not in self.products:
            return []
        results = self.products[product].results.items()
        return [name for name, result in results if receiver in result.required_for]

    def reply_account(
        self, channel: Channel, account: str, senders: frozenset[str] | None = None
    ) -> str:
        """What a reply leaves by: the case's account, else `reply_from`; empty for neither.

        senders  the accounts that can send; None: all
        """
        named = (account, self.reply_from.get(channel, ""))
        return next((n for n in named if n and (senders is None or n in senders)), "")

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


def _targets(name: str, notify: Iterable[Notify]) -> tuple[Target, ...]:
    return tuple(_each(name, notify))


def _each(name: str, notify: Iterable[Notify]) -> Iterator[Target]:
    for entry in notify:
        yield Target(kind=entry.kind, address=entry.address, name=name)


def _comparable(identity: str) -> str:
    return identity.lower() if identity.startswith("email:") else identity
