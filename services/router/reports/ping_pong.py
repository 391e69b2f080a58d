"""Ping-pong: the cases that went to and fro, over which teams, and how far cases travel at all."""

from __future__ import annotations

from typing import Final

from services.router.reports.figures import cases, count, spread
from services.router.reports.tables import Report, Table

# A freeze ends when a supervisor thaws the case, or when it is closed.
_FROZEN: Final = """
SELECT * FROM (
    SELECT e.case_id, e.at, c.team, c.agent, c.channel, c.product, c.priority, c.team AS now_team,
        e.data ->> 'owner' AS owner,
        array_to_string(ARRAY(SELECT jsonb_array_elements_text(e.data -> 'trail')), ', ') AS trail,
        e.at >= :since AS recent, over.at AS over_at,
        date_part('epoch', over.at - e.at) / 3600 AS hours
    FROM case_events e LEFT JOIN cases c ON c.id = e.case_id
    CROSS JOIN LATERAL (
        SELECT min(x.at) AS at FROM case_events x WHERE x.case_id = e.case_id AND x.seq > e.seq
            AND x.type IN ('case.thawed', 'case.closed')
    ) AS over
    WHERE e.type = 'case.frozen' AND e.at < :until AND (e.at >= :since OR c.frozen <> '')
) AS freezes WHERE recent OR over_at IS NULL
"""
_HOPS: Final = """
SELECT id AS case_id, opened_at AS at, team, agent, channel, product, priority, team AS now_team,
    hops
FROM cases WHERE opened_at >= :since AND opened_at < :until
"""
# What Regie moves by itself is no hop.
_PAIRS: Final = """
SELECT *, bool_or(there) OVER pair AND bool_or(NOT there) OVER pair AS both_ways FROM (
    SELECT h.case_id, h.offered_at AS at, h.from_team AS team, h.author AS agent,
        h.from_channel AS channel, c.product, c.priority, c.team AS now_team, h.to_team,
        least(h.from_team, h.to_team) AS one, greatest(h.from_team, h.to_team) AS other,
        h.from_team < h.to_team AS there
    FROM handoffs h LEFT JOIN cases c ON c.id = h.case_id
    WHERE h.offered_at >= :since AND h.offered_at < :until
        AND h.state = 'accepted' AND h.to_team <> '' AND h.author <> 'regie'
) AS transfer WINDOW pair AS (PARTITION BY case_id, one, other)
"""

REPORT: Final = Report(
    name="ping-pong",
    words=(
        "Cases frozen in the period, or earlier and frozen still, by the trail they went; "
        "`hops`: how often the cases opened in the period were sent on; "
        "`pairs`: between which teams."
    ),
    main=Table(
        facts=_FROZEN,
        own=("trail", "owner"),
        worst="frozen",
        figures=(
            count("frozen", "recent"),
            count("frozen_now", "over_at IS NULL"),
            count("thawed", "recent AND over_at IS NOT NULL"),
            spread("median_hours", "p90_hours", "hours", "recent"),
        ),
    ),
    parts={
        "hops": Table(facts=_HOPS, own=("hops",), figures=(count("opened"),)),
        "pairs": Table(
            facts=_PAIRS,
            own=("one", "other"),
            scope=("team", "to_team"),
            worst="transfers",
            figures=(
                count("transfers"),
                count("there", "there"),
                count("back", "NOT there"),
                cases("handed_over"),
                cases("both_ways", "both_ways"),
            ),
        ),
    },
)
