"""Files people send a bot: pictures behind our token, documents behind a link that ends soon."""

from __future__ import annotations

import httpx

from shared.accounts import Account
from shared.channels.media import download
from shared.channels.teams.calls import Tokens
from shared.channels.teams.hosts import may_have_our_token
from shared.errors import FetchError, SendError
from shared.events import Attachment


class TeamsMedia:
    """Signs for Microsoft's bot services, and for no other host."""

    def __init__(self) -> None:
        self._tokens = Tokens()

    async def fetch(
        self, file: Attachment, account: Account, http: httpx.AsyncClient, most: int
    ) -> bytes:
        """Raises FetchError."""
        headers: dict[str, str] = {}
        if may_have_our_token(file.url, account):
            try:
                signed = await self._tokens.header(account, http)
            except SendError as error:
                raise FetchError(error.code, error.reason, again=error.again) from error
            headers = {name.decode(): value.decode() for name, value in signed.items()}
        return await download(http, file.url, headers, most)
