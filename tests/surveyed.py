"""Cases that were closed, and those whose customer was asked how it was."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from services.router import commands as cmd
from services.router.policy import Policy
from shared import events as ev
from shared.events import MessageReceived
from tests.builders import Story, after, message

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
