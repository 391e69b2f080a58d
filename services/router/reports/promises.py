"""Promises made in the period, and what became of them."""

from __future__ import annotations

from typing import Final

from services.router.reports.figures import Share, count, total
from services.router.reports.tables import ANY, Report, Table

# A broken promise stays broken when it is kept after all; only its history says that it was.
_FACTS: Final = """
SELECT p.case_id, p.made_at AS at, p.team, p.by AS agent, p.channel, c.product, c.priority,
    c.team AS now_team, p.kind, p.state, p.reason, p.attempts, p.ended_at,
    p.state = 'broken' AND EXISTS (
        SELECT FROM case_events e WHERE e.case_id = p.case_id AND e.type = 'promise.kept'
            AND e.data ->> 'promise_id' = p.id::text AND e.data ->> 'late' = 'true'
    ) AS kept_late
FROM promises p LEFT JOIN cases c ON c.id = p.case_id
WHERE p.made_at >= :since AND p.made_at < :until
"""

REPORT: Final = Report(
    name="promises",
    words="What became of the promises made in the period.",
    main=Table(
        facts=_FACTS,
        figures=(
            count("made"),
            count("kept", "state = 'kept'"),
            count("broken", "state = 'broken'"),
            count("kept_late", "kept_late"),
            count("unreached", "state = 'broken' AND reason = 'unreached'"),
            count("overdue", "state = 'broken' AND ended_at IS NULL"),
            count("renegotiated", "state = 'renegotiated'"),
            count("open", "state = 'open'"),
            total("attempts", "attempts"),
        ),
        shares=(Share("share_kept", "kept", ("kept", "broken")),),
    ),
    by=(*ANY, "kind"),
)
