"""The policy in force: who answers, by when, and why.

A `Policy` is a policy file (`rules/model`: every section is an attribute) that can be asked. It is
immutable and pure: the same facts at the same moment always get the same answer, and each answer
carries the rules that were tried for it.

    policy = Policy.parse(text, "policy.yaml").with_version(7)
    routing, level = policy.assess(Facts(channel="email", text="…"), now)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from pydantic import PrivateAttr

from services.router.policy_terms import PolicyTerms
from services.router.rules.conditions import Evaluation, Facts, Rule, RuleTrial
from services.router.rules.file import PolicyError, load
from services.router.rules.model import EscalationRule, RoutingRule, ServiceLevelRule
from shared.durations import Duration
from shared.events import Metric, Priority
from shared.yamlfile import Document, Problem

__all__ = [
    "EscalationRule",
    "Facts",
    "Policy",
    "PolicyError",
    "Routing",
    "RuleTrial",
    "ServiceLevel",
    "Step",
]


@dataclass(frozen=True, slots=True)
class Step:
    """One target of a routing rule: whom a case is offered to.

    wait  wall clock; unclaimed for so long it goes on to the next step. None: it stays
    """

    team: str
    skills: tuple[str, ...]
    wait: Duration | None = None


@dataclass(frozen=True, slots=True)
class Routing:
    """Who answers, by which rule; `trail` holds the rules tried, the last of which matched.

    team, skills, wait  of the rule's first step (`Policy.step`)
    by_default          no condition matched: it is the rule for everything else
    """

    rule: str
    team: str
    product: str
    priority: Priority
    skills: tuple[str, ...]
    tags: tuple[str, ...]
    by_default: bool
    facts: Facts
    trail: tuple[RuleTrial, ...]
    wait: Duration | None = None

    @property
    def inputs(self) -> Mapping[str, Any]:
        """What the rules knew, but for the customer's own words."""
        return self.facts.without_words()


@dataclass(frozen=True, slots=True)
class ServiceLevel:
    """What is promised, by which rule; `trail` as in Routing.

    targets      by metric; one that is not there is not promised
    warn_before  counted back from due in the same calendar
    escalate     what else is done before and after due
    """

    rule: str
    calendar: str
    targets: Mapping[Metric, Duration]
    warn_before: tuple[Duration, ...]
    trail: tuple[RuleTrial, ...]
    escalate: tuple[EscalationRule, ...] = ()


class Policy(PolicyTerms):
    """A policy file that can be asked. Made by `parse` only."""

    _document: Document = PrivateAttr()
    _text: str = PrivateAttr("")
    _version: int = PrivateAttr(0)

    @classmethod
    def parse(cls, text: str, filename: str = "policy.yaml") -> Policy:
        """Reads YAML 1.2 or JSON. Raises PolicyError with all problems of the file."""
        policy, document = load(text, filename, cls)
        policy._document, policy._text = document, text
        return policy

    def with_version(self, version: int) -> Policy:
        """The same policy under the number its store gave it; 0 is no version."""
        policy = self.model_copy()
        policy._version = version
        return policy

    @property
    def version(self) -> int:
        return self._version

    @property
    def text(self) -> str:
        """The source, comments and all: the form in which a policy is stored."""
        return self._text

    @property
    def document(self) -> Document:
        """Where everything stands in the source, for problems found later."""
        return self._document

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What `regie policy check` tells though the policy can rule."""
        return tuple(self._document.problems)

    # --- steps -----------------------------------------------------------------------------

    def step(self, rule: str, index: int) -> Step | None:
        """Whom a case of a routing rule is offered to, counted from 0; None for no such.

        The last one has no `wait`: where the file gives its last target one, a step follows that
        nobody wrote, the fallback team (or the same team), without skills.
        """
        steps = self.steps.get(rule, ())
        return steps[index] if 0 <= index < len(steps) else None

    @cached_property
    def steps(self) -> Mapping[str, tuple[Step, ...]]:
        """By routing rule."""
        return {rule.name: tuple(self._steps(rule)) for rule in self.routing}

    def _steps(self, rule: RoutingRule) -> Iterator[Step]:
        last = Step(rule.team, rule.skills)
        for target in rule.targets:
            skills = rule.skills if target.skills is None else target.skills
            last = Step(target.team or rule.team, skills, target.wait)
            yield last
        if not rule.targets:
            yield last
        elif last.wait is not None:
            yield Step(self.fallback_of(last.team) or last.team, ())

    # --- rules -----------------------------------------------------------------------------

    def route(self, facts: Facts, now: datetime) -> Routing:
        """Who answers. A product given with the message stands; a priority the rule may change."""
        return self._route(facts, self._evaluation(facts, now, self.names_in_routing))

    def service_level(self, facts: Facts, team: str, now: datetime) -> ServiceLevel | None:
        """By when, for a case of `team`; None where no rule promises anything.

        `facts` has the case's product, priority and tags.
        """
        evaluation = self._evaluation(facts, now, self.names_in_levels)
        if "team" in self.names_in_levels:
            evaluation.set(team=team)
        return self._service_level(evaluation)

    def service_level_again(
        self, facts: Facts, team: str, now: datetime, matched: str
    ) -> ServiceLevel | None:
        """The same later, when a message's words are not at hand any more: a rule that asks for
        them matches if it is the one that did (`matched`)."""
        evaluation = self._evaluation(facts, now, self.names_in_levels)
        if "team" in self.names_in_levels:
            evaluation.set(team=team)
        for rule in self.service_levels:
            if rule.when is not None and not _FORGOTTEN.isdisjoint(rule.when.names):
                found = rule.name == matched
            else:
                found = evaluation.first_match((rule,))[0] is not None
            if found:
                return _level(rule, ())
        return None

    def level(self, name: str) -> ServiceLevel | None:
        """By its name; None when this version has no such."""
        rule = next((rule for rule in self.service_levels if rule.name == name), None)
        return None if rule is None else _level(rule, ())

    def assess(self, facts: Facts, now: datetime) -> tuple[Routing, ServiceLevel | None]:
        """Both for a new case: the service level sees what routing decided."""
        names = self.names_in_routing | self.names_in_levels
        evaluation = self._evaluation(facts, now, names)
        routing = self._route(facts, evaluation)
        for name in names & _DECIDED:
            evaluation.set(**{name: getattr(routing, name)})
        return routing, self._service_level(evaluation)

    def _route(self, facts: Facts, evaluation: Evaluation) -> Routing:
        rule, trail = evaluation.first_match(self.routing)
        assert rule is not None, "the last rule has no condition"
        return _routing(rule, self.steps[rule.name][0], facts, trail)

    def _service_level(self, evaluation: Evaluation) -> ServiceLevel | None:
        rule, trail = evaluation.first_match(self.service_levels)
        return None if rule is None else _level(rule, trail)

    def _evaluation(self, facts: Facts, now: datetime, names: frozenset[str]) -> Evaluation:
        return Evaluation(facts, now, self.working_time, names)

    @cached_property
    def names_in_routing(self) -> frozenset[str]:
        return _names_in(self.routing)

    @cached_property
    def names_in_levels(self) -> frozenset[str]:
        return _names_in(self.service_levels)


_DECIDED = frozenset(("team", "product", "priority", "tags"))
_FORGOTTEN = frozenset(("text", "subject", "attributes", "message"))


def _level(rule: ServiceLevelRule, trail: tuple[RuleTrial, ...]) -> ServiceLevel:
    return ServiceLevel(
        rule.name, rule.calendar, rule.targets, rule.warn_before, trail, rule.escalate
    )


def _routing(rule: RoutingRule, first: Step, facts: Facts, trail: tuple[RuleTrial, ...]) -> Routing:
    return Routing(
        rule=rule.name,
        team=first.team,
        product=facts.product or rule.product or "",
        priority=rule.priority or _priority(facts.priority),
        skills=first.skills,
        tags=tuple(dict.fromkeys((*facts.tags, *rule.tags))),
        by_default=rule.when is None,
        facts=facts,
        trail=trail,
        wait=first.wait,
    )


def _names_in(rules: Iterable[Rule]) -> frozenset[str]:
    return frozenset().union(*(rule.when.names for rule in rules if rule.when is not None))


def _priority(given: str) -> Priority:
    match given:
        case "low" | "normal" | "high" | "urgent":
            return given
    return "normal"
