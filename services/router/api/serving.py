"""Bytes of the blob store over HTTP: streamed, in ranges, and never run by a browser.

Whatever somebody sent us is saved and not shown: `attachment`, with the type its bytes have and no
guessing, in a sandbox without scripts. A page's `<img>` shows a picture all the same.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from shared.blobs import Blobs
from shared.blobs.sniffing import BEGINNING, sniff
from shared.errors import BlobsUnavailable, NotFound

_PART: Final = 1024 * 1024
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_SAFE: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-cache",
    "Accept-Ranges": "bytes",
}


@dataclass(frozen=True, slots=True)
class Stored:
    """A file of a message, as its row names it; sizes in bytes."""

    ref: str
    size: int
    sha256: str
    name: str
    content_type: str

    @classmethod
    def of(cls, file: Mapping[str, Any] | None) -> Self:
        """Raises NotFound for one whose bytes we do not have."""
        blob = (file or {}).get("blob")
        if not file or not blob:
            raise NotFound(
                "there are no bytes of this file: the case's timeline says what became of it",
                name="no-such-file",
            )
        return cls(
            ref=blob["ref"], size=blob["size"], sha256=blob["sha256"],
            name=file.get("name") or "file", content_type=file.get("content_type", ""),
        )  # fmt: skip


async def serve(blobs: Blobs, file: Stored, request: Request) -> Response:
    """The file, or the range asked for. Raises NotFound, BlobsUnavailable."""
    beginning = await blobs.part(file.ref, 0, BEGINNING)
    if beginning is None:
        raise NotFound("the bytes of this file are no longer kept", name="no-such-file")
    tag = f'"{file.sha256}"'
    headers = {
        **_SAFE,
        "ETag": tag,
        "Content-Type": sniff(beginning, file.content_type),
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.name, safe='')}",
    }
    if _is_known(request, tag):
        return Response(status_code=304, headers=headers)
    span = _span(request, tag, file.size)
    if span is None:
        return Response(
            status_code=416, headers={**headers, "Content-Range": f"bytes */{file.size}"}
        )
    start, stop = span
    headers["Content-Length"] = str(stop - start)
    whole = stop - start == file.size
    if not whole:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{file.size}"
    status = 200 if whole else 206
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    return StreamingResponse(_parts(blobs, file.ref, start, stop), status, headers)


async def _parts(blobs: Blobs, ref: str, start: int, stop: int) -> AsyncIterator[bytes]:
    for at in range(start, stop, _PART):
        part = await blobs.part(ref, at, min(at + _PART, stop))
        if not part:  # erased while it was read: the connection breaks off, short of its length
            raise BlobsUnavailable("a file went while it was being read")
        yield part


def _is_known(request: Request, tag: str) -> bool:
    given = request.headers.get("if-none-match", "")
    return given == "*" or tag in (each.strip().removeprefix("W/") for each in given.split(","))


def _span(request: Request, tag: str, size: int) -> tuple[int, int] | None:
    """From where up to where; all of it where no single range is asked for. None: there is no such
    range (RFC 9110, section 14)."""
    match = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    if match is None or match[0] == "bytes=-" or request.headers.get("if-range", tag) != tag:
        return 0, size
    first, last = match[1], match[2]
    if not first:
        start, stop = max(size - int(last), 0), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < int(first):
            return 0, size  # no range at all
    return (start, stop) if start < stop else None
