"""Notices to people: Slack, Teams, ntfy and mail, each against a strict server on loopback."""

from __future__ import annotations

import email
import email.policy
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from services.notifier.answers import Answer
from services.notifier.targets.people import accepted
from services.router.policy import Policy
from services.router.versions.targets import check_targets
from shared.accounts import Account
from shared.channels.email import message_from_mime
from shared.events import HandoffOffered, Manner, Target, Wording
from shared.guard import Guard
from tests.builders import NOON
from tests.fakes.endpoint import Behaviour, hang, reset, status
from tests.fakes.ntfy import FakeNtfy
from tests.fakes.slack import FakeSlack
from tests.fakes.smtp import FakeSmtp
from tests.fakes.teams_workflow import FakeWorkflow
from tests.notifying import ACCOUNTS, Notifying, notifying
from tests.policies import least_with
from tests.waiting import until

DESK = "desk@example.net"
PATH = "/services/T0/B0/secret-of-the-hook"
MAIL = """
  support-mail:
    channel: email
    provider: mailgun
    address: support@example.org
    signing_key: a-signing-key
    plus_addressing: true
    subject_tag: true
    outbound: {{host: 127.0.0.1, port: %d, starttls: false}}
"""


@dataclass
class Town:
    """A notifier, with the services it writes to."""

    room: Notifying
    slack: FakeSlack
    workflow: FakeWorkflow
    ntfy: FakeNtfy
    smtp: FakeSmtp

    def target(self, kind: str, **manner: object) -> Target:
        path = {"slack": PATH, "teams": "/workflows/w", "ntfy": "/desk"}.get(kind, "")
        address = f"{self.room.endpoint.url}{path}" if path else DESK
        put = msgspec.convert({"zone": "Europe/Amsterdam", **manner}, Manner)
        return Target(kind=kind, address=address, name="parcels", manner=put)

    def answers(self, kind: str) -> list[Behaviour]:
        """What the next requests to a service meet."""
        if kind == "slack":
            return self.slack.answers
        return self.workflow.answers if kind == "teams" else self.ntfy.answers

    async def warn(self, *targets: Target, state: str = "sent") -> str:
        """Warns of a case and waits for the outcome; the case's id."""
        case = await self.room.open_case()
        await self.room.hear(self.room.warning(case, *targets))
        async with self.room.sending():
            await self.room.settled(*[state] * len(targets))
        return str(case)

    async def letter(self) -> str:
        (row,) = await self.room.rows("SELECT reason FROM dead_letters")
        return str(row.reason)

    def mail(self, number: int = -1) -> EmailMessage:
        message = email.message_from_bytes(
            self.smtp.accepted[number].content, policy=email.policy.default
        )
        assert isinstance(message, EmailMessage)
        return message


@pytest.fixture
async def town(database_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    async with (
        FakeSmtp() as smtp,
        notifying(database_url, tmp_path, accounts=ACCOUNTS + MAIL % smtp.port) as room,
    ):
        town = Town(room, FakeSlack(), FakeWorkflow(), FakeNtfy(), smtp)
        room.endpoint.always(PATH, town.slack)
        room.endpoint.always("/workflows/w", town.workflow)
        room.endpoint.always("/desk", town.ntfy)
        yield town


# --- what arrives ----------------------------------------------------------------------------


async def test_slack_shows_it_in_the_recipients_language_and_time(town: Town) -> None:
    case = await town.warn(town.target("slack", language="nl"))
    (message,) = town.slack.messages
    assert message["text"] == "over 30 minuten: eerste antwoord, parcels"
    assert message["blocks"][1]["text"]["text"] == (
        f"De termijn voor eerste antwoord in zaak {case[-8:]} (parcels, whatsapp) loopt over 30 "
        f"minuten af: 10:30.\n/v1/cases/{case}"
    )


async def test_a_policys_words_mention_nobody_in_slack(town: Town) -> None:
    words = (Wording(kind="reminder", text="<!channel> {left} & {link}"),)
    await town.warn(town.target("slack", words=words))
    shown = town.slack.messages[0]["blocks"][1]["text"]["text"]
    assert shown.startswith("&lt;!channel&gt; in 30 minutes &amp; ")


async def test_teams_shows_a_card_of_plain_lines(town: Town) -> None:
    words = (Wording(kind="reminder", text="a *b* [c](d)\n{due}"),)
    await town.warn(town.target("teams", words=words))
    title = "Due in 30 minutes: first answer, parcels"
    assert town.workflow.lines() == [title, "a *b* [c](d)", "10:30"]


async def test_ntfy_shows_title_and_urgency_to_whom_its_password_lets_in(town: Town) -> None:
    town.ntfy.user, town.ntfy.password = "desk", "pass"
    plain = town.target("ntfy", language="de", urgency=5)
    host = plain.address.removeprefix("http://")
    await town.warn(msgspec.structs.replace(plain, address=f"http://desk:pass@{host}"))
    (message,) = town.ntfy.messages
    assert message["title"] == "Fällig in 30 Minuten: Erste Antwort, parcels"
    assert (message["priority"], message["tags"]) == (5, "alarm_clock")
    assert "ist in 30 Minuten fällig: 10:30" in message["message"]


async def test_what_is_left_is_told_as_it_leaves_not_as_it_was_decided(town: Town) -> None:
    case = await town.room.open_case()
    await town.room.hear(town.room.warning(case, town.target("slack")))
    town.room.clock.at = NOON + timedelta(minutes=20)
    async with town.room.sending():
        await town.room.settled("sent")
    assert town.slack.messages[0]["text"].startswith("Due in 10 minutes")


async def test_a_webhook_beside_it_gets_its_data_and_no_manner(town: Town) -> None:
    own = msgspec.structs.replace(town.room.webhook(), manner=Manner(language="nl"))
    await town.warn(town.target("slack"), own)
    (request,) = town.room.endpoint.at("/parcels")
    assert set(request.json()) == {"type", "timestamp", "data"}


# --- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "body", "advice"),
    [
        (400, b"invalid_payload", "invalid_payload"),
        (410, b"channel_is_archived", "make a webhook for another"),
        (404, b"no_service", "removed or switched off: make a new one"),
        (403, b"action_prohibited", "ask them"),
        (302, b"", "redirects are not followed"),
    ],
)
async def test_a_refusal_of_slack_is_final_and_says_what_to_do(
    town: Town, code: int, body: bytes, advice: str
) -> None:
    town.slack.answers.append(status(code, body, location="http://127.0.0.1:1/"))
    await town.warn(town.target("slack"), state="failed")
    assert advice in await town.letter()
    assert "secret-of-the-hook" not in await town.letter()
    assert len(town.room.endpoint.at(PATH)) == 1


async def test_nothing_that_is_kept_of_an_answer_repeats_the_address(town: Town) -> None:
    town.slack.answers.append(status(404, f"no_service at {PATH}".encode()))
    await town.warn(town.target("slack"), state="failed")
    (row,) = await town.room.rows("SELECT response FROM attempts")
    assert row.response == "no_service at …"
    assert "secret-of-the-hook" not in await town.letter()
    signed = "https://logic.example.net/workflows/w1/invoke?sp=%2Frun&sig=a%2Bb%3Dlong"
    said = Answer(200, "run /workflows/w1/invoke with a+b=long or a%2Bb%3Dlong")
    assert accepted(said, signed, {}).body == "run … with … or …"


@pytest.mark.parametrize("kind", ["slack", "teams", "ntfy"])
async def test_who_is_asked_to_wait_waits(town: Town, kind: str) -> None:
    town.answers(kind).append(status(429, b"rate_limited", retry_after="600"))
    case = await town.room.open_case()
    await town.room.hear(town.room.warning(case, town.target(kind)))
    async with town.room.sending():
        await town.room.tried(1)
        (row,) = await town.room.rows("SELECT next_at FROM deliveries")
        assert row.next_at == NOON + timedelta(minutes=10)
        town.room.clock.at = row.next_at
        await town.room.settled("sent")


@pytest.mark.parametrize("kind", ["slack", "teams", "ntfy"])
@pytest.mark.parametrize("behaviour", [status(503), reset(), hang()])
async def test_what_may_come_right_is_tried_again(
    town: Town, kind: str, behaviour: Behaviour
) -> None:
    town.answers(kind).append(behaviour)
    case = await town.room.open_case()
    await town.room.hear(town.room.warning(case, town.target(kind)))
    async with town.room.sending():
        await town.room.tried(1)
        town.room.clock.at = NOON + timedelta(seconds=5)
        await town.room.settled("sent")


async def test_a_reminder_is_not_tried_beyond_its_step(town: Town) -> None:
    town.ntfy.answers.append(status(429, retry_after="1800"))
    await town.warn(town.target("ntfy"), state="failed")
    assert "no time is left to try again" in await town.letter()


async def test_a_message_too_large_for_ntfy_is_given_up(town: Town) -> None:
    town.ntfy.answers.append(status(413, b'{"code":41301,"error":"attachment too large"}'))
    await town.warn(town.target("ntfy"), state="failed")
    assert "http_413" in await town.letter()


async def test_an_agents_own_address_reaches_nothing_private(town: Town) -> None:
    """Though the operator's policy names the same host and port."""
    for kind in ("slack", "teams", "ntfy"):
        await town.warn(town.target(kind, own=True), state="failed")
        await town.room.run("DELETE FROM deliveries")
    rows = await town.room.rows("SELECT reason FROM dead_letters")
    assert len(rows) == 3
    assert all("REGIE_ALLOW_PRIVATE_TARGETS" in row.reason for row in rows)
    assert town.room.endpoint.requests == []


# --- mail ------------------------------------------------------------------------------------


async def test_a_mail_is_marked_as_a_machines_and_invites_no_answer(town: Town) -> None:
    await town.warn(town.target("email", language="fr"))
    (taken,) = town.smtp.accepted
    (row,) = await town.room.rows("SELECT id FROM deliveries")
    mail = town.mail()
    assert taken.recipients == (DESK,)
    assert mail["From"] == "support@example.org"
    assert mail["Subject"] == "À rendre dans 30 minutes : première réponse, parcels"
    assert mail["Message-ID"] == f"<regie.notice.{row.id}@example.org>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["X-Auto-Response-Suppress"] == "All"
    assert mail["Reply-To"] is None  # no way into the customer's case
    assert "Personne ne lit les réponses" in mail.get_content()


async def test_a_mail_in_doubt_is_sent_again_as_the_same_mail(town: Town) -> None:
    town.smtp.answer("DATA", "drop")
    case = await town.room.open_case()
    await town.room.hear(town.room.warning(case, town.target("email")))
    async with town.room.sending():
        await town.room.tried(1)
        town.room.clock.at = NOON + timedelta(seconds=5)
        await town.room.settled("sent")
    (row,) = await town.room.rows("SELECT id, attempts FROM deliveries")
    assert (town.mail()["Message-ID"], row.attempts) == (f"<regie.notice.{row.id}@example.org>", 2)


async def test_notices_count_against_the_rate_of_the_account_they_leave_by(
    database_url: str, tmp_path: Path
) -> None:
    slow = (ACCOUNTS + MAIL) % 0 + "    rate: {{account: 1/60s}}\n"
    async with FakeSmtp() as smtp:
        accounts = slow.replace("port: 0", f"port: {smtp.port}")
        async with notifying(database_url, tmp_path, accounts=accounts) as room:
            case = await room.open_case()
            for name in ("jo", "kim"):
                told = Target(kind="email", address=f"{name}@example.net", manner=Manner())
                await room.hear(room.warning(case, told))

            async def one_sent() -> bool:
                return sorted(await room.states()) == ["pending", "sent"]

            async with room.sending():
                await until(one_sent)
                (row,) = await room.rows("SELECT next_at FROM deliveries WHERE attempts = 0")
                assert row.next_at > NOON + timedelta(seconds=60)
                room.clock.at = row.next_at
                await room.settled("sent", "sent")
        assert len(smtp.accepted) == 2


async def test_what_comes_back_of_a_notice_is_nobodys_message(town: Town) -> None:
    await town.warn(town.target("email"))
    account = town.room.runtime.accounts.get("support-mail")
    assert account is not None
    itself = town.smtp.accepted[0].content
    answer = (
        b"From: Jo <desk@example.net>\r\nTo: support@example.org\r\nSubject: Re: Due\r\n"
        b"Message-ID: <1@example.net>\r\nIn-Reply-To: " + town.mail()["Message-ID"].encode()
        + b"\r\n\r\nI am on it.\r\n"
    )  # fmt: skip
    for raw, reason in ((itself, "our own"), (answer, "answers a notice")):
        assert kind_of(raw, account) == ("auto_reply", True, reason)


def kind_of(raw: bytes, account: Account) -> tuple[str, bool, str]:
    parsed = message_from_mime(raw, account, DESK, ["support@example.org"], NOON)
    (message,) = parsed.messages
    reasons = message.attributes["automatic"]
    return message.kind, message.automatic, reasons[0]


async def test_a_partner_gets_the_handoffs_link_by_mail(town: Town) -> None:
    case = await town.room.open_case()
    link = "https://regie.example.org/v1/partner/abc"
    offer = HandoffOffered(
        handoff_id=uuid4(), reason="agent", author="jo", expires_at=NOON + timedelta(hours=4),
        from_team="parcels", from_channel="whatsapp", to_team="carrier", results=("order_number",),
        answer_url=link, notify=(town.target("email"),),
    )  # fmt: skip
    await town.room.hear(town.room.change(case, offer))
    async with town.room.sending():
        await town.room.settled("sent")
    mail = town.mail()
    assert mail["Subject"] == "Handoff for carrier: answer by 14:00"
    assert "order_number" in mail.get_content()
    assert link in mail.get_content()


async def test_mail_to_an_account_of_ours_is_refused(town: Town) -> None:
    loop = msgspec.structs.replace(town.target("email"), address="Support@example.org")
    await town.warn(loop, state="failed")
    assert "an account of ours" in await town.letter()
    assert town.smtp.accepted == []


async def test_without_an_account_that_sends_mail_is_a_dead_letter(
    database_url: str, tmp_path: Path
) -> None:
    async with notifying(database_url, tmp_path) as room:
        case = await room.open_case()
        await room.hear(room.warning(case, Target(kind="email", address=DESK, manner=Manner())))
        async with room.sending():
            await room.settled("failed")
        (row,) = await room.rows("SELECT reason FROM dead_letters")
        assert "give one an `outbound` in the channels file" in row.reason


# --- what a policy by API may name ------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "url", "refused"),
    [
        ("slack", "http://10.0.0.7/services/x", True),
        ("teams", "http://[::1]:8080/w", True),
        ("ntfy", "http://ntfy.internal/desk", True),
        ("ntfy", "http://169.254.169.254/latest", True),
        ("slack", "https://hooks.slack.com/services/x", False),
    ],
)
async def test_a_policy_by_api_names_nothing_private(
    town: Town, kind: str, url: str, refused: bool
) -> None:
    policy = Policy.parse(
        least_with(teams=f"{{desk: {{notify: [{{{kind}: '{url}'}}]}}}}", reply_from="{teams: bot}")
    )
    found = await check_targets(town.room.runtime.engine, policy, Guard.of(""))
    assert [each.field for each in found] == [f"teams.desk.notify[0].{kind}"] * refused
