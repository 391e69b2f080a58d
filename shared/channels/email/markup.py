"""HTML as mails have it, to tags and text: one pass, linear whatever the bytes are.

The standard library's parser looks for the end of unfinished tags and comments again and again,
which takes quadratic time, and drops the text behind them.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

# `<jan@example.net>` and `<https://…>` are text whose brackets nobody escaped.
_OPENED: Final = re.compile(
    r"<(?:([!?])|(?=/?[a-zA-Z][a-zA-Z0-9_-]*+(?::[a-zA-Z0-9_-]++)?+(?:[\s/>]|\Z)))"
)
_TAG: Final = re.compile(r"<(/?)([^\s/>]++)((?:[^>\"']++|\"[^\"]*+\"|'[^']*+')*+)>")
_QUOTES: Final = re.compile(r"(?:[^>\"']++|\"[^\"]*+\"|'[^']*+')*+")
_PLAIN_TAG: Final = re.compile(r"<(/?)([^\s/>]++)([^>]*+)>")
_ATTRIBUTE: Final = re.compile(
    r"([^\s/>=\"']++)(?:\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s\"'>][^\s>]*+)))?+"
)
_REFERENCE: Final = re.compile(
    r"&(?:#[0-9]{1,8}+;?+|#[xX][0-9a-fA-F]{1,8}+;?+|[a-zA-Z][a-zA-Z0-9]{0,31}+(?:;|(?![=a-zA-Z0-9])))"
)
# Their content is no markup. One that never closes is taken for a slip, not for the rest.
_RAW: Final = frozenset({"script", "style", "title", "xmp", "noembed", "iframe", "noframes"})


@dataclass(frozen=True, slots=True)
class Tag:
    """`name` in lower case; `attributes` as they stand there, to be read with `values`."""

    name: str
    closing: bool
    attributes: str

    def values(self) -> dict[str, str]:
        """The attributes by name in lower case, their references resolved; the first counts."""
        found: dict[str, str] = {}
        if not self.attributes or self.attributes.isspace():
            return found
        for name, *given in _ATTRIBUTE.findall(self.attributes[:20_000]):
            text = next(filter(None, given), "")
            found.setdefault(name.lower(), unescaped(text) if "&" in text else text)
        return found


def unescaped(text: str) -> str:
    """Character references in an attribute resolved; `&copy=` in an address is no ©."""
    return _REFERENCE.sub(lambda found: html.unescape(found[0]), text)


def tokens(markup: str) -> Iterator[Tag | str]:
    """Tags, and the text between them with its character references resolved. Comments,
    declarations and the content of scripts and styles are left out."""
    return _Scanner(markup).tokens()


class _Scanner:
    def __init__(self, markup: str) -> None:
        self._markup = markup
        self._plain_until = 0  # up to here quotes in tags are not believed
        self._unclosed: set[str] = set()

    def tokens(self) -> Iterator[Tag | str]:
        markup, at = self._markup, 0
        for found in _OPENED.finditer(markup):
            start = found.start()
            if start < at:
                continue
            end, tag = self._declared(start) if found[1] else self._tag(start)
            if end == start:
                continue  # nothing that opens here ever closes: it is text
            if start > at:
                yield html.unescape(markup[at:start])
            if tag is not None:
                yield tag
                end = self._behind_raw(tag, end)
            at = end
        if at < len(markup):
            yield html.unescape(self._last(at))

    def _last(self, at: int) -> str:
        # A tag that was cut off is dropped; a text with a `<` in it is none.
        rest = self._markup[at:]
        for found in _OPENED.finditer(rest, max(0, len(rest) - 200)):
            return rest[: found.start()]
        return rest

    def _declared(self, start: int) -> tuple[int, None]:
        # Comments, doctypes, processing instructions, and Word's `<![if …]>`.
        markup = self._markup
        if markup.startswith("<!--", start) and "-->" not in self._unclosed:
            if markup.startswith("<!-->", start):
                return start + 5, None
            end = markup.find("-->", start + 4 - 2 * markup.startswith("<!--->", start))
            if end >= 0:
                return end + 3, None
            self._unclosed.add("-->")
        return self._behind(start, ">"), None

    def _behind(self, start: int, mark: str) -> int:
        if mark in self._unclosed:
            return start
        end = self._markup.find(mark, start)
        if end < 0:
            self._unclosed.add(mark)
            return start
        return end + len(mark)

    def _tag(self, start: int) -> tuple[int, Tag | None]:
        found = None
        if ">" in self._unclosed:
            return start, None
        if start >= self._plain_until:
            found = _TAG.match(self._markup, start)
            if found is None:
                self._plain_until = self._unclosed_quote(start)
        found = found or _PLAIN_TAG.match(self._markup, start)
        if found is None:
            if self._markup.find(">", start) < 0:
                self._unclosed.add(">")
            return start, None
        return found.end(), Tag(found[2].lower(), bool(found[1]), found[3])

    def _unclosed_quote(self, start: int) -> int:
        # Up to there this tag's quotes were followed in vain: doing so again from each tag on the
        # way would take quadratic time.
        reached = _QUOTES.match(self._markup, start)
        return reached.end() + 1 if reached else start + 1

    def _behind_raw(self, tag: Tag, end: int) -> int:
        if tag.closing or tag.name not in _RAW or tag.name in self._unclosed:
            return end
        found = re.compile(rf"</{tag.name}[\s/>]", re.IGNORECASE).search(self._markup, end - 1)
        if found is None:
            self._unclosed.add(tag.name)
            return end
        return found.start()
