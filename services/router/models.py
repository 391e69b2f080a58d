"""The rows the router keeps, with the columns they are written by."""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID


class MessageRow(NamedTuple):
    """One contact, in or out, in the order of the table's columns. `data` is JSON."""

    id: UUID
    case_id: UUID
    customer_id: UUID
    account: str
    channel: str
    direction: str
    kind: str
    state: str
    authentication: str
    author: str
    provider_id: str
    subject: str
    text: str
    marked: str
    occurred_at: datetime
    received_at: datetime
    processed_at: datetime
    data: str


# name -> SQL type, in the order the rows are built in
CASES: Final = {
    "id": "uuid", "customer_id": "uuid", "account": "text", "channel": "text", "subject": "text",
    "preview": "text", "team": "text", "agent": "text", "claim_until": "timestamptz",
    "state": "text", "priority": "smallint", "product": "text", "version": "int", "seq": "int",
    "opened_at": "timestamptz", "closed_at": "timestamptz", "touched_at": "timestamptz",
    "waiting_since": "timestamptz", "answered_at": "timestamptz", "due_at": "timestamptz",
    "due_metric": "text", "at_risk": "text", "reply_window_closes_at": "timestamptz",
    "skills": "jsonb", "parent_id": "uuid", "frozen": "text",
    "hops": "int", "doc": "jsonb",
}  # fmt: skip
DEADLINES: Final = {
    "case_id": "uuid", "number": "int", "metric": "text", "state": "text",
    "started_at": "timestamptz", "due_at": "timestamptz", "warn_at": "timestamptz",
    "at_risk": "text", "team": "text", "channel": "text", "rule": "text",
    "policy_version": "int", "ended_at": "timestamptz", "words": "text",
    "late": "boolean", "priority": "smallint", "agent": "text",
}  # fmt: skip
TIMERS: Final = {"case_id": "uuid", "fire_at": "timestamptz"}
HANDOFFS: Final = {
    "id": "uuid", "case_id": "uuid", "state": "text", "reason": "text", "author": "text",
    "from_team": "text", "to_team": "text", "from_channel": "text", "to_channel": "text",
    "address": "text", "consent": "jsonb", "pack": "jsonb", "offered_at": "timestamptz",
    "expires_at": "timestamptz", "cost": "jsonb",
}  # fmt: skip
PROMISES: Final = (
    "id", "case_id", "customer_id", "kind", "what", "by", "team", "channel", "state", "made_at",
    "due_at", "most", "replaces",
)  # fmt: skip
RESULTS: Final = ("case_id", "name", "version", "state", "author", "at", "data", "files")
CASE_EVENTS: Final = ("case_id", "seq", "version", "type", "at", "actor", "data")
DECISIONS: Final = (
    "id", "case_id", "version", "at", "kind", "rule", "policy_version", "data"
)  # fmt: skip
