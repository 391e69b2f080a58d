"""Journeys: the cases closed in the period, from the customer's first word to the last closing."""

from __future__ import annotations

from typing import Final

from services.router.reports.figures import Share, count, mean, spread
from services.router.reports.tables import Report, Table
from services.router.taking import WAITS

_CONTACTS: Final = ", ".join(f"'{kind}'" for kind in sorted({*WAITS, "call_ended"}))
# A reply counts once it has left; of what was done elsewhere, what reached them. What Regie closes
# itself, because its person is erased, came to no end.
_FACTS: Final = f"""
WITH closed AS (
    SELECT DISTINCT ON (case_id) case_id, at, actor,
        min(at) OVER (PARTITION BY case_id) AS first_at
    FROM case_events
    WHERE type = 'case.closed' AND at >= :since AND at < :until AND actor <> 'regie'
    ORDER BY case_id, at DESC, seq DESC
), said AS (
    SELECT m.case_id, m.channel, m.occurred_at, m.direction
    FROM closed JOIN messages m ON m.case_id = closed.case_id AND m.processed_at <= closed.at
    WHERE m.direction = 'in' AND m.kind IN ({_CONTACTS}) AND NOT m.data ? 'automatic'
        OR m.direction = 'out' AND (
            m.state IN ('sent', 'delivered', 'read') AND m.data ->> 'human' = 'true'
            OR m.state = 'recorded' AND coalesce(m.data ->> 'outcome', '') IN ('', 'reached'))
), contacts AS (
    SELECT case_id, count(DISTINCT channel) AS channels,
        min(occurred_at) FILTER (WHERE direction = 'in') AS first_at,
        count(*) FILTER (WHERE direction = 'in') AS come,
        count(*) FILTER (WHERE direction = 'out') AS gone
    FROM said GROUP BY case_id
), hops AS (
    SELECT h.case_id, count(*) FILTER (WHERE h.to_team <> '') AS teams,
        count(*) FILTER (WHERE h.to_channel <> '') AS switches
    FROM closed JOIN handoffs h ON h.case_id = closed.case_id AND h.ended_at <= closed.at
    WHERE h.state = 'accepted' AND h.author <> 'regie' GROUP BY h.case_id
), again AS (
    SELECT DISTINCT e.case_id FROM closed
    JOIN case_events e ON e.case_id = closed.case_id AND e.at >= closed.first_at
    WHERE e.type = 'case.reopened' AND e.at >= :since
)
SELECT closed.case_id, closed.at, c.team, closed.actor AS agent, c.channel, c.product, c.priority,
    c.team AS now_team, again.case_id IS NOT NULL AS reopened,
    date_part('epoch', closed.at - coalesce(contacts.first_at, c.opened_at)) / 3600 AS hours,
    coalesce(contacts.channels, 0) AS channels, coalesce(contacts.come, 0) AS come,
    coalesce(contacts.gone, 0) AS gone, coalesce(hops.teams, 0) AS team_hops,
    coalesce(hops.switches, 0) AS channel_hops
FROM closed
LEFT JOIN cases c ON c.id = closed.case_id
LEFT JOIN contacts ON contacts.case_id = closed.case_id
LEFT JOIN hops ON hops.case_id = closed.case_id
LEFT JOIN again ON again.case_id = closed.case_id
"""  # noqa: S608 - our own kinds

REPORT: Final = Report(
    name="journeys",
    words="The cases closed in the period: how long they took, over which channels and teams.",
    main=Table(
        facts=_FACTS,
        figures=(
            count("closed"),
            spread("median_hours", "p90_hours", "hours"),
            mean("mean_channels", "channels"),
            count("several_channels", "channels > 1"),
            mean("mean_team_hops", "team_hops"),
            count("handed_over", "team_hops > 0"),
            mean("mean_channel_hops", "channel_hops"),
            count("switched", "channel_hops > 0"),
            mean("mean_contacts_in", "come"),
            mean("mean_contacts_out", "gone"),
            count("reopened", "reopened"),
            count("one_contact", "come = 1 AND NOT reopened"),
        ),
        shares=(
            Share("share_reopened", "reopened", ("closed",)),
            Share("share_one_contact", "one_contact", ("closed",)),
        ),
    ),
)
