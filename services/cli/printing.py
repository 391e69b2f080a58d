"""How what the API says is shown: as a table for people, as JSON for programs."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer
from rich.table import Table

AsJson = Annotated[bool, typer.Option("--json", help="As the API gives it.")]


def table_of(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        # What is copied into the next command stays on one line.
        table.add_column(column, no_wrap=column != "reason", overflow="fold")
    return table


def print_json(found: Any) -> None:
    sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
