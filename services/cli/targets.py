"""`regie targets …`: whom Regie notifies, and the secrets it signs with."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.table import Table

from services.cli.client import call, console, errors, fail, get

targets = typer.Typer(help="Whom Regie notifies, and how it signs.", no_args_is_help=True)


@targets.command("list")
def list_targets(
    as_json: Annotated[bool, typer.Option("--json", help="As the API gives it.")] = False,
) -> None:
    """Every target of the policy file, and every other that was ever notified."""
    found = get("/v1/targets")
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    table = Table("id", "kind", "address", "secret", "state", box=None, header_style="bold")
    for item in found["items"]:
        table.add_row(
            item["id"], item["kind"], item["address"], _secret(item), _state(item)
        )  # fmt: skip
    console.print(table if table.row_count else "no targets: the policy's `notify` names them")


@targets.command()
def rotate(
    target: Annotated[str, typer.Argument(help="An id of `regie targets list`, or the address.")],
) -> None:
    """Make a new signing secret and print it, this once. The first is made so, too."""
    found = call("POST", f"/v1/targets/{_id_of(target)}/rotate").json()
    sys.stdout.write(found["secret"] + "\n")
    if found["previous_until"]:
        errors.print(f"the secret before signs as well until {found['previous_until']}")


def _id_of(target: str) -> str:
    try:
        return str(UUID(target))
    except ValueError:
        found = [item["id"] for item in get("/v1/targets")["items"] if item["address"] == target]
    return (
        str(found[0]) if found else fail(f"there is no target {target}: see `regie targets list`")
    )


def _secret(item: dict[str, Any]) -> str:
    return f"since {item['rotated_at']}" if item["rotated_at"] else "never shown: rotate it"


def _state(item: dict[str, Any]) -> str:
    return f"closed: {item['disabled_reason']}" if item["disabled_at"] else "open"
