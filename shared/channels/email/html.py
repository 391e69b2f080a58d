"""HTML to readable text, within bounds.

`text <address>` for links, `- ` for lists, `> ` for quotations, a line for each row of a table;
scripts, styles, heads and what is hidden (the preheaders of newsletters) are left out.
"""

from __future__ import annotations

import html
import re
from typing import Final, NamedTuple

from shared.channels.email.charsets import tidy
from shared.channels.email.markup import Tag, tokens
from shared.channels.email.page import Page

LONGEST: Final = 500_000  # characters of HTML that are looked at, embedded pictures not counted
_MOST_TAGS: Final = 50_000
_MOST_LINKS: Final = 5_000
_DEEPEST: Final = 200
_MOST_EMBEDDED: Final = 40_000_000  # characters, with the pictures

_BLOCKS: Final = frozenset({
    "address", "article", "aside", "blockquote", "body", "center", "dd", "details", "dialog",
    "dir", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2",
    "h3", "h4", "h5", "h6", "header", "hgroup", "hr", "legend", "li", "main", "menu", "nav", "ol",
    "option", "p", "pre", "section", "summary", "table", "tbody", "tfoot", "thead", "tr", "ul",
    "caption",
})  # fmt: skip
_SPACED: Final = frozenset({
    "blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "ol", "p", "pre", "table", "ul", "dl",
})  # fmt: skip
_DROPPED: Final = frozenset({
    "applet", "audio", "canvas", "datalist", "head", "iframe", "map", "math", "noembed",
    "noframes", "object", "script", "select", "style", "svg", "template", "title", "video", "xml",
})  # fmt: skip
_VOID: Final = frozenset({
    "area", "base", "basefont", "bgsound", "br", "col", "embed", "frame", "hr", "img", "input",
    "keygen", "link", "meta", "param", "source", "track", "wbr",
})  # fmt: skip
_IN_HEAD: Final = frozenset({
    "base", "head", "html", "link", "meta", "noscript", "object", "script", "style", "template",
    "title", "xml",
})  # fmt: skip
_HIDDEN: Final = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|(?<!-)(?:max-)?height\s*:\s*0(?![.\d])"
    r"(?:px)?\s*(?:!important\s*)?;.{0,400}overflow\s*:\s*hidden",
    re.IGNORECASE | re.DOTALL,
)
_DATA_URL: Final = re.compile(r"data:[a-z]+/[^\"'\s>]*+", re.IGNORECASE)
_SHOWN: Final = ("http://", "https://", "mailto:", "tel:", "ftp://", "sms:")
# What newsletters put behind their preheader, so that nothing of the text is shown with it.
_FILLER: Final = re.compile("(?:[\u034f\u00ad\u200b-\u200d\u2060\u2007\ufeff][\\s\u00a0]*+){4,}+")


class Rendered(NamedTuple):
    """`cut`: the HTML was longer, or had more tags, than is looked at."""

    text: str
    cut: bool


def html_to_text(markup: str) -> str:
    """The text of `markup`, of its first 500,000 characters at most. Never raises."""
    return rendered(markup).text


def rendered(markup: str) -> Rendered:
    """The same, and whether that is all of it."""
    bare = markup[:_MOST_EMBEDDED]
    if len(bare) > 2_000:
        bare = _DATA_URL.sub("data:", bare)
    cut = len(bare) > LONGEST or len(markup) > _MOST_EMBEDDED
    reader = _Reader()
    for token in tokens(bare[:LONGEST]):
        reader.take(token)
    text = reader.page.text()
    if not text and (reader.hid or cut):
        # All of it hidden, or behind a tag that never closed: better its remains than nothing.
        text = _remains(bare[:LONGEST])
    text = _FILLER.sub(" ", tidy(text))
    return Rendered(text.strip("\n"), cut or reader.tags > _MOST_TAGS)


def _remains(markup: str) -> str:
    pieces = [token for token in tokens(markup) if isinstance(token, str)]
    return " ".join(" ".join(pieces).split())


class _Reader:
    """Takes tags and text in order; what they make stands on `page`."""

    def __init__(self) -> None:
        self.page = Page()
        self.tags = 0
        self.hid = False  # whether any text was left out
        self._open: list[str] = []
        self._hidden_from = 0  # depth of the element that hides all within it; 0 for none
        self._quotes: list[bool] = []  # an open blockquote: whether it is a quotation
        self._numbers: list[int] = []  # an open list: its next number, 0 for bullets
        self._links: list[tuple[str, list[str]]] = []  # an open link: its target, what it shows
        self._link_count = 0
        self._preformatted = 0

    def take(self, token: Tag | str) -> None:
        if isinstance(token, str):
            self._text(token)
            return
        self.tags += 1
        if self.tags > _MOST_TAGS:
            self.page.write(" ")  # the text behind is shown, its structure is not
        elif token.closing:
            self._close(token.name)
        else:
            self._start(token)

    def _text(self, text: str) -> None:
        if self._hidden_from:
            self.hid = self.hid or not text.isspace()
            if self._open[self._hidden_from - 1] != "head" or text.isspace():
                return
            self._close("head")  # text in a head ends it, as in browsers
        if self._links:
            self._links[-1][1].append(text[:200])
        if self._preformatted:
            self.page.write(text)
        else:
            self.page.write_words(text)

    def _start(self, tag: Tag) -> None:
        name = tag.name
        in_head = self._hidden_from and self._open[self._hidden_from - 1] == "head"
        if in_head and name not in _IN_HEAD:
            self._close("head")
        if name in _BLOCKS and self._open[-1:] == ["p"]:
            self._close("p")
        if name == "li" and self._open[-1:] == ["li"]:
            self._close("li")
        values = tag.values() if tag.attributes else {}
        if (name not in _VOID and not tag.attributes.endswith("/")) or name in _BLOCKS - {"hr"}:
            if len(self._open) >= _DEEPEST:
                return
            self._open.append(name)
            self._preformatted += name == "pre"
            if not self._hidden_from and _is_hidden(name, values):
                if name in _BLOCKS:
                    self.page.gap(blank=False)
                self._hidden_from = len(self._open)
        if not self._hidden_from:
            self._begin(name, values)

    def _close(self, name: str) -> None:
        if name in ("br", "p") and name not in self._open:
            self._begin(name, {})  # `</br>` and `</p>` stand for themselves
            return
        if name not in self._open[-_DEEPEST:]:
            return
        closed = ""
        while closed != name:
            closed = self._open.pop()
            self._preformatted -= closed == "pre"
            if not self._hidden_from:
                self._end(closed)
            elif len(self._open) < self._hidden_from:
                self._hidden_from = 0

    def _begin(self, name: str, values: dict[str, str]) -> None:
        if name in _BLOCKS:
            self.page.gap(blank=name in _SPACED)
        if name == "br":
            self.page.end_line()
        elif name == "hr":
            self.page.write("________________________________\n")
        elif name == "img":
            self._image(" ".join(values.get("alt", "").split())[:200])
        elif name in ("td", "th"):
            self.page.write("" if self.page.ends_blank() else " ")
        elif name == "a":
            self._links.append((values.get("href", "").strip(), []))
        elif name == "blockquote":
            self._quote(values)
        elif name in ("ul", "ol", "li", "dd"):
            self._begin_list(name, values)

    def _begin_list(self, name: str, values: dict[str, str]) -> None:
        if name == "ol":
            start = values.get("start", "")[:6]
            self._numbers.append(int(start) if start.isascii() and start.isdigit() else 1)
        elif name == "ul":
            self._numbers.append(0)
        elif name == "dd":
            self.page.write("  ")
        else:
            self.page.write(self._bullet())

    def _bullet(self) -> str:
        number = self._numbers[-1] if self._numbers else 0
        if number:
            self._numbers[-1] += 1
        return f"{number}. " if number else "- "

    def _end(self, name: str) -> None:
        if name == "blockquote" and self._quotes:
            self._quotes.pop()
            self.page.end_quote(sum(self._quotes))
        if name in _BLOCKS:
            self.page.gap(blank=name in _SPACED)
        if name == "a" and self._links:
            self._close_link(*self._links.pop())
        elif name in ("ul", "ol") and self._numbers:
            self._numbers.pop()

    def _quote(self, values: dict[str, str]) -> None:
        # Some programs indent their own text with a blockquote that has no border.
        style = values.get("style", "").replace(" ", "").lower()
        self._quotes.append("border:none" not in style and len(self._quotes) < 10)
        self.page.quotes = sum(self._quotes)

    def _image(self, alt: str) -> None:
        if alt:
            self._text(f"[{alt}]")

    def _close_link(self, target: str, pieces: list[str]) -> None:
        self._link_count += 1
        shown = " ".join("".join(pieces[:50]).split()).lower()
        if not shown or self._link_count > _MOST_LINKS or len(target) > 2000:
            return
        if target.lower().startswith(_SHOWN) and _bare(target) not in _bare(shown):
            self.page.write(f" <{target.removeprefix('mailto:')}>")


def _is_hidden(name: str, values: dict[str, str]) -> bool:
    if name in _DROPPED or "hidden" in values:
        return True
    style = values.get("style", "")
    return bool(style) and _HIDDEN.search(style[:4_000]) is not None


def _bare(target: str) -> str:
    for prefix in ("mailto:", "tel:", "https://", "http://"):
        target = target.lower().removeprefix(prefix)
    return target.rstrip("/")


def as_html(text: str) -> str:
    """Plain text as a paragraph, to stand between HTML parts of the same mail."""
    return f"<p>{html.escape(text).replace(chr(10), '<br>')}</p>"
