"""A policy that comes by API: all that is looked at before it may rule.

The file itself, the accounts there are, the targets it may name, its own tests. Everything wrong is
told at once, each with its line and field.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from services.router.policy import Policy, PolicyError
from services.router.rules.accounts import check_accounts
from services.router.trial.examples import TestResult, run_tests
from services.router.versions.targets import check_targets
from services.router.versions.turns import Turns
from shared import yamlfile
from shared.errors import Invalid
from shared.events import Channel
from shared.guard import Guard
from shared.yamlfile import Problem

Looked = tuple[Policy, Sequence[Problem], Sequence[TestResult]]
Told = dict[str, Any]  # {line, field, message}, and `test` where it is one


@dataclass(frozen=True, slots=True)
class Candidate:
    """It may rule. `warnings` are worth telling; `tests` is how many were run."""

    policy: Policy
    warnings: Sequence[Told]
    tests: int


@dataclass(frozen=True, slots=True)
class Checks:
    """What a policy is held against.

    accounts  the channel of each account by name
    allowed   REGIE_ALLOW_PRIVATE_TARGETS
    engine    what operators' files named is read there; no connection is held meanwhile
    turns     of the process
    senders   the accounts that can send; None: not known
    """

    accounts: Mapping[str, Channel]
    allowed: Guard
    engine: AsyncEngine
    turns: Turns
    senders: Collection[str] | None = None

    async def pass_all(self, source: str) -> Candidate:
        """Raises TooMany, and Invalid: `policy-invalid`, or `policy-tests-failed` where only tests
        fail."""
        policy, problems, results = await self._in_turn(source)
        failed = [_test(result) for result in results if not result.passed]
        wrong = [_told(problem) for problem in problems if not problem.warning]
        if wrong:
            raise _invalid("policy-invalid", "this policy cannot rule", wrong + failed)
        if failed:
            what = f"{len(failed)} of {len(results)} of its own tests fail"
            raise _invalid("policy-tests-failed", what, failed)
        return Candidate(policy, [_told(problem) for problem in problems], len(results))

    async def fit(self, source: str) -> Candidate:
        """For one that ruled before: a test of its own that fails is only a warning."""
        policy, problems, results = await self._in_turn(source)
        wrong = [_told(problem) for problem in problems if not problem.warning]
        if wrong:
            raise _invalid("policy-invalid", "this version does not fit any more", wrong)
        failed = [_test(result) for result in results if not result.passed]
        return Candidate(policy, [*map(_told, problems), *failed], len(results))

    async def _in_turn(self, source: str) -> Looked:
        async with self.turns.turn():
            return await self._look(source)

    async def _look(self, source: str) -> Looked:
        # Reading and trying go on in a thread: the router has batches to decide meanwhile.
        policy = await asyncio.to_thread(_parse, source)
        problems = [
            *policy.warnings,
            *check_accounts(policy, self.accounts, self.senders),
            *await check_targets(self.engine, policy, self.allowed),
        ]
        results = await asyncio.to_thread(run_tests, policy)
        return policy, sorted(problems, key=lambda problem: problem.line), results


def decoded(body: bytes) -> str:
    """A request's body as text. Raises Invalid."""
    try:
        return yamlfile.text_of(body, "policy").removeprefix("\ufeff")
    except yamlfile.FileError as error:
        wrong = [_told(problem) for problem in error.problems]
        raise _invalid("policy-invalid", "this is no text", wrong) from error


def _parse(source: str) -> Policy:
    try:
        return Policy.parse(source, "policy")
    except PolicyError as error:
        wrong = [_told(problem) for problem in error.problems if not problem.warning]
        raise _invalid("policy-invalid", "this policy cannot rule", wrong) from error


def _told(problem: Problem) -> Told:
    return {"line": problem.line, "field": problem.field, "message": problem.message}


def _test(result: TestResult) -> Told:
    differences = "; ".join(result.differences)
    return {
        "line": result.line, "field": "tests", "test": result.name,
        "message": f"`{result.name}`: {differences}",
    }  # fmt: skip


def _invalid(name: str, what: str, errors: Sequence[Told]) -> Invalid:
    return Invalid(f"{what}: {'; '.join(_lines(errors[:5]))}", name=name, errors=errors)


def _lines(errors: Iterable[Told]) -> Iterable[str]:
    for told in errors:
        where = [f"line {told['line']}"] if told["line"] else []
        yield ": ".join([*where, *filter(None, (told["field"], told["message"]))])
