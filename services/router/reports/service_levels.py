"""Service levels: of the clocks that started in the period, how many were met, and how fast."""

from __future__ import annotations

from typing import Final, get_args

from services.router.reports.figures import Share, count, spread
from services.router.reports.tables import ANY, Report, Table
from shared.events import Metric

# Nobody answered what was breached and then closed, or withdrawn: then nobody's name stands there.
_FACTS: Final = """
SELECT d.case_id, d.started_at AS at, d.team, coalesce(nullif(d.agent, ''), c.agent, '') AS agent,
    d.channel, c.product, d.priority, d.rule, c.team AS now_team,
    d.metric, d.state, d.late, d.at_risk, d.ended_at,
    CASE WHEN d.state = 'met' OR d.agent <> '' OR d.metric = 'resolution'
        THEN date_part('epoch', d.ended_at - d.started_at) END AS seconds
FROM deadlines d LEFT JOIN cases c ON c.id = d.case_id
WHERE d.started_at >= :since AND d.started_at < :until
"""

REPORT: Final = Report(
    name="service-levels",
    words="How many of the clocks that started in the period were met, by metric, and how fast.",
    main=Table(
        facts=_FACTS,
        own=("metric",),
        apart=("metric", get_args(Metric)),
        figures=(
            count("started", "state <> 'superseded'"),
            count("met", "state = 'met' AND NOT late"),
            count("breached", "state = 'breached' AND NOT late"),
            count("overdue", "state = 'breached' AND NOT late AND ended_at IS NULL"),
            count("arrived_late", "late AND state <> 'superseded'"),
            count("open", "state = 'running' AND NOT late"),
            count("at_risk", "state = 'running' AND NOT late AND at_risk <> ''"),
            count("paused", "state = 'paused' AND NOT late"),
            count("superseded", "state = 'superseded'"),
            spread(
                "median_seconds", "p90_seconds", "seconds",
                "state IN ('met', 'breached') AND NOT late",
            ),
        ),
        shares=(Share("share_met", "met", ("met", "breached")),),
    ),
    by=(*ANY, "rule"),
)  # fmt: skip
