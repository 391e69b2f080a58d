"""Small policies, and what is wrong with them, for tests of how a policy is read."""

from __future__ import annotations

import re

import pytest

from services.router.policy import Policy, PolicyError

LEAST = """
teams: {desk: {}}
calendars: {office: {timezone: Europe/Amsterdam, hours: {mon-fri: ["09:00-17:00"]}}}
routing: [{name: all, team: desk}]
service_levels: [{name: all, calendar: office, first_response: 1h}]
"""


def problems(text: str) -> list[str]:
    """What is wrong with a policy, each as `line field: message`."""
    with pytest.raises(PolicyError) as error:
        Policy.parse(text, "policy.yaml")
    assert all(problem.file == "policy.yaml" for problem in error.value.problems)
    return [f"{p.line} {p.field}: {p.message}" for p in error.value.problems]


def only_problem(text: str) -> str:
    found = problems(text)
    assert len(found) == 1, found
    return found[0]


def least_with(**sections: str) -> str:
    """The least policy with some of its sections written differently."""
    text = LEAST
    for key, value in sections.items():
        text = re.sub(rf"^{key}:.*\n", "", text, flags=re.MULTILINE) + f"{key}: {value}\n"
    return text


def warnings(text: str) -> list[str]:
    """What it is told though it can rule, in the same form."""
    return [f"{w.line} {w.field}: {w.message}" for w in Policy.parse(text, "policy.yaml").warnings]
