"""Plain answers from the policy file: who is told, until when, whose customer. No rules yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Final

from msgspec.structs import replace

from services.router import manners
from services.router.calendars import Calendar
from services.router.openings import Openings
from services.router.rules.model import Notify, PolicyFile, QuietHours
from services.router.rules.quiet import Quiet
from services.router.rules.switches import SwitchRow
from services.router.rules.values import SUPERVISORS
from shared.events import Channel, Digest, Identity, Priority, Target
from shared.notices import NoticeKind
from shared.notices.builtin import LANGUAGES
from shared.quiet import quiet_until
from shared.yamlfile import Path

DIGEST_EVERY: Final = timedelta(minutes=15)  # where the policy says nothing of digests

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

    def notify_team(
        self, team: str, now: datetime, priority: Priority, kind: NoticeKind = "reminder"
    ) -> tuple[Target, ...]:
        """Where what a team must know goes at `now`, of a case of this priority.

        In a recipient's quiet hours `not_before` is their end. What is urgent waits in no digest.
        """
        return self._bundled(_woken(self._recipients(team, kind), now, priority), priority)

    def tell_at_once(self, team: str) -> tuple[Target, ...]:
        """The same for what runs out within hours, such as an offer: it waits for no morning."""
        return tuple(target for target, _ in self._recipients(team, "handoff"))

    def notify_supervisors(
        self, now: datetime, priority: Priority, kind: NoticeKind = "reminder"
    ) -> tuple[Target, ...]:
        return self._bundled(_woken(self._recipients(SUPERVISORS, kind), now, priority), priority)

    def notify_agent(
        self,
        agent: str,
        own: Iterable[Notify],
        team: str,
        now: datetime,
        priority: Priority,
        kind: NoticeKind = "reminder",
    ) -> tuple[Target, ...]:
        """An agent's own addresses, of a case of `team` that they have."""
        told = self._addressees(team, own, kind, agent)
        return self._bundled(_woken(told, now, priority), priority)

    def notify_named(
        self,
        names: Sequence[str],
        team: str,
        now: datetime,
        priority: Priority,
        kind: NoticeKind = "reminder",
    ) -> tuple[Target, ...]:
        """`team` and `supervisors`, in the order named, each once."""
        told: list[Target] = []
        for name in dict.fromkeys(names):
            if name == SUPERVISORS:
                told += self.notify_supervisors(now, priority, kind)
            else:
                told += self.notify_team(team, now, priority, kind)
        return tuple(told)

    def together(self, told: Iterable[Target]) -> tuple[Target, ...]:
        """The same in a digest however few they are: of what was overdue when it came."""
        every = DIGEST_EVERY if self.digest is None else self.digest.every.timedelta()
        return tuple(replace(each, digest=Digest(over=0, every=every)) for each in told)

    def _bundled(self, told: Iterable[Target], priority: Priority) -> tuple[Target, ...]:
        if self.digest is None or priority == "urgent":
            return tuple(told)
        digest = Digest(over=self.digest.over, every=self.digest.every.timedelta())
        return tuple(replace(each, digest=digest) for each in told)

    def _recipients(self, name: str, kind: NoticeKind) -> tuple[Addressee, ...]:
        if (name, kind) not in self._resolved:
            notify = self._notify_of(name)
            self._resolved[name, kind] = tuple(self._addressees(name, notify, kind))
        return self._resolved[name, kind]

    @cached_property
    def _resolved(self) -> dict[tuple[str, NoticeKind], tuple[Addressee, ...]]:
        """Kept: every reminder of a team goes to the same."""
        return {}

    def _notify_of(self, name: str) -> tuple[Notify, ...]:
        if name == SUPERVISORS:
            return self.supervisors.notify
        return self.teams[name].notify if name in self.teams else ()

    @cached_property
    def told(self) -> tuple[tuple[Path, Notify], ...]:
        """Everybody the file notifies, each with its place there."""
        teams = [(("teams", name), team.notify) for name, team in self.teams.items()]
        return tuple(
            ((*path, "notify", index), entry)
            for path, notify in (*teams, (("supervisors",), self.supervisors.notify))
            for index, entry in enumerate(notify)
        )

    @property
    def notices_from(self) -> str:
        """The mail account that notices leave by; empty: the only one that sends."""
        return self.notify_from or self.reply_from.get("email", "")

    def _addressees(
        self, team: str, notify: Iterable[Notify], kind: NoticeKind, agent: str = ""
    ) -> Iterator[Addressee]:
        for entry in notify:
            target = manners.target(self, entry, kind, team, agent)
            yield target, self._quiet(entry.quiet_hours or self.quiet_hours)

    def _quiet(self, hours: QuietHours | None) -> Quiet | None:
        if hours is None:
            return None
        return Quiet(hours.start, hours.end, hours.timezone or self.timezone, hours.spared)

    def own_words(self, kind: str, language: str) -> tuple[str, str]:
        """(subject, text) of what customers read, by the policy; each empty for the built-in."""
        base = language.lower().partition("-")[0]
        spoken = language.lower() if base in LANGUAGES else "en"
        found = self.templates.find(kind, language) or self.templates.find(kind, spoken)
        return ("", "") if found is None else (found.subject or "", found.text or "")

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
    """Each with its quiet hours, and their end where it would come within them."""
    for target, quiet in those:
        kept = None if quiet is None else quiet.kept(priority)
        if kept is None:
            yield target
        else:
            yield replace(target, quiet=kept, not_before=quiet_until(kept, now))


def _comparable(identity: str) -> str:
    return identity.lower() if identity.startswith("email:") else identity
