"""What came of a step of a journey, against what was expected of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.router.case import FAR, Case
from services.router.policy import Policy
from services.router.rules.examples import ExpectedThen, JourneyStep
from services.router.rules.routing import METRICS
from shared.errors import Refused


@dataclass
class Told:
    """What was said of a case so far."""

    rule: str = ""
    level: str = ""
    breached: bool = False


@dataclass(frozen=True, slots=True)
class Came:
    """What a step came to. `case` is None as long as the customer has none.

    joined        `new` or `same`: where the message went; empty where there was none
    without_code  it was to name a resume code, and there is none
    """

    case: Case | None
    told: Told
    joined: str = ""
    refused: Refused | None = None
    without_code: bool = False


def differing(what: str, expected: object, came: object) -> str:
    return f"{what}: expected {_shown(expected)}, came {_shown(came)}"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = ", ".join(value) if isinstance(value, tuple) else str(value)
    return text or "nothing"


def differences(policy: Policy, step: JourneyStep, came: Came) -> Iterator[str]:
    expect = step.expect or ExpectedThen.model_construct()
    refused = came.refused.problem if came.refused is not None else ""
    if came.refused is not None and expect.refused != refused:
        yield f"{differing('refused', expect.refused or '', refused)}: {came.refused.detail}"
    elif expect.refused not in (None, refused):
        yield differing("refused", expect.refused, refused)
    if came.case is None:
        yield "this customer has no case yet: `customer` must be one who said something"
        return
    if came.without_code:
        yield (
            "code: no switch to this channel is on offer, so the customer has no code: offer one "
            "in a step before, or leave `code` out"
        )
    for what, value in _came(came.case, came).items():
        expected = getattr(expect, what)
        if expected not in (None, value):
            yield differing(what, expected, value)
    yield from _wrong_times(policy, expect, came.case)


def _came(case: Case, came: Came) -> dict[str, Any]:
    _, metric = case.effective_due()
    return {
        "case": came.joined or "same",
        "rule": came.told.rule,
        "team": case.team,
        "priority": case.priority,
        "product": case.product,
        "service_level": came.told.level,
        "state": case.state,
        "agent": case.agent,
        "skills": case.skills,
        "tags": case.tags,
        "due_metric": metric or "none",
        "breached": came.told.breached,
    }


def _wrong_times(policy: Policy, expect: ExpectedThen, case: Case) -> Iterator[str]:
    due, metric = case.effective_due()
    if expect.due is not None and policy.instant(expect.due) != due:
        yield _wrong_time(policy, "due", expect.due, due, f" ({metric})" if metric else "")
    for name in METRICS:
        expected = getattr(expect, name)
        clock = case.clock(name)
        at = FAR if clock is None else clock.due_at
        if expected is not None and policy.instant(expected) != at:
            words = f" ({clock.words})" if clock is not None and clock.words else ""
            yield _wrong_time(policy, name, expected, at, words)


def _wrong_time(policy: Policy, what: str, expected: datetime, came: datetime, words: str) -> str:
    local = came.astimezone(policy.timezone)
    shown = "no such clock" if came == FAR else f"{local:%a %Y-%m-%d %H:%M}{words}"
    return f"{what}: expected {expected:%a %Y-%m-%d %H:%M}, came {shown}"
