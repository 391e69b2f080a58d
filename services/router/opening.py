"""Cases that an agent opens: for a customer they write to or call first, or with a team named.
Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from services.router import answering, clocks
from services.router.commands import OpenCase
from services.router.policy import Policy, Routing, ServiceLevel
from services.router.rules.conditions import Facts
from services.router.turn import Turn
from shared import events as ev
from shared.errors import Invalid


def open_case(turn: Turn, command: OpenCase) -> None:
    """Nobody waits for an answer, so that none is promised; what runs is the way to its end."""
    routing, _ = assess(turn.policy, facts_of(command), command.team, turn.now)
    turn.record(
        ev.CaseOpened(
            customer_id=command.customer.id,
            account=command.account,
            channel=command.channel,
            subject=command.subject,
            team=routing.team,
            product=command.product or routing.product,
            priority=command.priority or routing.priority,
            rule=routing.rule,
            policy_version=turn.policy_version,
            tags=routing.tags,
            skills=routing.skills,
            group=command.customer.group,
            internal=command.customer.internal,
            opened_by=command.agent,
            reply_to=command.identity,
            reply_window_closes_at=command.reply_window_closes_at,
        )
    )
    turn.explain(
        "routing", routing.rule, f"opened by {command.agent} for {routing.team}: {why(routing)}",
        inputs=dict(routing.inputs),
    )  # fmt: skip
    turn.record(ev.CaseClaimed(agent=command.agent, until=turn.policy.claim_expires(turn.now)))
    clocks.await_work(turn)
    if command.reply is not None:
        answering.reply(turn, command.reply)


def assess(
    policy: Policy, facts: Facts, team: str, now: datetime
) -> tuple[Routing, ServiceLevel | None]:
    """Where it goes and what is promised; a team that was named stands. Raises Invalid for none
    of the policy's, and for one whose people have no key: nobody could answer."""
    if policy.is_external(team):
        raise Invalid(
            f"{team} is a partner: hand it over with POST /v1/cases/{{id}}/handoffs",
            name="partner",
        )
    routing, level = policy.assess(facts, now)
    if not team or team == routing.team:
        return routing, level
    if not policy.has_team(team):
        raise Invalid(
            f"there is no team {team!r} in the policy: its teams are "
            + ", ".join(sorted(policy.teams)),
            name="unknown-team",
        )
    routing = replace(routing, team=team, rule="", skills=(), wait=None)
    decided = replace(facts, product=routing.product, priority=routing.priority, tags=routing.tags)
    return routing, policy.service_level(decided, team, now)


def why(routing: Routing) -> str:
    """The rule, in words."""
    return f"rule `{routing.rule}` matched first" if routing.rule else "the team was named"


def facts_of(command: OpenCase) -> Facts:
    """As of a message of that channel."""
    customer = command.customer
    return Facts(
        channel=command.channel,
        account=command.account,
        subject=command.subject,
        text=command.text,
        product=command.product,
        priority=command.priority,
        customer_group=customer.group,
        customer_language=customer.language,
        customer_internal=customer.internal,
        customer_known=customer.known,
    )
