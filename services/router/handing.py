"""Handoffs: channel switches by the matrix, and team transfers (DESIGN 5.10). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from services.router import call_backs, clocks, pingpong, results, switching
from services.router.answering import leaves_by, permitted_from
from services.router.case import SPOKEN, Case, Offer, Route
from services.router.commands import AcceptHandoff, DeclineHandoff, GiveBack, OfferHandoff
from services.router.turn import Turn
from shared import events as ev
from shared.errors import Conflict, Invalid, NotFound
from shared.events import Channel, Identity, Scheme

_NO_COST: Final[Mapping[str, float]] = MappingProxyType({})
_SCHEMES: Final[Mapping[Channel, Scheme]] = MappingProxyType(
    {"email": "email", "whatsapp": "e164", "sms": "e164"}
)


def offer_handoff(turn: Turn, command: OfferHandoff) -> None:
    if turn.case.state == "closed":
        raise Conflict("the case is closed: reopen it first", name="case-closed")
    pingpong.check(turn, command)
    if command.to_channel:
        _offer_switch(turn, command)
    else:
        _offer_transfer(turn, command)


def accept_handoff(turn: Turn, command: AcceptHandoff) -> None:
    offer = _open_offer(turn, command.handoff_id)
    if offer.to_channel:
        _accept_switch(turn, command)
        return
    if not turn.policy.has_team(offer.to_team):
        raise Conflict(
            f"the policy has no team {offer.to_team} any more: decline it, and have it sent on",
            name="unknown-team",
        )
    turn.record(ev.HandoffAccepted(handoff_id=offer.handoff_id, by=command.agent, how="agent"))
    turn.record(ev.CaseAssigned(team=offer.to_team, reason="handoff accepted"))
    clocks.replan(turn)
    pingpong.judge(turn)


def decline_handoff(turn: Turn, command: DeclineHandoff) -> None:
    offer = _open_offer(turn, command.handoff_id)
    turn.record(
        ev.HandoffDeclined(handoff_id=offer.handoff_id, by=command.agent, reason=command.reason)
    )


def give_back(turn: Turn, command: GiveBack) -> None:
    """Automatic, since it was agreed when it was handed over: no ping-pong."""
    case = turn.case
    if case.team != command.team:
        raise Conflict(
            f"the case is with {case.team}, not with {command.team} any more: nothing to answer",
            name="not-yours",
        )
    if command.text:
        turn.record(ev.NoteAdded(note_id=command.note_id, author=command.agent, text=command.text))
    turn.record(
        ev.CaseAssigned(team=command.back_to, reason=f"answered by {command.team}", automatic=True)
    )
    clocks.replan(turn)


def _open_offer(turn: Turn, handoff_id: object) -> Offer:
    offer = next((o for o in turn.case.offers if o.handoff_id == handoff_id), None)
    if offer is None:
        raise NotFound("this handoff is no longer on offer: read the case for its state")
    return offer


def _accept_switch(turn: Turn, command: AcceptHandoff) -> None:
    """The customer's to accept, by the code: in a message, or told to an agent on the phone."""
    if not command.by_code:
        raise Conflict(
            "a channel switch is the customer's to accept: wait for their message with the code, "
            "or send the `code` they told you",
            name="customer-accepts",
        )
    turn.record(
        ev.HandoffAccepted(
            handoff_id=command.handoff_id, by=command.agent, how="code told to an agent"
        )
    )
    pingpong.judge(turn)


def _offer_switch(turn: Turn, command: OfferHandoff) -> None:
    case, policy = turn.case, turn.policy
    assert command.to_channel
    wanted = (case.product, case.channel, command.to_channel, command.reason, turn.now)
    row = switching.find_row(policy, *wanted)
    if row is None:
        raise Conflict(
            f"{switching.missing_row(policy, *wanted)}: choose one of `permitted`, or have the "
            "policy's `switches` extended",
            name="switch-not-permitted",
            permitted=permitted_from(turn, case.channel),
        )
    if row.consent == "recorded" and not command.consent:
        raise Invalid(
            f"a switch from {case.channel} to {command.to_channel} needs the customer's recorded "
            "consent: send `consent: {by, at, how}`",
            name="consent-missing",
            missing=["consent"],
        )
    _offer(turn, command, {str(channel): cost for channel, cost in row.cost.items()})
    turn.explain(
        "switch", f"{case.channel} to {command.to_channel}",
        f"permitted by the matrix for reason `{command.reason}`, consent: {row.consent}",
        inputs={"product": case.product, "reason": command.reason},
        trail=switching.tried(policy, *wanted),
    )  # fmt: skip
    if command.to_channel == "phone" and command.consent and command.address:
        about = f"the switch from {case.channel}, as agreed"
        call_backs.ask(turn, command.handoff_id, command.agent, command.address, about)
    if command.code:
        _invite(turn, command, asked=row.consent == "ask")


def _offer_transfer(turn: Turn, command: OfferHandoff) -> None:
    handed = results.handed_over(turn, command.to_team, command.results)
    if command.to_team == turn.case.team:
        raise Conflict(
            f"{command.to_team} has this case: name another team, or release it",
            name="same-team",
        )
    if not turn.policy.has_team(command.to_team):
        raise Invalid(f"there is no team {command.to_team!r} in the policy", name="unknown-team")
    _offer(turn, replace(command, results=handed))
    case, until = turn.case, turn.policy.offer_expires(turn.now)
    turn.explain(
        "transfer", f"{case.team} to {command.to_team}",
        f"no result that {command.to_team} requires is missing; on offer until "
        f"{until:%Y-%m-%d %H:%M} UTC",
        inputs={"product": case.product, "reason": command.reason, "results": list(handed)},
    )  # fmt: skip


def _offer(turn: Turn, command: OfferHandoff, cost: Mapping[str, float] = _NO_COST) -> None:
    case, policy = turn.case, turn.policy
    to_team = command.to_team
    turn.record(
        ev.HandoffOffered(
            handoff_id=command.handoff_id,
            reason=command.reason,
            author=command.agent,
            expires_at=policy.offer_expires(turn.now),
            from_team=case.team,
            from_channel=case.channel,
            to_team=to_team,
            to_channel=command.to_channel,
            address=command.address,
            consent=command.consent,
            code_expires_at=policy.code_expires(turn.now) if command.code else None,
            results=command.results,
            cost=dict(cost),
            answer_url=command.answer_url if policy.is_external(to_team) else "",
            notify=policy.tell_at_once(to_team or case.team),
        )
    )


def _invite(turn: Turn, command: OfferHandoff, *, asked: bool) -> None:
    """Asks the customer on the channel they are on; using the code is their consent. Who need not
    be asked, and cannot be written to there, finds it on the new channel."""
    case = turn.case
    found = _invited_on(case, command, asked)
    if found is None:
        return
    channel, route = found
    if command.automatic and not turn.policy.reply_account(channel, route.account, command.senders):
        return  # the page, or the desk, shows the offer
    closed = route.window_closes_at is not None and route.window_closes_at <= turn.now
    assert command.invitation_id is not None
    turn.record(
        ev.ReplyRequested(
            message_id=command.invitation_id,
            account=leaves_by(turn, channel, route.account, command.senders),
            channel=channel,
            recipient=route.identity,
            text=switching.invitation(
                str(command.to_channel),
                command.way,
                command.code,
                case.subject,
                case.language,
                turn.policy.own_words("invitation", case.language)[1],
            ),
            answers=0,
            human=False,
            author="regie",
            subject=case.subject,
            references=route.references,
            template="resume_invite" if closed else "",
            reply_window_closes_at=route.window_closes_at,
            secret=True,
            purpose="invitation",
        )
    )


def _invited_on(case: Case, command: OfferHandoff, asked: bool) -> tuple[Channel, Route] | None:
    if case.channel in case.routes and case.channel not in SPOKEN:
        return case.channel, case.routes[case.channel]
    new = command.to_channel
    if asked or not new or new in SPOKEN or not command.address:
        return None
    known = case.routes.get(new)
    if known is not None:
        return new, known
    scheme = _SCHEMES.get(new)
    if scheme is None:
        return None
    identity = Identity(scheme=scheme, value=command.address)
    long_ago = case.opened_at  # nobody wrote there yet, so only a template gets through
    closes_at = long_ago if new == "whatsapp" else None
    return new, Route(account=command.way.account, identity=identity, window_closes_at=closes_at)
