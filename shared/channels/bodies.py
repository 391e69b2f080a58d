"""Bodies too large for the log: kept whole in the blob store, with their beginning in the event."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from shared.blobs import blob_for
from shared.channels import NewBlob
from shared.events import Blob

LARGEST: Final = 256_000  # bytes of UTF-8 that an event may carry (DESIGN 3)
_LONGEST_NAME: Final = 200
_BEGINNING: Final = 10_000  # characters of a larger text that stay in the event


class Kept(NamedTuple):
    """A text as the event carries it; `blob` is the whole of it where that is larger."""

    text: str
    blob: Blob | None = None
    new: tuple[NewBlob, ...] = ()


def keep(text: str) -> Kept:
    """`text`, or its first 10,000 characters and a blob where it is over 256 kB."""
    if len(text) <= LARGEST // 4 or len(content := text.encode()) <= LARGEST:
        return Kept(text)
    blob = blob_for(content)
    return Kept(text[:_BEGINNING], blob, (NewBlob(blob.ref, content),))


def file_name(given: str) -> str:
    """The last part of a sender's name for a file: it never names a folder of ours."""
    return re.split(r"[/\\]", given)[-1].strip(" .")[-_LONGEST_NAME:]
