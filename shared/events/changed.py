"""cases.changed: one event in its place in a case's history; and all bodies there are."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from shared.events.body import Event
from shared.events.cases import (
    CaseAssigned,
    CaseClaimed,
    CaseClosed,
    CaseForgotten,
    CaseMoved,
    CaseOpened,
    CasePaused,
    CasePriorityChanged,
    CaseReleased,
    CaseReopened,
    CaseResumed,
    CaseRevised,
    CaseRouted,
    ChildClosed,
    ChildOpened,
    MessageAdded,
    MessageRevised,
    MessageSplit,
    NoteAdded,
)
from shared.events.clocks import (
    DeadlineAtRisk,
    DeadlineBreached,
    DeadlineEscalated,
    DeadlineMet,
    DeadlinePaused,
    DeadlineResumed,
    DeadlineStarted,
    DeadlineSuperseded,
    DeadlineWarned,
)
from shared.events.deliveries import DeliveryReported, DeliveryStatusReceived
from shared.events.files import AttachmentFetched, AttachmentLost, AttachmentRequested
from shared.events.journey import (
    CaseFrozen,
    CaseThawed,
    HandoffAccepted,
    HandoffDeclined,
    HandoffExpired,
    HandoffOffered,
    PromiseAttempted,
    PromiseBroken,
    PromiseKept,
    PromiseMade,
    PromiseReminded,
    PromiseRenegotiated,
    PromiseRevived,
    ResultRecorded,
    SwitchSuggested,
)
from shared.events.received import HeartbeatSent, MessageReceived
from shared.events.replies import (
    DeliveryStatusChanged,
    ReplyDoubtful,
    ReplyFailed,
    ReplyRecorded,
    ReplyRequested,
    ReplySent,
    SurveyAnswered,
    SurveyDeclined,
    SurveySent,
    SurveySkipped,
)
from shared.values import Channel

CaseEvent = (
    CaseOpened | MessageAdded | MessageRevised | MessageSplit | CaseRouted | CaseRevised
    | CaseAssigned | CasePriorityChanged | CaseClaimed | CaseReleased | CaseMoved | ChildOpened
    | ChildClosed | NoteAdded | CasePaused | CaseResumed | CaseClosed | CaseReopened
    | DeadlineStarted | DeadlineSuperseded | DeadlineMet | DeadlinePaused | DeadlineResumed
    | DeadlineWarned | DeadlineEscalated | DeadlineAtRisk | DeadlineBreached | ReplyRequested
    | ReplySent | ReplyFailed | ReplyDoubtful | ReplyRecorded | DeliveryStatusChanged
    | SurveySent | SurveySkipped | SurveyAnswered | SurveyDeclined | HandoffOffered
    | HandoffAccepted | HandoffDeclined | HandoffExpired | SwitchSuggested | ResultRecorded
    | PromiseMade | PromiseReminded | PromiseAttempted | PromiseKept | PromiseBroken
    | PromiseRenegotiated | PromiseRevived | CaseFrozen | CaseThawed | CaseForgotten
)  # fmt: skip

# These say something about the case without changing what an agent would act on: they do not
# count in its version (DESIGN 6).
UNVERSIONED: Final = (
    DeliveryStatusChanged, DeadlineWarned, DeadlineEscalated, DeadlineAtRisk, PromiseReminded,
    SurveySent, SurveySkipped, CaseForgotten,
)  # fmt: skip


class CaseChanged(Event, frozen=True):
    """One event of one case, with its place in the case's history.

    seq      counts all events of the case, from 1
    version  counts those that matter to someone acting on it: the ETag
    actor    an agent's name, `customer`, `clock` or `regie`
    confidential  only members of the team read its cases
    """

    case_id: UUID
    seq: int
    version: int
    at: datetime
    actor: str
    customer_id: UUID
    team: str
    channel: Channel
    event: CaseEvent
    confidential: bool = False


Body = (
    MessageReceived | HeartbeatSent | AttachmentFetched | AttachmentLost | AttachmentRequested
    | DeliveryStatusReceived | DeliveryReported | CaseChanged
)  # fmt: skip
