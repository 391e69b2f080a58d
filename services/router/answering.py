"""Replies to the customer, and what became of them (DESIGN 5.3). Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from services.router import call_backs, clocks, fulfilling, suggesting, surveying, switching
from services.router.case import SPOKEN, Answered, Case, Route
from services.router.commands import Reply, ReportDelivery
from services.router.turn import Turn
from shared import events as ev
from shared.errors import Conflict, Invalid
from shared.events import Channel

_CLOCKS_DIFFER: Final = timedelta(minutes=5)
_BY_MAIL: Final[frozenset[Channel]] = frozenset(("portal", "internal"))


def reply(turn: Turn, command: Reply) -> None:
    case = turn.case
    if case.state == "closed":
        raise Conflict("the case is closed: reopen it first", name="case-closed")
    if command.outcome:
        _record_outcome(turn, command)
        return
    channel = command.channel or case.channel
    if channel in SPOKEN:
        written = sorted(set(case.routes) - SPOKEN)
        number = case.routes[channel].identity.value if channel in case.routes else ""
        dial = f"dial {number} and " if channel == "phone" and number else ""
        raise Invalid(
            f"nothing can be sent by {channel}: {dial}record the `outcome` of the call"
            + (f", or name a `channel` of {', '.join(written)}" if written else ""),
            name="not-a-written-channel",
            channels=written,
        )
    channel, route = _by_mail(turn, command, channel, _route(case, channel))
    if channel == "internal":  # a colleague reads it here
        if command.attachments:
            raise Invalid(
                "a colleague's request takes no files: record them as a result of the case",
                name="files-refused",
            )
        _record_outcome(turn, command)
        return
    _check_window(turn, command, channel, route)
    account = leaves_by(turn, channel, route.account, command.senders)
    if why := command.unfit.get(account):
        raise Invalid(f"these files cannot be sent: {why}", name="files-refused")
    turn.record(
        ev.ReplyRequested(
            message_id=command.message_id,
            account=account,
            channel=channel,
            recipient=route.identity,
            text=command.text,
            answers=command.answers,
            human=True,
            author=command.agent,
            subject=case.subject,
            references=route.references,
            template=command.template,
            attachments=command.attachments,
            reply_window_closes_at=route.window_closes_at,
        )
    )


def report_delivery(turn: Turn, command: ReportDelivery) -> None:
    """Sent, failed or unknown of one reply; a provider's later word comes the same way."""
    if command.status in ("sent", "delivered", "read") and _is_pending(turn.case, command):
        before = turn.case
        turn.record(ev.ReplySent(message_id=command.message_id, provider_id=command.provider_id))
        clocks.answered(turn, before)
        clocks.await_rest(turn)
        fulfilling.sent(turn, before, command.message_id)
    elif command.status == "failed":
        _fail(turn, command)
    elif command.status == "unknown":
        turn.record(ev.ReplyDoubtful(message_id=command.message_id, reason=command.reason))
    if command.status not in ("accepted", "unknown"):
        turn.record(
            ev.DeliveryStatusChanged(
                message_id=command.message_id,
                status=command.status,
                code=command.code,
                reason=command.reason,
            )
        )


def _is_pending(case: Case, command: ReportDelivery) -> bool:
    return any(p.message_id == command.message_id for p in case.pending)


def _fail(turn: Turn, command: ReportDelivery) -> None:
    """The customer did not get it: what it answered waits again, also on a closed case; and where
    the window closed on it, the permitted switch is offered at once."""
    case, ours = turn.case, turn.case.carries(command.message_id)
    lost = next((a for a in case.answered if a.message_id == command.message_id), None)
    if case.state == "closed" and ours:
        turn.record(ev.CaseReopened(reason="a reply failed"))
    turn.record(
        ev.ReplyFailed(
            message_id=command.message_id,
            code=command.code,
            reason=command.reason,
            permitted=_instead(turn),
        )
    )
    clocks.await_rest(turn)
    if lost is not None and _waits_again(turn.case, lost):
        clocks.keep_promise(turn, lost.promised)
    if lost is not None and lost is case.answered[-1] and case.answered_at is not None:
        clocks.lose_news(turn, case.answered_at)
    clocks.await_work(turn)
    fulfilling.lost(turn, command.message_id)
    surveying.lost(turn, command.message_id)
    if command.code == "window_closed" and ours:
        suggesting.suggest(turn, "window_closing")


def _instead(turn: Turn) -> tuple[Channel, ...]:
    """The channels the matrix lets this case switch to now."""
    case = turn.case
    rows = switching.permitted(turn.policy, case.product, case.channel, turn.now)
    return tuple(dict.fromkeys(row.to_channel for row in rows))


def _waits_again(case: Case, lost: Answered) -> bool:
    """Whether the message that had the promise does: what came later was promised its own."""
    oldest = min(lost.waiting, key=lambda message: message.at, default=None)
    return oldest is not None and oldest in case.unanswered


def _record_outcome(turn: Turn, command: Reply) -> None:
    """A call's outcome: `reached` answers the customer, the others only tell of an attempt."""
    before = turn.case
    _check_time(turn, command)
    said = ev.ReplyRecorded(
        message_id=command.message_id,
        channel=command.channel or before.channel,
        account=before.account,
        author=command.agent,
        occurred_at=min(command.occurred_at or turn.now, turn.now),
        answers=command.answers,
        outcome=command.outcome,
        text=command.text,
    )
    turn.record(said)
    clocks.answered(turn, before)
    clocks.await_rest(turn)
    fulfilling.hear(turn, said, command.senders)
    call_backs.reached(turn, before.promises, command.agent)


def _check_time(turn: Turn, command: Reply) -> None:
    """A call that is yet to come cannot be recorded; one before the message did not answer it."""
    at = command.occurred_at
    if at is None:
        return
    if at > turn.now + _CLOCKS_DIFFER:
        raise Invalid(
            f"`occurred_at` lies in the future, it is {turn.now:%Y-%m-%d %H:%M:%S} UTC: record the "
            "call once it was made",
            name="too-far",
        )
    oldest = min((message.at for message in turn.case.unanswered), default=None)
    if command.outcome == "reached" and oldest is not None and at < oldest:
        raise Invalid(
            f"a call before the message cannot have answered it: the customer wrote at "
            f"{oldest:%Y-%m-%d %H:%M:%S} UTC; correct `occurred_at`, or write a note about the "
            "earlier call",
            name="past",
        )


def _by_mail(turn: Turn, command: Reply, channel: Channel, route: Route) -> tuple[Channel, Route]:
    """The portal and the house have no wire of their own: whoever wrote there under a mail
    address gets a mail."""
    account = turn.policy.reply_account("email", "", command.senders)
    if channel in _BY_MAIL and route.identity.scheme == "email" and account:
        return "email", Route(account=account, identity=route.identity)
    return channel, route


def _route(case: Case, channel: Channel) -> Route:
    route = case.routes.get(channel)
    if route is None:
        reachable = sorted(case.routes) or ["none: record a call's `outcome`, or hand off"]
        raise Invalid(
            f"the customer has no {channel} address on this case; reachable by: "
            + ", ".join(reachable),
            name="no-address",
            channels=sorted(case.routes),
        )
    return route


def _check_window(turn: Turn, command: Reply, channel: Channel, route: Route) -> None:
    closes = route.window_closes_at
    if closes is None or closes > turn.now or command.template:
        return
    raise Conflict(
        f"the {channel} reply window closed at {closes:%Y-%m-%d %H:%M} UTC: send a `template`, "
        "or offer one of the permitted switches",
        name="reply-window-closed",
        permitted=permitted_from(turn, channel),
    )


def leaves_by(turn: Turn, channel: Channel, account: str, senders: frozenset[str] | None) -> str:
    """The case's account, or the policy's `reply_from` where that one only receives."""
    name = turn.policy.reply_account(channel, account, senders)
    if name:
        return name
    raise Invalid(
        f"account {account} receives only, and the policy's `reply_from` names no account for "
        f"{channel} that sends: record the `outcome` of a call, or hand off",
        name="no-outbound",
        permitted=permitted_from(turn, channel),
    )


def permitted_from(turn: Turn, channel: Channel) -> list[dict[str, Any]]:
    """The switches open to this case on this channel, as an agent is shown them."""
    rows = switching.permitted(turn.policy, turn.case.product, channel, turn.now)
    return [row.as_dict() for row in rows]
