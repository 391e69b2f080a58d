"""Which case events leave the house, to whom, and until when that makes sense. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from services.notifier.models import REPLY, Effect, Planned, delivery_id, target_of
from shared.events import (
    CaseChanged,
    CaseFrozen,
    DeadlineBreached,
    DeadlineEscalated,
    DeadlineWarned,
    Digest,
    HandoffOffered,
    PromiseAttempted,
    PromiseBroken,
    PromiseReminded,
    ReplyRequested,
    Target,
    type_name,
)

REPLY_LIVES: Final = timedelta(hours=24)
NOTICE_LIVES: Final = timedelta(days=4)  # longer than all retries together
_LONGEST_REASON: Final = 500
_PEOPLE: Final = Digest(over=20, every=timedelta(minutes=15))

_ENCODER: Final = msgspec.json.Encoder()


def plan(event_id: str, change: CaseChanged) -> Iterator[Planned]:
    """The deliveries of one event: none, a reply, or one for each of those to be told."""
    match change.event:
        case ReplyRequested() as event:
            yield _reply(event_id, change, event)
        case DeadlineWarned() as event:
            yield from _notices(event_id, change, "reminder", event.notify, event.expires_at)
        case DeadlineEscalated() as event:
            yield from _notices(event_id, change, "escalation", event.notify, event.expires_at)
        case DeadlineBreached() as event:
            expires_at = change.at + NOTICE_LIVES
            yield from _notices(event_id, change, "breach", event.notify, expires_at)
        case HandoffOffered() as event:
            yield from _notices(event_id, change, "handoff", event.notify, event.expires_at)
        case PromiseReminded() as event:
            yield from _notices(event_id, change, "reminder", event.notify, event.expires_at)
        case PromiseBroken() as event:
            expires_at = change.at + NOTICE_LIVES
            yield from _notices(event_id, change, "breach", event.notify, expires_at)
        case PromiseAttempted() | CaseFrozen() as event:
            expires_at = change.at + NOTICE_LIVES
            yield from _notices(event_id, change, "escalation", event.notify, expires_at)


def _reply(event_id: str, change: CaseChanged, event: ReplyRequested) -> Planned:
    expires_at = change.at + REPLY_LIVES
    if event.reply_window_closes_at is not None and not event.template:
        expires_at = min(expires_at, event.reply_window_closes_at)
    target = target_of("account", event.account)
    return Planned(
        id=delivery_id(event_id, target, REPLY),
        event_id=event_id,
        case_id=change.case_id,
        seq=change.seq,
        version=change.version,
        effect=REPLY,
        target=target,
        payload=_ENCODER.encode(event),
        at=change.at,
        expires_at=expires_at,
        lane=f"case:{change.case_id}",
    )


def _notices(
    event_id: str,
    change: CaseChanged,
    effect: Effect,
    notify: tuple[Target, ...],
    expires_at: datetime,
) -> Iterator[Planned]:
    notice = _notice(change) if notify else {}
    plain = _ENCODER.encode(notice)
    for each in notify:
        target = target_of(each.kind, each.address)
        # How and when it is told, which the body of a webhook leaves out.
        told = {"manner": each.manner, "quiet": each.quiet}
        put = {name: value for name, value in told.items() if value is not None}
        payload = _ENCODER.encode(notice | put) if put else plain
        yield Planned(
            id=delivery_id(event_id, target, effect),
            event_id=event_id,
            case_id=change.case_id,
            seq=change.seq,
            version=change.version,
            effect=effect,
            target=target,
            payload=payload,
            at=change.at,
            expires_at=expires_at,
            not_before=each.not_before,
            digest=None if effect == "handoff" else each.digest or _default(each.kind),
        )


def _default(kind: str) -> Digest | None:
    """A person is never sent hundreds, however urgent, and whatever the policy leaves unsaid; a
    program behind a webhook reads each."""
    return None if kind == "webhook" else _PEOPLE


def _notice(change: CaseChanged) -> dict[str, Any]:
    """What a team learns: which case, what of it, and where to read more. Nobody's words."""
    event = change.event
    data = {
        "case_id": change.case_id,
        "version": change.version,
        "team": change.team,
        "channel": change.channel,
        "url": f"/v1/cases/{change.case_id}",
    }
    return {
        "type": type_name(type(event).__name__),
        "timestamp": change.at,
        "data": data | _particulars(event),
    }


def _particulars(event: object) -> dict[str, Any]:
    match event:
        case DeadlineWarned() | DeadlineEscalated():
            return {
                "metric": event.metric, "number": event.number, "step": event.step,
                "due_at": event.due_at,
            }  # fmt: skip
        case DeadlineBreached():
            return {
                "metric": event.metric, "number": event.number, "due_at": event.due_at,
                "arrived_late": event.arrived_late,
            }  # fmt: skip
        case HandoffOffered():
            return {
                "handoff_id": event.handoff_id, "reason": event.reason[:_LONGEST_REASON],
                "from_team": event.from_team, "from_channel": event.from_channel,
                "to_team": event.to_team, "to_channel": event.to_channel,
                "results": event.results[:100], "expires_at": event.expires_at,
                **({"answer_url": event.answer_url} if event.answer_url else {}),
            }  # fmt: skip
        case PromiseReminded():
            return {
                "promise_id": event.promise_id, "step": event.step, "due_at": event.due_at,
                "by": event.by,
            }  # fmt: skip
        case PromiseBroken():
            return {
                "promise_id": event.promise_id, "due_at": event.due_at, "reason": event.reason,
                "by": event.by,
            }  # fmt: skip
        case PromiseAttempted():
            return {
                "promise_id": event.promise_id, "count": event.count, "most": event.most,
                "outcome": event.outcome,
            }  # fmt: skip
        case CaseFrozen():
            return {"owner": event.owner, "reason": event.reason, "trail": event.trail[:100]}
    raise TypeError(f"nobody is told of {type(event).__name__}")
