"""`regie keys …`: straight to the database, because the first key cannot be made with a key."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from services.cli.client import DataDir, console, fail

if TYPE_CHECKING:
    from shared.api_keys import KeyRow

keys = typer.Typer(help="API keys; each is shown once.", no_args_is_help=True)


class RoleName(StrEnum):
    integrator = "integrator"
    agent = "agent"
    supervisor = "supervisor"
    operator = "operator"
    admin = "admin"


@keys.command()
def create(
    role: Annotated[RoleName, typer.Option(help="What the key may do.")],
    agent: Annotated[str, typer.Option(help="The agent's name.")] = "",
    team: Annotated[list[str] | None, typer.Option(help="Only these teams; repeatable.")] = None,
    account: Annotated[
        list[str] | None, typer.Option(help="Only these accounts; repeatable.")
    ] = None,
    expires: Annotated[str, typer.Option(help="After how long, e.g. 90d; default never.")] = "",
    data_dir: DataDir = None,
) -> None:
    """Make a key and print it. It cannot be shown again."""
    from services.cli.database import in_database
    from shared import api_keys

    grant = api_keys.Grant(
        role.value, agent, tuple(team or ()), tuple(account or ()), _expiry(expires)
    )
    # To be piped into a variable: the key alone.
    typer.echo(in_database(data_dir, lambda connection: api_keys.create(connection, grant)))


@keys.command("list")
def list_keys(data_dir: DataDir = None) -> None:
    """All keys, without their secrets."""
    from services.cli.database import in_database
    from shared import api_keys

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("id", "role", "agent", "teams", "accounts", "made", "expires", "state"):
        table.add_column(column, overflow="fold")
    for key in in_database(data_dir, api_keys.listing):
        table.add_row(
            key.id, key.role, key.agent, ", ".join(key.teams) or "all",
            ", ".join(key.accounts) or "all", _day(key.created_at), _day(key.expires_at),
            _state(key),
        )  # fmt: skip
    console.print(table if table.row_count else "no keys: `regie keys create` makes one")


@keys.command()
def revoke(
    key: Annotated[str, typer.Argument(help="Its id, or the whole key.")], data_dir: DataDir = None
) -> None:
    """Take a key back. In force within 5 s, at ingest within 60 s."""
    from services.cli.database import in_database
    from shared import api_keys

    in_database(data_dir, lambda connection: api_keys.revoke(connection, key))
    console.print("revoked")


def _expiry(expires: str) -> datetime | None:
    from shared.durations import Duration

    if not expires:
        return None
    try:
        return Duration.parse(expires).after(datetime.now(UTC))
    except ValueError as error:
        fail(f"--expires: {error}")


def _state(key: KeyRow) -> str:
    if key.revoked_at is not None:
        return "revoked"
    expired = key.expires_at is not None and key.expires_at <= datetime.now(UTC)
    return "expired" if expired else "in force"


def _day(at: datetime | None) -> str:
    return at.strftime("%Y-%m-%d") if at else "never"
