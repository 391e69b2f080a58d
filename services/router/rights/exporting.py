"""Everything held of a person, in one document and its files. Bounded memory: rows go from the
database to a file as they come, a few at a time, in a number of statements that never grows.
"""

from __future__ import annotations

import asyncio
import tempfile
import zipfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO, Any, Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.router.rights import chats
from services.router.rights.letters import Found
from services.router.rights.scope import Scope
from shared.blobs import Blobs
from shared.database import driver

_ROWS: Final = 50
_CHUNK: Final = 256 * 1024
_COPIED: Final = 1024 * 1024


@dataclass
class Export:
    """A document in the making. `whole`: with the files; else the document alone."""

    connection: AsyncConnection
    blobs: Blobs
    scope: Scope
    letters: list[Found]
    whole: bool
    _files: list[tuple[str, str]] = field(default_factory=list)  # (path, ref)
    _sections: int = 0

    async def write(self) -> IO[bytes]:
        """A file without a name, at its beginning: JSON, or a ZIP of `data.json` and the files."""
        document = await asyncio.to_thread(self._spool)
        try:
            await self._write_document(document)
            if not self.whole:
                return _rewound(document)
            archive = await self._archive(document)
        except BaseException:
            document.close()
            raise
        document.close()
        return archive

    def _spool(self) -> IO[bytes]:
        """Beside the blobs, where there is room for such things; gone with its last reader."""
        self.blobs.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        return tempfile.TemporaryFile(dir=self.blobs.root)

    async def _write_document(self, out: IO[bytes]) -> None:
        out.write(b"{")
        for name, query in _OF_PEOPLE.items():
            await self._section(out, name, query, list(self.scope.customers))
        for name, query in _OF_CASES.items():
            await self._section(out, name, query, list(self.scope.cases))
        senders = [str(identity) for identity in self.scope.identities]
        await self._section(out, "wrong_codes", _WRONG_CODES, senders)
        cases, people = list(self.scope.cases), list(self.scope.customers)
        await self._section(out, "messages", _MESSAGES, cases, people)
        await self._section(out, "chat_sessions", chats.SESSIONS, *chats.of_sessions(self.scope))
        await self._section(out, "chat_lines", chats.LINES, *chats.of_lines(self.scope))
        ids = [found.id for found in self.letters]
        await self._section(out, "dead_letters", _LETTERS, ids)
        for found in self.letters:
            for number, ref in enumerate(found.refs, start=1):
                self._files.append((f"dead_letters/{found.id}-{number}", ref))
        out.write(b"}")

    async def _section(self, out: IO[bytes], name: str, query: str, *values: Any) -> None:
        out.write(b"%s\n%s: [" % (b"," if self._sections else b"", msgspec.json.encode(name)))
        self._sections += 1
        raw = await driver(self.connection)
        comma = b"\n"
        cursor = await raw.cursor(query, *values)
        while rows := await cursor.fetch(_ROWS):
            for row in rows:
                out.write(comma + await self._item(name, row[0]))
                comma = b",\n"
        out.write(b"]")

    async def _item(self, section: str, text: str) -> bytes:
        if section not in ("messages", "results"):
            return text.encode()
        item = msgspec.json.decode(text)
        if section == "results":
            place = f"results/{item['case_id']}-{item['name']}-{item['version']}"
            item["files"] = [self._file(place, n, f) for n, f in enumerate(item["files"], 1)]
        else:
            await self._message(item)
        return msgspec.json.encode(item)

    async def _message(self, item: dict[str, Any]) -> None:
        """The whole text and HTML, wherever they are kept."""
        data, place = item["data"], f"messages/{item['id']}"
        for name in ("text", "html"):
            if blob := data.pop(f"{name}_blob", None):
                body = await self.blobs.get(blob["ref"])
                item[name] = None if body is None else body.decode(errors="replace")
        if blob := data.pop("raw_blob", None):
            data["raw_file"] = self._kept(f"{place}/raw", blob["ref"])
        files = data.get("attachments", ())
        data["attachments"] = [self._file(place, n, f) for n, f in enumerate(files, 1)]

    def _file(self, place: str, number: int, file: Mapping[str, Any]) -> dict[str, Any]:
        """What is said of a file, and where it is in the archive."""
        said = {name: value for name, value in file.items() if name != "blob"}
        if blob := file.get("blob"):
            safe = PurePosixPath(str(file.get("name", "")).replace("\\", "/")).name or "file"
            said["file"] = self._kept(f"{place}/{number}-{safe}", blob["ref"])
        return said

    def _kept(self, path: str, ref: str) -> str | None:
        if not self.whole:
            return None
        self._files.append((path, ref))
        return path

    async def _archive(self, document: IO[bytes]) -> IO[bytes]:
        out = self._spool()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            await asyncio.to_thread(_copy, _rewound(document), archive, "data.json")
            for path, ref in self._files:
                body = await self.blobs.get(ref)
                if body is not None:
                    await asyncio.to_thread(archive.writestr, path, body)
        return _rewound(out)


def _rewound(file: IO[bytes]) -> IO[bytes]:
    file.seek(0)
    return file


def _copy(source: IO[bytes], archive: zipfile.ZipFile, name: str) -> None:
    with archive.open(name, "w", force_zip64=True) as target:
        while chunk := source.read(_COPIED):
            target.write(chunk)


async def chunks(file: IO[bytes]) -> AsyncIterator[bytes]:
    """The file to its end; then it is gone."""
    try:
        while chunk := await asyncio.to_thread(file.read, _CHUNK):
            yield chunk
    finally:
        file.close()


def _rows(table: str, where: str, order: str, columns: str = "*") -> str:
    return (
        f"SELECT to_jsonb(row)::text FROM (SELECT {columns} FROM {table} WHERE {where} "  # noqa: S608 - our own names
        f"ORDER BY {order}) AS row"
    )


_OF_PEOPLE: Final = {
    "customers": _rows("customers", "id = ANY($1)", "created_at, id"),
    "identities": _rows("identities", "customer_id = ANY($1)", "scheme, value"),
    "claims": _rows("identity_claims", "customer_id = ANY($1)", "scheme, value"),
    "conflicts": _rows(
        "identity_conflicts", "customer_id = ANY($1) OR other_id = ANY($1)", "at, id"
    ),
    "merges": _rows("merges", "winner = ANY($1) OR loser = ANY($1)", "at, id"),
    "erasures": _rows("erasures", "customer_id = ANY($1)", "asked_at, id"),
}
_OF_CASES: Final = {
    "cases": _rows("cases", "id = ANY($1)", "opened_at, id"),
    "events": _rows("case_events", "case_id = ANY($1)", "case_id, seq"),
    "decisions": _rows("decisions", "case_id = ANY($1)", "case_id, id"),
    "deadlines": _rows("deadlines", "case_id = ANY($1)", "case_id, number"),
    "promises": _rows("promises", "case_id = ANY($1)", "made_at, id"),
    "results": _rows("results", "case_id = ANY($1)", "case_id, name, version"),
    "handoffs": _rows("handoffs", "case_id = ANY($1)", "offered_at, id"),
    "resume_codes": _rows(
        "resume_codes", "case_id = ANY($1)", "created_at",
        "case_id, channel, address, created_at, expires_at, redeemed_at, redeemed_by",
    ),
    "surveys": _rows("surveys", "case_id = ANY($1)", "case_id"),
    "deliveries": _rows("deliveries", "case_id = ANY($1)", "created_at, id"),
    "attempts": _rows(
        "attempts", "delivery_id IN (SELECT id FROM deliveries WHERE case_id = ANY($1))",
        "delivery_id, number",
    ),
}  # fmt: skip
_MESSAGES: Final = _rows(
    "messages", "case_id = ANY($1) OR customer_id = ANY($2)", "occurred_at, id"
)
_WRONG_CODES: Final = _rows("wrong_codes", "sender = ANY($1)", "at")
_LETTERS: Final = _rows(
    "dead_letters", "id = ANY($1)", "first_at, id",
    "id, topic, account, type, reason, first_at, last_at, state, encode(value, 'escape') AS value",
)  # fmt: skip
