"""`regie erasures export|apply`: the ledger, for the day a backup is restored.

On the database itself, not over HTTP: after a restore it is applied before anything starts.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from services.cli.client import DataDir, console

erasures = typer.Typer(help="Who was erased, for restored backups.", no_args_is_help=True)


@erasures.command()
def export(data_dir: DataDir = None) -> None:
    """Print the ledger: keep it apart from the backups, and newer than each of them."""
    from services.cli.database import in_database
    from services.router.rights import book

    sys.stdout.buffer.write(in_database(data_dir, book.export) + b"\n")


@erasures.command()
def apply(
    file: Annotated[Path, typer.Argument(help="As `export` printed it.", dir_okay=False)],
    data_dir: DataDir = None,
) -> None:
    """Take the ledger into a restored database, before `regie serve`: that erases again at once
    whoever stands there again."""
    from services.cli.client import fail
    from services.cli.database import in_database
    from services.router.rights import book
    from shared.errors import Misconfigured

    try:
        text = file.read_bytes()
        read, back = in_database(data_dir, lambda connection: book.apply(connection, text))
    except (OSError, Misconfigured) as error:
        fail(str(error))
    console.print(f"{read} requests read; {back} to be erased again at the next start")
