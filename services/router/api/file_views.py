"""A message's files as the API shows them: never by their place in the blob store. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal
from uuid import UUID

from pydantic import BaseModel

_BODIES: Final = ("text", "html")


class FileView(BaseModel):
    """A file of a message.

    state   stored (`url` has its bytes), waiting (it is fetched from its provider), lost (`reason`
            says why; it can be asked for again), or gone (no longer kept)
    inline  the HTML shows it, by its `content_id`
    """

    name: str
    content_type: str
    size: int | None
    state: Literal["stored", "waiting", "lost", "gone"]
    reason: str | None
    url: str | None
    sha256: str
    content_id: str
    inline: bool


def address(message_id: UUID | str, place: int | str) -> str:
    return f"/v1/attachments/{message_id}/{place}"


def shown(message_id: UUID | str, data: Mapping[str, Any]) -> dict[str, Any]:
    """`data` of a message for its reader: `attachments` as FileView, and where the whole of a long
    text and the cleaned HTML can be read (`text_url`, `html_url`)."""
    hidden = ("attachments", *(f"{name}_blob" for name in (*_BODIES, "raw")))
    said = {name: value for name, value in data.items() if name not in hidden}
    if files := data.get("attachments"):
        said["attachments"] = [
            view(message_id, number, file).model_dump() for number, file in enumerate(files, 1)
        ]
    for name in _BODIES:
        if data.get(f"{name}_blob"):
            said[f"{name}_url"] = address(message_id, name)
    return said


def view(message_id: UUID | str, number: int, file: Mapping[str, Any]) -> FileView:
    state = state_of(file)
    return FileView(
        name=file.get("name", ""),
        content_type=file.get("content_type", ""),
        size=file.get("size"),
        state=state,
        reason=file.get("lost") if state == "lost" else None,
        url=address(message_id, number) if state == "stored" else None,
        sha256=file.get("sha256", ""),
        content_id=file.get("content_id", ""),
        inline=bool(file.get("inline")),
    )


def state_of(file: Mapping[str, Any]) -> Literal["stored", "waiting", "lost", "gone"]:
    if file.get("blob"):
        return "stored"
    if file.get("lost"):
        return "lost"
    return "waiting" if file.get("url") or file.get("media_id") else "gone"
