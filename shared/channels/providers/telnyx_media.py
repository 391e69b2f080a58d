"""Telnyx's files. A recording's address lives for ten minutes; a new one is had by its id.

Sources: developers.telnyx.com/docs/voice/programmable-voice/recording ("the URLs expire after 10
minutes") and developers.telnyx.com/api/call-recordings/get-recording.
"""

from __future__ import annotations

import re
from typing import Final

import httpx

from shared.accounts import Account
from shared.channels import FileLimits
from shared.channels.media import download
from shared.channels.wire import load, mapping_at, text_at
from shared.errors import FetchError, Unreadable
from shared.events import Attachment

_API: Final = "https://api.telnyx.com"
_ID: Final = re.compile(r"[0-9A-Za-z_-]{8,64}")
_OVER: Final = frozenset(("gone", "token", "http_400"))  # how storage refuses an old signature
# developers.telnyx.com/docs/messaging/messages/send-receive-mms: ten files, 1 MB together, which
# it fetches.
FILES: Final = FileLimits(10, 1_000_000, total=1_000_000, links=True)
_MOST_JSON: Final = 64 * 1024


class TelnyxMedia:
    """Account settings: `api_key`, needed once an address is over; `api_base`."""

    async def fetch(
        self, file: Attachment, account: Account, http: httpx.AsyncClient, most: int
    ) -> bytes:
        """Raises FetchError. The address itself needs no credentials, and gets none."""
        try:
            return await download(http, file.url, {}, most)
        except FetchError as error:
            keys = account.secrets("api_key")
            if error.code not in _OVER or not keys or not _ID.fullmatch(file.media_id):
                raise
        return await download(http, await _anew(file, account, keys[0], http), {}, most)


async def _anew(file: Attachment, account: Account, key: str, http: httpx.AsyncClient) -> str:
    base = (text_at(dict(account.settings), "api_base") or _API).rstrip("/")
    headers = {"Authorization": f"Bearer {key}", "Accept": "application/json"}
    url = f"{base}/v2/recordings/{file.media_id}"
    try:
        found = load(await download(http, url, headers, _MOST_JSON))
    except Unreadable as error:
        raise FetchError("internal", f"Telnyx answered no JSON: {error}", again=True) from error
    links = mapping_at(mapping_at(found, "data"), "download_urls")
    if not (new := text_at(links, "mp3") or text_at(links, "wav")):
        raise FetchError("gone", "Telnyx has no file of this recording", again=True)
    return new
