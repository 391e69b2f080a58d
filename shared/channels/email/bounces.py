"""Bounces: which mail of ours did not arrive, and whether that is final.

Source: RFC 3464 (delivery status), RFC 3463 (status codes). About half of the bounces seen in
practice carry no such report; then the sender, and our own Message-ID quoted in the text, tell.
`delayed` is news, not failure: the other server goes on trying.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from shared.channels.email.addresses import addresses, domain_of, sender_of
from shared.channels.email.headers import Headers, message_ids, read_headers
from shared.channels.email.mime import Mail, headers_of

# The Message-ID of what we send (smtp.py): the message's own id, at the account's domain.
OUR_ID: Final = re.compile(
    r"<regie\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})@([a-z0-9.-]{1,253})>", re.IGNORECASE
)

_DAEMONS: Final = frozenset({"mailer-daemon", "mail-daemon", "maildaemon", "mailerdaemon"})
_RETURNED: Final = re.compile(
    r"undeliver|undelivered|delivery (?:status|fail|has failed|notification|problem)|returned mail"
    r"|failure notice|mail delivery|could not be delivered|message not delivered|onbestelbaar"
    r"|niet (?:worden )?(?:be|af)geleverd|unzustellbar|nicht zugestellt|non remis|non distribu"
    r"|échec de (?:la )?(?:remise|distribution)|delayed|vertraagd|verzögert|retardé",
    re.IGNORECASE,
)
_DELAYED: Final = re.compile(
    r"delayed|will be retried|will keep trying|not yet been delivered|still being retried"
    r"|temporary (?:problem|failure)|vertraagd|verzögert|retardé|you do not need to resend",
    re.IGNORECASE,
)
_CODE: Final = re.compile(r"\b([45])\.\d{1,3}\.\d{1,3}\b")
_LOOKED_AT: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Report:
    """What a bounce says. Empty where it does not.

    action     RFC 3464's word; only `failed` is final
    recipient  whom it did not reach, in lower case
    original   the Message-ID of the mail it is about
    ours       our own id of that mail, where it is one that we sent
    """

    action: Literal["failed", "delayed", "delivered", "relayed", "expanded"]
    recipient: str = ""
    original: str = ""
    ours: str = ""
    code: str = ""
    reason: str = ""


def read_report(mail: Mail, envelope_sender: str | None, our_domain: str) -> Report | None:
    """The report of a bounce; None for a mail that is none."""
    status = next((f for f in mail.files if f.content_type.endswith("delivery-status")), None)
    if status is None and not _looks_returned(mail, envelope_sender):
        return None
    fields = _fields(status.content) if status else Headers()
    original, ours = _original(mail, our_domain)
    return Report(
        action=_action(fields, mail),
        recipient=_recipient(fields) or _failed_recipient(mail.headers),
        original=original,
        ours=ours,
        code=fields.text("Status").partition(" ")[0] or _code_in(mail.text),
        reason=_after_type(fields.text("Diagnostic-Code"))[:500],
    )


def _looks_returned(mail: Mail, envelope_sender: str | None) -> bool:
    if mail.report in ("disposition-notification", "feedback-report"):
        return False
    sender = sender_of(mail.headers)
    local = sender.value.rpartition("@")[0] if sender else ""
    subject = bool(_RETURNED.search(mail.headers.text("Subject")))
    return (
        mail.report == "delivery-status"
        or mail.headers.has("X-Failed-Recipients")
        or local in _DAEMONS
        or (local == "postmaster" and (subject or envelope_sender == ""))
        or (envelope_sender == "" and subject)
    )


def _fields(status: bytes) -> Headers:
    """Of the per-recipient blocks the gravest; a report may be about several recipients."""
    blocks = [read_headers(block) for block in re.split(rb"\r?\n(?:\r?\n)+", status[:_LOOKED_AT])]
    named = [block for block in blocks if block.has("Action")]
    failed = [block for block in named if block.text("Action").lower().startswith("failed")]
    return next(iter(failed or named or blocks), Headers())


def _action(
    fields: Headers, mail: Mail
) -> Literal["failed", "delayed", "delivered", "relayed", "expanded"]:
    said = fields.text("Action").lower().partition(" ")[0].strip(";")
    if said == "delayed" or fields.text("Status").startswith("4"):
        # A 4.x.x that the server gave up on says `failed`: that word stands above the code.
        return "failed" if said == "failed" else "delayed"
    for known in ("delivered", "relayed", "expanded", "failed"):
        if said == known:
            return known
    spoken = f"{mail.headers.text('Subject')}\n{mail.text[:_LOOKED_AT]}"
    return "delayed" if _DELAYED.search(spoken) else "failed"


def _recipient(fields: Headers) -> str:
    for name in ("Original-Recipient", "Final-Recipient"):
        if found := addresses(_after_type(fields.text(name)).encode()):
            return found[0].value
    return ""


def _failed_recipient(headers: Headers) -> str:
    found = addresses(headers.raw("X-Failed-Recipients"))
    return found[0].value if found else ""


def _after_type(value: str) -> str:
    return value.partition(";")[2].strip() or value


def _original(mail: Mail, our_domain: str) -> tuple[str, str]:
    """The returned mail's Message-ID, and our id in it. Ours is looked for everywhere, because
    half of the servers quote the mail in the text or name it in References only."""
    returned = [
        headers_of(file.content)
        for file in mail.files
        if file.content_type in ("message/rfc822", "text/rfc822-headers", "message/global")
    ]
    ids = [each for headers in returned for each in message_ids(headers.raw("Message-ID"))]
    for name in ("In-Reply-To", "References", "X-Original-Message-ID"):
        ids += [each for raw in mail.headers.all(name) for each in message_ids(raw)]
    for found in OUR_ID.finditer(" ".join(ids) + " " + mail.text[: 4 * _LOOKED_AT]):
        if domain_of(found[0].strip("<>")) == our_domain:
            return found[0], found[1].lower()
    return (ids[0] if ids else ""), ""


def _code_in(text: str) -> str:
    found = _CODE.search(text[:_LOOKED_AT])
    return found[0] if found else ""
