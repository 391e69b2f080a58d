"""A list of mail addresses, taken apart: names, comments, groups, and what mailers do to them.

RFC 5322 with its obsolete forms (routes, comments and blanks anywhere), quoted local parts, UTF-8
(RFC 6532), and: semicolons between addresses, missing commas, missing brackets, brackets or quotes
that never close, `mailto:`, addresses in single quotes. One pass, linear in the length.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

_REST: Final = (
    r"(?P<angle><[^<>]*+>)|(?P<literal>\[[^\[\]\s]{1,60}+\])"
    r'|(?P<text>[^\s"<>(),:;\[\]]++)|(?P<blank>\s++)|(?P<mark>.)'
)
_TOKEN: Final = re.compile(r'(?P<quoted>"(?:[^"\\]++|\\.)*+")|' + _REST, re.DOTALL)
_TOKEN_UNESCAPED: Final = re.compile(r'(?P<quoted>"[^"]*+")|' + _REST, re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_DEEPEST: Final = 20  # comments in comments
_MOST: Final = 1_100  # addresses of one header


class Mailbox(NamedTuple):
    """`address` as it stood there, without its brackets; `name` not yet decoded."""

    name: str
    address: str


def mailboxes(line: str) -> list[Mailbox]:
    """Every address in `line` with an `@`, in order, and the name that goes with each."""
    return list(_mailboxes(line))


def _mailboxes(line: str) -> Iterator[Mailbox]:
    group = ";" in line
    entry = _Entry()
    count = 0
    for kind, text in _tokens(line):
        if kind == "mark" and text in ",;":
            yield from (ended := entry.ended())
            count += len(ended)
            entry = _Entry()
        elif kind == "mark" and text == ":" and group and not entry.has_address:
            entry = _Entry()  # what stood before it names a group
        elif kind == "angle" and entry.angle:
            yield from (ended := entry.ended())  # the comma between them was forgotten
            count += len(ended)
            entry = _Entry()
            entry.add(kind, text)
        else:
            if entry.angle and kind in ("text", "quoted"):
                yield from (ended := entry.ended())
                count += len(ended)
                entry = _Entry()
            entry.add(kind, text)
        if count >= _MOST:
            return
    yield from entry.ended()


class _Entry:
    """What stands between two commas."""

    def __init__(self) -> None:
        self.angle = ""
        self.has_address = False
        self._pieces: list[tuple[str, str]] = []
        self._comments: list[str] = []

    def add(self, kind: str, text: str) -> None:
        if kind == "comment":
            self._comments.append(text)
            return
        if kind == "angle" and ("@" in text or not text.strip("<> ")):
            self.angle = text
        elif "@" in text and kind in ("text", "mark"):
            self.has_address = True
        self._pieces.append((kind, text))

    def ended(self) -> list[Mailbox]:
        if self.angle:
            address = _inside(self.angle)
            name = self._name(piece for piece in self._pieces if piece[1] != self.angle)
            return [Mailbox(name, address)] if "@" in address else []
        return self._bare() if self.has_address else []

    def _bare(self) -> list[Mailbox]:
        """An address without brackets, and perhaps a name in front of it."""
        words = _words(self._pieces)
        found = [word for word in words if "@" in word]
        name = _name(" ".join(word for word in words if "@" not in word))
        return [Mailbox(name or self._name(()), _stripped(word)) for word in found]

    def _name(self, pieces: Iterable[tuple[str, str]]) -> str:
        out = [_unquoted(text) if kind == "quoted" else text for kind, text in pieces]
        return _name("".join(out)) or _name(" ".join(self._comments))


def _words(pieces: list[tuple[str, str]]) -> list[str]:
    """The words of an address, with the blanks taken out that may stand around `@` and dots."""
    words: list[str] = []
    glued = False
    for kind, text in pieces:
        if kind == "blank":
            glued = glued and words[-1:] != [] and words[-1][-1:] in ("@", ".")
        elif words and (glued or text[:1] in ("@", ".")):
            words[-1] += text
            glued = True
        else:
            words.append(text)
            glued = True
    return words


def _tokens(line: str) -> Iterator[tuple[str, str]]:
    at, flat, plain = 0, False, False
    while at < len(line):
        found = (_TOKEN_UNESCAPED if plain else _TOKEN).match(line, at)
        assert found is not None  # the last alternative takes anything
        kind, text = str(found.lastgroup), found[0]
        if text == "(":
            end, flat = _comment_end(line, at, flat)
            if end:
                yield "comment", line[at + 1 : end - 1]
                at = end
                continue
            yield "blank", " "
        elif text == "<":
            end = min((each for each in map(line.find, ",;", (at, at)) if each >= 0), default=-1)
            text = line[at:] if end < 0 else line[at:end]
            yield "angle", text
        elif text in ('"', ">"):
            yield "blank", " "  # one that never closes, or never opened
            # Looking for the end of each quote behind it, too, would take quadratic time.
            plain = plain or text == '"'
        else:
            yield kind, text
        at += len(text)


def _comment_end(line: str, at: int, flat: bool) -> tuple[int, bool]:
    """Behind its closing bracket, or 0; and whether comments are flat from here, because one was
    found that does not close: looking for each one's end would take quadratic time."""
    depth, place = 0, at
    while not flat and depth <= _DEEPEST:
        found = re.compile(r"[()]|\\.", re.DOTALL).search(line, place)
        if found is None:
            break
        place = found.end()
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        if depth == 0:
            return place, False
    return line.find(")", at) + 1, True


def _inside(angle: str) -> str:
    inner = re.sub(r"\([^()]*\)", "", angle.strip("<> \t"))
    if inner.startswith("@") and ":" in inner:
        inner = inner.rpartition(":")[2]  # a route, `<@relay.example:jan@example.net>`
    return _stripped(inner)


def _stripped(address: str) -> str:
    # Blanks may stand anywhere but inside a quoted local part.
    local, mark, domain = address.strip().rpartition("@")
    local = local.strip() if local.lstrip().startswith('"') else "".join(local.split())
    address = f"{local}{mark}{''.join(domain.split()).rstrip('.')}".strip("'")
    return address[7:] if address[:7].lower() == "mailto:" else address


def _name(text: str) -> str:
    name = " ".join(text.replace('\\"', '"').split())
    for quote in "\"'":  # a second pair around it, or one that mailers add
        if len(name) > 1 and name[0] == name[-1] == quote and name.count(quote) == 2:
            name = name[1:-1].strip()
    return name


def _unquoted(text: str) -> str:
    return _ESCAPED.sub(r"\1", text[1:-1])
