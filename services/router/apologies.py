"""What we write to a customer whom we promised a call and did not reach. Pure.

Nothing of the matter stands in it: an address may only claim to be the customer's (DESIGN 5.9).
"""

from __future__ import annotations

from uuid import uuid5

from services.router.case import SPOKEN, Case, Promise, Route
from services.router.phrases import say
from services.router.turn import Turn
from shared import events as ev
from shared.events import Channel
from shared.notices.filling import fill


def say_so(turn: Turn, promise: Promise, senders: frozenset[str] | None) -> None:
    """In their language, where there is a written way to them that is open; it answers nothing.

    senders  the accounts that can send; None: all
    """
    found = _way(turn, senders)
    if found is None:
        turn.explain("promise", "promises", "not told in writing: no open written channel")
        return
    channel, route, account = found
    language, tries = turn.case.language, str(promise.most)
    subject, text = turn.policy.own_words("apology", language)
    turn.record(
        ev.ReplyRequested(
            message_id=uuid5(promise.id, "unreached"),
            account=account,
            channel=channel,
            recipient=route.identity,
            text=fill(text, {"tries": tries}) or say("unreached", language, tries=tries),
            answers=0,
            human=False,
            author="regie",
            subject=fill(subject, {"tries": tries}) or say("unreached_subject", language),
            references=route.references,
            reply_window_closes_at=route.window_closes_at,
            purpose="notice",
        )
    )


def _way(turn: Turn, senders: frozenset[str] | None) -> tuple[Channel, Route, str] | None:
    """The channel the case is on, if it is one, else the first that is open."""
    for channel in _written(turn.case):
        route = turn.case.routes[channel]
        account = turn.policy.reply_account(channel, route.account, senders)
        closes = route.window_closes_at
        if account and (closes is None or closes > turn.now):
            return channel, route, account
    return None


def _written(case: Case) -> list[Channel]:
    written: list[Channel] = [c for c in case.routes if c not in SPOKEN]  # type: ignore[misc]
    return sorted(written, key=lambda channel: channel != case.channel)
