"""The channels file: accounts, secrets, and every mistake with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.account_fields import ACCOUNT_FIELDS, ONE_OF, Secret, read_size
from shared.accounts import Account, Accounts, AccountsError, load_accounts
from shared.events import Channel

SHIPPED = Path(__file__).parents[2] / "deploy" / "channels.yaml"
ENV = {
    "MAILGUN_SIGNING_KEY": "mailgun-key",
    "META_APP_SECRET": "meta-secret",
    "META_VERIFY_TOKEN": "verify-token",
    "META_ACCESS_TOKEN": "access-token",
    "TWILIO_AUTH_TOKEN": "twilio-token",
    "PORTAL_SECRET": "whsec_cG9ydGFs",
}


def shipped() -> Accounts:
    return load_accounts(SHIPPED.read_text(encoding="utf-8"), "channels.yaml", ENV)


def one(fields: str, **env: str) -> Account:
    (account,) = load_accounts(f"accounts:\n  it: {{{fields}}}\n", "channels.yaml", env)
    return account


def mistakes(fields: str, **env: str) -> list[str]:
    with pytest.raises(AccountsError) as error:
        one(fields, **env)
    return [f"{p.line} {p.field}: {p.message}" for p in error.value.problems]


def named(accounts: Accounts, name: str) -> Account:
    account = accounts.get(name)
    assert account is not None
    return account


# --- the shipped file ------------------------------------------------------------------------


def test_the_shipped_accounts() -> None:
    accounts = shipped()
    assert accounts.channels() == {
        "support-mail": "email",
        "post-room": "email",
        "desk-whatsapp": "whatsapp",
        "desk-phone": "phone",
        "service-portal": "portal",
    }
    assert len(accounts) == 5
    assert accounts.get("nobody") is None


def test_settings_and_secrets() -> None:
    accounts = shipped()
    mail = named(accounts, "support-mail")
    assert mail.provider == "mailgun"
    assert mail.settings["outbound"] == {"host": "127.0.0.1", "port": 2525, "starttls": False}
    assert mail.secrets("signing_key") == ("mailgun-key",)
    assert mail.secrets("nothing") == ()
    assert "signing_key" not in mail.settings
    assert named(accounts, "post-room").settings["max_size"] == 25_000_000
    whatsapp = named(accounts, "desk-whatsapp").settings
    assert whatsapp["templates"]["resume_invite"]["language"] == "nl"
    phone = named(accounts, "desk-phone").settings
    assert phone["voice"] == {"dial": ("+31880000010",), "timeout": "20s", "voicemail": True}


def test_how_customers_address_us() -> None:
    accounts = shipped()
    assert named(accounts, "support-mail").own_addresses() == {("email", "support@example.org")}
    assert named(accounts, "desk-phone").own_addresses() == {("e164", "+31880000000")}
    assert named(accounts, "desk-whatsapp").own_addresses() == set()
    assert named(accounts, "service-portal").own_addresses() == set()


def test_secrets_do_not_show() -> None:
    accounts = shipped()
    shown = " ".join(f"{account!r} {account} {account.settings!r}" for account in accounts)
    shown += repr([account.secrets("app_secret") for account in accounts])
    assert not any(secret in shown for secret in ENV.values())
    assert str(Secret("open")) == "open"


# --- values ----------------------------------------------------------------------------------


def test_a_secret_may_be_a_list_and_part_of_a_text() -> None:
    account = one(
        'channel: portal, provider: generic, secret: ["new-${A}", "${B}"], address: "at ${A}"',
        A="1",
        B="2",
    )
    assert account.secrets("secret") == ("new-1", "2")
    assert account.settings["address"] == "at 1"


def test_a_secret_inside_another_field() -> None:
    mail = "channel: email, provider: smtp, address: A@Example.org, listen: '[::1]:25', "
    account = one(mail + "outbound: {host: h, port: '${PORT}', password: [p, q]}", PORT="587")
    assert account.secrets("outbound.password") == ("p", "q")
    assert account.settings["outbound"]["password"] == "p"
    assert account.settings["outbound"]["port"] == 587
    assert "'p'" not in repr(account.settings)
    assert account.own_addresses() == {("email", "a@example.org")}


def test_a_number_is_read_as_people_write_it() -> None:
    account = one(
        'channel: sms, provider: twilio, number: "+31 (88) 000-0000", auth_token: x, '
        "public_url: https://h"
    )
    assert account.settings["number"] == "+31880000000"


@pytest.mark.parametrize(
    ("text", "size"), [("25MB", 25_000_000), ("10 kB", 10_000), (512, 512), ("1GB", 10**9)]
)
def test_sizes(text: object, size: int) -> None:
    assert read_size(text) == size


@pytest.mark.parametrize(
    ("channel", "provider"),
    [(channel, provider) for channel, rows in ACCOUNT_FIELDS.items() for provider in rows],
)
def test_every_row_names_what_it_needs(channel: Channel, provider: str) -> None:
    needed = {name for name, row in ACCOUNT_FIELDS[channel][provider].items() if row.required}
    needed |= {names[0] for row, (names, _) in ONE_OF.items() if row == (channel, provider)}
    if not needed:
        assert one(f"channel: {channel}, provider: {provider}").provider == provider
        return
    missing = mistakes(f"channel: {channel}, provider: {provider}")
    assert {problem.split(": ")[0] for problem in missing} == {
        f"2 accounts.it.{name}" for name in needed
    }


# --- mistakes --------------------------------------------------------------------------------


def test_a_missing_variable_names_account_field_and_variable() -> None:
    with pytest.raises(AccountsError) as error:
        load_accounts(SHIPPED.read_text(encoding="utf-8"), "channels.yaml", {})
    first = str(error.value.problems[0])
    assert first.startswith(
        "channels.yaml:11: accounts.support-mail.signing_key: "
        "the variable MAILGUN_SIGNING_KEY is not set"
    )
    assert len(error.value.problems) == len(ENV)


LINE = "channel: phone, provider: twilio, auth_token: x, public_url: https://h, number: "
MAIL = "channel: email, provider: mailgun, address: a@b, signing_key: "


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("channel: emial", "accounts.it.channel: unknown channel `emial`: did you mean `email`?"),
        ("provider: smtp", "accounts.it.channel: is missing: there is counter, email"),
        (
            "channel: email, provider: mailgn",
            "accounts.it.provider: unknown provider `mailgn`: did you mean `mailgun`?",
        ),
        (MAIL + "k, adress: x", "accounts.it.adress: unknown key `adress`: did you mean `address`"),
        (MAIL + "''", "accounts.it.signing_key: a secret must be text and not empty"),
        (MAIL + "[]", "accounts.it.signing_key: is empty"),
        (MAIL + '"${EMPTY}"', "accounts.it.signing_key: a secret must be text and not empty"),
        (MAIL + '[k, "${NO}"]', "accounts.it.signing_key[1]: the variable NO is not set"),
        (MAIL + "k, max_size: lots", "accounts.it.max_size: `lots` is no size: write 25MB"),
        (MAIL + "k, outbound: {port: 25}", "accounts.it.outbound.host: is missing"),
        (MAIL + "k, outbound: {host: h, prot: 1}", "outbound.prot: unknown key `prot`: did you"),
        (MAIL + "k, outbound: {host: h, port: 70000}", "outbound.port: `70000` is no port"),
        (MAIL + "k, outbound: here", "accounts.it.outbound: must hold `key: value` pairs"),
        (LINE + "+31880000000", 'accounts.it.number: a number must be in quotes: "+31880000000"'),
        (LINE + '"0880000000"', "accounts.it.number: `0880000000` is no number with its country"),
        (LINE + '"+31880000000", voice: {timeout: 20}', "voice.timeout: `20` has no unit"),
        (LINE + '"+31880000000", voice: {dial: x}', 'voice.dial: must be a list: write ["x"]'),
        (
            "channel: email, provider: smtp, address: nobody, listen: h:1",
            "accounts.it.address: `nobody` is no mail address",
        ),
        (
            "channel: email, provider: smtp, address: a@b, listen: '25'",
            "accounts.it.listen: `25` is no address to listen on: write 127.0.0.1:2526",
        ),
        (
            "channel: messenger, provider: meta, page_id: 12, app_secret: s, verify_token: v",
            'accounts.it.page_id: `12` must be text: put it in quotes, "12"',
        ),
    ],
)
def test_one_mistake(fields: str, expected: str) -> None:
    found = mistakes(fields, EMPTY="")
    assert len(found) == 1, found
    assert expected in found[0]


def test_all_mistakes_at_once_and_no_secret_in_them() -> None:
    with pytest.raises(AccountsError) as error:
        load_accounts(
            """
            acounts: {}
            accounts:
              a/b: {channel: portal, provider: generic}
              c: nothing
              d: {channel: email, provider: smtp, address: a@b.c, listen: "h:1"}
              e: {channel: email, provider: smtp, address: A@B.C, listen: "h:1", reply_secret: 5}
            """,
            "channels.yaml",
            {},
        )
    assert [str(problem).split(": ")[:2] for problem in error.value.problems] == [
        ["channels.yaml:2", "acounts"],
        ["channels.yaml:4", "accounts.a/b"],
        ["channels.yaml:5", "accounts.c"],
        ["channels.yaml:7", "accounts.e.reply_secret"],
        ["channels.yaml:7", "accounts.e.address"],
    ]
    assert "is the address of `d` already" in str(error.value)


def test_a_file_without_accounts() -> None:
    for text in ("accounts:", "accounts: []"):
        with pytest.raises(AccountsError, match="one entry for each account"):
            load_accounts(text, "channels.yaml", {})
    assert len(load_accounts("accounts: {}", "channels.yaml", {})) == 0
