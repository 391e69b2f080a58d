"""Every table of a database and every file of a folder, as text to be searched: a table that is
added later is searched too."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import transaction

LOG = frozenset(("log_record",))

_COLUMNS = """
SELECT table_name, column_name, data_type, udt_name FROM information_schema.columns
JOIN information_schema.tables USING (table_schema, table_name)
WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY table_name, ordinal_position
"""


async def rows_of(engine: AsyncEngine, *, besides: Collection[str] = LOG) -> dict[str, list[str]]:
    """Each table's rows, in text; bytes as they would be read."""
    async with transaction(engine) as connection:
        columns: dict[str, list[str]] = {}
        for table, name, kind, _ in await connection.execute(text(_COLUMNS)):
            written = f"encode(\"{name}\", 'escape')" if kind == "bytea" else f'"{name}"::text'
            columns.setdefault(table, []).append(f"coalesce({written}, '')")
        found = {}
        for table, parts in columns.items():
            if table not in besides:
                whole = " || chr(31) || ".join(parts)
                query = text(f'SELECT {whole} AS row FROM "{table}"'.replace(":", "\\:"))
                found[table] = [row.row for row in await connection.execute(query)]
    return found


def files_of(folder: Path) -> dict[str, str]:
    """Each file's name and what is in it, the hidden ones too."""
    return {
        str(path): path.read_bytes().decode(errors="replace")
        for path in folder.rglob("*")
        if path.is_file()
    }


def holding(found: dict[str, list[str]], needles: Iterable[str]) -> dict[str, set[str]]:
    """Which of these words stand in which table."""
    words = {needle.lower() for needle in needles}
    hits = {
        table: {word for word in words for row in rows if word in row.lower()}
        for table, rows in found.items()
    }
    return {table: said for table, said in hits.items() if said}
