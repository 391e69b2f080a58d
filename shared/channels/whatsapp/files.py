"""Files that leave by WhatsApp: what Meta takes as what, and how a file gets there.

Source: Meta, "Cloud API: media" ("Supported media types", "Upload media"; Graph API v23.0).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import httpx

from shared.accounts import Account
from shared.channels import File, FileLimits
from shared.channels.posting import post
from shared.channels.providers import meta_graph
from shared.channels.whatsapp.failures import CODES
from shared.channels.wire import clean_text, text_at
from shared.errors import SendError

_MB: Final = 1024 * 1024
_LARGEST: Final = {"image": 5 * _MB, "audio": 16 * _MB, "video": 16 * _MB, "document": 100 * _MB}
_KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "image": ("image/jpeg", "image/png"),
    "audio": ("audio/aac", "audio/mp4", "audio/mpeg", "audio/amr", "audio/ogg"),
    "video": ("video/mp4", "video/3gpp"),
    "document": (
        "text/plain", "application/pdf", "application/msword", "application/vnd.ms-excel",
        "application/vnd.ms-powerpoint",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ),
}  # fmt: skip
_KIND_OF: Final = {type: kind for kind, types in _KINDS.items() for type in types}
_SECONDS: Final = 10.0  # for all uploads of a message: nothing is with the customer before
CAPTIONED: Final = frozenset(("image", "video", "document"))
LONGEST_CAPTION: Final = 1024  # characters
LIMITS: Final = FileLimits(most=10, size=_LARGEST["document"])


def type_of(file: File) -> str:
    return file.content_type.partition(";")[0].strip().lower()


def kind_of(file: File) -> str:
    """`image`, `audio`, `video` or `document`. Raises SendError for what WhatsApp does not take,
    saying what it does."""
    kind = _KIND_OF.get(type_of(file), "document")
    if len(file.content) > _LARGEST[kind]:
        raise SendError(
            "rejected",
            f"{file.name} has {len(file.content) / _MB:.1f} MB and WhatsApp takes "
            f"{_LARGEST[kind] // _MB} MB of {kind}: send a smaller one, or a link",
        )
    if type_of(file) not in _KIND_OF and not file.url:
        raise SendError(
            "rejected",
            f"WhatsApp takes no upload of {type_of(file) or 'no type'} ({file.name}): send a PDF, "
            "or set REGIE_PUBLIC_URL, so that it can fetch the file from us",
        )
    return kind


async def placed(
    files: tuple[File, ...], account: Account, http: httpx.AsyncClient
) -> list[dict[str, Any]]:
    """Each file as a message names it: by the id of its upload, or by its link where Meta takes no
    upload of its type. Raises SendError; `again` while nothing else is wrong."""
    try:
        async with asyncio.timeout(_SECONDS):
            return [await _place(file, account, http) for file in files]
    except TimeoutError as error:
        reason = f"the files did not reach Meta within {_SECONDS:g} s"
        raise SendError("timeout", reason, again=True) from error


async def _place(file: File, account: Account, http: httpx.AsyncClient) -> dict[str, Any]:
    type = type_of(file)
    if type not in _KIND_OF:
        return {"link": file.url}
    if type == "audio/ogg":
        type = "audio/ogg; codecs=opus"  # Meta takes no other
    number = text_at(dict(account.settings), "phone_number_id")
    response = await post(
        http,
        meta_graph.address(account, number, "media"),
        headers=meta_graph.authorization(account),
        form={"messaging_product": "whatsapp", "type": type},
        files={"file": (clean_text(file.name) or "file", file.content, type)},
        repeatable=True,  # an upload reaches nobody
    )
    if not response.is_success:
        raise meta_graph.failure(response, CODES)
    return {"id": meta_graph.id_in(response, "id")}
