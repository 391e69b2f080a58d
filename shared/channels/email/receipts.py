"""What became of a mail after its delivery: read receipts and complaints of spam.

Sources: RFC 8098 (disposition notification), RFC 5965 (feedback report). Neither is a word of the
customer's: the first marks our mail as read, the second is kept for people to see.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from shared.channels.email.addresses import addresses
from shared.channels.email.dsn import after_type
from shared.channels.email.files import File
from shared.channels.email.headers import Headers, message_ids, read_headers
from shared.channels.email.mime import Mail
from shared.channels.email.returned import OUR_ID, Original, original_of

_LOOKED_AT: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Receipt:
    """A recipient's program on our mail.

    disposition  RFC 8098's word: `displayed deleted dispatched processed denied failed`; empty
                 where the receipt lost it
    """

    disposition: str = ""
    recipient: str = ""
    original: str = ""
    ours: str = ""

    @property
    def read(self) -> bool:
        return self.disposition == "displayed"


@dataclass(frozen=True, slots=True)
class Complaint:
    """A provider's report that somebody marked our mail as spam. `type`: `abuse fraud virus …`"""

    type: str = "abuse"
    recipient: str = ""
    original: str = ""


def read_receipt(mail: Mail, our_domain: str, raw: bytes = b"") -> Receipt | None:
    """The read receipt in a mail; None for a mail that is none."""
    file = _part(mail, "disposition-notification")
    if file is None:
        return Receipt() if mail.report == "disposition-notification" else None
    fields = read_headers(file.content[:_LOOKED_AT])
    said = fields.text("Disposition").partition(";")[2].strip().lower()
    named = next(iter(message_ids(fields.raw("Original-Message-ID"))), "")
    ours = OUR_ID.fullmatch(named)
    found = Original(named, ours[1].lower()) if ours else original_of(mail, our_domain, raw)
    return Receipt(
        disposition=said.partition("/")[0].strip()[:40],
        recipient=_address(fields, "Original-Recipient", "Final-Recipient"),
        original=named or found.message_id,
        ours=found.ours if named in ("", found.message_id) and _at_ours(found, our_domain) else "",
    )


def read_complaint(mail: Mail, our_domain: str, raw: bytes = b"") -> Complaint | None:
    """The complaint in a mail; None for a mail that is none."""
    file = _part(mail, "feedback-report")
    if file is None:
        return Complaint() if mail.report == "feedback-report" else None
    fields = read_headers(file.content[:_LOOKED_AT])
    return Complaint(
        type=fields.text("Feedback-Type").strip().lower()[:40] or "abuse",
        recipient=_address(fields, "Original-Rcpt-To", "Removal-Recipient"),
        original=original_of(mail, our_domain, raw).message_id,
    )


def _part(mail: Mail, kind: str) -> File | None:
    return next((file for file in mail.files if file.content_type == f"message/{kind}"), None)


def _at_ours(found: Original, our_domain: str) -> bool:
    return bool(our_domain) and found.message_id.lower().endswith(f"@{our_domain}>")


def _address(fields: Headers, *names: str) -> str:
    for name in names:
        if found := addresses(after_type(fields.text(name)).encode()):
            return found[0].value
    return ""
