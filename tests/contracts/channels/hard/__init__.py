"""Mails that are wrong in one way each, built here, and what must be read in them.

A row's name says what is wrong with it. What it leaves out is as in a mail that nothing is wrong
with: From Jan, the subject `Vraag`, no files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

Expected = tuple[str, str, bytes]
FROM = b"From: Jan Jansen <jan@example.net>"
SUBJECT = b"Subject: Vraag"


@dataclass(frozen=True)
class Hard:
    """One mail, and what is to be read.

    files    (name, content type, content) of each
    inline   the names of those that the HTML shows
    beyond   the limits that it passes
    guessed  the declared charset was wrong
    """

    raw: bytes
    text: str = "Hallo"
    sender: str = "jan@example.net"
    name: str = "Jan Jansen"
    subject: str = "Vraag"
    files: Sequence[Expected] = ()
    inline: Sequence[str] = ()
    beyond: Sequence[str] = field(default=())
    guessed: bool = False


def mail(
    body: bytes | str = b"Hallo", *headers: bytes | str, ends: bytes = b"\r\n", start: bytes = b""
) -> bytes:
    """A mail with these further headers; From and Subject are there unless given."""
    given = [header.encode() if isinstance(header, str) else header for header in headers]
    names = {header.partition(b":")[0].strip().lower() for header in given}
    first = [b"" if b"from" in names else FROM, b"" if b"subject" in names else SUBJECT]
    lines = [line for line in (*first, *given) if line]
    content = body.encode() if isinstance(body, str) else body
    return start + ends.join([*lines, b"", content])


def parts(
    *each: bytes | str, boundary: str = "b", close: bool = True, type: str = "mixed"
) -> bytes:
    """A mail of several parts; each is its header lines, an empty line, its content."""
    raw = [part.encode() if isinstance(part, str) else part for part in each]
    body = b"".join(b"--" + boundary.encode() + b"\r\n" + part + b"\r\n" for part in raw)
    end = b"--" + boundary.encode() + b"--\r\n" if close else b""
    return mail(body + end, f'Content-Type: multipart/{type}; boundary="{boundary}"')


def part(content: bytes | str, *headers: bytes | str) -> bytes:
    lines = [header.encode() if isinstance(header, str) else header for header in headers]
    return b"\r\n".join([*lines, b"", content.encode() if isinstance(content, str) else content])
