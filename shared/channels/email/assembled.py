"""A mail that a provider has taken apart, put together again as far as it goes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from shared.channels.email.files import File, named
from shared.channels.email.headers import Headers, parameters, read_headers
from shared.channels.email.html import html_to_text
from shared.channels.email.mime import Mail, content_ids
from shared.channels.email.text import choose


def assembled(
    headers: Headers, plain: str, html: str, files: Sequence[File], stripped: str = ""
) -> Mail:
    """The mail of these pieces.

    stripped  the text without its quotations, for a post that holds no other
    """
    rendered = html_to_text(html)
    kind, given = parameters(headers.raw("Content-Type"))
    return Mail(
        headers=headers,
        text=(choose(plain, rendered) if html else plain or stripped).strip(),
        html=html,
        files=named(files, content_ids(html)),
        type=kind or "text/plain",
        report=given.get("report-type", "").lower(),
        digest=_digest(headers, plain, html, files),
    )


def written(pairs: Iterable[tuple[str, str]]) -> Headers:
    """The headers that are these names and values; what spans lines is one line then."""
    lines = (f"{name}: {' '.join(value.split())}" for name, value in pairs)
    return read_headers("\n".join(lines).encode("utf-8", "replace"))


def completed(headers: Headers, pairs: Iterable[tuple[str, str]]) -> Headers:
    """`headers`, and those of `pairs` that are missing there and not empty."""
    missing = [(name, value) for name, value in pairs if value.strip() and not headers.has(name)]
    return Headers(headers.fields + written(missing).fields) if missing else headers


def _digest(headers: Headers, plain: str, html: str, files: Sequence[File]) -> str:
    # Not of the whole post: a repeat may come with another token and timestamp.
    said = [headers.raw(name) for name in ("From", "Subject", "Date")]
    bodies = [plain.encode(), html.encode(), *(file.content for file in files)]
    return hashlib.sha256(b"\x1f".join([*said, *bodies])).hexdigest()
