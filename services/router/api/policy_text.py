"""A policy on the wire: its text as it was stored, or the same as JSON, and who put it there."""

from __future__ import annotations

import asyncio
from email.utils import format_datetime
from typing import Any, Final
from urllib.parse import quote

from starlette.responses import Response

from services.router.versions.rows import Version
from shared import yamlfile
from shared.errors import Invalid
from shared.web import Json, etag, unchanged

YAML: Final = "application/yaml"
JSON: Final = "application/json"
_PLAIN: Final = " !\"#$&'()*+,/:;<=>?@[]^`{|}"  # what a header may hold besides letters; not %


async def text_of(version: Version, source: str, accept: str, held: str | None) -> Response:
    headers = _headers(version)
    if unchanged(held, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    if not wants_json(accept):
        return Response(source, headers=headers, media_type=YAML)
    return Json(await asyncio.to_thread(_data, source), headers=headers)


def _data(source: str) -> Any:
    try:
        return yamlfile.read(source, "policy").data
    except yamlfile.FileError as error:
        raise Invalid(f"this version cannot be shown as JSON: ask for {YAML}") from error


def _headers(version: Version) -> dict[str, str]:
    """Who put it in force, when and why; percent-encoded where it is not ASCII."""
    return {
        "ETag": etag(version.version),
        "Last-Modified": format_datetime(version.created_at, usegmt=True),
        "Vary": "Accept",
        "Policy-Version": str(version.version),
        "Policy-Author": _ascii(version.author),
        "Policy-Reason": _ascii(version.reason),
        "Policy-Origin": version.origin,
        "Policy-Created-At": version.created_at.isoformat().replace("+00:00", "Z"),
    }


def _ascii(words: str) -> str:
    return quote(words, safe=_PLAIN)


def wants_json(accept: str) -> bool:
    """Whether JSON is liked better than YAML; of two liked as well, the one named first."""
    likes = {kind: _liking(accept, kind) for kind in (YAML, JSON)}
    return likes[JSON] > likes[YAML]


def _liking(accept: str, kind: str) -> tuple[float, int]:
    """(quality, how early it is named) of a kind in an Accept header; (0, 0) where it is not."""
    found = [(0.0, 0)]
    for index, part in enumerate(accept.split(",")):
        name, *parameters = (each.strip().lower() for each in part.split(";"))
        if name == kind:
            found.append((_quality(parameters), -index))
    return max(found)


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
