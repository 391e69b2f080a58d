"""A case lived through once more: the same policy gives the same case, another one what it says."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.router import commands as cmd
from services.router.policy import Policy
from services.router.trial.heard import Heard
from services.router.trial.replaying import Replayed, Trial, replay
from services.router.trial.retelling import History
from services.router.trial.side import Clock
from shared.events import Identity, MessageReceived, Thread
from tests.builders import EXAMPLE, NOON, Story, after, mail, message

SOURCE = EXAMPLE.read_text(encoding="utf-8")
CHAT = (
    "calendar: office, first_response: 1h, next_response: 2h, resolution: 2bd, "
    "warn_before: [30m, 10m]"
)
FOREVER = after(days=30)


def candidate(*changes: tuple[str, str]) -> Policy:
    """The example policy with some of its words replaced."""
    source = SOURCE.partition("\ntests:")[0]
    for old, new in changes:
        assert old in source, f"the example policy no longer says {old!r}"
        source = source.replace(old, new)
    return Policy.parse(source).with_version(1)


def chat(target: str) -> Policy:
    """With another service level for chat."""
    return candidate((CHAT, f"calendar: office, {target}"))


class Told(Story):
    """A story whose messages are kept, as the database keeps them."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: dict[Any, Heard] = {}

    def hear(
        self, received: MessageReceived, now: datetime | None = None, **more: Any
    ) -> list[Any]:
        self.heard[received.id] = Heard(
            customer=self.customer,
            subject=received.subject,
            text=received.text,
            reply_text=received.reply_text,
            automatic=received.automatic,
            product=received.product,
            priority=received.priority,
            attributes=received.attributes,
        )
        return super().hear(received, now, **more)

    def tick(self, at: datetime, watermark: datetime | None = None) -> list[Any]:
        return self.tell(cmd.PassTime(watermark or at), at)

    def reply(self, at: datetime, *, sent: float | None = 5, answers: int | None = None) -> Any:
        """`sent`: seconds until it was reported; None: it never was."""
        seen = self.case.version if answers is None else answers
        reply = cmd.Reply(message_id=uuid4(), agent="jo", text="soon", answers=seen)
        self.tell(reply, at)
        if sent is not None:
            self.report(reply.message_id, "sent", at + timedelta(seconds=sent))
        return reply.message_id

    def report(self, message_id: Any, status: Any, at: datetime) -> None:
        self.tell(cmd.ReportDelivery(message_id=message_id, status=status, at=at), at)

    def replayed(
        self,
        policy: Policy | None = None,
        since: datetime = NOON,
        until: datetime | None = None,
    ) -> Replayed:
        """`until`: a minute after the last that was recorded."""
        until = until or self.history[-1].at + timedelta(minutes=1)
        history = History(self.id, self.history, self.heard)
        return replay(history, Trial(policy or self.policy, self.policy, since, until))


def same(outcome: Replayed) -> bool:
    """Every field of the case, its deadlines with their numbers, and every promise."""
    assert outcome.refused == []
    assert outcome.now.case == outcome.then.case
    assert outcome.now.promised == outcome.then.promised
    return outcome.now.routed == outcome.then.routed


def broken(side: Any) -> list[str]:
    return [clock.metric for clock, promise in side.promised.items() if promise.breached]


# --- the same policy -----------------------------------------------------------------------------


def test_a_long_life_is_the_same_under_the_same_policy() -> None:
    story = Told()
    story.hear(message("Where is my parcel?"))
    story.tick(after(minutes=30, milliseconds=200))
    story.tell(cmd.Claim("jo"), after(minutes=31))
    story.hear(message("It is late", after(minutes=35)))
    story.reply(after(minutes=40), answers=2)
    story.tell(cmd.TakeNote(uuid4(), "jo", "asked the depot"), after(minutes=41))
    story.tell(cmd.ReviseCase("jo", priority="urgent"), after(minutes=42))
    failed = story.reply(after(minutes=50))
    story.report(failed, "delivered", after(minutes=51))
    story.report(failed, "failed", after(minutes=55))
    offer = uuid4()
    story.tell(
        cmd.OfferHandoff(handoff_id=offer, agent="jo", reason="agent", to_team="frontdesk"),
        after(minutes=60),
    )
    story.tell(cmd.AcceptHandoff(offer, "sam"), after(minutes=62))
    story.tick(after(hours=4), after(hours=4))
    story.reply(after(hours=4, minutes=1))
    story.tell(cmd.Pause("sam", "waiting_internal", reason="the depot"), after(hours=5))
    story.tell(cmd.Reopen("sam"), after(hours=6))
    story.tell(cmd.Close("sam", "done"), after(hours=7))
    story.hear(message("It came damaged", after(days=2)))
    echo = message("we call you", after(days=2, hours=1), echo=True)
    story.hear(echo)
    assert same(story.replayed())
    assert len(story.history) > 40


def test_a_switch_with_its_invitation_is_the_same() -> None:
    story = Told()
    story.hear(message())
    offer = cmd.OfferHandoff(
        handoff_id=uuid4(), agent="jo", reason="agent", to_channel="email",
        address="ada@example.org", code="R-7K4Q-2M9X", invitation_id=uuid4(),
    )  # fmt: skip
    story.tell(offer, after(minutes=5))
    assert offer.invitation_id is not None
    story.report(offer.invitation_id, "sent", after(minutes=6))
    story.hear(mail("R-7K4Q-2M9X", after(minutes=9)), handoff_id=offer.handoff_id)
    assert story.case.offers == ()
    assert same(story.replayed())


@pytest.mark.parametrize("late", [0, 200, 90_000])
def test_who_answered_before_the_clock_came_round_broke_no_promise(late: int) -> None:
    """The clock looks twice a second, and after an outage later still."""
    story = Told()
    story.hear(message())
    story.tick(after(minutes=30))
    story.tick(after(minutes=50))
    story.reply(after(hours=1, milliseconds=late), sent=0)
    assert broken(story.replayed().then) == []
    assert same(story.replayed())


def test_what_was_at_risk_and_then_answered_is_the_same() -> None:
    story = Told()
    story.hear(message())
    story.tick(after(minutes=61), watermark=after(minutes=10))
    assert story.case.clock("first_response").at_risk == "pipeline_lag"
    story.reply(after(minutes=70))
    assert same(story.replayed())


def test_what_was_at_risk_and_then_breached_is_the_same() -> None:
    story = Told()
    story.hear(message())
    story.tick(after(minutes=61), watermark=after(minutes=10))
    story.tick(after(minutes=63))
    story.reply(after(minutes=70))
    outcome = story.replayed()
    assert broken(outcome.then) == ["first_response"]
    assert same(outcome)


def test_two_messages_of_one_instant_are_two() -> None:
    story = Told()
    story.hear(message("Where is my parcel?"))
    story.hear(message("Anyone?"))
    assert same(story.replayed())


def test_given_cases_stay_given_while_the_team_gives() -> None:
    gives = candidate(("parcels: {calendar: office,", "parcels: {give: true, calendar: office,"))
    story = Told()
    story.policy = gives
    story.hear(message())
    story.tell(cmd.Give("jo"), after(minutes=1))
    assert same(story.replayed(gives))
    outcome = story.replayed(candidate())
    assert outcome.then.case is not None
    assert outcome.now.case is not None
    assert (outcome.then.case.agent, outcome.now.case.agent) == ("jo", "")


def test_what_was_broken_once_stays_so_though_it_is_promised_again() -> None:
    story = Told()
    story.hear(message())
    story.tick(after(hours=1, seconds=1))
    reply = story.reply(after(hours=1, minutes=5))
    story.report(reply, "failed", after(hours=1, minutes=9))
    outcome = story.replayed()
    assert [d.metric for d in story.case.running].count("first_response") == 1
    assert "first_response" in broken(outcome.then)
    assert same(outcome)


def test_promises_are_made_kept_changed_and_broken_the_same() -> None:
    story = Told()
    story.hear(message())
    first, second, third = uuid4(), uuid4(), uuid4()
    story.tell(
        cmd.MakePromise(first, "jo", "call_back", "tell where it is", after(hours=1)),
        after(minutes=1),
    )
    consent = {"by": "customer", "at": "now", "how": "phone"}
    story.tell(
        cmd.RenegotiatePromise(first, second, "jo", after(hours=2), consent=consent),
        after(minutes=2),
    )
    story.tell(cmd.MakePromise(third, "jo", "answer", "", after(hours=3)), after(minutes=3))
    story.reply(after(minutes=4))
    story.tick(after(hours=2, seconds=1))
    story.tell(cmd.KeepPromise(second, "jo", "met them"), after(hours=2, minutes=5))
    kinds = [type(change.event).__name__ for change in story.history]
    assert kinds.count("PromiseKept") == 2
    assert "PromiseBroken" in kinds
    assert same(story.replayed())


def test_a_correction_of_product_and_priority_is_the_same() -> None:
    story = Told()
    story.hear(message())
    story.tell(cmd.ReviseCase("jo", "claims", "high", ("vip",)), after(minutes=5))
    story.tell(cmd.ReviseCase("jo", priority="urgent"), after(minutes=6))
    assert story.case.product == "claims"
    assert same(story.replayed())


def test_what_an_agent_registered_is_the_same_and_their_team_stands() -> None:
    story = Told()
    story.hear(message(), opening=cmd.Opening("jo", team="claims", fresh=True))
    outcome = story.replayed(chat("first_response: 40m"))
    assert outcome.now.case is not None
    assert outcome.now.case.team == "claims"
    assert same(story.replayed())


def test_what_cannot_be_told_again_is_taken_as_it_was() -> None:
    story = Told()
    story.hear(message())
    story.tell(cmd.NoteChild(uuid4(), "claims", agent="jo"), after(minutes=5))
    story.tick(after(hours=1, seconds=1))
    outcome = story.replayed(chat("first_response: 40m"))
    assert outcome.kept
    assert same(outcome)
    assert broken(outcome.now) == ["first_response"]


# --- another policy ------------------------------------------------------------------------------


def test_a_tighter_promise_is_broken_when_it_is_due() -> None:
    story = Told()
    story.hear(message())
    story.tick(after(minutes=30, seconds=1))
    story.reply(after(minutes=45))
    outcome = story.replayed(chat("first_response: 40m, resolution: 2bd"))
    assert (broken(outcome.then), broken(outcome.now)) == ([], ["first_response"])
    assert outcome.now.promised[Clock("first_response", NOON)].due_at == after(minutes=40)
    assert outcome.now.case is not None
    assert outcome.now.case.team == "frontdesk", "the fallback stepped in"
    on_time = story.replayed(chat("first_response: 45m, resolution: 2bd"))
    assert broken(on_time.now) == [], "accepted on the very second"


def test_a_looser_promise_is_kept() -> None:
    story = Told()
    story.hear(message())
    story.tick(after(minutes=60, milliseconds=300))
    story.reply(after(minutes=75))
    outcome = story.replayed(chat("first_response: 80m, resolution: 2bd"))
    assert (broken(outcome.then), broken(outcome.now)) == (["first_response"], [])
    assert outcome.then.case is not None
    assert outcome.now.case is not None
    assert (outcome.then.case.team, outcome.now.case.team) == ("frontdesk", "parcels")


def test_a_reply_accepted_in_time_and_sent_late_is_no_breach() -> None:
    story = Told()
    story.hear(message())
    story.reply(after(minutes=39), sent=300)
    outcome = story.replayed(chat("first_response: 40m, resolution: 2bd"))
    assert broken(outcome.now) == []


def test_a_reply_on_its_way_for_ever_does_not_stop_time() -> None:
    story = Told()
    story.hear(message())
    story.reply(after(minutes=39), sent=None)
    outcome = story.replayed(chat("first_response: 40m, resolution: 3h"), until=FOREVER)
    assert broken(outcome.now) == ["resolution"]


def test_a_reply_that_fails_after_its_due_is_a_breach() -> None:
    story = Told()
    story.hear(message())
    reply = story.reply(after(minutes=39), sent=None)
    story.report(reply, "failed", after(minutes=50))
    outcome = story.replayed(chat("first_response: 40m, resolution: 3h"))
    assert "first_response" in broken(outcome.now)


def test_a_reply_answers_what_its_writer_had_seen() -> None:
    """The candidate leaves fewer events, so the same message has another version."""
    story = Told()
    story.hear(message())
    seen = story.case.version
    story.hear(message("and my other parcel?", after(minutes=10)))
    story.reply(after(minutes=11), answers=seen)
    outcome = story.replayed(chat("first_response: 1h"))
    assert outcome.then.case is not None
    assert outcome.now.case is not None
    assert outcome.now.case.version < outcome.then.case.version
    waiting = [message.at for message in outcome.now.case.unanswered]
    assert waiting == [message.at for message in outcome.then.case.unanswered]
    assert waiting == [after(minutes=10)]


def test_routing_is_decided_anew_by_the_words_of_then() -> None:
    story = Told()
    story.hear(message("My parcel is late"))
    outcome = story.replayed(candidate(('text.contains("parcel")', 'text.contains("late")')))
    assert same(story.replayed())
    assert outcome.rules == {"tracking"}
    moved = candidate(('text.contains("parcel") || text.contains("pakket")', 'text == "x"'))
    outcome = story.replayed(moved)
    [(team, rule)] = outcome.now.routed.values()
    assert (team, rule) == ("frontdesk", "everything else")
    assert outcome.rules == {"everything else"}
    assert outcome.levels == {"chat"}


def test_a_given_product_and_attributes_are_known_again() -> None:
    story = Told()
    story.hear(message("hello", product="claims", attributes={"vip": True}))
    vip = candidate(('kind == "call_missed"\', team', "has(attributes.vip)', team"))
    outcome = story.replayed(vip)
    assert outcome.rules == {"missed call"}
    assert outcome.now.case is not None
    assert outcome.now.case.product == "claims"


def test_edited_words_are_judged_by_what_was_shown() -> None:
    story = Told()
    first = message("Where is my parcel?")
    story.hear(first)
    words = cmd.ReviseMessage(first.id, "edit", before="Where is my parcel?", after="never mind")
    story.tell(words, after(minutes=1))
    story.heard[first.id] = Heard(customer=story.customer, text="never mind")
    outcome = story.replayed()
    assert outcome.now.case is not None
    assert (outcome.now.case.team, outcome.now.case.preview) == ("parcels", "never mind")
    story.heard.clear()
    assert story.replayed().rules == {"tracking"}, "so are deleted ones"


def test_a_call_told_in_several_words_is_one_call_again() -> None:
    story = Told()
    call: dict[str, Any] = {"account": "desk-phone", "channel": "phone",
                            "reply_window_closes_at": None}  # fmt: skip
    wishes: dict[str, Any] = {"attributes": {"phone": "+31612345678"}}
    first = message("Voicemail", at=after(minutes=2), kind="voicemail", **call, **wishes)
    story.hear(first)
    promised = story.case.clock("first_response").due_at
    words: list[tuple[Any, str, Any]] = [
        ("call_missed", "voicemail", "voicemail"),
        ("callback_requested", "callback_requested", "voicemail"),
    ]
    told: tuple[Any, ...] = ("voicemail",)
    for minute, (kind, stands, stood) in enumerate(words, 3):
        now = message("Call", kind=stands, id=first.id, **call, **wishes)
        more = cmd.HearMore(now, story.customer, kind, stood, told, before="Voicemail")
        story.tell(more, after(minutes=minute))
        told = (*told, kind)
    assert story.case.clock("first_response").due_at == after(minutes=30) < promised
    [owed] = story.case.promises
    assert (owed.due_at, owed.address) == (after(minutes=30), "+31612345678")
    assert same(story.replayed())


def test_what_the_candidate_refuses_is_told_and_the_rest_goes_on() -> None:
    story = Told()
    story.hear(message())
    offer = uuid4()
    story.tell(
        cmd.OfferHandoff(handoff_id=offer, agent="jo", reason="agent", to_team="privacy"),
        after(minutes=5),
    )
    story.tell(cmd.AcceptHandoff(offer, "sam"), after(minutes=6))
    story.reply(after(minutes=7))
    outcome = story.replayed(candidate(("  privacy: {calendar: office, confidential: true}\n", "")))
    assert [(r.asked, r.name) for r in outcome.refused] == [
        ("handoff.offered", "unknown-team"),
        ("handoff.accepted", "not-found"),
    ]
    assert outcome.now.case is not None
    assert (outcome.now.case.team, outcome.now.case.state) == ("parcels", "waiting_customer")


def test_a_reply_left_by_its_account_whatever_the_candidate_would_take() -> None:
    story = Told()
    story.hear(mail())
    story.reply(after(minutes=7))
    outcome = story.replayed(candidate(("reply_from: {email: support-mail}\n", "")))
    assert outcome.refused == []


# --- since ---------------------------------------------------------------------------------------


def test_only_what_came_since_is_counted() -> None:
    story = Told()
    story.hear(message())
    story.reply(after(minutes=5))
    again = message("again", after(days=1), received_at=after(days=1, seconds=2))
    story.hear(again, now=after(days=1, seconds=9))
    for since, counted in (
        (after(days=1, seconds=2), True),
        (after(days=1, seconds=2, microseconds=1), False),
    ):
        outcome = story.replayed(since=since)
        assert same(outcome)
        assert outcome.then.routed == {}, "it was opened before"
        assert bool(outcome.then.heard) is counted
        clocks = [clock for clock, promise in outcome.then.promised.items() if promise.counted]
        assert ("next_response" in {clock.metric for clock in clocks}) is counted
        assert bool(outcome.levels) is counted


def test_nothing_happens_after_the_end() -> None:
    story = Told()
    story.hear(message())
    tight = chat("first_response: 40m")
    assert broken(story.replayed(tight, until=after(minutes=40)).now) == []
    assert broken(story.replayed(tight, until=after(minutes=41)).now) == ["first_response"]


def test_a_thread_keeps_what_an_answer_refers_to() -> None:
    story = Told()
    thread = Thread(message_id="<2@x>", references=("<1@x>",))
    story.hear(mail(thread=thread))
    assert same(story.replayed())
    assert story.case.routes["email"].references == ("<2@x>", "<1@x>")
    assert story.case.routes["email"].identity == Identity(scheme="email", value="ada@example.org")
