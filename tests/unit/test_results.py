"""Named results: versions, what a product lists, and what a team cannot do without. Pure."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from services.router import commands as cmd
from services.router.policy import Policy
from shared import events as ev
from shared.errors import Conflict, Invalid
from tests.builders import NOON, Story, after, message

POLICY = Policy.parse("""
name: results
calendars: {always: {hours: 24/7}}
teams: {sales: {}, billing: {}, delivery: {}, shop: {}}
products:
  kitchens:
    results:
      quote: {required_for: [billing, delivery]}
      order number: {required_for: [delivery]}
      sketch: {}
  sundries: {}
routing:
  - {name: kitchen, when: 'text.contains("kitchen")', team: sales, product: kitchens}
  - {name: all, team: sales}
service_levels: [{name: all, calendar: always, first_response: 4h}]
""").with_version(1)


def begun(text: str = "A kitchen, please") -> Story:
    story = Story(POLICY)
    story.hear(message(text))
    return story


def record(story: Story, name: str, state: Any = "final", **more: Any) -> ev.ResultRecorded:
    (event,) = story.tell(cmd.RecordResult("jo", name, state, **more), after(minutes=1))
    assert isinstance(event, ev.ResultRecorded)
    return event


def offer(story: Story, to_team: str, *results: str) -> ev.HandoffOffered:
    command = cmd.OfferHandoff(uuid4(), "jo", "agent", to_team=to_team, results=results)
    offered = story.tell(command, after(minutes=2))[0]
    assert isinstance(offered, ev.HandoffOffered)
    return offered


def test_versions_count_within_the_name_and_each_holds_all_of_it() -> None:
    story = begun()
    assert record(story, "quote", "draft", data={"sum": 1, "vat": 2}).version == 1
    second = record(story, "quote", "draft", data={"sum": 3})
    assert (second.version, second.data) == (2, {"sum": 3})
    assert record(story, "sketch").version == 1
    assert record(story, "quote").version == 3
    assert record(story, "quote").version == 4
    assert {(r.name, r.version, r.state) for r in story.case.results} == {
        ("quote", 4, "final"), ("sketch", 1, "final"),
    }  # fmt: skip


def test_a_misspelt_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(Invalid, match="did you mean `order number`") as refused:
        record(begun(), "ordernumber")
    assert refused.value.problem == "unknown-result"
    assert refused.value.extra["results"] == ["quote", "order number", "sketch"]


def test_where_nothing_is_listed_any_name_will_do() -> None:
    assert record(begun("Something else"), "whatever").version == 1


def test_a_closed_case_takes_no_result() -> None:
    story = begun()
    story.tell(cmd.Close("jo"), NOON)
    with pytest.raises(Conflict) as refused:
        record(story, "quote")
    assert refused.value.problem == "case-closed"


def test_a_handoff_lacking_one_is_refused_by_name() -> None:
    story = begun()
    with pytest.raises(Invalid, match="delivery needs quote, order number") as refused:
        offer(story, "delivery")
    assert refused.value.problem == "results-missing"
    record(story, "quote", "draft")
    record(story, "order number")
    with pytest.raises(Invalid) as again:
        offer(story, "delivery")
    assert again.value.extra["missing"] == ["quote"], "a draft is not there yet"
    record(story, "quote")
    assert offer(story, "delivery").to_team == "delivery"


def test_a_new_draft_takes_a_final_one_back() -> None:
    story = begun()
    record(story, "quote")
    record(story, "quote", "draft")
    with pytest.raises(Invalid):
        offer(story, "billing")


def test_the_handoff_names_what_goes_along_with_versions() -> None:
    story = begun()
    for _ in range(2):
        record(story, "quote")
    record(story, "sketch", "draft")
    assert offer(story, "billing").results == ("quote v2", "sketch v1")
    assert offer(story, "billing", "sketch").results == ("quote v2", "sketch v1")
    assert offer(story, "shop", "sketch").results == ("sketch v1",)
    assert offer(story, "shop", "quote v2").results == ("quote v2",)


def test_naming_what_is_not_there_is_refused() -> None:
    story = begun()
    with pytest.raises(Invalid) as refused:
        offer(story, "sales", "sketch")
    assert refused.value.extra["missing"] == ["sketch"]
