"""What an agent has to do by themselves, because no provider can: call somebody back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec
from pydantic import BaseModel

from services.router.case import Promise

_NUMBER: Final = "e164:"


class Task(BaseModel):
    """A call to make, and by when; `POST /v1/cases/{id}/replies` takes its `outcome`.

    dial        the number; null where none is known
    promise_id  the promise it keeps; null where the service level alone asks for the call
    attempts    calls in vain so far, of `most`; null where nothing limits them
    what        what it is about; preferred: when the customer would like it, in their own words
    """

    kind: Literal["call_back"] = "call_back"
    dial: str | None
    promise_id: UUID | None = None
    due_at: datetime | None
    attempts: int
    most: int | None = None
    what: str = ""
    preferred: str = ""


# What the calls of a case are read from; null where there is nobody to call. A case on the
# telephone that waits for an answer waits for a call.
COLUMN: Final = """CASE WHEN cases.state <> 'closed'
    AND (cases.channel = 'phone' AND cases.waiting_since IS NOT NULL
        OR cases.doc @? '$.promises[*] ? (@.kind == "call_back")')
    THEN jsonb_build_object('promises', cases.doc -> 'promises', 'routes', cases.doc -> 'routes',
        'tried', cases.doc -> 'tried') END AS calls"""


def task_of(
    calls: Mapping[str, Any] | None, due_at: datetime | None, identities: Sequence[str]
) -> Task | None:
    """By COLUMN; `due_at` is the case's, `identities` are the customer's, as `scheme:value`."""
    if calls is None:
        return None
    promises = msgspec.convert(calls["promises"] or [], list[Promise])
    owed = [promise for promise in promises if promise.kind == "call_back"]
    number = _number(calls["routes"] or {}, identities)
    if not owed:
        return Task(dial=number, due_at=due_at, attempts=calls["tried"] or 0)
    first = min(owed, key=lambda promise: promise.due_at)
    return Task(
        dial=first.address or number,
        promise_id=first.id,
        due_at=first.due_at,
        attempts=first.attempts,
        most=first.most,
        what=first.what,
        preferred=first.preferred,
    )


def _number(routes: Mapping[str, Any], identities: Sequence[str]) -> str | None:
    """Where they called from or asked to be called; any other number that is theirs."""
    known = [routes["phone"]] if "phone" in routes else list(routes.values())
    numbers = [r["identity"]["value"] for r in known if r["identity"]["scheme"] == "e164"]
    numbers += [i.removeprefix(_NUMBER) for i in identities if i.startswith(_NUMBER)]
    return next(iter(numbers), None)
