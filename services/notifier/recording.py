"""Writes what became of deliveries: their rows, the attempts, the reports, the dead letters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier import enduring, letters, limits, queries
from services.notifier.outcomes import Outcome
from services.notifier.targets.replies import reply_in
from shared import activity, outbox
from shared.activity import Gone
from shared.broker import Message
from shared.cloudevents import encode
from shared.events import DeliveryReported
from shared.keys import delivery_key
from shared.topics import DELIVERIES_REPORTED


async def record(
    connection: AsyncConnection, outcomes: Sequence[Outcome], now: datetime
) -> list[Outcome]:
    """In the caller's transaction. Returns those that counted: when a lease was lost meanwhile,
    the delivery may have gone another way. One given up as doubtful is still settled by the word
    of its own try.
    """
    if not outcomes:
        return []
    were = await queries.settle(connection, outcomes, now)
    await queries.note_attempts(connection, outcomes)
    counted = [each for each in outcomes if each.delivery.id in were]
    await letters.add(connection, [each for each in counted if each.state == "failed"], now)
    await queries.close_targets(connection, [each for each in counted if each.closes], now)
    await enduring.note(connection, counted, now)
    await outbox.enqueue(
        connection,
        [
            report
            for each in counted
            if each.delivery.is_reply
            for report in _reports(each, now, corrects=were[each.delivery.id] == "unknown")
        ],
    )
    await limits.pause(connection, outcomes)
    await activity.went_out(connection, _gone(counted, now))
    return counted


def _gone(outcomes: Sequence[Outcome], now: datetime) -> Iterator[Gone]:
    """What was tried by an account of ours; what was dropped untried tells nothing of it."""
    for each in outcomes:
        if each.delivery.kind == "account" and each.attempt is not None:
            yield Gone(each.delivery.address, now, each.code, each.reason)


def _reports(outcome: Outcome, now: datetime, *, corrects: bool) -> Iterator[Message]:
    """For the router; one id a try, so that a repeat is known for one. A correction is news."""
    match outcome.state:
        case "sent" | "failed" | "unknown" | "dropped" as status:
            delivery, reply = outcome.delivery, reply_in(outcome.delivery)
            yield encode(
                DELIVERIES_REPORTED,
                delivery_key(reply.account, outcome.provider_id or str(delivery.id)),
                DeliveryReported(
                    delivery_id=delivery.id,
                    case_id=delivery.case_id,
                    effect=delivery.effect,
                    status=status,
                    at=now,
                    message_id=reply.message_id,
                    account=reply.account,
                    provider_id=outcome.provider_id,
                    code=outcome.code,
                    reason=outcome.reason,
                ),
                id=f"{delivery.id}:{delivery.attempts}{':corrected' if corrects else ''}",
                source="/notifier",
            )
