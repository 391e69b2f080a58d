"""Files that stay with the provider until they are fetched: an attachment of an address."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote, urlsplit

from shared.channels.bodies import file_name
from shared.events import Attachment

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
