"""The page that HTML's text is written on: lines, and how deep they are quoted."""

from __future__ import annotations

import re
from typing import Final

_SPACES: Final = re.compile(r"[ \t\r\n\f]+")


class Page:
    """Lines of text, each behind as many `> ` as quotations are open when it ends."""

    def __init__(self) -> None:
        self.quotes = 0
        self._lines: list[str] = []
        self._line: list[str] = []

    def write(self, text: str) -> None:
        """`text` as it is, line ends too."""
        if "\n" not in text:
            self._line.append(text)
            return
        first, *rest = text.split("\n")
        self._line.append(first)
        for line in rest:
            self.end_line()
            self._line.append(line)

    def write_words(self, text: str) -> None:
        """White space as HTML has it: runs are one space, none opens a line."""
        text = _SPACES.sub(" ", text)
        self._line.append(text.lstrip(" ") if self.ends_blank() else text)

    def ends_blank(self) -> bool:
        return not self._line or not self._line[-1] or self._line[-1].endswith(" ")

    def end_line(self) -> None:
        self._lines.append(("> " * self.quotes + "".join(self._line)).rstrip())
        self._line = []

    def gap(self, blank: bool) -> None:
        """The next text begins a line; with `blank` an empty one stands before it."""
        if any(piece and not piece.isspace() for piece in self._line):
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
