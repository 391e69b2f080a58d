"""`regie policy preview`: what a policy's words come to, before anybody gets them."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.client import call, fail
from services.cli.printing import AsJson

File = Annotated[
    Path | None,
    typer.Argument(help="A policy file; without one, the policy in force.", dir_okay=False),
]
Kind = Annotated[str, typer.Option(help="reminder, escalation, breach, handoff, digest …")]
Language = Annotated[str, typer.Option(help="Such as nl; default: the policy's own.")]
Target = Annotated[str, typer.Option(help="email, slack, teams or ntfy: what it would get.")]


def preview(
    file: File = None,
    kind: Kind = "reminder",
    language: Language = "",
    target: Target = "email",
    as_json: AsJson = False,
) -> None:
    """Show what would be sent, with a made-up case. Nothing is sent."""
    found = _in_force(kind, language, target) if file is None else _of(file, kind, language, target)
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
        return
    sys.stdout.write("".join(f"{line}\n" for line in _lines(found)))


def _in_force(kind: str, language: str, target: str) -> dict[str, Any]:
    asked = {"kind": kind, "language": language, "target": target}
    found: dict[str, Any] = call("POST", "/v1/policy/preview", json=asked).json()
    return found


def _of(file: Path, kind: str, language: str, target: str) -> dict[str, Any]:
    """Without a server, as `regie policy check` reads it."""
    from services.router.policy import Policy
    from services.router.previewing import preview as previewed
    from shared.errors import Misconfigured, Refused
    from shared.yamlfile import text_of

    try:
        policy = Policy.parse(text_of(file.read_bytes(), str(file)), str(file))
        return asdict(previewed(policy, kind, language, target, datetime.now(UTC)))
    except OSError as error:
        fail(f"{file} cannot be read: {error}")
    except (Misconfigured, Refused) as error:
        fail(str(error))


def _lines(found: dict[str, Any]) -> list[str]:
    """As a person reads it; under it the request, where one is made."""
    lines = [found["subject"], "", found["text"]] if found["subject"] else [found["text"]]
    if found["body"] is not None:
        lines += ["", *(f"{name}: {value}" for name, value in found["headers"].items()), ""]
        body = found["body"]
        lines.append(body if isinstance(body, str) else json.dumps(body, indent=2))
    return lines
