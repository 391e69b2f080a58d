"""DESIGN 5.4 over everything at once: what a customer was promised first never moves later without
a deed, or their consent on record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from services.router import commands as cmd
from services.router.case import ANSWERS, Case
from services.router.policy import Policy
from shared import events as ev
from shared.durations import Duration
from shared.errors import Refused
from tests.builders import NOON, Story, message

POLICY = Policy.parse("""
name: promises
calendars: {office: {hours: {mon-fri: ["08:30-17:30"]}}, always: {hours: 24/7}}
teams: {desk: {fallback: back}, back: {}}
routing: [{name: all, team: desk}]
service_levels:
  - {name: back, when: 'team == "back"', calendar: office, first_response: 1h}
  - {name: all, calendar: always, first_response: 3h, update_every: 5h}
on_breach: {reassign: fallback}
promises: {calendar: office, attempts: 2, remind_before: [30m]}
""").with_version(1)
CONSENT = {"by": "Ada", "at": "now", "how": "phone"}
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["write", "promise", "promise", "move", "move", "reply", "sent", "failed", "call",
             "keep", "transfer", "accept", "priority", "time", "close", "reopen"]
        ),
        st.integers(0, 400),
        st.integers(1, 180),
        st.booleans(),
    ),
    min_size=4,
    max_size=20,
)  # fmt: skip


def owed(case: Case) -> datetime | None:
    """The earliest that anybody was promised: an answer, or what was agreed."""
    answers = (d.due_at for d in case.running if d.metric in ANSWERS)
    return min((*answers, *(p.due_at for p in case.promises)), default=None)


@settings(max_examples=250, deadline=None)
@given(steps=STEPS)
def test_the_earliest_promise_never_moves_later_by_itself(
    steps: list[tuple[str, int, int, bool]],
) -> None:
    story, now = Story(POLICY), NOON
    story.hear(message())
    for kind, number, minutes, yes in steps:
        now += timedelta(minutes=minutes)
        before = story.case
        command = command_for(story, kind, number, now, yes)
        if command is None:
            continue
        try:
            happened = story.tell(command, now)
        except Refused:
            continue
        check(before, story.case, happened)


def check(before: Case, after: Case, happened: list[Any]) -> None:
    earliest, still = owed(before), owed(after)
    if earliest is not None and (still is None or still > earliest):
        assert any(map(frees, happened)), f"from {earliest} to {still} by nothing"
    left = {p.id: p for p in after.promises}
    over = {p.id for p in before.promises if p.id not in left}
    assert all(left[p.id].due_at == p.due_at for p in before.promises if p.id in left)
    told = {
        e.promise_id for e in happened if isinstance(e, ev.PromiseKept | ev.PromiseRenegotiated)
    }
    if not any(isinstance(e, ev.CaseClosed) for e in happened):
        assert over <= told
    for made in (e for e in happened if isinstance(e, ev.PromiseMade) and e.replaces):
        old = next(p for p in before.promises if p.id == made.replaces)
        (moved,) = (e for e in happened if isinstance(e, ev.PromiseRenegotiated))
        assert made.due_at <= old.due_at or moved.consent == CONSENT


def frees(event: Any) -> bool:
    """A deed, or consent."""
    if isinstance(event, ev.PromiseRenegotiated):
        return event.consent is not None
    return isinstance(event, ev.PromiseKept | ev.ReplySent | ev.ReplyRecorded | ev.CaseClosed)


# --- what happens, drawn at random ---------------------------------------------------------------


class Draw(NamedTuple):
    story: Story
    number: int
    now: datetime
    yes: bool

    def one_of(self, those: Sequence[Any]) -> Any:
        return those[self.number % len(those)]

    @property
    def within(self) -> Duration:
        return Duration(self.number + 1, "m")


def command_for(story: Story, kind: str, number: int, now: datetime, yes: bool) -> Any:
    """None where there is nothing of the kind to do."""
    try:
        return COMMANDS[kind](Draw(story, number, now, yes))
    except ZeroDivisionError:
        return None


def write(draw: Draw) -> Any:
    at = draw.now - timedelta(minutes=draw.number if draw.yes else 0)
    heard = message("And?", at=at, received_at=draw.now, reply_window_closes_at=None)
    return cmd.TakeMessage(draw.story.id, heard, draw.story.customer, "customer")


def promise(draw: Draw) -> Any:
    kind = draw.one_of(("call_back", "answer", "other"))
    return cmd.MakePromise(uuid4(), "jo", kind, "x", within=draw.within)


def move(draw: Draw) -> Any:
    old = draw.one_of(draw.story.case.promises)
    consent = CONSENT if draw.yes else None
    return cmd.RenegotiatePromise(old.id, uuid4(), "jo", within=draw.within, consent=consent)


def failed(draw: Draw) -> Any:
    case = draw.story.case
    lost = draw.one_of((*case.pending, *case.answered))
    return cmd.ReportDelivery(lost.message_id, "failed", draw.now)


def call(draw: Draw) -> Any:
    outcome = draw.one_of(("reached", "no_answer", "voicemail"))
    return cmd.Reply(uuid4(), "jo", "", draw.story.case.version, outcome=outcome)


def transfer(draw: Draw) -> Any:
    return cmd.OfferHandoff(uuid4(), "jo", "agent", to_team=draw.one_of(("desk", "back")))


COMMANDS: dict[str, Callable[[Draw], Any]] = {
    "write": write,
    "promise": promise,
    "move": move,
    "reply": lambda d: cmd.Reply(uuid4(), "jo", "So", answers=d.story.case.version),
    "sent": lambda d: cmd.ReportDelivery(d.one_of(d.story.case.pending).message_id, "sent", d.now),
    "failed": failed,
    "call": call,
    "keep": lambda d: cmd.KeepPromise(d.one_of(d.story.case.promises).id, "jo", "by hand"),
    "transfer": transfer,
    "accept": lambda d: cmd.AcceptHandoff(d.one_of(d.story.case.offers).handoff_id, "kim"),
    "priority": lambda d: cmd.ChangePriority("jo", "high" if d.yes else "low"),
    "time": lambda d: cmd.PassTime(d.now if d.yes else d.now - timedelta(hours=1)),
    "close": lambda d: cmd.Close("jo"),
    "reopen": lambda d: cmd.Reopen("jo"),
}
