"""Handoffs: channel switches by the matrix, and team transfers (DESIGN 5.10). Pure."""

from __future__ import annotations

from services.router import clocks, switching
from services.router.answering import leaves_by, permitted_from
from services.router.case import SPOKEN, Offer
from services.router.commands import AcceptHandoff, DeclineHandoff, OfferHandoff
from services.router.turn import Turn
from shared import events as ev
from shared.errors import Conflict, Invalid, NotFound


def offer_handoff(turn: Turn, command: OfferHandoff) -> None:
    if turn.case.state == "closed":
        raise Conflict("the case is closed: reopen it first", name="case-closed")
    if command.to_channel:
        _offer_switch(turn, command)
    else:
        _offer_transfer(turn, command)


def accept_handoff(turn: Turn, command: AcceptHandoff) -> None:
    offer = _open_offer(turn, command.handoff_id)
    turn.record(ev.HandoffAccepted(handoff_id=offer.handoff_id, by=command.agent, how="agent"))
    turn.record(ev.CaseAssigned(team=offer.to_team, reason="handoff accepted"))
    clocks.replan(turn)


def decline_handoff(turn: Turn, command: DeclineHandoff) -> None:
    offer = _open_offer(turn, command.handoff_id)
    turn.record(
        ev.HandoffDeclined(handoff_id=offer.handoff_id, by=command.agent, reason=command.reason)
    )


def _open_offer(turn: Turn, handoff_id: object) -> Offer:
    offer = next((o for o in turn.case.offers if o.handoff_id == handoff_id), None)
    if offer is None:
        raise NotFound("this handoff is no longer on offer: read the case for its state")
    if not offer.to_team:
        raise Conflict(
            "a channel switch is the customer's to accept, by the code: wait for their message",
            name="customer-accepts",
        )
    return offer


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
    _offer(turn, command)
    turn.explain(
        "switch", f"{case.channel} to {command.to_channel}",
        f"permitted by the matrix for reason `{command.reason}`, consent: {row.consent}",
        inputs={"product": case.product, "reason": command.reason},
    )  # fmt: skip
    if command.code and case.channel in case.routes and case.channel not in SPOKEN:
        _invite(turn, command)


def _offer_transfer(turn: Turn, command: OfferHandoff) -> None:
    # Recorded results come with the customer's journey; until then none is there.
    missing = turn.policy.required_results(turn.case.product, command.to_team)
    if missing:
        raise Invalid(
            f"{command.to_team} needs {', '.join(missing)} before it can take this over",
            name="results-missing",
            missing=missing,
        )
    if not turn.policy.has_team(command.to_team):
        raise Invalid(f"there is no team {command.to_team!r} in the policy", name="unknown-team")
    _offer(turn, command)


def _offer(turn: Turn, command: OfferHandoff) -> None:
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
            notify=policy.notify_team(to_team or case.team),
        )
    )


def _invite(turn: Turn, command: OfferHandoff) -> None:
    """Asks the customer on the channel they are on; using the code is their consent."""
    case = turn.case
    route = case.routes[case.channel]
    closed = route.window_closes_at is not None and route.window_closes_at <= turn.now
    assert command.invitation_id is not None
    turn.record(
        ev.ReplyRequested(
            message_id=command.invitation_id,
            account=leaves_by(turn, case.channel, route.account, command.senders),
            channel=case.channel,
            recipient=route.identity,
            text=switching.invitation(
                str(command.to_channel), command.own_address, command.code, case.subject
            ),
            answers=0,
            human=False,
            author="regie",
            subject=case.subject,
            references=route.references,
            template="resume_invite" if closed else "",
            reply_window_closes_at=route.window_closes_at,
            secret=True,
        )
    )
