"""Links to one file that open without a key, for a while: for a page's `<img>`, and for providers
that fetch what they send.

A link names a message and the place of the file in it, so that what is erased is gone under every
link; it says until when it is good, and is signed with a key of this installation that has no
other use.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import struct
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database import driver
from shared.errors import NotFound

LIVES: Final = timedelta(hours=1)
_PURPOSE: Final = b"regie file link 1\x1f"
_NAMED: Final = struct.Struct(">16sHI")  # message, place from 1, good until (seconds)
_SIGNED: Final = 16  # bytes of the signature: half of SHA-256, as is usual for a short-lived one


@dataclass(frozen=True, slots=True)
class Links:
    """Makes and opens them. `base` is REGIE_PUBLIC_URL, or empty."""

    secret: bytes
    base: str = ""

    def sign(self, message_id: UUID, number: int, until: datetime) -> str:
        """The address: whole with a `base`, else from `/` on."""
        named = _NAMED.pack(message_id.bytes, number, int(until.timestamp()))
        token = base64.urlsafe_b64encode(named + self._mac(named)).rstrip(b"=").decode()
        return f"{self.base.rstrip('/')}/v1/files/{token}"

    def open(self, token: str, now: datetime) -> tuple[UUID, int]:
        """The message and the place. Raises NotFound for what is forged, and for what is over."""
        try:
            signed = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True)
        except (binascii.Error, ValueError):
            signed = b""
        named = signed[: _NAMED.size]
        if len(signed) != _NAMED.size + _SIGNED or not hmac.compare_digest(
            signed[_NAMED.size :], self._mac(named)
        ):
            raise NotFound("this is no link of ours: ask for a new one")
        message, number, until = _NAMED.unpack(named)
        if until <= now.timestamp():
            raise NotFound("this link is over: ask for a new one", name="link-over")
        return UUID(bytes=message), number

    def _mac(self, named: bytes) -> bytes:
        return hmac.digest(self.secret, _PURPOSE + named, "sha256")[:_SIGNED]


async def links(connection: AsyncConnection, base: str = "") -> Links:
    """Those of this installation."""
    return Links(bytes(await (await driver(connection)).fetchval("SELECT key FROM link_key")), base)
