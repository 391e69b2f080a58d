"""The blob store: bytes too large or too raw for an event, in a folder or in S3.

A reference is handed out only after the bytes are durable, because the event that carries it
becomes durable next and must never point at nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from shared.blobs.folder import FolderBlobs
from shared.blobs.names import blob_for, owned, ref_for
from shared.settings import Settings

__all__ = ["Blobs", "FolderBlobs", "blob_for", "open_blobs", "owned", "ref_for"]


class Blobs(Protocol):
    """A store of bytes by reference. Raises BlobsUnavailable when it is away."""

    @property
    def root(self) -> Path:
        """A folder of this machine with room for large passing files."""

    async def put(self, contents: Sequence[tuple[str, bytes]]) -> None:
        """Makes all of them durable: (reference, bytes)."""

    async def get(self, ref: str) -> bytes | None:
        """The bytes, or None when they were erased or never came."""

    async def part(self, ref: str, start: int, stop: int) -> bytes | None:
        """The bytes from `start` up to `stop`, fewer at the end; None when they are not there."""

    async def remove(self, ref: str, since: float) -> bool:
        """Erases the bytes, unless they were put (again) after `since`, in seconds of the epoch;
        whether they are gone."""

    async def listed(self, folder: str, before: float) -> list[str]:
        """The refs of one folder (`00` … `ff`) that nobody put since then."""

    async def ping(self) -> None:
        """Raises BlobsUnavailable when nothing can be written."""


def open_blobs(settings: Settings) -> Blobs:
    """The store that REGIE_BLOBS names: a folder, or `s3://bucket/prefix`. Raises Misconfigured."""
    if settings.blobs.startswith("s3://"):
        from shared.blobs.s3 import S3Blobs  # its library is large, and most have a folder

        return S3Blobs.of(settings.blobs, settings.data_dir / "spool")
    return FolderBlobs(settings.blob_folder)
