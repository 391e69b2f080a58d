"""A mail that Mailgun has taken apart into form fields, put together again as far as it goes."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Final

from shared.channels.email.files import File, named
from shared.channels.email.form import Field, Form
from shared.channels.email.headers import Headers, parameters, read_headers
from shared.channels.email.html import html_to_text
from shared.channels.email.mime import Mail, content_ids
from shared.channels.email.text import choose
from shared.errors import Unreadable

# Older posts have the headers as fields of their own.
_HEADERS: Final = (
    "From", "Sender", "Reply-To", "To", "Cc", "Subject", "Date", "Message-Id", "In-Reply-To",
    "References", "Auto-Submitted", "Precedence", "List-Id", "Delivered-To", "X-Failed-Recipients",
)  # fmt: skip


def mail_from_form(form: Form) -> Mail:
    """The mail in a parsed post. Raises Unreadable where it holds neither sender nor text."""
    plain, html = form.text("body-plain"), form.text("body-html")
    headers = _headers(form)
    if not (plain or html or headers.fields or form.has("stripped-text")):
        raise Unreadable(
            "the form is no mail: it has none of body-mime, body-plain, body-html and from"
        )
    rendered = html_to_text(html)
    kind, given = parameters(headers.raw("Content-Type"))
    return Mail(
        headers=headers,
        text=(choose(plain, rendered) if html else plain or form.text("stripped-text")).strip(),
        html=html,
        files=named(_files(form), content_ids(html)),
        type=kind or "text/plain",
        report=given.get("report-type", "").lower(),
        digest=_digest(headers, plain, html, form.files),
    )


def _headers(form: Form) -> Headers:
    pairs = _listed(form.text("message-headers"))
    if not pairs:
        pairs = [(name, form.text(name)) for name in _HEADERS if form.has(name)]
    present = {name.lower() for name, _ in pairs}
    for name in ("From", "Subject"):
        if name.lower() not in present and form.text(name.lower()):
            pairs.append((name, form.text(name.lower())))
    lines = (f"{name}: {' '.join(value.split())}" for name, value in pairs)
    return read_headers("\n".join(lines).encode("utf-8", "replace"))


def _listed(text: str) -> list[tuple[str, str]]:
    try:
        found: Any = json.loads(text) if text else []
    except (ValueError, RecursionError):
        return []
    return [
        (pair[0], pair[1])
        for pair in (found if isinstance(found, list) else [])
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


def _digest(headers: Headers, plain: str, html: str, files: tuple[Field, ...]) -> str:
    # Not of the whole form: a repeat may come with another token and timestamp.
    said = [headers.raw(name) for name in ("From", "Subject", "Date")]
    bodies = [plain.encode(), html.encode(), *(field.content for field in files)]
    return hashlib.sha256(b"\x1f".join([*said, *bodies])).hexdigest()
