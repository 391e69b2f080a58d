"""What subscribers are told: each event's type, what it means, and which of its fields leave.

What is not named here stays in the house: a field that is added to an event is not published until
it is added here too. So nothing leaves of codes and links that open something, of addresses, of
what providers call a message, of notes, and of whom a policy notifies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.events import (
    CaseAssigned,
    CaseClaimed,
    CaseClosed,
    CaseForgotten,
    CaseFrozen,
    CaseMoved,
    CaseOpened,
    CasePaused,
    CasePriorityChanged,
    CaseReleased,
    CaseReopened,
    CaseResumed,
    CaseRevised,
    CaseRouted,
    CaseThawed,
    ChildClosed,
    ChildOpened,
    DeadlineAtRisk,
    DeadlineBreached,
    DeadlineEscalated,
    DeadlineMet,
    DeadlinePaused,
    DeadlineResumed,
    DeadlineStarted,
    DeadlineSuperseded,
    DeadlineWarned,
    DeliveryStatusChanged,
    Event,
    HandoffAccepted,
    HandoffDeclined,
    HandoffExpired,
    HandoffOffered,
    MessageAdded,
    MessageRevised,
    MessageSplit,
    NoteAdded,
    PromiseAttempted,
    PromiseBroken,
    PromiseKept,
    PromiseMade,
    PromiseReminded,
    PromiseRenegotiated,
    PromiseRevived,
    ReplyDoubtful,
    ReplyFailed,
    ReplyRecorded,
    ReplyRequested,
    ReplySent,
    ResultRecorded,
    SurveyAnswered,
    SurveyDeclined,
    SurveySent,
    SurveySkipped,
    SwitchSuggested,
    type_name,
)

TEST: Final = "webhook.test"


@dataclass(frozen=True, slots=True)
class Published:
    """`words`: when it happens. `fields`: what leaves of it, in this order; `a:b` is `a` by the
    name `b`."""

    words: str
    fields: tuple[str, ...]


def _told(words: str, fields: str) -> Published:
    return Published(words, tuple(fields.split()))


CATALOGUE: Final[Mapping[type[Event], Published]] = {
    CaseOpened: _told(
        "A case was opened.",
        "customer_id account channel subject team product priority tags group internal parent_id "
        "split_from opened_by rule policy_version",
    ),
    CaseRouted: _told(
        "The first message with work in it told what the case is about.",
        "team product priority subject tags rule policy_version",
    ),
    CaseRevised: _told("A person corrected product or tags.", "product tags by"),
    CaseAssigned: _told(
        "Another team or agent has the case.", "team agent reason automatic step until"
    ),
    CasePriorityChanged: _told("The priority changed.", "priority reason"),
    CaseClaimed: _told("An agent took the case.", "agent until"),
    CaseReleased: _told("The agent let it go, or it went back by itself.", "agent reason"),
    CaseMoved: _told("It is another customer's: records were merged, or a merge undone.",
                     "customer_id from_customer"),
    ChildOpened: _told("An internal request of the case began.", "child_id team:child_team"),
    ChildClosed: _told("An internal request of the case ended.", "child_id team:child_team"),
    NoteAdded: _told("A colleague wrote a note. Its text stays inside.", "note_id author"),
    CasePaused: _told("The case waits for the customer or for colleagues.", "state author until"),
    CaseResumed: _told("It waits no more.", "reason"),
    CaseClosed: _told("The case is over.", "author empty"),
    CaseReopened: _told("It was opened again.", "reason"),
    CaseForgotten: _told(
        "The words of the case are gone, by erasure or retention: drop your copies.", "reason"
    ),
    CaseFrozen: _told("It went to and fro without a result, and stays with its owner.",
                      "owner reason trail"),
    CaseThawed: _told("It may move again.", "by"),
    MessageAdded: _told(
        "A message came in.",
        "message_id account channel kind occurred_at received_at authentication subject preview "
        "language unanswered joined reply_window_closes_at",
    ),
    MessageRevised: _told("More is known of a message: an edit, a withdrawal, a call's outcome.",
                          "message_id reason settled subject preview"),
    MessageSplit: _told("A message went to another case.", "message_id to_case by"),
    DeadlineStarted: _told(
        "A clock began.",
        "number metric started_at due_at warn_at calendar late rule policy_version",
    ),
    DeadlineSuperseded: _told("Another clock took its place.", "number reason"),
    DeadlineMet: _told("It was met.", "number metric"),
    DeadlinePaused: _told("It stands still.", "number"),
    DeadlineResumed: _told("It runs again.", "number due_at warn_at"),
    DeadlineWarned: _told("It is near: one reminder step.", "number metric step due_at"),
    DeadlineEscalated: _told("A step of its escalation was taken.", "number metric step due_at"),
    DeadlineAtRisk: _told("It is due, but perhaps answered in what was not handled yet.",
                          "number reason"),
    DeadlineBreached: _told("It was broken.", "number metric due_at arrived_late"),
    ReplyRequested: _told(
        "An answer is on its way. Its text only where a person wrote it to the customer.",
        "message_id account channel author human purpose subject template answers",
    ),
    ReplySent: _told("It reached the provider.", "message_id"),
    ReplyFailed: _told("It did not reach the customer; which channels it may switch to instead.",
                       "message_id code permitted"),
    ReplyDoubtful: _told("Nobody knows whether it arrived: a person must look.", "message_id"),
    ReplyRecorded: _told("An answer given elsewhere: a call, the provider's own app.",
                         "message_id account channel author occurred_at outcome text answers"),
    DeliveryStatusChanged: _told("What became of a reply: delivered, read, failed.",
                                 "message_id status code"),
    SurveySent: _told("The customer was asked how it was.",
                      "message_id account channel expires_at scale"),
    SurveySkipped: _told("Nobody was asked.", "reason"),
    SurveyAnswered: _told("The customer said how it was.", "message_id channel score comment"),
    SurveyDeclined: _told("They want no such questions.", "message_id channel"),
    HandoffOffered: _told(
        "A channel switch or a team transfer is on offer.",
        "handoff_id reason author expires_at from_team from_channel to_team to_channel results",
    ),
    HandoffAccepted: _told("It was accepted.", "handoff_id by how"),
    HandoffDeclined: _told("It was declined.", "handoff_id by"),
    HandoffExpired: _told("Nobody took it up in time.", "handoff_id"),
    SwitchSuggested: _told("The policy starts a switch by itself.", "reason to_channel"),
    ResultRecorded: _told("A named result, or a draft of one.", "name version state author data"),
    PromiseMade: _told("Something was agreed with the customer.",
                       "promise_id kind what due_at by replaces"),
    PromiseReminded: _told("It is near: one reminder step.", "promise_id step due_at by"),
    PromiseAttempted: _told("The customer was not reached.", "promise_id count most outcome"),
    PromiseKept: _told("It was kept.", "promise_id late message_id"),
    PromiseRevived: _told("What had kept it did not arrive: it is owed again.", "promise_id"),
    PromiseBroken: _told("It was broken.", "promise_id due_at reason by"),
    PromiseRenegotiated: _told("Another time was agreed.", "promise_id by"),
}  # fmt: skip

TYPES: Final = tuple(type_name(kind.__name__) for kind in CATALOGUE)
