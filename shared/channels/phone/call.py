"""What a provider's request says of one call, in words of ours: the input of `items`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

from shared.errors import Unreadable
from shared.events import Attachment

LONGEST_ID: Final = 200  # Telnyx's are about 100 characters
_LONGEST_URL: Final = 2000
_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)  # an older time is a clock that was never set
_SECONDS: Final = re.compile(r"[0-9]{9,12}(?:\.[0-9]{1,9})?", re.ASCII)
_BARE: Final = re.compile(r"[1-9][0-9]{6,14}", re.ASCII)
_KEYS: Final = re.compile(r"[^0-9*#]", re.ASCII)
_TYPES: Final = {".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".wav": "audio/wav"}


@dataclass(frozen=True, slots=True)
class Told:
    """What one request says of a call. Lengths in seconds, 0 where it names none.

    theirs       the customer's side as the provider writes it; None where it is not named
    ours         our own line
    occurred_at  the earliest signed time of the call, never after the request was received
    leg          it is about one telephone of ours that was made to ring
    digits       what the caller keyed in when asked for a code
    talked       how long they spoke; recorded: how long the recording is
    words        what they said of their matter; asked: attributes of a call asked for
    """

    id: str
    theirs: str | None
    ours: str
    occurred_at: datetime
    received_at: datetime
    raw: Any
    outbound: bool = False
    leg: bool = False
    name: str = ""
    digits: str = ""
    talked: int = 0
    recorded: int = 0
    recording: Attachment | None = None
    transcript: str = ""
    transcript_id: str = ""
    words: str = ""
    asked: Mapping[str, str] = field(default_factory=dict)


def call_id(text: str) -> str:
    """`text` as a call's id. Raises Unreadable where it can be none."""
    if not text or len(text) > LONGEST_ID:
        raise Unreadable("it names no call by an id of at most 200 characters")
    return text


def international(number: str) -> str:
    """`number` with its plus, of a provider that leaves it out (Vonage, sipgate: 31612345678)."""
    bare = number.strip()
    return f"+{bare}" if _BARE.fullmatch(bare) else number


def keys(pressed: str) -> str:
    """What was keyed in, and nothing else: `123456789`."""
    return _KEYS.sub("", pressed)[:32]


def earliest(received_at: datetime, *times: datetime | None) -> datetime:
    """When it occurred: the earliest of the signed times, never after the receipt."""
    return min([received_at, *(time for time in times if time is not None)])


def time_of(text: str) -> datetime | None:
    """A time as providers write it: RFC 3339, RFC 2822, or Unix seconds; None for none of them."""
    for read in (_unix, datetime.fromisoformat, parsedate_to_datetime):
        try:
            at = read(text.strip())
            at = (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        return at if at >= _EARLIEST else None
    return None


def between(start: str, end: str) -> int:
    """Whole seconds from one time to the other; 0 where they are none."""
    first, last = time_of(start), time_of(end)
    return max(int((last - first).total_seconds()), 0) if first and last else 0


def recording(url: str, media_id: str = "", content_type: str = "") -> Attachment | None:
    """A recording that is still with the provider; None where `url` is no web address."""
    if len(url) > _LONGEST_URL or not _is_web_address(url):
        return None
    path = urlsplit(url).path.lower()
    ending = next((each for each in _TYPES if path.endswith(each)), "")
    kind = _TYPES.get(ending) or content_type or "audio/wav"
    name = next((each for each, type in _TYPES.items() if type == kind), "")
    return Attachment(name=f"voicemail{name}", content_type=kind, url=url, media_id=media_id)


def first_of(values: Iterable[int | None]) -> int:
    """The first length that is one."""
    return next((value for value in values if value), 0)


def _unix(text: str) -> datetime:
    if not _SECONDS.fullmatch(text):
        raise ValueError("no Unix time")
    return datetime.fromtimestamp(float(text), UTC)


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False
