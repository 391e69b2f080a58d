"""Of a bounce, what came back: the Message-ID of the mail it is about, and whether that was ours.

Servers return the mail as a part of its own, as its headers alone, or copied under their words;
some only quote a line of it, or name it in References.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from shared.channels.email.addresses import domain_of
from shared.channels.email.files import File
from shared.channels.email.headers import Headers, message_ids, read_headers
from shared.channels.email.mime import Mail, headers_of

# The Message-ID of what we send (compose.py): the message's own id, at the account's domain. With
# `notice.` before it, it went to our own people.
OUR_ID: Final = re.compile(
    r"<regie\.(?:notice\.)?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})@([a-z0-9.-]{1,253})>",
    re.IGNORECASE,
)
_COPIED: Final = re.compile(
    r"^[ \t>]*(?:X-)?(?:Original-)?Message-ID:[ \t]*\n?[ \t>]*(<[^<>\s]{3,300}>)",
    re.IGNORECASE | re.MULTILINE,
)
_NAMED: Final = (
    "X-Original-Message-ID", "Original-Message-ID", "X-Failed-Message-ID", "X-Original-MessageID",
)  # fmt: skip
_LOOKED_AT: Final = 256 * 1024


class Original(NamedTuple):
    """The returned mail: its Message-ID, and our own id of it where we sent it."""

    message_id: str = ""
    ours: str = ""


def original_of(mail: Mail, our_domain: str, raw: bytes = b"") -> Original:
    """`raw`: the mail as it came; our id is looked for in all of it, wherever a server put it."""
    ids = list(dict.fromkeys(_ids(mail)))
    readable = f"{' '.join(ids)} {mail.text[:_LOOKED_AT]}"
    for text in (readable, _plain(raw)):
        for found in OUR_ID.finditer(text):
            if our_domain and domain_of(found[0].strip("<>")) == our_domain:
                return Original(found[0], found[1].lower())
    return Original(ids[0] if ids else "")


def is_returned(file: File) -> bool:
    """Whether it is a mail, or the head of one, inside the bounce."""
    return file.content_type in (
        "message/rfc822", "text/rfc822-headers", "text/rfc822-header", "message/global",
        "message/global-headers", "message/partial", "message/rfc822-headers", "text/rfc822",
    )  # fmt: skip


def _ids(mail: Mail) -> Iterator[str]:
    for file in filter(is_returned, mail.files):
        yield from message_ids(headers_of(file.content).raw("Message-ID"))
    for file in mail.files:
        if file.content_type.startswith(("message/", "text/")) and not is_returned(file):
            yield from _named_in(read_headers(file.content[:8192]))
    yield from _named_in(mail.headers)
    yield from (found[1] for found in _COPIED.finditer(mail.text[:_LOOKED_AT]))
    for name in ("In-Reply-To", "References"):
        yield from message_ids(b" ".join(mail.headers.all(name)))


def _named_in(headers: Headers) -> Iterator[str]:
    for name in _NAMED:
        yield from message_ids(headers.raw(name))


def _plain(raw: bytes) -> str:
    # Quoted-printable breaks an id over two lines; all else about it is ASCII.
    joined = re.sub(rb"=\r?\n", b"", raw[: 4 * _LOOKED_AT]) if b"egie." in raw else b""
    return joined.replace(b"=3D", b"=").decode("latin-1")
