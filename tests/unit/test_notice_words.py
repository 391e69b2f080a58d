"""What notices say: in every language, in local time, in a policy's own words, within limits."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest

from services.router.commands import Way
from services.router.manners import target
from services.router.policy import Policy
from services.router.previewing import preview
from services.router.rules.accounts import check_accounts
from services.router.rules.people import Notify
from services.router.rules.templates import Templates
from services.router.switching import invitation
from shared import notices
from shared.errors import Invalid
from shared.events import Channel, Manner, Wording
from shared.named_targets import urls_in
from shared.notices import CUSTOMERS, KINDS, PLACES, NoticeKind, Put, samples
from shared.notices.builtin import LANGUAGES, WORDS
from shared.notices.filling import fill, problem_in
from shared.notices.shapes import encoded_word
from shared.notices.times import left, moment
from tests.policies import least_with, only_problem, problems, warnings

NOW = datetime(2026, 11, 17, 9, 0, tzinfo=UTC)  # a Tuesday
HOOK = "https://hooks.slack.com/services/T0/B0/x"
SLACK = f'{{desk: {{notify: [{{slack: "{HOOK}"}}]}}}}'


def put(kind: NoticeKind = "reminder", base: str = "https://regie.test", **manner: Any) -> Put:
    payload = samples.payload(kind, NOW) | {"manner": msgspec.to_builtins(Manner(**manner))}
    return notices.worded(notices.read(payload, base), NOW)


# --- built-in words --------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_words_in_every_language(kind: NoticeKind, language: str) -> None:
    subject, text = WORDS[language][kind]
    assert problem_in(subject, PLACES[kind]) == problem_in(text, PLACES[kind], ["link"]) == ""
    found = put(kind, language=language)
    assert "{" not in found.subject + found.text
    assert found.link in found.text
    for name, (most, longest) in notices.LIMITS.items():
        assert len(found.subject) <= most, name
        assert len(found.text) <= longest, name


def test_every_event_that_tells_somebody_has_a_kind() -> None:
    assert set(notices.TYPES.values()) | {"digest"} == set(KINDS)
    assert set(Templates.model_fields) == {*KINDS, *CUSTOMERS} == {*PLACES, *CUSTOMERS}


def test_a_reminder_says_what_and_when_in_the_teams_own_time() -> None:
    found = put(language="nl-BE", zone="Europe/Amsterdam")
    assert found.subject == "over 30 minuten: eerste antwoord, parcels"
    assert found.text == (
        "De termijn voor eerste antwoord in zaak 2f7a90de (parcels, whatsapp) loopt over 30 "
        "minuten af: 10:30.\n"
        "https://regie.test/v1/cases/019a8f52-6f00-7c31-9d4e-5b1c2f7a90de"
    )


def test_a_partners_notice_leads_to_their_own_link() -> None:
    payload = samples.payload("handoff", NOW)
    payload["data"]["answer_url"] = "https://regie.test/v1/partner/abc"
    assert (
        notices.worded(notices.read(payload, ""), NOW).link == "https://regie.test/v1/partner/abc"
    )


def test_a_digest_lists_the_first_twenty_and_counts_the_rest() -> None:
    payload = samples.payload("digest", NOW)
    payload["data"] |= {"items": payload["data"]["items"] * 3, "count": 113}
    lines = notices.worded(notices.read(payload, ""), NOW).text.splitlines()
    assert lines[1] == "- first answer, whatsapp, 2f7a90de, 09:30 (in 30 minutes)"
    assert lines[21] == "… + 93"


def test_without_a_public_address_nothing_can_be_clicked() -> None:
    found = put(base="")
    assert found.link == ""
    assert "\n/v1/cases/019a8f52" in found.text


@pytest.mark.parametrize(
    ("minutes", "language", "expected"),
    [
        (30, "en", "in 30 minutes"),
        (1, "en", "in 1 minute"),
        (0.5, "en", "now"),
        (-0.5, "de", "jetzt"),
        (119, "en", "in 119 minutes"),
        (120, "en", "in 2 hours"),
        (-150, "nl", "2 uur geleden"),
        (47 * 60, "fr", "dans 47 heures"),
        (48 * 60, "fr", "dans 2 jours"),
        (-48 * 60, "de", "vor 2 Tagen"),
        (1.99, "nl", "over 1 minuut"),
    ],
)
def test_what_is_left_is_never_said_to_be_more(
    minutes: float, language: str, expected: str
) -> None:
    assert left(NOW + timedelta(minutes=minutes), NOW, language) == expected


@pytest.mark.parametrize(
    ("at", "language", "expected"),
    [
        ("2026-11-17T22:30", "en", "23:30"),
        ("2026-11-17T23:30", "en", "Wed 18 Nov 00:30"),  # tomorrow already, in Amsterdam
        ("2026-11-20T09:00", "nl", "vr 20 nov. 10:00"),
        ("2026-11-20T09:00", "de", "Fr 20. Nov. 10:00"),
        ("2027-03-28T02:30", "fr", "dim. 28 mars 04:30"),  # the clock went forward that night
    ],
)
def test_a_moment_on_another_day_has_its_date(at: str, language: str, expected: str) -> None:
    when = datetime.fromisoformat(at).replace(tzinfo=UTC)
    assert moment(when, NOW, ZoneInfo("Europe/Amsterdam"), language) == expected


# --- shapes ----------------------------------------------------------------------------------


def own(text: str, subject: str = "s") -> Put:
    return put(words=(Wording(kind="reminder", subject=subject, text=text),))


def test_slack_mentions_nobody_and_stays_within_its_block() -> None:
    message = json.loads(notices.slack(own("<!channel> a & b " * 400, "<@U1> & so")).body)
    header, section = message["blocks"]
    assert header["text"]["text"] == "<@U1> & so"  # plain text: nothing is read in it
    assert message["text"] == "&lt;@U1&gt; &amp; so"
    assert len(section["text"]["text"]) <= 3000
    assert section["text"]["text"].startswith("&lt;!channel&gt; a &amp; b ")
    assert section["text"]["text"].endswith("…")


@pytest.mark.parametrize("text", ["é" * 40_000, "line\n" * 9_000, '"\\' * 20_000])
def test_a_card_fits_into_28_kilobytes(text: str) -> None:
    request = notices.teams(own(text))
    assert len(request.body) <= 28_000
    assert json.loads(request.body)["attachments"][0]["content"]["version"] == "1.4"


def test_ntfy_cuts_between_letters() -> None:
    body = notices.ntfy(own("é" * 3_000)).body
    assert len(body) <= 4_096
    assert body.decode().endswith("é…")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("Fällig", "=?UTF-8?B?RsOkbGxpZw==?="),
        ("=?UTF-8?Q?x?=", "=?UTF-8?B?PT9VVEYtOD9RP3g/PQ==?="),
        ("a\r\nX-Evil: b", "=?UTF-8?B?YQ0KWC1FdmlsOiBi?="),
    ],
)
def test_a_header_is_ascii_and_one_line(text: str, expected: str) -> None:
    assert encoded_word(text) == expected


def test_long_headers_are_several_words_of_75() -> None:
    words = encoded_word("ü€" * 40).split(" ")
    assert len(words) > 1
    assert max(map(len, words)) <= 75


# --- words of one's own ----------------------------------------------------------------------


def test_braces_and_placeholders() -> None:
    assert fill("{{x}} {team} {other}", {"team": "a"}) == "{x} a {other}"


@pytest.mark.parametrize(
    ("templates", "expected"),
    [
        ("{reminder: {en: {text: '{lef}'}}}",
         "6 templates.reminder.en.text: unknown placeholder `{lef}`: did you mean `left`?"),
        ("{reminder: {en: {subject: 'due {left'}}}",
         "6 templates.reminder.en.subject: a brace stands alone: close the placeholder, {case}, or "
         "write {{ or }} where a brace itself is meant"),
        ("{reminder: {en: {text: '{left!r}'}}}",
         "6 templates.reminder.en.text: `{left…}` takes no more than its name: write {left}"),
        ("{reminder: {en: {text: '{team.__class__}'}}}",
         "6 templates.reminder.en.text: unknown placeholder `{team.__class__}`: there is case, "
         "channel, due, left, link, metric, step, team"),
        ("{remindr: {en: {text: x}}}",
         "6 templates.remindr: unknown key `remindr`: did you mean `reminder`?"),
        ("{reminder: {en: {txt: x}}}",
         "6 templates.reminder.en.txt: unknown key `txt`: did you mean `text`?"),
        ("{reminder: {Dutch: {text: x}}}",
         "6 templates.reminder.Dutch: `Dutch` is no language: write nl, or nl-BE"),
        ("{invitation: {en: {text: Come along}}}",
         "6 templates.invitation.en.text: lacks {how}, without which it says nothing"),
        ("{invitation: {en: {subject: x}}}",
         "6 templates.invitation.en.subject: takes no subject: it has that of the case"),
        ("{survey: {en: {text: '{question} {low}'}}}",
         "6 templates.survey.en.text: lacks {high}, without which it says nothing"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_template_is_told_with_its_place(
    templates: str, expected: str
) -> None:
    assert problems(least_with(templates=templates)) == [expected]


def test_a_template_without_words_is_refused() -> None:
    found = only_problem(least_with(templates="{reminder: {en: {}}}"))
    assert found.startswith("6 templates.reminder.en: has no words")


@pytest.mark.parametrize(("kind", "too_long"), [("slack", True), ("email", False)])
def test_words_must_fit_where_the_policy_sends_them(kind: str, too_long: bool) -> None:
    address = HOOK if kind == "slack" else "desk@example.org"
    text = least_with(
        teams=f"{{desk: {{notify: [{{{kind}: '{address}'}}]}}}}",
        templates=f"{{reminder: {{en: {{subject: '{'x' * 145} {{left}}'}}}}}}",
    )
    if too_long:
        assert "takes 159 characters filled in, and slack shows 150" in only_problem(text)
    else:
        Policy.parse(text)


def test_a_language_nobody_has_words_in_is_refused() -> None:
    text = least_with(language="es", teams=SLACK)
    assert "language: there are no words in `es`: write templates" in only_problem(text)
    everything = {kind: {"es": {"subject": "s", "text": "t"}} for kind in KINDS}
    Policy.parse(least_with(language="es", teams=SLACK, templates=json.dumps(everything)))
    Policy.parse(least_with(language="es"))  # nobody reads it


def test_a_policys_own_words_travel_with_the_notice() -> None:
    policy = Policy.parse(least_with(
        teams="{desk: {calendar: office, notify: [{email: a@example.org, language: nl-BE}]}}",
        templates="{reminder: {nl: {subject: 'Let op: {left}'}}, digest: {nl: {text: '{list}'}}, "
        "breach: {nl: {text: x}}}",
        notify_from="support-mail",
    ))  # fmt: skip
    (told,) = policy.notify_team("desk", NOW, "normal", "reminder")
    assert told.manner == Manner(
        language="nl-BE", zone="Europe/Amsterdam", sender="support-mail",
        words=(Wording(kind="reminder", subject="Let op: {left}"),
               Wording(kind="digest", text="{list}")),
    )  # fmt: skip
    payload = samples.payload("reminder", NOW) | {"manner": msgspec.to_builtins(told.manner)}
    found = notices.worded(notices.read(payload, ""), NOW)
    assert found.subject == "Let op: over 30 minuten"
    assert found.text.startswith("De termijn voor eerste antwoord")  # the rest is built in


def test_a_webhook_gets_no_words() -> None:
    policy = Policy.parse(
        least_with(teams="{desk: {notify: [{webhook: https://h.example.org/x}]}}")
    )
    assert policy.notify_team("desk", NOW, "normal")[0].manner is None


def test_what_an_agent_named_is_marked_as_theirs() -> None:
    policy = Policy.parse(least_with())
    for given in ({"ntfy": "https://ntfy.sh/jo"}, {"webhook": "https://jo.example.org/x"}):
        told = target(policy, Notify.model_validate(given), "reminder", "desk", "jo")
        assert told.name == "jo"
        assert told.manner is not None
        assert told.manner.own


def test_customers_read_the_policys_words() -> None:
    policy = Policy.parse(
        least_with(templates="{invitation: {nl: {text: 'Kom naar {channel}: {how}'}}}")
    )
    way = Way(address="+31880000000")
    words = policy.own_words("invitation", "nl-BE")[1]
    text = invitation("phone", way, "R-7K4Q-2M9X", "", "nl-BE", words)
    assert text.startswith("Kom naar de telefoon: Bel +31880000000")
    assert policy.own_words("invitation", "de") == ("", "")
    assert invitation("phone", way, "R-7K4Q-2M9X", "", "de").startswith("Wollen wir")


# --- `notify` --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("{slack: 'https://a.example.org/x', teams: 'https://b.example.org/x'}",
         "give one of webhook, email, slack, teams, ntfy"),
        ("{}", "give one of webhook, email, slack, teams, ntfy"),
        ("'https://hooks.slack.com/services/x'", "say what it is: write {slack: "),
        ("'https://prod-1.westeurope.logic.azure.com/workflows/x'", "write {teams: "),
        ("'https://ntfy.sh/desk'", "write {ntfy: "),
        ("'desk@example.org'", "write {email: "),
        ("{ntfy: 'https://ntfy.sh/'}", "names no topic: write https://ntfy.sh/topic"),
        ("{ntfy: 'https://ntfy.sh/desk', priority: 6}", "is no priority of ntfy: write 1 to 5"),
        ("{slack: 'https://a.example.org/x', priority: 4}", "`priority` is for ntfy"),
        ("{webhook: 'https://a.example.org/x', language: nl}", "leave `language` out"),
        ("{slack: 'https://a.example.org/x', language: Dutch}", "`Dutch` is no language"),
        ("{teams: 'logic.azure.com/x'}", "is no address: write https://host/path"),
        ("{slack: 'https://a.example.org/x', language: xx}", "there are no words in `xx`"),
    ],
)  # fmt: skip
def test_an_entry_that_is_wrong_is_told_of(entry: str, expected: str) -> None:
    found = only_problem(least_with(teams=f"{{desk: {{notify: [{entry}]}}}}"))
    assert expected in found
    assert "teams.desk.notify[0]" in found


@pytest.mark.parametrize(("given", "expected"), [("urgent", 5), ("min", 1), (4, 4), ("default", 3)])
def test_priorities_have_names(given: Any, expected: int) -> None:
    assert (
        Notify.model_validate({"ntfy": "https://ntfy.sh/x", "priority": given}).priority == expected
    )


def test_urls_are_found_where_they_are_addresses_only() -> None:
    data = {
        "teams": {"desk": {"notify": [{"teams": "https://a/"}, {"slack": "https://b/"}]}},
        "supervisors": {"notify": [{"ntfy": "https://c/t"}, {"email": "a@b"}]},
        "reply_from": {"teams": "desk-teams"},
        "templates": {"reminder": {"en": {"text": "https://d/"}}},
    }
    assert [url for _, url in urls_in(data)] == ["https://a/", "https://b/", "https://c/t"]


ACCOUNTS: dict[str, Channel] = {"a": "email", "b": "email", "w": "whatsapp"}
MAIL = "{desk: {notify: [{email: desk@example.org}]}}"


@pytest.mark.parametrize(
    ("sections", "senders", "expected", "warning"),
    [
        ({"notify_from": "c"}, {"a"}, "unknown account `c`", False),
        ({"notify_from": "w"}, {"a", "w"}, "account `w` is on whatsapp, not on email", False),
        ({"notify_from": "b"}, {"a"}, "account `b` only receives", False),
        ({"teams": MAIL}, {"w"}, "no mail account can send", True),
        ({"teams": MAIL}, {"a", "b"}, "several mail accounts can send (a, b)", True),
    ],
)
def test_mail_that_could_not_leave_is_told_of(
    sections: dict[str, str], senders: set[str], expected: str, warning: bool
) -> None:
    (found,) = check_accounts(Policy.parse(least_with(**sections)), ACCOUNTS, senders)
    assert (expected in found.message, found.warning) == (True, warning), found


@pytest.mark.parametrize(
    ("sections", "senders"),
    [
        ({"teams": MAIL}, {"a"}),
        ({"teams": MAIL, "notify_from": "b"}, {"a", "b"}),
        ({"teams": MAIL, "reply_from": "{email: b}"}, {"a", "b"}),
        ({"teams": MAIL}, None),
        ({"teams": SLACK}, set()),
    ],
)
def test_mail_that_can_leave_is_no_problem(
    sections: dict[str, str], senders: set[str] | None
) -> None:
    assert check_accounts(Policy.parse(least_with(**sections)), ACCOUNTS, senders) == []


# --- previews --------------------------------------------------------------------------------


def test_a_preview_shows_the_very_request() -> None:
    policy = Policy.parse(least_with(templates="{reminder: {nl: {subject: 'Nog {left}'}}}"))
    found = preview(policy, "reminder", "nl", "slack", NOW)
    assert found.subject == "Nog over 30 minuten"
    assert found.body["blocks"][0]["text"]["text"] == "Nog over 30 minuten"
    assert preview(policy, "breach", "", "ntfy", NOW).headers["Priority"] == "4"
    assert "Nobody reads answers" in preview(policy, "breach", "", "", NOW).text


@pytest.mark.parametrize("kind", [*KINDS, *CUSTOMERS])
@pytest.mark.parametrize("target", ["email", "slack", "teams", "ntfy"])
def test_everything_can_be_previewed(kind: str, target: str) -> None:
    found = preview(Policy.parse(least_with()), kind, "fr", target, NOW)
    assert found.text
    assert "{" not in found.text


def test_an_unknown_kind_is_told_of() -> None:
    with pytest.raises(Invalid, match="did you mean `reminder`"):
        preview(Policy.parse(least_with()), "remindr", "", "", NOW)


def test_the_kinds_are_those_of_the_section() -> None:
    assert set(get_args(NoticeKind)) == set(KINDS)
    assert UUID(samples.payload("reminder", NOW)["data"]["case_id"]).version == 7
    assert warnings(least_with(teams=SLACK)) == []
