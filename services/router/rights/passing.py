"""What is on its way out when somebody is erased: the outbox, and answers kept for repeats.

An event still goes out, so that a case's numbers have no gap; its words do not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from services.router.rights import letters
from services.router.rights.forgetting import forgotten
from services.router.rights.scope import Scope
from shared.database import driver
from shared.events import Body, CaseChanged, DeliveryReported
from shared.ledger import Key, Marks
from shared.topics import CASES_CHANGED, DELIVERIES_REPORTED

_BODY: Final[msgspec.json.Decoder[Body]] = msgspec.json.Decoder(Body)
_ENCODER: Final = msgspec.json.Encoder()
_ID: Final = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_AT_ONCE: Final = 500


async def wipe_outbox(connection: AsyncConnection, scope: Scope, key: Key, marks: Marks) -> None:
    """The events of these cases lose their words; other rows that the marks recognise go: a dead
    letter, or one sent again."""
    raw = await driver(connection)
    keys = [case.bytes for case in scope.cases | set(scope.guests.values())]
    async for row in raw.cursor(_OUTBOX, keys, CASES_CHANGED, prefetch=_AT_ONCE):
        value = bytes(row["value"])
        if row["topic"] in (CASES_CHANGED, DELIVERIES_REPORTED):
            new = _ENCODER.encode(_without_words(_BODY.decode(value), scope))
            if new != value:
                await raw.execute("UPDATE outbox SET value = $2 WHERE id = $1", row["id"], new)
        elif letters.marks_in([value, bytes(row["headers"])], key) & marks.keys():
            await raw.execute("DELETE FROM outbox WHERE id = $1", row["id"])


def _without_words(body: Body, scope: Scope) -> Body:
    match body:
        case CaseChanged(case_id=case_id, event=event):
            if case_id in scope.cases or getattr(event, "message_id", None) in scope.messages:
                return replace(body, event=forgotten(event))
        case DeliveryReported(case_id=case_id) if case_id in scope.cases:
            return replace(body, provider_id="", reason="")
    return body


async def wipe_answers(connection: AsyncConnection, scope: Scope) -> None:
    """Answers remembered for `Idempotency-Key`: a repeat is a new request then, on what is gone."""
    raw = await driver(connection)
    ids = scope.customers | scope.cases | scope.messages
    gone = [
        (row["caller"], row["route"], row["key"])
        async for row in raw.cursor(_ANSWERS, prefetch=_AT_ONCE)
        if not ids.isdisjoint(_ids(row))
    ]
    if gone:
        await raw.execute(_FORGET_ANSWERS, *zip(*gone, strict=True))


def _ids(row: Any) -> Iterator[UUID]:
    for match in _ID.finditer(row["route"].encode() + b" " + bytes(row["body"] or b"")):
        yield UUID(match[0].decode())


_OUTBOX: Final = """
SELECT id, topic, value, headers FROM outbox WHERE topic <> $2 OR key = ANY($1)
ORDER BY id
"""
_ANSWERS: Final = "SELECT caller, route, key, body FROM idempotency"
_FORGET_ANSWERS: Final = """
DELETE FROM idempotency USING unnest($1::text[], $2::text[], $3::text[])
    AS gone (caller, route, key)
WHERE idempotency.caller = gone.caller AND idempotency.route = gone.route
    AND idempotency.key = gone.key
"""
