"""From a mail to the events it holds: the same for the webhook and for the SMTP listener.

What a mail says of itself is its sender's word: who wrote it (`asserted`, unless a mail server we
trust vouches for the domain), when, and whom it answers. Its receipt is ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from shared.accounts import Account
from shared.blobs import blob_for
from shared.channels import NewBlob, Parsed
from shared.channels.bodies import keep
from shared.channels.email.addresses import (
    Address,
    author_in,
    domain_of,
    is_address,
    own_address,
    recipients_of,
    sender_of,
)
from shared.channels.email.authentication import is_proven
from shared.channels.email.automatic import Nature, is_form, is_machine, nature_of
from shared.channels.email.display import display_html
from shared.channels.email.headers import Headers, date_of, message_ids
from shared.channels.email.html_quotes import reply_view
from shared.channels.email.mime import Mail, read_mail
from shared.channels.email.reports import statuses_of, told
from shared.channels.email.tokens import bounced_in, reply_secrets, tag_in, token_in
from shared.events import (
    Attachment,
    Authentication,
    Blob,
    Identity,
    MessageReceived,
    Sender,
    Thread,
)
from shared.ids import event_id

_MOST_RECIPIENTS: Final = 50  # of To and Cc, kept to be shown
_MOST_REFERENCES: Final = 50
_LONGEST_SUBJECT: Final = 1_000
# Who else a mail was for, before a forwarding server rewrote its envelope.
_DELIVERED: Final = ("Delivered-To", "X-Original-To", "X-Forwarded-To", "To", "Cc")


@dataclass(frozen=True, slots=True)
class Envelope:
    """How a mail came to us, which the mail itself cannot say.

    sender       empty for the null sender `<>`, None where it is not known
    recipients   the addresses of ours it was delivered to
    event_id     what the provider calls this mail, the same in its repeats; empty where it has none
    """

    account: Account
    received_at: datetime
    sender: str | None = None
    recipients: Sequence[str] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    event_id: str = ""


def message_from_mime(
    raw: bytes,
    account: Account,
    envelope_sender: str | None,
    envelope_recipients: Sequence[str],
    received_at: datetime,
    attributes: Mapping[str, Any] | None = None,
) -> Parsed:
    """The message in `raw`, its files and its raw bytes; for a bounce of our own mail also the
    failed status of what we sent. Raises Unreadable when `raw` is empty or over 35 MB.

    `attributes` are added to the message's own.
    """
    envelope = Envelope(
        account, received_at, envelope_sender, envelope_recipients, attributes or {}
    )
    return message_from_mail(read_mail(raw), raw, envelope)


def message_from_mail(mail: Mail, raw: bytes, envelope: Envelope) -> Parsed:
    """The same from a mail already read; `raw` is what is kept of it."""
    our_domain = domain_of(own_address(envelope.account))
    nature = _nature(mail, raw, envelope)
    text = keep(mail.text)
    html = display_html(mail.html, mail.files).encode()
    kept = [raw, *(file.content for file in mail.files), *([html] if html else [])]
    blobs = {(blob := blob_for(content)).ref: NewBlob(blob.ref, content) for content in kept}
    provider_event_id = envelope.event_id or _provider_event_id(mail)
    message = MessageReceived(
        id=event_id(envelope.account.name, provider_event_id, nature.kind),
        account=envelope.account.name,
        channel="email",
        kind=nature.kind,
        provider_event_id=provider_event_id,
        sender=_sender(mail.headers, envelope),
        occurred_at=envelope.received_at,
        received_at=envelope.received_at,
        recipient=_recipient(envelope),
        subject=mail.headers.text("Subject")[:_LONGEST_SUBJECT],
        text=text.text,
        reply_text=keep(reply_view(mail.text, mail.headers.text("Subject"), mail.html)).text,
        thread=_thread(mail, nature, envelope),
        attachments=tuple(_attachments(mail)),
        automatic=nature.automatic,
        shared_sender=_is_shared(mail.headers, our_domain),
        attributes={
            **_attributes(mail, nature, domain_of(own_address(envelope.account))),
            **envelope.attributes,
        },
        text_blob=text.blob,
        html_blob=blob_for(html) if html else None,
        raw_blob=blob_for(raw),
    )
    statuses = statuses_of(message, nature)
    return Parsed((message,), statuses, blobs=(*blobs.values(), *text.new))


def _provider_event_id(mail: Mail) -> str:
    # The same Message-ID around another body is another message: ids are chosen by senders.
    return f"{_message_id(mail)}#{mail.digest[:16]}"


def _message_id(mail: Mail) -> str:
    found = message_ids(mail.headers.raw("Message-ID"))
    return found[0] if found else f"<{mail.digest[:40]}@no-message-id.invalid>"


def _sender(headers: Headers, envelope: Envelope) -> Sender:
    our_domain = domain_of(own_address(envelope.account))
    author = _author(headers, our_domain)
    proven: Authentication = "asserted"
    if author is None and is_address((envelope.sender or "").lower()):
        author = Address("", (envelope.sender or "").lower())
    elif not is_form(headers, our_domain) and is_proven(headers, _trusted(envelope.account)):
        proven = "proven"
    if author is None:
        return Sender(identities=(), authentication="asserted")
    identity = Identity(scheme="email", value=author.value)
    return Sender(identities=(identity,), authentication=proven, name=author.name)


def _author(headers: Headers, our_domain: str) -> Address | None:
    form = is_form(headers, our_domain)
    return author_in(headers.raw("Reply-To")) if form else sender_of(headers)


def _is_shared(headers: Headers, our_domain: str) -> bool:
    # Everybody's parcel notice comes from one no-reply address: it is nobody's conversation.
    author = _author(headers, our_domain)
    return author is not None and is_machine(author.value)


def _trusted(account: Account) -> Sequence[str]:
    named = account.settings.get("trusted_authserv", ())
    return [named] if isinstance(named, str) else [str(name) for name in named or ()]


def _recipient(envelope: Envelope) -> str:
    return next(iter(envelope.recipients), "").strip().lower() or own_address(envelope.account)


def _nature(mail: Mail, raw: bytes, envelope: Envelope) -> Nature:
    """As it reads; and where a bounce came to the return address of one of our mails, that one."""
    account = envelope.account
    own = own_address(account)
    nature = nature_of(mail, envelope.sender, domain_of(own), raw)
    if nature.report is None or nature.report.ours:
        return nature
    ours = bounced_in(_addressed(mail, envelope), own, reply_secrets(account))
    original = f"<regie.{ours}@{domain_of(own)}>"
    return (
        replace(nature, report=replace(nature.report, ours=ours, original=original))
        if ours
        else nature
    )


def _thread(mail: Mail, nature: Nature, envelope: Envelope) -> Thread:
    headers, account = mail.headers, envelope.account
    about = nature.report or nature.receipt or nature.complaint
    nearest = [
        *([about.original] if about and about.original else []),
        *message_ids(b" ".join(headers.all("In-Reply-To"))),
        *reversed(message_ids(b" ".join(headers.all("References")))),
    ]
    own = _message_id(mail)
    secrets = reply_secrets(account)
    return Thread(
        message_id=own,
        references=tuple(_distinct(each for each in nearest if each != own)),
        token=token_in(_addressed(mail, envelope), own_address(account), secrets),
        tag=tag_in(headers.text("Subject"), own_address(account), secrets),
    )


def _addressed(mail: Mail, envelope: Envelope) -> Sequence[str]:
    """Everybody it was for, the envelope's own recipients first."""
    return (*envelope.recipients, *recipients_of(mail.headers, *_DELIVERED))


def _distinct(references: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(references))[:_MOST_REFERENCES]


def _attachments(mail: Mail) -> Iterable[Attachment]:
    for file in mail.files:
        blob: Blob = blob_for(file.content)
        yield Attachment(
            name=file.name,
            content_type=file.content_type,
            size=blob.size,
            blob=blob,
            content_id=file.content_id[:250],
            inline=file.inline,
            sha256=blob.sha256,
        )


def _attributes(mail: Mail, nature: Nature, our_domain: str) -> dict[str, Any]:
    """What is worth showing or routing on, and has no field of its own; only what is there."""
    headers = mail.headers
    written, sender = date_of(headers), sender_of(headers)
    calendar = next(
        (file.parameters.get("method", "PUBLISH").upper() for file in mail.files
         if file.content_type == "text/calendar"), "",
    )  # fmt: skip
    found = {
        "to": recipients_of(headers, "To")[:_MOST_RECIPIENTS],
        "cc": recipients_of(headers, "Cc")[:_MOST_RECIPIENTS],
        "reply_to": recipients_of(headers, "Reply-To")[:1],
        "form": sender.value if sender and is_form(headers, our_domain) else "",
        "date": written.isoformat() if written else "",
        "calendar": calendar[:20],
        "automatic": list(nature.reasons),
        "charset_fallback": "charset" in mail.repairs,
        "truncated": "limits" in mail.repairs,
        "limits": list(mail.beyond),
        **told(nature),
    }
    return {name: value for name, value in found.items() if value}
