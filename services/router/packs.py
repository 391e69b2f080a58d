"""The handoff pack: what the receiving side needs, so that nobody asks the customer again.

What was asked, said and promised, what is missing, the files, and the deadline that carries over.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.router.case import FAR, Case
from services.router.models import MessageRow
from services.router.policy import Policy
from shared.database import driver
from shared.events import HandoffOffered

_MOST: Final = 50  # messages a case; who needs older ones reads the timeline
_LONGEST: Final = 2_000
Line = dict[str, Any]


async def conversations(
    connection: AsyncConnection, cases: Sequence[UUID], fresh: Sequence[MessageRow]
) -> Mapping[UUID, list[Line]]:
    """The newest messages of each case in their order; `fresh` are not stored yet."""
    rows = await (await driver(connection)).fetch(
        "SELECT case_id, direction, channel, kind, at, author, text, files FROM ("
        "SELECT case_id, direction, channel, kind, occurred_at AS at, author, "
        "left(text, $2) AS text, data -> 'attachments' AS files, row_number() OVER "
        "(PARTITION BY case_id ORDER BY occurred_at DESC, id DESC) AS n "
        "FROM messages WHERE case_id = ANY($1)) AS newest WHERE n <= $3 ORDER BY at",
        list(cases), _LONGEST, _MOST,
    )  # fmt: skip
    found: dict[UUID, list[Line]] = defaultdict(list)
    for row in rows:
        found[row["case_id"]].append(_line(row))
    for row in fresh:
        if row.case_id in cases:
            found[row.case_id].append(_fresh(row))
    return found


def pack(policy: Policy, case: Case, offer: HandoffOffered, said: Sequence[Line]) -> dict[str, Any]:
    """As it stood when it was offered. Times are UTC."""
    due_at, metric = case.effective_due()
    return {
        "subject": case.subject,
        "asked": case.preview,
        "product": case.product,
        "priority": case.priority,
        "language": case.language,
        "waiting_since": case.waiting_since,
        "due_at": due_at if due_at < FAR else None,
        "due_metric": metric,
        "deadlines": [
            {"metric": d.metric, "state": d.state, "due_at": d.due_at, "words": d.words}
            for d in case.running
        ],
        "promises": [
            {"kind": p.kind, "what": p.what, "due_at": p.due_at, "by": p.by, "state": p.state}
            for p in case.promises
        ],
        "results": [{"name": r.name, "version": r.version, "state": r.state} for r in case.results],
        "missing": _missing(policy, case, offer),
        "conversation": list(said),
        "files": [file for line in said for file in line["files"]],
    }


def _missing(policy: Policy, case: Case, offer: HandoffOffered) -> list[str]:
    """What the receiver will need and nobody has finished: drafts go on where it is."""
    receiver = offer.to_team or offer.from_team
    final = {result.name for result in case.results if result.state == "final"}
    required = policy.required_results(case.product, receiver)
    drafts = [result.name for result in case.results if result.state == "draft"]
    return [name for name in dict.fromkeys((*required, *drafts)) if name not in final]


def _line(row: Any) -> Line:
    return {
        "direction": row["direction"], "channel": row["channel"], "kind": row["kind"],
        "at": row["at"], "author": row["author"], "text": row["text"],
        "files": _files(row["files"]),
    }  # fmt: skip


def _fresh(row: MessageRow) -> Line:
    return {
        "direction": row.direction, "channel": row.channel, "kind": row.kind,
        "at": row.occurred_at, "author": row.author, "text": row.text[:_LONGEST],
        "files": _files(msgspec.json.decode(row.data).get("attachments")),
    }  # fmt: skip


def _files(stored: Any) -> list[dict[str, Any]]:
    """Names and kinds; the content is read at the case, by whoever may."""
    files = msgspec.json.decode(stored) if isinstance(stored, str | bytes) else stored
    return [
        {"name": file.get("name", ""), "content_type": file.get("content_type", ""),
         "size": file.get("size")}
        for file in files or ()
    ]  # fmt: skip
