"""SendGrid's form around a mail: the mail whole, or taken apart into fields.

Source: twilio.com/docs/sendgrid, "Configure the inbound parse webhook" (2026). Each text field is
in the charset of the part it was taken from; `charsets` names them, and the form itself does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from shared.channels.email.addresses import addresses, recipients_of
from shared.channels.email.assembled import assembled, completed
from shared.channels.email.charsets import decode
from shared.channels.email.files import File
from shared.channels.email.form import Field, Form
from shared.channels.email.handed import Handed
from shared.channels.email.headers import parameters, read_headers
from shared.channels.email.mime import Mail, read_mail
from shared.channels.wire import list_at, load, mapping_at, text_at
from shared.errors import Unreadable

_ATTACHMENT: Final = re.compile(r"attachment\d+")
_HEADERS: Final = ("From", "To", "Cc", "Subject")
_SHOWN: Final = {"SPF": "spf", "dkim": "dkim", "spam_score": "spam_score"}
_NAMED: Final = ("To", "Cc", "Delivered-To", "X-Original-To", "X-Forwarded-To")


def handed_in(form: Form, body: bytes) -> Handed:
    """The mail in a post of Inbound Parse. Raises Unreadable where there is none."""
    mail, raw = _mail(form, body)
    envelope = _json(form, "envelope")
    sender = envelope.get("from")
    return Handed(
        mail,
        raw,
        recipients=_recipients(envelope),
        named=recipients_of(mail.headers, *_NAMED),
        sender=sender.strip("<> ").lower() if isinstance(sender, str) else None,
        attributes=dict(_told(form)),
    )


def _mail(form: Form, body: bytes) -> tuple[Mail, bytes]:
    """The mail, and the bytes that are kept of it: the raw mail, or the form as it was posted."""
    if raw := form.content("email"):
        return read_mail(raw), raw
    return mail_from_form(form), body


def mail_from_form(form: Form) -> Mail:
    """The mail in a parsed post. Raises Unreadable where it holds nothing of one."""
    charsets = _json(form, "charsets")
    plain, html = _text(form, "text", charsets), _text(form, "html", charsets)
    files = _files(form)
    headers = completed(
        read_headers(form.content("headers") or b""),
        ((name, _text(form, name.lower(), charsets)) for name in _HEADERS),
    )
    if not (plain or html or headers.fields or files):
        raise Unreadable("the form is no mail: it has none of email, headers, text, html and from")
    return assembled(headers, plain, html, files)


def _text(form: Form, name: str, charsets: Mapping[str, Any]) -> str:
    return decode(form.content(name) or b"", text_at(charsets, name) or "utf-8").text


def _recipients(envelope: Mapping[str, Any]) -> Sequence[str] | None:
    given = [*list_at(envelope, "to"), text_at(envelope, "to")]
    found = [each.value for to in given if isinstance(to, str) for each in _addresses(to)]
    return found if "to" in envelope else None


def _addresses(text: str) -> Iterable[Any]:
    return addresses(text.encode("utf-8", "replace"))


def _told(form: Form) -> Iterable[tuple[str, str]]:
    for field, name in _SHOWN.items():
        if said := form.text(field).strip():
            yield name, said[:500]


def _files(form: Form) -> list[File]:
    # By their fields, never by their names or Content-IDs: several may have the same, or none.
    info, ids = _json(form, "attachment-info"), _json(form, "content-ids")
    by_field = {name: cid for cid, name in ids.items() if isinstance(name, str)}
    return [
        _file(field, mapping_at(info, field.name), by_field.get(field.name, ""))
        for field in form.fields
        if _ATTACHMENT.fullmatch(field.name)
    ]


def _file(field: Field, told: Mapping[str, Any], content_id: str) -> File:
    kind, given = parameters(text_at(told, "type").encode("utf-8", "replace"))
    return File(
        name=field.file_name or text_at(told, "filename") or text_at(told, "name"),
        content_type=kind or field.content_type or "application/octet-stream",
        content=field.content,
        content_id=(text_at(told, "content-id") or content_id).strip("<> "),
        parameters={**field.parameters, **given},
    )


def _json(form: Form, name: str) -> Mapping[str, Any]:
    """The object in a field; an empty one where it holds none."""
    try:
        found = load(form.text(name).encode()) if form.has(name) else {}
    except Unreadable:
        return {}
    return found if isinstance(found, dict) else {}
