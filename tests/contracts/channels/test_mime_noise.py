"""Mails nobody wrote by hand: spoilt ones, made ones, and ones made to take long."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.accounts import Account
from shared.channels import Parsed
from shared.channels.email import message_from_mime
from shared.channels.email.addresses import addresses, is_address
from shared.channels.email.display import display_html
from shared.channels.email.html import html_to_text
from shared.channels.email.mime import read_mail
from shared.channels.email.parameters import parameters
from shared.channels.email.words import header_text
from shared.cloudevents import encode
from shared.errors import Unreadable
from tests.contracts.channels.test_mime import ALL

ACCOUNT: Final = Account("desk", "email", "smtp", {"address": "desk@example.org"})
AT: Final = datetime(2026, 10, 1, 12, tzinfo=UTC)
NOISE: Final = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
PIECES: Final = st.sampled_from([
    b"\r\n", b"\n", b"\r", b"\0", b"\xff", b"\xe9", b'"', b"'", b"<", b">", b"(", b")", b";", b":",
    b"=", b"=?", b"?=", b"=?utf-8?B?", b"--b", b"--b--", b"\\", b"*0*=", b"%", b"&#", b"<!--",
    b"-->",
    b"Content-Type: multipart/mixed; boundary=b\r\n", b"Content-Transfer-Encoding: base64\r\n",
    b"\x1b$B", b"\x1b(B", b"\xed\xa0\x80", b"begin 644 a\n", b"<style>", b"<div hidden>", b"@",
    b",",
])  # fmt: skip
WORDS: Final = st.text("abcdefgéßž漢я ", min_size=1, max_size=30).map(str.strip).filter(bool)


def parsed(raw: bytes) -> Parsed:
    return message_from_mime(raw, ACCOUNT, "a@example.net", ["desk@example.org"], AT)


def survives(raw: bytes) -> None:
    """It is read or refused as empty, and what was read goes into the log and the database."""
    try:
        found = parsed(raw)
    except Unreadable:
        return
    for message in found.messages:
        record = encode("messages.received", b"k", message, id=str(message.id), source="/test")
        assert b"\\u0000" not in record.value.replace(b"\\\\", b"")
        assert b"\\ud8" not in record.value.lower().replace(b"\\\\", b"")
        assert all(is_address(each.value) for each in message.sender.identities)


@NOISE
@given(
    st.sampled_from(sorted(name for name, row in ALL.items() if len(row.raw) < 5_000)),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 20), PIECES), min_size=1, max_size=6),
)
def test_spoilt_mails(name: str, edits: list[tuple[float, int, bytes]]) -> None:
    raw = ALL[name].raw
    for where, length, piece in edits:
        at = int(where * len(raw))
        raw = raw[:at] + piece + raw[at + length :]
    survives(raw)


@NOISE
@given(st.sampled_from(sorted(ALL)), st.sampled_from(sorted(ALL)), st.floats(0, 1), st.floats(0, 1))
def test_halves_of_two_mails(first: str, second: str, cut: float, from_: float) -> None:
    head, tail = ALL[first].raw[:4_000], ALL[second].raw[:4_000]
    survives(head[: int(cut * len(head))] + tail[int(from_ * len(tail)) :])


@NOISE
@given(st.lists(PIECES | st.binary(max_size=8), max_size=40).map(b"".join))
def test_pieces_of_headers(raw: bytes) -> None:
    for each in addresses(raw):
        assert is_address(each.value)
    kind, given_ = parameters(raw)
    for text in (header_text(raw), kind, *given_.values()):
        assert "\0" not in text
        assert text.encode().decode() == text


@NOISE
@given(
    st.lists(PIECES.map(lambda piece: piece.decode("latin-1")) | st.text(max_size=8), max_size=60)
)
def test_pieces_of_html(pieces: list[str]) -> None:
    markup = "".join(pieces)
    assert "\0" not in html_to_text(markup)
    shown = display_html(markup).lower()
    assert not any(tag in shown for tag in ("<script", "<style", "<form", "<iframe", "<!--"))


# --- made by a grammar: all that is in them must come out ------------------------------------


@dataclass(frozen=True)
class Text:
    words: str
    charset: str
    encoding: str


@dataclass(frozen=True)
class Enclosed:
    name: str
    content: bytes
    encoding: str


@dataclass(frozen=True)
class Together:
    children: tuple[Text | Enclosed | Together, ...]
    ends: bytes
    closed: bool


Node = Text | Enclosed | Together
_TEXTS: Final = st.builds(
    Text,
    WORDS,
    st.sampled_from(["utf-8", "utf-16", ""]),
    st.sampled_from(["base64", "quoted-printable"]),
)
_FILES: Final = st.builds(
    Enclosed, st.sampled_from(["a.bin", "é €.pdf", "a;b.txt", 'a "b".doc']),
    st.binary(max_size=60), st.sampled_from(["base64", "quoted-printable"]),
)  # fmt: skip
_NODES: Final = st.recursive(
    _TEXTS | _FILES,
    lambda inner: st.builds(
        Together, st.lists(inner, min_size=1, max_size=4).map(tuple),
        st.sampled_from([b"\r\n", b"\n"]), st.booleans(),
    ),
    max_leaves=8,
)  # fmt: skip


def written(node: Node, depth: int = 0) -> bytes:
    """The node as a part: fields, an empty line, content."""
    if isinstance(node, Together):
        boundary = b"=_%d" % depth
        inner = [b"--" + boundary + node.ends + written(each, depth + 1) for each in node.children]
        close = [b"--" + boundary + b"--"] if node.closed or depth else []
        fields = b'Content-Type: multipart/mixed; boundary="' + boundary + b'"'
        return node.ends.join([fields, b"", *inner, *close, b""])
    if isinstance(node, Enclosed):
        quoted = node.name.replace('"', '\\"')
        fields = f'Content-Disposition: attachment; filename="{quoted}"'.encode()
        return _packed(fields, node.content, node.encoding)
    declared = f"; charset={node.charset}" if node.charset else ""
    # A line end behind it, where no delimiter closes it, must not be half a character.
    encoding = "base64" if node.charset == "utf-16" else node.encoding
    content = node.words.encode(node.charset or "utf-8")
    return _packed(f"Content-Type: text/plain{declared}".encode(), content, encoding)


def _packed(fields: bytes, content: bytes, encoding: str) -> bytes:
    escaped = "".join(f"={byte:02X}" for byte in content).encode()
    packed = b64encode(content) if encoding == "base64" else escaped
    return fields + f"\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode() + packed


def leaves(node: Node) -> Iterator[Text | Enclosed]:
    if isinstance(node, Together):
        for child in node.children:
            yield from leaves(child)
    else:
        yield node


@NOISE
@given(_NODES)
def test_made_mails_lose_nothing(node: Node) -> None:
    read = read_mail(b"From: Jan <jan@example.net>\r\nSubject: x\r\n" + written(node))
    texts = [each.words for each in leaves(node) if isinstance(each, Text)]
    files = [each.content for each in leaves(node) if isinstance(each, Enclosed)]
    assert read.text == "\n\n".join(texts).strip()
    # Without a closing delimiter the line end before it is the last part's own.
    assert [file.content.rstrip(b"\r\n") for file in read.files] == [
        content.rstrip(b"\r\n") for content in files
    ]
    assert len({file.name for file in read.files}) == len(files)


# --- made to take long -----------------------------------------------------------------------

_SIZE: Final = 40_000
_IN_HTML: Final = (
    b"<", b"<a ", b"<!--", b"<!-- -->", b"<a b='>'", b'<a b="', b"<a '\"", b"<style>",
    b"<style></style", b"<blockquote>", b"<div>", b"<p>x", b"<a href=http://x>y", b"<ul><li>", b"&",
    b"&aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", b"&#", b'<p style="height:0;', b"</br>", b"</x>", b"<![",
    b"<b id=1><p>", b"<table>a<b>", b"&zwnj; ", b'<img src="data:image/png;', b"<pre>\n",
    b"<head>x",
)  # fmt: skip
_IN_TEXT: Final = (
    b"begin 644 a\n", b"begin 644 a\n#86)C\n", b"\xe9\xe9", b"\xe9 a", b"\x1b$B", b"\xed\xa0\xbd",
    b"> ", b"On 3/3 wrote ", b"\n\n", b"-----Original Message-----\n", b"=",
    b"--x\nContent-Type: a/b\n\n", b"a \n", b"From: a\n", b"-- \n", b"http://a ",
)  # fmt: skip
_IN_HEADER: Final = (
    b"=?a?q?", b"=?a?q?b?= ", b"=?", b"(", b'"\\', b"<a@b>,", b";x=\"", b'name="a"b;',
    b"charset=a ", b"name*1*=a;", b"''%", b" ", b"<", b"@ ", b"\xe9", b": ", b"\x1b(", b"()", b"a,",
    b"on 1 jan 2020 a@b.nl ",
)  # fmt: skip


def _hostile() -> Iterator[tuple[str, bytes]]:
    start = b"From: jan@example.net\n"
    for piece in _IN_HTML:
        filled = piece * (_SIZE // len(piece))
        yield f"html {piece!r}", start + b"Content-Type: text/html\n\n" + filled + b'">'
    for piece in _IN_TEXT:
        filled = piece * (_SIZE // len(piece))
        for fields in (b"", b"Content-Type: text/plain; format=flowed\n",
                       b"Content-Type: multipart/mixed; boundary=x\n",
                       b"Content-Transfer-Encoding: quoted-printable\n",
                       b"Content-Transfer-Encoding: base64\n"):  # fmt: skip
            yield f"text {piece!r} {fields!r}", start + fields + b"\n" + filled
    for piece in _IN_HEADER:
        filled = piece * (_SIZE // len(piece))
        for name in (b"Subject", b"To", b"From", b"References", b"Date", b"Authentication-Results",
                     b"Content-Type", b"Content-Disposition"):  # fmt: skip
            value = b"text/plain; " if name == b"Content-Type" else b""
            yield f"{name!r} {piece!r}", start + name + b": " + value + filled + b"\n\nx"


HOSTILE: Final = dict(_hostile())


@pytest.mark.parametrize("kind", ["html", "text", "b'"])
def test_hostile_mails_take_no_more_than_their_length(kind: str) -> None:
    for name, raw in HOSTILE.items():
        if name.startswith(kind):
            began = time.process_time()
            survives(raw)
            assert time.process_time() - began < 1.5, name


def test_hostile_html_is_shown_within_bounds() -> None:
    for piece in _IN_HTML:
        began = time.process_time()
        display_html((piece * (_SIZE // len(piece))).decode())
        assert time.process_time() - began < 1.5, piece
