"""A policy that remembers answers as one that does not."""

from __future__ import annotations

from itertools import product

import pytest

from services.router.policy import Facts, Policy
from services.router.trial.remembering import RememberingPolicy
from tests.builders import EXAMPLE, NOON, after

SOURCE = EXAMPLE.read_text(encoding="utf-8").partition("\ntests:")[0]
BY_TIME = SOURCE.replace("'channel == \"counter\"'", "'!open(\"office\")'")
BY_WORDS = SOURCE.replace("'channel == \"counter\"'", "'text.contains(\"now\")'")
BY_TEAM = SOURCE.replace("'channel == \"counter\"'", '\'team == "claims" && "vip" in tags\'')
FACTS = [
    Facts(
        channel=channel, kind=kind, text=text, customer_group=group, customer_internal=internal,
        tags=tags, priority=priority,
    )
    for channel, kind, text, group, internal, tags, priority in product(
        ("whatsapp", "email", "phone"), ("message", "call_missed"),
        ("a parcel", "it is damaged, and now?"), ("", "gold"), (False, True), ((), ("vip",)),
        ("", "urgent"),
    )
]  # fmt: skip


@pytest.mark.parametrize("source", [SOURCE, BY_TIME, BY_WORDS, BY_TEAM])
def test_it_gives_the_same_answers(source: str) -> None:
    plain, remembering = Policy.parse(source), RememberingPolicy.parse(source)
    for _ in range(2):
        for facts in FACTS:
            for now in (NOON, after(hours=12)):
                routing, level = plain.assess(facts, now)
                again, same = remembering.assess(facts, now)
                assert (again.rule, again.team, again.trail) == (
                    routing.rule, routing.team, routing.trail,
                )  # fmt: skip
                assert same == level
                for team in ("claims", "parcels"):
                    level = plain.service_level(facts, team, now)
                    assert remembering.service_level(facts, team, now) == level


def test_what_depends_on_words_or_time_is_not_remembered() -> None:
    assert SOURCE not in (BY_TIME, BY_WORDS, BY_TEAM)
    remembered = [_asked(source) is not None for source in (SOURCE, BY_TEAM, BY_TIME, BY_WORDS)]
    assert remembered == [True, True, False, False]


def _asked(source: str) -> tuple[str, ...] | None:
    policy = RememberingPolicy.parse(source)
    assert isinstance(policy, RememberingPolicy)
    return policy.asked
