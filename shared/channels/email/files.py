"""The files of a mail, with names that are safe to show, to save and to tell apart."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import unquote

_CONTROLS: Final = re.compile(
    r"[\x00-\x08\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]"
)
_RESERVED: Final = re.compile(r"[<>:\"|?*]")
_EXTENSIONS: Final = {
    "message/delivery-status": ".txt",
    "message/disposition-notification": ".txt",
    "message/feedback-report": ".txt",
    "text/rfc822-headers": ".txt",
    "message/rfc822": ".eml",
    "message/global": ".eml",
    "message/partial": ".eml",
    "message/external-body": ".txt",
}
_DEVICES: Final = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
_LONGEST: Final = 150  # characters
_LONGEST_BYTES: Final = 200  # of UTF-8; file systems take 255


@dataclass(frozen=True, slots=True)
class File:
    """An attachment, its content decoded. `inline`: the HTML shows it by its Content-ID."""

    name: str
    content_type: str
    content: bytes
    content_id: str = ""
    inline: bool = False
    parameters: dict[str, str] = field(default_factory=dict)


def named(files: Sequence[File], shown: set[str]) -> tuple[File, ...]:
    """The files with safe, distinct names; inline are those whose Content-ID is among `shown`.

    Mailers mark real attachments inline and embedded pictures attachment: only the HTML knows.
    """
    taken: set[str] = set()
    cids = shown | {unquote(cid) for cid in shown}
    out: list[File] = []
    for number, file in enumerate(files, start=1):
        name = _distinct(safe_name(file.name) or _made_up(number, file.content_type), taken)
        taken.add(name.lower())
        inline = bool(file.content_id) and file.content_id in cids
        out.append(replace(file, name=name, inline=inline))
    return tuple(out)


def safe_name(name: str) -> str:
    """The last part of a path without what file systems, shells and readers trip over.

    Direction marks go too: they make `exe.gpj` read as a picture.
    """
    name = _CONTROLS.sub("", name).replace("\\", "/").rstrip("/. ").rpartition("/")[2]
    name = _RESERVED.sub("_", " ".join(name.split())).strip(". ")
    if _DEVICES.fullmatch(name):
        name = f"_{name}"  # opens a device on Windows, whatever its extension
    stem, dot, extension = name.rpartition(".")
    if not dot or len(extension) > 20:
        return _shortened(name, _LONGEST, _LONGEST_BYTES)
    tail = len(extension) + 1
    stem = _shortened(stem, _LONGEST - tail, _LONGEST_BYTES - len(extension.encode()) - 1)
    return f"{stem}.{extension}"


def _shortened(text: str, characters: int, size: int) -> str:
    return text[:characters].encode()[:size].decode("utf-8", "ignore")


def _made_up(number: int, content_type: str) -> str:
    extension = _EXTENSIONS.get(content_type) or mimetypes.guess_extension(content_type)
    return f"part-{number}{extension or '.bin'}"


def _distinct(name: str, taken: set[str]) -> str:
    stem, dot, extension = name.rpartition(".")
    for count in range(1, len(taken) + 2):
        tried = name if count == 1 else f"{stem or extension} ({count}){dot if stem else ''}"
        tried += extension if count > 1 and stem else ""
        if tried.lower() not in taken:
            return tried
    return name
