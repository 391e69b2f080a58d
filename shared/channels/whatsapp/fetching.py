"""Files that customers sent by WhatsApp: had from Meta once the message is safe, and checked.

Source: Meta, "Cloud API: media" ("Retrieve media URL", "Download media"): the address of a media id
is good for five minutes and needs the token, as does one that came with the webhook.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final
from urllib.parse import quote, urlsplit

import httpx

from shared.accounts import Account
from shared.channels.media import download
from shared.channels.providers import meta_graph
from shared.channels.whatsapp.media import hex_digest
from shared.channels.wire import load, text_at
from shared.errors import FetchError, Unreadable
from shared.events import Attachment

_DESCRIPTION: Final = 64 * 1024  # bytes, far more than Meta says about a file
_HOSTS: Final = ("fbcdn.net", "fbsbx.com", "facebook.com", "whatsapp.net")


class MetaMedia:
    """WhatsApp files at Meta. Settings: `access_token` (secret), `phone_number_id`, `api_base`."""

    async def fetch(
        self, file: Attachment, account: Account, http: httpx.AsyncClient, most: int
    ) -> bytes:
        """Raises FetchError; `changed` where the bytes are not those the customer sent."""
        headers = _authorization(account)
        url, told = file.url, ""
        if file.media_id:
            found = await _described(file.media_id, account, http, headers)
            url, told = text_at(found, "url"), text_at(found, "sha256")
            size = text_at(found, "file_size")
            if size.isascii() and size.isdigit() and len(size) < 16 and int(size) > most:
                raise FetchError("too_large", f"the file is larger than the {most} bytes allowed")
        _check_host(url, account)
        content = await download(http, url, headers, most)
        _check_bytes(content, file.sha256 or told)
        return content


async def _described(
    media_id: str, account: Account, http: httpx.AsyncClient, headers: dict[str, str]
) -> Any:
    number = text_at(dict(account.settings), "phone_number_id")
    url = meta_graph.address(account, quote(media_id, safe=""))
    if number:
        url += f"?phone_number_id={quote(number, safe='')}"
    try:
        return load(await download(http, url, headers, _DESCRIPTION))
    except FetchError as error:
        if error.code != "http_400":
            raise
        reason = "Meta has no such file, or no more: it keeps them for 30 days"
        raise FetchError("gone", reason) from error
    except Unreadable as error:
        raise FetchError("refused", "Meta's word on the file is no JSON", again=True) from error


def _authorization(account: Account) -> dict[str, str]:
    if not (tokens := account.secrets("access_token")):
        raise FetchError("token", f"account {account.name} has no access_token: it cannot fetch")
    return {"Authorization": f"Bearer {tokens[0]}"}


def _check_host(url: str, account: Account) -> None:
    """The token goes to Meta only, and to whom the channels file names in its place."""
    try:
        there, ours = urlsplit(url), urlsplit(meta_graph.base(account))
        known = (there.scheme, there.netloc) == (ours.scheme, ours.netloc)
        host = there.hostname or ""
    except ValueError:
        known, host = False, ""
    metas = any(host == each or host.endswith(f".{each}") for each in _HOSTS)
    if not known and not (metas and url.startswith("https://")):
        raise FetchError(
            "refused", f"the file is at {host[:80] or 'no address'}, which is not Meta's: "
            "the token stays here"
        )  # fmt: skip


def _check_bytes(content: bytes, promised: str) -> None:
    digest = hex_digest(promised)
    if digest and hashlib.sha256(content).hexdigest() != digest:
        raise FetchError("changed", "the file is not the one its digest names", again=True)
