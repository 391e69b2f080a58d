"""What a file is, by its bytes: never only by what it was called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.blobs.sniffing import UNKNOWN, sniff

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3"
ZIP = b"PK\x03\x04\x14\x00\x06\x00"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00\x00"
EXE = b"MZ\x90\x00\x03\x00\x00\x00\x04"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def mp4(brand: bytes) -> bytes:
    return b"\x00\x00\x00\x18ftyp" + brand + b"\x00\x00\x02\x00"


@pytest.mark.parametrize(
    ("content", "declared", "found"),
    [
        (PNG, "image/png", "image/png"),
        (PNG, "image/jpeg", "image/png"),
        (PNG, "text/html", "image/png"),
        (JPEG, "image/jpg", "image/jpeg"),
        (b"GIF89a\x01\x00", "", "image/gif"),
        (b"RIFF\x24\x00\x00\x00WEBPVP8 ", "image/webp", "image/webp"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "audio/x-wav", "audio/wav"),
        (PDF, "application/octet-stream", "application/pdf"),
        (PDF, "image/png", "application/pdf"),
        (ZIP, DOCX, DOCX),
        (ZIP, "application/pdf", "application/zip"),
        (ZIP, "text/html", "application/zip"),
        (OLE, "application/msword", "application/msword"),
        (OLE, "image/png", "application/x-ole-storage"),
        (mp4(b"isom"), "video/mp4", "video/mp4"),
        (mp4(b"M4A "), "audio/mp4", "audio/mp4"),
        (mp4(b"isom"), "audio/mp4", "audio/mp4"),
        (mp4(b"3gp5"), "video/3gpp", "video/3gpp"),
        (mp4(b"heic"), "image/jpeg", "image/heic"),
        (mp4(b"qt  "), "", "video/quicktime"),
        (b"OggS\x00\x02", "audio/ogg; codecs=opus", "audio/ogg"),
        (b"OggS\x00\x02", "text/html", "audio/ogg"),
        (b"#!AMR\n", "audio/amr", "audio/amr"),
        (b"ID3\x04\x00", "audio/mpeg", "audio/mpeg"),
        (b"\xff\xfb\x90\x64\x00", "audio/mpeg", "audio/mpeg"),
        (b"\xff\xf1\x50\x80", "audio/aac", "audio/aac"),
        (EXE, "image/png", "application/vnd.microsoft.portable-executable"),
        (b"\x7fELF\x02\x01", "application/pdf", "application/x-executable"),
        (b"#!/bin/sh\nrm -rf /", "text/plain", "text/x-script"),
    ],
)
def test_the_bytes_decide(content: bytes, declared: str, found: str) -> None:
    assert sniff(content, declared) == found


@pytest.mark.parametrize(
    "page",
    [
        b"<!DOCTYPE html><html>", b"  \n<html><body>", b"\xef\xbb\xbf<script>alert(1)</script>",
        b"<!-- x --><b>", "<html>".encode("utf-16"), b"<iframe src=x>", b"<IMG SRC=x>",
    ],
)  # fmt: skip
@pytest.mark.parametrize("declared", ["image/png", "text/plain", "text/csv", "", "text/html"])
def test_a_page_is_a_page_whatever_it_is_called(page: bytes, declared: str) -> None:
    assert sniff(page, declared) == "text/html"


@pytest.mark.parametrize(
    "picture",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='x()'>",
        b"<?xml version='1.0'?><!-- x --><svg:svg xmlns:svg='x'>",
        b"<!DOCTYPE svg PUBLIC '-//W3C'><svg >",
    ],
)
@pytest.mark.parametrize("declared", ["image/png", "image/svg+xml", "text/xml", "text/plain"])
def test_a_drawing_that_can_hold_scripts_is_called_so(picture: bytes, declared: str) -> None:
    assert sniff(picture, declared) == "image/svg+xml"


@pytest.mark.parametrize(
    ("content", "declared", "found"),
    [
        (b"a,b\n1,2\n", "text/csv", "text/csv"),
        (b"BEGIN:VCARD\r\nVERSION:3.0", "text/vcard", "text/vcard"),
        (b'{"a": 1}', "application/json", "application/json"),
        (b"<?xml version='1.0'?><invoice>", "application/xml", "application/xml"),
        (b"<?xml version='1.0'?><invoice>", "image/png", "text/xml"),
        (b"From: a@example.org\r\n\r\n<html>", "message/rfc822", "message/rfc822"),
        (b"MZ are my initials", "text/plain", "text/plain"),
        ("Grüße".encode("latin-1"), "text/plain", "text/plain"),
        (b"only words", "image/png", "text/plain"),
        (b"only words", "application/x-msdownload", "text/plain"),
        (b"", "image/png", "text/plain"),
        ("hello".encode("utf-16"), "text/plain", "text/plain"),
    ],
)
def test_text_is_believed_to_be_the_kind_of_text_it_was_called(
    content: bytes, declared: str, found: str
) -> None:
    assert sniff(content, declared) == found


@pytest.mark.parametrize("declared", ["image/png", "text/html", "image/svg+xml", "text/plain", "?"])
def test_bytes_that_show_nothing_are_not_what_would_show(declared: str) -> None:
    assert sniff(b"\x00\x01\x02\x03 nothing known", declared) == UNKNOWN


def test_bytes_that_show_nothing_may_be_what_has_no_mark() -> None:
    assert sniff(b"\x00\x01\x02\x03", "application/pkcs7-mime") == UNKNOWN
    assert sniff(b"\x00\x01\x02\x03", "application/x-shapefile") == "application/x-shapefile"


@given(st.binary(max_size=200), st.text(max_size=40))
def test_it_never_fails_and_never_makes_a_page_of_a_picture(content: bytes, declared: str) -> None:
    found = sniff(content, declared)
    assert found.count("/") == 1
    assert sniff(PNG + content, declared) == "image/png"
    assert sniff(b"<html>" + content, "image/png") in ("text/html", UNKNOWN)
