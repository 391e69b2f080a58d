"""The survey's question after closing, once a case (DESIGN 8). Pure.

    pass_time  asks it, or says why not (called by `firing`)
    lost       the question did not reach them

The question is no answer: it opens nothing, starts no clock and stops none. What is answered to it
stands in `survey_answers`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid5

from services.router.case import SPOKEN, Case, Route
from services.router.commands import Asking, PassTime
from services.router.phrases import say
from services.router.policy import Policy
from services.router.rules.model import Survey
from services.router.turn import Turn
from shared import events as ev
from shared.events import Channel
from shared.notices.filling import fill

STANDS: Final = timedelta(days=7)
# After an outage: later than this nobody remembers the matter.
_PATIENCE: Final = timedelta(days=1)
_TEMPLATE: Final = "survey"
_MACHINES: Final = ("", "regie", "clock")


def due_at(case: Case, policy: Policy) -> datetime | None:
    """When the question is due; None where it never is: no survey, an open case, one that was
    asked about before, a colleague's or a team's, or one in which nothing was asked of us."""
    survey = policy.survey
    if case.closed_at is None or survey is None or case.surveyed or not case.stirred:
        return None
    if case.internal or case.parent_id is not None or case.closed_by in _MACHINES:
        return None
    return survey.after.after(case.closed_at)


def is_due(case: Case, policy: Policy, now: datetime) -> bool:
    due = due_at(case, policy)
    return due is not None and due <= now


def channel_of(case: Case, policy: Policy) -> Channel | None:
    """What they would be asked on; None where the policy permits none of theirs."""
    own = _own(case, policy)
    return None if own is None else _leaves_on(case, own)


def _own(case: Case, policy: Policy) -> Channel | None:
    """The channel they wrote on last. Of who called or came by last, the first of the policy's that
    they wrote on. Nobody's where many people use the address."""
    permitted = () if policy.survey is None else policy.survey.channels
    spoken = case.channel in SPOKEN
    theirs = (c for c in permitted if c in case.routes and (spoken or c == case.channel))
    own = next((c for c in theirs if c not in SPOKEN), None)
    return None if own is None or policy.is_shared(case.routes[own].identity) else own


def _leaves_on(case: Case, own: Channel) -> Channel:
    """The portal has no wire of its own: its answers go by mail."""
    by_mail = own == "portal" and case.routes[own].identity.scheme == "email"
    return "email" if by_mail else own


def pass_time(turn: Turn, command: PassTime) -> None:
    """Only once all they wrote until then has been read, and our last answer has left."""
    case, survey, asking = turn.case, turn.policy.survey, command.asking
    due = due_at(case, turn.policy)
    if survey is None or asking is None or due is None or due > turn.now:
        return
    unread = command.watermark is None or command.watermark < due
    if unread or any(reply.human and not reply.doubtful for reply in case.pending):
        return
    found = _way(turn, asking)
    reason = _reason(turn, asking, survey, due, found)
    if found is None or reason:
        turn.record(ev.SurveySkipped(reason=reason))
        turn.explain("survey", "survey", f"not asked: {reason}")
    else:
        _ask(turn, survey, found)


@dataclass(frozen=True, slots=True)
class _Way:
    channel: Channel
    route: Route
    account: str
    template: str


def _way(turn: Turn, asking: Asking) -> _Way | None:
    case, policy = turn.case, turn.policy
    own = _own(case, policy)
    if own is None:
        return None
    channel, route = _leaves_on(case, own), case.routes[own]
    account = policy.reply_account(channel, route.account if channel == own else "", asking.senders)
    closed = route.window_closes_at is not None and route.window_closes_at <= turn.now
    return _Way(channel, route, account, _TEMPLATE if closed else "") if account else None


def _reason(turn: Turn, asking: Asking, survey: Survey, due: datetime, found: _Way | None) -> str:
    """Why they are not asked, in one word; empty when they are."""
    rested = asking.asked_at is None or survey.rest.after(asking.asked_at) <= turn.now
    reasons = {
        "opted_out": asking.opted_out,
        "late": due + _PATIENCE < turn.now,
        "channel": found is None,
        "rest": not rested,
        "bouncing": asking.bouncing,
        "window": found is not None and found.template and found.account not in asking.templates,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _ask(turn: Turn, survey: Survey, way: _Way) -> None:
    """Nothing of the matter stands in it: an address may only claim to be theirs (DESIGN 5.9)."""
    case = turn.case
    low, high = map(str, survey.scale)
    scale = say("survey_scale", case.language, low=low, high=high)
    subject, text = turn.policy.own_words("survey", case.language)
    filled = {"question": survey.question, "low": low, "high": high}
    message_id = uuid5(case.id, "survey")
    turn.record(
        ev.ReplyRequested(
            message_id=message_id,
            account=way.account,
            channel=way.channel,
            recipient=way.route.identity,
            text=fill(text, filled) or f"{survey.question}\n\n{scale}",
            answers=0,
            human=False,
            author="regie",
            subject=fill(subject, filled) or say("survey_subject", case.language),
            references=way.route.references,
            template=way.template,
            reply_window_closes_at=way.route.window_closes_at,
            purpose="survey",
        )
    )
    turn.record(
        ev.SurveySent(
            message_id=message_id,
            channel=way.channel,
            expires_at=turn.now + STANDS,
            account=way.account,
            scale=survey.scale,
        )
    )
    turn.explain("survey", "survey", f"asked by {way.channel}: {survey.after} after closing")


def lost(turn: Turn, message_id: UUID) -> None:
    """Nobody was asked after all."""
    asked = turn.case.survey
    if asked is not None and asked.message_id == message_id and not asked.over:
        turn.record(ev.SurveySkipped(reason="failed"))


def reach(policy: Policy, now: datetime) -> datetime:
    """What was closed later than this may get an answer: to a question, if not opened again."""
    since = policy.reopens_since(now)
    if policy.survey is None:
        return since
    return min(since, policy.survey.after.before(now) - _PATIENCE - STANDS)
