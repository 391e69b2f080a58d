"""Blobs in S3, or in anything that speaks its protocol.

A name stands for a folder of copies, `<prefix>/ab/ab…/<put id>`, because S3 has no removal that is
sure to spare what is being put at that moment: each put makes an object of its own, and a removal
takes those it has seen (docs/adr/0012).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from shared.blobs.names import parts_of
from shared.errors import BlobsUnavailable, Misconfigured
from shared.ids import new_id

_AT_ONCE: Final = 8
_ROUNDING: Final = 2.0  # s; S3 dates in whole seconds, by its own clock
_PROBED: Final = 30.0  # s a successful probe is good for: each costs money
_OPTIONS: Final = ("endpoint", "region", "path_style")
_CLIENT: Final = {"timeout": "20s", "connect_timeout": "5s"}
_RETRIES: Final[Any] = {"max_retries": 2, "retry_timeout": timedelta(seconds=10)}
_HELP: Final = (
    "REGIE_BLOBS is a folder, or s3://bucket/prefix with "
    "?endpoint=https://…&region=…&path_style=true where they are needed"
)


class S3Blobs:
    """`root` is a folder of this machine for large passing files: nothing is kept there."""

    def __init__(self, store: S3Store, root: Path) -> None:
        self._store = store
        self.root = root
        self._limit = asyncio.Semaphore(_AT_ONCE)
        self._good_until = 0.0

    @classmethod
    def of(cls, url: str, root: Path) -> S3Blobs:
        """From REGIE_BLOBS. Credentials, and what the URL leaves out, come from the standard AWS
        variables (AWS_ACCESS_KEY_ID …). Raises Misconfigured."""
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        if not parts.netloc or "@" in parts.netloc or options.keys() - set(_OPTIONS):
            raise Misconfigured(f"{_HELP}; credentials never stand in it")
        given: dict[str, Any] = {k: options[k] for k in ("endpoint", "region") if options.get(k)}
        endpoint = options.get("endpoint", "")
        # A host of one's own seldom has a name for each bucket.
        path_style = options.get("path_style", "true" if endpoint else "false") == "true"
        client: Any = {**_CLIENT, "allow_http": endpoint.startswith("http://")}
        try:
            store = S3Store(
                parts.netloc, prefix=parts.path.strip("/") or None, client_options=client,
                retry_config=_RETRIES, virtual_hosted_style_request=not path_style, **given,
            )  # fmt: skip
        except (BaseError, ValueError) as error:
            raise Misconfigured(f"{_HELP}: {error}") from error
        return cls(store, root)

    async def put(self, contents: Sequence[tuple[str, bytes]]) -> None:
        """Returns once S3 has said yes to all of them."""
        await asyncio.gather(*(self._put(ref, content) for ref, content in contents))

    async def get(self, ref: str) -> bytes | None:
        return await self._read(ref, self._whole)

    async def part(self, ref: str, start: int, stop: int) -> bytes | None:
        if stop <= start:
            return b""
        return await self._read(ref, lambda path: self._range(path, start, stop))

    async def remove(self, ref: str, since: float) -> bool:
        """Copies put after `since` stay, and those of the two seconds before it."""
        with self._named("removed from"):
            copies = await self._copies(ref)
            old = [path for path, at in copies if at + _ROUNDING <= since]
            if old:
                await obstore.delete_async(self._store, old)
        return len(old) == len(copies)

    async def listed(self, folder: str, before: float) -> list[str]:
        newest: dict[str, float] = {}
        with self._named("listed in"):
            async for found in obstore.list(self._store, prefix=folder):
                for each in found:
                    ref = each["path"].rpartition("/")[0]
                    at = each["last_modified"].timestamp()
                    newest[ref] = max(newest.get(ref, 0.0), at)
        return [ref for ref, at in newest.items() if at + _ROUNDING <= before]

    async def ping(self) -> None:
        if time.monotonic() < self._good_until:
            return
        with self._named("written to"):
            await obstore.put_async(self._store, "probe", b"")
        self._good_until = time.monotonic() + _PROBED

    async def _put(self, ref: str, content: bytes) -> None:
        folder, name = parts_of(ref)
        async with self._limit:
            with self._named("written to"):
                await obstore.put_async(self._store, f"{folder}/{name}/{new_id().hex}", content)

    async def _read(self, ref: str, read: Callable[[str], Awaitable[bytes]]) -> bytes | None:
        with self._named("read from"):
            for path, _ in await self._copies(ref):
                try:
                    return await read(path)
                except FileNotFoundError:
                    continue  # removed since it was listed
        return None

    async def _whole(self, path: str) -> bytes:
        return bytes(await (await obstore.get_async(self._store, path)).bytes_async())

    async def _range(self, path: str, start: int, stop: int) -> bytes:
        size = (await obstore.head_async(self._store, path))["size"]
        if start >= size:
            return b""  # S3 refuses a range that begins behind the end
        read = obstore.get_range_async(self._store, path, start=start, end=min(stop, size))
        return bytes(await read)

    async def _copies(self, ref: str) -> list[tuple[str, float]]:
        folder, name = parts_of(ref)
        found = [
            (each["path"], each["last_modified"].timestamp())
            async for part in obstore.list(self._store, prefix=f"{folder}/{name}")
            for each in part
        ]
        return sorted(found, key=lambda copy: copy[1], reverse=True)

    @contextmanager
    def _named(self, done: str) -> Iterator[None]:
        """Every way S3 can fail, as the one its callers know."""
        try:
            yield
        except (BaseError, OSError) as error:
            raise BlobsUnavailable(
                f"the blob store in S3 cannot be {done}: check REGIE_BLOBS, the credentials and "
                f"the bucket's rights ({type(error).__name__})"
            ) from error
