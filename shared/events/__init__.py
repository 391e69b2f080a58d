"""What travels on the topics: typed bodies; their CloudEvents 1.0 envelope is `shared.cloudevents`.

A body's `type` is its class name, dotted at the first word: `CaseOpened` is `case.opened`. Bodies
are msgspec structs (docs/adr/0006): the router decodes and encodes thousands a second. A field
added here must have a default, so that an older event still reads.
"""

from shared.events.body import Event, type_name
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
from shared.events.changed import UNVERSIONED, Body, CaseChanged, CaseEvent
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
from shared.events.deliveries import RANK, DeliveryReported, DeliveryStatusReceived
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
from shared.values import (
    Attachment,
    Authentication,
    Blob,
    Call,
    CaseState,
    Channel,
    DeadlineState,
    DeliveryState,
    Digest,
    Escalation,
    Identity,
    Kind,
    Manner,
    Metric,
    Priority,
    Quiet,
    Scheme,
    Sender,
    Target,
    Thread,
    Value,
    Wording,
)

__all__ = [
    "RANK", "UNVERSIONED", "Attachment", "AttachmentFetched", "AttachmentLost",
    "AttachmentRequested", "Authentication", "Blob", "Body", "Call",
    "CaseAssigned", "CaseChanged", "CaseClaimed", "CaseClosed", "CaseEvent",
    "CaseForgotten", "CaseFrozen", "CaseMoved", "CaseOpened", "CasePaused",
    "CasePriorityChanged", "CaseReleased",
    "CaseReopened", "CaseResumed", "CaseRevised", "CaseRouted", "CaseState", "CaseThawed",
    "Channel", "ChildClosed", "ChildOpened", "DeadlineAtRisk", "DeadlineBreached",
    "DeadlineEscalated", "DeadlineMet", "DeadlinePaused", "DeadlineResumed",
    "DeadlineStarted", "DeadlineState", "DeadlineSuperseded", "DeadlineWarned",
    "DeliveryReported", "DeliveryState", "DeliveryStatusChanged", "DeliveryStatusReceived",
    "Digest",
    "Escalation", "Event", "HandoffAccepted", "HandoffDeclined", "HandoffExpired",
    "HandoffOffered", "HeartbeatSent", "Identity", "Kind", "Manner", "MessageAdded",
    "MessageReceived",
    "MessageRevised", "MessageSplit", "Metric", "NoteAdded", "Priority", "PromiseAttempted",
    "PromiseBroken", "PromiseKept", "PromiseMade", "PromiseReminded", "PromiseRenegotiated",
    "PromiseRevived", "Quiet",
    "ReplyDoubtful", "ReplyFailed", "ReplyRecorded", "ReplyRequested", "ReplySent",
    "ResultRecorded", "Scheme", "Sender", "SurveyAnswered", "SurveyDeclined", "SurveySent",
    "SurveySkipped", "SwitchSuggested", "Target", "Thread", "Value", "Wording", "type_name",
]  # fmt: skip
