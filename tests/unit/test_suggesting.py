"""Switches the policy starts by itself, and what the customer is told of them. Pure."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from services.router import commands as cmd
from services.router import phrases, suggesting, switching
from services.router.commands import Way
from services.router.firing import next_fire
from services.router.policy import Policy
from shared import codes
from shared import events as ev
from shared.events import MessageReceived
from tests.builders import NOON, Story, after, mail, message

HEAD = """
name: switching
timezone: Europe/Amsterdam
calendars: {always: {hours: 24/7}, office: {hours: {mon-fri: ["09:00-17:00"]}}}
teams: {desk: {calendar: always}}
products: {claims: {}}
routing: [{name: all, team: desk}]
service_levels: [{name: all, calendar: always, first_response: 30h}]
switches:
"""


def policy(*rows: str) -> Policy:
    return Policy.parse(HEAD + "".join(f"  - {row}\n" for row in rows)).with_version(1)


def suggested(story: Story) -> list[tuple[str, str]]:
    events = (change.event for change in story.history)
    return [(e.reason, e.to_channel) for e in events if isinstance(e, ev.SwitchSuggested)]


def missed_call(**given: Any) -> MessageReceived:
    return message(
        "", channel="phone", account="desk-phone", kind="call_missed",
        reply_window_closes_at=None, **given,
    )  # fmt: skip


def test_a_window_about_to_close_is_answered_by_an_offer_once() -> None:
    rules = policy("{from: whatsapp, to: email, reasons: [window_closing], consent: ask}")
    story = Story(rules)
    story.hear(message())  # the window closes after 24 h, the margin is an hour
    assert next_fire(story.case, rules, NOON) == after(hours=23)
    story.tell(cmd.PassTime(after(hours=23)), after(hours=23))
    assert suggested(story) == [("window_closing", "email")]
    assert next_fire(story.case, rules, after(hours=23)) == after(hours=30)
    story.tell(cmd.PassTime(after(hours=24)), after(hours=24))
    assert len(suggested(story)) == 1


def test_no_offer_before_a_window_that_nobody_waits_behind() -> None:
    rules = policy("{from: whatsapp, to: email, reasons: [window_closing], consent: ask}")
    story = Story(rules)
    story.hear(message(kind="reaction"))
    story.tell(cmd.PassTime(after(hours=23)), after(hours=23))
    assert suggested(story) == []


def test_a_missed_call_is_followed_up_where_nobody_need_be_asked() -> None:
    story = Story(policy("{from: phone, to: whatsapp, reasons: [call_missed], consent: none}"))
    story.hear(missed_call())
    assert suggested(story) == [("call_missed", "whatsapp")]


def test_nobody_can_be_asked_on_the_telephone() -> None:
    story = Story(policy("{from: phone, to: whatsapp, reasons: [call_missed], consent: ask}"))
    story.hear(missed_call())
    assert suggested(story) == []


def test_consent_on_record_is_a_persons_to_get() -> None:
    story = Story(policy("{from: whatsapp, to: phone, reasons: [breach], consent: recorded}"))
    story.hear(message())
    story.tell(cmd.PassTime(after(hours=31)), after(hours=31))
    assert suggested(story) == []


def test_a_breach_offers_another_channel() -> None:
    story = Story(policy("{from: email, to: phone, reasons: [breach], consent: ask}"))
    story.hear(mail())
    story.tell(cmd.PassTime(after(hours=31)), after(hours=31))
    assert suggested(story) == [("breach", "phone")]


def test_a_cheaper_channel_is_offered_at_the_opening_and_only_if_it_is() -> None:
    row = (
        "{{from: email, to: whatsapp, reasons: [cheaper_channel], "
        "cost: {{email: {}, whatsapp: 2}}}}"
    )
    for cost, expected in ((5, [("cheaper_channel", "whatsapp")]), (2, [])):
        story = Story(policy(row.format(cost)))
        story.hear(mail())
        story.hear(mail("And another thing", at=after(minutes=5)))
        assert suggested(story) == expected


def test_rows_hold_in_their_hours_and_for_their_product() -> None:
    row = "{from: email, to: phone, reasons: [breach], consent: ask, hours: office}"
    story = Story(policy(row))
    story.hear(mail())
    story.tell(cmd.PassTime(after(hours=36)), after(hours=36))  # 22:00 in Amsterdam
    assert suggested(story) == []
    story = Story(policy("{from: email, to: phone, product: claims, reasons: [breach]}"))
    story.hear(mail())
    story.tell(cmd.PassTime(after(hours=31)), after(hours=31))
    assert suggested(story) == []


def test_a_stranger_in_the_thread_starts_no_switch() -> None:
    story = Story(policy("{from: phone, to: whatsapp, reasons: [call_missed], consent: none}"))
    story.hear(missed_call(), marked="other_sender")
    assert suggested(story) == []


# --- what the customer is told ---------------------------------------------------------------

CODE = "R-7K4Q-2M9X"


@pytest.mark.parametrize(
    ("channel", "way", "expected"),
    [
        ("whatsapp", Way(address="+31880000000"), f"https://wa.me/31880000000?text={CODE}"),
        ("phone", Way(address="+31880000000"), f"and give the code {codes.spoken(CODE)}"),
        ("portal", Way(link="https://a.example.org/r/"), f"https://a.example.org/r/{CODE}"),
        ("email", Way(address="desk@example.org"), f"{CODE} there: desk@example.org."),
        ("sms", Way(), f"Mention the code {CODE} there."),
    ],
)  # fmt: skip
def test_how_to_go_on(channel: str, way: Way, expected: str) -> None:
    assert expected in switching.invitation(channel, way, CODE, "", "en")


@pytest.mark.parametrize("language", ["en", "nl-BE", "de", "FR"])
def test_every_phrase_is_there_in_every_language(language: str) -> None:
    text = switching.invitation("phone", Way(address="+31880000000"), CODE, "Parcel", language)
    assert "Parcel" in text
    assert codes.spoken(CODE) in text
    assert "{" not in text
    if language != "en":
        assert text != switching.invitation("phone", Way("", "+31880000000"), CODE, "Parcel", "en")


def test_a_language_without_words_gets_english() -> None:
    assert phrases.say("mention", "xx", code=CODE) == phrases.say("mention", "en", code=CODE)


def test_the_digits_of_a_code_are_found_as_people_say_them() -> None:
    digits = codes.digits(CODE)
    assert len(digits) == 9
    for written in (digits, codes.spoken(CODE), f"it is {codes.spoken(CODE).replace(' ', '-')}."):
        assert codes.digits_in(written) == [digits]
    assert codes.digits_in("+31880000000 or 0880000000") == []


def test_no_digits_stay_in_a_history() -> None:
    text = switching.invitation("phone", Way(address="+31880000000"), CODE, "", "en")
    assert codes.spoken(CODE) not in codes.masked(text)
    assert "+31880000000" in codes.masked(text)


# --- accepting it ----------------------------------------------------------------------------


def test_a_code_told_to_an_agent_accepts_the_switch() -> None:
    story = Story(policy("{from: whatsapp, to: phone, reasons: [agent], consent: ask}"))
    story.hear(message())
    offer = cmd.OfferHandoff(
        uuid4(), "jo", "agent", to_channel="phone", code=CODE, invitation_id=uuid4(),
        way=Way(address="+31880000000"),
    )  # fmt: skip
    story.tell(offer, after(minutes=1))
    (accepted,) = story.tell(
        cmd.AcceptHandoff(offer.handoff_id, "jo", by_code=True), after(minutes=9)
    )
    assert isinstance(accepted, ev.HandoffAccepted)
    assert story.case.offers == ()


def test_an_offer_before_a_window_closes_waits_for_the_hours_of_its_row() -> None:
    rules = policy("{from: whatsapp, to: phone, reasons: [window_closing], hours: office}")
    story = Story(rules)
    story.hear(message(at=after(hours=12)))  # answer by 20:00 UTC on Wednesday
    at = suggesting.window_closing_at(story.case, rules, after(hours=12))
    assert at == after(hours=47)  # nine in the morning in Amsterdam, on Thursday
    story.tell(cmd.PassTime(after(hours=47)), after(hours=47))
    assert suggested(story) == [("window_closing", "phone")]


def test_no_timer_goes_round_where_nothing_can_be_offered() -> None:
    for row in (
        "{from: whatsapp, to: phone, product: claims, reasons: [window_closing]}",
        "{from: whatsapp, to: phone, consent: recorded, reasons: [window_closing]}",
    ):
        rules = policy(row)
        story = Story(rules)
        story.hear(message())
        assert next_fire(story.case, rules, NOON) == after(hours=30)
