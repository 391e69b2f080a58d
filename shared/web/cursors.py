"""Opaque cursors: where the next page begins, in a form no client should take apart."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TypeVar

import msgspec

from shared.errors import Invalid

T = TypeVar("T")


def encode_cursor(*values: object) -> str:
    """The sort key of the last item shown: datetimes, UUIDs, numbers, strings."""
    return urlsafe_b64encode(msgspec.json.encode(values)).rstrip(b"=").decode()


def decode_cursor(cursor: str, shape: type[T]) -> T:
    """The values again, as `shape` says: `tuple[datetime, int, UUID]`. Raises Invalid."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return msgspec.json.decode(urlsafe_b64decode(padded), type=shape)
    except (ValueError, msgspec.MsgspecError) as error:
        raise Invalid(
            "the cursor is not one of ours: start again without it, then follow next_cursor",
            name="cursor-invalid",
        ) from error
