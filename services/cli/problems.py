"""What the running Regie finds wrong with a policy, line by line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from services.cli.client import errors, fail


def refuse(problem: Mapping[str, Any], file: Path | str, then: str = "") -> NoReturn:
    """Ends the command with a 422, which may hold more than the file alone shows.

    then  what became of it, told before the status: `nothing was changed`
    """
    for error in problem.get("errors", ()):
        errors.print(line_of(error, file), style="red", markup=False)
    detail = problem["detail"].partition(":")[0] if "errors" in problem else problem["detail"]
    fail(f"{'; '.join(filter(None, (detail, then)))} (422 {problem['name']})")


def line_of(told: Mapping[str, Any], file: Path | str) -> str:
    """One thing that is told of a file: `mine.yaml:24: routing[1].team: unknown team`."""
    where = f"{file}:{told['line']}" if told.get("line") else str(file)
    return ": ".join(filter(None, (where, told.get("field"), told.get("message"))))
