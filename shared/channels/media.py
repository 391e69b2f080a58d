"""Files that stay with the provider until they are fetched: an attachment of an address.

`remote` makes one while a webhook is parsed; `download` fetches it, after the message is durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import unquote, urlsplit

import httpx

from shared.accounts import Account
from shared.channels.bodies import file_name
from shared.channels.posting import retry_after
from shared.errors import FetchError
from shared.events import Attachment
from shared.guard import origin_of, plain
from shared.guarded_http import UNCALLABLE

_LONGEST: Final = 2000  # characters of an address
# What telephones send; a file of another type is named without an extension.
_EXTENSIONS: Final = {
    "image/jpeg": ".jpg",
    "image/jpg": ".jpg",
    "image/png": ".png",
    "image/gif": ".gif",
    "image/webp": ".webp",
    "image/heic": ".heic",
    "video/mp4": ".mp4",
    "video/3gpp": ".3gp",
    "video/quicktime": ".mov",
    "audio/aac": ".aac",
    "audio/amr": ".amr",
    "audio/mpeg": ".mp3",
    "audio/mp4": ".m4a",
    "audio/ogg": ".ogg",
    "audio/wav": ".wav",
    "application/pdf": ".pdf",
    "text/plain": ".txt",
    "text/vcard": ".vcf",
    "text/x-vcard": ".vcf",
    "text/calendar": ".ics",
}
_TYPES: Final = {extension: kind for kind, extension in reversed(_EXTENSIONS.items())}
_VCARDS: Final = frozenset({"text/vcard", "text/x-vcard"})


def remote(
    url: str, content_type: str, *, name: str = "", media_id: str = "", sha256: str = ""
) -> Attachment | None:
    """The file at `url`; None where that is no address on the web."""
    if len(url) > _LONGEST or not _is_web_address(url):
        return None
    kind = content_type.partition(";")[0].strip().lower()
    return Attachment(
        name=file_name(name) or _name(kind, url),
        content_type=kind or "application/octet-stream",
        url=url,
        media_id=media_id,
        sha256=sha256,
    )


def type_of(name: str) -> str:
    """The content type a file's name or address ends in; empty where it ends in none we know."""
    try:
        path = urlsplit(name).path
    except ValueError:
        return ""
    stem, dot, ending = path.rpartition(".")
    return _TYPES.get(f".{ending.lower()}", "") if stem and dot else ""


def word(file: Attachment) -> str:
    """What to call a file of which nothing else is said: `image`, `contact`, `file`."""
    if file.content_type in _VCARDS:
        return "contact"
    main = file.content_type.partition("/")[0]
    return main if main in ("image", "video", "audio") else "file"


def _name(kind: str, url: str) -> str:
    if extension := _EXTENSIONS.get(kind):
        main = kind.partition("/")[0]
        return (main if main in ("image", "video", "audio") else "file") + extension
    return file_name(unquote(urlsplit(url).path)) or "file"


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


# --- fetching ------------------------------------------------------------------------------------

LIMIT: Final = 60.0  # s, for all of a file
_REDIRECTS: Final = 5
_SECRET: Final = frozenset(("authorization", "cookie", "proxy-authorization"))
_GONE: Final = frozenset((404, 410))


async def download(
    http: httpx.AsyncClient,
    url: str,
    headers: Mapping[str, str] | None = None,
    most: int = 25 * 1024 * 1024,
    *,
    limit: float = LIMIT,
) -> bytes:
    """The bytes at `url`, read as a stream: what is over `most` bytes is broken off.

    Redirects are followed (providers keep files elsewhere), a few, never from https to http, and
    credentials in `headers` stay with the host they were meant for. `http` must be the guarded
    client, which refuses private addresses at each step. `limit` in seconds, for all of it.

    Raises FetchError: gone, token, throttled, too_large, refused, timeout, unreachable, http_<n>.
    """
    sent = {"Accept-Encoding": "identity", **(headers or {})}
    try:
        async with asyncio.timeout(limit):
            for _ in range(_REDIRECTS + 1):
                found = await _get(http, url, sent, most)
                if isinstance(found, bytes):
                    return found
                sent, url = _carried(sent, url, found), found
    except TimeoutError as error:
        raise FetchError("timeout", f"no file within {limit:g} s", again=True) from error
    except UNCALLABLE as error:
        raise FetchError("refused", f"the address cannot be called: {error}") from error
    except httpx.HTTPError as error:
        reason = f"no connection to the file: {str(error) or type(error).__name__}"
        raise FetchError("unreachable", reason, again=True) from error
    raise FetchError("refused", f"the file's address leads elsewhere more than {_REDIRECTS} times")


def is_of(url: str, hosts: Sequence[str], account: Account) -> bool:
    """Whether `url` leads to the provider, so that the account's credentials may go there: https
    at one of `hosts` or below it, or where the account's `api_base` is."""
    base = origin_of(str(account.settings.get("api_base") or ""))
    if base is not None and origin_of(url) == base:
        return True
    parts = urlsplit(url)
    host = plain(parts.hostname or "")
    below = any(host == each or host.endswith(f".{each}") for each in hosts)
    return parts.scheme == "https" and below


async def _get(
    http: httpx.AsyncClient, url: str, headers: Mapping[str, str], most: int
) -> bytes | str:
    """The bytes, or the address to ask instead."""
    async with http.stream("GET", url, headers=headers, follow_redirects=False) as response:
        if response.is_redirect and (location := response.headers.get("location")):
            return _onward(url, location)
        if response.status_code != 200:
            raise _refusal(response)
        length = response.headers.get("content-length", "")
        if length.isascii() and length.isdigit() and int(length) > most:
            raise _too_large(most)
        content = bytearray()
        async for part in response.aiter_bytes():
            content += part
            if len(content) > most:
                raise _too_large(most)
        return bytes(content)


def _onward(url: str, location: str) -> str:
    onward = httpx.URL(url).join(location)
    if onward.scheme != "https" and httpx.URL(url).scheme == "https":
        raise FetchError("refused", "the file's address leads from https to an open connection")
    return str(onward)


def _carried(headers: Mapping[str, str], before: str, after: str) -> dict[str, str]:
    """What goes along to the next address: no credentials to another host."""
    old, new = httpx.URL(before), httpx.URL(after)
    same = (old.scheme, old.host, old.port) == (new.scheme, new.host, new.port)
    return {k: v for k, v in headers.items() if same or k.lower() not in _SECRET}


def _refusal(response: httpx.Response) -> FetchError:
    status = response.status_code
    if status in _GONE:
        # A recording is announced a moment before it can be had.
        return FetchError("gone", f"the provider has no such file (HTTP {status})", again=True)
    if status in (401, 403):
        reason = f"the provider refuses it to us (HTTP {status}): check the account's credentials"
        return FetchError("token", reason, again=True)
    if status == 429:
        return FetchError(
            "throttled", "too many files at once", again=True, retry_after=retry_after(response)
        )
    later = status >= 500 or status in (202, 408, 425)
    return FetchError(
        f"http_{status}", f"the provider answered HTTP {status}", again=later,
        retry_after=retry_after(response) if later else None,
    )  # fmt: skip


def _too_large(most: int) -> FetchError:
    return FetchError("too_large", f"the file is larger than the {most} bytes allowed")
