"""Twilio's files: what came with a message, and the recordings of calls.

Sources: twilio.com/docs/messaging/api/media-resource and twilio.com/docs/voice/api/recording
("Fetch a Recording media file"): both are had with the account's credentials, where it enforces
HTTP basic authentication for media, and lead on to where the bytes are kept.
"""

from __future__ import annotations

import re
from typing import Final

import httpx

from shared.accounts import Account
from shared.channels.media import download, is_of
from shared.channels.posting import basic
from shared.channels.wire import text_at
from shared.errors import FetchError
from shared.events import Attachment

_HOSTS: Final = ("twilio.com",)
_ACCOUNT: Final = re.compile(r"/Accounts/(AC[0-9a-fA-F]{32})/")


class TwilioMedia:
    """Account settings: `auth_token`, of which each is tried while one is being replaced, and
    `account_sid`, where the address does not name it."""

    async def fetch(
        self, file: Attachment, account: Account, http: httpx.AsyncClient, most: int
    ) -> bytes:
        """Raises FetchError. Credentials go to Twilio alone, whatever a message said."""
        if not is_of(file.url, _HOSTS, account):
            raise FetchError("refused", "this is no address of Twilio's: nothing is fetched there")
        sid, tokens = _sid(file.url, account), account.secrets("auth_token")
        if not (sid and tokens):
            return await download(http, file.url, {}, most)
        for token in tokens[:-1]:
            try:
                return await download(http, file.url, _headers(sid, token), most)
            except FetchError as error:
                if error.code != "token":
                    raise
        return await download(http, file.url, _headers(sid, tokens[-1]), most)


def _sid(url: str, account: Account) -> str:
    named = _ACCOUNT.search(url)
    return text_at(dict(account.settings), "account_sid") or (named[1] if named else "")


def _headers(sid: str, token: str) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in basic(sid, token).items()}
