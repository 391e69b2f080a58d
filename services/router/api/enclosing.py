"""Files that go with a reply: taken in with it or before it, and held against what the channel's
provider takes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

import msgspec
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.router.api import views
from services.router.handlers import Handlers
from shared.accounts import Account
from shared.blobs import blob_for
from shared.blobs.sniffing import sniff
from shared.channels import FileLimits
from shared.channels.bodies import file_name
from shared.channels.posted import PostedAttachment
from shared.channels.table import provider_of
from shared.database import driver, transaction
from shared.errors import Forbidden, Invalid, Misconfigured, TooLarge
from shared.events import Attachment
from shared.ids import new_id
from shared.security import Caller

LARGEST: Final = 25 * 1024 * 1024  # bytes, of a file and of a reply's files together
MOST: Final = 20
_KEPT: Final = timedelta(days=1)
_MB: Final = 1024 * 1024
_UPLOAD: Final = text(
    "INSERT INTO uploads (id, case_id, by, file, at) "
    "VALUES (:id, :case_id, :by, CAST(:file AS jsonb), :at)"
)
_FIND: Final = """
SELECT id, file::text AS file FROM uploads WHERE id = ANY($1) AND case_id = $2 AND at > $3
"""


class Upload(BaseModel):
    """A file that was handed in. `content_type` is what its bytes are."""

    id: UUID
    name: str
    content_type: str
    size: int
    sha256: str
    expires_at: datetime


class Uploaded(BaseModel):
    """A file that was handed in before, by its id."""

    model_config = ConfigDict(extra="forbid")

    id: UUID


Enclosed = Annotated[list[PostedAttachment | Uploaded], Field(max_length=MOST)]


async def keep_upload(
    handlers: Handlers, case_id: UUID, by: str, name: str, declared: str, content: bytes
) -> Upload:
    """Durable before anything names it. Raises Invalid for an empty file."""
    if not content:
        raise Invalid("the body is empty: send the bytes of the file")
    file = await asyncio.to_thread(_attachment, 1, name, declared, content, case_id)
    assert file.blob is not None
    await handlers.runtime.blobs.put([(file.blob.ref, content)])
    now, id = handlers.runtime.now(), new_id()
    values = {
        "id": id, "case_id": case_id, "by": by, "at": now,
        "file": msgspec.json.encode(file).decode(),
    }  # fmt: skip
    async with transaction(handlers.runtime.engine) as connection:
        await connection.execute(_UPLOAD, values)
    return Upload(
        id=id, name=file.name, content_type=file.content_type, size=file.blob.size,
        sha256=file.sha256, expires_at=now + _KEPT,
    )  # fmt: skip


async def enclosed(
    handlers: Handlers, who: Caller, case_id: UUID, given: Sequence[PostedAttachment | Uploaded]
) -> tuple[Attachment, ...]:
    """The files as the event carries them, on disk before it. Only for whoever may write there.

    Raises NotFound, Forbidden, Invalid, TooLarge.
    """
    async with transaction(handlers.runtime.engine) as connection:
        item = await views.one(connection, case_id, handlers, who)
        if not who.writes_team(item.team):
            raise Forbidden(f"this case is with team {item.team}: only they write on it")
        before = await _found(connection, case_id, given, handlers.runtime.now())
    new = await asyncio.to_thread(_new, given, case_id)
    files = [before[each.id] if isinstance(each, Uploaded) else new[n][0]
             for n, each in enumerate(given)]  # fmt: skip
    if sum(file.size or 0 for file in files) > LARGEST:
        raise TooLarge(f"the files may take {LARGEST // _MB} MB together: send fewer, or a link")
    contents = {file.blob.ref: content for file, content in new.values() if file.blob}
    await handlers.runtime.blobs.put(list(contents.items()))
    return tuple(files)


async def _found(
    connection: AsyncConnection,
    case_id: UUID,
    given: Sequence[PostedAttachment | Uploaded],
    now: datetime,
) -> dict[UUID, Attachment]:
    ids = [each.id for each in given if isinstance(each, Uploaded)]
    rows = await (await driver(connection)).fetch(_FIND, ids, case_id, now - _KEPT)
    found = {row["id"]: msgspec.json.decode(row["file"], type=Attachment) for row in rows}
    if missing := [str(id) for id in ids if id not in found]:
        raise Invalid(
            f"not handed in for this case within the last day: {', '.join(missing)}; "
            f"POST the bytes to /v1/cases/{case_id}/attachments and name the id it gives",
            name="unknown-upload",
        )
    return found


def _new(
    given: Sequence[PostedAttachment | Uploaded], case_id: UUID
) -> dict[int, tuple[Attachment, bytes]]:
    return {
        n: (_attachment(n + 1, each.name, each.content_type, each.content, case_id), each.content)
        for n, each in enumerate(given)
        if isinstance(each, PostedAttachment)
    }


def _attachment(number: int, name: str, declared: str, content: bytes, case_id: UUID) -> Attachment:
    if not content:
        raise Invalid(f"file {number} is empty: send its bytes in base64 as `content`")
    blob = blob_for(content, case_id.bytes)
    return Attachment(
        name=file_name(name) or f"file {number}",
        content_type=sniff(content, declared),
        size=blob.size,
        blob=blob,
        sha256=blob.sha256,
    )


# --- what a channel takes -----------------------------------------------------------------------


def unfit(
    accounts: Iterable[Account], files: Sequence[Attachment], public_url: str
) -> dict[str, str]:
    """Why these files cannot leave by an account, by its name; those that take them are not in
    it."""
    if not files:
        return {}
    told = {account.name: _why(account, files, public_url) for account in accounts}
    return {name: why for name, why in told.items() if why}


def _why(account: Account, files: Sequence[Attachment], public_url: str) -> str:
    place = f"account {account.name} ({account.channel}, {account.provider})"
    try:
        limits = provider_of(account).files
    except Misconfigured as error:
        return str(error)
    if limits is None:
        return f"{place} takes no files: send a link, or hand off to a channel that does"
    if limits.links and not public_url:
        return (
            f"{place} fetches files from us: set REGIE_PUBLIC_URL to the address Regie has on the "
            "internet, or send a link"
        )
    if _fits(limits, files):
        return ""
    return f"{place} takes {_written(limits)}: send fewer or smaller files, or a link"


def _fits(limits: FileLimits, files: Sequence[Attachment]) -> bool:
    sizes = [file.size or 0 for file in files]
    right = (not limits.types or f.content_type.startswith(tuple(limits.types)) for f in files)
    return (
        len(files) <= limits.most
        and max(sizes) <= limits.size
        and (not limits.total or sum(sizes) <= limits.total)
        and all(right)
    )


def _written(limits: FileLimits) -> str:
    said = [f"{limits.most} file(s) a message", f"{limits.size / _MB:g} MB each"]
    if limits.total:
        said.append(f"{limits.total / _MB:g} MB together")
    if limits.types:
        said.append("of types " + ", ".join(limits.types))
    return ", ".join(said)
