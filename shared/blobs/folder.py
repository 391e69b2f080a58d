"""Blobs in a folder of this machine, or of one that all processes mount."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from shared.blobs.names import parts_of
from shared.errors import BlobsUnavailable
from shared.ids import new_id


class FolderBlobs:
    """Two levels deep: the first two characters of a name, then the name."""

    def __init__(self, root: Path) -> None:
        self.root = root

    async def put(self, contents: Sequence[tuple[str, bytes]]) -> None:
        """Makes all of them durable. Raises BlobsUnavailable (disk full, no rights)."""
        if contents:
            await asyncio.to_thread(self._put, contents)

    async def get(self, ref: str) -> bytes | None:
        """The bytes, or None when they were erased or never came."""
        return await asyncio.to_thread(self._get, ref)

    async def part(self, ref: str, start: int, stop: int) -> bytes | None:
        """The bytes from `start` up to `stop`; None when they are not there."""
        return await asyncio.to_thread(self._get, ref, start, stop)

    async def remove(self, ref: str, since: float) -> bool:
        """Erases the bytes, unless they were put (again) after `since`, in seconds of the epoch;
        whether they are gone. Raises BlobsUnavailable."""
        return await asyncio.to_thread(self._remove, ref, since)

    async def listed(self, folder: str, before: float) -> list[str]:
        """The refs of one folder (`00` … `ff`) that nobody put since then. What a crash left half
        written or half removed goes."""
        return await asyncio.to_thread(self._listed, folder, before)

    async def ping(self) -> None:
        """Raises BlobsUnavailable when nothing can be written."""
        await asyncio.to_thread(self._check)

    def _put(self, contents: Sequence[tuple[str, bytes]]) -> None:
        try:
            folders = {self._write(ref, content) for ref, content in contents}
            for folder in folders - {None}:
                if folder is not None:
                    _sync_folder(folder)
        except OSError as error:
            raise BlobsUnavailable(
                f"the blob store at {self.root} cannot be written ({error.strerror}): "
                "free space or mend its rights; nothing was accepted meanwhile"
            ) from error

    def _write(self, ref: str, content: bytes) -> Path | None:
        path = self._path(ref)
        try:
            os.utime(path)  # so that nobody removes it who found it useless before (`remove`)
            return path.parent
        except FileNotFoundError:
            pass
        if not path.parent.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _sync_folder(self.root)
        part = path.with_name(f".{new_id().hex}.part")
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        return path.parent

    def _get(self, ref: str, start: int = 0, stop: int | None = None) -> bytes | None:
        try:
            with self._path(ref).open("rb") as file:
                file.seek(start)
                return file.read(-1 if stop is None else max(stop - start, 0))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BlobsUnavailable(f"the blob store at {self.root} cannot be read") from error

    def _remove(self, ref: str, since: float) -> bool:
        path = self._path(ref)
        aside = path.with_name(f".{path.name}.gone")
        try:
            with suppress(FileNotFoundError):
                path.rename(aside)  # from here on a `put` writes the file anew
            if aside.stat().st_mtime > since:
                aside.replace(path)
                return False
            aside.unlink()
            _sync_folder(path.parent)
        except FileNotFoundError:
            return True  # it never was, or went before
        except OSError as error:
            raise BlobsUnavailable(
                f"the blob store at {self.root} cannot be written ({error.strerror}): what has to "
                "go is still there, and is tried again"
            ) from error
        return True

    def _listed(self, folder: str, before: float) -> list[str]:
        found = []
        with suppress(FileNotFoundError), os.scandir(self.root / folder) as entries:
            for entry in entries:
                if entry.stat().st_mtime > before:
                    continue
                if entry.name.isalnum():
                    found.append(f"{folder}/{entry.name}")
                else:
                    Path(entry.path).unlink(missing_ok=True)
        return found

    def _path(self, ref: str) -> Path:
        return self.root.joinpath(*parts_of(ref))

    def _check(self) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            probe = self.root / ".probe"
            probe.write_bytes(b"")
        except OSError as error:
            raise BlobsUnavailable(
                f"the blob store at {self.root} cannot be written ({error.strerror})"
            ) from error


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
