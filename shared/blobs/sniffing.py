"""What a file really is, by its first bytes. What it was called is only believed where that says
nothing else. Pure.

Sources: the signatures of the formats' own specifications, and the WHATWG MIME Sniffing Standard
for pictures, sound and film.
"""

from __future__ import annotations

import re
from typing import Final

BEGINNING: Final = 4096  # bytes that are enough
UNKNOWN: Final = "application/octet-stream"

# (at, bytes, type)
_SIGNATURES: Final[tuple[tuple[int, bytes, str], ...]] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"{\\rtf", "application/rtf"),
    (0, b"OggS", "audio/ogg"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"#!AMR", "audio/amr"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"PK\x05\x06", "application/zip"),
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"7z\xbc\xaf'\x1c", "application/x-7z-compressed"),
    (0, b"Rar!\x1a\x07", "application/vnd.rar"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (0, b"\x78\x9f\x3e\x22", "application/vnd.ms-tnef"),
    (0, b"\x7fELF", "application/x-executable"),
    (0, b"\xca\xfe\xba\xbe", "application/x-executable"),
    (0, b"\xfe\xed\xfa\xce", "application/x-executable"),
    (0, b"\xfe\xed\xfa\xcf", "application/x-executable"),
    (0, b"\xce\xfa\xed\xfe", "application/x-executable"),
    (0, b"\xcf\xfa\xed\xfe", "application/x-executable"),
    (0, b"L\x00\x00\x00\x01\x14\x02\x00", "application/x-ms-shortcut"),
    (0, b"MSCF\x00\x00\x00\x00", "application/vnd.ms-cab-compressed"),
    (0, b"#!/", "text/x-script"),
)
_RIFF: Final = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_BRANDS: Final = {  # ISO base media, ISO/IEC 14496-12 and mp4ra.org
    b"qt  ": "video/quicktime", b"heic": "image/heic", b"heix": "image/heic",
    b"mif1": "image/heif", b"msf1": "image/heif", b"avif": "image/avif", b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4", b"crx ": "image/x-canon-cr3",
}  # fmt: skip
# What a container may well be called, when it is one.
_WITHIN: Final = {
    "application/zip": (
        "application/vnd.openxmlformats-officedocument.", "application/vnd.oasis.opendocument.",
        "application/vnd.ms-", "application/epub+zip", "application/vnd.apple.pkpass",
        "application/x-zip", "application/vnd.apple.",
    ),
    "application/x-ole-storage": (
        "application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint",
        "application/vnd.ms-outlook", "application/vnd.ms-project", "application/vnd.visio",
    ),
    "audio/ogg": ("audio/", "video/ogg", "application/ogg"),
    "video/mp4": ("video/mp4", "audio/mp4", "audio/aac", "audio/x-m4a", "video/3gpp"),
    "video/webm": ("video/webm", "audio/webm", "video/x-matroska"),
    "image/tiff": ("image/tiff", "image/x-"),
    "application/gzip": ("application/gzip", "application/x-gzip", "application/x-tar"),
    "image/heif": ("image/heic", "image/heif"),
}  # fmt: skip
# What may be claimed of bytes that show nothing: no recogniser here would have missed it.
_SHOW: Final = frozenset({kind for _, _, kind in _SIGNATURES} | {
    *_RIFF.values(), *_BRANDS.values(), "video/mp4", "image/jpg", "image/svg+xml", "audio/aac",
    "image/bmp", "text/html", "application/xhtml+xml",
})  # fmt: skip
_WRITTEN: Final = re.compile(
    r"text/.+|message/.+|application/(json|.+\+json|x-ndjson|pgp-.+|pkcs.+|x-pem-file|sql|yaml)"
)
_SCRIPT: Final = re.compile(r"(text|application)/(x-)?(java|ecma|vb)script|.*[/+]xml|text/html")
_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
_HTML: Final = re.compile(
    r"<(!doctype html|html|head|body|script|iframe|table|div|title|style|a |h1|p>|br|img|!--)",
    re.IGNORECASE,
)
_SVG: Final = re.compile(r"<(\w+:)?svg[\s>]", re.IGNORECASE)


def sniff(beginning: bytes, declared: str = "") -> str:
    """The content type of a file by its first 4096 bytes, or all there are, and what its sender
    said of it. Never raises."""
    said = declared.partition(";")[0].strip().lower()
    said = said if _TYPE.fullmatch(said) else ""
    if found := _by_signature(beginning[:BEGINNING]):
        return said if said.startswith(_WITHIN.get(found, (found,))) else found
    if (text := _as_text(beginning[:BEGINNING])) is not None:
        return _written_type(text, said)
    doubtful = not said or said in _SHOW or _WRITTEN.fullmatch(said) or _SCRIPT.fullmatch(said)
    return UNKNOWN if doubtful else said


def _by_signature(start: bytes) -> str:
    for at, bytes_, kind in _SIGNATURES:
        if start.startswith(bytes_, at):
            return kind
    if start.startswith(b"RIFF") and (kind := _RIFF.get(start[8:12], "")):
        return kind
    if start.startswith(b"MZ") and _as_text(start) is None:
        return "application/vnd.microsoft.portable-executable"
    if start[4:8] == b"ftyp":
        brand = start[8:12]
        return "video/3gpp" if brand.startswith(b"3g") else _BRANDS.get(brand, "video/mp4")
    if start.startswith(b"BM") and start[6:10] == b"\x00\x00\x00\x00":
        return "image/bmp"
    return _by_frame(start)


def _by_frame(start: bytes) -> str:
    """Sound without a head begins with a frame: eleven or twelve bits, and layer II or III."""
    if len(start) < 4 or start[0] != 0xFF or start[1] & 0xE0 != 0xE0:
        return ""
    if start[1] & 0xF6 == 0xF0:
        return "audio/aac"
    layered, rated = (
        start[1] & 0x06 in (0x02, 0x04),
        start[2] & 0xF0 != 0xF0 and start[2] & 0x0C != 0x0C,
    )
    return "audio/mpeg" if layered and rated else ""


def _as_text(start: bytes) -> str | None:
    """None for what is no text."""
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return start.decode("utf-16", "ignore")
    if any(byte < 9 or 13 < byte < 27 or 27 < byte < 32 for byte in start):
        return None
    return start.removeprefix(b"\xef\xbb\xbf").decode(errors="replace")


def _written_type(text: str, said: str) -> str:
    begins = text.lstrip()
    if said.startswith("message/") or said == "text/rfc822-headers":
        return said
    if begins.startswith(("<?xml", "<!DOCTYPE svg")) or _SVG.match(begins):
        return "image/svg+xml" if _SVG.search(text) else _xml(said)
    if _HTML.match(begins):
        return "text/html"
    if said and _WRITTEN.fullmatch(said) and not (said == "text/html" or _SVG.search(text)):
        return said
    return "text/html" if said == "text/html" else "text/plain"


def _xml(said: str) -> str:
    return said if said.endswith(("/xml", "+xml")) and said != "image/svg+xml" else "text/xml"
