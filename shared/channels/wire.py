"""JSON as it comes over the wire, made fit for a jsonb column, a log record and a reader."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from shared.errors import Unreadable

_DEEPEST: Final = 100


def load(body: bytes) -> Any:
    """The document in `body`, without NUL and lone surrogates, which PostgreSQL refuses.

    Providers do send both: a customer may paste anything, and an emoji cut in half is common.
    Raises Unreadable for what is not JSON in UTF-8, or is nested over 100 deep.
    """
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return clean(_lenient(body))
    # Only where it could matter does the whole document have to be walked.
    if b"\\u0000" in body or body.count(b"{") + body.count(b"[") > _DEEPEST:
        return clean(document)
    return document


def clean(value: Any, depth: int = _DEEPEST) -> Any:
    """`value` with NUL and lone surrogates taken out of every text in it."""
    if isinstance(value, str):
        return clean_text(value)
    if not isinstance(value, dict | list):
        return value
    if depth == 0:
        raise Unreadable(f"the JSON is nested more than {_DEEPEST} deep")
    if isinstance(value, list):
        return [clean(item, depth - 1) for item in value]
    return {clean_text(key): clean(item, depth - 1) for key, item in value.items()}


def clean_text(text: str) -> str:
    """`text` without NUL and lone surrogates."""
    return text.replace("\0", "").encode("utf-8", "ignore").decode()


def dump(item: Any) -> bytes:
    """`item` as JSON again, for a dead letter."""
    return json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode()


def _lenient(body: bytes) -> Any:
    # msgspec is strict where the standard library is not: `"\ud83d"` alone, and `1e999`.
    try:
        return json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"the body is not JSON in UTF-8: {error}") from error


def mapping_at(holder: Any, name: str) -> Mapping[str, Any]:
    """The object `holder[name]`; an empty one where there is none."""
    found = holder.get(name) if isinstance(holder, dict) else None
    return found if isinstance(found, dict) else {}


def list_at(holder: Any, name: str) -> Sequence[Any]:
    """The list `holder[name]`; an empty one where there is none."""
    found = holder.get(name) if isinstance(holder, dict) else None
    return found if isinstance(found, list) else []


def text_at(holder: Any, name: str) -> str:
    """The text `holder[name]`; numbers as they are written, empty where there is neither."""
    found = holder.get(name) if isinstance(holder, dict) else None
    if isinstance(found, str):
        return found.strip()
    return "" if found is None or isinstance(found, bool | dict | list) else str(found)


def need(holder: Any, name: str, where: str = "") -> str:
    """The text `holder[name]`. Raises Unreadable, naming it, where it is missing or empty."""
    found = text_at(holder, name)
    if not found:
        raise Unreadable(f"{where}{name} is missing or is not a text")
    return found
