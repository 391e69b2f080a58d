"""Handoffs offered in the period: where they stall, what switches cost, who makes others wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from services.router.policy import Policy
from services.router.reports.figures import Share, count, earliest, spread, total
from services.router.reports.tables import Report, Table

_FACTS: Final = """
SELECT h.case_id, h.offered_at AS at, h.from_team AS team, h.author AS agent,
    h.from_channel AS channel, c.product, c.priority, c.team AS now_team, h.to_team,
    CASE WHEN h.to_team <> '' THEN 'team' ELSE 'channel' END AS kind,
    CASE WHEN h.to_team <> '' THEN h.from_team ELSE h.from_channel END AS "from",
    CASE WHEN h.to_team <> '' THEN h.to_team ELSE h.to_channel END AS "to",
    h.reason, h.state, h.to_team = ANY(:external) AS external,
    CASE WHEN h.state = 'accepted'
        THEN date_part('epoch', h.ended_at - h.offered_at) / 3600 END AS hours,
    CASE WHEN h.state = 'accepted' AND h.to_channel <> ''
        THEN CAST(h.cost ->> h.from_channel AS float8) - CAST(h.cost ->> h.to_channel AS float8)
        END AS saved
FROM handoffs h LEFT JOIN cases c ON c.id = h.case_id
WHERE h.offered_at >= :since AND h.offered_at < :until
"""
# A request of a case that was closed meanwhile keeps nobody waiting any more.
_WAITING: Final = """
SELECT e.case_id, e.at, c.team, c.agent, c.channel, c.product, c.priority, c.team AS now_team,
    e.data ->> 'team' AS waits_on, over.at AS over_at,
    date_part('epoch', coalesce(over.at, :now) - e.at) / 3600 AS hours
FROM case_events e LEFT JOIN cases c ON c.id = e.case_id
CROSS JOIN LATERAL (
    SELECT least(min(x.at), c.closed_at) AS at FROM case_events x
    WHERE x.case_id = e.case_id AND x.seq > e.seq AND x.type = 'child.closed'
        AND x.data ->> 'child_id' = e.data ->> 'child_id'
) AS over
WHERE e.type = 'child.opened' AND e.at >= :since AND e.at < :until
"""


def _terms(policy: Policy) -> Mapping[str, Any]:
    return {"external": [name for name, team in policy.teams.items() if team.external]}


REPORT: Final = Report(
    name="handoffs",
    words=(
        "Channel switches and team transfers offered in the period, and where they stall; "
        "`waiting`: which teams' internal requests keep others waiting."
    ),
    main=Table(
        facts=_FACTS,
        own=("kind", "from", "to", "reason"),
        scope=("team", "to_team"),
        worst="stalled",
        figures=(
            count("offered"),
            count("accepted", "state = 'accepted'"),
            count("declined", "state = 'declined'"),
            count("expired", "state = 'expired'"),
            count("stalled", "state IN ('declined', 'expired')"),
            count("open", "state = 'offered'"),
            earliest("open_since", "at", "state = 'offered'"),
            count("external", "external"),
            spread("median_hours", "p90_hours", "hours"),
            total("cost_saved", "saved", "saved > 0"),
            total("cost_spent", "-saved", "saved < 0"),
        ),
        shares=(Share("share_accepted", "accepted", ("accepted", "declined", "expired")),),
    ),
    parts={
        "waiting": Table(
            facts=_WAITING,
            own=("waits_on",),
            scope=("team", "waits_on"),
            worst="hours",
            figures=(
                count("requests"),
                count("answered", "over_at IS NOT NULL"),
                count("open", "over_at IS NULL"),
                earliest("open_since", "at", "over_at IS NULL"),
                total("hours", "hours"),
                spread("median_hours", "p90_hours", "hours", "over_at IS NOT NULL"),
            ),
        )
    },
    terms=_terms,
)
