"""How handoffs, results, promises and the survey change a case. Pure; part of `evolve`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal
from uuid import UUID

from msgspec.structs import replace

from services.router.case import (
    SPOKEN,
    Asked,
    Case,
    Child,
    Hop,
    Kept,
    Offer,
    Promise,
    Result,
    Route,
)
from services.router.evolve_clocks import Rule
from shared import events as ev
from shared.events import CaseChanged, Event, Identity

_KEPT_PROMISES: Final = 3
_REGIE: Final = "regie"  # who offers what the policy starts by itself


def _offered(case: Case, event: ev.HandoffOffered, change: CaseChanged) -> Case:
    offer = Offer(
        handoff_id=event.handoff_id,
        expires_at=event.code_expires_at or event.expires_at,
        to_team=event.to_team,
        to_channel=event.to_channel,
        address=event.address,
        author=event.author,
    )
    return replace(case, offers=(*case.offers, offer))


def _without_offer(case: Case, event: Any, change: CaseChanged) -> Case:
    return replace(case, offers=tuple(o for o in case.offers if o.handoff_id != event.handoff_id))


def _accepted(case: Case, event: ev.HandoffAccepted, change: CaseChanged) -> Case:
    """A person's doing counts as a hop; where the case is then is another event's."""
    offer = next((o for o in case.offers if o.handoff_id == event.handoff_id), None)
    case = _reached(_without_offer(case, event, change), offer, event)
    if offer is None or offer.author == _REGIE:
        return case
    kind: Literal["team", "channel"] = "team" if offer.to_team else "channel"
    left = case.team if offer.to_team else case.channel
    finals = sum(result.finals for result in case.results)
    hop = Hop(kind=kind, left=left, to=offer.to_team or str(offer.to_channel), results=finals)
    return replace(case, hops=(*case.hops, hop), hopped=case.hopped + 1)


def _reached(case: Case, offer: Offer | None, event: ev.HandoffAccepted) -> Case:
    """On the telephone nobody writes first, so the case is there from now on; where they named a
    number, that is where it reaches them."""
    if offer is None or not offer.to_channel:
        return case
    address = event.address or (offer.address if offer.to_channel == "phone" else "")
    if address:
        there = Route(account="", identity=Identity(scheme="e164", value=address))
        case = replace(case, routes=case.routes | {offer.to_channel: there})
    return replace(case, channel=offer.to_channel) if offer.to_channel in SPOKEN else case


def _result_recorded(case: Case, event: ev.ResultRecorded, change: CaseChanged) -> Case:
    others = tuple(result for result in case.results if result.name != event.name)
    finals = sum(result.finals for result in case.results if result.name == event.name)
    newest = Result(
        name=event.name,
        version=event.version,
        state=event.state,
        finals=finals + (event.state == "final"),
    )
    return replace(case, results=(*others, newest))


def _promised(case: Case, event: ev.PromiseMade, change: CaseChanged) -> Case:
    promise = Promise(
        id=event.promise_id,
        kind=event.kind,
        what=event.what,
        due_at=event.due_at,
        by=event.by,
        remind_at=event.remind_at,
        most=event.attempts,
        made_at=change.at,
        address=event.address,
        preferred=event.preferred,
        asked_in=event.asked_in,
    )
    return replace(case, promises=(*case.promises, promise))


def _promise_kept(case: Case, event: ev.PromiseKept, change: CaseChanged) -> Case:
    promise = next((p for p in case.promises if p.id == event.promise_id), None)
    case = _without_promise(case, event, change)
    if promise is None or event.message_id is None or event.late:
        return case
    kept = Kept(promise=promise, message_id=event.message_id)
    return replace(case, kept=(*case.kept, kept)[-_KEPT_PROMISES:])


def _promise_revived(case: Case, event: ev.PromiseRevived, change: CaseChanged) -> Case:
    kept = next((k for k in case.kept if k.promise.id == event.promise_id), None)
    if kept is None:
        return case
    rest = tuple(k for k in case.kept if k is not kept)
    return replace(case, kept=rest, promises=(*case.promises, kept.promise))


def _on_promise(case: Case, promise_id: UUID, **changes: Any) -> Case:
    return replace(
        case,
        promises=tuple(replace(p, **changes) if p.id == promise_id else p for p in case.promises),
    )


def _without_promise(case: Case, event: Any, change: CaseChanged) -> Case:
    return replace(case, promises=tuple(p for p in case.promises if p.id != event.promise_id))


def _child_opened(case: Case, event: ev.ChildOpened, change: CaseChanged) -> Case:
    child = Child(case_id=event.child_id, team=event.team, since=change.at)
    return replace(case, children=(*case.children, child))


def _child_closed(case: Case, event: ev.ChildClosed, change: CaseChanged) -> Case:
    return replace(case, children=tuple(c for c in case.children if c.case_id != event.child_id))


def _surveyed(case: Case, event: ev.SurveySent, change: CaseChanged) -> Case:
    asked = Asked(
        message_id=event.message_id,
        channel=event.channel,
        expires_at=event.expires_at,
        account=event.account,
        scale=event.scale,
        asked_at=change.at,
    )
    return replace(case, survey=asked, surveyed=True)


def _survey_over(
    case: Case, event: ev.SurveyAnswered | ev.SurveyDeclined, change: CaseChanged
) -> Case:
    """Until its time is over it is known that a second score needs no answer."""
    return replace(case, survey=None if case.survey is None else replace(case.survey, over=True))


def _forgotten(case: Case, event: ev.CaseForgotten, change: CaseChanged) -> Case:
    """Nothing is owed, and nobody asked, on a case whose person was erased."""
    if event.reason != "erasure":
        return case
    return replace(case, erased=True, pending=(), answered=(), kept=(), survey=None, surveyed=True)


RULES: Final[Mapping[type[Event], Rule]] = {
    ev.HandoffOffered: _offered,
    ev.HandoffAccepted: _accepted,
    ev.HandoffDeclined: _without_offer,
    ev.HandoffExpired: _without_offer,
    ev.SwitchSuggested: lambda case, e, _: replace(case, suggested=(*case.suggested, e.reason)),
    ev.ResultRecorded: _result_recorded,
    ev.PromiseMade: _promised,
    ev.PromiseReminded: lambda case, e, _: _on_promise(case, e.promise_id, step=e.step),
    ev.PromiseAttempted: lambda case, e, _: _on_promise(case, e.promise_id, attempts=e.count),
    ev.PromiseKept: _promise_kept,
    ev.PromiseRevived: _promise_revived,
    ev.PromiseBroken: lambda case, e, _: _on_promise(case, e.promise_id, state="broken"),
    ev.PromiseRenegotiated: _without_promise,
    ev.CaseFrozen: lambda case, e, _: replace(case, frozen=e.owner),
    ev.CaseThawed: lambda case, e, _: replace(case, frozen="", hops=()),
    ev.ChildOpened: _child_opened,
    ev.ChildClosed: _child_closed,
    ev.SurveySent: _surveyed,
    ev.SurveySkipped: lambda case, e, _: replace(case, survey=None, surveyed=True),
    ev.SurveyAnswered: _survey_over,
    ev.SurveyDeclined: _survey_over,
    ev.CaseForgotten: _forgotten,
}
