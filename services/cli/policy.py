"""`regie policy …`: what a service manager may change, checked here and put in force over HTTP."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from services.cli.client import call, console, errors, fail, get
from services.cli.dry_run import dry_run
from services.cli.preview import preview
from services.cli.printing import AsJson
from services.cli.problems import line_of, refuse

policy = typer.Typer(help="What a service manager may change.", no_args_is_help=True)
policy.command("dry-run")(dry_run)
policy.command("preview")(preview)

File = Annotated[Path, typer.Argument(help="A policy file, YAML or JSON.", dir_okay=False)]
Why = Annotated[str, typer.Option("--reason", help="For the list of versions.")]
Seen = Annotated[
    int | None,
    typer.Option("--if-version", min=1, help="Only while this version is in force."),
]
_TYPES: Final = {".json": "application/json"}
_UNCHANGED: Final = "nothing was changed"


@policy.command()
def check(file: File) -> None:
    """Read the file and run its tests: exit status 0 means it may be put in force."""
    console.print(_checked(file)[1])


@policy.command()
def apply(file: File, reason: Why, if_version: Seen = None) -> None:
    """Put the file in force as a new version, in every router at once."""
    source, _ = _checked(file)
    seen = f'"{if_version}"' if if_version else call("GET", "/v1/policy").headers["etag"]
    kind = _TYPES.get(file.suffix, "application/yaml")
    answer = call(
        "PUT", "/v1/policy", params={"reason": reason}, content=source.encode(),
        headers={"If-Match": seen, "Content-Type": kind}, accepted=(412, 422),
    )  # fmt: skip
    if answer.status_code == 422:
        refuse(answer.json(), file, _UNCHANGED)
    if answer.status_code == 412:
        fail(
            f"{answer.json()['detail']}; nothing was changed. `regie policy show` has that text: "
            f"take it over into {file}, then apply again"
        )
    _told(answer.json(), str(file))


@policy.command()
def rollback(
    version: Annotated[int, typer.Argument(min=1, help="As `regie policy versions` shows it.")],
    reason: Why,
) -> None:
    """Put an earlier version in force again, as a new one."""
    answer = call(
        "POST", "/v1/policy/rollback", json={"version": version, "reason": reason}, accepted=(422,)
    )
    if answer.status_code == 422:
        refuse(answer.json(), f"version {version}", _UNCHANGED)
    _told(answer.json(), f"version {version}")


@policy.command()
def show(
    version: Annotated[int | None, typer.Option(min=1, help="Default: the one in force.")] = None,
) -> None:
    """The text of a version, as it was stored."""
    path = f"/v1/policy/versions/{version}" if version else "/v1/policy"
    # As bytes: a console would fold its lines.
    sys.stdout.buffer.write(call("GET", path).content)


@policy.command()
def versions(
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50, as_json: AsJson = False
) -> None:
    """What was ever in force, the latest first."""
    found = get("/v1/policy/versions", limit=limit)
    if as_json:
        console.print_json(data=found)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("version", "in force", "since", "by", "from", "reason"):
        table.add_column(column, no_wrap=column != "reason", overflow="fold")
    for item in found["items"]:
        table.add_row(
            str(item["version"]), "yes" if item["in_force"] else "", item["created_at"][:19],
            item["author"], item["origin"], item["reason"],
        )  # fmt: skip
    console.print(table)
    if found["next_cursor"]:
        console.print("there are more: raise --limit")


def _checked(file: Path) -> tuple[str, str]:
    """The file's text, and words for how good it is. Ends the command when it is not."""
    from services.router.policy import Policy
    from services.router.trial.examples import run_tests
    from shared.errors import Misconfigured
    from shared.yamlfile import text_of

    try:
        source = text_of(file.read_bytes(), str(file))
        read = Policy.parse(source, str(file))
    except OSError as error:
        fail(f"{file} cannot be read: {error}")
    except Misconfigured as error:
        fail(str(error))
    for warning in read.warnings:
        errors.print(str(warning), style="yellow", markup=False)
    results = run_tests(read)
    failed = [result for result in results if not result.passed]
    for result in failed:
        differences = "; ".join(result.differences)
        errors.print(f"{file}:{result.line}: {result.name}: {differences}", markup=False)
    if failed:
        fail(f"{len(failed)} of {len(results)} tests of {file} fail")
    return source, f"{file} is good: {len(read.teams)} teams, {len(results)} tests pass"


def _told(stored: dict[str, Any], what: str) -> None:
    for warning in stored["warnings"]:
        errors.print(line_of(warning, what), style="yellow", markup=False)
    number = stored["version"]
    if stored["changed"]:
        console.print(f"{what} is in force as version {number}")
    else:
        console.print(f"{what} is in force already, as version {number}: nothing was changed")
