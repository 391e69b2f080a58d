"""Reading a policy: the shipped file loads whole, and a wrong one is told all that is wrong."""

from __future__ import annotations

import json
import re
from datetime import date, time
from pathlib import Path

import pytest

from services.router.policy import Policy
from services.router.rules.accounts import check_accounts
from services.router.rules.condition_check import compile_condition
from services.router.rules.condition_words import Words
from shared.durations import Duration
from shared.yamlfile import FileError, field_name, nearest, read, text_of
from tests.policies import LEAST, least_with, only_problem, problems

SHIPPED = Path(__file__).parents[2] / "deploy" / "policy.yaml"


def shipped() -> Policy:
    return Policy.parse(SHIPPED.read_text(encoding="utf-8"), "deploy/policy.yaml")


# --- the shipped file ------------------------------------------------------------------------


def test_every_section_of_the_shipped_file_is_read() -> None:
    policy = shipped()
    assert (policy.name, str(policy.timezone)) == ("parcels", "Europe/Amsterdam")
    assert policy.calendars["office"].exceptions[date(2026, 12, 31)] == ()
    assert policy.customers.internal_domains == ("staff.example.org",)
    assert policy.shared_identities == ("e164:+31880000001",)
    assert policy.supervisors.notify[0].address == "http://127.0.0.1:9901/supervisors"
    assert policy.teams["parcels"].skills == ("tracking", "customs")
    assert policy.teams["parcels"].capacity == 20
    assert policy.teams["privacy"].confidential
    assert policy.teams["carrier"].external
    assert policy.teams["carrier"].notify[0].kind == "email"
    assert policy.products["parcels"].results["tracking_number"].required_for == ("claims",)
    assert policy.joining.window == Duration(3, "d")
    assert [rule.name for rule in policy.routing][-1] == "everything else"
    assert policy.service_levels[5].warn_before == (Duration(30, "m"), Duration(10, "m"))
    assert policy.on_breach.raises_priority
    assert policy.on_breach.reassigns
    assert policy.claim_lease == Duration(30, "m")
    assert policy.return_unanswered_after == Duration(2, "h")
    assert policy.quiet_hours is not None
    assert (policy.quiet_hours.start, policy.quiet_hours.end) == (time(20), time(7))
    assert policy.quiet_hours.spared == "urgent"
    assert policy.digest is not None
    assert policy.digest.over == 5
    assert policy.reply_from == {"email": "support-mail"}
    assert policy.switches[-1].cost == {"email": 1, "phone": 6}
    assert policy.handoff.code_ttl == Duration(72, "h")
    assert policy.ping_pong.owner == "supervisors"
    assert policy.promises.remind_before == (Duration(15, "m"),)
    assert policy.survey is not None
    assert policy.survey.scale == (1, 5)
    assert policy.retention.messages == Duration(2, "y")
    assert policy.warnings == ()


def test_a_policy_is_its_text_and_a_version() -> None:
    policy = shipped()
    assert policy.version == 0
    assert policy.with_version(7).version == 7
    assert policy.version == 0
    assert policy.with_version(7).text == SHIPPED.read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="frozen"):
        policy.name = "another"


@pytest.mark.parametrize("indent", [None, 2, "\t"])
def test_json_is_read_as_well(indent: int | str | None) -> None:
    data = read(SHIPPED.read_text(encoding="utf-8"), "policy.yaml").data
    assert Policy.parse(json.dumps(data, indent=indent), "policy.json").routing[1].team == "claims"


def test_the_least_policy() -> None:
    policy = Policy.parse(LEAST, "policy.yaml")
    assert policy.claim_lease == Duration(30, "m")
    assert policy.quiet_hours is None
    assert policy.ping_pong.owner == "supervisors"


# --- what is wrong, where, and what would be right -------------------------------------------


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"rooting": "[]"}, "6 rooting: unknown key `rooting`: did you mean `routing`?"),
        (
            {"teams": "{desk: {calender: office}}"},
            "5 teams.desk.calender: unknown key `calender`: did you mean `calendar`?",
        ),
        (
            {"teams": "{desk: {calendar: ofice}}"},
            "5 teams.desk.calendar: unknown calendar `ofice`: did you mean `office`?",
        ),
        (
            {"teams": "{desk: {fallback: disk}}"},
            "5 teams.desk.fallback: unknown team `disk`: did you mean `desk`?",
        ),
        (
            {"teams": "{desk: {confidential: yes}}"},
            "5 teams.desk.confidential: `yes` is neither: write true or false",
        ),
        (
            {"teams": "{desk: {notify: [{webhook: nowhere}]}}"},
            "5 teams.desk.notify[0].webhook: `nowhere` is no address: write https://host/path",
        ),
        (
            {"routing": "[{name: all, team: dsk}]"},
            "5 routing[0].team: unknown team `dsk`: did you mean `desk`?",
        ),
        (
            {"routing": "[{name: all, team: desk, product: x}]"},
            "5 routing[0].product: unknown product `x`: there are none",
        ),
        (
            {"routing": "[{name: all, team: desk, priority: hihg}]"},
            "5 routing[0].priority: unknown word `hihg`: did you mean `high`?",
        ),
        ({"claim_lease": "30"}, "6 claim_lease: `30` has no unit"),
        ({"claim_lease": "1bd"}, "6 claim_lease: `1bd`: business days count in service levels"),
        ({"reply_from": "{emial: x}"}, "6 reply_from.emial: unknown word `emial`: did you mean"),
        ({"timezone": "Europe/Amsterdm"}, "6 timezone: unknown time zone `Europe/Amsterdm`: did"),
        ({"quiet_hours": '{from: 8, to: "07:00"}'}, "6 quiet_hours.from: `8` is no time of day"),
        ({"shared_identities": "[phone:1]"}, "6 shared_identities[0]: `phone:1` is no identity"),
        ({"survey": "{after: 1h, channels: [email]}"}, "6 survey.question: is missing"),
        ({"ping_pong": "{owner: nobody}"}, "6 ping_pong.owner: unknown team `nobody`"),
        (
            {"switches": "[{from: email, to: email, reasons: [agent]}]"},
            "6 switches[0]: switches from `email` to itself",
        ),
        (
            {"switches": "[{from: email, to: phone, reasons: [agnet]}]"},
            "6 switches[0].reasons[0]: unknown word `agnet`: did you mean `agent`?",
        ),
        (
            {"tests": "[{name: t, given: {channel: email}, expect: {service_level: al}}]"},
            "6 tests[0].expect.service_level: unknown service level `al`: did you mean `all`?",
        ),
        (
            {"tests": "[{name: t, given: {}, expect: {first_response: 2026-11-20T10:00}}]"},
            "6 tests[0]: expects a deadline but not from when",
        ),
    ],
)
def test_one_mistake(sections: dict[str, str], expected: str) -> None:
    assert expected in only_problem(least_with(**sections))


@pytest.mark.parametrize(
    ("office", "expected"),
    [
        ("{hours: {mon-fir: [], tue: [09:00-17:00]}}", "hours.mon-fir: `mon-fir` is no day"),
        ("{hours: {mon-fri: [8:30-12:30]}}", "hours.mon-fri[0]: `8:30-12:30` is no span"),
        ("{hours: {mon: 09:00-17:00}}", "hours.mon: must be a list: write [09:00-17:00]"),
        (
            '{hours: {mon-fri: ["09:00-12:00"], fri: ["09:00-11:00"]}}',
            "hours: fri is given twice, by `mon-fri` and by `fri`",
        ),
        (
            '{hours: {mon: ["09:00-12:00", "11:00-13:00"]}}',
            "hours.mon: 09:00-12:00 and 11:00-13:00 overlap",
        ),
        ("{hours: 24/7, holidays: NX}", "holidays[0]: no holidays are known for country `NX`"),
        ("{hours: 24/7, holidays: [DE-BX]}", "holidays[0]: `DE` has no part `BX`: there is"),
        ("{hours: 24/7, exceptions: {2026-13-01: []}}", "`2026-13-01` is no date"),
        ("{hours: 24/7, exceptions: {Easter: []}}", "`Easter` is no date: write 2026-12-24"),
    ],
)
def test_a_wrong_calendar(office: str, expected: str) -> None:
    found = only_problem(least_with(calendars=f"{{office: {office}}}"))
    assert found.startswith("5 calendars.office.")
    assert expected in found


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("first_response: 4", "first_response: `4` has no unit"),
        ("first_response: 0m", "first_response: `0m` is no time at all"),
        ("warn_before: [1h]", "has no target"),
        ("first_response: 1h, warn_before: 30m", "warn_before: must be a list: write [30m]"),
        ("first_response: 1h, when: 'team == \"dsk\"'", "when: unknown team `dsk`: did you mean"),
    ],
)
def test_a_wrong_service_level(level: str, expected: str) -> None:
    default = "{name: all, calendar: office, first_response: 1h}"
    rules = f"[{{name: some, calendar: office, {level}}}, {default}]"
    found = problems(least_with(service_levels=rules))
    assert any(expected in problem for problem in found), found


def test_a_target_that_no_calendar_can_meet() -> None:
    fair = "{fair: {exceptions: {2027-06-01: ['10:00-18:00']}}, office: {hours: {mon: []}}}"
    levels = "[{name: all, calendar: fair, first_response: 1h}]"
    found = only_problem(least_with(calendars=fair, service_levels=levels))
    assert "calendar `fair` has no weekly hours, so no target can be met in it" in found


def test_a_policy_with_all_mistakes_at_once() -> None:
    found = problems("""
        nmae: x
        teams:
          a: {fallback: b}
          b: {fallback: c, capacity: 0}
          c: {fallback: a}
        routing:
          - {name: one, when: 'kind = 1', team: aa}
          - {name: one, team: a}
          - {name: 3, team: a, when: 'true'}
        service_levels:
          - {name: x, calendar: ofice, first_response: 4h}
          - nope
        """)
    assert [problem.split(": ")[0] for problem in found] == [
        "2 nmae",
        "4 teams.a.fallback",
        "5 teams.b.capacity",
        "8 routing[0].when",
        "8 routing[0].team",
        "9 routing[1].name",
        "10 routing[2]",
        "10 routing[2].name",
        "12 service_levels[0].calendar",
        "13 service_levels[1]",
        "13 service_levels[1]",
    ]
    assert "goes round: a → b → c → a" in found[1]
    assert "the name `one` is taken by line 8" in found[5]
    assert "is never reached: the rule on line 9 is for everything" in found[6]


def test_routing_needs_a_rule_for_everything_else() -> None:
    rules = "[{name: mail, when: 'channel == \"email\"', team: desk}]"
    assert "no rule is for everything else" in only_problem(least_with(routing=rules))


def test_a_rule_that_an_earlier_one_hides() -> None:
    rules = """[{name: a, when: 'channel == "sms"', team: desk},
               {name: b, when: 'channel  == "sms"', team: desk},
               {name: c, when: 'true', team: desk}]"""
    assert only_problem(least_with(routing=rules)) == (
        "6 routing[1]: is never reached: the rule on line 5 has the same condition"
    )
    rules = "[{name: c, when: 'true', team: desk}, {name: d, team: desk}]"
    assert "line 5 is for everything; put it last" in only_problem(least_with(routing=rules))


def test_service_levels_without_one_are_worth_a_warning() -> None:
    rules = "[{name: x, when: 'channel == \"sms\"', calendar: office, first_response: 1h}]"
    (warning,) = Policy.parse(least_with(service_levels=rules), "policy.yaml").warnings
    assert warning.warning
    assert "what matches none of these gets no deadline" in warning.message


def test_a_team_that_falls_back_on_itself() -> None:
    found = only_problem(least_with(teams="{desk: {fallback: desk}}"))
    assert "teams.desk.fallback: goes round: desk → desk" in found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1 : this file is empty"),
        ("- 1", "1 : the file must hold `key: value` pairs"),
        ("a: [", "1 : this is no YAML"),
        ("a: 1\n\tb: 2", "2 : this is no YAML"),
        ("[" * 5000, "0 : this is nested too deeply to read"),
        ("- " * 5000, "0 : this is nested too deeply to read"),
        ("a: &a {b: *a}", "0 : this is nested too deeply to read"),
        ("a: " + "x" * 1_000_000, "0 : this is longer than 1000000 characters"),
    ],
)
def test_what_is_no_policy_at_all(text: str, expected: str) -> None:
    assert only_problem(text).startswith(expected)


def test_a_key_given_twice() -> None:
    found = only_problem(LEAST + "teams: {other: {}}\n")
    assert found == "6 teams: given twice; first on line 2"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1\n b: {}]", "2 : this is no YAML: column 3: "),
        ("a: b: c", "1 : this is no YAML: column 5: mapping values are not allowed here"),
        ("a: 1\nb: \x07", "2 : this is no YAML: the character U+0007 must not stand here"),
        ("a\x00:\x00", "0 : this has zero bytes, as UTF-16 read as UTF-8 has: save it as UTF-8"),
    ],
)
def test_where_the_yaml_ends_to_be_yaml(text: str, expected: str) -> None:
    assert only_problem(text).startswith(expected)


def test_what_an_editor_puts_before_a_file_is_passed_over() -> None:
    assert Policy.parse("\ufeff" + LEAST, "policy.yaml").name == "policy"
    assert text_of(LEAST.encode("utf-8"), "policy.yaml") == LEAST


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("a: 1".encode("utf-16"), "f: this is UTF-16: save it as UTF-8"),
        ("a: 1\nb: é".encode("latin-1"), "f:2: this has a byte that is no UTF-8, 0xe9: save it"),
    ],
)
def test_bytes_that_are_no_utf_8(data: bytes, expected: str) -> None:
    with pytest.raises(FileError) as error:
        text_of(data, "f")
    assert str(error.value).startswith(expected)


# --- conditions ------------------------------------------------------------------------------

WORDS = Words.of(
    calendars=frozenset(["office"]),
    teams=frozenset(["claims"]),
    products=frozenset(["parcels"]),
    groups=frozenset(["gold"]),
    with_team=False,
)


@pytest.mark.parametrize(
    "source",
    [
        'kind == "call_missed"',
        'text.contains("damaged") || text.contains("beschadigd")',
        'customer.internal && !customer.known && customer.group == "gold"',
        'customer["language"] in ["nl", "de"]',
        'message.authentication == "proven"',
        "has(attributes.total) && attributes.total > 100",
        "attributes.total > 100",
        'tags.exists(t, t == "vip") && "urgent" in tags',
        'open("office") && channel in ["email", "portal"]',
        'text.matches("order [0-9]+") && size(subject) > 3',
        'text.contains(\'open("nothing")\') // open("nothing")',
        'product == "" || product == "parcels"',
        "int(attributes.total) > 3",
    ],
)
def test_right_conditions(source: str) -> None:
    assert compile_condition(source, WORDS).shown == source


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('kind = "x"', "is no CEL: column 6"),
        ("text ==", "is no CEL: column 8"),
        ('chanel == "email"', "unknown name `chanel`: did you mean `channel`?"),
        ('customer.grup == "x"', "unknown name `customer.grup`: did you mean `customer.group`?"),
        ('message["auth"] == "x"', "unknown name `message.auth`"),
        ('channel == "emial"', "unknown channel `emial`: did you mean `email`?"),
        ('channel in ["sms", "whatsap"]', "unknown channel `whatsap`: did you mean `whatsapp`?"),
        ('kind != "mesage"', "unknown kind `mesage`: did you mean `message`?"),
        ('priority == "hihg"', "unknown priority `hihg`: did you mean `high`?"),
        ('product == "parcel"', "unknown product `parcel`: did you mean `parcels`?"),
        ('message.authentication == "prooven"', "unknown authentication `prooven`"),
        ('team == "claims"', "`team` is known in service levels only"),
        ('open("ofice")', "unknown calendar `ofice`: did you mean `office`?"),
        ("open(channel)", 'write open("office")'),
        ('text.contain("x")', "unknown function `contain`: did you mean `contains`?"),
        ("text", "gives '': it must give true or false"),
        ("customer.internal ? true : 3", "gives 3: it must give true or false"),
        ("text > 3", "fails: No such overload"),
        ('channel == "webchat" && text > 3', "fails: No such overload"),
        ('text.matches("(")', "not a valid regex"),
        ("text.contains(3)", "a function is given a value that it does not take"),
        (True, "is no condition: write CEL in quotes"),
        ("true || " * 1000 + "true", "at most 4000 characters"),
    ],
)
def test_wrong_conditions(source: object, expected: str) -> None:
    with pytest.raises(ValueError, match=re.escape(expected)):
        compile_condition(source, WORDS)


# --- against the accounts --------------------------------------------------------------------


def test_reply_from_and_switches_need_accounts() -> None:
    policy = shipped()
    assert check_accounts(policy, {
        "support-mail": "email", "desk-whatsapp": "whatsapp", "line": "phone", "site": "portal",
    }) == []  # fmt: skip
    found = check_accounts(policy, {"suport-mail": "email", "support-mail": "sms"})
    assert str(found[0]) == (
        "deploy/policy.yaml:64: reply_from.email: account `support-mail` is on sms, not on email: "
        "did you mean `suport-mail`?"
    )
    assert all(problem.warning for problem in found[1:])
    assert "switches[0].from: there is no account on whatsapp" in str(found[1])


# --- the reader ------------------------------------------------------------------------------


def test_what_yaml_1_2_calls_text() -> None:
    document = read("on: no\nday: 2026-12-24\ntime: 20:00\n1: 0o17\nyes: TRUE\n", "f")
    assert document.data == {
        "on": "no", "day": "2026-12-24", "time": "20:00", "1": 15, "yes": True
    }  # fmt: skip


def test_lines_and_field_names() -> None:
    document = read("a:\n  - b: 1\n  - {c: 2}\n", "f")
    assert document.line(("a", 1, "c")) == 3
    assert document.line(("a", 1, "c", "nothing")) == 3
    assert document.line(("nothing",)) == 1
    assert field_name(("a", 1, "c")) == "a[1].c"
    assert document.section("a", 1, "c") == 2
    assert document.section("a", "b") is None


def test_json_emoji_and_odd_tags() -> None:
    assert read('{"a": "\\ud83d\\ude00"}', "f").data == {"a": "😀"}
    tagged = read("a: !!int x\nb: !odd 1", "f")
    assert [problem.line for problem in tagged.problems] == [1, 2]


def test_aliases_of_aliases_are_bounded() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(FileError, match="more than 100000 values"):
        read("\n".join(rows), "f")


def test_the_nearest_word() -> None:
    assert nearest("emial", ["email", "sms"]) == "did you mean `email`?"
    assert nearest("q", ["email", "sms"]) == "there is email, sms"
    assert nearest("q", []) == "there are none"
