"""What a form on our own pages brings: a draft that a desk or an agent resumes, and a call asked
for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from services.router import call_backs
from services.router.case import Offer
from services.router.commands import TakeMessage
from services.router.policy import Policy
from services.router.turn import Turn
from shared import events as ev
from shared.events import MessageReceived

_UNNAMED: Final = "form"
_LONGEST_NAME: Final = 100


def follow(turn: Turn, command: TakeMessage) -> None:
    """After its message was taken. A stranger in the thread fills in and accepts nothing."""
    if command.marked:
        return
    if command.message.draft:
        _keep(turn, command.message, command.message.draft)
    if command.message.kind == "callback_requested":
        ask_call(turn, command.message)


# --- drafts --------------------------------------------------------------------------------------


def _keep(turn: Turn, message: MessageReceived, draft: Mapping[str, Any]) -> None:
    """One result, version by version: final once a form that was left half filled is sent, or
    says itself that it is `complete`."""
    name, data = named(draft, turn.policy, turn.case.product)
    newest = next((result for result in turn.case.results if result.name == name), None)
    resumed = newest is not None and newest.state == "draft"
    whole = message.kind == "message" and (resumed or draft.get("complete") is True)
    turn.record(
        ev.ResultRecorded(
            name=name,
            version=newest.version + 1 if newest else 1,
            state="final" if whole else "draft",
            author="customer",
            data=data,
            files=message.attachments,
        )
    )


def named(draft: Mapping[str, Any], policy: Policy, product: str) -> tuple[str, dict[str, Any]]:
    """The result's name, and what was filled in.

    `result` names it. So does `name` beside `fields`, or where the policy knows it: elsewhere it
    is a field like others, and a person's. Unnamed it is the product's only result, or `form`.
    """
    fields = draft.get("fields")
    apart = isinstance(fields, dict)
    keys = ["result"]
    if apart or draft.get("name") in _results(policy):
        keys.append("name")
    key = next((key for key in keys if _is_name(draft.get(key))), "")
    spare = {key, "complete"} if key else {"complete"}
    data = {name: value for name, value in draft.items() if name not in spare}
    if key:
        return str(draft[key]).strip(), dict(fields) if isinstance(fields, dict) else data
    only = list(policy.products[product].results) if product in policy.products else []
    name = only[0] if len(only) == 1 else _UNNAMED
    return name, dict(fields) if isinstance(fields, dict) else data


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value.strip()) <= _LONGEST_NAME


def _results(policy: Policy) -> set[str]:
    return {name for product in policy.products.values() for name in product.results}


# --- a call --------------------------------------------------------------------------------------


def ask_call(turn: Turn, message: MessageReceived) -> None:
    """A call to their number is promised from now on."""
    number = _number(message)
    if not number:
        return
    _accept_call(turn, message, number)
    given = {name: str(message.attributes.get(name, "")) for name in ("topic", "preferred")}
    call_backs.ask(turn, message.id, "regie", number, given["topic"], given["preferred"])


def _accept_call(turn: Turn, message: MessageReceived, number: str) -> None:
    """Asking for the call that was offered on the page is the customer's consent to it."""
    offer = _call_on_offer(turn)
    if offer is None:
        return
    asked = f"asked for a call on {message.channel}"
    consent = {"by": "customer", "at": message.occurred_at.isoformat(), "how": asked}
    turn.record(
        ev.HandoffAccepted(
            handoff_id=offer.handoff_id,
            by="customer",
            how="callback requested",
            consent=consent,
            address=number,
        )
    )
    turn.explain("switch", f"{message.channel} to phone", f"the customer {asked}")


def _call_on_offer(turn: Turn) -> Offer | None:
    offers = (o for o in turn.case.offers if o.to_channel == "phone" and o.expires_at > turn.now)
    return next(offers, None)


def _number(message: MessageReceived) -> str:
    """The one they wrote down for it, or their own."""
    written = message.attributes.get("phone")
    if isinstance(written, str) and written.startswith("+"):
        return written
    return next((i.value for i in message.sender.identities if i.scheme == "e164"), "")
