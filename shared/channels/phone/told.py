"""One request of Twilio's or of TeXML, read: which call, who with whom, since when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from shared.channels.phone.call import Told, call_id, earliest, first_of, keys, recording, time_of
from shared.channels.phone.outcomes import Step, outbound, seconds
from shared.errors import Unreadable


def sid_of(form: Mapping[str, str]) -> str:
    """Raises Unreadable when the form names no call."""
    try:
        return call_id(form.get("CallSid", "").strip())
    except Unreadable as error:
        raise Unreadable("the form has no CallSid: it is not about a call") from error


def told_by(
    step: Step, form: Mapping[str, str], carried: Mapping[str, str], received_at: datetime
) -> Told:
    """`carried`: what our own address brings back. Raises Unreadable when the form names no call.

    The signed times are the start of the call, carried in our own addresses, its `Timestamp`, and
    Telnyx's `CallInitiatedAt`.
    """
    caller = form.get("From", carried.get("from"))
    called = form.get("To", carried.get("to"))
    ours, theirs = (caller, called) if outbound(form) else (called, caller)
    times = (carried.get("at", ""), form.get("Timestamp", ""), form.get("CallInitiatedAt", ""))
    pressed = form.get("Digits", "") if step == "code" else carried.get("digits", "")
    return Told(
        id=sid_of(form),
        theirs=theirs,
        ours=ours or "",
        outbound=outbound(form),
        leg=form.get("Direction") == "outbound-dial" or bool(form.get("ParentCallSid")),
        occurred_at=earliest(received_at, *map(time_of, times)),
        received_at=received_at,
        raw=dict(form),
        name=form.get("CallerName", ""),
        digits=keys(pressed),
        talked=first_of(seconds(form, each) for each in ("DialCallDuration", "CallDuration")),
        recorded=seconds(form, "RecordingDuration") or 0,
        recording=recording(form.get("RecordingUrl", ""), form.get("RecordingSid", "")),
        transcript=form.get("TranscriptionText", "") if step == "transcript" else "",
        transcript_id=form.get("TranscriptionSid", ""),
    )
