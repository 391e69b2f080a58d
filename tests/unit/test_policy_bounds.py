"""What a policy may not ask for: numbers without end, dates at the ends of the calendar, conditions
that stop the process, and examples that look like checks and are none."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from services.router.policy import Facts, Policy
from services.router.trial.examples import run_tests
from tests.policies import least_with, only_problem

NOW = datetime(2026, 11, 17, 9, tzinfo=UTC)
HUGE = "1" + "0" * 400
SURVEY = "after: 1h, channels: [email], question: q"


def judged(*conditions: str) -> str:
    """The least policy with a rule for each of these conditions, on line 5, and its default."""
    rules = "".join(
        f"{{name: r{n}, when: {_quoted(source)}, team: desk}}, "
        for n, source in enumerate(conditions)
    )
    return least_with(routing=f"[{rules}{{name: all, team: desk}}]")


def _quoted(source: str) -> str:
    escaped = source.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


# --- numbers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "value", "words"),
    [
        ("teams", "{desk: {capacity: %s}}", "too much: at most 10,000"),
        ("digest", "{over: %s, every: 1h}", "too much: at most 10,000"),
        ("promises", "{attempts: %s}", "too much: at most 10,000"),
        ("ping_pong", "{max_hops: %s}", "too much: at most 10,000"),
        ("survey", f"{{{SURVEY}, follow_up_below: %s}}", "too much: at most 10,000"),
        ("weights", "{phone: %s}", "too much: write fewer digits"),
        (
            "switches",
            "[{from: email, to: portal, reasons: [agent], cost: {email: %s}}]",
            "too much: write fewer digits",
        ),
    ],
)
def test_a_number_has_a_greatest(section: str, value: str, words: str) -> None:
    found = only_problem(least_with(**{section: value.replace("%s", HUGE)}))
    assert found.endswith(words)
    assert len(found) < 200, "not all of its digits"


@pytest.mark.parametrize(
    ("value", "words"),
    [("1e308", "at most 1,000"), (".inf", "is no number"), ("1000.5", "at most 1,000")],
)
def test_a_weight_has_a_greatest(value: str, words: str) -> None:
    assert only_problem(least_with(weights=f"{{phone: {value}}}")).endswith(words)
    Policy.parse(least_with(weights="{phone: 1000}", teams="{desk: {capacity: 10000}}"))


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("claim_lease", "11y"),
        ("return_unanswered_after", "3654d"),
        ("joining", "{window: 100y}"),
        ("handoff", "{offer_ttl: 100y}"),
        ("routing", "[{name: all, team: desk, targets: [{for: 11y}, {}]}]"),
        ("survey", f"{{{SURVEY}, rest: 11y}}"),
    ],
)
def test_a_wall_clock_duration_has_a_greatest(section: str, value: str) -> None:
    assert only_problem(least_with(**{section: value})).endswith("is too long: at most 10y")


def test_ten_years_are_given_and_things_are_kept_for_longer() -> None:
    Policy.parse(least_with(claim_lease="10y", retention="{messages: 30y, log: 1d}"))


def test_a_number_beyond_what_conditions_count_with_is_a_large_one() -> None:
    policy = Policy.parse(judged("attributes.total > 100"))
    for number in (2**63, -(2**70), int(HUGE), -int(HUGE)):
        routing = policy.route(Facts(attributes={"total": number, "all": [number]}), NOW)
        assert routing.rule == ("r0" if number > 0 else "all")


# --- dates -----------------------------------------------------------------------------------


def exceptions(days: str) -> str:
    return least_with(calendars=f"{{office: {{hours: 24/7, exceptions: {{{days}}}}}}}")


@pytest.mark.parametrize(
    ("day", "words"),
    [
        ("9999-12-31", "is out of range: years go from 2000 to 2200"),
        ("0001-01-01", "is out of range: years go from 2000 to 2200"),
        ("2201-01-01", "is out of range: years go from 2000 to 2200"),
        ("20261117", "is no date: write 2026-12-24"),
        ("2026-W47-2", "is no date: write 2026-12-24"),
        ("2026-02-30", "is no date: write 2026-12-24"),
    ],
)
def test_a_date_is_written_in_one_way_and_near_enough(day: str, words: str) -> None:
    text = exceptions(f"{day}: []")
    line = text.splitlines().index(next(row for row in text.splitlines() if day in row)) + 1
    found = only_problem(text)
    assert found == f"{line} calendars.office.exceptions.{day}: `{day}` {words}"


def test_a_date_given_twice_is_an_error() -> None:
    assert "given twice" in only_problem(exceptions('2026-11-17: [], "2026-11-17": []'))


@pytest.mark.parametrize("moment", ["9999-12-31T23:00", "0001-01-01T00:00+14:00", "1999-12-31"])
def test_a_moment_is_near_enough(moment: str) -> None:
    test = f"[{{name: t, at: {moment}, given: {{}}, expect: {{team: desk}}}}]"
    assert only_problem(least_with(tests=test)).endswith("years go from 2000 to 2200")
    journey = f"[{{name: t, journey: [{{at: {moment}, given: {{}}}}]}}]"
    assert "tests[0].journey[0].at" in only_problem(least_with(tests=journey))


def test_the_last_year_is_counted_like_any_other() -> None:
    test = (
        "[{name: t, at: 2200-12-31T16:30, given: {}, expect: {team: desk, first_response: "
        "2200-12-31T23:00}}]"
    )
    (result,) = run_tests(Policy.parse(least_with(tests=test)))
    assert "first_response: expected 2200-12-31 23:00, came" in result.differences[0]


# --- conditions that cost --------------------------------------------------------------------

ITEMS = f"[{', '.join(map(str, range(50)))}]"
FIVE_DEEP = f"{ITEMS}.all(a, [1].all(b, [1].all(c, [1].all(d, [1].all(e, a < b)))))"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (FIVE_DEEP, "`all` within `all` multiplies: list the words instead"),
        ("tags.exists(t, tags.filter(u, u == t) == [])", "`filter` within `exists` multiplies"),
        ("[text].map(x, x + x).exists(x, x == text)", "`exists` of what another gives multiplies"),
        ("([text].map(x, x + x)).exists(x, x == text)", "`exists` of what another gives"),
        ("[[text].map(x, x + x)][0].exists(x, x == text)", "`exists` of what another gives"),
        ("[text].map(x, x + x)[0].map(x, x) == []", "`map` of what another gives multiplies"),
        (ITEMS.replace("[", "[1, ") + ".all(a, a < 99)", "goes over a list of 51: at most 50"),
        (" && ".join(['tags.all(t, t == "a")'] * 6), "has 6 of all, exists"),
        ('tags.all(t, text.matches("a"))', "`matches` within `all` is slow: write contains()"),
        (" || ".join(['text.matches("a")'] * 11), "has 11 patterns: at most 10"),
        (f"size({' + '.join(['text'] * 22)}) > 1", "adds up 22 things: at most 21"),
    ],
)
def test_a_condition_that_multiplies_is_refused_before_it_is_tried(source: str, words: str) -> None:
    began = time.thread_time()
    found = only_problem(judged(source))
    assert time.thread_time() - began < 2
    assert words in found


@pytest.mark.parametrize("guard", ["", 'channel == "phone" && product != "" && '])
def test_a_slow_pattern_is_refused_wherever_it_stands(guard: str) -> None:
    found = only_problem(judged(guard + r'text.matches("\\w{150}")'))
    assert r'the pattern "\\w{150}" is slow' in found


@pytest.mark.parametrize(
    "source",
    [
        'tags.exists(t, t == "vip") || attributes.tags.exists(t, t in ["a", "b"])',
        f"{ITEMS}.exists(n, n == size(tags))",
        'tags.filter(t, t.startsWith("x")) != [] && tags.all(t, t != "all")',
        'text.matches("(order|parcel) ?[0-9]{4,8}")',
        'text.contains("all(all(")',
    ],
)
def test_what_costs_little_is_not_refused(source: str) -> None:
    policy = Policy.parse(judged(source))
    facts = Facts(tags=("vip",), attributes={"tags": ["a"]}, text="order 12345 all(all(")
    assert policy.route(facts, NOW).trail[0].why.endswith(("is true", "is false"))


# --- good conditions -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "conditions",
    [
        ('channel == "email" // mails\n && text.contains("x")', 'channel == "email"'),
        ('text.contains("a  b")', 'text.contains("a b")'),
        ('channel in attributes.chans && text.contains("hello")',),
    ],
)
def test_good_conditions_are_not_refused(conditions: tuple[str, ...]) -> None:
    policy = Policy.parse(judged(*conditions))
    assert policy.warnings == ()
    assert len(policy.routing) == len(conditions) + 1


def test_two_conditions_that_differ_in_comments_and_spaces_are_the_same() -> None:
    found = only_problem(judged('kind=="visit" // one', 'kind   ==\n"visit"'))
    assert "routing[1]: is never reached: the rule on line 5 has the same condition" in found


# --- messages --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ('channel = "email"', "write `==`, not `=`"),
        ('channel == "email" or kind == "visit"', "write `||`, not `or`"),
        ('channel == "email" AND kind == "visit"', "write `&&`, not `AND`"),
        ('not open("office")', "write `!`, not `not`"),
    ],
)
def test_what_other_languages_write_is_named(source: str, words: str) -> None:
    assert only_problem(judged(source)).endswith(words)


def test_a_condition_that_is_always_true_is_left_out() -> None:
    text = least_with(routing="[{name: all, when: true, team: desk}]")
    assert "leave `when` out: a rule without it is for everything" in only_problem(text)


@pytest.mark.parametrize(
    ("region", "right"),
    [("de", "DE"), ("Netherlands", "NL"), ("netherland", "NL"), ("nl", "NL")],
)
def test_a_country_is_found_by_its_name(region: str, right: str) -> None:
    text = least_with(calendars=f"{{office: {{hours: 24/7, holidays: {region}}}}}")
    assert only_problem(text).endswith(f"country `{region}`: did you mean `{right}`?")


@pytest.mark.parametrize(
    ("given", "right"),
    [("https://x.example/a", "{webhook: https://x.example/a}"), ("a@b.nl", "{email: a@b.nl}")],
)
def test_whom_to_notify_says_how(given: str, right: str) -> None:
    text = least_with(teams=f'{{desk: {{notify: ["{given}"]}}}}')
    assert only_problem(text).endswith(f"teams.desk.notify[0]: say what it is: write {right}")


def test_a_mistake_has_the_line_of_its_step_or_target() -> None:
    rule = "\n  - name: all\n    team: desk\n    targets:\n    - {for: 5m}\n    - {}\n    - {}"
    assert only_problem(least_with(routing=rule)).startswith("10 routing[0].targets[1]: has no")
    steps = "\n    - {at: 2026-11-17T10:00, given: {}}\n    - {at: 2026-11-17T09:00, given: {}}"
    found = only_problem(least_with(tests=f"\n  - name: t\n    journey:{steps}"))
    assert found.startswith("10 tests[0].journey[1].at: comes before the step before it")


# --- examples --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("test", "field"),
    [
        ("given: {}, expect: {team: }", "expect.team"),
        ("given: {}, expect: {team: desk, rule: }", "expect.rule"),
        ("given: {}, expect: {team: desk, first_response: }", "expect.first_response"),
        ("given: {product: }, expect: {team: desk}", "given.product"),
        ("journey: [{at: 2026-11-17T10:00, given: {}, expect: }]", "journey[0].expect"),
        (
            "journey: [{at: 2026-11-17T10:00, given: {}, expect: {agent: }}]",
            "journey[0].expect.agent",
        ),
    ],
)
def test_an_empty_field_would_pass_whatever_comes(test: str, field: str) -> None:
    found = only_problem(least_with(tests=f"[{{name: t, {test}}}]"))
    assert f"tests[0].{field}: " in found
    assert "is empty" in found or "is no moment" in found


def test_steps_in_several_zones_are_put_in_order_by_their_instants() -> None:
    def journey(second: str) -> str:
        steps = f"{{at: 2026-11-17T10:00, given: {{}}}}, {{at: {second}, given: {{}}}}"
        return least_with(timezone="Europe/Amsterdam", tests=f"[{{name: t, journey: [{steps}]}}]")

    found = only_problem(journey("2026-11-17T08:00Z"))
    assert "journey[1].at: comes before the step before it (08:00 after 09:00, in UTC)" in found
    Policy.parse(journey("2026-11-17T09:30Z"))
