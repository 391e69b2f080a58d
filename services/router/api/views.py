"""A case as the API shows it, in lists and alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.router import switching
from services.router.api import tasks
from services.router.api.tasks import Task, task_of
from services.router.case import FAR, PRIORITIES, Case
from services.router.handlers import Handlers
from services.router.policy import Policy
from shared.errors import Forbidden, NotFound
from shared.security import Caller


class CustomerBrief(BaseModel):
    id: UUID
    name: str
    identities: list[str]


class Item(BaseModel):
    """One case in a list. `due_at` is the effective due; null when nothing is due. `skills` are
    what an agent must have to be offered it; anybody of the team may claim it by name. `frozen`
    is with whom it stays, because people sent it to and fro. `task`: a call that is to be made."""

    id: UUID
    customer: CustomerBrief
    channel: str
    account: str
    subject: str
    preview: str
    team: str
    agent: str | None
    state: str
    priority: str
    product: str
    due_at: datetime | None
    due_metric: str | None
    at_risk: bool
    at_risk_reason: str | None
    reply_window_closes_at: datetime | None
    allowed_switches: list[dict[str, Any]]
    waiting_since: datetime | None
    opened_at: datetime
    skills: list[str]
    frozen: str | None
    task: Task | None
    version: int


COLUMNS: Final = (
    "cases.id, cases.customer_id, cases.channel, cases.account, cases.subject, cases.preview, "
    "cases.team, cases.agent, cases.state, cases.priority, cases.product, cases.due_at, "
    "cases.due_metric, cases.at_risk, cases.reply_window_closes_at, cases.waiting_since, "
    f"cases.opened_at, cases.skills, cases.frozen, cases.version, {tasks.COLUMN}"
)
_PEOPLE: Final = text(
    "SELECT customers.id, customers.name, array_remove(array_agg(scheme || ':' || value "
    "ORDER BY verified DESC, scheme, value), NULL) AS identities "
    "FROM customers LEFT JOIN identities ON identities.customer_id = customers.id "
    "WHERE customers.id = ANY(:ids) GROUP BY customers.id, customers.name"
)


async def items(
    connection: AsyncConnection, rows: Sequence[RowMapping], policy: Policy, now: datetime
) -> list[Item]:
    """Rows of COLUMNS as items, their customers read at once."""
    ids = list({row["customer_id"] for row in rows})
    people = {p.id: p for p in (await connection.execute(_PEOPLE, {"ids": ids}))} if ids else {}
    return [_item(row, people.get(row["customer_id"]), policy, now) for row in rows]


def _item(row: RowMapping, person: Any, policy: Policy, now: datetime) -> Item:
    values = dict(row)
    customer = CustomerBrief(
        id=values.pop("customer_id"),
        name=person.name if person else "",
        identities=list(person.identities) if person else [],
    )
    switches = switching.permitted(policy, values["product"], values["channel"], now)
    calls, due_at = values.pop("calls"), values["due_at"]
    values |= {
        "agent": values["agent"] or None,
        "frozen": values["frozen"] or None,
        "priority": PRIORITIES[values["priority"]],
        "due_at": None if due_at >= FAR else due_at,
        "task": task_of(calls, None if due_at >= FAR else due_at, customer.identities),
        "due_metric": values["due_metric"] or None,
        "at_risk": bool(values["at_risk"]),
        "at_risk_reason": values["at_risk"] or None,
        "allowed_switches": [row.as_dict() for row in switches],
    }
    return Item(customer=customer, **values)


async def one(
    connection: AsyncConnection, case_id: UUID, handlers: Handlers, who: Caller | None
) -> Item:
    """One case as an item. Raises NotFound, also for what `who` may not see; None sees all."""
    policy = handlers.policies.current
    found = await connection.execute(
        text(f"SELECT {COLUMNS} FROM cases WHERE id = :id"),  # noqa: S608 - our own names
        {"id": case_id},
    )
    row = found.mappings().one_or_none()
    if row is None or (who is not None and not may_see(who, row["team"], policy)):
        raise NotFound(f"there is no case {case_id}: take its id from /v1/inbox")
    return (await items(connection, [row], policy, handlers.runtime.now()))[0]


def may_see(who: Caller, team: str, policy: Policy) -> bool:
    """Any agent reads any case, but those of confidential teams (DESIGN 6)."""
    return who.sees_team(team, confidential=team in confidential(policy))


def check_writes(who: Caller, case: Case, policy: Policy) -> None:
    """Raises NotFound for the unseen, Forbidden for another team's."""
    if not may_see(who, case.team, policy):
        raise NotFound(f"there is no case {case.id}: take its id from /v1/inbox")
    if not who.writes_team(case.team):
        raise Forbidden(
            f"this case is with team {case.team}; your key is for {', '.join(sorted(who.teams))}: "
            "ask for a handoff, or for a key that covers the team"
        )


def confidential(policy: Policy) -> list[str]:
    return [name for name, team in policy.teams.items() if team.confidential]


def hidden_teams(who: Caller, policy: Policy) -> list[str]:
    """Confidential teams whose cases this caller's lists leave out."""
    return [team for team in confidential(policy) if not may_see(who, team, policy)]


def names(values: Iterable[str] | None) -> list[str]:
    """A repeated or comma-separated query parameter as a list."""
    return [name for value in values or () for name in value.split(",") if name]
