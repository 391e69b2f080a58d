"""Versions on the wire: the ETag of a case is `"7"`, and `If-Match` brings it back."""

from __future__ import annotations

import re
from typing import Final

from shared.errors import Invalid

_TAG: Final = re.compile(r'^\s*(?:W/)?"?(\d{1,9})"?\s*$')


def etag(version: int | str) -> str:
    return f'"{version}"'


def if_match(header: str | None) -> int | None:
    """The version the caller has seen; None without the header. Raises Invalid."""
    if header is None:
        return None
    found = _TAG.match(header)
    if found is None:
        raise Invalid('If-Match takes one version as its ETag showed it: If-Match: "7"')
    return int(found[1])


def unchanged(if_none_match: str | None, tag: str) -> bool:
    """Whether the caller holds this very version already (then 304 is the answer)."""
    if not if_none_match:
        return False
    held = {part.strip().removeprefix("W/") for part in if_none_match.split(",")}
    return tag.removeprefix("W/") in held or "*" in held
