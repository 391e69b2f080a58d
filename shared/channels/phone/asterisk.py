"""Asterisk's events, posted as they came: ARI's JSON, or AMI's fields as a JSON object. Pure.

Sources: docs.asterisk.org, "Asterisk REST Interface: Events" and "AMI Events". Of AMI the one event
that tells a whole call is `Cdr` (cdr_manager.conf); ARI tells of each channel by itself, and by
`Dial` how the ringing of another one ended. A poster may add `from`, `to` and `recording_url`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from shared.channels.phone.call import (
    Told,
    call_id,
    earliest,
    international,
    keys,
    recording,
    time_of,
)
from shared.channels.phone.cti_events import Post
from shared.channels.phone.outcomes import Fact
from shared.channels.phone.voice import region_of, voice_of
from shared.channels.wire import mapping_at, text_at
from shared.numbers import to_e164

_VOICEMAIL: Final = frozenset({"voicemail", "voicemailmain"})


def is_event(body: Mapping[str, Any]) -> bool:
    return isinstance(body.get("Event"), str) or (
        isinstance(body.get("type"), str)
        and any(name in body for name in ("application", "asterisk_id", "channel", "recording"))
    )


def read(post: Post) -> tuple[Told, Fact]:
    """Raises Unreadable where it is of no call."""
    told, stated = _ami(post) if "Event" in post.body else _ari(post)
    return told, _among_us(told, stated, post)


def _ami(post: Post) -> tuple[Told, Fact]:
    event = post.text("Event")
    if event == "Cdr":
        return _told(post, post.text("UniqueID", "Uniqueid"), "Source", "Destination"), _cdr(post)
    own, first = post.text("Uniqueid", "UniqueID"), post.text("Linkedid", "DestLinkedid")
    told = _told(post, first or own, "CallerIDNum", "Exten")
    if event == "DialEnd":
        return told, "answered" if post.text("DialStatus") == "ANSWER" else "silent"
    if event == "Hangup":
        # The end of the caller's own channel; the telephones that rang end by themselves.
        return told, "over" if not first or first == own else "silent"
    return told, "silent"


def _cdr(post: Post) -> Fact:
    if post.text("Disposition") != "ANSWERED":
        return "gone"
    if post.text("LastApplication").lower() in _VOICEMAIL:
        return "left"
    # Answered by a menu alone, nobody was spoken to.
    return "answered" if post.text("DestinationChannel") else "over"


def _ari(post: Post) -> tuple[Told, Fact]:
    kind = post.text("type")
    file = mapping_at(post.body, "recording")
    if kind == "RecordingFinished":
        id = text_at(file, "target_uri").removeprefix("channel:")
        length = text_at(file, "duration").partition(".")[0]
        seconds = int(length) if length.isascii() and length.isdigit() and len(length) < 8 else 0
        told = _told(post, id, "from", "to", recorded=seconds)
        short = "duration" in file and seconds < voice_of(post.account).shortest_voicemail
        return told, "nothing_left" if short else "left"
    channel = mapping_at(post.body, "caller" if kind == "Dial" else "channel")
    caller = mapping_at(channel, "caller")
    named = {
        "number": text_at(caller, "number"),
        "exten": text_at(mapping_at(channel, "dialplan"), "exten"),
    }
    told = _told(
        post, text_at(channel, "id") or kind, "from", "to", named, name=text_at(caller, "name")
    )
    if kind == "Dial":
        return told, "answered" if post.text("dialstatus") == "ANSWER" else "silent"
    return told, "over" if kind == "ChannelDestroyed" else "silent"


def _told(
    post: Post,
    id: str,
    caller: str,
    called: str,
    named: Mapping[str, str] | None = None,
    **more: Any,
) -> Told:
    theirs, ours = post.number(caller), post.number(called)
    if named is not None:
        theirs = theirs if theirs is not None else international(named["number"])
        ours = ours if ours is not None else international(named["exten"])
    times = ("timestamp", "Timestamp", "StartTime")
    details: dict[str, Any] = {
        "name": post.text("CallerIDName", "CallerID"),
        "talked": post.seconds("BillableSeconds") or 0,
        **more,
    }
    return Told(
        id=call_id(id or post.text("Event", "type")),
        theirs=theirs,
        ours=ours or "",
        occurred_at=earliest(post.received_at, *(time_of(post.text(name)) for name in times)),
        received_at=post.received_at,
        raw=post.body,
        digits=keys(post.text("digits")),
        recording=recording(
            post.text("recording_url"), text_at(post.body.get("recording"), "name")
        ),
        **details,
    )


def _among_us(told: Told, stated: Fact, post: Post) -> Fact:
    """Nothing where no customer called: an extension of the house, a telephone of the desk."""
    region = region_of(post.account)
    house = {str(post.account.settings.get("number", "")), *voice_of(post.account).dial}
    desk = {to_e164(each, region) or each for each in house}
    theirs = (told.theirs or "").strip()
    is_extension = theirs.isdigit() and to_e164(theirs, region) is None and len(theirs) < 7
    inside = is_extension or (to_e164(theirs, region) or theirs) in desk
    return "silent" if inside else stated
