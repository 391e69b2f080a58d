"""When a file is asked for again."""

from __future__ import annotations

import pytest

from services.ingest.media_retries import wait
from shared.errors import FetchError


def again(code: str = "unreachable", retry_after: float | None = None) -> FetchError:
    return FetchError(code, "x", again=True, retry_after=retry_after)


def test_close_together_at_first_then_over_half_a_day() -> None:
    waits = [wait(again(), tries, 0.0) for tries in range(1, 10)]
    assert waits == [5, 20, 60, 180, 600, 3600, 14_400, 28_800, None]
    assert sum(filter(None, waits[:4])) < 300, "while an address of ten minutes lives"


@pytest.mark.parametrize("code", ["gone", "token", "changed", "empty", "internal"])
def test_what_seldom_mends_is_told_within_the_hour(code: str) -> None:
    waits = [wait(again(code), tries, 0.0) for tries in range(1, 7)]
    assert waits[5] is None
    assert sum(filter(None, waits)) < 3600


def test_what_cannot_mend_is_lost_at_once() -> None:
    assert wait(FetchError("too_large", "x"), 1, 0.0) is None


def test_the_provider_s_wish_is_kept_within_reason() -> None:
    assert wait(again(retry_after=120), 1, 0.0) == 120
    assert wait(again(retry_after=1), 3, 0.0) == 60
    assert wait(again(retry_after=10**6), 1, 0.0) == 43_200


def test_what_failed_together_comes_back_apart() -> None:
    assert wait(again(), 2, 0.0) == 20
    assert wait(again(), 2, 0.5) == 22
