"""A table as CSV (RFC 4180), safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

# What makes a spreadsheet take a cell for a formula (OWASP, "CSV Injection").
_RUNS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def sheet(columns: Sequence[str], items: Iterable[Mapping[str, Any]]) -> str:
    """A head, then a line for each item; empty where there is no value."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    writer.writerows([_cell(item[name]) for name in columns] for item in items)
    return out.getvalue()


def _cell(value: Any) -> Any:
    """Words that would run as a formula get an apostrophe before them; our own numbers do not."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, str) and value.lstrip(" ").startswith(_RUNS):
        return f"'{value}"
    return value
