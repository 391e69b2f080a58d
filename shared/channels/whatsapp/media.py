"""WhatsApp files: named and described now, fetched from Meta once the message is safe."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, Final

from shared.channels.bodies import file_name
from shared.channels.wire import text_at
from shared.errors import Unreadable
from shared.events import Attachment

# The types WhatsApp takes (Meta, "Supported media types"); other files carry their own name.
_EXTENSIONS: Final = {
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/webp": ".webp",
    "video/mp4": ".mp4",
    "video/3gpp": ".3gp",
    "audio/aac": ".aac",
    "audio/amr": ".amr",
    "audio/mpeg": ".mp3",
    "audio/mp4": ".m4a",
    "audio/ogg": ".ogg",
    "application/pdf": ".pdf",
    "text/plain": ".txt",
}


def attachment(type: str, part: Mapping[str, Any]) -> Attachment:
    """The file of an image, video, audio, document or sticker item.

    Raises Unreadable when it names neither a media id nor an address to fetch it from.
    """
    media_id, url = text_at(part, "id"), text_at(part, "url")
    if not (media_id or url):
        raise Unreadable(f"{type}.id is missing or is not a text")
    content_type = text_at(part, "mime_type")
    return Attachment(
        name=_name(type, text_at(part, "filename"), content_type),
        content_type=content_type or "application/octet-stream",
        media_id=media_id,
        url=url,
        sha256=hex_digest(text_at(part, "sha256")),
    )


def _name(type: str, filename: str, content_type: str) -> str:
    extension = _EXTENSIONS.get(content_type.partition(";")[0].strip().lower(), "")
    return file_name(filename) or type + extension


def hex_digest(sha256: str) -> str:
    """Meta gives a digest in base64, in some places in hex; the rest of Regie compares in hex.
    Empty where it is none."""
    if re.fullmatch(r"[0-9A-Fa-f]{64}", sha256):
        return sha256.lower()
    try:
        digest = base64.b64decode(sha256, validate=True)
    except (binascii.Error, ValueError):
        return ""
    return digest.hex() if len(digest) == 32 else ""
