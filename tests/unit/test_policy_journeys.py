"""Journeys in a policy's tests: the real core told step by step, and what differs in words."""

from __future__ import annotations

from textwrap import indent

import pytest

from services.router.policy import Policy, PolicyError
from services.router.trial.examples import run_tests

# Friday 25 December 2026 is a holiday; the 24th is a half day; the 26th a Saturday and a holiday.
POLICY = """\
timezone: Europe/Amsterdam
calendars:
  always: {hours: 24/7}
  office:
    hours: {mon-fri: ["08:30-12:30", "13:00-17:30"], sat: ["10:00-14:00"]}
    holidays: NL
    exceptions: {2026-12-24: ["08:30-12:00"]}
supervisors: {notify: [{webhook: "https://hooks.example.org/boss"}]}
teams:
  desk: {calendar: office}
  claims: {calendar: office, fallback: desk, skills: [glass, dutch]}
products: {claims: {}}
customers: {groups: {gold: ["customer_no:1001"]}}
routing:
  - name: damage
    when: text.contains("damaged")
    team: claims
    product: claims
    skills: [glass]
    targets: [{for: 30m}, {skills: [], for: 1h}]
  - {name: everything else, team: desk}
service_levels:
  - name: chat
    when: channel == "whatsapp"
    calendar: office
    first_response: 1h
    next_response: 2h
    resolution: 2bd
    warn_before: [30m]
  - {name: rest, calendar: office, first_response: 1bd, resolution: 5bd}
on_breach: {notify: [team], priority: raise, reassign: fallback}
claim_lease: 30m
switches:
  - {from: whatsapp, to: email, reasons: [agent], consent: ask}
  - {from: email, to: whatsapp, reasons: [agent], consent: recorded}
  - {from: phone, to: whatsapp, reasons: [call_missed], consent: none}
tests:
  - name: it
    journey:
"""
FIRST_LINE = POLICY.count("\n") + 1


def differences(*steps: str) -> list[str]:
    """What a journey of these steps came to, otherwise than it expects."""
    (result,) = run_tests(Policy.parse(POLICY + _listed(steps)))
    assert result.line == FIRST_LINE - 2
    return list(result.differences)


def _listed(steps: tuple[str, ...]) -> str:
    return indent("".join(f"- {{{step}}}\n" for step in steps), "      ")


def only_problem(*steps: str) -> str:
    with pytest.raises(PolicyError) as error:
        Policy.parse(POLICY + _listed(steps))
    (problem,) = error.value.problems
    return f"{problem.line - FIRST_LINE} {problem.field}: {problem.message}"


CHAT = "given: {channel: whatsapp, text: Hello}"
DAMAGED = "given: {channel: whatsapp, text: It is damaged}"
MAIL = "given: {channel: email, text: Hello}"


# --- what passes -------------------------------------------------------------------------------


def test_a_journey_over_channels_teams_and_a_long_weekend() -> None:
    assert differences(
        # Thursday is a half day until 12:00, Friday and Saturday are holidays: 20 minutes on
        # Thursday, then 40 from Monday 08:30 on. WhatsApp lets us answer until Friday 11:40; an
        # hour before that all is closed, so Thursday 12:00 is the last good moment.
        f"at: 2026-12-24T11:40, {DAMAGED}, expect: {{case: new, rule: damage, team: claims, "
        "product: claims, priority: normal, service_level: chat, state: open, skills: [glass], "
        "due: 2026-12-24T12:00, due_metric: reply_window, breached: false, agent: '', "
        "first_response: 2026-12-28T09:10, resolution: 2026-12-29T11:40}",
        "at: 2026-12-24T11:45, do: {claim: jo}, expect: {case: same, agent: jo}",
        "at: 2026-12-24T11:50, do: {reply: true, by: jo}, "
        "expect: {state: waiting_customer, due_metric: none}",
        # It stood still for 10 open minutes of Thursday and 3:50 h of Monday. Four open hours
        # after Tuesday 11:40: 50 minutes until 12:30, then 3:10 h from 13:00 on.
        f"at: 2026-12-28T12:20, {CHAT}, expect: {{case: same, state: open, "
        "next_response: 2026-12-28T14:50, resolution: 2026-12-29T16:10, service_level: chat}",
        "at: 2026-12-28T12:25, do: {transfer: desk}, expect: {team: desk, "
        "next_response: 2026-12-28T14:50}",
        "at: 2026-12-28T12:30, do: {reply: true}, expect: {state: waiting_customer}",
        "at: 2026-12-28T12:31, do: {close: true}, expect: {state: closed, due_metric: none}",
        f"at: 2026-12-29T09:00, {CHAT}, expect: {{case: same, state: open}}",
    ) == []  # fmt: skip


def test_time_passes_step_by_step_to_the_breach() -> None:
    assert differences(
        f"at: 2026-11-17T10:00, {DAMAGED}, expect: {{team: claims, skills: [glass], "
        "first_response: 2026-11-17T11:00}",
        "at: 2026-11-17T10:29, expect: {skills: [glass]}",
        "at: 2026-11-17T10:30, expect: {team: claims, skills: []}",
        "at: 2026-11-17T10:59, expect: {breached: false, priority: normal, team: claims}",
        "at: 2026-11-17T11:00, expect: {breached: true, priority: high, team: desk}",
    ) == []  # fmt: skip


def test_after_the_last_target_comes_the_fallback() -> None:
    mail = "given: {channel: email, text: It is damaged}"
    assert differences(
        f"at: 2026-11-17T10:00, {mail}, expect: {{first_response: 2026-11-18T10:00}}",
        "at: 2026-11-17T11:29, expect: {team: claims, skills: []}",
        "at: 2026-11-17T11:30, expect: {team: desk, skills: [], breached: false}",
    ) == []  # fmt: skip


def test_a_claim_runs_out_between_two_steps() -> None:
    assert differences(
        f"at: 2026-11-17T10:00, {MAIL}",
        "at: 2026-11-17T10:05, do: {claim: jo}, expect: {agent: jo}",
        "at: 2026-11-17T10:34, do: {claim: bo}, expect: {agent: jo, refused: already-claimed}",
        "at: 2026-11-17T10:36, do: {claim: bo}, expect: {agent: bo}",
        "at: 2026-11-17T10:37, do: {release: true}, expect: {agent: ''}",
    ) == []  # fmt: skip


def test_a_reply_in_the_last_moment_is_in_time() -> None:
    asked = f"at: 2026-11-17T10:00, {CHAT}"
    in_time = "at: 2026-11-17T11:00, do: {reply: true}, expect: {breached: false}"
    late = "at: 2026-11-17T11:01, do: {reply: true}, expect: {breached: true}"
    assert differences(asked, in_time) == []
    assert differences(asked, late) == []


def test_customers_have_cases_of_their_own() -> None:
    assert differences(
        f"at: 2026-11-17T10:00, {CHAT}, expect: {{case: new}}",
        f"at: 2026-11-17T10:01, customer: ada, {CHAT}, expect: {{case: new}}",
        "at: 2026-11-17T10:02, customer: ada, do: {reply: true}, expect: {state: waiting_customer}",
        "at: 2026-11-17T10:03, expect: {state: open}",
        f"at: 2026-11-17T10:04, customer: ada, {MAIL}, expect: {{case: same, state: open}}",
        # another product, and longer ago than `joining.window`
        "at: 2026-11-17T10:05, given: {channel: sms, text: x, product: claims}, "
        "expect: {case: same}",
        f"at: 2026-11-24T10:05, {MAIL}, expect: {{case: new}}",
    ) == []  # fmt: skip


def test_an_offer_is_declined_or_accepted() -> None:
    assert differences(
        f"at: 2026-11-17T10:00, {MAIL}",
        "at: 2026-11-17T10:01, do: {accept: true}, expect: {refused: not-found, team: desk}",
        "at: 2026-11-17T10:02, do: {offer: claims}, expect: {team: desk}",
        "at: 2026-11-17T10:03, do: {decline: true}, expect: {team: desk}",
        "at: 2026-11-17T10:04, do: {offer: claims}, expect: {team: desk}",
        "at: 2026-11-17T10:05, do: {accept: true, by: kim}, expect: {team: claims}",
    ) == []  # fmt: skip


def test_an_offer_stands_four_hours() -> None:
    offered = (f"at: 2026-11-17T10:00, {MAIL}", "at: 2026-11-17T10:06, do: {offer: claims}")
    in_time = "at: 2026-11-17T14:06, do: {accept: true}, expect: {team: claims}"
    late = "at: 2026-11-17T14:07, do: {accept: true}, expect: {refused: not-found, team: desk}"
    assert differences(*offered, in_time) == []
    assert differences(*offered, late) == []


def test_a_switch_of_channel_and_its_code() -> None:
    assert differences(
        f"at: 2026-11-17T10:00, {CHAT}, expect: {{first_response: 2026-11-17T11:00}}",
        "at: 2026-11-17T10:05, do: {switch: {to: phone}}, "
        "expect: {refused: switch-not-permitted}",
        "at: 2026-11-17T10:06, do: {switch: {to: email}}",
        "at: 2026-11-17T10:10, given: {channel: email, text: Here I am, product: claims, "
        "code: true}, expect: {case: same, first_response: 2026-11-17T11:00}",
        "at: 2026-11-17T10:11, do: {switch: {to: whatsapp}}, expect: {refused: consent-missing}",
        "at: 2026-11-17T10:12, do: {switch: {to: whatsapp, consent: true}}",
    ) == []  # fmt: skip


def test_a_switch_that_the_policy_starts_by_itself() -> None:
    missed = "at: 2026-11-17T10:00, given: {channel: phone, kind: call_missed}"
    answer = "given: {channel: whatsapp, text: You called, product: claims, code: true}"
    assert differences(
        missed, f"at: 2026-11-17T10:05, {answer}, expect: {{case: same, team: desk}}"
    ) == []  # fmt: skip


def test_a_code_without_an_offer_is_a_difference() -> None:
    coded = "given: {channel: email, text: Here I am, code: true}"
    (found,) = differences(
        f"at: 2026-11-17T10:00, {CHAT}",
        f"at: 2026-11-17T10:10, {coded}",
    )
    assert found == (
        f"line {FIRST_LINE + 1}: code: no switch to this channel is on offer, so the customer has "
        "no code: offer one in a step before, or leave `code` out"
    )


def test_calls_notes_priorities_and_pauses() -> None:
    call = "given: {channel: phone, kind: call_missed}"
    assert differences(
        f"at: 2026-11-17T10:00, {call}, expect: {{first_response: 2026-11-18T10:00}}",
        "at: 2026-11-17T10:01, do: {reply: true}, expect: {refused: not-a-written-channel}",
        "at: 2026-11-17T10:02, do: {outcome: no_answer}, expect: {state: open}",
        "at: 2026-11-17T10:03, do: {note: engaged}, expect: {state: open}",
        "at: 2026-11-17T10:04, do: {priority: urgent}, expect: {priority: urgent}",
        "at: 2026-11-17T10:05, do: {pause: waiting_customer}, expect: {refused: unanswered}",
        "at: 2026-11-17T10:06, do: {outcome: reached}, expect: {state: waiting_customer}",
        "at: 2026-11-17T10:07, do: {reopen: true}, expect: {state: open}",
        "at: 2026-11-17T10:08, do: {pause: waiting_internal, until: 2026-11-17T12:00}, "
        "expect: {state: waiting_internal}",
        "at: 2026-11-17T11:59, expect: {state: waiting_internal}",
        "at: 2026-11-17T12:00, expect: {state: open}",
    ) == []  # fmt: skip


def test_what_was_written_earlier_than_it_arrived() -> None:
    late = "given: {channel: whatsapp, text: Hello, at: 2026-11-17T08:40}"
    assert differences(
        f"at: 2026-11-17T10:00, {late}, expect: {{first_response: 2026-11-17T09:40, "
        "breached: true, priority: normal}"
    ) == []  # fmt: skip


def test_what_the_first_message_told_of_the_customer_stays() -> None:
    colleague = "given: {channel: internal, text: Hello, customer: {internal: true, group: gold}}"
    policy = Policy.parse(
        POLICY.replace(
            "service_levels:\n",
            "service_levels:\n  - {name: known, when: 'customer.known && customer.group == "
            '"gold"\', calendar: always, first_response: 5m}\n',
        )
        + _listed(
            (
                f"at: 2026-11-17T10:00, {colleague}, expect: {{service_level: rest}}",
                f"at: 2026-11-17T10:01, {MAIL}, expect: {{service_level: known}}",
            )
        )
    )
    assert [result.differences for result in run_tests(policy)] == [()]


# --- what is said of a difference ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (f"{CHAT}, expect: {{team: claims}}", "team: expected claims, came desk"),
        (f"{CHAT}, expect: {{skills: [glass]}}", "skills: expected glass, came nothing"),
        (f"{DAMAGED}, expect: {{rule: everything else}}", "rule: expected everything else, came "
         "damage"),
        (f"{CHAT}, expect: {{case: same}}", "case: expected same, came new"),
        (f"{CHAT}, expect: {{breached: true}}", "breached: expected yes, came no"),
        (f"{CHAT}, expect: {{due: 2026-11-17T12:00}}", "due: expected Tue 2026-11-17 12:00, "
         "came Tue 2026-11-17 11:00 (first_response)"),
        (f"{CHAT}, expect: {{first_response: 2026-11-17T12:00}}", "first_response: expected Tue "
         "2026-11-17 12:00, came Tue 2026-11-17 11:00 (1h in `office` from Tue 10:00 = Tue 11:00)"),
        (f"{CHAT}, expect: {{update: 2026-11-17T12:00}}", "update: expected Tue 2026-11-17 12:00, "
         "came no such clock"),
        (f"{CHAT}, expect: {{agent: jo}}", "agent: expected jo, came nothing"),
        (f"{CHAT}, expect: {{state: closed}}", "state: expected closed, came open"),
        (f"{CHAT}, expect: {{service_level: rest}}", "service_level: expected rest, came chat"),
        (f"{CHAT}, expect: {{priority: high}}", "priority: expected high, came normal"),
        (f"{CHAT}, expect: {{product: claims}}", "product: expected claims, came nothing"),
        (f"{CHAT}, expect: {{tags: [a, b]}}", "tags: expected a, b, came nothing"),
        (f"{CHAT}, expect: {{due_metric: none}}", "due_metric: expected none, came first_response"),
    ],
)  # fmt: skip
def test_a_difference_names_its_line_and_what_came(step: str, expected: str) -> None:
    found = differences(
        f"at: 2026-11-17T09:00, customer: bo, {CHAT}", f"at: 2026-11-17T10:00, {step}"
    )
    assert found == [f"line {FIRST_LINE + 1}: {expected}"]


def test_a_refusal_that_nobody_expected_and_one_that_did_not_come() -> None:
    chat = f"at: 2026-11-17T10:00, {CHAT}"
    (found,) = differences(chat, "at: 2026-11-17T10:01, do: {switch: {to: phone}}")
    assert "refused: expected nothing, came switch-not-permitted: the policy has no row" in found
    (found,) = differences(
        chat, "at: 2026-11-17T10:01, do: {claim: jo}, expect: {refused: already-claimed}"
    )
    assert found == f"line {FIRST_LINE + 1}: refused: expected already-claimed, came nothing"


def test_a_deed_for_a_customer_without_a_case() -> None:
    (found,) = differences(
        f"at: 2026-11-17T10:00, {CHAT}", "at: 2026-11-17T10:01, customer: bo, do: {claim: jo}"
    )
    assert "this customer has no case yet" in found


# --- what is no journey --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (["at: 2026-11-17T10:00, do: {claim: jo}"], "0 tests[0].journey[0]: a journey begins with"),
        (
            [f"at: 2026-11-17T10:00, {CHAT}", f"at: 2026-11-17T09:59, {CHAT}"],
            "1 tests[0].journey[1].at: comes before the step before it",
        ),
        (
            [f"at: 2026-11-17T10:00, {CHAT}", "at: 2026-11-17T10:01, do: {claim: a, note: b}"],
            "1 tests[0].journey[1].do: say one thing that is done",
        ),
        (
            [f"at: 2026-11-17T10:00, {CHAT}, do: {{claim: a}}"],
            "0 tests[0].journey[0]: has both `given` and `do`",
        ),
        (
            [f"at: 2026-11-17T10:00, {CHAT}", "at: 2026-11-17T10:01"],
            "1 tests[0].journey[1]: does nothing and expects nothing",
        ),
        (
            [f"at: 2026-11-17T10:00, {CHAT}, expect: {{refused: x}}"],
            "0 tests[0].journey[0]: `refused` is for what an agent does",
        ),
        (
            [f"at: 2026-11-17T10:00, {CHAT}", "at: 2026-11-17T10:01, do: {reply: whatsap}"],
            "1 tests[0].journey[1].do.reply: `whatsap` is no channel: write true for the case's "
            "own; did you mean `whatsapp`?",
        ),
        (
            [f"at: 2026-11-17T10:00, {CHAT}", "at: 2026-11-17T10:01, do: {transfer: clams}"],
            "1 tests[0].journey[1].do.transfer: unknown team `clams`: did you mean `claims`?",
        ),
        (
            [f"at: 2026-11-17T10:00, {CHAT}", "at: 2026-11-17T10:01, do: {clame: jo}"],
            "1 tests[0].journey[1].do.clame: unknown key `clame`: did you mean `claim`?",
        ),
        (
            [f"at: 2026-11-17T10:00, {CHAT}, expect: {{due_metric: first}}"],
            "0 tests[0].journey[0].expect.due_metric: unknown word `first`",
        ),
        (
            ["at: 2026-11-17T10:00, given: {channel: email, tags: [x]}"],
            "0 tests[0].journey[0].given: no message comes with tags",
        ),
        (
            [
                f"at: 2026-11-17T10:00, {CHAT}",
                "at: 2026-11-17T10:01, do: {claim: jo, until: 2026-11-18T10:00}",
            ],
            "1 tests[0].journey[1].do: `until` is for a pause",
        ),
    ],
)
def test_a_wrong_journey(steps: list[str], expected: str) -> None:
    assert only_problem(*steps).startswith(expected)


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ("{name: t}", "is no example: give `given` and `expect`, or a `journey`"),
        ("{name: t, given: {}}", "is no example"),
        (
            "{name: t, given: {}, journey: [{at: 2026-11-17T10:00, given: {}}]}",
            "has a journey: move `at`, `given` and `expect` into its steps",
        ),
    ],
)
def test_an_example_is_one_event_or_a_journey(test: str, expected: str) -> None:
    text = POLICY.replace("  - name: it\n    journey:\n", f"  - {test}\n")
    with pytest.raises(PolicyError, match="tests") as error:
        Policy.parse(text)
    assert expected in error.value.problems[0].message
