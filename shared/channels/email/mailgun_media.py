"""Files that a route's `store()` kept at Mailgun.

Source: documentation.mailgun.com, "Storing and retrieving messages": they are had with the API's
key, for three days.
"""

from __future__ import annotations

from typing import Final

import httpx

from shared.accounts import Account
from shared.channels.media import download, is_of
from shared.channels.posting import basic
from shared.errors import FetchError
from shared.events import Attachment

_HOSTS: Final = ("mailgun.net",)


class MailgunMedia:
    """Account setting: `api_key`."""

    async def fetch(
        self, file: Attachment, account: Account, http: httpx.AsyncClient, most: int
    ) -> bytes:
        """Raises FetchError. The key goes to Mailgun alone: its signature covers no address."""
        if not is_of(file.url, _HOSTS, account):
            raise FetchError("refused", "this is no address of Mailgun's: nothing is fetched there")
        keys = account.secrets("api_key")
        if not keys:
            raise FetchError("token", "give the account its api_key: Mailgun keeps this file")
        shown = {name.decode(): value.decode() for name, value in basic("api", keys[0]).items()}
        return await download(http, file.url, shown, most)
