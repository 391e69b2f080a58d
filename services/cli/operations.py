"""`regie lag`, `regie dead-letters …`, `regie positions set`."""

from __future__ import annotations

import json
import sys
from base64 import b64decode
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from services.cli.client import call, console, fail, get

AsJson = Annotated[bool, typer.Option("--json", help="As the API gives it.")]
Ids = Annotated[list[str], typer.Argument(help="As `regie dead-letters list` shows them.")]

_COLOURS = {"OK": "green", "WARN": "yellow", "NO_OFFSET": "yellow", "STALL": "red", "STOP": "red"}

dead_letters = typer.Typer(help="What could not be read or handled.", no_args_is_help=True)
positions = typer.Typer(help="Where each group stands in the log.", no_args_is_help=True)


def lag(
    as_json: AsJson = False,
    every: Annotated[bool, typer.Option("--all", help="Idle partitions too.")] = False,
) -> None:
    """How far behind every group is, and which reply deadlines that puts at risk."""
    found = get("/ops/lag")
    if as_json:
        _print_json(found)
        return
    table = _table("group", "topic", "partition", "lag", "oldest", "status", "reason")
    for group in found["groups"]:
        for topic in group["topics"]:
            for part in topic["partitions"]:
                if every or part["lag"] or part["status"] != "OK":
                    table.add_row(group["group"], topic["topic"], *_lag_cells(part))
    if table.row_count:
        console.print(table)
    else:
        console.print(f"nothing waits: {len(found['groups'])} groups are OK")
    for risk in found["deadlines_at_risk"]:
        console.print(
            f"{risk['count']} replies of {risk['team']} on {risk['channel']} are at risk, "
            f"the first at {risk['earliest']}",
            style="red",
        )


@dead_letters.command("list")
def list_letters(
    state: Annotated[str, typer.Option(help="waiting, replayed, discarded or all")] = "waiting",
    account: Annotated[str, typer.Option(help="Only of this account.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    as_json: AsJson = False,
) -> None:
    """The latest first."""
    found = get("/ops/dead-letters", state=state, account=account, limit=limit)
    if as_json:
        _print_json(found)
        return
    table = _table("id", "account", "type", "seen", "last", "state", "reason")
    for item in found["items"]:
        table.add_row(
            item["id"], item["account"], item["type"] or item["topic"], str(item["count"]),
            item["last_at"], item["state"], item["reason"],
        )  # fmt: skip
    console.print(table if table.row_count else "no dead letters")
    if found["next_cursor"]:
        console.print("there are more: raise --limit")


@dead_letters.command("show")
def show_letter(
    letter: Annotated[str, typer.Argument(help="An id of `regie dead-letters list`.")],
    raw: Annotated[bool, typer.Option("--raw", help="Its bytes alone, as they came.")] = False,
) -> None:
    """One dead letter with its reason and its bytes."""
    found = get(f"/ops/dead-letters/{letter}")
    if raw:
        if found["raw"] is None:
            fail("its bytes are gone from the blob store")
        sys.stdout.buffer.write(b64decode(found["raw"]))
        return
    _print_json(found)


@dead_letters.command()
def replay(letters: Ids) -> None:
    """Once more through the parser or the topic, as late arrivals."""
    call("POST", "/ops/dead-letters/replay", json={"ids": letters})
    console.print(f"replayed {len(letters)}")


@dead_letters.command()
def discard(
    letters: Ids, note: Annotated[str, typer.Option(help="Why; kept with them.")] = ""
) -> None:
    """Take them off the list; they are kept."""
    call("POST", "/ops/dead-letters/discard", json={"ids": letters, "note": note})
    console.print(f"discarded {len(letters)}")


@positions.command("list")
def list_positions(as_json: AsJson = False) -> None:
    """Every group's next offset in every partition."""
    found = get("/ops/positions")
    if as_json:
        _print_json(found)
        return
    table = _table("group", "topic", "partition", "next", "moved", "stopped")
    for item in found["items"]:
        table.add_row(
            item["group"], item["topic"], str(item["partition"]), str(item["next"]),
            item["moved_at"], item["stopped"],
        )  # fmt: skip
    console.print(table)


@positions.command("set")
def set_position(
    group: str,
    topic: str,
    partition: int,
    offset: Annotated[str, typer.Argument(metavar="NEXT", help="An offset, `start` or `end`.")],
) -> None:
    """Decide where a group goes on. What this skips is never handled."""
    place = {"group": group, "topic": topic, "partition": partition}
    following: int | str = int(offset) if offset.isdigit() else offset
    found = call("PUT", "/ops/positions", json=place | {"next": following}).json()
    console.print(f"{group} goes on at {topic}/{partition} {found['next']}")


def _lag_cells(part: dict[str, Any]) -> tuple[str | Text, ...]:
    seconds = part["lag_seconds"]
    return (
        str(part["partition"]),
        "-" if part["lag"] is None else str(part["lag"]),
        f"{seconds:.1f} s" if seconds else "",
        Text(part["status"], style=_COLOURS[part["status"]]),
        part["reason"],
    )


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        # What is copied into the next command stays on one line.
        table.add_column(column, no_wrap=column != "reason", overflow="fold")
    return table


def _print_json(found: Any) -> None:
    sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
