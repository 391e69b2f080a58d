"""HTML to readable text, within bounds, on the standard library's parser.

`text <address>` for links, `- ` for lists, `> ` for quotations; scripts, styles and hidden
preheaders are dropped.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Final

LONGEST: Final = 500_000  # characters of HTML that are looked at, embedded pictures not counted
_CHUNK: Final = 50_000
_MOST_TAGS: Final = 50_000
_MOST_LINKS: Final = 1_000
_DEEPEST: Final = 200

_BLOCKS: Final = frozenset({
    "address", "article", "aside", "blockquote", "center", "dd", "div", "dl", "dt", "fieldset",
    "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr",
    "li", "main", "nav", "ol", "p", "pre", "section", "table", "tbody", "tfoot", "thead", "tr",
    "ul",
})  # fmt: skip
_SPACED: Final = frozenset({
    "blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "ol", "p", "pre", "table", "ul",
})  # fmt: skip
_DROPPED: Final = frozenset({
    "applet", "canvas", "datalist", "head", "iframe", "math", "noembed", "object", "script",
    "select", "style", "svg", "template", "title",
})  # fmt: skip
_VOID: Final = frozenset({
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source",
    "track", "wbr",
})  # fmt: skip
_HIDDEN: Final = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_DATA_URL: Final = re.compile(r"data:[a-z]+/[^\"'\s>]*", re.IGNORECASE)
_SPACES: Final = re.compile(r"[ \t\r\n]+")
_SHOWN: Final = ("http://", "https://", "mailto:", "tel:")


def html_to_text(html: str) -> str:
    """The text of `html`, of its first 500,000 characters at most. Never raises."""
    bare = _DATA_URL.sub("data:", html[: 64 * LONGEST])[:LONGEST]
    reader = _Reader()
    # A `<` that opens nothing costs the parser as much as a tag.
    markup = re.sub(r"<(?![a-zA-Z/])", "&lt;", _without_declarations(bare)) + "\n<br>"
    for start in range(0, len(markup), _CHUNK):
        if reader.tags <= _MOST_TAGS:
            reader.feed(markup[start : start + _CHUNK])
    # What is unfinished at the end stays in the parser: closing it would scan it once more for
    # every `<` in it.
    text = reader.page.text()
    if text or not reader.swallowed:
        return text
    # An unclosed <style> or <title> swallowed everything: better its remains than nothing.
    return " ".join(re.sub(r"<[^<>]*>", " ", bare).split())


def _without_declarations(html: str) -> str:
    # Comments (conditional ones too), doctypes and processing instructions, in one pass: left to
    # the parser, an unfinished one costs quadratic time.
    out: list[str] = []
    at = 0
    for found in re.finditer(r"<[!?]", html):
        if found.start() < at:
            continue
        out.append(html[at : found.start()])
        closing = "-->" if html.startswith("<!--", found.start()) else ">"
        end = html.find(closing, found.start() + 2)
        at = len(html) if end < 0 else end + len(closing)
    return "".join([*out, html[at:]])


class _Page:
    """Lines of text, each behind as many `> ` as quotations are open when it ends."""

    def __init__(self) -> None:
        self.quotes = 0
        self._lines: list[str] = []
        self._line: list[str] = []

    def write(self, text: str) -> None:
        first, *rest = text.split("\n")
        self._line.append(first)
        for line in rest:
            self.end_line()
            self._line.append(line)

    def write_words(self, text: str) -> None:
        """White space as HTML has it: runs are one space, none opens a line."""
        text = _SPACES.sub(" ", text)
        self.write(text.lstrip(" ") if self.ends_blank() else text)

    def ends_blank(self) -> bool:
        return not self._line or not self._line[-1] or self._line[-1].endswith(" ")

    def end_line(self) -> None:
        self._lines.append(("> " * self.quotes + "".join(self._line)).rstrip())
        self._line = []

    def gap(self, blank: bool) -> None:
        """The next text begins a line; with `blank` an empty one stands before it."""
        if any(piece.strip() for piece in self._line):
            self.end_line()
        self._line = []
        if blank and self._lines and self._lines[-1].strip("> "):
            self.end_line()

    def end_quote(self, left: int) -> None:
        """`left` quotations are still open; the one that ended has no empty lines at its end."""
        self.gap(blank=False)
        while self._lines and not self._lines[-1].strip("> "):
            self._lines.pop()
        self.quotes = left

    def text(self) -> str:
        self.gap(blank=False)
        return re.sub(r"\n{3,}", "\n\n", "\n".join(self._lines)).strip("\n")


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = _Page()
        self.tags = 0
        self._open: list[str] = []
        self._hidden_from = 0  # depth of the element that hides all within it; 0 for none
        self._quotes: list[bool] = []  # an open blockquote: whether it is a quotation
        self._numbers: list[int] = []  # an open list: its next number, 0 for bullets
        self._links: list[tuple[str, list[str]]] = []  # an open link: its target, what it shows
        self._link_count = 0

    @property
    def swallowed(self) -> bool:
        """Whether all since some tag was dropped because that tag never closed."""
        return not _DROPPED.isdisjoint(self._open)

    def handle_data(self, data: str) -> None:
        if self._hidden_from:
            return
        if self._links:
            self._links[-1][1].append(data[:200])
        if "pre" in self._open:
            self.page.write(data)
        else:
            self.page.write_words(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags += 1
        if self.tags > _MOST_TAGS:
            return
        if tag in _BLOCKS and self._open[-1:] == ["p"]:
            self.handle_endtag("p")
        values = {name: value or "" for name, value in attrs}
        if tag not in _VOID:
            if len(self._open) >= _DEEPEST:
                return
            self._open.append(tag)
            if not self._hidden_from and _is_hidden(tag, values):
                if tag in _BLOCKS:
                    self.page.gap(blank=False)
                self._hidden_from = len(self._open)
        if not self._hidden_from:
            self._begin(tag, values)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # `<div/>` opens a div in HTML, but `<style/>` in a mail is meant to be empty.
        if tag not in _DROPPED:
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self._open:
            return
        closed = ""
        while closed != tag:
            closed = self._open.pop()
            if not self._hidden_from:
                self._end(closed)
            elif len(self._open) < self._hidden_from:
                self._hidden_from = 0

    def _begin(self, tag: str, values: dict[str, str]) -> None:
        if tag in _BLOCKS:
            self.page.gap(blank=tag in _SPACED)
        if tag == "br":
            self.page.end_line()
        elif tag == "hr":
            self.page.write("________________________________\n")
        elif tag == "img":
            self._image(" ".join(values.get("alt", "").split())[:200])
        elif tag in ("td", "th"):
            self.page.write("" if self.page.ends_blank() else " ")
        elif tag == "a":
            self._links.append((values.get("href", "").strip(), []))
        elif tag == "blockquote":
            self._quote(values)
        else:
            self._begin_list(tag)

    def _begin_list(self, tag: str) -> None:
        if tag in ("ul", "ol"):
            self._numbers.append(1 if tag == "ol" else 0)
        elif tag == "li":
            number = self._numbers[-1] if self._numbers else 0
            if number:
                self._numbers[-1] += 1
            self.page.write(f"{number}. " if number else "- ")

    def _end(self, tag: str) -> None:
        if tag == "blockquote" and self._quotes:
            self._quotes.pop()
            self.page.end_quote(sum(self._quotes))
        if tag in _BLOCKS:
            self.page.gap(blank=tag in _SPACED)
        if tag == "a" and self._links:
            self._close_link(*self._links.pop())
        elif tag in ("ul", "ol") and self._numbers:
            self._numbers.pop()

    def _quote(self, values: dict[str, str]) -> None:
        # Some programs indent their own text with a blockquote that has no border.
        style = values.get("style", "").replace(" ", "").lower()
        self._quotes.append("border:none" not in style and len(self._quotes) < 10)
        self.page.quotes = sum(self._quotes)

    def _image(self, alt: str) -> None:
        if alt:
            self.page.write_words(f"[{alt}]")

    def _close_link(self, target: str, pieces: list[str]) -> None:
        self._link_count += 1
        shown = " ".join("".join(pieces[:50]).split()).lower()
        if not shown or self._link_count > _MOST_LINKS or len(target) > 2000:
            return
        if target.lower().startswith(_SHOWN) and _bare(target) not in _bare(shown):
            self.page.write(f" <{target.removeprefix('mailto:')}>")


def _is_hidden(tag: str, values: dict[str, str]) -> bool:
    return tag in _DROPPED or "hidden" in values or bool(_HIDDEN.search(values.get("style", "")))


def _bare(target: str) -> str:
    for prefix in ("mailto:", "tel:", "https://", "http://"):
        target = target.lower().removeprefix(prefix)
    return target.rstrip("/")
