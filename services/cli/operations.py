"""`regie lag`, `regie positions …`."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.text import Text

from services.cli.client import call, console, get
from services.cli.printing import AsJson, print_json, table_of

_COLOURS = {"OK": "green", "WARN": "yellow", "NO_OFFSET": "yellow", "STALL": "red", "STOP": "red"}

positions = typer.Typer(help="Where each group stands in the log.", no_args_is_help=True)


def lag(
    as_json: AsJson = False,
    every: Annotated[bool, typer.Option("--all", help="Idle partitions too.")] = False,
) -> None:
    """How far behind every group is, and which reply deadlines that puts at risk."""
    found = get("/ops/lag")
    if as_json:
        print_json(found)
        return
    table = table_of("group", "topic", "partition", "lag", "oldest", "status", "reason")
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


@positions.command("list")
def list_positions(as_json: AsJson = False) -> None:
    """Every group's next offset in every partition."""
    found = get("/ops/positions")
    if as_json:
        print_json(found)
        return
    table = table_of("group", "topic", "partition", "next", "moved", "stopped")
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


@positions.command()
def resume(group: str) -> None:
    """Let a group that gave up go on where it stands, once its reason is mended."""
    found = call("POST", "/ops/positions/resume", json={"group": group}).json()["resumed"]
    for each in found:
        console.print(f"{group} goes on at {each['topic']}/{each['partition']} {each['next']}")
    if not found:
        console.print(f"nothing of {group} stands still: `regie positions list` names the groups")


def _lag_cells(part: dict[str, Any]) -> tuple[str | Text, ...]:
    seconds = part["lag_seconds"]
    return (
        str(part["partition"]),
        "-" if part["lag"] is None else str(part["lag"]),
        f"{seconds:.1f} s" if seconds else "",
        Text(part["status"], style=_COLOURS[part["status"]]),
        part["reason"],
    )
