"""Postmark's inbound JSON: the mail whole in `RawEmail`, or taken apart into fields.

Source: postmarkapp.com/developer, "Inbound webhook" and "Parse an email" (2026). Its test button
posts attachments with `Data` where real ones have `Content`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from shared.channels.email.addresses import addresses, domain_of
from shared.channels.email.assembled import assembled, completed, written
from shared.channels.email.charsets import tidy
from shared.channels.email.files import File
from shared.channels.email.handed import Handed
from shared.channels.email.headers import Headers, parameters
from shared.channels.email.mime import Mail, read_mail
from shared.channels.email.transfer import decoded
from shared.channels.wire import list_at, text_at
from shared.errors import Unreadable

# The address of a server at Postmark itself, to which mail servers forward ours.
_POSTMARKS: Final = "inbound.postmarkapp.com"
_PLAIN: Final = (("Reply-To", "ReplyTo"), ("Subject", "Subject"), ("Date", "Date"))
_PEOPLE: Final = (("From", "From"), ("To", "To"), ("Cc", "Cc"))
_SHOWN: Final = {"X-Spam-Score": "spam_score", "Received-SPF": "spf"}


def handed_in(document: Mapping[str, Any], body: bytes) -> Handed:
    """The mail in an inbound webhook. Raises Unreadable where there is none."""
    headers = _headers(document)
    mail, raw = _mail(document, headers, body)
    recipient = _only(text_at(document, "OriginalRecipient"))
    return Handed(
        mail,
        raw,
        recipients=[recipient] if recipient and domain_of(recipient) != _POSTMARKS else None,
        named=[each for name in ("ToFull", "CcFull", "BccFull") for each in _full(document, name)],
        sender=_return_path(headers),
        extension=text_at(document, "MailboxHash"),
        event_id=text_at(document, "MessageID")[:100],
        attributes=dict(_told(headers)),
    )


def _mail(document: Mapping[str, Any], headers: Headers, body: bytes) -> tuple[Mail, bytes]:
    """The mail, and the bytes that are kept of it: the raw mail, or the JSON as it was posted."""
    whole = document.get("RawEmail")
    if isinstance(whole, str):
        with suppress(Unreadable):  # empty, or larger than we read: the fields hold it as well
            return read_mail(raw := whole.encode()), raw
    return _from_fields(document, headers), body


def _from_fields(document: Mapping[str, Any], headers: Headers) -> Mail:
    plain, html = _text(document, "TextBody"), _text(document, "HtmlBody")
    files = list(_files(document))
    people = ((name, _people(document, field)) for name, field in _PEOPLE)
    rest = ((name, text_at(document, field)) for name, field in _PLAIN)
    headers = completed(completed(headers, people), rest)
    if not (plain or html or headers.fields or files):
        raise Unreadable("the JSON is no mail: it has none of RawEmail, From, TextBody and Headers")
    return assembled(headers, plain, html, files, _text(document, "StrippedTextReply"))


def _headers(document: Mapping[str, Any]) -> Headers:
    pairs = ((text_at(each, "Name"), each) for each in list_at(document, "Headers"))
    return written((name, text_at(each, "Value")) for name, each in pairs if name)


def _text(document: Mapping[str, Any], name: str) -> str:
    return tidy(text_at(document, name))


def _people(document: Mapping[str, Any], field: str) -> str:
    """As a header has them. `FromFull` is an object, the others are lists of such."""
    full = document.get(f"{field}Full")
    listed = full if isinstance(full, list) else [full]
    shown = [_shown(each) for each in listed if text_at(each, "Email")]
    return ", ".join(shown) or text_at(document, field)


def _shown(person: Any) -> str:
    name = " ".join(text_at(person, "Name").replace("\\", "").replace('"', "").split())
    return f'"{name}" <{text_at(person, "Email")}>' if name else text_at(person, "Email")


def _full(document: Mapping[str, Any], name: str) -> Iterable[str]:
    return [_only(text_at(each, "Email")) for each in list_at(document, name)]


def _only(text: str) -> str:
    found = addresses(text.encode("utf-8", "replace"))
    return found[0].value if found else ""


def _return_path(headers: Headers) -> str | None:
    # Postmark writes the topmost one; those below came with the mail.
    if not headers.has("Return-Path"):
        return None
    return headers.text("Return-Path").strip("<> ").lower()


def _told(headers: Headers) -> Iterable[tuple[str, str]]:
    for name, attribute in _SHOWN.items():
        if said := headers.text(name):
            yield attribute, said.partition(" ")[0][:100].lower()


def _files(document: Mapping[str, Any]) -> Iterable[File]:
    for each in list_at(document, "Attachments"):
        if not isinstance(each, dict):
            continue
        kind, given = parameters(text_at(each, "ContentType").encode("utf-8", "replace"))
        content = text_at(each, "Content") or text_at(each, "Data")
        yield File(
            name=text_at(each, "Name"),
            content_type=kind or "application/octet-stream",
            content=decoded(content.encode(), "base64"),
            content_id=text_at(each, "ContentID").strip("<> "),
            parameters=given,
        )
