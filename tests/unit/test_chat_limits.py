"""How often somebody may ask, and how a chat's frames are written."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.ingest.chat_frames import line_frame, shown
from services.ingest.chat_limits import Limiter
from services.ingest.chat_store import Line
from services.notifier.follow_ups import letter
from shared.channels import Rate

AT = datetime(2026, 11, 17, 9, tzinfo=UTC)


def test_a_bucket_is_refilled_evenly() -> None:
    limiter, rate = Limiter(), Rate(3, 60.0)
    assert [limiter.take(("a",), rate, 0.0) for _ in range(4)] == [0.0, 0.0, 0.0, 20.0]
    assert limiter.take(("a",), rate, 10.0) == 10.0
    assert limiter.take(("a",), rate, 20.0) == 0.0
    assert limiter.take(("a",), rate, 20.0) == 20.0
    assert limiter.take(("b",), rate, 20.0) == 0.0, "another's bucket"


@given(st.lists(st.floats(0, 30), max_size=200))
def test_no_span_lets_more_through_than_its_rate_and_one_burst(waits: list[float]) -> None:
    limiter, rate, now, passed = Limiter(), Rate(5, 10.0), 0.0, 0
    for wait in waits:
        now += wait
        passed += limiter.take(("a",), rate, now) == 0.0
    assert passed <= 5 + now * 0.5 + 1e-6


def test_what_nobody_asked_for_longest_is_forgotten() -> None:
    limiter, rate = Limiter(kept=2), Rate(1, 60.0)
    for key in ("a", "b", "c"):
        assert limiter.take((key,), rate, 0.0) == 0.0
    assert limiter.take(("c",), rate, 0.0) > 0
    assert limiter.take(("a",), rate, 0.0) == 0.0


def line(text: str, **given: object) -> Line:
    values = {
        "session": UUID(int=1), "n": 7, "message_id": UUID(int=2), "out": True, "at": AT,
        "text": text, "seq": None, "files": (), "human": True,
    } | given  # fmt: skip
    return Line(**values)  # type: ignore[arg-type]


@given(st.text())
def test_no_words_break_a_frame(words: str) -> None:
    words = words.encode("utf-8", "ignore").decode()
    frame = line_frame(line(words)).decode()
    assert frame.startswith("id: 7\nevent: line\ndata: ")
    assert frame.endswith("\n\n")
    # A page splits at CR, LF and CRLF only (WHATWG HTML 9.2.5).
    assert len(frame.replace("\r\n", "\n").replace("\r", "\n").split("\n")) == 5


def test_who_said_it() -> None:
    assert shown(line("x"))["from"] == "agent"
    assert shown(line("x", human=False))["from"] == "system"
    assert shown(line("x", out=False, seq=3)) == {
        "n": 7, "id": UUID(int=2), "from": "you", "text": "x", "at": AT, "seq": 3,
    }  # fmt: skip


def test_the_mail_speaks_the_visitors_language_or_english() -> None:
    assert letter("nl-BE", ["one", "two"]) == (
        "Uw chat met ons",
        "U verliet onze chat voordat u dit kon lezen:\n\none\n\ntwo\n\n"
        "U kunt verdergaan door deze mail te beantwoorden.",
    )
    for unknown in ("", "xx", "-"):
        assert letter(unknown, ["one"])[0] == "Your chat with us"
