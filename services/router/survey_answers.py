"""What a customer's message answers to a survey's question, and what becomes of it. Pure.

The question stands until its week is over, or somebody of ours writes on the case; the first score
counts. It opens nothing and needs no answer, but for a low one, if the policy says so. A second
score alone changes nothing; any other message is one like all others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from services.router import surveying
from services.router.case import Asked, Case
from services.router.commands import TakeMessage
from services.router.policy import Policy
from services.router.scores import is_stop, score_in
from services.router.turn import Turn
from shared import events as ev
from shared.events import MessageReceived


@dataclass(frozen=True, slots=True)
class Answer:
    """`score` is None for who wants no such questions; `again`: not their first answer."""

    score: int | None
    comment: str = ""
    again: bool = False


def answer(case: Case, message: MessageReceived) -> Answer | None:
    """What this message answers to the question that stands; None for any other message."""
    asked = case.survey
    if asked is None or not _may_answer(asked, message):
        return None
    text = message.reply_text or message.text
    if is_stop(text):
        return Answer(None)
    score = score_in(text, *asked.scale)
    if score is None or (asked.over and score.comment):
        return None  # words after the first score: somebody has to read them
    return Answer(score.value, score.comment, again=asked.over)


def _may_answer(asked: Asked, message: MessageReceived) -> bool:
    said = message.kind == "message" and not message.automatic and not message.echo
    in_time = _since(asked) <= message.occurred_at < asked.expires_at
    return said and in_time and message.channel == asked.channel


def answered_case(message: MessageReceived, cases: Iterable[Case]) -> Case | None:
    """Of a customer's cases the one whose question on this account the message answers; none where
    somebody of ours has written to them since on another case that is open."""
    cases = tuple(cases)
    for case in cases:
        asked = case.survey
        if asked is None or asked.account != message.account or answer(case, message) is None:
            continue
        if not any(_is_spoken_with(c, message, asked) for c in cases if c is not case):
            return case
    return None


def _is_spoken_with(case: Case, message: MessageReceived, asked: Asked) -> bool:
    talk = case.state != "closed" and case.channel == message.channel
    return talk and case.active_at is not None and case.active_at >= _since(asked)


def _since(asked: Asked) -> datetime:
    return asked.asked_at or asked.expires_at - surveying.STANDS


def answer_in(turn: Turn, command: TakeMessage) -> Answer | None:
    """The same, of a message about to be taken: not a stranger's, nor one an agent registered."""
    if turn.is_new or command.marked or command.opening or command.handoff_id:
        return None
    return answer(turn.case, command.message)


def worries(answer: Answer, policy: Policy) -> bool:
    """Whether the policy wants somebody to follow it up."""
    below = None if policy.survey is None else policy.survey.follow_up_below
    low = answer.score is not None and below is not None and answer.score < below
    return low and not answer.again


def reopen(turn: Turn) -> None:
    """With the team that had it: they know the matter."""
    if turn.case.state == "closed":
        turn.record(ev.CaseReopened(reason="low score"))


def take(turn: Turn, message: MessageReceived, answer: Answer) -> None:
    """After its message was added."""
    if answer.score is None:
        turn.record(ev.SurveyDeclined(message_id=message.id, channel=message.channel))
        turn.explain("survey", "survey", "they want no such questions: never asked again")
    elif answer.again:
        turn.explain("survey", "survey", f"{answer.score}: the first score counts")
    else:
        turn.record(
            ev.SurveyAnswered(
                message_id=message.id,
                score=answer.score,
                comment=answer.comment,
                channel=message.channel,
            )
        )
        turn.explain("survey", "survey", f"{answer.score} of {_scale(turn.case)}")


def _scale(case: Case) -> str:
    return "" if case.survey is None else "{}-{}".format(*case.survey.scale)
