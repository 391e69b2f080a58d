"""The parameters of a Content-Type or Content-Disposition, however they were written.

Right are RFC 2045 and RFC 2231. Read as well: blanks and comments anywhere, missing semicolons and
closing quotes, quotes and semicolons in an unquoted or badly quoted name, encoded words, raw 8-bit
text, continuations in any order. One pass, linear in the length of the header.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final
from urllib.parse import unquote_to_bytes

from shared.channels.email.charsets import codec_of, decode
from shared.channels.email.words import header_text

_TYPE: Final = re.compile(r"\s*+([^\s/;,=\"()<>]*+)\s*+(?:/\s*+([^\s;,=\"()<>]*+))?+")
_COMMENT: Final = re.compile(r"\((?:[^()\\]|\\.)*+\)")
_NAME: Final = re.compile(r"[\s;,]*+([^\s;,=\"]*+)\s*+(=?)\s*+")
_QUOTED: Final = re.compile(r'"((?:[^"\\]++|\\.)*+)"', re.DOTALL)
# Where a quoted value may end; elsewhere the quote belongs to the value: `"my "best" file.pdf"`.
_ENDS: Final = re.compile(r"\s*+(?:[;,]|\Z|\(|[A-Za-z0-9-]++\*?[0-9]*+\*?\s*+=)")
_BARE: Final = re.compile(r"[^;]*+")
_NEXT: Final = re.compile(
    r"(?<![\s\"])[\s\"]++(?=(?:boundary|charset|name|filename|format|delsp|type|start|size|method|report-type|"
    r"protocol|micalg|access-type|server|id|number|total|title|content-[a-z-]+)\*?[0-9]*\*?\s*[=:])",
    re.IGNORECASE,
)
_CONTINUED: Final = re.compile(r"([^*]++)(?:\*(\d{1,3}))?+(\*)?+")
_EXTENDED: Final = re.compile(r"([A-Za-z0-9_.:-]{0,60}+)'[A-Za-z0-9-]{0,40}+'(.*+)", re.DOTALL)
_ESCAPED: Final = re.compile(r'\\(["\\])')
_NAMES: Final = frozenset({"name", "filename"})


def parameters(raw: bytes) -> tuple[str, dict[str, str]]:
    """The value in lower case, without blanks and comments, and its parameters.

    Of a parameter given twice the first counts, but RFC 2231's form before the plain one.
    """
    head, mark, rest = decode(raw).text.lstrip().partition(";")
    if "(" in head:
        head = _COMMENT.sub(" ", head)
    value = _value(head)
    if "=" in head:  # the first semicolon was forgotten, or even the type
        rest = head[_TYPE.match(head).end() :] + mark + rest  # type: ignore[union-attr]
    plain: dict[str, str] = {}
    extended: dict[str, list[tuple[int, bool, str]]] = {}
    for name, text in _pairs(rest):
        _take(name.lower(), text, plain, extended)
    for name, segments in extended.items():
        if joined := _joined(segments):
            plain[name] = joined
    return value, plain


def _value(head: str) -> str:
    found = _TYPE.match(head)
    if found is None:
        return ""
    slash = "/" if found[2] is not None else ""
    return f"{found[1]}{slash}{found[2] or ''}".lower()


def _pairs(rest: str) -> Iterator[tuple[str, str]]:
    at, last = 0, ""
    while at < len(rest):
        found = _NAME.match(rest, at)
        if found is None or found.end() == at:
            at += 1  # a stray quote
            continue
        name, at = found[1], found.end()
        if found[2]:
            text, at = _text(rest, at, name.lower().partition("*")[0] in _NAMES)
            last = name
            yield name, text
        elif last.lower() in _NAMES and "." in name:
            yield last + ";", name  # a semicolon inside an unquoted file name
        elif name and codec_of(name) and "charset" not in last.lower():
            yield "charset", name  # `text/html; iso-8859-1`


def _text(rest: str, at: int, is_name: bool) -> tuple[str, int]:
    if rest.startswith('3D"', at):
        at += 2  # still quoted-printable
    if rest[at : at + 1] == '"':
        for found in islice(_QUOTED.finditer(rest, at), 20):
            if _ENDS.match(rest, found.end()):
                return _ESCAPED.sub(r"\1", rest[at + 1 : found.end() - 1]), found.end()
            if not is_name:
                break
        at += 1
    bare = _BARE.match(rest, at)
    text = bare[0] if bare else ""
    if following := _NEXT.search(text):
        text = text[: following.start()]
    end = at + len(text)
    if not is_name:
        text = _COMMENT.sub("", text)
    return _ESCAPED.sub(r"\1", text.strip().strip('"')).strip(), end


def _take(
    name: str,
    text: str,
    plain: dict[str, str],
    extended: dict[str, list[tuple[int, bool, str]]],
) -> None:
    if name.endswith(";"):
        plain[name[:-1]] = f"{plain.get(name[:-1], '')};{text}"
        return
    found = _CONTINUED.match(name)
    if found is None:
        return
    if found[2] is None and found[3] is None:
        text = _words(text)
        if text:
            plain.setdefault(found[1], text)
    elif len(extended.setdefault(found[1], [])) < 500:
        extended[found[1]].append((int(found[2] or 0), bool(found[3]), text))


def _joined(segments: list[tuple[int, bool, str]]) -> str:
    """The segments of one parameter in their order, decoded with the charset the first names."""
    ordered = sorted(segments, key=lambda segment: segment[0])
    charset = ""
    if ordered[0][1] and (found := _EXTENDED.fullmatch(ordered[0][2])):
        charset, first = found[1], found[2]
        ordered[0] = (ordered[0][0], True, first)
    elif not any(encoded for _, encoded, _ in ordered):
        return _words("".join(text for _, _, text in ordered))
    content = b"".join(
        unquote_to_bytes(text) if encoded else text.encode() for _, encoded, text in ordered
    )
    return decode(content, charset).text.strip()


def _words(text: str) -> str:
    if "=?" in text:
        return header_text(text.encode())
    if "''" in text and "%" in text and (found := _EXTENDED.fullmatch(text)) and found[1]:
        return decode(
            unquote_to_bytes(found[2]), found[1]
        ).text  # the `*` behind the name is missing
    return text
