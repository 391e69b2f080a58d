"""From what happened to a case back to what was asked of it: the inputs of `decide`. Pure.

What customers and agents did is told again as it was. What the policy decided of it (where a case
went, by when it was to be answered, what the clock did) is not: that is decided anew.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec.structs import replace

from services.router import call_backs
from services.router import commands as cmd
from services.router.case import Case
from services.router.policy import Policy
from services.router.trial.heard import Heard, echo, received
from shared import events as ev
from shared.channels import calls
from shared.events import CaseChanged, Kind

CLOCK: Final = "clock"
_CODE: Final = "R-0000-0000"  # stands for the real one, which is stored hashed
_NO_ID: Final = UUID(int=0)
_ANSWERED_BY: Final = "answered by "


class History(msgspec.Struct, frozen=True):
    """One case: its events in order, and its customers' messages by id."""

    case_id: UUID
    changes: Sequence[CaseChanged]
    heard: Mapping[UUID, Heard]


class Retelling:
    """The inputs of one history, asked for in its order."""

    def __init__(self, history: History, policy: Policy) -> None:
        self._case_id = history.case_id
        self._changes = history.changes
        self._heard = history.heard
        self._policy = policy
        self._then: list[int] = []  # the versions of its customer's messages, as recorded
        self._now: list[int] = []  # and as replayed
        self._sent: dict[UUID, str] = {}

    @property
    def possible(self) -> bool:
        """Whether every event tells what was asked. Messages that came from another case, or went
        there, do not; nor do requests among colleagues, which other cases answer."""
        opened = self._changes[0].event
        if not isinstance(opened, ev.CaseOpened) or opened.split_from is not None:
            return False
        if opened.opened_by and not any(
            type(change.event) is ev.MessageAdded for change in self._together(0)
        ):
            return False
        return all(type(change.event) in _KNOWN for change in self._changes)

    def command(self, index: int, case: Case | None) -> cmd.Command | None:
        """What was asked when this event was recorded; None where it only followed from it.

        case  as replayed so far
        """
        event = self._changes[index].event
        return READERS[type(event)](self, index, event, case)

    def carried(self, change: CaseChanged) -> CaseChanged | None:
        """What stays as it was without being decided: above all what an agent wrote. Whether it
        could be sent was found out then; what we wrote by ourselves follows from something else."""
        event = change.event
        if type(event) is not ev.ReplyRequested or event.purpose == "survey":
            return change
        if not event.human:
            return None
        return replace(change, event=replace(event, answers=self._answers(event.answers)))

    def told(self, recorded: int, replayed: Sequence[CaseChanged]) -> None:
        """After a customer's message: the version it came with, then and now."""
        for change in replayed:
            if type(change.event) is ev.MessageAdded:
                self._then.append(recorded)
                self._now.append(change.version)

    def _answers(self, version: int) -> int:
        """The version of the replayed case that has seen the same messages."""
        seen = bisect_right(self._then, version)
        if not seen:
            return 0
        same = self._now[seen - 1] + version - self._then[seen - 1]
        return min(same, self._now[seen] - 1) if seen < len(self._now) else same

    def _together(self, index: int) -> Sequence[CaseChanged]:
        """What was recorded after this event in the same moment."""
        end = index + 1
        while end < len(self._changes) and self._changes[end].at == self._changes[index].at:
            end += 1
        return self._changes[index + 1 : end]

    # --- customers ---------------------------------------------------------------------------

    def _message(self, index: int, event: ev.MessageAdded, case: Case | None) -> cmd.Command:
        heard = self._heard.get(event.message_id) or _forgotten(event)
        return cmd.TakeMessage(
            case_id=self._case_id,
            message=received(event, heard),
            customer=heard.customer or self._owner(),
            joined=event.joined,
            marked=event.marked,
            handoff_id=self._redeemed(index),
            arrived_at=event.arrived_at,
            opening=self._registered() if case is None else None,
        )

    def _owner(self) -> cmd.CustomerFacts:
        opened = self._changes[0].event
        assert isinstance(opened, ev.CaseOpened)
        return cmd.CustomerFacts(
            id=opened.customer_id, group=opened.group, internal=opened.internal, known=True
        )

    def _registered(self) -> cmd.Opening | None:
        """Where an agent did it for the customer; a team that they named stands."""
        opened = self._changes[0].event
        assert isinstance(opened, ev.CaseOpened)
        if not opened.opened_by:
            return None
        team = "" if opened.rule else opened.team
        return cmd.Opening(opened.opened_by, team, opened.parent_id, fresh=True)

    def _redeemed(self, index: int) -> UUID | None:
        """The handoff whose code came with the message, which is recorded right after it."""
        for change in self._together(index)[:1]:
            event = change.event
            if isinstance(event, ev.HandoffAccepted) and event.how == "resume code":
                return event.handoff_id
        return None

    def _recorded(self, index: int, event: ev.ReplyRecorded, _: Case | None) -> cmd.Command:
        if self._changes[index].actor == "customer":
            message = echo(event, self._changes[index].at)
            return cmd.TakeMessage(self._case_id, message, self._owner(), joined="thread")
        apology = self._own_words(index)
        return cmd.Reply(
            message_id=event.message_id,
            agent=event.author,
            text=event.text,
            answers=self._answers(event.answers),
            channel=event.channel,
            outcome=event.outcome,
            occurred_at=event.occurred_at,
            senders=frozenset(() if apology is None else (apology.account,)),
        )

    def _revised(self, index: int, event: ev.MessageRevised, case: Case | None) -> cmd.Command:
        """The words shown before are those the case shows, wherever they were replaced."""
        if event.kind is not None:
            return self._more(index, event, event.kind, case)
        shown = "" if case is None else case.subject if event.preview is None else case.preview
        after = event.subject if event.preview is None else event.preview
        return cmd.ReviseMessage(
            message_id=event.message_id,
            reason=event.reason,
            before="" if after is None else shown,
            after=after or "",
            settled=event.settled,
        )

    def _more(
        self, index: int, event: ev.MessageRevised, kind: Kind, case: Case | None
    ) -> cmd.Command:
        """Of a call: what it was taken for until then follows from what was told of it before."""
        added = next(
            change.event
            for change in self._changes[:index]
            if isinstance(change.event, ev.MessageAdded)
            and change.event.message_id == event.message_id
        )
        told = [added.kind] + [
            change.event.kind
            for change in self._changes[:index]
            if isinstance(change.event, ev.MessageRevised)
            and change.event.message_id == event.message_id
            and change.event.kind is not None
        ]
        stood = reduce(calls.outcome, told)
        heard = self._heard.get(event.message_id) or _forgotten(added)
        message = received(added, heard)
        shown = event.preview if event.preview is not None else event.subject
        before = "" if case is None else case.preview
        return cmd.HearMore(
            message=replace(
                message,
                kind=calls.outcome(stood, kind),
                occurred_at=event.occurred_at or message.occurred_at,
                text=before if shown is None else shown,
                reply_text="",
            ),
            customer=heard.customer or self._owner(),
            kind=kind,
            stood=stood,
            told=tuple(told),
            before=before,
            marked=added.marked,
            handoff_id=self._redeemed(index),
        )

    # --- what became of replies --------------------------------------------------------------

    def _sent_by(self, _: int, event: ev.ReplySent, __: Case | None) -> None:
        self._sent[event.message_id] = event.provider_id

    def _reported(self, i: int, event: ev.DeliveryStatusChanged, _: Case | None) -> cmd.Command:
        """The last event of each report."""
        return cmd.ReportDelivery(
            message_id=event.message_id,
            status=event.status,
            at=self._changes[i].at,
            provider_id=self._sent.pop(event.message_id, ""),
            code=event.code,
            reason=event.reason,
        )

    def _doubtful(self, index: int, event: ev.ReplyDoubtful, _: Case | None) -> cmd.Command:
        at = self._changes[index].at
        return cmd.ReportDelivery(event.message_id, "unknown", at, reason=event.reason)

    # --- agents ------------------------------------------------------------------------------

    def _released(self, index: int, event: ev.CaseReleased, _: Case | None) -> cmd.Command:
        return cmd.Release(self._changes[index].actor, may_release_others=True)

    def _assigned(self, i: int, event: ev.CaseAssigned, case: Case | None) -> cmd.Command | None:
        """Regie's gift to an agent stands while the case is with the team it was with then.

        Who else would have got it depends on all other cases of the moment, and is not replayed.
        """
        if not event.automatic or case is None:
            return None
        if event.reason.startswith(_ANSWERED_BY):
            team = event.reason.removeprefix(_ANSWERED_BY)
            return cmd.GiveBack(self._changes[i].actor, team, event.team, _NO_ID)
        gives = case.team == event.team and self._policy.gives(event.team)
        return cmd.Give(event.agent) if event.agent and gives else None

    def _reopened(
        self, index: int, event: ev.CaseReopened | ev.CaseResumed, _: Case | None
    ) -> cmd.Command | None:
        actor = self._changes[index].actor
        if actor in ("customer", "regie"):
            return None  # a message, or a failed reply, opened it again
        return cmd.Reopen(actor, event.reason)

    def _corrected(self, index: int, event: ev.CaseRevised, _: Case | None) -> cmd.Command:
        """The priority that was changed with it comes right after."""
        priority = next(
            (c.event.priority for c in self._together(index)[:1]
             if isinstance(c.event, ev.CasePriorityChanged)), None
        )  # fmt: skip
        return cmd.ReviseCase(event.by, product=event.product, priority=priority, tags=event.tags)

    def _prioritised(self, i: int, event: ev.CasePriorityChanged, _: Case | None) -> cmd.Command:
        return cmd.ReviseCase(self._changes[i].actor, priority=event.priority)

    def _promised(self, index: int, event: ev.PromiseMade, _: Case | None) -> cmd.Command | None:
        """What the customer asked for follows from that."""
        before = self._changes[index - 1].event
        if event.asked_in is not None:
            return None
        if event.replaces and isinstance(before, ev.PromiseRenegotiated):
            return cmd.RenegotiatePromise(
                before.promise_id, event.promise_id, event.by, event.due_at, consent=before.consent
            )
        return cmd.MakePromise(event.promise_id, event.by, event.kind, event.what, event.due_at)

    def _kept(self, index: int, event: ev.PromiseKept, _: Case | None) -> cmd.Command | None:
        if event.message_id is not None:
            return None  # by the reply
        return cmd.KeepPromise(event.promise_id, self._changes[index].actor, event.how)

    # --- handoffs ----------------------------------------------------------------------------

    def _offered(self, index: int, event: ev.HandoffOffered, _: Case | None) -> cmd.Command:
        invitation = self._own_words(index)
        return cmd.OfferHandoff(
            handoff_id=event.handoff_id,
            agent=event.author,
            reason=event.reason,
            to_team=event.to_team,
            to_channel=event.to_channel,
            address=event.address,
            consent=event.consent,
            results=event.results,
            code=_CODE if event.code_expires_at is not None else "",
            way=cmd.NO_WAY if invitation is None else cmd.Way(invitation.account),
            invitation_id=_NO_ID if invitation is None else invitation.message_id,
            senders=self._senders(invitation, automatic=event.author == "regie"),
            answer_url=event.answer_url,
            automatic=event.author == "regie",
            supervisor=True,  # whoever moved it was allowed to
        )

    def _own_words(self, index: int) -> ev.ReplyRequested | None:
        """What we wrote to the customer by ourselves in the same moment: an invitation."""
        for change in self._together(index):
            if isinstance(change.event, ev.ReplyRequested) and not change.event.human:
                return change.event
        return None

    def _senders(
        self, invitation: ev.ReplyRequested | None, *, automatic: bool
    ) -> frozenset[str] | None:
        """It left by that account; where the candidate would take another, it left all the same."""
        if invitation is None:
            return frozenset() if automatic else None
        named = self._policy.reply_from.get(invitation.channel)
        return frozenset((invitation.account,)) if named == invitation.account else None

    def _accepted(self, _: int, event: ev.HandoffAccepted, __: Case | None) -> cmd.Command | None:
        if event.by == "customer" or event.how == call_backs.REACHED:
            return None  # the message with the code tells it, or the outcome of the call
        by_code = event.how == "code told to an agent"
        return cmd.AcceptHandoff(event.handoff_id, event.by, by_code=by_code)


def _forgotten(event: ev.MessageAdded) -> Heard:
    """Its words were deleted: what the case shows of it is all there is."""
    return Heard(customer=None, subject=event.subject, text=event.preview)


_Reader = Callable[[Retelling, int, Any, Case | None], cmd.Command | None]

READERS: Final[dict[type[ev.Event], _Reader]] = {
    ev.MessageAdded: Retelling._message,
    ev.MessageRevised: Retelling._revised,
    ev.ReplyRecorded: Retelling._recorded,
    ev.ReplySent: Retelling._sent_by,
    ev.ReplyDoubtful: Retelling._doubtful,
    ev.DeliveryStatusChanged: Retelling._reported,
    ev.CaseClaimed: lambda _, __, e, ___: cmd.Claim(e.agent),
    ev.CaseReleased: Retelling._released,
    ev.CaseAssigned: Retelling._assigned,
    ev.CaseRevised: Retelling._corrected,
    ev.CasePriorityChanged: Retelling._prioritised,
    ev.CasePaused: lambda _, __, e, ___: cmd.Pause(e.author, e.state, e.until, e.reason),
    ev.CaseResumed: Retelling._reopened,
    ev.CaseClosed: lambda _, __, e, ___: cmd.Close(e.author, e.reason, e.empty),
    ev.CaseReopened: Retelling._reopened,
    ev.CaseThawed: lambda _, __, e, ___: cmd.Thaw(e.by, e.reason),
    ev.PromiseMade: Retelling._promised,
    ev.PromiseKept: Retelling._kept,
    ev.HandoffOffered: Retelling._offered,
    ev.HandoffAccepted: Retelling._accepted,
    ev.HandoffDeclined: lambda _, __, e, ___: cmd.DeclineHandoff(e.handoff_id, e.by, e.reason),
}
# What follows from an input, or from time.
DECIDED: Final = frozenset((
    ev.CaseOpened, ev.CaseRouted, ev.CaseFrozen, ev.SwitchSuggested, ev.HandoffExpired,
    ev.DeadlineStarted, ev.DeadlineSuperseded, ev.DeadlineMet, ev.DeadlinePaused,
    ev.DeadlineResumed, ev.DeadlineWarned, ev.DeadlineEscalated, ev.DeadlineAtRisk,
    ev.DeadlineBreached, ev.ReplyFailed, ev.PromiseReminded, ev.PromiseAttempted,
    ev.PromiseRevived, ev.PromiseBroken, ev.PromiseRenegotiated, ev.SurveySent, ev.SurveySkipped,
    ev.SurveyAnswered, ev.SurveyDeclined,
))  # fmt: skip
# Whom a survey asks depends on more than the case: they are asked as they were, and when.
ASKED: Final = frozenset((ev.ReplyRequested, ev.SurveySent, ev.SurveySkipped))
# What is so under any policy.
_CARRIED: Final = frozenset((ev.ReplyRequested, ev.NoteAdded, ev.ResultRecorded, ev.CaseMoved))
_KNOWN: Final = READERS.keys() | DECIDED | _CARRIED
