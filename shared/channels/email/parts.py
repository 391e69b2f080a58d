"""A mail's tree of parts, within bounds on their number and depth.

Not by the standard library: it has no bound on depth (a mail nested a thousand deep exhausts it),
and it takes an attached mail apart, which must stay as it came.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from shared.channels.email.files import File
from shared.channels.email.headers import (
    Headers,
    has_known_field,
    parameters,
    read_headers,
    split_head,
)
from shared.channels.email.multipart import opens_multipart, pieces
from shared.channels.email.repairs import mended
from shared.channels.email.transfer import decoded

MOST_PARTS: Final = 100
DEEPEST: Final = 20

_TYPE: Final = re.compile(r"[a-z0-9!#$&^_.+-]{1,100}/[a-z0-9!#$&^_.+-]{1,100}")
_PART_FIELD: Final = re.compile(rb"Content-(?:Type|Transfer-Encoding|Disposition)[ \t]*:", re.I)


@dataclass(slots=True)
class Part:
    """One node of the tree. `body` is still transfer-encoded; `children` only of a multipart,
    `around` what stands outside all of them."""

    headers: Headers
    body: bytes
    type: str
    parameters: dict[str, str]
    children: list[Part] = field(default_factory=list)
    around: bytes = b""

    @property
    def encoding(self) -> str:
        return self.headers.text("Content-Transfer-Encoding")


class Tree:
    """The parts of one mail.

    beyond  the limits that it passes: `parts depth headers`
    """

    def __init__(self, raw: bytes) -> None:
        self.beyond: set[str] = set()
        self._parts = 0
        self.root = self._part(raw, depth=0)

    def _part(self, raw: bytes, depth: int, default: str = "text/plain") -> Part:
        head, body = _head(raw, depth, default)
        headers = read_headers(head)
        if headers.cut:
            self.beyond.add("headers")
        part = Part(headers, body, *_type(headers, body, default))
        self._parts += 1
        if part.type.startswith("multipart/"):
            self._split(part, depth)
        elif part.type.startswith("text/") and (boundary := _unsaid(part, depth)):
            part.type, part.parameters["boundary"] = "multipart/mixed", boundary
            self._split(part, depth)
        return part

    def _split(self, part: Part, depth: int) -> None:
        if depth >= DEEPEST:
            part.type = "application/octet-stream"
            self.beyond.add("depth")
            return
        boundary = part.parameters.get("boundary", "")
        cut = pieces(part.body, boundary)
        if not cut.parts and part.encoding:
            # No multipart may be encoded as a whole; some are.
            cut = pieces(decoded(part.body, part.encoding), boundary)
        part.around = cut.around
        default = "message/rfc822" if part.type == "multipart/digest" else "text/plain"
        for raw in cut.parts:
            if self._parts >= MOST_PARTS:
                self.beyond.add("parts")
                return
            part.children.append(self._part(raw, depth + 1, default))
        if not part.children:  # no delimiter stands in it: better shown than lost
            part.type, part.body = "text/plain", cut.around


def headers_of(raw: bytes) -> Headers:
    """Only the header block of a mail, or of the piece of one that a bounce brings back."""
    return read_headers(split_head(mended(raw[: 512 * 1024]))[0])


def _head(raw: bytes, depth: int, default: str) -> tuple[bytes, bytes]:
    head, body = split_head(raw)
    if depth == 0:
        # A text in whose first line a colon stands has no headers because of that.
        return (head, body) if has_known_field(head) else (b"", raw)
    if not head and default == "text/plain" and _PART_FIELD.match(body):
        return split_head(body)  # an empty line before the fields of a part
    return head, body


def _type(headers: Headers, body: bytes, default: str) -> tuple[str, dict[str, str]]:
    """The content type, and its parameters. Of several the first that can be, but a multipart
    whose boundary stands in the body before all."""
    read = [parameters(raw) for raw in headers.all("Content-Type")[:5]]
    for kind, given in read[1:]:
        boundary = given.get("boundary", "")
        if kind.startswith("multipart/") and boundary and f"--{boundary}".encode() in body:
            return kind, given
    for kind, given in read:
        if _TYPE.fullmatch(kind):
            return kind, given
    kind, given = read[0] if read else ("", {})
    return _nearest(kind, given, default), given


def _nearest(kind: str, given: dict[str, str], default: str) -> str:
    main = kind.partition("/")[0]
    if "html" in kind:
        return "text/html"
    if main == "multipart":
        return "multipart/mixed"
    if main in ("image", "audio", "video", "application") or (kind and given.get("name")):
        return "application/octet-stream"
    return default


def _unsaid(part: Part, depth: int) -> str:
    """The boundary of a part that is a multipart although its type says text."""
    given = part.parameters.get("boundary", "")
    if given and f"--{given}".encode() in part.body:
        return given
    if depth or part.headers.has("Content-Type"):
        return ""
    return opens_multipart(part.body).decode("latin-1")


def disposition_of(part: Part) -> str:
    """`attachment`, `inline`, or empty where it does not say."""
    return parameters(part.headers.raw("Content-Disposition"))[0]


def is_file(part: Part, bodily: bool) -> bool:
    """Whether a part of text is a file. `bodily`: where it stands, a name does not make it one."""
    raw = part.headers.raw("Content-Disposition")
    disposition, given = parameters(raw) if raw else ("", {})
    if disposition == "attachment":
        return True
    return not bodily and bool(given.get("filename") or part.parameters.get("name"))


def file_of(part: Part) -> File:
    """The part as a file, its content decoded, its name as it was given."""
    disposition, given = parameters(part.headers.raw("Content-Disposition"))
    name = given.get("filename") or given.get("name") or part.parameters.get("name", "")
    name = name or part.parameters.get("filename", "") or part.headers.text("Content-Location")
    content = decoded(part.body, part.encoding)
    if part.type == "message/rfc822" and not name:
        subject = re.sub(r"[/\\\\]", "_", headers_of(content).text("Subject")[:100])
        name = f"{subject or 'message'}.eml"
    return File(
        name=name,
        content_type=part.type,
        content=content,
        content_id=part.headers.text("Content-ID").strip("<> "),
        inline=disposition == "inline",
        parameters=part.parameters,
    )
