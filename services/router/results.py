"""Named results: what a step puts out, and what the next team cannot do without. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from services.router.case import Case
from services.router.commands import RecordResult
from services.router.turn import Turn
from shared import events as ev
from shared.errors import Conflict, Invalid
from shared.yamlfile import nearest

_MOST: Final = 100  # names on one case
_VERSIONED: Final = re.compile(r"(.+) v\d+", re.DOTALL)


def record_result(turn: Turn, command: RecordResult) -> None:
    """The next version of its name, draft or final. What was recorded before stays as it is."""
    case = turn.case
    if case.state == "closed":
        raise Conflict("the case is closed: reopen it first", name="case-closed")
    _check_name(turn, command.name)
    version = _versions(case).get(command.name, 0) + 1
    turn.record(
        ev.ResultRecorded(
            name=command.name,
            version=version,
            state=command.state,
            author=command.agent,
            data=command.data,
            files=command.files,
        )
    )


def missing(turn: Turn, to_team: str) -> list[str]:
    """What the case's product requires of whoever hands it to this team, and is not final yet."""
    final = {result.name for result in turn.case.results if result.state == "final"}
    required = turn.policy.required_results(turn.case.product, to_team)
    return [name for name in required if name not in final]


def handed_over(turn: Turn, to_team: str, named: Iterable[str]) -> tuple[str, ...]:
    """The results that go along, with their versions: `tracking_number v2`. Those named, and those
    required; without names, all there are. Raises Invalid, naming what is not there."""
    versions = _versions(turn.case)
    chosen = [_plain(name, versions) for name in named]
    lacking = missing(turn, to_team)
    lacking += [name for name in chosen if name not in versions and name not in lacking]
    if lacking:
        raise Invalid(
            f"{to_team} needs {', '.join(lacking)} before it can take this over: record it first "
            "(POST /v1/cases/{id}/results, state final)",
            name="results-missing",
            missing=lacking,
        )
    required = turn.policy.required_results(turn.case.product, to_team)
    names = dict.fromkeys((*required, *chosen)) if chosen else versions
    return tuple(f"{name} v{versions[name]}" for name in names)


def _versions(case: Case) -> dict[str, int]:
    return {result.name: result.version for result in case.results}


def _plain(name: str, known: dict[str, int]) -> str:
    """A name as it was recorded; `quote v2` may be given for `quote`."""
    found = _VERSIONED.fullmatch(name)
    return found[1] if found and name not in known else name


def _check_name(turn: Turn, name: str) -> None:
    """Where the product lists results, only those: a misspelt one would be missing for ever."""
    product = turn.policy.products.get(turn.case.product)
    listed = () if product is None else tuple(product.results)
    if listed and name not in listed and name not in _versions(turn.case):
        raise Invalid(
            f"product {turn.case.product} has no result `{name}`: {nearest(name, listed)}",
            name="unknown-result",
            results=list(listed),
        )
    names = _versions(turn.case)
    if name not in names and len(names) >= _MOST:
        raise Conflict(
            f"this case has {_MOST} results: record a new version of one of them",
            name="too-many-results",
        )
