"""The surveys of a desk: what is looked up before anybody is asked, and the rows of what became.

A row is a case that was asked about, or passed over (`skipped` says why). Its agent is whoever
answered the customer last, else whoever closed the case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from services.router import surveying
from services.router.case import Case
from services.router.commands import Asking
from shared import events as ev
from shared.accounts import Accounts
from shared.database import driver

if TYPE_CHECKING:
    from services.router.desk import Desk

_TEMPLATE: Final = "survey"


async def asking(desk: Desk) -> dict[UUID, Asking]:
    """By case, for those seated whose question is due. Of one customer only one at a time, and
    none whom somebody else has locked: the others come with the next round, and see this one's."""
    due = {
        case.customer_id: case
        for case in desk.cases.values()
        if surveying.is_due(case, desk.policy, desk.now)
    }
    if not due:
        return {}
    raw = await driver(desk.connection)
    # Waiting for them could deadlock: the cases are locked already. And only now is it read what
    # another clock did while it had them.
    free = {row["id"] for row in await raw.fetch(_LOCK, list(due))}
    cases = [case for customer, case in due.items() if customer in free]
    if not cases:
        return {}
    senders, templates = desk.offers.senders, _with_template(desk.offers.accounts)
    wanted = [(c.id, c.customer_id, surveying.channel_of(c, desk.policy) or "") for c in cases]
    rows = await raw.fetch(_ASKING, *zip(*wanted, strict=True))
    return {
        row["case_id"]: Asking(
            row["opted_out"], row["asked_at"], bool(row["bouncing"]), senders, templates
        )
        for row in rows
    }


def _with_template(accounts: Accounts) -> frozenset[str]:
    return frozenset(a.name for a in accounts if _TEMPLATE in a.settings.get("templates", ()))


async def save(desk: Desk) -> None:
    """Nothing is written for a batch without any."""
    asked: dict[UUID, tuple[Any, ...]] = {}
    answered: list[tuple[Any, ...]] = []
    declined: dict[UUID, UUID] = {}
    for change in desk.changes:
        case = desk.cases[change.case_id]
        match change.event:
            case ev.SurveySent() as sent:
                asked[case.id] = _row(change, case, sent.channel, change.at, sent.message_id, "")
            case ev.SurveySkipped(reason=reason):
                asked[case.id] = _row(change, case, case.channel, None, None, reason)
            case ev.SurveyAnswered() as said:
                answered.append((case.id, said.score, said.comment, change.at))
            case ev.SurveyDeclined():
                declined[case.id] = case.customer_id
    if not (asked or answered or declined):
        return
    raw = await driver(desk.connection)
    if asked:
        await raw.execute(_ASKED, *zip(*asked.values(), strict=True))
    if answered:
        await raw.execute(_ANSWERED, *zip(*answered, strict=True))
    if declined:
        await raw.execute(_DECLINED, list(declined))
        await raw.execute(_OPT_OUT, sorted(set(declined.values())))


def _row(change: ev.CaseChanged, case: Case, channel: str, *rest: Any) -> tuple[Any, ...]:
    agent = case.answered[-1].author if case.answered else ""
    return (
        case.id, case.customer_id, change.team, agent or case.closed_by, channel, case.product,
        *rest,
    )  # fmt: skip


_LOCK: Final = "SELECT id FROM customers WHERE id = ANY($1) ORDER BY id FOR UPDATE SKIP LOCKED"
# The question about another case, if it reached them; and our last word to them on that channel.
_ASKING: Final = """
SELECT due.case_id,
    customers.opted_out OR customers.erased_at IS NOT NULL OR EXISTS (
        SELECT FROM erasures WHERE erasures.customer_id = due.customer_id
        AND done_at IS NULL AND withdrawn_at IS NULL) AS opted_out,
    (SELECT max(asked_at) FROM surveys
        WHERE surveys.customer_id = due.customer_id AND skipped <> 'failed') AS asked_at,
    (SELECT state FROM messages
        WHERE messages.customer_id = due.customer_id AND messages.channel = due.channel
        AND direction = 'out' AND state <> 'recorded'
        ORDER BY occurred_at DESC LIMIT 1) = 'failed' AS bouncing
FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS due (case_id, customer_id, channel)
JOIN customers ON customers.id = due.customer_id
"""
_ASKED: Final = """
INSERT INTO surveys (case_id, customer_id, team, agent, channel, product, asked_at, message_id,
    skipped)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[],
    $7::timestamptz[], $8::uuid[], $9::text[])
ON CONFLICT (case_id) DO UPDATE SET skipped = excluded.skipped
"""
_ANSWERED: Final = """
UPDATE surveys SET score = new.score, comment = new.comment, answered_at = new.at
FROM unnest($1::uuid[], $2::int[], $3::text[], $4::timestamptz[]) AS new (id, score, comment, at)
WHERE surveys.case_id = new.id
"""
_DECLINED: Final = (
    "UPDATE surveys SET skipped = 'declined' WHERE case_id = ANY($1) AND score IS NULL"
)
# The record changed, so its version does; whoever takes their messages has it locked.
_OPT_OUT: Final = (
    "UPDATE customers SET opted_out = true, version = version + 1 "
    "WHERE id = ANY($1) AND NOT opted_out"
)
