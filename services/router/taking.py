"""A customer's message joins its case, or opens one. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from services.router import (
    answer_to,
    clocks,
    deadlines,
    forms,
    fulfilling,
    opening,
    pingpong,
    suggesting,
    survey_answers,
)
from services.router.case import Case
from services.router.commands import CustomerFacts, Opening, ReviseMessage, TakeMessage
from services.router.policy import Facts, Policy, Routing, RuleTrial, ServiceLevel
from services.router.turn import Turn
from shared import events as ev
from shared.events import Kind, MessageReceived

WAITS: Final[frozenset[Kind]] = frozenset(
    ("message", "call_missed", "voicemail", "callback_requested", "form_abandoned", "visit",
     "unsupported")
)  # fmt: skip
_PREVIEW: Final = 200
_NOBODY: Final = Opening(by="")


def take_message(turn: Turn, command: TakeMessage) -> None:
    message = command.message
    facts, opened = facts_of(message, command.customer), turn.is_new
    answer = survey_answers.answer_in(turn, command)
    if answer is not None and not survey_answers.worries(answer, turn.policy):
        turn.record(_added(turn, command, waits=False, level=None))
        survey_answers.take(turn, message, answer)
        return
    if opened:
        team = command.opening.team if command.opening else ""
        routing, level = opening.assess(turn.policy, facts, team, turn.now)
        _open(turn, command, routing)
    else:
        if answer is not None:
            survey_answers.reopen(turn)
        elif not turn.case.stirred and _stirs(message) and not message.echo:
            _route(turn, message, turn.policy.route(facts, turn.now))
        elif turn.case.state == "closed" and _stirs(message):
            _reopen(turn, command, turn.policy.route(facts, turn.now))
        level = level_of(turn.policy, turn.case, facts, turn.now)
    if message.echo:
        _take_echo(turn, message)
        return
    _add(turn, command, level)
    if answer is not None:
        survey_answers.take(turn, message, answer)
    clocks.answer_first(turn)
    forms.follow(turn, command)
    if _waits(message) and not command.marked:
        suggesting.on_message(turn, message.kind, opened)


def level_of(policy: Policy, case: Case, facts: Facts, now: datetime) -> ServiceLevel | None:
    """The service level of a message that joins a case: of its team, product and priority."""
    facts = replace(facts, product=case.product, priority=case.priority, tags=case.tags)
    return policy.service_level(facts, case.team, now)


def revise_message(turn: Turn, command: ReviseMessage) -> None:
    """The case shows the new words; a clock ends with the last message that waited."""
    before = turn.case
    subject, preview = shown(before, command.before, command.after)
    if not command.settled and subject is None and preview is None:
        return
    turn.record(
        ev.MessageRevised(
            message_id=command.message_id,
            reason=command.reason,
            settled=command.settled,
            subject=subject,
            preview=preview,
        )
    )
    if command.settled and not turn.case.unanswered:
        clocks.answered(turn, before)


def shown(case: Case, before: str, after: str) -> tuple[str | None, str | None]:
    """The subject and the preview that show a message's old words, with the new ones."""
    old, new = _line(before), _line(after)
    if not old or old == new:
        return None, None
    return (new if old == case.subject else None, new if old == case.preview else None)


def facts_of(message: MessageReceived, customer: CustomerFacts) -> Facts:
    """What conditions may ask of a message."""
    return Facts(
        channel=message.channel,
        account=message.account,
        kind=message.kind,
        subject=message.subject,
        text=message.reply_text or message.text,
        product=message.product,
        priority=message.priority,
        attributes=message.attributes,
        customer_group=customer.group,
        customer_language=customer.language or message.language,
        customer_internal=_is_colleague(message, customer),
        customer_known=customer.known,
        authentication=message.sender.authentication,
    )


def _is_colleague(message: MessageReceived, customer: CustomerFacts) -> bool:
    """By who they are, or because only colleagues come in there."""
    return customer.internal or message.channel == "internal"


def _open(turn: Turn, command: TakeMessage, routing: Routing) -> None:
    message, by = command.message, command.opening or _NOBODY
    turn.record(
        ev.CaseOpened(
            customer_id=command.customer.id,
            account=message.account,
            channel=message.channel,
            subject=_title(message),
            team=routing.team,
            product=message.product or routing.product,
            priority=routing.priority,
            rule=routing.rule,
            policy_version=turn.policy_version,
            tags=routing.tags,
            skills=routing.skills,
            relax_at=_relax_at(turn, routing),
            known=command.customer.known,
            stirred=_stirs(message) and not message.echo,
            group=command.customer.group,
            internal=_is_colleague(message, command.customer),
            parent_id=by.parent_id,
            opened_by=by.by,
        )
    )
    _explain_routing(turn, routing, f"opened for {routing.team}")


def _route(turn: Turn, message: MessageReceived, routing: Routing) -> None:
    """The real opening of a case that a thumb up or a machine had opened."""
    if turn.case.state == "closed":
        turn.record(ev.CaseReopened(reason="the first message with work in it"))
    turn.record(
        ev.CaseRouted(
            team=routing.team,
            product=message.product or routing.product,
            priority=routing.priority,
            subject=_title(message),
            rule=routing.rule,
            policy_version=turn.policy_version,
            tags=routing.tags,
            skills=routing.skills,
            relax_at=_relax_at(turn, routing),
        )
    )
    _explain_routing(turn, routing, f"routed to {routing.team}")


def _reopen(turn: Turn, command: TakeMessage, routing: Routing) -> None:
    """Routed anew; only where no condition matched, the team that knows the matter keeps it."""
    turn.record(ev.CaseReopened(reason=command.joined))
    case = turn.case
    if not routing.by_default or not turn.policy.has_team(case.team):
        turn.record(
            ev.CaseRouted(
                team=routing.team,
                product=routing.product or case.product,
                priority=routing.priority,
                subject=case.subject,
                rule=routing.rule,
                policy_version=turn.policy_version,
                tags=tuple(dict.fromkeys((*case.tags, *routing.tags))),
                skills=routing.skills,
                relax_at=_relax_at(turn, routing),
            )
        )
    _explain_routing(turn, routing, f"reopened for {turn.case.team}")


def _relax_at(turn: Turn, routing: Routing) -> datetime | None:
    """How long it waits for whom the rule wants first."""
    return None if routing.wait is None else routing.wait.after(turn.now)


def _explain_routing(turn: Turn, routing: Routing, words: str) -> None:
    turn.explain(
        "routing", routing.rule, f"{words}: {opening.why(routing)}",
        inputs=dict(routing.inputs), trail=_trail(routing.trail),
    )  # fmt: skip


def _add(turn: Turn, command: TakeMessage, level: ServiceLevel | None) -> None:
    message = command.message
    waits = _waits(message)
    turn.record(_added(turn, command, waits, level))
    if command.handoff_id is not None and not command.marked:
        turn.record(
            ev.HandoffAccepted(handoff_id=command.handoff_id, by="customer", how="resume code")
        )
        pingpong.judge(turn)
    if level is None:
        turn.explain("service_level", "", "no service level matches: no deadline is promised")
        return
    arrived_at = command.arrived_at or message.received_at
    words = [f"service level `{level.rule}` matched first"]
    if waits:
        words.append(clocks.await_answer(turn, level, message.occurred_at))
        clocks.keep_promise(turn, command.promised)
    if _stirs(message):
        words.append(clocks.await_resolution(turn, level, message.occurred_at, arrived_at))
        words.append(clocks.await_news(turn, level, message.occurred_at, arrived_at))
    turn.explain(
        "service_level", level.rule, "; ".join(filter(None, words)), trail=_trail(level.trail)
    )


def _added(
    turn: Turn, command: TakeMessage, waits: bool, level: ServiceLevel | None
) -> ev.MessageAdded:
    message = command.message
    closes_at = message.reply_window_closes_at
    answer_by = None
    if closes_at is not None and level is not None:
        answer_by = deadlines.reply_window_bound(
            turn.policy, level.calendar, closes_at, message.occurred_at
        )
    elif closes_at is not None:
        answer_by = turn.policy.reply_window_margin.before(closes_at)
    reply_to = None
    if message.sender.identities and waits and _may_be_answered(command):
        reply_to = answer_to.answer_to(message, turn.case, command.joined)
    return ev.MessageAdded(
        message_id=message.id,
        account=message.account,
        channel=message.channel,
        kind=message.kind,
        occurred_at=message.occurred_at,
        received_at=message.received_at,
        authentication=message.sender.authentication,
        joined=command.joined,
        unanswered=waits,
        preview=_gist(message),
        subject=_line(message.subject),
        reply_to=reply_to,
        references=_references(message),
        reply_window_closes_at=closes_at,
        answer_by=answer_by,
        arrived_at=command.arrived_at,
        rule=level.rule if level is not None else "",
        marked=command.marked,
        language="" if command.marked else command.customer.language or message.language,
    )


def _may_be_answered(command: TakeMessage) -> bool:
    """An asserted stranger must not redirect the customer's replies (DESIGN 5.9). In a chat they
    opened a case with there is nothing to redirect, and nowhere else to answer."""
    if not command.marked:
        return True
    return command.message.channel == "webchat" and command.joined == "new"


def _take_echo(turn: Turn, message: MessageReceived) -> None:
    """A reply typed in the provider's own app: it answers what was there when it was typed. What
    another program wrote, and what was done to an earlier reply, answers nobody: a note."""
    before = turn.case
    if not _waits(message):
        author = "another app" if message.automatic else "provider app"
        turn.record(ev.NoteAdded(note_id=message.id, author=author, text=message.text))
        return
    answers = max((m.version for m in before.unanswered if m.at <= message.occurred_at), default=0)
    said = ev.ReplyRecorded(
        message_id=message.id,
        channel=message.channel,
        author="provider app",
        occurred_at=message.occurred_at,
        answers=answers,
        text=message.text,
        account=message.account,
        provider_id=message.thread.message_id,
    )
    turn.record(said)
    clocks.answered(turn, before)
    clocks.await_rest(turn)
    fulfilling.hear(turn, said)


@lru_cache(maxsize=1024)
def _trail(trail: tuple[RuleTrial, ...]) -> tuple[dict[str, Any], ...]:
    """As it is stored; the same few trails come again and again."""
    return tuple(trial._asdict() for trial in trail)


def _waits(message: MessageReceived) -> bool:
    return message.kind in WAITS and not message.automatic


def _stirs(message: MessageReceived) -> bool:
    """Whether there is work in it: a thumb up, or a machine's mail, opens nothing again."""
    return not message.automatic and (message.kind in WAITS or message.kind == "call_ended")


def _references(message: MessageReceived) -> tuple[str, ...]:
    """What an answer refers to, nearest first."""
    thread = message.thread
    return tuple(filter(None, (thread.message_id, *thread.references)))[:20]


def _title(message: MessageReceived) -> str:
    return _line(message.subject) or _gist(message)


def _gist(message: MessageReceived) -> str:
    """The beginning of what was said, or the names of the files that say it."""
    files = ", ".join(file.name or file.content_type for file in message.attachments[:3])
    return _line(message.reply_text or message.text) or (f"[{files}]"[:_PREVIEW] if files else "")


def _line(text: str) -> str:
    """The beginning, on one line: for lists."""
    return " ".join(text[: _PREVIEW * 3].split())[:_PREVIEW]
