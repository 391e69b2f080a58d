"""`regie policy …`: `check` reads a file; what changes a running Regie is to come."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from services.cli.client import console, errors, fail

policy = typer.Typer(help="What a service manager may change.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(help="A policy file, YAML or JSON.", dir_okay=False)]


@policy.command()
def check(file: File) -> None:
    """Read the file and run its tests: exit status 0 means it may be put in force."""
    from services.router.policy import Policy
    from services.router.policy_tests import run_tests
    from shared.errors import Misconfigured

    try:
        read = Policy.parse(file.read_text(encoding="utf-8"), str(file))
    except (OSError, UnicodeDecodeError) as error:
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
    console.print(f"{file} is good: {len(read.teams)} teams, {len(results)} tests pass")


@policy.command("dry-run")
def dry_run(file: File) -> None:
    """What the file would have decided on real history. In a later release."""
    _later("dry-run", "`regie policy check` runs the file's own tests")


@policy.command()
def apply(file: File) -> None:
    """Put the file in force as a new version. In a later release."""
    _later("apply", "name the file in REGIE_POLICY_FILE and start `regie serve` again")


@policy.command()
def rollback(version: int) -> None:
    """Put an earlier version in force again. In a later release."""
    _later("rollback", "name the earlier file in REGIE_POLICY_FILE and start `regie serve` again")


def _later(command: str, instead: str) -> NoReturn:
    fail(f"`regie policy {command}` comes with a release after 0.1; until then {instead}")
