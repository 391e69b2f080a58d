"""Promises as people make, keep and change them (DESIGN 5.4). Pure.

What becomes of a promise by itself, by a reply, a call or time, stands in `fulfilling`.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from services.router import fulfilling
from services.router.case import Promise
from services.router.commands import KeepPromise, MakePromise, RenegotiatePromise
from services.router.promise_times import Agreed, agree
from services.router.turn import Turn
from shared import events as ev
from shared.errors import Conflict, Invalid

_MOST: Final = 50  # live ones of one case
_CONSENT: Final = ("by", "at", "how")


def make_promise(turn: Turn, command: MakePromise) -> None:
    if turn.case.state == "closed":
        raise Conflict("the case is closed: reopen it first", name="case-closed")
    if len(turn.case.promises) >= _MOST:
        raise Conflict(
            f"{_MOST} promises are open on this case: keep some of them first",
            name="too-many-promises",
        )
    _check_agent(command.agent)
    agreed = agree(turn.policy, turn.now, command.due_at, command.within)
    _record(turn, command, agreed)


def keep_promise(turn: Turn, command: KeepPromise) -> None:
    """Kept in a way that Regie cannot see: a parcel handed over, a call from another line."""
    promise = _live(turn, command.promise_id)
    if promise.kind != "other" and not command.how.strip():
        deed = "reaching them" if promise.kind == "call_back" else "a sent reply"
        raise Invalid(
            f"this promise is kept by {deed}; where that happened elsewhere, say `how`",
            name="how-missing",
        )
    fulfilling.keep(turn, promise, turn.now, command.how or f"by {command.agent}")


def renegotiate_promise(turn: Turn, command: RenegotiatePromise) -> None:
    """An earlier time is ours to give; a later one needs the customer's consent on record."""
    old = _live(turn, command.promise_id)
    _check_agent(command.agent)
    agreed = agree(turn.policy, turn.now, command.due_at, command.within)
    if agreed.due_at > old.due_at:
        _check_consent(command.consent, old)
    turn.record(
        ev.PromiseRenegotiated(promise_id=old.id, by=command.agent, consent=command.consent or None)
    )
    again = MakePromise(command.new_id, command.agent, old.kind, old.what)
    _record(turn, again, agreed, replaces=old.id)


def settle(turn: Turn) -> None:
    """Before a case is closed. An answer on its way keeps what it can; what else is open holds the
    case. A broken promise holds nothing up: it is over with the case. Raises Conflict."""
    for reply in turn.case.pending:
        if not reply.doubtful:
            fulfilling.sent(turn, turn.case, reply.message_id)
    still = [promise for promise in turn.case.promises if promise.state == "open"]
    if still:
        named = "; ".join(f"{p.what or p.kind} by {p.due_at:%Y-%m-%d %H:%M} UTC" for p in still)
        raise Conflict(
            f"the customer was promised: {named}. Keep it first, or agree on it anew "
            "(PATCH /v1/promises/{id}): where they want nothing more, keep it by hand and say how",
            name="promise-open",
            promises=[{"id": p.id, "what": p.what, "due_at": p.due_at} for p in still],
        )


def _live(turn: Turn, promise_id: UUID) -> Promise:
    for promise in turn.case.promises:
        if promise.id == promise_id:
            return promise
    raise Conflict("this promise is over: read the case for its state", name="promise-ended")


def _check_agent(agent: str) -> None:
    if not agent:
        raise Invalid(
            "a promise is somebody's: use a key that names its agent "
            "(regie keys create --role agent --agent jo)",
            name="agent-missing",
        )


def _check_consent(consent: dict[str, Any] | None, old: Promise) -> None:
    missing = [part for part in _CONSENT if not str((consent or {}).get(part) or "").strip()]
    if missing:
        raise Invalid(
            f"it was promised for {old.due_at:%Y-%m-%d %H:%M} UTC, and a later time needs the "
            f"customer's consent: send `consent: {{by, at, how}}` (missing: {', '.join(missing)})",
            name="consent-missing",
            missing=["consent"],
        )


def _record(turn: Turn, command: MakePromise, agreed: Agreed, replaces: UUID | None = None) -> None:
    turn.record(
        ev.PromiseMade(
            promise_id=command.promise_id,
            kind=command.kind,
            what=command.what,
            due_at=agreed.due_at,
            by=command.agent,
            remind_at=agreed.remind_at,
            attempts=turn.policy.promises.attempts,
            replaces=replaces,
            words=agreed.words,
        )
    )
    turn.explain("promise", "promises", f"{command.kind} promised: {agreed.words}")
