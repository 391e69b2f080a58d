"""Satisfaction: what customers said when they were asked after closing, in the period."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from services.router.policy import Policy
from services.router.reports.figures import Share, count, mean, middle
from services.router.reports.tables import Report, Table

_SCALE: Final = (1, 5)
# A question that did not reach them is told twice, and was not asked: the first time counts.
_FACTS: Final = """
SELECT e.case_id, e.at, coalesce(s.team, c.team) AS team, coalesce(s.agent, '') AS agent,
    coalesce(s.channel, c.channel) AS channel, coalesce(s.product, c.product) AS product,
    c.priority, c.team AS now_team,
    e.type = 'survey.sent' AND coalesce(s.skipped, '') <> 'failed' AS asked,
    s.skipped, s.score, coalesce(s.skipped, e.data ->> 'reason') AS reason
FROM case_events e
LEFT JOIN surveys s ON s.case_id = e.case_id LEFT JOIN cases c ON c.id = e.case_id
WHERE e.type IN ('survey.sent', 'survey.skipped') AND e.at >= :since AND e.at < :until
    AND NOT (e.type = 'survey.skipped' AND e.data ->> 'reason' = 'failed')
"""


def _terms(policy: Policy) -> Mapping[str, Any]:
    """A score is low below what the policy follows up, else below the middle of the scale."""
    survey = policy.survey
    if survey is not None and survey.follow_up_below is not None:
        return {"low_below": float(survey.follow_up_below)}
    lowest, highest = survey.scale if survey is not None else _SCALE
    return {"low_below": (lowest + highest) / 2}


REPORT: Final = Report(
    name="satisfaction",
    words=(
        "What customers said of the cases they were asked about in the period; "
        "`skips`: why others were not asked."
    ),
    main=Table(
        facts=_FACTS,
        figures=(
            count("asked", "asked"),
            count("skipped", "NOT asked"),
            count("answered", "score IS NOT NULL"),
            count("declined", "asked AND skipped = 'declined'"),
            mean("mean_score", "score", "score IS NOT NULL"),
            middle("median_score", "score", "score IS NOT NULL"),
            count("low", "score < CAST(:low_below AS float8)"),
        ),
        shares=(
            Share("share_answered", "answered", ("asked",)),
            Share("share_low", "low", ("answered",)),
        ),
    ),
    parts={
        "skips": Table(
            facts=f"SELECT * FROM ({_FACTS}) AS each WHERE NOT asked",  # noqa: S608 - our own
            own=("reason",),
            figures=(count("skipped"),),
            worst="skipped",
        )
    },
    terms=_terms,
    told=("low_below",),
)
