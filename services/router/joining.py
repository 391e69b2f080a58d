"""Which case a message belongs to (DESIGN 5, "Joining"). Pure.

same thread                                    → that case
an answer to a survey's question               → that case
same customer and account, open case           → that case
another account, same product, within `window` → the case touched last
closed, within `reopen`                        → that case, reopened
else                                           → a new case
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.router import survey_answers
from services.router.case import Case
from services.router.policy import Policy
from shared.events import MessageReceived


@dataclass(frozen=True, slots=True)
class Joined:
    """The case found, None for a new one, and why. `marked` when a stranger wrote in a thread."""

    case: Case | None
    why: str
    marked: str = ""


def join(
    message: MessageReceived,
    customer_id: UUID,
    *,
    threads: Iterable[Case],
    cases: Sequence[Case],
    product_of: Callable[[], str],
    policy: Policy,
    now: datetime,
) -> Joined:
    """`threads`: cases its references name; `cases`: those of its customer.

    `product_of` tells the message's own product, and is asked only where it matters.
    """
    for case in threads:
        if alive(case, policy, now) or _is_answer(message, customer_id, case):
            marked = "" if case.customer_id == customer_id else "other_sender"
            return Joined(case, "thread", marked)
    if message.shared_sender or not message.sender.identities:
        return Joined(None, "new")
    newest_first = sorted(cases, key=lambda case: (case.touched_at, case.id.int), reverse=True)
    asked = survey_answers.answered_case(message, newest_first)
    if asked is not None:
        return Joined(asked, "survey")
    for case in newest_first:
        if case.state != "closed" and message.account in _accounts(case):
            return Joined(case, "customer")
    elsewhere = [case for case in newest_first if case.state != "closed"]
    product = product_of() if elsewhere else ""
    for case in elsewhere:
        if _same_matter(case, product, policy, now):
            return Joined(case, "product")
    closed = (c for c in newest_first if c.state == "closed" and message.account in _accounts(c))
    lately = next((case for case in closed if alive(case, policy, now)), None)
    return Joined(lately, "new" if lately is None else "reopened")


def _is_answer(message: MessageReceived, customer_id: UUID, case: Case) -> bool:
    """To a survey's question, which stands longer than a case can be opened again."""
    mine = case.customer_id == customer_id
    return mine and survey_answers.answer(case, message) is not None


def _accounts(case: Case) -> set[str]:
    """Every account of ours the customer used on it."""
    return {case.account, *(route.account for route in case.routes.values())}


def alive(case: Case, policy: Policy, now: datetime) -> bool:
    """Open, or closed so recently that the customer's next word reopens it."""
    if case.erased:
        return False
    return case.closed_at is None or policy.joining.reopen.after(case.closed_at) > now


def _same_matter(case: Case, product: str, policy: Policy, now: datetime) -> bool:
    recent = policy.joining.window.after(case.touched_at) > now
    return recent and (not case.product or not product or case.product == product)
