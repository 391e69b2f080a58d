"""What no single field of a policy shows: rules without use, skills nobody has, hours that never
come. Each is told with its line, its field and what would be right."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest

from services.router.policy import Policy
from tests.policies import least_with, only_problem, problems, warnings

# --- targets, escalation, quiet hours, weights -----------------------------------------------

CLAIMS = "{desk: {}, claims: {skills: [glass, dutch], fallback: desk}}"


def routed(rule: str) -> str:
    """The least policy with this rule before its default, on line 5, and a team with skills."""
    return least_with(teams=CLAIMS, routing=f"[{rule}, {{name: all, team: desk}}]")


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("skills: [glas]", "routing[0].skills[0]: unknown skill `glas` of team `claims`: did you "
         "mean `glass`?"),
        ("skills: [glass, french]", "routing[0].skills[1]: unknown skill `french` of team "
         "`claims`: there is dutch, glass"),
        ("targets: [{for: 5m}, {skills: [duch]}]", "routing[0].targets[1].skills[0]: unknown "
         "skill `duch` of team `claims`: did you mean `dutch`?"),
        ("targets: [{}, {for: 5m}]", "routing[0].targets[0]: has no `for`, so the next is never"),
        ("targets: [{for: 5}, {}]", "routing[0].targets[0].for: `5` has no unit"),
        ("targets: [{for: 1bd}, {}]", "routing[0].targets[0].for: `1bd`: business days count in"),
        ("targets: [{tem: desk}]", "routing[0].targets[0].tem: unknown key `tem`: did you mean "
         "`team`?"),
        ("targets: [{team: dsk}]", "routing[0].targets[0].team: unknown team `dsk`: did you mean "
         "`desk`?"),
        ("targets: []", "routing[0].targets: is empty: there must be at least one"),
    ],
)  # fmt: skip
def test_wrong_targets(rest: str, expected: str) -> None:
    text = routed(f"{{name: x, when: 'kind == \"visit\"', team: claims, {rest}}}")
    line = next(n for n, row in enumerate(text.splitlines(), 1) if row.startswith("routing"))
    assert only_problem(text).startswith(f"{line} {expected}")


def test_skills_are_told_of_with_all_other_mistakes() -> None:
    text = routed("{name: x, when: 'kind = 1', team: claims, skills: [glas]}") + "nmae: y\n"
    assert [found.split()[1] for found in problems(text)] == [
        "routing[0].skills[0]:", "routing[0].when:", "nmae:",
    ]  # fmt: skip


def test_skills_of_a_team_that_lists_none_are_worth_a_warning() -> None:
    (found,) = warnings(
        least_with(routing="[{name: all, team: desk, skills: [x], targets: [{for: 1m}, {}]}]")
    )
    assert found == "5 routing[0].skills[0]: team `desk` lists no skills: list `x` in " \
        "teams.desk.skills"  # fmt: skip
    assert warnings(least_with(routing="[{name: all, team: desk, skills: []}]")) == []


def test_a_last_target_that_goes_nowhere_is_worth_a_warning() -> None:
    def found(targets: str, teams: str = "{desk: {skills: [x]}, b: {fallback: desk}}") -> list[str]:
        rule = f"[{{name: all, team: desk, targets: {targets}}}]"
        return warnings(least_with(teams=teams, routing=rule))

    (warning,) = found("[{for: 5m}, {for: 1h}]")
    assert "routing[0].targets[1].for: after it the case stays where it is" in warning
    assert found("[{for: 5m}, {}]") == []
    assert found("[{skills: [x], for: 5m}]") == []
    assert found("[{team: b, for: 5m}]") == []


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("{before: 10m}", "escalate[0]: does nothing: give notify: [team, supervisors]"),
        ("{notify: [team]}", "escalate[0]: give one of before and after"),
        ("{before: 1m, after: 1m, notify: [team]}", "escalate[0]: give one of before and after"),
        ("{before: 0m, notify: [team]}", "escalate[0].before: `0m` is no time at all"),
        ("{after: 1h, notify: [boss]}", "escalate[0].notify[0]: unknown word `boss`: there is"),
        ("{after: 1h, reassign: falback}", "escalate[0].reassign: unknown word `falback`: did"),
        ("{after: 1h, tell: [team]}", "escalate[0].tell: unknown key `tell`"),
    ],
)
def test_a_wrong_escalation(step: str, expected: str) -> None:
    levels = f"[{{name: all, calendar: office, first_response: 1h, escalate: [{step}]}}]"
    found = problems(least_with(service_levels=levels))
    assert any(problem.startswith(f"5 service_levels[0].{expected}") for problem in found), found


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("first_response: 1h, warn_before: [1h]", ["warn_before[0]: `1h` before due"]),
        ("first_response: 2h, warn_before: [90m, 121m]", ["warn_before[1]: `121m` before due"]),
        ("first_response: 1h, resolution: 8h, warn_before: [2h]", []),
        ("first_response: 1bd, warn_before: [9h]", []),  # who knows how long a day is
        ("first_response: 1bd, warn_before: [2bd]", ["warn_before[0]: `2bd` before due"]),
        (
            "first_response: 1h, escalate: [{before: 2h, notify: [team]}, {after: 2h, notify: "
            "[team]}]",
            ["escalate[0].before: `2h` before due"],
        ),
    ],
)
def test_steps_that_never_come_are_worth_a_warning(level: str, expected: list[str]) -> None:
    found = warnings(least_with(service_levels=f"[{{name: all, calendar: office, {level}}}]"))
    assert len(found) == len(expected)
    for warning, start in zip(found, expected, strict=True):
        assert warning.startswith(f"5 service_levels[0].{start}")


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        (
            {"quiet_hours": '{from: "20:00", to: "20:00"}'},
            "6 quiet_hours: from 20:00 to 20:00 is no time at all, or all day: give two times",
        ),
        (
            {"quiet_hours": '{from: "20:00", to: "07:00", timezone: Europe/Lisbn}'},
            "6 quiet_hours.timezone: unknown time zone `Europe/Lisbn`: did you mean",
        ),
        (
            {"teams": '{desk: {notify: [{email: a@b.c, quiet_hours: {from: "20:00", to: "7"}}]}}'},
            "5 teams.desk.notify[0].quiet_hours.to: `7` is no time of day",
        ),
        ({"weights": "{fone: 5}"}, "6 weights.fone: unknown word `fone`: did you mean `phone`?"),
        ({"weights": "{phone: -1}"}, "6 weights.phone: `-1` is too small: at least 0"),
        ({"weights": "{phone: heavy}"}, "6 weights.phone: `heavy` is no number"),
        ({"weights": "{phone: .inf}"}, "6 weights.phone: `inf` is no number"),
        ({"teams": "{desk: {give: yes}}"}, "5 teams.desk.give: `yes` is neither: write true or"),
        (
            {"teams": "{desk: {}, carrier: {give: true, external: true}}"},
            "5 teams.carrier: an external team has no agents here",
        ),
        (
            {"promises": "{calendar: offise}"},
            "6 promises.calendar: unknown calendar `offise`: did you mean `office`?",
        ),
    ],
)
def test_one_mistake_in_what_is_sent_or_given(sections: dict[str, str], expected: str) -> None:
    assert expected in only_problem(least_with(**sections))


def test_a_case_that_nobody_has_room_for_is_worth_a_warning() -> None:
    teams = "{desk: {capacity: 4}, calm: {capacity: 5}, free: {}}"
    (found,) = warnings(least_with(teams=teams, weights="{phone: 5, email: 2}"))
    assert "teams.desk.capacity: a case on phone counts 5 (`weights`)" in found


# --- targets that no calendar meets ----------------------------------------------------------


def test_exceptions_that_close_it_for_years() -> None:
    def closed(days: int) -> str:
        dates = (date(2026, 3, 2) + timedelta(number) for number in range(days))
        exceptions = ", ".join(f"{day}: []" for day in dates)
        hours = "hours: {mon-fri: ['09:00-17:00']}, holidays: NL"
        return least_with(calendars=f"{{office: {{{hours}, exceptions: {{{exceptions}}}}}}}")

    assert Policy.parse(closed(400)).warnings == ()
    assert only_problem(closed(1900)).startswith(
        "5 calendars.office.exceptions.2026-03-02: calendar `office` does not open within 5 years "
        "of 2026-03-02: no target can be met in it; give it hours again"
    )


def test_hours_on_single_dates_meet_no_target() -> None:
    past = "{office: {exceptions: {2020-01-01: ['10:00-18:00']}}}"
    assert "no weekly hours, so no target can be met" in only_problem(least_with(calendars=past))


@pytest.mark.parametrize(
    ("target", "accepted"),
    [
        ("20000h", True),  # 40 hours a week: 9.6 years
        ("21000h", False),
        ("2600bd", True),
        ("2601bd", False),
        ("11y", False),
        ("10y", True),
        ("876000h", False),
    ],
)
def test_a_target_that_takes_longer_than_anybody_waits(target: str, accepted: bool) -> None:
    text = least_with(
        service_levels="[{name: all, calendar: office, first_response: 1h, "
        f"resolution: {target}}}]"
    )
    if accepted:
        assert Policy.parse(text).warnings == ()
    else:
        expected = (
            f"5 service_levels[0].resolution: `{target}` takes more than 10 years in calendar"
        )
        assert only_problem(text).startswith(expected)


def test_an_escalation_that_takes_longer_than_anybody_waits() -> None:
    step = "{after: 99y, priority: raise}"
    levels = f"[{{name: all, calendar: office, first_response: 1h, escalate: [{step}]}}]"
    found = only_problem(least_with(service_levels=levels))
    assert found.startswith("5 service_levels[0].escalate[0].after: `99y` takes more than 10 years")


# --- rules and rows without use --------------------------------------------------------------

MAIL, CHAT = 'channel == "email"', 'channel == "webchat"'


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([MAIL, f"{MAIL} && customer.internal"], "[1]: is never reached: the rule on line 6 "
         "matches whenever this one does; put this one first"),
        ([MAIL, f"customer.internal && ({MAIL})"], "[1]: is never reached: the rule on line 6"),
        (['channel in ["email", "sms"]', MAIL], "[1]: is never reached: the rule on line 6 match"),
        ([MAIL, CHAT, 'channel in ["webchat", "email"]'], "[2]: is never reached: the rules on "
         "lines 6 and 7 match whenever this one does"),
        ([f"{MAIL} || customer.known", "customer.known && customer.internal"], "[1]: is never"),
        ([f"{MAIL} && open('office')", f"customer.known && open('office') && {MAIL}"], "[1]: is"),
        ([f"{MAIL} && {CHAT}"], "[0]: is never reached: its condition contradicts itself"),
        ([f"customer.known && !customer.known && {MAIL}"], "[0]: is never reached: its condition"),
        (["false"], "[0]: is never reached: its condition contradicts itself"),
        ([MAIL, f"({MAIL} && customer.known) || ({MAIL} && {CHAT})"], "[1]: is never reached: the"),
        ([MAIL, "channel  ==  'email'"], "[1]: is never reached: the rule on line 6"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("key", ["routing", "service_levels"])
def test_a_rule_that_earlier_ones_hide(key: str, conditions: list[str], expected: str) -> None:
    assert only_problem(listed(key, conditions)).partition(key)[2].startswith(expected)


@pytest.mark.parametrize(
    "conditions",
    [
        [f"{MAIL} && customer.internal", MAIL],
        [MAIL, f"{MAIL} || customer.internal"],
        [MAIL, 'channel != "email"'],
        [MAIL, f'customer.internal ? {MAIL} : {CHAT}'],
        [f"{MAIL} || {CHAT}", 'channel in ["email", "sms"]'],
        ['text.contains("a || b")', 'text.contains("a")'],
        [f"!({MAIL})", CHAT],
        ['"x" in tags', '"x" in tags || "y" in tags'],
        ['tags.exists(t, t == "a" && t == "b")', MAIL],
        ['attributes.a == "x"', 'attributes.b == "x"'],
        ['channel in ["email", product]', MAIL],
        ['subject == "it\'s"', 'subject == "it"'],
    ],
)  # fmt: skip
def test_rules_that_may_all_be_reached(conditions: list[str]) -> None:
    assert Policy.parse(listed("routing", conditions)).warnings == ()


def listed(key: str, conditions: list[str]) -> str:
    """The least policy with these conditions, each on a line of its own from 6 on."""
    rest = "team: desk" if key == "routing" else "calendar: office, first_response: 1h"
    rows = [*(f"when: {json.dumps(each)}, " for each in conditions), ""]
    rules = "".join(f"\n  - {{name: r{number}, {when}{rest}}}" for number, when in enumerate(rows))
    return least_with(**{key: rules})


def test_many_alternatives_do_not_take_for_ever() -> None:
    either = " && ".join(f'(text == "a{n}" || text == "b{n}")' for n in range(40))
    rules = [f"{either} && size(text) == {n}" for n in range(40)]
    assert Policy.parse(listed("routing", rules)).warnings == ()


def test_a_service_level_for_what_no_rule_leads_to_is_worth_a_warning() -> None:
    def found(when: str) -> list[str]:
        teams = "{desk: {fallback: second}, second: {fallback: third}, third: {}, other: {}, t: {}}"
        rule = (
            "{name: x, when: 'kind == \"visit\"', team: desk, product: known, targets: [{team: t}]}"
        )
        return warnings(
            least_with(
                teams=teams,
                products="{known: {}, unknown: {}}",
                routing=f"[{rule}, {{name: all, team: desk}}]",
                service_levels="[{name: a, calendar: office, first_response: 1h, "
                f"when: '{when}'}}, {{name: b, calendar: office, first_response: 1h}}]",
            )
        )

    (warning,) = found('team == "other"')
    assert "service_levels[0].when: no routing rule leads to team `other`" in warning
    assert warning.endswith("this counts only for what is handed over to it")
    (warning,) = found('customer.internal && product in ["known", "unknown"]')
    assert "no routing rule leads to product `unknown`" in warning
    assert found('team in ["desk", "second", "third", "t"]') == []
    assert found('team != "other"') == []


def test_a_switch_that_an_earlier_row_permits_is_worth_a_warning() -> None:
    def found(first: str, second: str) -> list[str]:
        rows = f"[{{from: email, to: phone, {first}}}, {{from: email, to: phone, {second}}}]"
        return warnings(least_with(switches=rows, products="{claims: {}}"))

    (warning,) = found("reasons: [agent, breach]", "reasons: [agent], product: claims")
    assert "switches[1]: is never used: the row on line 6 permits all that it would" in warning
    assert found("reasons: [agent], product: claims", "reasons: [agent]") == []
    assert found("reasons: [agent]", "reasons: [agent, breach]") == []
    assert found("reasons: [agent], hours: office", "reasons: [agent]") == []
    assert len(found("reasons: [agent]", "reasons: [agent], hours: office")) == 1
