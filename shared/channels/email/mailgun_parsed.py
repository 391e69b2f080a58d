"""A mail that Mailgun has taken apart into form fields, put together again as far as it goes."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from shared.channels.email.assembled import assembled, completed, written
from shared.channels.email.files import File
from shared.channels.email.form import Form
from shared.channels.email.headers import Headers
from shared.channels.email.mime import Mail
from shared.channels.media import remote
from shared.channels.wire import clean, text_at
from shared.errors import Unreadable
from shared.events import Attachment

_MOST_FILES: Final = 100

# Older posts have the headers as fields of their own.
_HEADERS: Final = (
    "From", "Sender", "Reply-To", "To", "Cc", "Subject", "Date", "Message-Id", "In-Reply-To",
    "References", "Auto-Submitted", "Precedence", "List-Id", "Delivered-To", "X-Failed-Recipients",
)  # fmt: skip


def mail_from_form(form: Form) -> Mail:
    """The mail in a parsed post. Raises Unreadable where it holds no sender, text or file."""
    plain, html = form.text("body-plain"), form.text("body-html")
    headers = _headers(form)
    said = plain or html or headers.fields or form.has("stripped-text")
    files = _files(form)
    if not (said or files):
        raise Unreadable(
            "the form is no mail: it has none of body-mime, body-plain, body-html and from"
        )
    return assembled(headers, plain, html, files, form.text("stripped-text"))


def stored_files(form: Form) -> tuple[Attachment, ...]:
    """The files that a route's `store()` kept at Mailgun: the post only names them."""
    found = [
        remote(text_at(each, "url"), text_at(each, "content-type"), name=text_at(each, "name"))
        for each in _parsed_list(form.text("attachments"))[:_MOST_FILES]
    ]
    return tuple(file for file in found if file is not None)


def _parsed_list(text: str) -> list[Any]:
    try:
        found: Any = clean(json.loads(text)) if text else []
    except (ValueError, RecursionError, Unreadable):
        return []
    return found if isinstance(found, list) else []


def _headers(form: Form) -> Headers:
    pairs = _listed(form.text("message-headers"))
    if not pairs:
        pairs = [(name, form.text(name)) for name in _HEADERS if form.has(name)]
    said = [(name, form.text(name.lower())) for name in ("From", "Subject")]
    return completed(written(pairs), said)


def _listed(text: str) -> list[tuple[str, str]]:
    return [
        (pair[0], pair[1])
        for pair in _parsed_list(text)
        if isinstance(pair, list) and len(pair) == 2 and all(isinstance(v, str) for v in pair)
    ]


def _files(form: Form) -> list[File]:
    ids = _content_ids(form.text("content-id-map"))
    return [
        File(
            name=field.file_name,
            content_type=field.content_type or "application/octet-stream",
            content=field.content,
            content_id=ids.get(field.name, ""),
            parameters=dict(field.parameters),
        )
        for field in form.files
        if re.fullmatch(r"attachment-\d+", field.name)
    ]


def _content_ids(text: str) -> dict[str, str]:
    # {"<its Content-ID>": "attachment-1", …}
    try:
        found: Any = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: cid.strip("<> ") for cid, name in found.items() if isinstance(name, str)}
