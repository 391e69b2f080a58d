"""What a page is sent: one line as JSON, and the frames of the event stream. Pure.

Source of the stream's form: WHATWG HTML, section 9.2, "Server-sent events".
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from services.ingest.chat_store import Line
from shared.web import to_json

RETRY_MS: Final = 2_000
HEARTBEAT: Final = b": \n\n"
OPENING: Final = b"retry: %d\n\n" % RETRY_MS


def shown(line: Line) -> dict[str, Any]:
    """`from` is `you`, `agent`, or `system` for what nobody typed."""
    answer = "agent" if line.human else "system"
    item: dict[str, Any] = {
        "n": line.n,
        "id": line.message_id,
        "from": answer if line.out else "you",
        "text": line.text,
        "at": line.at,
    }
    if line.seq is not None:
        item["seq"] = line.seq
    if line.files:
        item["files"] = [
            {"name": f.name, "content_type": f.content_type, "size": f.size} for f in line.files
        ]
    return item


def line_frame(line: Line) -> bytes:
    return b"id: %d\n" % line.n + _frame("line", shown(line))


def read_frame(upto: int) -> bytes:
    return _frame("read", {"upto": upto})


def typing_frame(until: datetime) -> bytes:
    return _frame("typing", {"until": until})


def end_frame() -> bytes:
    """The session is over: a new one begins anew."""
    return _frame("end", {})


def _frame(name: str, data: Any) -> bytes:
    # JSON has no line breaks of its own, so one `data:` line holds all of it.
    return b"event: %s\ndata: %s\n\n" % (name.encode(), to_json(data))
