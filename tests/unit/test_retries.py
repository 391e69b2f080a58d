"""When what failed is tried again: each due time on a virtual clock."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from services.notifier import retries
from services.notifier.retries import REPLIES, WEBHOOKS, Doubtful, GiveUp, Next, after
from services.notifier.sender import CALL_SECONDS, LEASE
from services.notifier.targets.posting import LARGEST_ANSWER, TIMEOUT, retry_after
from shared.errors import SendError
from tests.builders import NOON

DAY = timedelta(days=1)
FAILED = SendError("http_500", "HTTP 500", again=True)
THROTTLED = SendError("throttled", "slow down", again=True)
REFUSED = SendError("invalid_recipient", "nobody there")
UNSURE = SendError("timeout", "no answer", doubtful=True)


def tries(rule: retries.Rule, error: SendError, chance: float, until: datetime) -> list[float]:
    """The waits in seconds, until it is given up."""
    now = NOON
    waits: list[float] = []
    while isinstance(
        next := after(error, rule, tries=len(waits) + 1, now=now, until=until, chance=chance), Next
    ):
        waits.append((next.at - now).total_seconds())
        now = next.at
    assert isinstance(next, GiveUp)
    return waits


# The schedule of Standard Webhooks 1.0, after the first try at once.
SCHEDULE = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]


@pytest.mark.parametrize(("chance", "factor"), [(0.0, 0.8), (0.5, 1.0), (0.999999, 1.2)])
def test_a_webhook_is_tried_ten_times_with_a_fifth_of_jitter(chance: float, factor: float) -> None:
    waits = tries(WEBHOOKS, FAILED, chance, NOON + 10 * DAY)
    assert waits == pytest.approx([factor * wait for wait in SCHEDULE], rel=1e-5)


def test_a_reply_is_tried_soon_and_then_hourly_until_it_expires() -> None:
    waits = tries(REPLIES, THROTTLED, 0.5, NOON + DAY)
    assert waits[:8] == [5, 20, 60, 300, 900, 1800, 3600, 3600]
    assert timedelta(hours=22) < timedelta(seconds=sum(waits)) < DAY


@pytest.mark.parametrize(
    ("asked", "expected"),
    [(None, 5.0), (1.0, 5.0), (90.0, 90.0), (-3.0, 5.0), (10 * 86_400.0, 86_400.0)],
)
def test_a_receiver_may_put_us_off_but_not_for_days(asked: float | None, expected: float) -> None:
    error = SendError("http_429", "", again=True, retry_after=asked)
    decided = after(error, WEBHOOKS, tries=1, now=NOON, until=NOON + 10 * DAY, chance=0.5)
    assert decided == Next(NOON + timedelta(seconds=expected))


def test_nothing_is_tried_after_it_expires() -> None:
    for rule in (WEBHOOKS, REPLIES):
        decided = after(
            FAILED, rule, tries=2, now=NOON, until=NOON + timedelta(seconds=16), chance=0
        )
        assert isinstance(decided, GiveUp)
        assert "no time is left" in decided.reason


def test_a_doubtful_reply_is_never_sent_again_and_a_webhook_is() -> None:
    args = {"tries": 1, "now": NOON, "until": NOON + DAY, "chance": 0.5}
    assert after(UNSURE, REPLIES, **args) == Doubtful("timeout", "no answer")  # type: ignore[arg-type]
    assert isinstance(after(UNSURE, WEBHOOKS, **args), Next)  # type: ignore[arg-type]


def test_what_cannot_succeed_is_given_up_at_once() -> None:
    decided = after(REFUSED, REPLIES, tries=1, now=NOON, until=NOON + DAY, chance=0.5)
    assert decided == GiveUp("invalid_recipient", "nobody there")
    gone = SendError("gone", "410")
    decided = after(gone, WEBHOOKS, tries=1, now=NOON, until=NOON + DAY, chance=0.5)
    assert decided == GiveUp("gone", "410", gone=True)


def test_the_last_failure_says_how_often_it_was_tried() -> None:
    decided = after(FAILED, WEBHOOKS, tries=10, now=NOON, until=NOON + 10 * DAY, chance=0.5)
    assert decided == GiveUp("http_500", "HTTP 500; tried 10 times")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("Tue, 17 Nov 2026 09:05:00 GMT", 300.0),
        ("Tue, 17 Nov 2026 08:00:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1e9", None),
        ("Tue, 17 Nov 2026 09:05:00 +99999999999999999999", None),
        ("Tue, 17 Nov 2026 99999999999999999999:05:00 GMT", None),
        ("99999999999999999999", 366 * 86_400.0),  # as long as is believed of anybody
    ],
)
def test_retry_after_comes_as_seconds_or_as_a_date(header: str, seconds: float | None) -> None:
    assert retry_after(header, NOON) == seconds


def test_a_call_ends_before_its_lease_does() -> None:
    """Or another sender would take over what is being sent."""
    assert TIMEOUT == 15.0
    assert LARGEST_ANSWER == 16 * 1024
    assert timedelta(seconds=TIMEOUT) < timedelta(seconds=CALL_SECONDS) < LEASE
