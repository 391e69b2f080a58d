"""`regie policy …`: `check` reads a file here, the others speak to a running Regie."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services.cli.client import call, console, errors, fail

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


@policy.command()
def apply(
    file: File, reason: Annotated[str, typer.Option(help="Why; kept with the version.")] = ""
) -> None:
    """Put the file in force as a new version."""
    current = call("GET", "/v1/policy")
    answer = call(
        "PUT",
        "/v1/policy",
        content=file.read_bytes(),
        params={"reason": reason} if reason else None,
        headers={"Content-Type": "application/yaml", "If-Match": current.headers.get("etag", "")},
    )
    console.print(f"in force: version {answer.headers.get('etag', '?')}")
