"""What an agent does in a journey of a policy file, as commands for the core. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from services.router import commands as cmd
from services.router.case import Case
from services.router.policy import Policy
from services.router.rules.examples import Deed

CODE: Final = "R-0000-0000"  # of every offer in a journey

NewId = Callable[[], UUID]


def commands_of(
    deed: Deed, case: Case, policy: Policy, now: datetime, new_id: NewId
) -> Sequence[cmd.Command]:
    """One after the other; two for what is offered and accepted at once."""
    (name,) = deed.named()
    if name in ("reply", "outcome"):
        return [_reply(deed, case, new_id)]
    if name == "note":
        return [cmd.TakeNote(new_id(), deed.by, str(deed.note))]
    if name == "pause":
        return [_pause(deed, policy)]
    if name in _PLAIN:
        return [_PLAIN[name](deed, case)]
    return _handoff(name, deed, case, now, new_id)


_PLAIN: Final[Mapping[str, Callable[[Deed, Case], cmd.Command]]] = {
    "claim": lambda deed, _: cmd.Claim(str(deed.claim)),
    "release": lambda deed, case: cmd.Release(case.agent or deed.by),
    "close": lambda deed, _: cmd.Close(deed.by),
    "reopen": lambda deed, _: cmd.Reopen(deed.by),
    "priority": lambda deed, _: cmd.ChangePriority(deed.by, deed.priority or "normal"),
}


def _reply(deed: Deed, case: Case, new_id: NewId) -> cmd.Reply:
    channel: Any = deed.reply or None
    return cmd.Reply(
        new_id(), deed.by, "…", answers=case.version, channel=channel, outcome=deed.outcome or ""
    )


def _pause(deed: Deed, policy: Policy) -> cmd.Pause:
    assert deed.pause is not None
    until = None if deed.until is None else policy.instant(deed.until)
    return cmd.Pause(deed.by, deed.pause, until)


def _handoff(
    name: str, deed: Deed, case: Case, now: datetime, new_id: NewId
) -> Sequence[cmd.Command]:
    if name in ("accept", "decline"):
        handoff_id = case.offers[-1].handoff_id if case.offers else new_id()
        if name == "accept":
            return [cmd.AcceptHandoff(handoff_id, deed.by)]
        return [cmd.DeclineHandoff(handoff_id, deed.by)]
    handoff_id = new_id()
    if name == "switch":
        return [_switch(deed, handoff_id, now, new_id)]
    to_team = str(deed.offer or deed.transfer)
    offered = cmd.OfferHandoff(handoff_id, deed.by, "transfer", to_team=to_team)
    return [offered, cmd.AcceptHandoff(handoff_id, deed.by)] if deed.transfer else [offered]


def _switch(deed: Deed, handoff_id: UUID, now: datetime, new_id: NewId) -> cmd.OfferHandoff:
    assert deed.switch is not None
    consent = {"by": deed.by, "at": now.isoformat(), "how": "told"} if deed.switch.consent else None
    return cmd.OfferHandoff(
        handoff_id, deed.by, deed.switch.reason, to_channel=deed.switch.to, consent=consent,
        code=CODE, invitation_id=new_id(),
    )  # fmt: skip
