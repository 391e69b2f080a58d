"""Raw bytes of a mail to its parts: a tree, then one readable text, the HTML and the files.

Always from bytes, never raising on them. Multiparts are split here and not by the standard
library: it has no bound on depth (a mail nested a thousand deep exhausts it), and it takes an
attached mail apart, which must stay as it came.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Final

from shared.channels.email.charsets import codec_of, decode, tidy
from shared.channels.email.files import File, named
from shared.channels.email.headers import (
    Headers,
    has_known_field,
    parameters,
    read_headers,
    split_head,
)
from shared.channels.email.html import as_html, rendered
from shared.channels.email.multipart import opens_multipart, pieces
from shared.channels.email.repairs import mended
from shared.channels.email.text import choose, unflowed, unmarked
from shared.channels.email.transfer import decoded, without_uuencoded
from shared.errors import Unreadable

LARGEST: Final = 35 * 1024 * 1024
MOST_PARTS: Final = 100
DEEPEST: Final = 20
MOST_RECIPIENTS: Final = 1_000

_TYPE: Final = re.compile(r"[a-z0-9!#$&^_.+-]{1,100}/[a-z0-9!#$&^_.+-]{1,100}")
_CID: Final = re.compile(r"cid:([^\"'\s>)]{1,250})", re.IGNORECASE)
_HTML: Final = ("<html", "<!doctype html")
_META: Final = re.compile(
    rb"<(?:meta|\?xml)[^>]{0,200}(?:charset|encoding)\s*=\s*[\"']?([\w.:-]+)", re.I
)
_READ: Final = frozenset({
    "text/plain", "text/html", "text/enriched", "text/richtext", "text/markdown", "text/x-markdown",
    "application/xhtml+xml",
})  # fmt: skip
_PART_FIELD: Final = re.compile(rb"Content-(?:Type|Transfer-Encoding|Disposition)[ \t]*:", re.I)
_ANOTHER_FORM: Final = frozenset({"text/x-amp-html", "text/watch-html"})


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


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail as read.

    type, report   the root's Content-Type, and its `report-type`
    repairs        what had to be mended or left out: `charset`, `limits`
    beyond         the limits that were passed: `parts depth headers html recipients`
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
    beyond: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Body:
    """What is read of a subtree: its text, and its HTML where it has any."""

    text: str = ""
    html: str = ""


def read_mail(raw: bytes) -> Mail:
    """The mail in `raw`. Raises Unreadable when it is empty or over 35 MB, for nothing else."""
    if len(raw) > LARGEST:
        raise Unreadable(f"the mail has {len(raw)} bytes; at most {LARGEST} are read")
    raw = mended(raw)
    if not raw.strip():
        raise Unreadable("the mail is empty")
    reader = _Reader()
    root = reader.part(raw, depth=0)
    body = reader.whole(root)
    reader.count_recipients(root.headers)
    return Mail(
        headers=root.headers,
        text=body.text.strip(),
        html=body.html,
        files=named(reader.files, content_ids(body.html)),
        type=root.type,
        report=root.parameters.get("report-type", "").lower(),
        repairs=tuple(sorted(reader.repairs | ({"limits"} if reader.beyond else set()))),
        digest=_digest(root.headers, raw),
        beyond=tuple(sorted(reader.beyond)),
    )


def headers_of(raw: bytes) -> Headers:
    """Only the header block of a mail, or of the piece of one that a bounce brings back."""
    return read_headers(split_head(mended(raw[: 512 * 1024]))[0])


def content_ids(html: str) -> set[str]:
    """The Content-IDs that `html` shows: of pictures, mostly."""
    return set(_CID.findall(html))


class _Reader:
    """One mail being read: the bounds it has used up, the files and repairs it gathers."""

    def __init__(self) -> None:
        self.files: list[File] = []
        self.repairs: set[str] = set()
        self.beyond: set[str] = set()
        self._parts = 0
        self._texts: list[Part] = []  # that have a name, and so are files

    # --- the tree --------------------------------------------------------------------------

    def part(self, raw: bytes, depth: int, default: str = "text/plain") -> Part:
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
            part.children.append(self.part(raw, depth + 1, default))
        if not part.children:  # no delimiter stands in it: better shown than lost
            part.type, part.body = "text/plain", cut.around

    # --- what is read of it ----------------------------------------------------------------

    def whole(self, root: Part) -> _Body:
        """The mail's text. Where it has none, the first file that could be it, or what stands
        around its parts."""
        body = self.body(root, bodily=True)
        if body.text.strip() or body.html:
            return body
        if self._texts:
            return self._leaf(self._texts[0])
        return body if self.files else _Body(tidy(decode(root.around).text))

    def body(self, part: Part, bodily: bool = False) -> _Body:
        """The text below `part`; what is no text joins `files`, in document order.

        bodily  a text here is the mail's own, even where it has a name
        """
        if part.type == "multipart/alternative":
            return self._alternative([self.body(child, bodily=True) for child in part.children])
        if part.children:
            first = part.type == "multipart/related"
            children = enumerate(part.children)
            return _sequence([self.body(each, first and not at) for at, each in children])
        if part.type in _READ and not _is_file(part, bodily):
            return self._leaf(part)
        if part.type not in _ANOTHER_FORM:
            self.files.append(_file(part))
            if part.type in ("text/plain", "text/html") and _disposition(part) != "attachment":
                self._texts.append(part)
        return _Body()

    def _alternative(self, bodies: list[_Body]) -> _Body:
        html = next((body.html for body in reversed(bodies) if body.html), "")
        plain = next((body.text for body in bodies if body.text.strip() and not body.html), "")
        rich = next((body.text for body in reversed(bodies) if body.html), "")
        return _Body(choose(plain, rich), html)

    def _leaf(self, part: Part) -> _Body:
        content = decoded(part.body, part.encoding)
        declared = part.parameters.get("charset", "")
        if part.type.endswith("html") and codec_of(declared) is None:
            declared = _meta_charset(content) or declared
        text, guessed = decode(content, declared)
        if guessed:
            self.repairs.add("charset")
        if part.type.endswith(("html", "xml")) or text.lstrip()[:15].lower().startswith(_HTML):
            return self._html(text)
        if part.type in ("text/enriched", "text/richtext"):
            return _Body(unmarked(text))
        if part.parameters.get("format", "").lower() == "flowed":
            return _Body(unflowed(text, part.parameters.get("delsp", "").lower() == "yes"))
        text, files = without_uuencoded(text)
        self.files += [File(name, "application/octet-stream", found) for name, found in files]
        return _Body(text)

    def _html(self, html: str) -> _Body:
        text, cut = rendered(html)
        if cut:
            self.beyond.add("html")
        return _Body(text, html)

    def count_recipients(self, headers: Headers) -> None:
        listed = (raw.count(b"@") for name in ("To", "Cc") for raw in headers.all(name))
        if sum(listed) > MOST_RECIPIENTS:
            self.beyond.add("recipients")


def _sequence(bodies: list[_Body]) -> _Body:
    texts = [body.text.strip("\n") for body in bodies if body.text.strip()]
    if any(body.html for body in bodies):
        shown = (
            body.html or as_html(body.text) for body in bodies if body.html or body.text.strip()
        )
        return _Body("\n\n".join(texts), "\n".join(shown))
    return _Body("\n\n".join(texts))


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


def _meta_charset(content: bytes) -> str:
    found = _META.search(content[:4096])
    return found[1].decode() if found else ""


def _disposition(part: Part) -> str:
    return parameters(part.headers.raw("Content-Disposition"))[0]


def _is_file(part: Part, bodily: bool) -> bool:
    raw = part.headers.raw("Content-Disposition")
    disposition, given = parameters(raw) if raw else ("", {})
    if disposition == "attachment":
        return True
    return not bodily and bool(given.get("filename") or part.parameters.get("name"))


def _file(part: Part) -> File:
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


def _digest(headers: Headers, raw: bytes) -> str:
    # The trace headers differ from one way of delivery to another and from one copy to the next;
    # without a Message-ID they are all that tells two equal mails apart.
    if not headers.raw("Message-ID"):
        return hashlib.sha256(raw).hexdigest()
    body = split_head(raw)[1].replace(b"\r\n", b"\n").rstrip()
    said = b"\n".join(headers.raw(name) for name in ("From", "Subject", "Date"))
    return hashlib.sha256(said + b"\n\n" + body).hexdigest()
