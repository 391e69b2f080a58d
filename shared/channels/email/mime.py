"""Raw bytes of a mail to what is read in it: one text, the HTML and the files.

Always from bytes, never raising on them.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from shared.channels.email.charsets import codec_of, decode, tidy
from shared.channels.email.files import File, named
from shared.channels.email.headers import Headers, split_head
from shared.channels.email.html import as_html, rendered
from shared.channels.email.parts import (
    Part,
    Tree,
    disposition_of,
    file_of,
    headers_of,
    is_file,
)
from shared.channels.email.repairs import mended
from shared.channels.email.text import choose, unflowed, unmarked
from shared.channels.email.transfer import decoded, without_uuencoded
from shared.errors import Unreadable

__all__ = ["LARGEST", "Mail", "content_ids", "headers_of", "read_mail"]

LARGEST: Final = 35 * 1024 * 1024
MOST_RECIPIENTS: Final = 1_000

_CID: Final = re.compile(r"cid:([^\"'\s>)]{1,250})", re.IGNORECASE)
_HTML: Final = ("<html", "<!doctype html")
_META: Final = re.compile(
    rb"<(?:meta|\?xml)[^>]{0,200}(?:charset|encoding)\s*=\s*[\"']?([\w.:-]+)", re.I
)
_READ: Final = frozenset({
    "text/plain", "text/html", "text/enriched", "text/richtext", "text/markdown", "text/x-markdown",
    "application/xhtml+xml",
})  # fmt: skip
_ANOTHER_FORM: Final = frozenset({"text/x-amp-html", "text/watch-html"})


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
    tree = Tree(raw)
    reader, root = _Reader(), tree.root
    body = reader.whole(root)
    beyond = tree.beyond | reader.beyond | _beyond_recipients(root.headers)
    return Mail(
        headers=root.headers,
        text=body.text.strip(),
        html=body.html,
        files=named(reader.files, content_ids(body.html)),
        type=root.type,
        report=root.parameters.get("report-type", "").lower(),
        repairs=tuple(sorted(reader.repairs | ({"limits"} if beyond else set()))),
        digest=_digest(root.headers, raw),
        beyond=tuple(sorted(beyond)),
    )


def content_ids(html: str) -> set[str]:
    """The Content-IDs that `html` shows: of pictures, mostly."""
    return set(_CID.findall(html))


class _Reader:
    """One mail being read: the files and repairs it gathers, the limits it passes."""

    def __init__(self) -> None:
        self.files: list[File] = []
        self.repairs: set[str] = set()
        self.beyond: set[str] = set()
        self._texts: list[Part] = []  # that have a name, and so are files

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
        if part.type in _READ and not is_file(part, bodily):
            return self._leaf(part)
        if part.type not in _ANOTHER_FORM:
            self.files.append(file_of(part))
            if part.type in ("text/plain", "text/html") and disposition_of(part) != "attachment":
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


def _beyond_recipients(headers: Headers) -> set[str]:
    listed = sum(raw.count(b"@") for name in ("To", "Cc") for raw in headers.all(name))
    return {"recipients"} if listed > MOST_RECIPIENTS else set()


def _sequence(bodies: list[_Body]) -> _Body:
    texts = [body.text.strip("\n") for body in bodies if body.text.strip()]
    if any(body.html for body in bodies):
        shown = (
            body.html or as_html(body.text) for body in bodies if body.html or body.text.strip()
        )
        return _Body("\n\n".join(texts), "\n".join(shown))
    return _Body("\n\n".join(texts))


def _meta_charset(content: bytes) -> str:
    found = _META.search(content[:4096])
    return found[1].decode() if found else ""


def _digest(headers: Headers, raw: bytes) -> str:
    # The trace headers differ from one way of delivery to another and from one copy to the next;
    # without a Message-ID they are all that tells two equal mails apart.
    if not headers.raw("Message-ID"):
        return hashlib.sha256(raw).hexdigest()
    body = split_head(raw)[1].replace(b"\r\n", b"\n").rstrip()
    said = b"\n".join(headers.raw(name) for name in ("From", "Subject", "Date"))
    return hashlib.sha256(said + b"\n\n" + body).hexdigest()
