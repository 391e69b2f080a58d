"""Routing, service levels and switches: what the shipped policy decides, and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from services.router import switching
from services.router.commands import Way
from services.router.policy import Facts, Policy, Step
from services.router.trial.examples import run_tests
from shared.durations import Duration
from shared.events import Digest, Identity, Quiet, Target

POLICY = Policy.parse(
    (Path(__file__).parents[2] / "deploy" / "policy.yaml").read_text(encoding="utf-8"),
    "policy.yaml",
)
AMSTERDAM = ZoneInfo("Europe/Amsterdam")
FRIDAY = datetime(2026, 11, 20, 17, 10, tzinfo=AMSTERDAM).astimezone(UTC)
SUNDAY = datetime(2026, 11, 22, 12, 0, tzinfo=AMSTERDAM).astimezone(UTC)


def policy_with(routing: str = "", levels: str = "", tests: str = "") -> Policy:
    """A small policy with these rules before its defaults."""
    return Policy.parse(
        f"""
        timezone: Europe/Amsterdam
        calendars:
          office: {{hours: {{mon-fri: ["08:30-17:30"]}}, holidays: NL}}
          always: {{hours: 24/7}}
        teams: {{desk: {{}}, mail: {{}}, night: {{}}}}
        customers: {{groups: {{gold: ["customer_no:1001"]}}}}
        products: {{parcels: {{}}, claims: {{}}}}
        routing: [{routing} {{name: else, team: desk}}]
        service_levels:
          [{levels} {{name: rest, calendar: office, first_response: 4h, warn_before: [1h]}}]
        tests: [{tests}]
        """,
        "policy.yaml",
    )


# --- routing ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "rule", "team", "product", "priority"),
    [
        (Facts(kind="call_missed", channel="phone"), "missed call", "frontdesk", "", "high"),
        (Facts(text="My parcel arrived DAMAGED"), "damage", "claims", "claims", "normal"),
        (Facts(text="Waar is mijn Pakket?"), "tracking", "parcels", "parcels", "normal"),
        (Facts(text="Hello"), "everything else", "frontdesk", "", "normal"),
        (Facts(text="Hello", priority="urgent"), "everything else", "frontdesk", "", "urgent"),
        (Facts(text="parcel", product="claims"), "tracking", "parcels", "claims", "normal"),
        (Facts(kind="call_missed", priority="low"), "missed call", "frontdesk", "", "high"),
    ],
)
def test_the_shipped_rules(facts: Facts, rule: str, team: str, product: str, priority: str) -> None:
    routing = POLICY.route(facts, FRIDAY)
    assert (routing.rule, routing.team) == (rule, team)
    assert (routing.product, routing.priority) == (product, priority)
    assert routing.by_default == (rule == "everything else")


def test_the_trail_ends_at_the_first_match_and_says_why() -> None:
    trail = POLICY.route(Facts(text="my parcel is damaged"), FRIDAY).trail
    assert trail == (
        ("missed call", False, '`kind == "call_missed"` is false'),
        ("damage", True, '`text.contains("damaged") || text.contains("beschadigd")` is true'),
    )
    last = POLICY.route(Facts(), FRIDAY).trail[-1]
    assert last == ("everything else", True, "it has no condition")


def test_a_rule_that_errors_does_not_match_and_says_so() -> None:
    policy = policy_with("{name: big, when: 'attributes.total > 100', team: mail},")
    assert policy.route(Facts(attributes={"total": 101}), FRIDAY).team == "mail"
    for attributes, why in (
        ({}, "`attributes.total > 100` fails: there is no 'total'"),
        ({"total": "many"}, "`attributes.total > 100` fails: No such overload: the operation is "
         "not defined for the given operand types."),
    ):  # fmt: skip
        routing = policy.route(Facts(attributes=attributes), FRIDAY)
        assert routing.team == "desk"
        assert routing.trail[0] == ("big", False, why)


def test_a_condition_that_gives_no_truth_does_not_match() -> None:
    policy = policy_with("{name: vip, when: 'attributes.vip', team: mail},")
    assert policy.route(Facts(attributes={"vip": True}), FRIDAY).team == "mail"
    routing = policy.route(Facts(attributes={"vip": "yes"}), FRIDAY)
    assert routing.trail[0] == ("vip", False, "`attributes.vip` gives 'yes', no truth")


@pytest.mark.parametrize(
    ("when", "facts"),
    [
        ('channel == "sms"', Facts(channel="sms")),
        ('account == "desk"', Facts(account="desk")),
        ('kind == "visit"', Facts(kind="visit")),
        ('subject.startsWith("re:")', Facts(subject="RE: parcel")),
        ('text.contains("straße")', Facts(text="STRASSE straße")),
        ("size(text) == 10000", Facts(text="x" * 20_000)),
        ('product == "claims"', Facts(product="claims")),
        ('priority == "high"', Facts(priority="high")),
        ('"vip" in tags', Facts(tags=("vip",))),
        ('has(attributes.a) && attributes.a.b[0] == "x"', Facts(attributes={"a": {"b": ["x"]}})),
        ('customer.group == "gold"', Facts(customer_group="gold")),
        ('customer.language == "nl"', Facts(customer_language="nl")),
        ("customer.internal", Facts(customer_internal=True)),
        ("customer.known", Facts(customer_known=True)),
        ('message.authentication == "proven"', Facts(authentication="proven")),
        ("attributes.a == null && attributes.b > 2.5", Facts(attributes={"a": None, "b": 3.5})),
        (
            'text.contains("lone")',
            Facts(text="a lone \ud800 surrogate", attributes={"x": "\ud800"}),
        ),
    ],
)
def test_every_name_of_the_header(when: str, facts: Facts) -> None:
    policy = policy_with(f"{{name: it, when: '{when}', team: mail}},")
    assert policy.route(facts, FRIDAY).rule == "it"
    assert policy.route(Facts(), FRIDAY).rule == "else"


def test_a_rule_can_ask_whether_a_calendar_is_open() -> None:
    policy = policy_with("{name: night, when: '!open(\"office\")', team: night},")
    assert policy.route(Facts(), FRIDAY).team == "desk"
    assert policy.route(Facts(), SUNDAY).team == "night"


def test_skills_and_tags_of_a_rule() -> None:
    policy = policy_with(
        "{name: it, when: 'channel == \"sms\"', team: mail, skills: [customs], tags: [b, a]},"
    )
    routing = policy.route(Facts(channel="sms", tags=("a",)), FRIDAY)
    assert routing.skills == ("customs",)
    assert routing.tags == ("a", "b")


def test_the_record_of_a_decision_has_no_words_of_the_customer() -> None:
    inputs = POLICY.route(Facts(channel="email", text="secret", subject="s"), FRIDAY).inputs
    assert inputs["channel"] == "email"
    assert inputs["customer"]["known"] is False
    assert "secret" not in str(inputs)


# --- service levels --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "rule", "first", "following"),
    [
        (Facts(channel="email"), "mail", "1bd", "1bd"),
        (Facts(channel="email", customer_internal=True), "internal", "4h", "4h"),
        (Facts(channel="phone", kind="call_missed"), "missed call", "30m", "30m"),
        (Facts(channel="counter", kind="visit"), "counter", "15m", "15m"),
        (Facts(channel="webchat"), "web chat", "2m", "2m"),
        (Facts(channel="whatsapp"), "chat", "1h", "2h"),
        (Facts(channel="whatsapp", customer_group="gold"), "gold chat", "15m", "15m"),
        (Facts(channel="teams"), "teams", "30m", "30m"),
        (Facts(channel="internal"), "the rest", "4h", "4h"),
    ],
)
def test_the_shipped_service_levels(facts: Facts, rule: str, first: str, following: str) -> None:
    level = POLICY.service_level(facts, "frontdesk", FRIDAY)
    assert level is not None
    assert level.rule == rule
    assert level.targets["first_response"] == Duration.parse(first)
    assert level.targets["next_response"] == Duration.parse(following)
    assert [trial.matched for trial in level.trail][-1]


def test_update_every_is_a_target() -> None:
    level = POLICY.service_level(Facts(channel="email"), "frontdesk", FRIDAY)
    assert level is not None
    assert level.targets["update"] == Duration(2, "bd")


def test_a_service_level_sees_what_routing_decided() -> None:
    policy = policy_with(
        "{name: c, when: 'text.contains(\"x\")', team: mail, product: claims, priority: urgent},",
        """{name: team, when: 'team == "mail" && priority == "urgent" && product == "claims"',
            calendar: always, first_response: 5m},""",
    )
    routing, level = policy.assess(Facts(text="x"), FRIDAY)
    assert (routing.team, level and level.rule) == ("mail", "team")
    _, level = policy.assess(Facts(text="y"), FRIDAY)
    assert level is not None
    assert level.rule == "rest"
    claims = Facts(product="claims", priority="urgent")
    alone = policy.service_level(claims, "mail", FRIDAY)
    assert alone is not None
    assert alone.rule == "team"


def test_nothing_promised() -> None:
    policy = Policy.parse(
        """
        calendars: {always: {hours: 24/7}}
        teams: {desk: {}}
        routing: [{name: all, team: desk}]
        service_levels:
          [{name: mail, when: 'channel == "email"', calendar: always, first_response: 4h}]
        """
    )
    assert policy.service_level(Facts(channel="sms"), "desk", FRIDAY) is None
    assert policy.assess(Facts(channel="sms"), FRIDAY)[1] is None


# --- plain answers ---------------------------------------------------------------------------


def test_whom_to_tell() -> None:
    digest = Digest(over=5, every=timedelta(minutes=15))
    night = Quiet(start=time(20), end=time(7), zone="Europe/Amsterdam")
    desk, boss = (
        Target(
            kind="webhook",
            address=f"http://127.0.0.1:9901/{name}",
            name=name,
            digest=digest,
            quiet=night,
        )
        for name in ("frontdesk", "supervisors")
    )
    assert POLICY.notify_team("frontdesk", FRIDAY, "normal") == (desk,)
    assert POLICY.notify_supervisors(FRIDAY, "normal") == (boss,)
    assert POLICY.notify_named(POLICY.on_breach.notify, "frontdesk", FRIDAY, "normal") == (
        desk,
        boss,
    )
    assert POLICY.notify_team("nobody", FRIDAY, "normal") == ()
    # what is urgent never waits, and what came overdue always does
    urgent = msgspec.structs.replace(desk, digest=None, quiet=None)
    assert POLICY.notify_team("frontdesk", FRIDAY, "urgent") == (urgent,)
    (late,) = POLICY.together([urgent])
    assert late.digest == Digest(over=0, every=timedelta(minutes=15))
    assert (POLICY.fallback_of("claims"), POLICY.fallback_of("frontdesk")) == ("frontdesk", "")
    assert POLICY.has_team("carrier")
    assert not POLICY.has_team("nobody")


def test_results_and_accounts() -> None:
    assert POLICY.required_results("parcels", "claims") == ["tracking_number"]
    assert POLICY.required_results("parcels", "frontdesk") == []
    assert POLICY.required_results("", "claims") == []
    assert POLICY.reply_account("email", "post-room") == "post-room"
    assert POLICY.reply_account("email", "") == "support-mail"
    assert POLICY.reply_account("sms", "") == ""


def test_who_they_are() -> None:
    def standing(*identities: tuple[str, str]) -> tuple[str, bool]:
        return POLICY.standing([Identity(scheme=s, value=v) for s, v in identities])  # type: ignore[arg-type]

    assert standing(("customer_no", "1001")) == ("gold", False)
    assert standing(("email", "jo@STAFF.example.org")) == ("", True)
    assert standing(("email", "jo@notstaff.example.org")) == ("", False)
    assert standing(("employee_no", "7"), ("e164", "+31612345678")) == ("", True)
    assert POLICY.is_shared(Identity(scheme="e164", value="+31880000001"))
    assert not POLICY.is_shared(Identity(scheme="e164", value="+31880000002"))


def test_until_when() -> None:
    assert (POLICY.claim_expires(FRIDAY) - FRIDAY).total_seconds() == 30 * 60
    assert (POLICY.offer_expires(FRIDAY) - FRIDAY).total_seconds() == 4 * 3600
    assert (POLICY.code_expires(FRIDAY) - FRIDAY).total_seconds() == 72 * 3600
    assert (FRIDAY - POLICY.reopens_since(FRIDAY)).days == 7


# --- switches --------------------------------------------------------------------------------


def test_the_matrix() -> None:
    row = switching.find_row(POLICY, "", "whatsapp", "email", "agent", FRIDAY)
    assert row is not None
    assert row.consent == "ask"
    assert switching.find_row(POLICY, "", "whatsapp", "sms", "agent", FRIDAY) is None
    assert switching.find_row(POLICY, "", "phone", "whatsapp", "breach", FRIDAY) is None


def test_a_row_for_one_product_in_hours() -> None:
    def found(product: str, at: datetime) -> bool:
        row = switching.find_row(POLICY, product, "email", "phone", "breach", at)
        return row is not None

    assert found("claims", FRIDAY)
    assert not found("parcels", FRIDAY)
    assert not found("claims", SUNDAY)


def test_permitted_in_the_words_of_the_file() -> None:
    rows = switching.permitted(POLICY, "claims", "email")
    assert [row.as_dict() for row in rows] == [
        {
            "from": "email",
            "to": "phone",
            "product": "claims",
            "reasons": ["agent", "breach"],
            "consent": "ask",
            "hours": "office",
            "cost": {"email": 1.0, "phone": 6.0},
        }
    ]
    assert switching.permitted(POLICY, "claims", "email", SUNDAY) == []


@pytest.mark.parametrize(
    ("product", "way", "reason", "expected"),
    [
        ("", ("whatsapp", "sms"), "agent", "no row in `switches` from whatsapp to sms"),
        (
            "",
            ("phone", "email"),
            "breach",
            "the policy permits a switch from phone to email only for reason agent, not breach",
        ),
        (
            "parcels",
            ("email", "phone"),
            "window_closing",
            "only for product claims, not parcels, for reason agent or breach, not "
            "window_closing, while `office` is open",
        ),
    ],
)
def test_which_row_is_missing(
    product: str, way: tuple[str, str], reason: str, expected: str
) -> None:
    assert expected in switching.missing_row(POLICY, product, *way, reason, SUNDAY)


def test_an_invitation_says_where_and_with_what() -> None:
    way = Way(address="support@example.org")
    text = switching.invitation("email", way, "R-7K4Q-2M9X", "My parcel", "")
    assert "by e-mail?" in text
    assert "the code R-7K4Q-2M9X there: support@example.org." in text
    assert "about “My parcel”" in text


# --- targets, escalation, capacity -------------------------------------------------------------

STEPPED = Policy.parse("""
calendars: {always: {hours: 24/7}}
weights: {phone: 5, webchat: 2.5, email: 0}
teams:
  claims: {fallback: desk, capacity: 20, skills: [glass, dutch], give: true}
  desk: {}
  night: {}
routing:
  - {name: plain, when: 'channel == "sms"', team: claims, skills: [glass]}
  - name: relaxed
    when: channel == "x"
    team: claims
    skills: [glass, dutch]
    targets: [{for: 10m}, {skills: [glass], for: 1h}, {team: night, skills: []}]
  - name: given up
    when: channel == "email"
    team: claims
    skills: [glass]
    targets: [{for: 10m}]
  - name: elsewhere first
    when: channel == "phone"
    team: desk
    targets: [{team: night, for: 5m}, {for: 1h}]
  - {name: all, team: desk}
service_levels:
  - name: escalating
    when: channel == "sms"
    calendar: always
    first_response: 1h
    escalate:
      - {before: 30m, notify: [team, supervisors]}
      - {after: 1h, priority: raise, reassign: fallback}
  - {name: rest, calendar: always, first_response: 4h}
""")
TEN = Duration(10, "m")
HOUR = Duration(1, "h")


@pytest.mark.parametrize(
    ("rule", "steps"),
    [
        ("plain", [Step("claims", ("glass",))]),
        (
            "relaxed",
            [
                Step("claims", ("glass", "dutch"), TEN),
                Step("claims", ("glass",), HOUR),
                Step("night", ()),
            ],
        ),
        # after the last there is always somebody: the fallback, or the team for whoever can
        ("given up", [Step("claims", ("glass",), TEN), Step("desk", ())]),
        (
            "elsewhere first",
            [Step("night", (), Duration(5, "m")), Step("desk", (), HOUR), Step("desk", ())],
        ),
        ("all", [Step("desk", ())]),
        ("no such rule", []),
    ],
)
def test_the_steps_of_a_rule(rule: str, steps: list[Step]) -> None:
    found = [STEPPED.step(rule, index) for index in range(len(steps) + 2)]
    assert found == [*steps, None, None]
    assert STEPPED.step(rule, -1) is None


def test_the_last_step_never_waits() -> None:
    for steps in STEPPED.steps.values():
        assert steps[-1].wait is None
        assert all(step.wait is not None for step in steps[:-1])


@pytest.mark.parametrize(
    ("channel", "team", "skills", "wait"),
    [
        ("sms", "claims", ("glass",), None),
        ("x", "claims", ("glass", "dutch"), TEN),
        ("phone", "night", (), Duration(5, "m")),
    ],
)
def test_routing_tells_its_first_step(
    channel: str, team: str, skills: tuple[str, ...], wait: Duration | None
) -> None:
    routing = STEPPED.route(Facts(channel=channel), FRIDAY)
    assert (routing.team, routing.skills, routing.wait) == (team, skills, wait)


def test_a_service_level_tells_its_escalation() -> None:
    level = STEPPED.service_level(Facts(channel="sms"), "claims", FRIDAY)
    assert level is not None
    before, after = level.escalate
    assert (before.before, before.after) == (Duration(30, "m"), None)
    assert before.notify == ("team", "supervisors")
    assert (before.priority, before.reassign) == (None, None)
    assert (after.after, after.notify) == (HOUR, ())
    assert (after.priority, after.reassign) == ("raise", "fallback")
    rest = STEPPED.service_level(Facts(), "desk", FRIDAY)
    assert rest is not None
    assert rest.escalate == ()


def test_weights_capacity_and_giving() -> None:
    weights = [STEPPED.weight(channel) for channel in ("phone", "webchat", "email", "sms")]
    assert weights == [5, 2.5, 0, 1]
    assert [STEPPED.capacity_of(team) for team in ("claims", "desk", "?")] == [20, None, None]
    assert [STEPPED.gives(team) for team in ("claims", "desk", "?")] == [True, False, False]


# --- the file's own tests --------------------------------------------------------------------


def test_the_shipped_tests_pass() -> None:
    assert [result.differences for result in run_tests(POLICY)] == [(), ()]


def test_tests_tell_what_came_instead() -> None:
    policy = policy_with(
        "{name: c, when: 'channel == \"sms\"', team: mail, product: claims},",
        tests="""
          {name: right, at: 2026-11-20T16:30, given: {channel: sms, customer: {known: true}},
           expect: {team: mail, product: claims, service_level: rest, rule: c,
                    first_response: 2026-11-23T11:30}},
          {name: wrong, given: {channel: email, at: "2026-11-20T16:30:00+01:00"},
           expect: {team: mail, priority: high, tags: [x], first_response: 2026-11-20T18:00,
                    resolution: 2026-11-23T10:00}},
        """,
    )
    right, wrong = run_tests(policy)
    assert right.differences == ()
    assert wrong.differences == (
        "team: expected mail, came desk",
        "priority: expected high, came normal",
        "tags: expected x, came nothing",
        "first_response: expected 2026-11-20 18:00, came 4h in `office` from Fri 16:30 = Mon 11:30",
        "resolution: expected a deadline, came none",
    )
    assert wrong.line == right.line + 3


def test_facts_are_not_changed_by_asking() -> None:
    facts = Facts(channel="sms", attributes={"a": [1]}, tags=("x",))
    before = replace(facts)
    POLICY.assess(facts, FRIDAY)
    assert facts == before
