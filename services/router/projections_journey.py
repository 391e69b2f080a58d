"""Rows of promises and results.

A promise's row names the team and channel that had it when it ended, so that its rate is theirs;
while it is open, those that have it now. `ended_at` is when nobody owed it any longer: one that was
broken stays `broken` when it is kept late, agreed anew, or over with its case.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

import msgspec

from services.router import models
from services.router.case import Case
from shared import events as ev
from shared.database import copy, driver

if TYPE_CHECKING:
    from services.router.desk import Desk

_ENCODER: Final = msgspec.json.Encoder()


async def save(desk: Desk, changed: Mapping[UUID, Case], stored: Mapping[UUID, Case]) -> None:
    """Nothing is written for a batch without any."""
    results = [_result(c) for c in desk.changes if isinstance(c.event, ev.ResultRecorded)]
    await copy(desk.connection, "results", models.RESULTS, results)
    made = [_promise(c) for c in desk.changes if isinstance(c.event, ev.PromiseMade)]
    await copy(desk.connection, "promises", models.PROMISES, made)
    await _move(desk, changed, stored)
    await _follow(desk)


def _result(change: ev.CaseChanged) -> tuple[Any, ...]:
    result = change.event
    assert isinstance(result, ev.ResultRecorded)
    return (
        change.case_id, result.name, result.version, result.state, result.author, change.at,
        _json(result.data), _json(result.files),
    )  # fmt: skip


def _promise(change: ev.CaseChanged) -> tuple[Any, ...]:
    made = change.event
    assert isinstance(made, ev.PromiseMade)
    return (
        made.promise_id, change.case_id, change.customer_id, made.kind, made.what, made.by,
        change.team, change.channel, "open", change.at, made.due_at, made.attempts, made.replaces,
    )  # fmt: skip


async def _move(desk: Desk, changed: Mapping[UUID, Case], stored: Mapping[UUID, Case]) -> None:
    """Open ones go with their case."""
    moved = [
        (case.id, case.customer_id, case.team, case.channel)
        for case in changed.values()
        if case.promises and case.id in stored and _place(case) != _place(stored[case.id])
    ]
    if moved:
        await (await driver(desk.connection)).execute(_MOVE, *zip(*moved, strict=True))


def _place(case: Case) -> tuple[UUID, str, str]:
    return case.customer_id, case.team, case.channel


async def _follow(desk: Desk) -> None:
    """What became of them: what one batch did to a promise is one row, the last word counting."""
    rows: dict[UUID, _Row] = {}
    for change in desk.changes:
        step = _step(change.event)
        if step is not None:
            row = rows.get(step.id, step)
            rows[step.id] = row.then(step)._replace(
                at=change.at, team=change.team, channel=change.channel
            )
    closed = [c.case_id for c in desk.changes if isinstance(c.event, ev.CaseClosed)]
    raw = await driver(desk.connection) if rows or closed else None
    if raw is not None and rows:
        await raw.execute(_FOLLOW, *zip(*rows.values(), strict=True))
    if raw is not None and closed:
        await raw.execute(_CLOSE, closed, desk.now)


class _Row(NamedTuple):
    """What changes in a promise's row; None leaves it as it is."""

    id: UUID
    state: str | None = None
    tries: int | None = None
    reason: str | None = None
    consent: str | None = None
    over: bool | None = None
    at: datetime | None = None
    team: str = ""
    channel: str = ""

    def then(self, later: _Row) -> _Row:
        """Broken stays broken, with its reason."""
        known = {name: value for name, value in later._asdict().items() if value is not None}
        if self.state == "broken":
            known |= {"state": "broken", "reason": self.reason}
        return self._replace(**known)


def _step(event: ev.CaseEvent) -> _Row | None:
    match event:
        case ev.PromiseAttempted(promise_id=id, count=tries):
            return _Row(id, tries=tries)
        case ev.PromiseBroken(promise_id=id, reason=reason):
            return _Row(id, "broken", reason=reason)
        case ev.PromiseKept(promise_id=id, how=how):
            return _Row(id, "kept", reason=how, over=True)
        case ev.PromiseRenegotiated(promise_id=id, consent=consent):
            said = None if consent is None else _json(consent)
            return _Row(id, "renegotiated", consent=said, over=True)
        case ev.PromiseRevived(promise_id=id, reason=reason):
            return _Row(id, "open", reason=reason, over=False)
    return None


_FOLLOW: Final = """
UPDATE promises p SET
    state = CASE WHEN p.state = 'broken' THEN p.state ELSE coalesce(n.state, p.state) END,
    attempts = coalesce(n.tries, p.attempts),
    reason = CASE WHEN p.state = 'broken' THEN p.reason ELSE coalesce(n.reason, p.reason) END,
    consent = coalesce(n.consent, p.consent),
    ended_at = CASE WHEN n.over THEN n.at WHEN NOT n.over THEN NULL ELSE p.ended_at END,
    team = CASE WHEN p.state = 'broken' THEN p.team ELSE n.team END,
    channel = CASE WHEN p.state = 'broken' THEN p.channel ELSE n.channel END
FROM unnest($1::uuid[], $2::text[], $3::int[], $4::text[], $5::jsonb[], $6::bool[],
    $7::timestamptz[], $8::text[], $9::text[])
    AS n (id, state, tries, reason, consent, over, at, team, channel)
WHERE p.id = n.id
"""
_MOVE: Final = """
UPDATE promises p SET customer_id = n.customer_id,
    team = CASE WHEN p.state = 'open' THEN n.team ELSE p.team END,
    channel = CASE WHEN p.state = 'open' THEN n.channel ELSE p.channel END
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[])
    AS n (case_id, customer_id, team, channel)
WHERE p.case_id = n.case_id AND p.ended_at IS NULL
"""
_CLOSE: Final = "UPDATE promises SET ended_at = $2 WHERE case_id = ANY($1) AND ended_at IS NULL"


def _json(value: Any) -> str:
    return _ENCODER.encode(value).decode()
