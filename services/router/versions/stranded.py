"""The open cases that a policy leaves with a team it does not have."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.router.policy import Policy


async def stranded(connection: AsyncConnection, policy: Policy) -> list[dict[str, Any]]:
    """A warning for each such team, as `{line, field, message}`, with how many cases it has."""
    found = await connection.execute(_STRANDED, {"teams": list(policy.teams)})
    line = policy.document.line(("teams",))
    default = policy.routing[-1].team
    return [
        {"line": line, "field": f"teams.{team}", "message": _message(team, cases, default)}
        for team, cases in found
    ]


def _message(team: str, cases: int, default: str) -> str:
    are, they = ("case is", "it goes") if cases == 1 else ("cases are", "each goes")
    return (
        f"{cases} open {are} with team `{team}`, which this policy does not have: {they} to "
        f"`{default}`, the team for everything else, at the next change or breach; keep the team "
        "until then if that is wrong"
    )


_STRANDED: Final = text(
    "SELECT team, count(*) AS cases FROM cases "
    "WHERE state IN ('open', 'waiting_customer', 'waiting_internal') AND team <> ALL(:teams) "
    "GROUP BY team ORDER BY team"
)
