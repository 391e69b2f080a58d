"""A customer as the API shows them: the one record that a phone agent or a counter works from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, get_args
from uuid import UUID

import msgspec
from pydantic import BaseModel
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.router.api import views
from services.router.api.views import Item
from services.router.customers import FAMILY
from services.router.handlers import Handlers
from services.router.policy import Policy
from shared.errors import NotFound
from shared.events import Channel, Identity
from shared.security import Caller


class IdentityView(BaseModel):
    """`verified`: proven by a platform or by a person (`how`, `added_by`), not merely said."""

    identity: str
    scheme: str
    value: str
    verified: bool
    added_by: str | None
    how: str | None
    since: datetime


class ClaimView(BaseModel):
    """What the customer said of themselves and nobody has proven."""

    identity: str
    message: UUID
    at: datetime


class ConflictView(BaseModel):
    """Another record lays hold of the same identity.

    why    claimed (said by one, had by the other), claimed_twice, unmerged (a merge that a person
           undid), unproven (stands unverified on the other), to_be_erased
    other  the other record
    """

    id: UUID
    identity: str
    why: str
    other: UUID
    other_name: str
    message: UUID | None
    at: datetime


class ContactView(BaseModel):
    """The newest message on one channel."""

    channel: str
    direction: str
    kind: str
    at: datetime
    preview: str
    author: str
    authentication: str
    marked: str | None
    state: str
    case: UUID


class OpenPromise(BaseModel):
    """Owed to the customer; `broken` once its time has passed, until it is kept."""

    id: UUID
    case: UUID
    kind: str
    what: str
    by: str
    team: str
    channel: str
    state: str
    made_at: datetime
    due_at: datetime
    attempts: int
    most: int


class OpenHandoff(BaseModel):
    id: UUID
    case: UUID
    reason: str
    from_team: str
    to_team: str | None
    from_channel: str
    to_channel: str | None
    address: str | None
    offered_at: datetime
    expires_at: datetime


class Draft(BaseModel):
    """A result not yet final, such as a form half filled: go on from it."""

    case: UUID
    name: str
    version: int
    author: str
    at: datetime
    data: dict[str, Any]


class CustomerView(BaseModel):
    """Everything at hand. `merged_into` is set where the id asked for was merged into this record.

    open_cases    most urgent first; closed_cases: the last ten
    last_contacts one a channel, newest first
    Cases of confidential teams, and what belongs to them, are shown to their own people only.
    """

    id: UUID
    merged_into: UUID | None
    name: str
    language: str
    group: str
    internal: bool
    opted_out: bool
    created_at: datetime
    version: int
    identities: list[IdentityView]
    claims: list[ClaimView]
    conflicts: list[ConflictView]
    open_cases: list[Item]
    closed_cases: list[Item]
    last_contacts: list[ContactView]
    promises: list[OpenPromise]
    handoffs: list[OpenHandoff]
    drafts: list[Draft]


_CUSTOMER: Final = text("SELECT * FROM customers WHERE id = :id AND erased_at IS NULL")
_IDENTITIES: Final = text(
    "SELECT scheme, value, verified, added_by, how, created_at FROM identities "
    "WHERE customer_id = :id ORDER BY verified DESC, scheme, value LIMIT 500"
)
_CLAIMS: Final = text(
    f"{FAMILY} SELECT scheme, value, message_id, at FROM identity_claims "  # noqa: S608 - our own text
    "WHERE customer_id IN (SELECT member FROM family) AND NOT EXISTS (SELECT 1 FROM identities "
    "WHERE (identities.scheme, identities.value) = (identity_claims.scheme, identity_claims.value) "
    "AND identities.customer_id = :id) ORDER BY at DESC LIMIT 50"
)
# The other one may have been merged since: its standing record is shown.
_CONFLICTS: Final = text(f"""
{FAMILY}, named AS (
    SELECT id, scheme, value, why, message_id, at,
        CASE WHEN customer_id IN (SELECT member FROM family) THEN other_id ELSE customer_id END
            AS party
    FROM identity_conflicts WHERE ended_at IS NULL
        AND (customer_id IN (SELECT member FROM family)
            OR other_id IN (SELECT member FROM family))
), chain (party, id, name, merged_into) AS (
    SELECT customers.id, customers.id, name, merged_into FROM customers
    WHERE id IN (SELECT party FROM named)
    UNION
    SELECT party, customers.id, customers.name, customers.merged_into
    FROM chain JOIN customers ON customers.id = chain.merged_into
)
SELECT named.id, scheme, value, why, message_id, at, chain.id AS other, chain.name AS other_name
FROM named JOIN chain ON chain.party = named.party AND chain.merged_into IS NULL
WHERE chain.id <> :id ORDER BY at DESC, named.id LIMIT 50
""")  # noqa: S608 - our own text
_CASES: Final = text(
    f"(SELECT {views.COLUMNS} FROM cases WHERE customer_id = :id AND state <> 'closed' "  # noqa: S608 - our own names
    "AND team <> ALL(:hidden) ORDER BY due_at, priority, opened_at, id LIMIT 100) UNION ALL "
    f"(SELECT {views.COLUMNS} FROM cases WHERE customer_id = :id AND state = 'closed' "
    "AND team <> ALL(:hidden) ORDER BY closed_at DESC, id LIMIT 10)"
)
_CONTACTS: Final = text("""
SELECT newest.* FROM unnest(CAST(:channels AS text[])) AS one (channel), LATERAL (
    SELECT messages.channel, direction, kind, occurred_at AS at, left(text, 200) AS preview,
        author, authentication, marked, messages.state, case_id AS case
    FROM messages JOIN cases ON cases.id = case_id
    WHERE messages.customer_id = :id AND messages.channel = one.channel
        AND kind NOT IN ('edit', 'revoke', 'reaction') AND team <> ALL(:hidden)
    ORDER BY occurred_at DESC LIMIT 1
) AS newest ORDER BY at DESC
""")
_PROMISES: Final = text(
    'SELECT id, case_id AS "case", kind, what, by, team, channel, state, made_at, due_at, '
    "attempts, most FROM promises WHERE customer_id = :id AND ended_at IS NULL "
    "AND team <> ALL(:hidden) ORDER BY due_at, id LIMIT 100"
)
_HANDOFFS: Final = text(
    "SELECT handoffs.id, case_id AS \"case\", reason, from_team, nullif(to_team, '') AS to_team, "
    "from_channel, nullif(to_channel, '') AS to_channel, nullif(address, '') AS address, "
    "offered_at, expires_at FROM cases JOIN handoffs ON case_id = cases.id "
    "WHERE customer_id = :id AND cases.state <> 'closed' AND handoffs.state = 'offered' "
    "AND team <> ALL(:hidden) ORDER BY offered_at, handoffs.id LIMIT 100"
)
_DRAFTS: Final = text(
    'SELECT case_id AS "case", name, results.version, author, at, data::text AS data '
    "FROM cases JOIN results ON case_id = cases.id "
    "WHERE customer_id = :id AND cases.state <> 'closed' AND results.state = 'draft' "
    "AND team <> ALL(:hidden) AND results.version = (SELECT max(version) FROM results AS newest "
    "WHERE newest.case_id = results.case_id AND newest.name = results.name) "
    "ORDER BY at DESC, name LIMIT 50"
)


async def record(
    connection: AsyncConnection, handlers: Handlers, who: Caller, id: UUID, asked: UUID | None
) -> CustomerView:
    """The standing record `id`, in a fixed number of statements. Raises NotFound."""
    policy, now = handlers.policies.current, handlers.runtime.now()
    values = {"id": id, "hidden": views.hidden_teams(who, policy)}

    async def rows(query: Any, **more: Any) -> Sequence[RowMapping]:
        return (await connection.execute(query, values | more)).mappings().all()

    own = (await connection.execute(_CUSTOMER, {"id": id})).mappings().one_or_none()
    if own is None:
        raise unknown(id)
    known = await rows(_IDENTITIES)
    cases = await views.items(connection, await rows(_CASES), policy, now)
    group, internal = _standing(policy, own, known)
    return CustomerView(
        id=id,
        merged_into=id if asked not in (None, id) else None,
        group=group,
        internal=internal,
        identities=[_identity(row) for row in known],
        claims=[_claim(row) for row in await rows(_CLAIMS)],
        conflicts=[_conflict(row) for row in await rows(_CONFLICTS)],
        open_cases=[item for item in cases if item.state != "closed"],
        closed_cases=[item for item in cases if item.state == "closed"],
        last_contacts=[
            ContactView(**{**row, "marked": row["marked"] or None})
            for row in await rows(_CONTACTS, channels=list(get_args(Channel)))
        ],
        promises=[OpenPromise(**row) for row in await rows(_PROMISES)],
        handoffs=[OpenHandoff(**row) for row in await rows(_HANDOFFS)],
        drafts=[
            Draft(**{**row, "data": msgspec.json.decode(row["data"])})
            for row in await rows(_DRAFTS)
        ],
        **{name: own[name] for name in ("name", "language", "opted_out", "created_at", "version")},
    )


def unknown(id: UUID) -> NotFound:
    return NotFound(f"there is no customer {id}: find them by GET /v1/customers?identity=")


def _standing(policy: Policy, own: RowMapping, known: Sequence[RowMapping]) -> tuple[str, bool]:
    """As routing sees it: by the identities, else what the row says."""
    identities = tuple(Identity(scheme=row["scheme"], value=row["value"]) for row in known)
    group, internal = policy.standing(identities)
    return group or own["grp"], internal or own["internal"]


def _identity(row: RowMapping) -> IdentityView:
    return IdentityView(
        identity=f"{row['scheme']}:{row['value']}",
        scheme=row["scheme"],
        value=row["value"],
        verified=row["verified"],
        added_by=row["added_by"] or None,
        how=row["how"] or None,
        since=row["created_at"],
    )


def _claim(row: RowMapping) -> ClaimView:
    name = f"{row['scheme']}:{row['value']}"
    return ClaimView(identity=name, message=row["message_id"], at=row["at"])


def _conflict(row: RowMapping) -> ConflictView:
    return ConflictView(
        id=row["id"],
        identity=f"{row['scheme']}:{row['value']}",
        why=row["why"],
        other=row["other"],
        other_name=row["other_name"],
        message=row["message_id"],
        at=row["at"],
    )
