"""More is told of a call whose message is in the case already. Pure.

A provider tells of one call in several requests, in no sure order. Whatever the order, the case
ends the same: the best outcome stands (`shared.channels.calls`), the case it opened is where that
outcome is routed to, and its answer is due by the earliest of what each of its words was promised,
counted from the earliest time that was named.
"""

from __future__ import annotations

from dataclasses import replace

from services.router import call_backs, clocks, forms, opening, pingpong, taking
from services.router.case import Case
from services.router.commands import HearMore
from services.router.policy import Facts, Routing, ServiceLevel
from services.router.turn import Turn
from shared import events as ev
from shared.events import Kind


def hear_more(turn: Turn, command: HearMore) -> None:
    before = turn.case
    _tell(turn, command)
    if turn.case.state != "closed":
        _route(turn, command)
        _promise(turn, command)
    if command.kind == "call_ended" and not turn.case.unanswered:
        clocks.answered(turn, before)
    if command.handoff_id is not None and not command.marked:
        turn.record(
            ev.HandoffAccepted(handoff_id=command.handoff_id, by="customer", how="resume code")
        )
        pingpong.judge(turn)
    if turn.case.state != "closed":
        _call_back(turn, command)


def _tell(turn: Turn, command: HearMore) -> None:
    """What was known before and says no more is no event of the case."""
    message, case = command.message, turn.case
    entry = next((m for m in case.unanswered if m.message_id == message.id), None)
    better = message.kind != command.stood
    shown = taking.shown(case, command.before, message.text)
    news = entry is not None and (
        command.kind not in command.told or message.occurred_at < entry.at
    )
    if better or news or shown != (None, None):
        turn.record(
            ev.MessageRevised(
                message_id=message.id,
                reason="more is told of the call",
                settled=better and message.kind == "call_ended",
                subject=shown[0],
                preview=shown[1],
                kind=command.kind,
                occurred_at=message.occurred_at,
            )
        )


def _route(turn: Turn, command: HearMore) -> None:
    """Its opening lasts until its outcome stands, while the case lies where it was put."""
    case, message = turn.case, command.message
    if command.kind != message.kind or command.kind == command.stood or not _alone(case):
        return
    was, now = (
        opening.assess(turn.policy, replace(_facts(command), kind=kind), "", turn.now)[0]
        for kind in (command.stood, message.kind)
    )
    if case.agent or _where(was) != (case.rule, case.team, case.priority) or now == was:
        return
    turn.record(
        ev.CaseRouted(
            team=now.team,
            product=message.product or now.product,
            priority=now.priority,
            subject=case.subject,
            rule=now.rule,
            policy_version=turn.policy_version,
            tags=now.tags,
            skills=now.skills,
            relax_at=None if now.wait is None else now.wait.after(turn.now),
        )
    )
    turn.explain(
        "routing", now.rule, f"routed to {now.team}, now that it is known what the call was: "
        f"{opening.why(now)}", inputs=dict(now.inputs),
    )  # fmt: skip


def _where(routing: Routing) -> tuple[str, str, str]:
    return routing.rule, routing.team, routing.priority


def _alone(case: Case) -> bool:
    """The call is all there is to it: the case was opened by it."""
    return case.matters == 1


def _promise(turn: Turn, command: HearMore) -> None:
    """By the earliest of what its words promise each."""
    message = command.message
    for kind in dict.fromkeys((*command.told, command.kind)):
        level = _level(turn, command, kind)
        if level is None:
            continue
        before, words = turn.case.version, ""
        if any(m.message_id == message.id for m in turn.case.unanswered):
            words = clocks.await_answer(turn, level, message.occurred_at)
        if _alone(turn.case) and turn.case.state == "open":
            more = clocks.promise_work(turn, level, message.occurred_at, message.received_at)
            words = "; ".join(filter(None, (words, more)))
        if turn.case.version != before:
            turn.explain("deadline", level.rule, words)


def _level(turn: Turn, command: HearMore, kind: Kind) -> ServiceLevel | None:
    """As if it had been told first."""
    facts = replace(_facts(command), kind=kind)
    if _alone(turn.case):
        return opening.assess(turn.policy, facts, "", turn.now)[1]
    return taking.level_of(turn.policy, turn.case, facts, turn.now)


def _facts(command: HearMore) -> Facts:
    return taking.facts_of(command.message, command.customer)


def _call_back(turn: Turn, command: HearMore) -> None:
    message = command.message
    if message.kind == "call_ended":
        call_backs.met(turn, message.id)
        return
    if command.kind == message.kind == "callback_requested" and not command.marked:
        forms.ask_call(turn, message)
    call_backs.follow(turn, message.id)
