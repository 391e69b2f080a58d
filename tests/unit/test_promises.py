"""DESIGN 5.3 and 5.4 for any sequence of events: promises tighten or stay, answers answer."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from services.router.case import ANSWERS, Case
from services.router.commands import PassTime, Reply, ReportDelivery
from shared.errors import Refused
from tests.builders import NOON, Story, mail, message

_WRITE = st.tuples(st.sampled_from(["whatsapp", "email"]), st.integers(0, 180))
_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["write", "write", "write", "answer", "report", "fail", "time"]),
        _WRITE,
        st.integers(1, 240),
    ),
    min_size=2,
    max_size=12,
)


def promised(case: Case) -> datetime | None:
    """The earliest live promise to answer."""
    return min((d.due_at for d in case.running if d.metric in ANSWERS), default=None)


@settings(max_examples=300, deadline=None)
@given(steps=_STEPS)
def test_while_something_waits_its_promise_never_moves_later(
    steps: list[tuple[str, tuple[str, int], int]],
) -> None:
    story, now = Story(), NOON
    story.hear(message())
    replies: list[Reply] = []
    for kind, (channel, ago), minutes in steps:
        now += timedelta(minutes=minutes)
        before, waiting = promised(story.case), story.case.waiting_since
        try:
            _take(story, kind, channel, now, ago, replies)
        except Refused:
            continue
        case = story.case
        assert bool(case.unanswered) == (promised(case) is not None)
        if case.unanswered and waiting is not None and kind not in ("report", "fail"):
            assert before is not None
            assert (promised(case) or now) <= before


def _take(
    story: Story, kind: str, channel: str, now: datetime, ago: int, replies: list[Reply]
) -> None:
    if kind == "write":
        at = now - timedelta(minutes=ago)
        made = message if channel == "whatsapp" else mail
        story.hear(made("And?", at=at, received_at=now, reply_window_closes_at=None), now=now)
    elif kind == "answer":
        replies.append(Reply(uuid4(), "jo", "So", answers=story.case.version))
        story.tell(replies[-1], now)
    elif kind in ("report", "fail") and replies:
        status = "sent" if kind == "report" else "failed"
        story.tell(ReportDelivery(replies[-1].message_id, status, now), now)  # type: ignore[arg-type]
    elif kind == "time":
        story.tell(PassTime(now), now)
