"""The survey after closing: who is asked and when, what counts as an answer, what it does. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.notifier.effects import plan
from services.notifier.models import Delivery, Head
from services.notifier.staleness import staleness
from services.router import commands as cmd
from services.router import surveying
from services.router.evolve import evolve
from services.router.firing import next_fire
from services.router.joining import join
from services.router.policy import Policy
from services.router.scores import is_stop, score_in
from services.router.trial.heard import Heard
from services.router.trial.replaying import Trial, replay
from services.router.trial.retelling import History
from shared import events as ev
from shared.events import Identity, MessageReceived, Thread
from tests.builders import NOON, Story, after, mail, message, uuid

TEXT = """
name: survey
calendars: {always: {hours: 24/7}}
shared_identities: ["e164:+31880000001"]
teams: {desk: {}, chat: {}}
joining: {reopen: 2d}
routing:
  - {name: chat, when: 'channel == "whatsapp"', team: chat}
  - {name: all, team: desk}
service_levels: [{name: all, calendar: always, first_response: 4h}]
reply_from: {email: support-mail}
survey:
  {after: 1h, channels: [whatsapp, email, portal], question: "How well did we help you?",
   scale: 1-5, follow_up_below: 3}
"""
POLICY = Policy.parse(TEXT).with_version(1)
ONE_TO_TEN = Policy.parse(TEXT.replace("1-5", "0-10")).with_version(1)
NO_FOLLOW_UP = Policy.parse(TEXT.replace(", follow_up_below: 3", "")).with_version(1)
FREE = cmd.Asking()
CLOSED = after(minutes=20)
DUE = CLOSED + timedelta(hours=1)


def closed(
    first: MessageReceived | None = None, policy: Policy = POLICY, by: str = "jo", **more: Any
) -> Story:
    """A case that was answered, and closed at CLOSED."""
    story = Story(policy)
    story.hear(first or message(), **more)
    answer = cmd.Reply(uuid4(), "jo", "It is on its way.", story.case.version)
    if story.case.channel in ("phone", "counter"):
        answer = cmd.Reply(uuid4(), "jo", "", story.case.version, outcome="reached")
    story.tell(answer, after(minutes=10))
    if not answer.outcome:
        story.tell(cmd.ReportDelivery(answer.message_id, "sent", CLOSED), after(minutes=11))
    story.tell(cmd.Close(by), CLOSED)
    return story


def pass_time(
    story: Story, now: datetime = DUE, asking: cmd.Asking | None = FREE, watermark: Any = "level"
) -> list[Any]:
    level = now if watermark == "level" else watermark
    return story.tell(cmd.PassTime(level, asking), now)


def asked(first: MessageReceived | None = None, policy: Policy = POLICY) -> Story:
    story = closed(first, policy)
    assert only(pass_time(story), ev.SurveySent)
    question = surveyed(story).message_id
    story.tell(cmd.ReportDelivery(question, "sent", DUE), DUE)
    return story


def surveyed(story: Story) -> Any:
    assert story.case.survey is not None
    return story.case.survey


def only(happened: list[Any], kind: type) -> Any:
    (found,) = [event for event in happened if isinstance(event, kind)]
    return found


def none(happened: list[Any], *kinds: type) -> bool:
    return not any(isinstance(event, kinds) for event in happened)


def names(happened: list[Any]) -> list[str]:
    return [type(event).__name__ for event in happened]


# --- scores ----------------------------------------------------------------------------------

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


# --- asked -----------------------------------------------------------------------------------


def test_asked_once_an_hour_after_closing() -> None:
    story = closed()
    assert next_fire(story.case, POLICY, CLOSED) == DUE
    assert pass_time(story, DUE - timedelta(seconds=1)) == []
    question, sent = pass_time(story)
    assert isinstance(question, ev.ReplyRequested)
    assert (question.human, question.answers, question.purpose) == (False, 0, "survey")
    assert question.text.startswith("How well did we help you?\n\n")
    assert "from 1 to 5" in question.text
    assert (question.channel, question.account, question.template) == (
        "whatsapp", "desk-whatsapp", "",
    )  # fmt: skip
    assert question.recipient == Identity(scheme="e164", value="+31612345678")
    assert question.subject == "How did we do?"
    assert question.reply_window_closes_at == NOON + timedelta(hours=24)
    assert sent == ev.SurveySent(
        message_id=question.message_id, channel="whatsapp", expires_at=DUE + timedelta(days=7),
        account="desk-whatsapp", scale=(1, 5),
    )  # fmt: skip
    assert story.case.state == "closed"
    assert next_fire(story.case, POLICY, DUE) is None
    assert pass_time(story, DUE + timedelta(hours=1)) == []


def test_it_opens_starts_and_answers_nothing() -> None:
    story = closed()
    before = story.case
    pass_time(story)
    question = surveyed(story).message_id
    happened = story.tell(cmd.ReportDelivery(question, "sent", DUE, provider_id="w"), DUE)
    assert names(happened) == ["ReplySent", "DeliveryStatusChanged"]
    story.tell(cmd.ReportDelivery(question, "read", DUE), DUE)
    case = story.case
    assert (case.state, case.deadlines, case.unanswered, case.pending) == (
        "closed",
        before.deadlines,
        (),
        (),
    )
    assert (case.answered, case.answered_at, case.active_at) == (
        before.answered, before.answered_at, before.active_at,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("language", "words"),
    [("nl-BE", "Antwoord met een cijfer van 1 tot en met 5"), ("de", "STOPP"), ("fr", "Répondez")],
)
def test_the_scale_is_told_in_their_language(language: str, words: str) -> None:
    story = closed(message(language=language))
    assert words in only(pass_time(story), ev.ReplyRequested).text


def test_a_mail_says_nothing_of_the_matter_and_stays_in_the_thread() -> None:
    story = closed(mail("My order 12 is lost", subject="Order 12", reference="<a@b>"))
    question = only(pass_time(story), ev.ReplyRequested)
    assert "12" not in question.subject + question.text
    assert question.references == ("<a@b>",)


@pytest.mark.parametrize(
    ("asking", "reason"),
    [
        (cmd.Asking(opted_out=True), "opted_out"),
        (cmd.Asking(bouncing=True), "bouncing"),
        (cmd.Asking(asked_at=DUE - timedelta(days=29)), "rest"),
        (cmd.Asking(senders=frozenset(("another",))), "channel"),
    ],
)
def test_who_is_not_asked(asking: cmd.Asking, reason: str) -> None:
    story = closed()
    assert pass_time(story, asking=asking) == [ev.SurveySkipped(reason=reason)]
    assert story.case.surveyed
    assert next_fire(story.case, POLICY, DUE) is None


def test_after_the_rest_they_are_asked_again() -> None:
    rested = cmd.Asking(asked_at=DUE - timedelta(days=30))
    assert only(pass_time(closed(), asking=rested), ev.SurveySent)


def test_outside_the_window_only_by_a_template() -> None:
    late = message(at=NOON - timedelta(hours=23))
    assert pass_time(closed(late)) == [ev.SurveySkipped(reason="window")]
    with_template = cmd.Asking(templates=frozenset(("desk-whatsapp",)))
    assert (
        only(pass_time(closed(late), asking=with_template), ev.ReplyRequested).template == "survey"
    )
    assert only(pass_time(closed(), asking=with_template), ev.ReplyRequested).template == ""


def test_the_channel_must_be_one_of_the_policys_and_theirs() -> None:
    chat = message(channel="webchat", account="chat", reply_window_closes_at=None)
    assert pass_time(closed(chat)) == [ev.SurveySkipped(reason="channel")]
    switchboard = message(
        sender=ev.Sender(
            identities=(Identity(scheme="e164", value="+31880000001"),), authentication="asserted"
        ),
        shared_sender=True,
    )
    assert pass_time(closed(switchboard)) == [ev.SurveySkipped(reason="channel")]


def test_who_called_last_is_asked_where_they_wrote() -> None:
    story = Story(POLICY)
    story.hear(mail())
    story.hear(message(channel="phone", account="desk-phone", kind="call_missed",
                       reply_window_closes_at=None))  # fmt: skip
    story.tell(cmd.Reply(uuid4(), "jo", "", story.case.version, outcome="reached"), NOON)
    assert story.case.channel == "phone"
    story.tell(cmd.Close("jo"), CLOSED)
    assert only(pass_time(story), ev.ReplyRequested).channel == "email"
    called = message(channel="phone", account="desk-phone", kind="call_missed",
                     reply_window_closes_at=None)  # fmt: skip
    assert pass_time(closed(called)) == [ev.SurveySkipped(reason="channel")]


def test_the_portal_asks_by_mail() -> None:
    story = closed(mail(channel="portal", account="service-portal"))
    question = only(pass_time(story), ev.ReplyRequested)
    assert (question.channel, question.account) == ("email", "support-mail")


def test_colleagues_teams_and_leftovers_are_no_customers() -> None:
    colleague = closed(message(channel="internal", account="desk", reply_window_closes_at=None))
    child = closed(opening=cmd.Opening(by="jo", parent_id=uuid(9)))
    thumb = Story(POLICY)
    thumb.hear(message("👍", kind="reaction"))
    thumb.tell(cmd.Close("jo"), CLOSED)
    leftover = Story(POLICY)
    leftover.hear(message())
    leftover.tell(cmd.Close("jo", "its messages went away", empty=True), CLOSED)
    for story in (colleague, child, thumb, leftover, closed(by="regie")):
        assert story.case.state == "closed"
        assert next_fire(story.case, POLICY, CLOSED) is None
        assert pass_time(story) == []


def test_without_a_survey_nobody_is_asked() -> None:
    without = Policy.parse(TEXT.partition("survey:\n")[0]).with_version(1)
    story = closed(policy=without)
    assert next_fire(story.case, without, CLOSED) is None
    assert pass_time(story) == []
    assert surveying.reach(without, NOON) == without.reopens_since(NOON)


def test_a_reopened_case_is_asked_about_when_it_closes_again_and_only_once() -> None:
    story = closed()
    story.tell(cmd.Reopen("jo"), CLOSED + timedelta(minutes=30))
    assert none(pass_time(story), ev.SurveySent, ev.SurveySkipped)
    again = DUE + timedelta(hours=5)
    story.tell(cmd.Close("jo"), again)
    assert none(pass_time(story, again + timedelta(minutes=59)), ev.SurveySent)
    assert only(pass_time(story, again + timedelta(minutes=60)), ev.SurveySent)
    story.tell(cmd.Reopen("jo"), again + timedelta(hours=2))
    story.tell(cmd.Close("jo"), again + timedelta(hours=3))
    assert pass_time(story, again + timedelta(hours=4)) == []


@pytest.mark.parametrize("watermark", [None, DUE - timedelta(seconds=1)])
def test_not_while_what_they_wrote_may_be_unread(watermark: datetime | None) -> None:
    story = closed()
    assert pass_time(story, watermark=watermark) == []
    assert next_fire(story.case, POLICY, DUE) == DUE, "looked at again"
    assert only(pass_time(story, DUE + timedelta(minutes=5)), ev.SurveySent)


def test_not_before_the_last_answer_has_left_nor_without_having_looked() -> None:
    story = Story(POLICY)
    story.hear(message())
    reply = cmd.Reply(uuid4(), "jo", "Done.", story.case.version)
    story.tell(reply, after(minutes=10))
    story.tell(cmd.Close("jo"), CLOSED)
    assert pass_time(story) == []
    story.tell(cmd.ReportDelivery(reply.message_id, "sent", DUE), DUE)
    assert pass_time(story, asking=None) == []
    assert only(pass_time(story), ev.SurveySent)


def test_days_later_it_is_too_late_to_ask() -> None:
    assert only(pass_time(closed(mail()), DUE + timedelta(days=1)), ev.SurveySent)
    late = pass_time(closed(mail()), DUE + timedelta(days=1, seconds=1))
    assert late == [ev.SurveySkipped(reason="late")]


def test_a_failed_question_is_told_and_nothing_else() -> None:
    story = asked()
    before = story.case
    question = surveyed(story).message_id
    happened = story.tell(cmd.ReportDelivery(question, "failed", DUE, code="131026"), DUE)
    assert names(happened) == ["ReplyFailed", "SurveySkipped", "DeliveryStatusChanged"]
    assert only(happened, ev.SurveySkipped).reason == "failed"
    assert (story.case.state, story.case.survey) == ("closed", None)
    assert story.case.deadlines == before.deadlines
    assert none(story.hear(message("4", DUE + timedelta(minutes=5))), ev.SurveyAnswered)


def test_a_question_whose_case_was_opened_again_does_not_leave() -> None:
    story = closed()
    pass_time(story)
    change = next(c for c in story.history if isinstance(c.event, ev.ReplyRequested)
                  and c.event.purpose == "survey")  # fmt: skip
    (planned,) = plan("e", change)
    payload = {"purpose": "survey"}
    for purpose, state, stale in (
        ("survey", "closed", False), ("survey", "open", True), ("answer", "open", False),
    ):  # fmt: skip
        payload["purpose"] = purpose
        delivery = Delivery(
            id=planned.id, case_id=story.id, effect=planned.effect, target=planned.target,
            payload=payload, version=planned.version, at=planned.at, attempts=0,
            attempts_before=0, expires_at=planned.expires_at, head=Head(99, state, None),
        )  # fmt: skip
        assert (staleness(delivery, DUE) is not None) is stale


# --- answered --------------------------------------------------------------------------------


def test_a_score_is_recorded_and_needs_no_answer() -> None:
    story = asked()
    before = story.case
    happened = story.hear(message("4\nThank you!", DUE + timedelta(minutes=5)))
    added, answered = happened
    assert (added.unanswered, added.preview) == (False, "4 Thank you!")
    assert (answered.score, answered.comment, answered.channel) == (4, "Thank you!", "whatsapp")
    assert answered.message_id == added.message_id
    case = story.case
    assert (case.state, case.unanswered, case.deadlines) == ("closed", (), before.deadlines)


def test_a_mail_is_read_without_what_it_quotes() -> None:
    story = asked(mail())
    quoted = mail("5\n\n> How well did we help you?\n> 1 to 5", DUE, reply_text="5")
    assert only(story.hear(quoted), ev.SurveyAnswered).score == 5


def test_a_low_score_opens_the_case_again_and_its_clock_runs() -> None:
    story = asked()
    happened = story.hear(message("2\nNobody called", DUE + timedelta(minutes=5)))
    assert names(happened)[:2] == ["CaseReopened", "MessageAdded"]
    assert only(happened, ev.CaseReopened).reason == "low score"
    assert only(happened, ev.MessageAdded).unanswered
    assert only(happened, ev.SurveyAnswered).score == 2
    started = only(happened, ev.DeadlineStarted)
    assert started.due_at == DUE + timedelta(hours=4, minutes=5)
    assert (story.case.state, len(story.case.unanswered)) == ("open", 1)


def test_a_low_score_stays_with_the_team_that_knows_the_matter() -> None:
    story = closed()
    story.tell(cmd.Reopen("jo"), CLOSED)
    story.tell(cmd.OfferHandoff(uuid(5), "jo", "theirs", to_team="desk"), CLOSED)
    story.tell(cmd.AcceptHandoff(uuid(5), "sam"), CLOSED)
    story.tell(cmd.Close("sam"), CLOSED)
    pass_time(story)
    story.hear(message("1", DUE + timedelta(minutes=1)))
    assert (story.case.state, story.case.team) == ("open", "desk")


@pytest.mark.parametrize(("policy", "score"), [(POLICY, 3), (NO_FOLLOW_UP, 1)])
def test_only_below_the_policys_bound(policy: Policy, score: int) -> None:
    story = asked(policy=policy)
    happened = story.hear(message(str(score), DUE + timedelta(minutes=5)))
    assert only(happened, ev.SurveyAnswered).score == score
    assert story.case.state == "closed"


def test_the_scale_is_that_of_the_question() -> None:
    story = asked()
    story.policy = ONE_TO_TEN
    assert none(story.hear(message("9", DUE + timedelta(minutes=5))), ev.SurveyAnswered)
    assert story.case.state == "open", "a message like any other"


@pytest.mark.parametrize("text", ["order 4 of 5 arrived", "Thanks, but it is not solved", "9"])
def test_anything_else_opens_the_case_as_always(text: str) -> None:
    story = asked()
    happened = story.hear(message(text, DUE + timedelta(minutes=5)))
    assert only(happened, ev.MessageAdded).unanswered
    assert only(happened, ev.CaseReopened).reason == "customer"
    assert story.case.state == "open"


def test_the_first_score_counts() -> None:
    story = asked()
    story.hear(message("4", DUE + timedelta(minutes=5)))
    again = story.hear(message("1", DUE + timedelta(minutes=6)))
    assert names(again) == ["MessageAdded"]
    assert not again[0].unanswered
    assert story.case.state == "closed"
    words = story.hear(message("1\nIt broke after all", DUE + timedelta(minutes=7)))
    assert only(words, ev.MessageAdded).unanswered
    assert none(words, ev.SurveyAnswered)
    assert story.case.state == "open"


def test_a_thank_you_before_the_score_takes_nothing_from_it() -> None:
    story = asked()
    story.hear(message("Thanks!", DUE + timedelta(minutes=5)))
    assert story.case.state == "open"
    happened = story.hear(message("5", DUE + timedelta(minutes=6)))
    assert only(happened, ev.SurveyAnswered).score == 5
    assert len(story.case.unanswered) == 1, "the thank-you still waits, as always"


def test_once_somebody_of_ours_writes_again_a_number_is_their_answer_to_that() -> None:
    story = asked()
    story.hear(message("One more thing", DUE + timedelta(minutes=5)))
    question = cmd.Reply(uuid4(), "jo", "How many did you order?", story.case.version)
    story.tell(question, DUE + timedelta(minutes=6))
    happened = story.hear(message("4", DUE + timedelta(minutes=7)))
    assert only(happened, ev.MessageAdded).unanswered
    assert none(happened, ev.SurveyAnswered)


@pytest.mark.parametrize(
    "changed",
    [
        {"at": DUE + timedelta(days=7)},
        {"at": DUE - timedelta(seconds=1)},
        {"channel": "sms", "account": "desk-sms"},
        {"kind": "edit"},
        {"automatic": True},
        {"echo": True},
    ],
)
def test_what_is_no_answer(changed: dict[str, Any]) -> None:
    story = asked()
    at = changed.pop("at", DUE + timedelta(minutes=5))
    happened = story.hear(message("4", at, **changed), max(at, DUE))
    assert none(happened, ev.SurveyAnswered)


def test_a_stranger_and_an_agent_do_not_answer_for_them() -> None:
    stranger = message("4", DUE + timedelta(minutes=5))
    assert none(asked().hear(stranger, marked="other_sender"), ev.SurveyAnswered)
    noted = message("4", DUE + timedelta(minutes=5))
    assert none(asked().hear(noted, opening=cmd.Opening(by="jo")), ev.SurveyAnswered)


def test_a_late_arrival_that_was_said_in_time_counts() -> None:
    story = asked()
    said = message("4", DUE + timedelta(days=6, hours=23))
    happened = story.hear(said, DUE + timedelta(days=8), arrived_at=DUE + timedelta(days=8))
    assert only(happened, ev.SurveyAnswered).score == 4


def test_stop_is_recorded_and_answered_by_nobody() -> None:
    story = asked()
    happened = story.hear(message("STOP", DUE + timedelta(minutes=5)))
    assert names(happened) == ["MessageAdded", "SurveyDeclined"]
    assert not happened[0].unanswered
    assert story.case.state == "closed"
    later = story.hear(message("5", DUE + timedelta(minutes=6)))
    assert names(later) == ["MessageAdded"], "they had answered"


def test_the_history_folds_into_the_case() -> None:
    story = asked()
    story.hear(message("2", DUE + timedelta(minutes=5)))
    case = None
    for change in story.history:
        case = evolve(case, change)
    assert case == story.case


# --- joining ---------------------------------------------------------------------------------


def joined(story: Story, received: MessageReceived, now: datetime, *others: Any) -> Any:
    found = join(
        received, story.case.customer_id, threads=(), cases=[story.case, *others],
        product_of=lambda: "", policy=POLICY, now=now,
    )  # fmt: skip
    return found.case and found.case.id, found.why


def test_an_answer_joins_its_case_after_it_could_be_reopened() -> None:
    story = asked()
    later = DUE + timedelta(days=6)
    assert joined(story, message("4", later), later) == (story.id, "survey")
    assert joined(story, message("Hello?", later), later) == (None, "new")
    assert joined(story, message("4", later, account="another"), later) == (None, "new")
    over = DUE + timedelta(days=7)
    assert joined(story, message("4", over), over) == (None, "new")
    assert surveying.reach(POLICY, over) < CLOSED, "and until then the case is read"
    assert surveying.reach(POLICY, over) < POLICY.reopens_since(over)


def test_an_answer_in_the_thread_joins_its_case_and_a_strangers_does_not() -> None:
    story = asked(mail())
    later = DUE + timedelta(days=6)
    reply = mail("4", later, thread=Thread(message_id="<x@y>", references=("<q@regie>",)))
    for customer, expected in ((story.case.customer_id, story.id), (uuid(77), None)):
        found = join(
            reply, customer, threads=[story.case], cases=[], product_of=lambda: "",
            policy=POLICY, now=later,
        )  # fmt: skip
        assert (found.case and found.case.id) == expected


def test_a_number_goes_to_the_case_on_which_somebody_wrote_last() -> None:
    story = asked()
    other = Story(POLICY)
    other.hear(message("And my invoice?", DUE + timedelta(minutes=5)))
    five = message("5", DUE + timedelta(minutes=9))
    assert joined(story, five, five.received_at, other.case) == (story.id, "survey")
    reply = cmd.Reply(uuid4(), "jo", "Which one: 4 or 5?", other.case.version)
    other.tell(reply, DUE + timedelta(minutes=8))
    assert joined(story, five, five.received_at, other.case) == (other.id, "customer")


# --- dry runs --------------------------------------------------------------------------------


def replayed(story: Story, policy: Policy) -> Any:
    received = {
        change.event.message_id: change.event
        for change in story.history
        if isinstance(change.event, ev.MessageAdded)
    }
    heard = {
        id: Heard(customer=story.customer, text=event.preview) for id, event in received.items()
    }
    until = story.history[-1].at + timedelta(days=1)
    return replay(History(story.id, story.history, heard), Trial(policy, story.policy, NOON, until))


@pytest.mark.parametrize("text", ["4", "2", "STOP", "It is broken"])
def test_a_dry_run_asks_and_hears_the_same(text: str) -> None:
    story = asked()
    story.hear(message(text, DUE + timedelta(minutes=5)))
    outcome = replayed(story, POLICY)
    assert not outcome.kept
    assert outcome.refused == []
    assert outcome.now.case == outcome.then.case
    assert outcome.now.case.survey == story.case.survey


def test_a_dry_run_of_a_passed_over_and_of_a_failed_one() -> None:
    skipped = closed()
    pass_time(skipped, asking=cmd.Asking(opted_out=True))
    failed = asked()
    question = surveyed(failed).message_id
    failed.tell(cmd.ReportDelivery(question, "failed", DUE), DUE + timedelta(minutes=1))
    for story in (skipped, failed):
        outcome = replayed(story, POLICY)
        assert outcome.now.case == outcome.then.case
        assert outcome.now.case is not None
        assert outcome.now.case.surveyed


def test_a_dry_run_of_a_policy_that_asks_earlier_asks_nobody() -> None:
    earlier = Policy.parse(TEXT.replace("after: 1h", "after: 10m")).with_version(2)
    story = closed()
    story.tell(cmd.TakeNote(uuid4(), "jo", "later"), CLOSED + timedelta(days=1))
    outcome = replayed(story, earlier)
    assert outcome.now.case is not None
    assert not outcome.now.case.surveyed
