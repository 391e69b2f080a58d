"""Vonage's files: what came with a message, and the recordings of calls.

Sources: developer.vonage.com/voice/voice-api/code-snippets/download-a-recording and
developer.vonage.com/messages/code-snippets/mms/receive-mms: a token of the application goes along.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

import httpx

from shared.accounts import Account
from shared.channels import FileLimits
from shared.channels.media import download, is_of
from shared.channels.posting import basic
from shared.channels.providers import vonage
from shared.channels.wire import text_at
from shared.errors import FetchError, Misconfigured
from shared.events import Attachment

_HOSTS: Final = ("nexmo.com", "vonage.com")
# developer.vonage.com/messages/concepts/mms: one file, 600 kB, which it fetches.
FILES: Final = FileLimits(
    1, 600_000, types=("image/", "audio/", "video/", "text/vcard", "text/x-vcard"), links=True
)


def _now() -> datetime:
    return datetime.now(UTC)


class VonageMedia:
    """Account settings: `application_id` with `private_key`, which recordings need; for the files
    of messages `api_key` with `api_secret` will do. `now` dates the tokens."""

    def __init__(self, now: Callable[[], datetime] = _now) -> None:
        self._now = now

    async def fetch(
        self, file: Attachment, account: Account, http: httpx.AsyncClient, most: int
    ) -> bytes:
        """Raises FetchError. Credentials go to Vonage alone, whatever a message said."""
        if not is_of(file.url, _HOSTS, account):
            raise FetchError("refused", "this is no address of Vonage's: nothing is fetched there")
        return await download(http, file.url, self._headers(account), most)

    def _headers(self, account: Account) -> dict[str, str]:
        key, secrets = text_at(dict(account.settings), "api_key"), account.secrets("api_secret")
        if not account.secrets("private_key") and key and secrets:
            return {n.decode(): value.decode() for n, value in basic(key, secrets[0]).items()}
        try:
            token = vonage.token(account, self._now(), str(uuid4()))
        except Misconfigured as error:
            raise FetchError("token", f"{error}; without it no recording can be fetched") from error
        return {"Authorization": f"Bearer {token}"}
