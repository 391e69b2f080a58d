"""Instagram by Meta: every row of `instagram/events.json`, and what differs from Messenger."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.channels.providers.meta_direct import DirectInbound
from tests.contracts.channels.behaviour import CHECKS, Check, Door, name_of, survives
from tests.contracts.channels.direct import ACCOUNTS, INSTAGRAM, check, parse, signed
from tests.contracts.channels.messages import Case, body_of, name_of_case, table
from tests.contracts.channels.shapes import places, shapes

CASES = table("instagram/events.json")
DOOR = Door(DirectInbound(), INSTAGRAM, ACCOUNTS, sign=signed, body=body_of(CASES[0]))
WORDS = ("id", "mid", "text", "type", "payload", "url", "comments", "from", "story", "reply_to")


@pytest.mark.parametrize("check", CHECKS, ids=name_of)
def test_behaviour(check: Check) -> None:
    check(DOOR)


@pytest.mark.parametrize("case", CASES, ids=name_of_case)
def test_event(case: Case) -> None:
    check(case)


def test_a_pages_door_takes_what_the_same_app_sends_of_its_profile() -> None:
    (message,) = parse(body_of(CASES[0])).messages
    assert (message.account, message.channel) == ("desk-instagram", "instagram")


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=st.sampled_from(CASES), data=st.data())
def test_any_shape_under_a_good_signature_is_survived(case: Case, data: st.DataObject) -> None:
    document = json.loads(json.dumps(case["json"]))
    for _ in range(data.draw(st.integers(1, 3))):
        holder, key = data.draw(st.sampled_from(list(places(document))))
        holder[key] = data.draw(shapes(WORDS))
    survives(DOOR, json.dumps(document).encode())
