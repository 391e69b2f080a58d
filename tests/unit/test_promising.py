"""Promises: by when, reminded, kept by deeds, tried three times, moved, broken. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from services.router import commands as cmd
from services.router.case import Case
from services.router.decide import evolve
from services.router.firing import RECHECK, next_fire
from services.router.fulfilling import LEAD
from services.router.policy import Policy
from shared import events as ev
from shared.durations import Duration
from shared.errors import Conflict, Invalid
from tests.builders import NOON, Story, after, mail, message, uuid

TEXT = """
name: promises
timezone: Europe/Amsterdam
calendars:
  office: {hours: {mon-fri: ["08:30-12:30", "13:00-17:30"], sat: ["10:00-14:00"]}, holidays: NL}
  nights: {hours: {mon-sun: ["00:00-06:00"]}}
supervisors: {notify: [{webhook: "https://hooks.example.org/boss"}]}
teams:
  desk: {notify: [{webhook: "https://hooks.example.org/desk"}]}
  back: {notify: [{webhook: "https://hooks.example.org/back"}]}
routing: [{name: all, team: desk}]
service_levels: [{name: all, calendar: office, first_response: 4h}]
promises: {calendar: office, attempts: 3, remind_before: [1h, 15m]}
reply_from: {email: support-mail}
"""
POLICY = Policy.parse(TEXT).with_version(1)
NO_CALENDAR = Policy.parse(TEXT.replace("calendar: office, attempts", "attempts"))
NIGHTS = Policy.parse(TEXT.replace("calendar: office, attempts", "calendar: nights, attempts"))
P = uuid(1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def begun(policy: Policy = POLICY, **given: Any) -> Story:
    story = Story(policy)
    story.hear(message(**given))
    return story


def promise(
    story: Story, kind: Any = "call_back", now: datetime = NOON, id: UUID = P, **by: Any
) -> Any:
    made = cmd.MakePromise(id, "jo", kind, "about the parcel", **by)
    return only(story.tell(made, now), ev.PromiseMade)


def only(happened: list[Any], kind: type) -> Any:
    (found,) = [event for event in happened if isinstance(event, kind)]
    return found


def none(happened: list[Any], *kinds: type) -> bool:
    return not any(isinstance(event, kinds) for event in happened)


def call(story: Story, outcome: Any, now: datetime, **more: Any) -> list[Any]:
    reply = cmd.Reply(uuid4(), "jo", "", story.case.version, outcome=outcome, **more)
    return story.tell(reply, now)


def reply(story: Story, now: datetime) -> UUID:
    asked = cmd.Reply(uuid4(), "jo", "Here it is.", story.case.version)
    story.tell(asked, now)
    return asked.message_id


def report(story: Story, message_id: UUID, now: datetime, status: Any = "sent") -> list[Any]:
    return story.tell(cmd.ReportDelivery(message_id, status, now), now)


def pass_time(story: Story, now: datetime, watermark: datetime | None = None) -> list[Any]:
    return story.tell(cmd.PassTime(watermark or now), now)


# --- by when ---------------------------------------------------------------------------------

WITHIN = [
    # Tuesday 10:00 in Amsterdam
    (NOON, "1h", "2026-11-17T11:00+01:00"),
    (NOON, "3h", "2026-11-17T13:30+01:00"),
    (NOON, "1bd", "2026-11-18T10:00+01:00"),
    # Saturday 13:30, half an hour before closing
    (at("2026-11-21T13:30+01:00"), "1h", "2026-11-23T09:00+01:00"),
    # Friday before the clocks go forward, and before they go back
    (at("2026-03-27T16:30+01:00"), "2h", "2026-03-28T11:00+01:00"),
    (at("2026-03-27T16:30+01:00"), "2bd", "2026-03-30T16:30+02:00"),
    (at("2026-10-24T13:30+02:00"), "1h", "2026-10-26T09:00+01:00"),
    # the day before Good Friday is a working day, Easter Monday is none
    (at("2026-04-04T13:00+02:00"), "2h", "2026-04-07T09:30+02:00"),
]


@pytest.mark.parametrize(("now", "within", "due"), WITHIN)
def test_within_is_counted_like_a_service_level(now: datetime, within: str, due: str) -> None:
    made = promise(begun(at=now), now=now, within=Duration.parse(within))
    assert made.due_at == at(due)
    assert within in made.words


def test_within_the_night_the_clocks_change() -> None:
    """00:30 plus three open hours: the hour from 02:00 to 03:00 is not there."""
    now = at("2026-03-29T00:30+01:00")
    made = promise(begun(NIGHTS, at=now), now=now, within=Duration.parse("3h"))
    assert made.due_at == at("2026-03-29T04:30+02:00")


def test_without_a_calendar_it_is_wall_clock() -> None:
    sunday = at("2026-11-22T03:00+01:00")
    story = begun(NO_CALENDAR, at=sunday)
    counted = promise(story, now=sunday, within=Duration.parse("2h"))
    assert counted.due_at == sunday + timedelta(hours=2)
    assert promise(story, now=sunday, id=uuid(2), due_at=at("2026-11-22T23:00+01:00"))
    with pytest.raises(Invalid, match="business days") as refused:
        promise(story, now=sunday, id=uuid(3), within=Duration.parse("1bd"))
    assert refused.value.problem == "calendar-missing"


@pytest.mark.parametrize(
    ("due", "opens"),
    [
        ("2026-11-17T12:45+01:00", "Tue 2026-11-17 13:00"),
        ("2026-11-20T18:00+01:00", "Sat 2026-11-21 10:00"),
        ("2026-11-22T11:00+01:00", "Mon 2026-11-23 08:30"),
        ("2026-12-25T11:00+01:00", "Mon 2026-12-28 08:30"),
    ],
)
def test_a_time_in_closed_time_is_refused_with_the_next_opening(due: str, opens: str) -> None:
    with pytest.raises(Invalid) as refused:
        promise(begun(), due_at=at(due))
    assert refused.value.problem == "closed-then"
    assert f"it opens {opens} (Europe/Amsterdam)" in refused.value.detail
    assert refused.value.extra["next_opening"] > at(due)


def test_a_closing_time_is_a_time_people_agree_on() -> None:
    assert promise(begun(), due_at=at("2026-11-17T17:30+01:00"))


@pytest.mark.parametrize(
    ("by", "name"),
    [
        ({"due_at": after(minutes=-1)}, "past"),
        ({"due_at": NOON}, "past"),
        ({"within": Duration(0, "m")}, "past"),
        ({"due_at": after(days=800)}, "too-far"),
        ({"within": Duration(90, "y")}, "too-far"),
        ({"within": Duration(8000, "bd")}, "too-far"),
        ({}, "due-missing"),
        ({"due_at": after(hours=1), "within": Duration(1, "h")}, "due-missing"),
    ],
)
def test_times_nobody_means_are_refused(by: dict[str, Any], name: str) -> None:
    with pytest.raises(Invalid) as refused:
        promise(begun(), **by)
    assert refused.value.problem == name


def test_it_is_somebodys_and_of_an_open_case() -> None:
    story = begun()
    with pytest.raises(Invalid) as nobody:
        story.tell(cmd.MakePromise(P, "", "other", "x", within=Duration(1, "h")), NOON)
    assert nobody.value.problem == "agent-missing"
    story.tell(cmd.Close("jo"), NOON)
    with pytest.raises(Conflict) as closed:
        promise(story, within=Duration(1, "h"))
    assert closed.value.problem == "case-closed"


# --- reminders -------------------------------------------------------------------------------


def test_reminders_are_counted_back_in_open_time() -> None:
    made = promise(begun(), due_at=at("2026-11-17T13:30+01:00"))
    assert made.remind_at == (at("2026-11-17T12:00+01:00"), at("2026-11-17T13:15+01:00"))
    story = begun()
    assert promise(story, due_at=after(minutes=30)).remind_at == (after(minutes=15),)


def test_each_step_reminds_once_and_tells_who_promised() -> None:
    story = begun()
    promise(story, due_at=after(hours=2))
    assert none(pass_time(story, after(minutes=59)), ev.PromiseReminded)
    first = only(pass_time(story, after(minutes=60)), ev.PromiseReminded)
    assert (first.step, first.by, first.expires_at) == (1, "jo", after(minutes=105))
    assert [target.address for target in first.notify] == ["https://hooks.example.org/desk"]
    assert none(pass_time(story, after(minutes=61)), ev.PromiseReminded)
    assert only(pass_time(story, after(minutes=105)), ev.PromiseReminded).step == 2


def test_whoever_slept_through_two_steps_is_reminded_once() -> None:
    story = begun()
    promise(story, due_at=after(hours=2))
    assert only(pass_time(story, after(minutes=110)), ev.PromiseReminded).step == 2


def test_a_case_that_waits_for_the_customer_comes_back_in_time() -> None:
    story = begun()
    report(story, reply(story, NOON), NOON)
    promise(story, due_at=after(hours=2), now=after(minutes=1))
    assert story.case.state == "waiting_customer"
    assert next_fire(story.case, POLICY, after(minutes=1)) == after(minutes=60)
    assert only(pass_time(story, after(minutes=60)), ev.CaseResumed)
    assert story.case.effective_due() == (after(hours=2), "promise")


def test_without_reminders_it_comes_back_a_little_before() -> None:
    policy = Policy.parse(TEXT.replace(", remind_before: [1h, 15m]", ""))
    story = begun(policy)
    report(story, reply(story, NOON), NOON)
    promise(story, due_at=after(hours=2), now=after(minutes=1))
    assert next_fire(story.case, policy, after(minutes=1)) == after(hours=2) - LEAD
    assert only(pass_time(story, after(hours=2) - LEAD), ev.CaseResumed)


# --- kept ------------------------------------------------------------------------------------


def test_reaching_them_keeps_a_call_back() -> None:
    story = begun()
    promise(story, due_at=after(hours=2))
    kept = only(call(story, "reached", after(minutes=30), channel="phone"), ev.PromiseKept)
    assert (kept.promise_id, kept.how, kept.late) == (P, "reached", False)
    assert story.case.promises == ()


def test_a_sent_human_reply_keeps_an_answer_and_no_call_back() -> None:
    story = begun()
    promise(story, "answer", due_at=after(hours=2))
    promise(story, "call_back", id=uuid(2), due_at=after(hours=2))
    answer = reply(story, after(minutes=30))
    assert len(story.case.promises) == 2, "accepted is not sent"
    kept = only(report(story, answer, after(minutes=31)), ev.PromiseKept)
    assert (kept.promise_id, kept.message_id) == (P, answer)
    assert [p.id for p in story.case.promises] == [uuid(2)]


def test_a_reply_typed_in_the_providers_app_keeps_an_answer() -> None:
    story = begun()
    promise(story, "answer", due_at=after(hours=2))
    echo = message("Sorted.", at=after(minutes=5), echo=True)
    assert only(story.hear(echo), ev.PromiseKept).promise_id == P


def test_what_was_said_before_it_was_promised_does_not_keep_it() -> None:
    story = begun()
    said = reply(story, NOON)
    promise(story, "answer", now=after(minutes=1), due_at=after(hours=2))
    promise(story, "call_back", now=after(minutes=1), id=uuid(2), due_at=after(hours=2))
    assert none(report(story, said, after(minutes=2)), ev.PromiseKept)
    heard = call(story, "reached", after(minutes=3), occurred_at=NOON)
    assert none(heard, ev.PromiseKept)
    tried = call(story, "no_answer", after(minutes=3), occurred_at=NOON)
    assert none(tried, ev.PromiseAttempted)


def test_one_deed_keeps_the_one_due_first() -> None:
    story = begun()
    promise(story, due_at=after(days=1))
    promise(story, id=uuid(2), due_at=after(hours=1))
    assert only(call(story, "reached", after(minutes=5)), ev.PromiseKept).promise_id == uuid(2)
    assert [p.id for p in story.case.promises] == [P]


def test_by_hand_it_is_kept_with_how() -> None:
    story = begun()
    promise(story, due_at=after(hours=2))
    promise(story, "other", id=uuid(2), due_at=after(hours=2))
    with pytest.raises(Invalid) as refused:
        story.tell(cmd.KeepPromise(P, "jo"), NOON)
    assert refused.value.problem == "how-missing"
    assert only(story.tell(cmd.KeepPromise(uuid(2), "jo"), NOON), ev.PromiseKept).how == "by jo"
    kept = only(story.tell(cmd.KeepPromise(P, "jo", "my own mobile"), NOON), ev.PromiseKept)
    assert kept.how == "my own mobile"
    with pytest.raises(Conflict) as over:
        story.tell(cmd.KeepPromise(P, "jo", "again"), NOON)
    assert over.value.problem == "promise-ended"


def test_a_reply_that_bounces_owes_it_again() -> None:
    story = begun()
    promise(story, "answer", due_at=after(hours=2))
    answer = reply(story, after(minutes=1))
    report(story, answer, after(minutes=2))
    assert story.case.promises == ()
    assert only(report(story, answer, after(minutes=3), "failed"), ev.PromiseRevived)
    assert (story.case.promises[0].id, story.case.promises[0].due_at) == (P, after(hours=2))
    assert only(pass_time(story, after(hours=2)), ev.PromiseBroken)


# --- tried in vain ---------------------------------------------------------------------------


def test_three_tries_then_say_so() -> None:
    story = begun()
    promise(story, due_at=after(days=1))
    for count, outcome in enumerate(("no_answer", "voicemail"), start=1):
        happened = call(story, outcome, after(hours=count))
        tried = only(happened, ev.PromiseAttempted)
        assert (tried.count, tried.most, tried.outcome, tried.notify) == (count, 3, outcome, ())
        assert none(happened, ev.PromiseBroken, ev.ReplyRequested)
    happened = call(story, "no_answer", after(hours=3))
    last, broken = only(happened, ev.PromiseAttempted), only(happened, ev.PromiseBroken)
    assert [t.address for t in last.notify] == ["https://hooks.example.org/desk"]
    assert [t.address for t in broken.notify] == ["https://hooks.example.org/boss"]
    assert broken.reason == "unreached"
    told = only(happened, ev.ReplyRequested)
    assert (told.human, told.purpose, told.answers, told.channel) == (
        False,
        "notice",
        0,
        "whatsapp",
    )
    assert "3 times" in told.text
    assert "parcel" not in told.text + told.subject, "an address may only claim to be theirs"
    waiting = story.case.waiting_since
    report(story, told.message_id, after(hours=3))
    assert story.case.waiting_since == waiting, "it answers nothing"
    again = call(story, "no_answer", after(hours=4))
    assert none(again, ev.PromiseAttempted, ev.ReplyRequested, ev.PromiseBroken)


@pytest.mark.parametrize(
    ("language", "words"),
    [("nl-BE", "terugbellen"), ("de", "Rückruf"), ("fr", "rappeler"), ("fi", "call you back")],
)
def test_it_is_said_in_their_language(language: str, words: str) -> None:
    story = begun(language=language)
    promise(story, due_at=after(days=1))
    for hour in (1, 2):
        call(story, "no_answer", after(hours=hour))
    assert words in only(call(story, "no_answer", after(hours=3)), ev.ReplyRequested).text


@pytest.mark.parametrize(
    ("window", "senders"), [(2, None), (24, frozenset({"another"}))], ids=["closed", "mute"]
)
def test_a_closed_window_or_a_mute_account_says_nothing(
    window: int, senders: frozenset[str] | None
) -> None:
    story = begun(reply_window_closes_at=after(hours=window))
    promise(story, due_at=after(days=1))
    for hour in (1, 2):
        call(story, "no_answer", after(hours=hour))
    happened = call(story, "no_answer", after(hours=3), senders=senders)
    assert only(happened, ev.PromiseBroken)
    assert none(happened, ev.ReplyRequested)


def test_another_written_channel_is_taken_where_the_first_has_closed() -> None:
    story = begun(reply_window_closes_at=after(hours=1))
    story.hear(mail(at=after(minutes=1)))
    story.hear(message("?", at=after(minutes=2), reply_window_closes_at=after(hours=1)))
    promise(story, due_at=after(days=1), now=after(minutes=3))
    for hour in (2, 3):
        call(story, "no_answer", after(hours=hour))
    last = call(story, "no_answer", after(hours=4))
    assert only(last, ev.ReplyRequested).channel == "email"


# --- another time ----------------------------------------------------------------------------

CONSENT = {"by": "Ada", "at": "2026-11-17T10:05:00Z", "how": "on the phone"}


def renegotiate(story: Story, now: datetime = NOON, **by: Any) -> list[Any]:
    return story.tell(cmd.RenegotiatePromise(P, uuid(2), "kim", **by), now)


@pytest.mark.parametrize("consent", [None, {}, {"by": "Ada"}, CONSENT | {"how": " "}])
def test_later_without_consent_is_refused(consent: Any) -> None:
    story = begun()
    promise(story, due_at=after(hours=2))
    with pytest.raises(Invalid) as refused:
        renegotiate(story, due_at=after(hours=2, minutes=1), consent=consent)
    assert refused.value.problem == "consent-missing"
    assert story.case.promises[0].due_at == after(hours=2)


def test_later_with_consent_is_another_promise() -> None:
    story = begun()
    promise(story, due_at=after(hours=2))
    happened = renegotiate(story, due_at=after(days=1), consent=CONSENT)
    ended, made = only(happened, ev.PromiseRenegotiated), only(happened, ev.PromiseMade)
    assert (ended.promise_id, ended.by, ended.consent) == (P, "kim", CONSENT)
    assert (made.promise_id, made.replaces, made.by) == (uuid(2), P, "kim")
    assert (made.kind, made.what, made.due_at) == ("call_back", "about the parcel", after(days=1))
    assert [p.id for p in story.case.promises] == [uuid(2)]


def test_earlier_needs_nobodys_consent() -> None:
    story = begun()
    promise(story, due_at=after(hours=4))
    assert only(renegotiate(story, within=Duration.parse("1h")), ev.PromiseMade)


def test_a_broken_one_is_moved_with_consent_only() -> None:
    story = begun()
    promise(story, due_at=after(hours=2))
    pass_time(story, after(hours=2))
    with pytest.raises(Invalid):
        renegotiate(story, after(hours=2), due_at=after(hours=3, minutes=30))
    assert renegotiate(story, after(hours=2), due_at=after(days=1), consent=CONSENT)


def test_a_new_time_obeys_the_calendar_too() -> None:
    story = begun()
    promise(story, due_at=after(hours=2))
    with pytest.raises(Invalid) as refused:
        renegotiate(story, due_at=at("2026-11-22T11:00+01:00"), consent=CONSENT)
    assert refused.value.problem == "closed-then"


# --- broken ----------------------------------------------------------------------------------


def test_past_due_it_is_broken_once_and_told() -> None:
    story = begun()
    promise(story, due_at=after(hours=2))
    broken = only(pass_time(story, after(hours=2)), ev.PromiseBroken)
    assert (broken.reason, broken.by, broken.due_at) == ("late", "jo", after(hours=2))
    assert [target.address for target in broken.notify] == [
        "https://hooks.example.org/desk", "https://hooks.example.org/boss",
    ]  # fmt: skip
    assert none(pass_time(story, after(hours=3)), ev.PromiseBroken)
    assert story.case.effective_due()[1] == "promise", "it is still owed, on top"
    kept = only(call(story, "reached", after(hours=3)), ev.PromiseKept)
    assert kept.late


def test_no_false_break_while_we_lag() -> None:
    story = begun()
    promise(story, due_at=after(hours=2))
    late = after(hours=2, minutes=5)
    for watermark in (None, after(hours=1, minutes=59)):
        happened = story.tell(cmd.PassTime(watermark), late)
        assert none(happened, ev.PromiseBroken)
    assert next_fire(story.case, POLICY, late) == late + RECHECK
    heard = call(story, "reached", late, occurred_at=after(hours=1, minutes=50))
    assert not only(heard, ev.PromiseKept).late
    assert none(heard, ev.PromiseBroken)


def test_an_answer_on_its_way_breaks_nothing() -> None:
    story = begun()
    promise(story, "answer", due_at=after(hours=2))
    answer = reply(story, after(hours=1, minutes=59))
    late = after(hours=2, minutes=5)
    assert none(pass_time(story, late), ev.PromiseBroken)
    kept = only(report(story, answer, late), ev.PromiseKept)
    assert not kept.late, "when it was accepted counts"


def test_an_answer_accepted_too_late_excuses_nothing() -> None:
    story = begun()
    promise(story, "answer", due_at=after(hours=2))
    reply(story, after(hours=2, minutes=1))
    assert only(pass_time(story, after(hours=2, minutes=1)), ev.PromiseBroken)


def test_a_deed_after_due_is_late_though_the_clock_has_not_come_round() -> None:
    story = begun()
    promise(story, due_at=after(hours=2))
    happened = call(story, "reached", after(hours=2, minutes=1))
    assert only(happened, ev.PromiseBroken)
    assert only(happened, ev.PromiseKept).late


# --- the case --------------------------------------------------------------------------------


def test_an_open_promise_holds_the_case_open() -> None:
    story = begun()
    promise(story, due_at=after(hours=2))
    with pytest.raises(Conflict, match="about the parcel by 2026-11-17 11:00 UTC") as refused:
        story.tell(cmd.Close("jo"), NOON)
    assert refused.value.problem == "promise-open"
    assert [each["id"] for each in refused.value.extra["promises"]] == [P]
    story.tell(cmd.KeepPromise(P, "jo", "they want nothing more"), NOON)
    story.tell(cmd.Close("jo"), NOON)
    assert story.case.state == "closed"


def test_a_broken_one_does_not() -> None:
    story = begun()
    promise(story, due_at=after(hours=2))
    pass_time(story, after(hours=2))
    story.tell(cmd.Close("jo"), after(hours=3))
    assert story.case.promises == ()


def test_closing_right_after_answering_keeps_the_answer() -> None:
    story = begun()
    promise(story, "answer", due_at=after(hours=2))
    answer = reply(story, after(minutes=1))
    assert only(story.tell(cmd.Close("jo"), after(minutes=2)), ev.PromiseKept)
    report(story, answer, after(minutes=3), "failed")
    assert story.case.state == "open"
    assert [p.id for p in story.case.promises] == [P], "it was not kept after all"


def test_a_transfer_carries_promises_along() -> None:
    story = begun()
    promise(story, due_at=after(hours=2))
    before = story.case.promises
    story.tell(cmd.OfferHandoff(uuid(9), "jo", "agent", to_team="back"), after(minutes=1))
    story.tell(cmd.AcceptHandoff(uuid(9), "kim"), after(minutes=2))
    assert (story.case.team, story.case.promises) == ("back", before)
    broken = only(pass_time(story, after(hours=2)), ev.PromiseBroken)
    assert broken.notify[0].address == "https://hooks.example.org/back"


def test_history_folds_to_the_same_case() -> None:
    story = begun()
    promise(story, "answer", due_at=after(hours=2))
    answer = reply(story, after(minutes=1))
    report(story, answer, after(minutes=2))
    report(story, answer, after(minutes=3), "failed")
    renegotiate(story, after(minutes=4), due_at=after(days=1), consent=CONSENT)
    promise(story, id=uuid(3), now=after(minutes=5), due_at=after(hours=3))
    for minute in (6, 7, 8):
        call(story, "no_answer", after(minutes=minute))
    folded: Case | None = None
    for change in story.history:
        folded = evolve(
            folded, msgspec.json.decode(msgspec.json.encode(change), type=ev.CaseChanged)
        )
    assert folded == story.case
