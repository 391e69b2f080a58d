"""Pictures and films of direct messages: behind the account's own credentials."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import httpx

from shared.accounts import Account
from shared.channels.media import download
from shared.channels.x.oauth import authorization
from shared.errors import FetchError, SendError
from shared.events import Attachment

# Of direct messages; everything else X shows to anybody, and is asked for without a token.
_OURS_ONLY: Final = frozenset(("ton.twitter.com", "ton.x.com"))


class XMedia:
    """Signs for X's own store of private files, and for no other host."""

    async def fetch(
        self, file: Attachment, account: Account, http: httpx.AsyncClient, most: int
    ) -> bytes:
        """Raises FetchError."""
        parts = urlsplit(file.url)
        headers: dict[str, str] = {}
        if parts.scheme == "https" and parts.hostname in _OURS_ONLY:
            try:
                signed = authorization(account, "GET", file.url)
            except SendError as error:
                raise FetchError("token", error.reason) from error
            headers = {name.decode(): value.decode() for name, value in signed.items()}
        return await download(http, file.url, headers, most)
