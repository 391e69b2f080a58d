"""The small JSON of an exchange, and the forms of sipgate and Placetel, which are like it. Pure.

Sources: docs/channels/phone.md ("Any other exchange"), developer.sipgate.io/push-api, and Placetel,
"Call Control-/Notify-API".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from shared.accounts import Account
from shared.channels.phone.call import (
    Told,
    call_id,
    earliest,
    international,
    keys,
    recording,
    time_of,
)
from shared.channels.phone.outcomes import Fact
from shared.channels.phone.voice import Voice, region_of
from shared.channels.wire import text_at
from shared.errors import Unreadable
from shared.numbers import to_e164

# Each event and what it is, whatever it is called.
EVENTS: Final[Mapping[str, str]] = {
    "newcall": "ringing", "ringing": "ringing", "dtmf": "ringing", "answered": "ringing",
    "answer": "answer", "hangup": "ended", "ended": "ended", "missed": "missed",
    "voicemail": "voicemail", "transcript": "transcript",
    "callback_requested": "callback", "callback.requested": "callback",
    "incomingcall": "ringing", "outgoingcall": "ringing", "callaccepted": "answer",
    "hungup": "hungup",
}  # fmt: skip
# Placetel tells with a call's end how it went; of the rest nobody of ours need ring back.
_HUNG_UP: Final[Mapping[str, Fact]] = {
    "accepted": "answered", "voicemail": "left", "missed": "gone", "blocked": "silent",
}  # fmt: skip
_LONGEST_TEXT: Final = 2000
_YES: Final = frozenset({"true", "1", "yes"})


@dataclass(frozen=True, slots=True)
class Post:
    """What an exchange posted, to which line of ours, when."""

    body: dict[str, Any]
    account: Account
    received_at: datetime

    def text(self, *names: str) -> str:
        """The first of these fields that says something."""
        return next((found for name in names if (found := text_at(self.body, name))), "")

    def seconds(self, *names: str) -> int | None:
        whole = self.text(*names).partition(".")[0]
        return int(whole) if whole.isascii() and whole.isdigit() and len(whole) < 8 else None

    def number(self, name: str) -> str | None:
        """A party as it stands, with its plus; None where it is not named."""
        return international(text_at(self.body, name)) if name in self.body else None

    @property
    def outgoing(self) -> bool:
        said = self.text("direction").lower()
        if said or self.text("event") == "OutgoingCall":
            return said in ("out", "outbound", "outgoing", "")
        return self._is_ours("from") and not self._is_ours("to")

    def _is_ours(self, name: str) -> bool:
        number = to_e164(self.number(name) or "", region_of(self.account))
        return number is not None and number == self.account.settings.get("number")


def id_of(body: Mapping[str, Any]) -> str:
    """The call's id; a call that was passed on keeps its first one."""
    names = ("origCallId", "call_id", "callId", "callid")
    return next((found for name in names if (found := text_at(body, name))), "")


def read(post: Post, voice: Voice) -> tuple[Told, Fact]:
    """Raises Unreadable where it names no call, or a call back to no number."""
    what = EVENTS[post.text("event").lower()]
    if what == "callback":
        return _callback(post), "asked"
    caller, called = post.number("from"), post.number("to")
    ours, theirs = (caller, called) if post.outgoing else (called, caller)
    length = post.seconds("duration") or 0
    told = Told(
        id=call_id(id_of(post.body)),
        theirs=theirs,
        ours=ours or "",
        occurred_at=earliest(post.received_at, time_of(post.text("at", "timestamp"))),
        received_at=post.received_at,
        raw=post.body,
        outbound=post.outgoing,
        name=post.text("name"),
        digits=keys(post.text("digits")),
        talked=length,
        recorded=length,
        recording=recording(post.text("recording_url"), post.text("recording_id")),
        transcript=post.text("transcript") if not post.outgoing else "",
        transcript_id=f"{id_of(post.body)} transcript",
    )
    return told, _outbound(what, post) if post.outgoing else _fact(what, post, voice)


def _fact(what: str, post: Post, voice: Voice) -> Fact:
    if what == "answer":
        # sipgate's own voicemail picks up under this name, and keeps what it hears.
        return "left" if post.text("user") == "voicemail" else "answered"
    if what == "missed":
        return "gone"
    if what == "hungup":
        return _HUNG_UP.get(post.text("type"), "over")
    if what == "ended":
        return "answered" if _was_answered(post) else "over"
    if what == "transcript":
        return "transcribed" if post.text("transcript") else "silent"
    if what == "voicemail":
        length = post.seconds("duration")
        short = length is not None and length < voice.shortest_voicemail
        return "nothing_left" if short else "left"
    return "ringing"


def _outbound(what: str, post: Post) -> Fact:
    """A call of ours: it counts once somebody was reached."""
    accepted = what == "hungup" and post.text("type") == "accepted"
    reached = accepted or what == "answer" or (what == "ended" and _was_answered(post))
    return "reached" if reached else "silent"


def _was_answered(post: Post) -> bool:
    """By its word, or by its length where it gives none."""
    said = str(post.body.get("answered", "")).lower()
    return said in _YES if said else bool(post.seconds("duration"))


def _callback(post: Post) -> Told:
    """A call asked for, by a form or another machine: it needs no call before it."""
    written = post.text("phone", "from")
    number = to_e164(international(written), region_of(post.account))
    if number is None:
        raise Unreadable("a call back needs `phone`: a telephone number with its country")
    wanted, topic = post.text("preferred", "preferred_window"), post.text("topic", "text")
    # The same wish twice on a day is one; who asks again next week asks anew.
    day = post.received_at.date().isoformat()
    return Told(
        id=call_id(id_of(post.body) or f"callback {number} {(wanted or day)[:100]}"),
        theirs=number,
        ours=post.number("to") or "",
        occurred_at=earliest(post.received_at, time_of(post.text("at", "timestamp"))),
        received_at=post.received_at,
        raw=post.body,
        name=post.text("name"),
        digits=keys(post.text("digits")),
        words=topic[:_LONGEST_TEXT],
        asked={"preferred": wanted[:200]} if wanted else {},
    )
