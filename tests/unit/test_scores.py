"""What is a score, and what only has a number in it. Pure."""

from __future__ import annotations

import pytest

from services.router.scores import is_stop, score_in

SCORES = [
    ("4", 4, ""), (" 5 ", 5, ""), ("1", 1, ""), ("4.", 4, ""), ("5!", 5, ""), ("5!!!", 5, ""),
    ("4/5", 4, ""), ("4 / 5", 4, ""), ("5/5 stars", 5, ""), ("4 of 5", 4, ""),
    ("4 out of 5", 4, ""), ("4 van 5", 4, ""), ("4 van de 5", 4, ""), ("4 uit 5", 4, ""),
    ("4 op 5", 4, ""), ("3 von 5", 3, ""), ("3 sur 5", 3, ""), ("5 stars", 5, ""),
    ("1 star", 1, ""), ("4 sterren", 4, ""), ("5 Sterne", 5, ""), ("5 étoiles", 5, ""),
    ("3 points", 3, ""), ("4 Punkte", 4, ""), ("een 4", 4, ""), ("Een 4!", 4, ""), ("a 5", 5, ""),
    ("eine 5", 5, ""), ("un 3", 3, ""), ("Score: 4", 4, ""), ("cijfer 4", 4, ""),
    ("note = 5", 5, ""), ("４", 4, ""), ("４／５", 4, ""), ("٤", 4, ""), ("۴", 4, ""),
    ("٤/٥", 4, ""), ("४", 4, ""), ("4\ufe0f\u20e3", 4, ""), ("\u200e4\u200f", 4, ""),
    ("★★★★☆", 4, ""), ("⭐⭐⭐⭐⭐", 5, ""), ("★ ★ ★", 3, ""), ("★☆☆☆☆", 1, ""), ("4 ⭐", 4, ""),
    ("5 😊", 5, ""), ("5 👍🏽", 5, ""), ("5 :)", 5, ""), ("4\nThank you", 4, "Thank you"),
    ("4, thanks", 4, "thanks"), ("5! Great help", 5, "Great help"),
    ("2 - nobody called", 2, "nobody called"), ("2 – nobody called", 2, "nobody called"),
    ("3: too slow", 3, "too slow"), ("5, great 😊", 5, "great 😊"),
    ("4\r\n\r\nFast.\r\n2 days earlier than promised", 4, "Fast.\n2 days earlier than promised"),
    ("5, super\nThank you", 5, "super\nThank you"), ("4\n\n-- \nAda\n1 High Street", 4, ""),
    ("4\nAda\n06-12345678", 4, "Ada\n06-12345678"),
]  # fmt: skip
NO_SCORES = [
    "", "0", "6", "10", "44", "04", "4.5", "4,5", "4-5", "-4", "+4", "4?", "4 %", "€4", "4 €", "#4",
    "(4)", "4)", "4th", "4 5", "4/10", "4 of 10", "4 thanks", "4 ok", "order 4 of 5 arrived",
    "4 of 5 arrived", "4 of the 5 came", "4 parcels", "I give you 4", "a parcel", "four",
    "Hi\n4", "4:30", "4, 5 and 6 are missing", "2 - 4 weeks", "1. the box is wet", "1) wet",
    "1. wet\n2. late", "1: wet, 2: late", "4\n5\n6", "1\n2) and late", "4 / five", "⭐", "⭐ ⭐ ok",
    "☆☆☆☆☆", "Thanks!", "12", "1 2", "½", "4 km", "see 4/5", "4 5/5", "2,my parcel", "٩",
]  # fmt: skip


@pytest.mark.parametrize(("text", "score", "comment"), SCORES)
def test_a_score_alone_or_with_a_comment_set_apart(text: str, score: int, comment: str) -> None:
    assert score_in(text, 1, 5) == (score, comment)


@pytest.mark.parametrize("text", NO_SCORES)
def test_numbers_in_what_else_they_write_are_no_score(text: str) -> None:
    assert score_in(text, 1, 5) is None


def test_the_scale_is_the_policys() -> None:
    assert [score_in(text, 0, 10) for text in ("0", "10", "10/10")] == [(0, ""), (10, ""), (10, "")]
    assert score_in("4/5", 0, 10) is None
    assert score_in("11", 0, 10) is None
    assert score_in("85", 0, 100) == (85, "")
    assert score_in("x" * 100_000, 1, 5) is None
    assert len((score_in("4\n" + "x" * 100_000, 1, 5) or (0, ""))[1]) == 2000


@pytest.mark.parametrize(
    "text",
    ["STOP", "stop", " Stop. ", "STOPP!", "AFMELDEN", "Uitschrijven", "ARRÊT", "arret",
     "ARRE\u0302T", "Unsubscribe", "abmelden", "ＳＴＯＰ", "«stop»", "stop\n-- \nAda"],
)  # fmt: skip
def test_stop_alone(text: str) -> None:
    assert is_stop(text)


@pytest.mark.parametrize("text", ["", "stop it please", "don't stop", "stop\nwhere is it?", "5"])
def test_stop_within_a_message_is_a_message(text: str) -> None:
    assert not is_stop(text)
