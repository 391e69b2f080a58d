"""Who has a case: claimed, given, returned, passed on; and whom Regie gives what waits. Pure.

claim, release, give     what people, and the giving task, ask for
end_claim, return_unanswered, relax, escalate     what time does (called by `firing`)
share                    which agent gets which case, where a team's cases are given
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from services.router import clocks
from services.router import commands as cmd
from services.router.case import PRIORITIES, Case
from services.router.policy import Policy, Step
from services.router.rules.people import Notify
from services.router.turn import Turn
from shared import events as ev
from shared.errors import Conflict
from shared.events import Priority, Target
from shared.notices import NoticeKind

_ACTIVE: Final = timedelta(minutes=10)  # an agent seen so lately is at work on the case
_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_UNBOUNDED: Final = 10.0  # as what an agent without a capacity is compared with the others
_ROUNDING: Final = 1e-6  # three weights of a third are one


# --- asked for -----------------------------------------------------------------------------------


def claim(turn: Turn, command: cmd.Claim) -> None:
    """Compare and set: whoever comes second learns who was first. Again by its owner, it prolongs
    the lease and never shortens what the giving task granted."""
    case = turn.case
    if case.state == "closed":
        raise Conflict("the case is closed: reopen it first", name="case-closed")
    if case.agent and case.agent != command.agent:
        raise Conflict(
            f"{case.agent} has claimed this case: take the next one, or ask for its release",
            name="already-claimed",
            owner=case.agent,
        )
    until = turn.policy.claim_expires(turn.now)
    if case.agent and case.claim_until is not None:
        until = max(until, case.claim_until)
    words = f"claimed by {command.agent} until {until:%Y-%m-%d %H:%M} UTC"
    turn.explain("assignment", "claim_lease", words)
    turn.record(ev.CaseClaimed(agent=command.agent, until=until))


def release(turn: Turn, command: cmd.Release) -> None:
    case = turn.case
    if not case.agent:
        return
    if case.agent != command.agent and not command.may_release_others:
        raise Conflict(
            f"{case.agent} holds this case: only they or a supervisor may release it",
            name="already-claimed",
            owner=case.agent,
        )
    turn.record(ev.CaseReleased(agent=case.agent, reason=f"released by {command.agent}"))


def give(turn: Turn, command: cmd.Give) -> None:
    """Theirs until they should have answered; nothing where somebody was quicker."""
    case, policy = turn.case, turn.policy
    if case.state != "open" or case.agent:
        return
    wait = policy.return_unanswered_after or policy.claim_lease
    who = f" with {_listed(case.skills)}" if case.skills else ""
    reason = f"given to the least loaded agent online{who}"
    turn.explain("assignment", "give", f"{reason}: {command.agent}, to be answered within {wait}")
    turn.record(
        ev.CaseAssigned(
            team=case.team,
            agent=command.agent,
            reason=reason,
            automatic=True,
            skills=case.skills,
            step=case.step,
            relax_at=case.relax_at,  # counts again should it come back
            until=wait.after(turn.now),
        )
    )


# --- as time passes ------------------------------------------------------------------------------


def end_claim(turn: Turn) -> None:
    return_unanswered(turn)  # says more than that a lease ran out
    case = turn.case
    if case.agent and case.claim_until is not None and case.claim_until <= turn.now:
        turn.record(ev.CaseReleased(agent=case.agent, reason="lease ran out"))


def return_unanswered(turn: Turn) -> None:
    """Back to where others see it, when the agent who has it lets the customer wait."""
    case, at = turn.case, returns_at(turn.case, turn.policy)
    if not case.agent or at is None or at > turn.now:
        return
    reason = f"unanswered for {turn.policy.return_unanswered_after}"
    turn.explain(
        "assignment", "return_unanswered_after", f"{reason} by {case.agent}: others may take it"
    )
    turn.record(ev.CaseReleased(agent=case.agent, reason=reason))


def returns_at(case: Case, policy: Policy) -> datetime | None:
    """When the agent who has it loses it again; None while an answer is on its way."""
    wait = policy.return_unanswered_after
    waiting = [message.received_at or message.at for message in case.unanswered]
    leaving = any(reply.human and not reply.doubtful for reply in case.pending)
    if wait is None or case.given_at is None or not waiting or leaving:
        return None
    return wait.after(max(case.given_at, min(waiting)))


def relax(turn: Turn) -> None:
    """On to the next target of its routing rule: nothing waits for nobody.

    While an agent has the case its time does not count; it does at once when they release it.
    """
    case = turn.case
    if case.agent or case.state != "open" or case.relax_at is None or case.relax_at > turn.now:
        return
    step = turn.policy.step(case.rule, case.step + 1) or _last_step(case, turn.policy)
    skills = () if case.escalated else step.skills
    reason = _in_vain(case, turn.policy)
    asked = f" with {_listed(skills)}" if skills else ""
    turn.explain("assignment", case.rule, f"{reason}: now for {step.team}{asked}")
    turn.record(
        ev.CaseAssigned(
            team=step.team,
            reason=reason,
            automatic=True,
            skills=skills,
            step=case.step + 1,
            relax_at=None if step.wait is None else step.wait.after(turn.now),
        )
    )
    if step.team != case.team:
        clocks.replan(turn)


def _last_step(case: Case, policy: Policy) -> Step:
    """Where the policy has no further target (it may be another one by now)."""
    return Step(policy.fallback_of(case.team) or case.team, ())


def _in_vain(case: Case, policy: Policy) -> str:
    step = policy.step(case.rule, case.step)
    wait = "in time" if step is None or step.wait is None else f"within {step.wait}"
    who = f"nobody with {_listed(case.skills)}" if case.skills else f"nobody in {case.team}"
    return f"{who} took it {wait}"


def _listed(skills: Sequence[str]) -> str:
    return " and ".join(skills)


def escalate(turn: Turn) -> None:
    """What `on_breach` does, once a case."""
    rule = turn.policy.on_breach
    if rule.raises_priority:
        raise_priority(turn, "breach")
    if rule.reassigns:
        to_fallback(turn, "breach")


def told(turn: Turn, names: Sequence[str], kind: NoticeKind, *, raises: bool) -> tuple[Target, ...]:
    """Whom a step tells, by the priority the case has after it: an urgent one wakes people."""
    case = turn.case
    priority = _raised(case.priority) if raises else case.priority
    return turn.policy.notify_named(names, case.team, turn.now, priority, kind)


def reminded(turn: Turn, own: Sequence[Notify], kind: NoticeKind) -> tuple[Target, ...]:
    """The team, and the agent who has the case at their `own` addresses, each address once."""
    case, policy = turn.case, turn.policy
    team = policy.notify_team(case.team, turn.now, case.priority, kind)
    if not own or not case.agent:
        return team
    theirs = policy.notify_agent(case.agent, own, case.team, turn.now, case.priority, kind)
    known = {(each.kind, each.address) for each in team}
    return (*team, *(each for each in theirs if (each.kind, each.address) not in known))


def _raised(priority: Priority) -> Priority:
    return PRIORITIES[max(PRIORITIES.index(priority) - 1, 0)]


def raise_priority(turn: Turn, reason: str) -> None:
    """One step up, if there is one."""
    if turn.case.priority != PRIORITIES[0]:
        higher = _raised(turn.case.priority)
        turn.explain("escalation", reason, f"{reason}: from {turn.case.priority} to {higher}")
        turn.record(ev.CasePriorityChanged(priority=higher, reason=reason))


def to_fallback(turn: Turn, reason: str) -> None:
    """To the team that steps in, unless somebody is at work on it."""
    fallback = turn.policy.fallback_of(turn.case.team)
    if fallback and not _at_work(turn.case, turn.now):
        turn.explain(
            "escalation", reason, f"{reason}: from {turn.case.team} to its fallback {fallback}"
        )
        turn.record(ev.CaseAssigned(team=fallback, reason=reason, automatic=True))


def drop_skills(turn: Turn, reason: str) -> None:
    """Late, it is for whoever can. Everything else stays as it is, the agent too."""
    case = turn.case
    if not case.skills:
        return
    words = f"{reason}: no longer only for somebody with {_listed(case.skills)}"
    turn.explain("escalation", reason, words)
    turn.record(
        ev.CaseAssigned(
            team=case.team,
            agent=case.agent,
            reason=words,
            automatic=True,
            step=case.step,
            relax_at=case.relax_at,
            until=case.claim_until,
        )
    )


def _at_work(case: Case, now: datetime) -> bool:
    return bool(case.agent and case.active_at and now - case.active_at < _ACTIVE)


# --- sharing out ---------------------------------------------------------------------------------


class Waiting(NamedTuple):
    """A free case. They sort as the queue does.

    weight    what it adds to an agent's load
    capacity  the most its team lets an agent have, who has no capacity of their own; None: no bound
    returned_by  who had it and let it go: they get it again only if nobody else can take it
    """

    due_at: datetime
    rank: int
    opened_at: datetime
    id: UUID
    team: str
    skills: tuple[str, ...]
    weight: float
    capacity: int | None
    returned_by: str = ""


@dataclass(frozen=True, slots=True)
class Agent:
    """Somebody who may be given cases. `load`: the weights of their cases whose clock runs."""

    name: str
    online: bool
    teams: frozenset[str]
    skills: frozenset[str]
    capacity: int | None = None
    load: float = 0.0
    given_at: datetime | None = None


def fits(load: float, weight: float, capacity: int | None) -> bool:
    """Whether an agent with this load has room for one more case."""
    return capacity is None or load + weight <= capacity + _ROUNDING


def share(waiting: Iterable[Waiting], agents: Iterable[Agent]) -> list[tuple[UUID, str]]:
    """Who gets which case: (case id, agent's name), in the order of the queue.

    Each case goes to the one with the least load for their capacity, among equals to whoever was
    given nothing for longest, then by name; to who let it go before only if nobody else may take
    it. The order of the arguments changes nothing. A case that nobody may take now holds no other
    up.
    """
    tables = [_Table(agent) for agent in agents if agent.online]
    given: list[tuple[UUID, str]] = []
    for case in sorted(waiting):
        able = [table for table in tables if table.may_take(case)]
        if able:
            chosen = min(able, key=lambda table: table.standing(case))
            chosen.take(case, len(given) + 1)
            given.append((case.id, chosen.agent.name))
    return given


class _Table:
    """An agent's desk while cases are shared out."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.load = agent.load
        self.turn = 0  # when they last got one of these; 0: not yet

    def may_take(self, case: Waiting) -> bool:
        return (
            case.team in self.agent.teams
            and self.agent.skills.issuperset(case.skills)
            and fits(self.load, case.weight, self._capacity(case))
        )

    def standing(self, case: Waiting) -> tuple[bool, float, int, datetime, str]:
        """The least one takes the case."""
        capacity = self._capacity(case)
        part = self.load / (_UNBOUNDED if capacity is None else max(capacity, _ROUNDING))
        agent = self.agent
        returned = agent.name == case.returned_by
        return returned, part, self.turn, agent.given_at or _NEVER, agent.name

    def take(self, case: Waiting, turn: int) -> None:
        self.load += case.weight
        self.turn = turn

    def _capacity(self, case: Waiting) -> int | None:
        return case.capacity if self.agent.capacity is None else self.agent.capacity
