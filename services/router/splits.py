"""Splitting a case: the messages as they came, both cases locked, both decided. Thin."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

import msgspec

from services.router import queries, splitting
from services.router.case import Case
from services.router.commands import (
    Close,
    Command,
    CustomerFacts,
    LeaveCase,
    Moved,
    ReceiveMessages,
)
from services.router.decide import Decided, gone
from services.router.desk import Desk
from services.router.people import identify
from services.router.rules.conditions import Facts
from shared.database import driver
from shared.errors import Conflict, Invalid, NotFound
from shared.events import MessageAdded

_ADDED: Final = msgspec.json.Decoder(MessageAdded)


@dataclass(frozen=True, slots=True)
class Split:
    """What is asked for. `exists`: the case they go to is there already."""

    leave: LeaveCase
    exists: bool = False
    subject: str = ""


async def split(
    desk: Desk,
    case_id: UUID,
    asked: Split,
    choose: Callable[[Case], Command],
    allow: Callable[[Case], None],
) -> Decided:
    """What became of the case they leave. `choose` and `allow` look at the two cases, locked, and
    may refuse."""
    customer = await _lock(desk, case_id, asked)
    case, leave = desk.cases[case_id], asked.leave
    choose(case)
    if case.erased:
        raise gone()
    if asked.exists:
        _check_target(desk, case, leave.to_case, allow)
    moved = await _load(desk, case, customer, leave.message_ids)
    going = (*leave.message_ids, *splitting.following(case, leave.message_ids))
    empty = not await _stay(desk, case_id, going)
    if empty and not asked.exists:
        raise Invalid(
            "these are all its messages, so that nothing would be left of the case: split off "
            "only what is not its own",
            name="nothing-left",
        )
    received = ReceiveMessages(
        agent=leave.agent,
        from_case=case_id,
        customer=customer,
        messages=moved,
        subject=asked.subject,
        promised=splitting.promised(case, leave.message_ids),
        call_backs=tuple(p for p in case.promises if p.asked_in in leave.message_ids),
    )
    decided = desk.decide(case_id, replace(leave, message_ids=going))
    desk.decide(leave.to_case, received)
    if empty and decided.case.state != "closed":
        reason = f"its messages went to case {leave.to_case}"
        decided = desk.decide(case_id, Close(leave.agent, reason, empty=True))
    return decided


async def _lock(desk: Desk, case_id: UUID, asked: Split) -> CustomerFacts:
    """First the customer, as everywhere: their row serialises "an open case, or a new one"."""
    raw = await driver(desk.connection)
    owner = await raw.fetchval("SELECT customer_id FROM cases WHERE id = $1", case_id)
    if owner is None:
        raise NotFound(f"there is no case {case_id}: take its id from /v1/inbox")
    facts = (await identify(desk.connection, [], desk.policy, [owner])).facts[owner]
    desk.seat(await queries.lock_cases(desk.connection, [case_id, asked.leave.to_case]))
    if desk.cases[case_id].customer_id != owner:
        raise Conflict("the case has just become another customer's: read it again")
    return facts


def _check_target(desk: Desk, case: Case, into: UUID, allow: Callable[[Case], None]) -> None:
    other = desk.cases.get(into)
    if other is None:
        raise NotFound(f"there is no case {into}: take its id from /v1/inbox")
    allow(other)
    if other.customer_id != case.customer_id or other.id == case.id:
        raise Invalid(
            "`into` has to be another case of the same customer: merge the customers first, or "
            "leave `into` out for a new case",
            name="not-theirs",
        )


async def _load(
    desk: Desk, case: Case, customer: CustomerFacts, ids: Collection[UUID]
) -> tuple[Moved, ...]:
    """Oldest first. Raises Invalid, naming what is no message of the customer in this case."""
    rows = await (await driver(desk.connection)).fetch(_MESSAGES, case.id, list(ids))
    missing = [str(id) for id in ids if id not in {row["id"] for row in rows}]
    if missing:
        raise Invalid(
            f"not messages of the customer in this case: {', '.join(missing)}; take the ids of "
            "inbound messages from its timeline",
            name="not-in-case",
            messages=missing,
        )
    waiting = {message.message_id for message in case.unanswered}
    return tuple(
        Moved(
            event=_ADDED.decode(row["event"]),
            facts=_facts(row, msgspec.json.decode(row["data"]), customer),
            waits=row["id"] in waiting,
        )
        for row in rows
    )


def _facts(row: Mapping[str, Any], data: Mapping[str, Any], customer: CustomerFacts) -> Facts:
    """What the rules may ask of a message, of its row."""
    return Facts(
        channel=row["channel"],
        account=row["account"],
        kind=row["kind"],
        subject=row["subject"],
        text=data.get("reply_text") or row["text"],
        product=data.get("product", ""),
        priority=data.get("priority", ""),
        attributes=data.get("attributes", {}),
        customer_group=customer.group,
        customer_language=customer.language or data.get("language", ""),
        customer_internal=customer.internal,
        customer_known=True,
        authentication=row["authentication"],
    )


async def _stay(desk: Desk, case_id: UUID, going: Collection[UUID]) -> bool:
    """Whether the case keeps anything that was said."""
    kept = await (await driver(desk.connection)).fetchval(
        "SELECT EXISTS (SELECT FROM messages WHERE case_id = $1 AND NOT id = ANY($2))",
        case_id,
        list(going),
    )
    return bool(kept)


# A message that came back was added twice: the last time counts.
_MESSAGES: Final = """
SELECT messages.id, account, channel, kind, subject, text, authentication, messages.data::text,
    added.data::text AS event
FROM messages, LATERAL (
    SELECT case_events.data FROM case_events
    WHERE case_events.case_id = $1 AND type = 'message.added'
        AND case_events.data ->> 'message_id' = messages.id::text
    ORDER BY seq DESC LIMIT 1
) AS added
WHERE messages.case_id = $1 AND messages.id = ANY($2) AND direction = 'in'
ORDER BY occurred_at, messages.id
"""
