"""How a notice is put for each of its recipients: language, local time, sender, words. Pure.

It is resolved here, where the notice is decided, and travels with it: the notifier knows no policy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from services.router.rules.people import Notify
from shared.events import Manner, Target, Wording
from shared.notices import NoticeKind

if TYPE_CHECKING:
    from services.router.policy_terms import PolicyTerms


def target(
    policy: PolicyTerms, entry: Notify, kind: NoticeKind, team: str, agent: str = ""
) -> Target:
    """team  whom it is for, or `supervisors`; agent: whose own address it is"""
    manner = None
    if entry.kind != "webhook":
        manner = _manner(policy, entry, kind, team, own=bool(agent))
    elif agent:
        manner = Manner(own=True)
    return Target(kind=entry.kind, address=entry.address, name=agent or team, manner=manner)


def _manner(
    policy: PolicyTerms, entry: Notify, kind: NoticeKind, team: str, *, own: bool
) -> Manner:
    language = entry.language or policy.language
    return Manner(
        language=language,
        zone=_zone(policy, team),
        sender=policy.notices_from if entry.kind == "email" else "",
        urgency=entry.priority or 0,
        words=tuple(_words(policy, kind, language)),
        own=own,
    )


def _words(policy: PolicyTerms, kind: NoticeKind, language: str) -> Iterator[Wording]:
    """The policy's own, of this notice and of the digest it may end up in."""
    for each in dict.fromkeys((kind, "digest")):
        template = policy.templates.find(each, language)
        if template is not None:
            yield Wording(kind=each, subject=template.subject or "", text=template.text or "")


def _zone(policy: PolicyTerms, name: str) -> str:
    """Where a team works; the file's own for all others."""
    team = policy.teams.get(name)
    calendar = policy.calendars.get(team.calendar) if team and team.calendar else None
    zone = calendar.timezone if calendar and calendar.timezone else policy.timezone
    return zone.key or ""
