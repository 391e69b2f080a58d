"""One request of Twilio's, read: which call, who with whom, since when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from shared.channels import WebhookRequest
from shared.channels.phone.outcomes import outbound
from shared.channels.wire import clean_text
from shared.errors import Unreadable

_LONGEST_ID: Final = 100
_LATEST: Final = 253_402_300_799  # the last second of the year 9999


@dataclass(frozen=True, slots=True)
class Told:
    """What a request says of a call, whatever its step.

    theirs       the customer's side as Twilio writes it; None where the request does not name it
    ours         our own line
    occurred_at  the earliest signed time of the call, never after the request was received
    leg          it is about one telephone of ours that was made to ring (`outbound-dial`)
    """

    sid: str
    form: Mapping[str, str]
    theirs: str | None
    ours: str
    outbound: bool
    leg: bool
    occurred_at: datetime
    received_at: datetime


def told_by(request: WebhookRequest, form: Mapping[str, str]) -> Told:
    """Raises Unreadable when the form names no call."""
    sid = form.get("CallSid", "").strip()
    if not sid or len(sid) > _LONGEST_ID:
        raise Unreadable("the form has no CallSid: it is not about a call")
    query = {name: clean_text(value) for name, value in request.query}
    caller = form.get("From", query.get("from"))
    called = form.get("To", query.get("to"))
    ours, theirs = (caller, called) if outbound(form) else (called, caller)
    return Told(
        sid=sid,
        form=form,
        theirs=theirs,
        ours=ours or "",
        outbound=outbound(form),
        leg=form.get("Direction") == "outbound-dial",
        occurred_at=min((request.received_at, *_times(form, query))),
        received_at=request.received_at,
    )


def _times(form: Mapping[str, str], query: Mapping[str, str]) -> Iterator[datetime]:
    """The times that are signed: the start, carried in our own addresses, and `Timestamp`."""
    start = query.get("at", "")
    if start.isascii() and start.isdigit() and len(start) < 13 and int(start) <= _LATEST:
        yield datetime.fromtimestamp(int(start), UTC)
    try:
        at = parsedate_to_datetime(form.get("Timestamp", ""))
        yield (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return  # absent, or no date in RFC 2822
