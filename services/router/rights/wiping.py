"""The rows that hold somebody's words, without them. What is counted stays.

wipe_cases     everything that hangs on these cases
wipe_messages  single messages, in whosever case they are
wipe_people    the records, their addresses, and what was kept to undo merges
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.router.case import Case
from services.router.evolve import evolve
from services.router.rights import files
from services.router.rights.forgetting import REASONS, forgotten
from services.router.rights.scope import Scope
from shared.database import driver
from shared.events import CaseChanged, CaseEvent, Event

_EVENTS: Final[msgspec.json.Decoder[CaseEvent]] = msgspec.json.Decoder(CaseEvent)
_ENCODER: Final = msgspec.json.Encoder()
_NOBODY: Final = UUID(int=0)
_CASES_AT_ONCE: Final = 50
# Of `messages.data` and `deliveries.payload`: what is counted, or needed to read the rest.
_COUNTED: Final = (
    "answers", "automatic", "call", "customer", "edited", "human", "outcome", "priority", "product",
)  # fmt: skip
_KNOWN_BY: Final = ("claimed", "language", "recipient", "sender", "thread")
_PLANNED: Final = (
    "account", "answers", "author", "channel", "human", "message_id", "purpose", "timestamp",
    "type",
)  # fmt: skip


async def wipe_cases(
    connection: AsyncConnection, cases: Collection[UUID], now: datetime, *, addresses: bool = True
) -> None:
    """All words of these cases, locked by the caller. `addresses` False: those stay, as does the
    customer whose they are."""
    ids = sorted(cases)
    for start in range(0, len(ids), _CASES_AT_ONCE):
        part = ids[start : start + _CASES_AT_ONCE]
        await files.doom(connection, await _refs(connection, part))
        await _retell(connection, part, addresses=addresses)
        raw = await driver(connection)
        # Before the messages forget by what name their provider knows them.
        await _wipe_media(connection, part, [])
        for statement in _OF_CASES:
            await raw.execute(statement, part)
        await raw.execute(_DROP_DELIVERIES, part, now)
        await raw.execute(_DELIVERIES, part, list(_PLANNED))
        await raw.execute(_HANDOFFS, part, list(REASONS))
        await raw.execute(_MESSAGES_OF_CASES, part, *_left(addresses), addresses)
        await raw.execute("UPDATE cases SET words_gone_at = $2 WHERE id = ANY($1)", part, now)


async def wipe_messages(connection: AsyncConnection, guests: Mapping[UUID, UUID]) -> None:
    """Somebody's messages in other people's cases (message -> case), which go on."""
    if not guests:
        return
    raw = await driver(connection)
    refs = [row["ref"] for row in await raw.fetch(_REFS_OF_MESSAGES, list(guests))]
    await files.doom(connection, refs)
    await _wipe_media(connection, [], list(guests))
    await raw.execute(_MESSAGES, list(guests), *_left(True), True)
    cases = list(set(guests.values()))
    await raw.execute(_TOLD_THERE, cases, list(guests))
    await raw.execute(_PACKS_THERE, cases)
    await raw.execute(_DECISIONS_THERE, cases, list(guests))
    await _retell(connection, sorted(set(guests.values())), only=frozenset(guests))


async def _wipe_media(
    connection: AsyncConnection, cases: Sequence[UUID], messages: Sequence[UUID]
) -> None:
    """Files of these messages that the router has not heard of yet, or never will, go as well."""
    rows = await (await driver(connection)).fetch(_MEDIA, cases, messages)
    await files.doom(connection, [row["ref"] for row in rows if row["ref"]])


def _left(addresses: bool) -> tuple[list[str]]:
    return (list(_COUNTED if addresses else _COUNTED + _KNOWN_BY),)


async def wipe_people(connection: AsyncConnection, scope: Scope, now: datetime) -> None:
    raw = await driver(connection)
    people = list(scope.customers)
    schemes = [identity.scheme for identity in scope.identities]
    values = [identity.value for identity in scope.identities]
    await raw.execute(_CLAIMS, people, schemes, values)
    await raw.execute(_CONFLICTS, people, schemes, values)
    await raw.execute("DELETE FROM identities WHERE customer_id = ANY($1)", people)
    await raw.execute(_MERGES, people)
    await raw.execute(_CUSTOMERS, people, now)
    await raw.execute(
        "DELETE FROM wrong_codes WHERE sender = ANY($1)", [str(i) for i in scope.identities]
    )
    await raw.execute(
        "DELETE FROM pending_statuses USING unnest($1::text[], $2::text[]) "
        "AS gone (account, provider_id) WHERE pending_statuses.account = gone.account "
        "AND pending_statuses.provider_id = gone.provider_id",
        [account for account, _ in scope.provided], [id for _, id in scope.provided],
    )  # fmt: skip


async def _refs(connection: AsyncConnection, cases: Sequence[UUID]) -> list[str]:
    rows = await (await driver(connection)).fetch(_REFS, list(cases))
    return [row["ref"] for row in rows]


# --- history -----------------------------------------------------------------------------------


async def _retell(
    connection: AsyncConnection,
    cases: Sequence[UUID],
    *,
    only: frozenset[UUID] | None = None,
    addresses: bool = True,
) -> None:
    """The events without words (`only`: those about these messages), and the case they fold to."""
    raw = await driver(connection)
    rows = await raw.fetch(_HISTORY, list(cases))
    changed: list[tuple[UUID, int, str]] = []
    folded: dict[UUID, Case] = {}
    for row in rows:
        event = _EVENTS.decode(row["data"])
        if only is None or getattr(event, "message_id", None) in only:
            event = forgotten(event, addresses=addresses)
            changed.append((row["case_id"], row["seq"], _json(event)))
        folded[row["case_id"]] = evolve(folded.get(row["case_id"]), _change(row, event))
    if changed:
        await raw.execute(_EVENTS_AFTER, *zip(*changed, strict=True))
    if folded:
        docs = [
            (case.id, case.subject, case.preview, _json(case.pruned())) for case in folded.values()
        ]
        await raw.execute(_CASES_AFTER, *zip(*docs, strict=True))


def _change(row: Any, event: CaseEvent) -> CaseChanged:
    """Team, channel and customer at the time were not kept: folding does not ask for them."""
    return CaseChanged(
        case_id=row["case_id"], seq=row["seq"], version=row["version"], at=row["at"],
        actor=row["actor"], customer_id=_NOBODY, team="", channel="internal", event=event,
    )  # fmt: skip


def _json(value: Event | Case) -> str:
    return _ENCODER.encode(value).decode()


_HISTORY: Final = """
SELECT case_id, seq, version, at, actor, data::text FROM case_events WHERE case_id = ANY($1)
ORDER BY case_id, seq
"""
_EVENTS_AFTER: Final = """
UPDATE case_events SET data = new.data FROM unnest($1::uuid[], $2::int[], $3::jsonb[])
    AS new (case_id, seq, data)
WHERE case_events.case_id = new.case_id AND case_events.seq = new.seq
"""
_CASES_AFTER: Final = """
UPDATE cases SET subject = new.subject, preview = new.preview, doc = new.doc
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::jsonb[]) AS new (id, subject, preview, doc)
WHERE cases.id = new.id
"""

# --- what hangs on cases -------------------------------------------------------------------------

_OF_CASES: Final = (
    """UPDATE decisions SET data = '{"words": "", "inputs": {}, "trail": []}'
    WHERE case_id = ANY($1)""",
    "UPDATE results SET data = '{}', files = '[]' WHERE case_id = ANY($1)",
    """UPDATE promises SET what = '', reason = CASE WHEN state = 'broken' THEN reason ELSE '' END,
        consent = CASE WHEN consent IS NOT NULL THEN '{}'::jsonb END
    WHERE case_id = ANY($1)""",
    "UPDATE surveys SET comment = '' WHERE case_id = ANY($1)",
    "DELETE FROM resume_codes WHERE case_id = ANY($1)",
    "DELETE FROM uploads WHERE case_id = ANY($1)",
    "DELETE FROM partner_links WHERE case_id = ANY($1)",
    """DELETE FROM chat_lines WHERE case_id = ANY($1) OR message_id IN (
        SELECT id FROM messages WHERE case_id = ANY($1))""",
    "DELETE FROM feed WHERE case_id = ANY($1)",
    """UPDATE attempts SET error = '', response = '' WHERE delivery_id IN (
        SELECT id FROM deliveries WHERE case_id = ANY($1))""",
)
# What is still to be fetched is not, and what was leaves no address behind; of a call told in
# several messages, all of them.
_MEDIA: Final = """
DELETE FROM media USING messages m WHERE (m.case_id = ANY($1) OR m.id = ANY($2))
    AND (media.message_id = m.id
        OR (m.provider_id <> '' AND media.account = m.account AND media.reference = m.provider_id))
RETURNING media.blob ->> 'ref' AS ref
"""
_HANDOFFS: Final = """
UPDATE handoffs SET pack = '{}', address = '',
    consent = CASE WHEN consent IS NOT NULL THEN '{}'::jsonb END,
    reason = CASE WHEN reason = ANY($2) THEN reason ELSE '' END,
    ended_why = CASE WHEN state = 'accepted' THEN ended_why ELSE '' END
WHERE case_id = ANY($1)
"""
_DROP_DELIVERIES: Final = """
UPDATE deliveries SET state = 'dropped', ended_at = $2
WHERE case_id = ANY($1) AND state IN ('pending', 'held')
"""
# What is being called right now must still read as what it is once the call returns.
_DELIVERIES: Final = """
UPDATE deliveries SET error = '', provider_id = '', payload =
    (SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(payload)
        WHERE key = ANY($2))
    || CASE WHEN effect IN ('reply', 'follow_up') THEN jsonb_build_object('text', '', 'recipient',
        jsonb_build_object('scheme', payload -> 'recipient' -> 'scheme', 'value', ''))
       ELSE jsonb_build_object('data', jsonb_build_object('case_id', case_id)) END
WHERE case_id = ANY($1)
"""
_BLANK_MESSAGE: Final = """
UPDATE messages SET subject = '', text = '',
    author = CASE WHEN $3 AND direction = 'in' THEN '' ELSE author END,
    provider_id = CASE WHEN $3 THEN '' ELSE provider_id END,
    data = (SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(data)
        WHERE key = ANY($2)) || '{"forgotten": true}'
"""
_MESSAGES_OF_CASES: Final = f"{_BLANK_MESSAGE} WHERE case_id = ANY($1)"
_MESSAGES: Final = f"{_BLANK_MESSAGE} WHERE id = ANY($1)"
_WITH_BLOBS: Final = "data ?| ARRAY['attachments', 'text_blob', 'html_blob', 'raw_blob']"
_BLOBS: Final = "jsonb_array_elements_text(jsonb_path_query_array({}, '$.**.ref')) AS ref"
_REFS: Final = f"""
SELECT {_BLOBS.format("data")} FROM messages WHERE case_id = ANY($1) AND {_WITH_BLOBS}
UNION SELECT {_BLOBS.format("files")} FROM results WHERE case_id = ANY($1) AND files <> '[]'
UNION SELECT file -> 'blob' ->> 'ref' FROM uploads WHERE case_id = ANY($1)
"""  # noqa: S608 - our own text
_REFS_OF_MESSAGES: Final = f"""
SELECT DISTINCT {_BLOBS.format("data")} FROM messages WHERE id = ANY($1) AND {_WITH_BLOBS}
"""  # noqa: S608 - our own text

_PACKS_THERE: Final = """
UPDATE handoffs SET pack = pack - ARRAY['asked', 'conversation', 'files', 'subject']
WHERE case_id = ANY($1)
"""
# What an endpoint said of it may repeat it.
_TOLD_THERE: Final = """
WITH told AS (DELETE FROM feed WHERE message_id = ANY($2) RETURNING event_id),
sent AS (SELECT id FROM deliveries WHERE case_id = ANY($1)
    AND event_id IN (SELECT event_id FROM told))
UPDATE attempts SET response = '', error = '' WHERE delivery_id IN (SELECT id FROM sent)
"""
_DECISIONS_THERE: Final = """
UPDATE decisions SET data = decisions.data || '{"inputs": {}}' FROM case_events
WHERE case_events.case_id = ANY($1) AND decisions.case_id = case_events.case_id
    AND decisions.version = case_events.version
    AND (case_events.data ->> 'message_id')::uuid = ANY($2)
"""

# --- people --------------------------------------------------------------------------------------

_CLAIMS: Final = """
DELETE FROM identity_claims WHERE customer_id = ANY($1) OR (scheme, value) IN (
    SELECT * FROM unnest($2::text[], $3::text[]))
"""
_CONFLICTS: Final = """
DELETE FROM identity_conflicts WHERE customer_id = ANY($1) OR other_id = ANY($1)
    OR (scheme, value) IN (SELECT * FROM unnest($2::text[], $3::text[]))
"""
_MERGES: Final = """
UPDATE merges SET reason = '', preimage =
    '{"winner": {}, "loser": {}, "identities": [], "cases": {}, "took": {}}'
WHERE winner = ANY($1) OR loser = ANY($1)
"""
_CUSTOMERS: Final = """
UPDATE customers SET name = '', language = '', grp = '', erased_at = $2,
    version = version + 1
WHERE id = ANY($1) AND erased_at IS NULL
"""
