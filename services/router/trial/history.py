"""Reading whole histories for a dry run: many cases at a time, all from one snapshot.

One read-only transaction sees the database as it was when it began. It never waits for long between
two statements, so it is not taken for an idle one; and it holds nothing but its snapshot.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from services.router.commands import CustomerFacts
from services.router.policy import Policy
from services.router.rules.conditions import MOST_TEXT
from services.router.trial.heard import Heard
from services.router.trial.retelling import History
from shared.events import Attachment, CaseChanged, CaseEvent, Identity, Priority
from shared.sessions import Session, close_session, open_session

_EVENTS: Final[msgspec.json.Decoder[CaseEvent]] = msgspec.json.Decoder(CaseEvent)
_CASES_AT_ONCE: Final = 10_000
_BLOCK: Final = 200
_PATIENCE: Final = 300  # s, for one statement over all of the time asked for
_NOBODY: Final = UUID(int=0)


Identities = Mapping[UUID, Collection[Identity]]


class Extent(NamedTuple):
    """How much there is to replay."""

    cases: int
    events: int


class _Known(msgspec.Struct):
    """What the rules knew of a message's sender."""

    known: bool = False
    group: str = ""
    internal: bool = False
    language: str = ""


class _Data(msgspec.Struct):
    """Of `messages.data`, what routing asks for."""

    product: str = ""
    priority: Priority | Literal[""] = ""
    customer: _Known | None = None
    reply_text: str = ""
    sender: tuple[str, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    automatic: bool = False
    attributes: dict[str, Any] = msgspec.field(default_factory=dict)
    language: str = ""


_DATA: Final = msgspec.json.Decoder(_Data)


class Archive:
    """What is recorded of the cases that got a message since an instant.

    standing  the policy by which customers' groups are told anew; None: they are as they were
    """

    def __init__(self, session: Session, since: datetime) -> None:
        self.standing: Policy | None = None
        self._session = session
        self._since = since

    async def newest_policy(self) -> Policy | None:
        """The newest version stored, None for none. Raises PolicyError where it is another
        program's and cannot be read."""
        row = await self._session.fetchrow(_NEWEST)
        if row is None:
            return None
        name = f"policy version {row['version']}"
        return Policy.parse(row["source"], name).with_version(row["version"])

    async def extent(self) -> Extent:
        row = await self._session.fetchrow(_EXTENT, self._since, timeout=_PATIENCE)
        return Extent(row["cases"], row["events"])

    async def histories(self) -> AsyncIterator[Sequence[History]]:
        """Block by block; the next one is on its way while this one is looked at."""
        cursor = await self._session.cursor(_CHOSEN, self._since, timeout=_PATIENCE)
        while rows := await cursor.fetch(_CASES_AT_ONCE):
            ids = [row["case_id"] for row in rows]
            blocks = [ids[start : start + _BLOCK] for start in range(0, len(ids), _BLOCK)]
            coming = asyncio.create_task(self._read(blocks[0]))
            try:
                for following in [*blocks[1:], None]:
                    block = await coming
                    if following is not None:
                        coming = asyncio.create_task(self._read(following))
                        await asyncio.sleep(0)  # so that it is asked for
                    yield block
            finally:
                coming.cancel()

    async def _read(self, ids: Sequence[UUID]) -> Sequence[History]:
        rows = await self._session.fetch(_HISTORIES, ids, MOST_TEXT, timeout=_PATIENCE)
        identities = await self._identities(rows) if self.standing is not None else {}
        return list(_histories(rows, _Standing(self.standing, identities)))

    async def _identities(self, rows: Sequence[Any]) -> Identities:
        customers = {row["customer_id"] for row in rows if row["customer_id"] is not None}
        found: dict[UUID, set[Identity]] = defaultdict(set)
        for row in await self._session.fetch(_IDENTITIES, list(customers), timeout=_PATIENCE):
            found[row["customer_id"]].add(Identity(scheme=row["scheme"], value=row["value"]))
        return found


@asynccontextmanager
async def open_archive(url: str, since: datetime) -> AsyncIterator[Archive]:
    """Reads only: PostgreSQL itself refuses a write. Raises one of `shared.sessions.AWAY`."""
    session = await open_session(url, "regie-dry-run", default_transaction_read_only="on")
    try:
        await _notice_our_end(session)
        async with session.transaction(isolation="repeatable_read", readonly=True):
            yield Archive(session, since)
    finally:
        await close_session(session)


async def _notice_our_end(session: Session) -> None:
    """Killed, we must not leave a server process behind that reads on for nobody."""
    try:
        await session.execute("SET client_connection_check_interval = '1s'")
    except asyncpg.PostgresError:
        return  # a server on a system where it cannot notice


# --- rows into histories -----------------------------------------------------------------------


class _Standing(NamedTuple):
    """How a customer's group is told: as it was then, or anew by a policy and all the identities
    on record."""

    policy: Policy | None
    identities: Identities

    def of(self, customer: UUID, data: _Data) -> CustomerFacts | None:
        """None where it was not recorded: the case's own tells it then."""
        known = data.customer
        if known is None and self.policy is None:
            return None
        known = known or _Known(known=True)
        facts = CustomerFacts(customer, known.group, known.language, known.internal, known.known)
        return facts if self.policy is None else self._anew(self.policy, facts, data)

    def _anew(self, policy: Policy, facts: CustomerFacts, data: _Data) -> CustomerFacts:
        if not (policy.customers.groups or policy.customers.internal_domains):
            return replace(facts, group="", internal=False)  # as `people` does
        theirs = {*self.identities.get(facts.id, ()), *map(_identity, data.sender)}
        group, internal = policy.standing(tuple(theirs))
        return replace(facts, group=group, internal=internal)


def _identity(written: str) -> Identity:
    scheme, _, value = written.partition(":")
    return Identity(scheme=scheme, value=value)  # type: ignore[arg-type]  # as we wrote it


def _histories(rows: Sequence[Any], standing: _Standing) -> Iterator[History]:
    """`rows` are in the order of case and seq."""
    changes: list[CaseChanged] = []
    heard: dict[UUID, Heard] = {}
    for row in rows:
        case_id = row["case_id"]
        if changes and changes[0].case_id != case_id:
            yield History(changes[0].case_id, changes, heard)
            changes, heard = [], {}
        changes.append(_change(row, case_id))
        if row["customer_id"] is not None:
            heard[row["message_id"]] = _heard(row, standing)
    if changes:
        yield History(changes[0].case_id, changes, heard)


def _change(row: Any, case_id: UUID) -> CaseChanged:
    """Team, channel and customer at the time were not kept: folding the events tells them."""
    return CaseChanged(
        case_id=case_id,
        seq=row["seq"],
        version=row["version"],
        at=row["at"],
        actor=row["actor"],
        customer_id=_NOBODY,
        team="",
        channel="internal",
        event=_EVENTS.decode(row["event"]),
    )


def _heard(row: Any, standing: _Standing) -> Heard:
    data = _DATA.decode(row["data"])
    return Heard(
        customer=standing.of(row["customer_id"], data),
        subject=row["subject"],
        text=row["text"],
        reply_text=data.reply_text,
        language=data.language,
        automatic=data.automatic,
        product=data.product,
        priority=data.priority,
        attributes=data.attributes,
        attachments=data.attachments,
    )


_NEWEST: Final = "SELECT version, source FROM policies ORDER BY version DESC LIMIT 1"
_CHOSEN: Final = (
    "SELECT case_id FROM messages WHERE direction = 'in' AND received_at >= $1 "
    "GROUP BY case_id ORDER BY case_id"
)
# A case's last number counts its events.
_EXTENT: Final = (
    f"SELECT count(*) AS cases, coalesce(sum(seq), 0)::bigint AS events FROM ({_CHOSEN}) AS chosen "  # noqa: S608 - our own text
    "JOIN cases ON cases.id = chosen.case_id"
)
_HISTORIES: Final = """
SELECT e.case_id, e.seq, e.version, e.at, e.actor, e.data::text AS event, m.id AS message_id,
    m.customer_id, m.subject, left(m.text, $2) AS text,
    (m.data - '{raw,draft,thread,call}'::text[])::text AS data
FROM case_events e LEFT JOIN messages m
    ON e.type = 'message.added' AND m.id = (e.data ->> 'message_id')::uuid
WHERE e.case_id = ANY($1) ORDER BY e.case_id, e.seq
"""
_IDENTITIES: Final = "SELECT customer_id, scheme, value FROM identities WHERE customer_id = ANY($1)"
