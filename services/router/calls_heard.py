"""A call of which one word was taken already: the next one, in whatever order they come.

What it says more goes into the one row, and to the case. A resume code may be keyed in after the
first word was taken; then the call goes over to the case it names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import replace as evolved
from uuid import UUID

from msgspec.structs import replace

from services.router import amended, splitting
from services.router.amended import Standing
from services.router.amending import Amendments, telling
from services.router.case import Case
from services.router.commands import Close, CustomerFacts, HearMore, LeaveCase, TakeMessage
from services.router.desk import Desk
from services.router.queries import Known
from services.router.redeeming import Codes, Redemption
from shared.channels.calls import RANK
from shared.events import MessageReceived


@dataclass
class CallsHeard:
    """`adopt(message, guest, host)` makes one record of two and says whose; `facts` tells what
    routing may know of a customer."""

    desk: Desk
    codes: Codes
    amendments: Amendments
    adopt: Callable[[MessageReceived, UUID, UUID], UUID]
    facts: Callable[[UUID], CustomerFacts]

    def hear(self, message: MessageReceived, customer: UUID, known: Known) -> Known:
        """The call's message as it is known afterwards. Word that says nothing new changes
        nothing."""
        old = self.amendments.standing(self.desk, known.id)
        if old is None or known.kind not in RANK or message.kind not in RANK:
            return known
        new = amended.heard(old, message, telling(message))
        redemption = self._redeemed(message, customer, old)
        if new == old and redemption is None:
            return known
        whole = replace(
            message,
            id=known.id,
            kind=new.kind,
            text=new.words,
            reply_text="",
            occurred_at=new.occurred_at,
            attributes=new.data.get("attributes", {}),
        )
        self.amendments.change(self.desk, known.id, new)
        if redemption is not None and _elsewhere(redemption, known):
            known = self._move(whole, message, customer, known, redemption)
        elif known.case_id in self.desk.cases:
            self._tell(whole, message, known, old, redemption)
        return evolved(known, kind=new.kind, text=new.words[:600])

    def _redeemed(
        self, message: MessageReceived, customer: UUID, old: Standing
    ) -> Redemption | None:
        """A code counts once a call, a wrong one too."""
        keyed = message.attributes.get("digits")
        if not keyed or keyed == old.data.get("attributes", {}).get("digits"):
            return None
        return self.codes.redeem(self.desk, message, customer)

    def _tell(
        self,
        whole: MessageReceived,
        message: MessageReceived,
        known: Known,
        old: Standing,
        redemption: Redemption | None,
    ) -> None:
        self.desk.decide(
            known.case_id,
            HearMore(
                message=whole,
                customer=self.facts(known.customer_id),
                kind=message.kind,
                stood=old.kind,
                told=tuple(old.data.get("told", (old.kind,))),
                before=old.words,
                marked=redemption.joined.marked if redemption else known.marked,
                handoff_id=redemption.handoff_id if redemption else None,
            ),
        )

    def _move(
        self,
        whole: MessageReceived,
        message: MessageReceived,
        customer: UUID,
        known: Known,
        redemption: Redemption,
    ) -> Known:
        """As if the code had been keyed in first; what was promised meanwhile holds."""
        target, joined = redemption.joined.case, redemption.joined
        assert target is not None
        if redemption.adopted:
            customer = self.adopt(message, customer, target.customer_id)
        promised = splitting.promised(self.desk.cases[known.case_id], {known.id})
        leave = LeaveCase("regie", (known.id,), target.id)
        left = self.desk.decide(known.case_id, leave).case
        self.desk.decide(
            target.id,
            TakeMessage(
                case_id=target.id,
                message=whole,
                customer=self.facts(customer),
                joined=joined.why,
                marked=joined.marked,
                handoff_id=redemption.handoff_id,
                promised=promised,
            ),
        )
        if _is_empty(left):
            reason = f"the call went to case {target.id}, whose code was keyed in"
            self.desk.decide(left.id, Close("regie", reason, empty=True))
        self.amendments.mark(self.desk, known.id, joined.marked)
        return evolved(known, case_id=target.id, customer_id=customer, marked=joined.marked)


def _elsewhere(redemption: Redemption, known: Known) -> bool:
    return redemption.joined.case is not None and redemption.joined.case.id != known.case_id


def _is_empty(case: Case) -> bool:
    """The call was all there was to it, and nobody of ours did anything about it."""
    touched = case.agent or case.pending or case.answered or case.promises or case.children
    return case.matters == 1 and case.state != "closed" and not touched
