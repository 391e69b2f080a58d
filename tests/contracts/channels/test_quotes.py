"""The answer without its history, in every program's manner; and above all what is not cut."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.channels.email.quotes import reply_text
from shared.channels.email.signatures import is_sent_from
from tests.contracts.channels.reply_mails import ANSWERS, HISTORIES, OWN, PAGES
from tests.contracts.channels.test_bounces import parse


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]


@pytest.mark.parametrize("name", sorted(HISTORIES))
def test_history_is_cut(name: str) -> None:
    assert reply_text(f"{OWN}\n\n{HISTORIES[name]}", "Re: Pakket") == OWN


@pytest.mark.parametrize("name", sorted(HISTORIES))
def test_history_right_under_the_answer_is_cut(name: str) -> None:
    assert reply_text(f"{OWN}\n{HISTORIES[name]}", "Re: Pakket") == OWN


@pytest.mark.parametrize("name", sorted(HISTORIES))
def test_what_has_only_history_stays_whole(name: str) -> None:
    history = HISTORIES[name]
    assert lines(reply_text(history, "Re: Pakket"))[-1] == lines(history)[-1]


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_an_answer(name: str) -> None:
    text, subject, answer = ANSWERS[name]
    assert reply_text(text, subject) == answer


@pytest.mark.parametrize("name", sorted(PAGES))
def test_an_answer_in_html(name: str) -> None:
    html, answer = PAGES[name]
    raw = (
        "From: jan@example.net\nSubject: Re: Pakket\nMIME-Version: 1.0\n"
        f"Content-Type: text/html; charset=utf-8\n\n<html><body>{html}</body></html>"
    )
    message = parse(raw, "jan@example.net").messages[0]
    assert message.reply_text == answer
    assert lines(message.text)[-1] in (*lines(answer), *lines(message.text)[1:])


def test_the_whole_text_is_kept_beside_the_view() -> None:
    text = f"{OWN}\n\n{HISTORIES['nl-gmail']}"
    message = parse(f"From: jan@example.net\nSubject: Re: x\n\n{text}", "jan@example.net").messages[
        0
    ]
    assert (message.text, message.reply_text) == (text, OWN)


_LINES = st.sampled_from(
    [
        *(line for history in HISTORIES.values() for line in history.split("\n")),
        "My own words.", "", "> quoted", "--", "1001", "Thanks, Jan",
    ]
) | st.text(max_size=30)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(_LINES, max_size=20))
def test_a_view_adds_nothing_and_is_never_empty(parts: list[str]) -> None:
    text = "\n".join(parts)
    view = reply_text(text)
    assert bool(view) is bool(text.strip())
    whole = " ".join(text.split())
    assert all(" ".join(line.split()) in whole for line in view.split("\n"))


@pytest.mark.parametrize(
    "text",
    ["On 1/1 " * 100_000, "> a\n" * 100_000, "From: a@b.nl\n" * 50_000, "--\n" * 100_000,
     "On 1/1/26 9:12 a <a@b.nl>\n" * 30_000, "wrote:\n" * 100_000, "Sent from my iPhone\n" * 50_000,
     "On Mon 1/1 <a@" + "<" * 200_000, "x On Mon 1 9:1 wrote:\n> y\n" * 20_000, ">" * 500_000,
     "_" * 300_000, ("Date: 9:12 a@b\n" * 3 + "\n") * 20_000],
    ids=range(12),
)  # fmt: skip
def test_a_hostile_text_takes_no_more_than_its_length(text: str) -> None:
    began = time.process_time()
    reply_text(text)
    assert time.process_time() - began < 3


@pytest.mark.parametrize("line", ["", "Sent", "Sent from Jan", "From my phone I see it", "--"])
def test_lines_that_no_telephone_wrote(line: str) -> None:
    assert not is_sent_from(line)
