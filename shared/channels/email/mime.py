"""Raw bytes of a mail to its parts: a tree, then one readable text, the HTML and the files.

Always from bytes, never raising on them. Multiparts are split here and not by the standard
library: it has no bound on depth (a mail nested a thousand deep exhausts it), and it takes an
attached mail apart, which must stay as it came.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from shared.channels.email.charsets import decode
from shared.channels.email.files import File, named
from shared.channels.email.headers import Headers, parameters, read_headers, split_head
from shared.channels.email.html import html_to_text
from shared.channels.email.text import choose, unflowed
from shared.channels.email.transfer import decoded, without_uuencoded
from shared.errors import Unreadable

LARGEST: Final = 35 * 1024 * 1024
MOST_PARTS: Final = 100
DEEPEST: Final = 20

_TYPE: Final = re.compile(r"[a-z0-9!#$&^_.+-]{1,100}/[a-z0-9!#$&^_.+-]{1,100}")
_CID: Final = re.compile(r"cid:([^\"'\s>)]{1,250})", re.IGNORECASE)
_HTML: Final = ("<html", "<!doctype html")
_FIRST_DELIMITER: Final = re.compile(rb"(?:\A|\n)--([^\r\n]{1,200})\r?\n")


@dataclass(slots=True)
class Part:
    """One node of the tree. `body` is still transfer-encoded; `children` only of a multipart."""

    headers: Headers
    body: bytes
    type: str
    parameters: dict[str, str]
    children: list[Part] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail as read.

    type, report   the root's Content-Type, and its `report-type`
    repairs        what had to be mended or left out: `charset`, `limits`
    digest         hex, the same for every copy of this mail whichever way it came
    """

    headers: Headers
    text: str = ""
    html: str = ""
    files: tuple[File, ...] = ()
    type: str = "text/plain"
    report: str = ""
    repairs: tuple[str, ...] = ()
    digest: str = ""


@dataclass(frozen=True, slots=True)
class _Body:
    """What is read of a subtree: its text, and its HTML where it has any."""

    text: str = ""
    html: str = ""


def read_mail(raw: bytes) -> Mail:
    """The mail in `raw`. Raises Unreadable when it is empty or over 35 MB, for nothing else."""
    if len(raw) > LARGEST:
        raise Unreadable(f"the mail has {len(raw)} bytes; at most {LARGEST} are read")
    raw = _with_line_ends(raw)
    if not raw.strip():
        raise Unreadable("the mail is empty")
    reader = _Reader()
    root = reader.part(raw, depth=0)
    body = reader.body(root)
    return Mail(
        headers=root.headers,
        text=body.text.strip(),
        html=body.html,
        files=named(reader.files, content_ids(body.html)),
        type=root.type,
        report=root.parameters.get("report-type", "").lower(),
        repairs=tuple(sorted(reader.repairs)),
        digest=_digest(root.headers, raw),
    )


def headers_of(raw: bytes) -> Headers:
    """Only the header block of a mail, or of the piece of one that a bounce brings back."""
    return read_headers(split_head(_with_line_ends(raw[: 512 * 1024]))[0])


def content_ids(html: str) -> set[str]:
    """The Content-IDs that `html` shows: of pictures, mostly."""
    return set(_CID.findall(html))


class _Reader:
    """One mail being read: the bounds it has used up, the files and repairs it gathers."""

    def __init__(self) -> None:
        self.files: list[File] = []
        self.repairs: set[str] = set()
        self._parts = 0

    def part(self, raw: bytes, depth: int, default: str = "text/plain") -> Part:
        head, body = split_head(raw)
        headers = read_headers(head)
        type, given = parameters(headers.raw("Content-Type"))
        if not _TYPE.fullmatch(type):
            type = "text/html" if "html" in type else default
        part = Part(headers, body, type, given)
        self._parts += 1
        if type.startswith("multipart/"):
            self._split(part, depth)
        return part

    def _split(self, part: Part, depth: int) -> None:
        if depth >= DEEPEST:
            part.type = "application/octet-stream"
            self.repairs.add("limits")
            return
        default = "message/rfc822" if part.type == "multipart/digest" else "text/plain"
        for raw in _pieces(part.body, part.parameters.get("boundary", "")):
            if self._parts >= MOST_PARTS:
                self.repairs.add("limits")
                return
            part.children.append(self.part(raw, depth + 1, default))
        if not part.children:
            part.type = "text/plain"  # no delimiter stands in it: better shown than lost

    def body(self, part: Part) -> _Body:
        """The text below `part`; what is no text joins `files`, in document order."""
        if part.type == "multipart/alternative":
            return self._alternative([self.body(child) for child in part.children])
        if part.children:
            return self._sequence([self.body(child) for child in part.children])
        if part.type in ("text/plain", "text/html") and not _is_file(part):
            return self._leaf(part)
        if part.type not in ("text/x-amp-html", "text/watch-html"):
            self.files.append(_file(part))
        return _Body()

    def _alternative(self, bodies: list[_Body]) -> _Body:
        html = next((body.html for body in reversed(bodies) if body.html), "")
        plain = next((body.text for body in bodies if body.text.strip() and not body.html), "")
        rich = next((body.text for body in reversed(bodies) if body.html), "")
        return _Body(choose(plain, rich), html)

    def _sequence(self, bodies: list[_Body]) -> _Body:
        texts = [body.text.strip("\n") for body in bodies if body.text.strip()]
        return _Body("\n\n".join(texts), "\n".join(body.html for body in bodies if body.html))

    def _leaf(self, part: Part) -> _Body:
        content = decoded(part.body, part.headers.text("Content-Transfer-Encoding"))
        text, guessed = decode(content, part.parameters.get("charset", ""))
        if guessed:
            self.repairs.add("charset")
        if part.type == "text/html" or text.lstrip()[:15].lower().startswith(_HTML):
            return _Body(html_to_text(text), text)
        if part.parameters.get("format", "").lower() == "flowed":
            return _Body(unflowed(text, part.parameters.get("delsp", "").lower() == "yes"))
        text, files = without_uuencoded(text)
        self.files += [File(name, "application/octet-stream", found) for name, found in files]
        return _Body(text)


def _pieces(body: bytes, boundary: str) -> Iterator[bytes]:
    """The raw parts of a multipart. A missing boundary is taken from the first line with `--`."""
    delimiter = b"--" + boundary.encode("utf-8", "surrogateescape")
    if not boundary or delimiter not in body:
        found = _FIRST_DELIMITER.search(body)
        if found is None:
            return
        delimiter = b"--" + found[1].rstrip()
    start: int | None = None
    for at, end, last in _delimiters(body, delimiter):
        if start is not None:
            yield body[start:at]
        start = end
        if last:
            return
    if start is not None and body[start:].strip():
        yield body[start:]  # the closing delimiter was lost


def _delimiters(body: bytes, delimiter: bytes) -> Iterator[tuple[int, int, bool]]:
    # Where the line end before it begins, where the next line begins, and whether it closes.
    at = body.find(delimiter)
    while at >= 0:
        newline = body.find(b"\n", at)
        end = len(body) if newline < 0 else newline + 1
        rest = body[at + len(delimiter) : end].strip()
        if rest in (b"", b"--") and (at == 0 or body[at - 1 : at] == b"\n"):
            before = at - 1 - (body[at - 2 : at - 1] == b"\r") if at else 0
            yield max(before, 0), end, rest == b"--"
            at = body.find(delimiter, end)
        else:
            at = body.find(delimiter, at + len(delimiter))


def _is_file(part: Part) -> bool:
    disposition, given = parameters(part.headers.raw("Content-Disposition"))
    return disposition == "attachment" or bool(given.get("filename") or part.parameters.get("name"))


def _file(part: Part) -> File:
    disposition, given = parameters(part.headers.raw("Content-Disposition"))
    name = given.get("filename") or part.parameters.get("name", "")
    content = decoded(part.body, part.headers.text("Content-Transfer-Encoding"))
    if part.type == "message/rfc822" and not name:
        name = f"{headers_of(content).text('Subject')[:100] or 'message'}.eml"
    return File(
        name=name,
        content_type=part.type,
        content=content,
        content_id=part.headers.text("Content-ID").strip("<> "),
        inline=disposition == "inline",
        parameters=part.parameters,
    )


def _with_line_ends(raw: bytes) -> bytes:
    """Lines end in LF or CRLF: old programs end them in CR alone, some gateways double the CR."""
    raw = raw.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
    if b"\n" not in raw:
        return raw.replace(b"\r", b"\n")
    if raw.count(b"\r\r\n") * 2 > raw.count(b"\n"):
        return raw.replace(b"\r\r\n", b"\r\n")
    return raw


def _digest(headers: Headers, raw: bytes) -> str:
    # The trace headers differ from one way of delivery to another and from one copy to the next;
    # without a Message-ID they are all that tells two equal mails apart.
    if not headers.raw("Message-ID"):
        return hashlib.sha256(raw).hexdigest()
    body = split_head(raw)[1].replace(b"\r\n", b"\n").rstrip()
    said = b"\n".join(headers.raw(name) for name in ("From", "Subject", "Date"))
    return hashlib.sha256(said + b"\n\n" + body).hexdigest()
