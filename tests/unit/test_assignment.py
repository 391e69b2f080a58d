"""Who has a case, on the pure core: targets with time-outs, returns, breaches; and whom Regie gives
what waits (`share`)."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router import commands as cmd
from services.router.assignment import Agent, Waiting, fits, share
from services.router.firing import next_fire
from services.router.policy import Policy
from shared import events as ev
from shared.errors import Conflict
from tests.builders import NOON, Story, after, message, uuid

POLICY = Policy.parse("""
name: desk
timezone: UTC
calendars: {always: {hours: 24/7}}
teams:
  parcels: {calendar: always, fallback: frontdesk, skills: [customs, tracking], capacity: 20}
  claims: {calendar: always, skills: [customs]}
  frontdesk: {calendar: always}
routing:
  - name: customs
    when: 'text.contains("customs")'
    team: parcels
    skills: [customs]
    targets: [{for: 30m}, {skills: [tracking], for: 10m}]
  - {name: lonely, when: 'text.contains("lonely")', team: claims, skills: [customs],
     targets: [{for: 30m}]}
  - {name: patient, when: 'text.contains("patient")', team: claims, skills: [customs],
     targets: [{for: 5h}, {team: parcels, skills: [tracking]}]}
  - {name: strict, when: 'text.contains("strict")', team: parcels, skills: [customs]}
  - {name: rest, team: frontdesk}
service_levels:
  - {name: quick, when: 'team == "frontdesk"', calendar: always, first_response: 1h}
  - {name: any, calendar: always, first_response: 4h}
on_breach: {priority: raise, reassign: fallback}
claim_lease: 30m
return_unanswered_after: 2h
""").with_version(1)


def told(text: str) -> Story:
    story = Story(POLICY)
    story.hear(message(text))
    return story


def pass_time(story: Story, **later: float) -> list[ev.CaseEvent]:
    now = after(**later)
    return story.tell(cmd.PassTime(watermark=now), now)


def assigned(happened: list[ev.CaseEvent]) -> list[tuple[str, tuple[str, ...]]]:
    return [(e.team, e.skills) for e in happened if isinstance(e, ev.CaseAssigned)]


def released(happened: list[ev.CaseEvent]) -> list[str]:
    return [event.reason for event in happened if isinstance(event, ev.CaseReleased)]


def reasons(story: Story) -> list[str]:
    assert story.decided is not None
    return [d.words for d in story.decided.decisions if d.kind == "assignment"]


def fires(story: Story) -> timedelta | None:
    at = next_fire(story.case, POLICY, NOON)
    return None if at is None else at - NOON


# --- targets -------------------------------------------------------------------------------------


def test_a_case_goes_step_by_step_and_then_to_the_fallback_without_skills() -> None:
    story = told("stuck at customs")
    assert (story.case.team, story.case.skills) == ("parcels", ("customs",))
    assert fires(story) == timedelta(minutes=30)
    assert assigned(pass_time(story, minutes=29)) == []
    assert assigned(pass_time(story, minutes=30)) == [("parcels", ("tracking",))]
    assert "nobody with customs took it within 30m" in reasons(story)[0]
    assert assigned(pass_time(story, minutes=39)) == []
    assert assigned(pass_time(story, minutes=40)) == [("frontdesk", ())]
    assert story.case.relax_at is None
    assert assigned(pass_time(story, minutes=59)) == []


def test_a_move_is_automatic_and_keeps_the_earlier_promise_or_a_tighter_one() -> None:
    story = told("stuck at customs")
    pass_time(story, minutes=30)
    happened = pass_time(story, minutes=40)
    move = next(event for event in happened if isinstance(event, ev.CaseAssigned))
    assert move.automatic
    assert story.case.clock("first_response").due_at == after(hours=1)  # frontdesk promises more


def test_without_a_fallback_the_same_team_gets_it_without_skills() -> None:
    story = told("a lonely parcel")
    assert assigned(pass_time(story, minutes=30)) == [("claims", ())]


def test_the_time_an_agent_has_it_does_not_count() -> None:
    story = told("stuck at customs")
    story.tell(cmd.Claim("jo"), after(minutes=25))
    assert assigned(pass_time(story, minutes=31)) == []
    story.tell(cmd.Release("jo"), after(minutes=32))
    assert next_fire(story.case, POLICY, after(minutes=32)) == after(minutes=37)
    assert assigned(pass_time(story, minutes=36)) == []
    assert assigned(pass_time(story, minutes=37)) == [("parcels", ("tracking",))]


def test_a_given_case_that_comes_back_is_not_stuck_with_its_skills() -> None:
    story = told("stuck at customs")
    story.tell(cmd.Give("jo"), after(minutes=5))
    for minutes in (5, 6, 30, 45, 60):  # 25 more of the first target, and 15 of the second
        pass_time(story, hours=2, minutes=minutes)
    assert (story.case.team, story.case.skills, story.case.agent) == ("frontdesk", (), "")


def test_a_target_the_policy_no_longer_has_is_followed_by_the_fallback() -> None:
    story = told("stuck at customs")
    story.policy = Policy.parse(POLICY.text.replace("name: customs", "name: other"))
    assert assigned(pass_time(story, minutes=30)) == [("frontdesk", ())]
    assert "nobody with customs took it in time" in reasons(story)[0]


# --- breaches ------------------------------------------------------------------------------------


def test_a_breach_drops_the_skills_with_and_without_a_fallback() -> None:
    strict, lonely = told("strict, please"), told("a patient one")
    assert assigned(pass_time(strict, hours=5)) == [("frontdesk", ())]
    assert assigned(pass_time(lonely, hours=4)) == [("claims", ())]
    assert lonely.case.relax_at == after(hours=5)


def test_after_a_breach_no_later_target_asks_for_skills_again() -> None:
    story = told("a patient one")
    pass_time(story, hours=4)
    assert assigned(pass_time(story, hours=5)) == [("parcels", ())]


def test_a_breach_leaves_the_case_with_whoever_is_at_work_on_it() -> None:
    story = told("strict, please")
    story.tell(cmd.Claim("jo"), after(hours=3, minutes=55))
    until = story.case.claim_until
    assert assigned(pass_time(story, hours=4)) == [("parcels", ())]
    assert (story.case.agent, story.case.claim_until) == ("jo", until)
    assert story.case.priority == "high"


# --- given, claimed, returned --------------------------------------------------------------------


def test_giving_is_explained_and_lasts_until_it_should_be_answered() -> None:
    story = told("stuck at customs")
    happened = story.tell(cmd.Give("jo"), after(minutes=1))
    assert [type(event).__name__ for event in happened] == ["CaseAssigned"]
    assert story.case.agent == "jo"
    assert story.case.claim_until == after(minutes=1, hours=2)
    assert reasons(story) == [
        "given to the least loaded agent online with customs: jo, to be answered within 2h"
    ]


@pytest.mark.parametrize("command", [cmd.Claim("sam"), cmd.Close("sam")])
def test_nothing_is_given_where_somebody_was_quicker(command: cmd.Command) -> None:
    story = told("hello")
    story.tell(command, NOON)
    assert story.tell(cmd.Give("jo"), NOON) == []


def test_claiming_what_one_was_given_never_shortens_the_time_for_it() -> None:
    story = told("hello")
    story.tell(cmd.Give("jo"), NOON)
    story.tell(cmd.Claim("jo"), after(minutes=1))
    assert story.case.claim_until == after(hours=2)
    story.tell(cmd.Claim("jo"), after(minutes=100))
    assert story.case.claim_until == after(minutes=130)
    with pytest.raises(Conflict) as refused:
        story.tell(cmd.Claim("sam"), after(minutes=2))
    assert refused.value.extra == {"owner": "jo"}


def test_a_given_case_left_unanswered_returns() -> None:
    story = told("hello")
    story.tell(cmd.Give("jo"), after(minutes=10))
    assert fires(story) == timedelta(hours=1)  # its deadline comes first
    assert released(pass_time(story, hours=2, minutes=9)) == []
    assert released(pass_time(story, hours=2, minutes=10)) == ["unanswered for 2h"]
    assert "by jo" in reasons(story)[0]
    assert (story.case.agent, story.case.opened_at) == ("", NOON)


def test_a_claim_prolonged_again_and_again_returns_all_the_same() -> None:
    story = told("hello")
    for minutes in range(0, 120, 20):
        story.tell(cmd.Claim("jo"), after(minutes=minutes))
    assert released(pass_time(story, minutes=119)) == []
    assert released(pass_time(story, minutes=120)) == ["unanswered for 2h"]


def test_the_time_counts_from_the_oldest_message_that_waits() -> None:
    story = told("hello")
    story.tell(cmd.Give("jo"), NOON)
    answer = cmd.Reply(message_id=uuid4(), agent="jo", text="Yes.", answers=story.case.version)
    story.tell(answer, after(minutes=5))
    assert next_fire(story.case, POLICY, NOON) == after(hours=1)
    story.tell(cmd.ReportDelivery(answer.message_id, "sent", after(minutes=6)), after(minutes=6))
    story.hear(message("and another thing", at=after(minutes=90)))
    story.tell(cmd.Claim("jo"), after(minutes=190))
    assert released(pass_time(story, minutes=209)) == []
    assert released(pass_time(story, minutes=210)) == ["unanswered for 2h"]


def test_a_reply_on_its_way_keeps_the_case_with_its_agent_a_doubtful_one_does_not() -> None:
    story = told("hello")
    story.tell(cmd.Give("jo"), NOON)
    answer = cmd.Reply(message_id=uuid4(), agent="jo", text="Yes.", answers=story.case.version)
    story.tell(answer, after(minutes=100))
    story.tell(cmd.Claim("jo"), after(minutes=119))
    assert released(pass_time(story, minutes=121)) == []
    story.tell(cmd.ReportDelivery(answer.message_id, "unknown", NOON), after(minutes=122))
    assert released(pass_time(story, minutes=123)) == ["unanswered for 2h"]


def test_a_declined_or_transferred_case_keeps_its_place() -> None:
    story = told("strict, please")
    place = (*story.case.effective_due(), story.case.opened_at)
    declined, accepted = uuid4(), uuid4()
    for handoff in (declined, accepted):
        offer = cmd.OfferHandoff(handoff, "jo", "agent", to_team="claims")
        story.tell(offer, after(minutes=30))
    story.tell(cmd.DeclineHandoff(declined, "sam"), after(minutes=40))
    assert (*story.case.effective_due(), story.case.opened_at) == place
    story.tell(cmd.AcceptHandoff(accepted, "sam"), after(minutes=50))
    assert (story.case.team, story.case.skills) == ("claims", ())
    assert (*story.case.effective_due(), story.case.opened_at) == place


# --- sharing out ---------------------------------------------------------------------------------


def waiting(
    number: int, *skills: str, team: str = "parcels", weight: float = 1, most: int | None = 20
) -> Waiting:
    """The numbers are the order of the queue."""
    return Waiting(after(minutes=number), 2, NOON, uuid(number), team, skills, weight, most)


def agent(name: str, *skills: str, **more: object) -> Agent:
    values: dict[str, object] = {"online": True, "teams": frozenset({"parcels"})} | more
    return Agent(name=name, skills=frozenset(skills), **values)  # type: ignore[arg-type]


def names(cases: list[Waiting], agents: list[Agent]) -> dict[int, str]:
    return {case_id.int: name for case_id, name in share(cases, agents)}


@pytest.mark.parametrize(
    ("why", "agents", "chosen"),
    [
        ("the least load", [agent("jo", load=2), agent("sam", load=1)], "sam"),
        (
            "the least load for their capacity",
            [agent("jo", load=2, capacity=4), agent("sam", load=4, capacity=16)],
            "sam",
        ),
        (
            "who was given nothing for longest",
            [agent("jo", given_at=after(minutes=2)), agent("sam", given_at=after(minutes=1))],
            "sam",
        ),
        ("who was never given any", [agent("jo", given_at=NOON), agent("sam")], "sam"),
        ("by name", [agent("sam"), agent("jo")], "jo"),
        ("online", [agent("jo", online=False), agent("sam", load=9)], "sam"),
        ("of the team", [agent("jo", teams=frozenset({"claims"})), agent("sam", load=9)], "sam"),
        ("with room", [agent("jo", load=1, capacity=1), agent("sam", load=9)], "sam"),
        ("room by the team's capacity", [agent("jo", load=20), agent("sam", capacity=30)], "sam"),
    ],
)
def test_the_next_case_goes_to(why: str, agents: list[Agent], chosen: str) -> None:
    assert names([waiting(1)], agents) == {1: chosen}


def test_an_agent_has_all_the_skills_of_a_case() -> None:
    people = [agent("jo", "customs"), agent("sam", "customs", "french", load=5)]
    assert names([waiting(1, "customs", "french")], people) == {1: "sam"}


def test_who_let_a_case_go_gets_it_again_only_if_nobody_else_may_take_it() -> None:
    returned = waiting(1)._replace(returned_by="jo")
    jo, sam = agent("jo"), agent("sam", load=9)
    assert names([returned, waiting(2)], [jo, sam]) == {1: "sam", 2: "jo"}
    assert names([returned], [jo, agent("sam", capacity=0)]) == {1: "jo"}


@pytest.mark.parametrize(
    ("then", "who"),
    [
        ([], "jo"),
        ([cmd.Give("jo"), cmd.Release("jo")], "jo"),
        ([cmd.Claim("sam")], ""),
        ([cmd.Give("sam")], ""),
        ([cmd.Give("sam"), cmd.Release("sam")], "sam"),
        ([message("Are you there?")], ""),
    ],
)
def test_it_is_known_who_let_a_case_go(then: list[Any], who: str) -> None:
    story = told("stuck at customs")
    story.tell(cmd.Give("jo"), after(minutes=1))
    assert story.case.returned_by == ""
    story.tell(cmd.Release("jo"), after(minutes=2))
    for minute, step in enumerate(then, 3):
        if isinstance(step, cmd.Claim | cmd.Give | cmd.Release):
            story.tell(step, after(minutes=minute))
        else:
            story.hear(step, after(minutes=minute))
    assert story.case.returned_by == who


def test_who_let_the_customer_wait_has_returned_it() -> None:
    story = told("stuck at customs")
    story.tell(cmd.Give("jo"), after(minutes=5))
    pass_time(story, hours=2, minutes=5)
    assert (story.case.agent, story.case.returned_by) == ("", "jo")


def test_equals_take_turns() -> None:
    people = [agent("jo"), agent("kim"), agent("sam")]
    cases = [waiting(number) for number in range(6)]
    assert list(names(cases, people).values()) == ["jo", "kim", "sam"] * 2


def test_weights_fill_a_desk() -> None:
    cases = [waiting(1, weight=5), waiting(2, weight=5), waiting(3, weight=0.5)]
    assert names(cases, [agent("jo", capacity=6)]) == {1: "jo", 3: "jo"}


def test_tenths_make_a_whole() -> None:
    cases = [waiting(number, weight=weight) for number, weight in enumerate((0.2, 0.4, 0.3, 0.1))]
    assert len(share(cases, [agent("jo", capacity=1)])) == 4


def test_equals_take_turns_where_a_channel_weighs_nothing() -> None:
    people = [agent("jo"), agent("sam", given_at=NOON)]
    cases = [waiting(number, weight=0) for number in range(4)]
    assert list(names(cases, people).values()) == ["jo", "sam"] * 2


def test_a_case_nobody_can_take_holds_no_other_up() -> None:
    cases = [waiting(1, "customs"), waiting(2, team="claims"), waiting(3)]
    assert names(cases, [agent("jo")]) == {3: "jo"}


def test_what_is_due_first_is_given_first() -> None:
    cases = [waiting(number) for number in (3, 1, 2)]
    assert names(cases, [agent("jo", capacity=2)]) == {1: "jo", 2: "jo"}


# --- sharing out, whatever there is --------------------------------------------------------------

SKILLS = st.frozensets(st.sampled_from(["customs", "french", "chat"]), max_size=2)
TEAMS = ("parcels", "claims")
CAPACITIES = {"parcels": 4, "claims": None}
WEIGHTS = st.sampled_from([0.0, 0.5, 1.0, 3.0])


@st.composite
def desks(draw: st.DrawFn) -> tuple[list[Waiting], list[Agent]]:
    cases = [
        waiting(
            number, *sorted(draw(SKILLS)), team=team, weight=draw(WEIGHTS), most=CAPACITIES[team]
        )
        for number in range(draw(st.integers(0, 12)))
        for team in [draw(st.sampled_from(TEAMS))]
    ]
    people = [
        agent(
            name,
            *draw(SKILLS),
            online=draw(st.booleans()),
            teams=draw(st.frozensets(st.sampled_from(TEAMS))),
            capacity=draw(st.sampled_from([None, 0, 1, 3])),
            load=draw(st.sampled_from([0.0, 1.0, 2.5, 7.0])),
            given_at=draw(st.sampled_from([None, NOON, after(minutes=1)])),
        )
        for name in draw(st.lists(st.sampled_from("abcdef"), unique=True))
    ]
    return cases, people


def bound(person: Agent, case: Waiting) -> int | None:
    return case.capacity if person.capacity is None else person.capacity


@given(desks())
def test_nobody_gets_what_they_may_not_take(desk: tuple[list[Waiting], list[Agent]]) -> None:
    cases, people = desk
    by_name, by_id = {p.name: p for p in people}, {case.id: case for case in cases}
    loads = {person.name: person.load for person in people}
    for case_id, name in share(cases, people):
        person, case = by_name[name], by_id[case_id]
        assert person.online
        assert case.team in person.teams
        assert set(case.skills) <= person.skills
        assert fits(loads[name], case.weight, bound(person, case))
        loads[name] += case.weight


@given(desks())
def test_nothing_is_left_that_somebody_has_room_for(
    desk: tuple[list[Waiting], list[Agent]],
) -> None:
    cases, people = desk
    given_to = dict(share(cases, people))
    assert len(given_to) == len(share(cases, people))
    loads: defaultdict[str, float] = defaultdict(float, {p.name: p.load for p in people})
    weights: dict[UUID, float] = {case.id: case.weight for case in cases}
    for case_id, name in given_to.items():
        loads[name] += weights[case_id]
    for case in cases:
        if case.id not in given_to:
            assert not any(
                p.online
                and case.team in p.teams
                and set(case.skills) <= p.skills
                and fits(loads[p.name], case.weight, bound(p, case))
                for p in people
            )


@given(desks(), st.randoms(use_true_random=False))
def test_the_order_of_the_arguments_changes_nothing(
    desk: tuple[list[Waiting], list[Agent]], chance: object
) -> None:
    cases, people = desk
    before = share(cases, people)
    chance.shuffle(cases)  # type: ignore[attr-defined]
    chance.shuffle(people)  # type: ignore[attr-defined]
    assert share(cases, people) == before
