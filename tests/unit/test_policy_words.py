"""Names and words that a policy can never mean: teams without agents, calendars that never open,
words that no message has, rules that nothing reaches."""

from __future__ import annotations

import json
import re
from time import process_time

import pytest

from services.router.policy import Policy
from services.router.rules.condition_check import compile_condition
from services.router.rules.condition_words import Words
from services.router.rules.reach import alternatives, unreached
from tests.policies import least_with, only_problem

# --- teams and calendars ---------------------------------------------------------------------

PARTNER = "{desk: {}, carrier: {external: true}}"


@pytest.mark.parametrize(
    ("sections", "field"),
    [
        ({"routing": "[{name: all, team: carrier}]"}, "routing[0].team"),
        (
            {"routing": "[{name: all, team: desk, targets: [{for: 5m}, {team: carrier}]}]"},
            "routing[0].targets[1].team",
        ),
        (
            {"teams": "{desk: {fallback: carrier}, carrier: {external: true}}"},
            "teams.desk.fallback",
        ),
        ({"ping_pong": "{owner: carrier}"}, "ping_pong.owner"),
    ],
)
def test_no_case_goes_to_a_team_without_agents(sections: dict[str, str], field: str) -> None:
    found = only_problem(least_with(**{"teams": PARTNER, **sections}))
    assert f"{field}: team `carrier` is external: it has no agents here" in found
    assert "hands it off to `carrier`" in found


def test_an_external_team_may_be_there() -> None:
    text = least_with(
        teams=PARTNER, products="{parcels: {results: {order: {required_for: [carrier]}}}}"
    )
    assert Policy.parse(text).warnings == ()


def test_a_switch_needs_a_calendar_that_opens() -> None:
    hours = 'hours: {mon-fri: ["09:00-17:00"]}'
    calendars = f"{{office: {{{hours}}}, gone: {{exceptions: {{2020-01-01: ['10:00-18:00']}}}}}}"
    rows = "[{from: email, to: phone, reasons: [agent], hours: gone}]"
    found = only_problem(least_with(calendars=calendars, switches=rows))
    assert "switches[0].hours: calendar `gone` has no weekly hours" in found
    assert found.endswith("give it hours, or name another (office)")
    Policy.parse(least_with(calendars=calendars, switches=rows.replace("gone", "office")))


# --- words -----------------------------------------------------------------------------------

WORDS = Words.of(
    calendars=frozenset(),
    teams=frozenset(["claims"]),
    products=frozenset(["parcels"]),
    groups=frozenset(["gold"]),
    with_team=True,
)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("channel == 5", '`channel` is text, never 5: write channel == "5"'),
        ("10 != account", '`account` is text, never 10: write account != "10"'),
        ("team == true", "`team` is text, never true"),
        ("customer.group == null", "`customer.group` is text, never null"),
        ("channel in ['email', 5]", '`channel` is text, never 5: write channel == "5"'),
        ('customer.internal == "yes"', 'is true or false, never "yes": write customer.internal'),
        ('customer["known"] == 1', "`customer.known` is true or false, never 1"),
        ('tags == "a"', '`tags` is a list, never "a": write "a" in tags'),
        ("5 in tags", 'tags are text: write "5" in tags'),
        ('customer == "gold"', "name one, such as customer.group"),
        ('customer.group == "golden"', "unknown group `golden`: did you mean `gold`?"),
        ('"golden" == customer.group', "unknown group `golden`: did you mean `gold`?"),
        ('customer.group in ["gold", "sliver"]', "unknown group `sliver`"),
        ('customer["group"] == "golden"', "unknown group `golden`"),
        ('"whatsap" == channel', "unknown channel `whatsap`"),
        ('text.contains("Damaged")', "never has `Damaged` in it: write `damaged`"),
        ('subject.startsWith("RE:")', "`subject` is in lower case and never has `RE:` in it"),
        ('text.endsWith("Jo") || customer.known', "never has `Jo` in it"),
        ('subject == "Hello"', "never has `Hello` in it"),
        ('text in ["yes", "Yes"]', "never has `Yes` in it"),
        ('text.matches("^Re: ")', "never has `^Re: ` in it: write `^re: `"),
        (r'text.matches("\\SRe\\D")', r"write `\\Sre\\D`"),
    ],
)
def test_what_a_name_can_never_be(source: str, expected: str) -> None:
    with pytest.raises(ValueError, match=re.escape(expected)):
        compile_condition(source, WORDS)


@pytest.mark.parametrize(
    "source",
    [
        "customer.internal == true && customer.known != false",
        'tags == ["a"] || "b" in tags',
        "size(tags) == 2 || size(channel) == 5 || 5 == channel.size()",
        'attributes.channel == 5 && attributes.group == "golden"',
        'customer.group == "" || customer.group == "gold"',
        '"pre-" + channel == "pre-email"',
        'text.matches("(?i)Damaged") || text.matches(r"\\S+ \\D") || text.matches("[A-Za-z]")',
        'text.contains("\\U0001F44D")',
        'account == "Support" && "VIP" in tags && attributes.text == "Yes"',
        'attributes.text.contains("Damaged")',
    ],
)
def test_what_a_name_may_be(source: str) -> None:
    assert compile_condition(source, WORDS).shown == source


# --- rules that nothing reaches --------------------------------------------------------------


def hidden(*conditions: str) -> list[tuple[int, tuple[int, ...]]]:
    return [(found.index, found.hidden_by) for found in unreached(conditions)]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ('text.contains("dam")', 'text.contains("damaged")'),
        ('text.contains("dam")', 'text.startsWith("damaged") && customer.known'),
        ('text.contains("aged")', "text.endsWith('damaged')"),
        ('text.startsWith("dam")', 'text.startsWith("damaged")'),
        ('text.contains("dam")', 'text == "damaged" || text == "madam"'),
        ('!text.contains("damaged")', '!text.contains("dam")'),
        ('!text.contains("damaged")', 'text == "hello"'),
        ('text != "no"', 'text.contains("yes")'),
        ('channel != "email"', 'channel == "phone"'),
        ('channel != "email"', 'channel in ["phone", "sms"] && customer.known'),
        ('channel != "email"', 'channel != "email" && channel != "sms"'),
        ('kind != "visit" || customer.known', 'kind == "message"'),
        ('account != "a"', 'account != "a" && account != "b"'),
        ('account != "a"', 'account == "b"'),
    ],
)
def test_a_rule_that_an_earlier_one_implies(earlier: str, later: str) -> None:
    assert hidden(earlier, later) == [(1, (0,))]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ('text.contains("damaged")', 'text.contains("dam")'),
        ('text.startsWith("dam")', 'text.contains("damaged")'),
        ('subject.contains("dam")', 'text.contains("damaged")'),
        ('!text.contains("dam")', '!text.contains("damaged")'),
        ('text.contains("dam")', '!text.contains("damaged")'),
        ('text == "damaged"', 'text.contains("damaged")'),
        ('channel == "phone"', 'channel != "email"'),
        ('channel != "email"', 'channel in ["email", "sms"]'),
        ('account == "b"', 'account != "a"'),
        ('account != "a"', 'account != "b"'),
        ('text != "yes please"', 'text.contains("yes")'),
        ("text.contains(product)", 'text.contains("damaged")'),
    ],
)
def test_a_rule_that_an_earlier_one_leaves_something(earlier: str, later: str) -> None:
    assert hidden(earlier, later) == []


@pytest.mark.parametrize(
    "condition",
    [
        'channel == "email" && channel != "email"',
        'account != "a" && account == "a"',
        'channel in ["email", "sms"] && channel == "phone"',
        'text.contains("damaged") && !text.contains("dam")',
        'text == "hello" && text.contains("dam")',
        'text == "damaged" && !(text.contains("dam"))',
    ],
)
def test_a_condition_that_contradicts_itself(condition: str) -> None:
    assert alternatives(condition) == []
    rules = f"[{{name: x, when: {json.dumps(condition)}, team: desk}}, {{name: all, team: desk}}]"
    found = only_problem(least_with(routing=rules))
    assert "is never reached: its condition contradicts itself" in found


@pytest.mark.parametrize(
    "condition",
    [
        'channel != "email" && channel != "sms" && channel != "phone"',
        'text.contains("a") && !text.contains("ab")',
        'text.startsWith("a") && text.contains("b") && text != "b"',
        'attributes.a == "x" && attributes.b != "x"',
    ],
)
def test_a_condition_that_may_be_true(condition: str) -> None:
    assert alternatives(condition)


def test_many_words_do_not_take_for_ever() -> None:
    words = ", ".join(f'"w{n}"' for n in range(100))
    both = f"text in [{words}] && subject in [{words}]"
    assert len(alternatives(both)) == 1
    assert hidden(both, f"{both} && customer.known", 'text == "w1"') == [(1, (0,))]


def test_many_rules_do_not_take_for_ever() -> None:
    """Each is looked up by its rarest part: told pairwise, 500 rules would take ten seconds."""
    rules = [f'text.contains("word {n} a") && channel != "email"' for n in range(500)]
    begun = process_time()
    assert hidden(*rules, 'text == "it has word 7 a in it" && channel == "sms"') == [(500, (7,))]
    assert process_time() - begun < 4
