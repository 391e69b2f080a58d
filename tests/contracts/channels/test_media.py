"""Fetching files from their provider: who is shown credentials, and what each failure means."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from shared.accounts import Account, load_accounts
from shared.channels import Media
from shared.channels.email import MailgunMedia
from shared.channels.media import download, is_of
from shared.channels.providers.telnyx_media import TelnyxMedia
from shared.channels.providers.twilio_media import TwilioMedia
from shared.channels.providers.vonage_media import VonageMedia
from shared.errors import FetchError
from shared.events import Attachment

NOW = datetime(2026, 11, 17, 9, 0, tzinfo=UTC)
SID = "AC" + "2" * 32
KEY = rsa.generate_private_key(65537, 2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
).decode()
Serve = Callable[[httpx.Request], httpx.Response]


def account(provider: str = "twilio", **settings: str) -> Account:
    needed = {
        "twilio": {"auth_token": "one", "public_url": "https://regie.example.org"},
        "vonage": {"signature_secret": "s", "public_url": "https://regie.example.org"},
        "telnyx": {"public_key": "cHVi", "public_url": "https://regie.example.org"},
    }[provider]
    line = {"channel": "phone", "provider": provider, "number": "+31880000000"}
    text = json.dumps({"accounts": {"line": {**line, **needed, **settings}}})
    found = load_accounts(text, "channels.yaml", {}).get("line")
    assert found is not None
    return found


async def fetch(media: Media, url: str, serve: Serve, of: Account, **file: Any) -> bytes:
    attachment = Attachment(name="a", content_type="audio/mpeg", url=url, **file)
    async with httpx.AsyncClient(transport=httpx.MockTransport(serve)) as http:
        return await media.fetch(attachment, of, http, 1000)


class Kept:
    """Serves what it is told, and remembers what it was asked."""

    def __init__(self, *answers: httpx.Response) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self.answers.pop(0)


def ok(content: bytes = b"sound") -> httpx.Response:
    return httpx.Response(200, content=content)


async def test_vonage_is_shown_a_token_of_the_application() -> None:
    serve, of = Kept(ok()), account("vonage", application_id="an-application", private_key=PEM)
    url = "https://api-eu-1.nexmo.com/v1/files/aaaa"
    assert await fetch(VonageMedia(lambda: NOW), url, serve, of) == b"sound"
    scheme, _, token = serve.asked[0].headers["authorization"].partition(" ")
    claims = jwt.decode(
        token, KEY.public_key(), algorithms=["RS256"], options={"verify_exp": False}
    )
    assert (scheme, claims["application_id"]) == ("Bearer", "an-application")
    assert claims["iat"] == int(NOW.timestamp())


async def test_vonage_takes_the_key_where_there_is_no_application() -> None:
    serve, of = Kept(ok()), account("vonage", api_key="key", api_secret="secret")
    await fetch(VonageMedia(), "https://api-us.nexmo.com/v3/media/1", serve, of)
    expected = base64.b64encode(b"key:secret").decode()
    assert serve.asked[0].headers["authorization"] == f"Basic {expected}"


async def test_vonage_without_either_says_what_is_missing() -> None:
    with pytest.raises(FetchError, match="private_key") as caught:
        await fetch(VonageMedia(), "https://api.nexmo.com/v1/files/1", Kept(), account("vonage"))
    assert (caught.value.code, caught.value.again) == ("token", False)


async def test_twilio_knows_the_account_by_the_address() -> None:
    url = f"https://api.twilio.com/2010-04-01/Accounts/{SID}/Recordings/RE1"
    serve = Kept(ok())
    await fetch(TwilioMedia(), url, serve, account())
    expected = base64.b64encode(f"{SID}:one".encode()).decode()
    assert serve.asked[0].headers["authorization"] == f"Basic {expected}"


@pytest.mark.parametrize(
    "url",
    [
        "https://api.twilio.com.evil.example/x", "https://eviltwilio.com/x", "http://api.twilio.com/x",
        "https://evil.example/api.twilio.com", "https://api.twilio.com@evil.example/x", "",
        "https://api.nexmo.com.evil.example/x", "//api.twilio.com/x",
    ],
)  # fmt: skip
@pytest.mark.parametrize("media", [TwilioMedia(), VonageMedia()])
async def test_no_stranger_is_called_with_credentials(url: str, media: Media) -> None:
    provider = "vonage" if isinstance(media, VonageMedia) else "twilio"
    of = account(provider, **({"api_key": "k", "api_secret": "s"} if provider == "vonage" else {}))
    serve = Kept()
    with pytest.raises(FetchError) as caught:
        await fetch(media, url, serve, of)
    assert (caught.value.code, caught.value.again, serve.asked) == ("refused", False, [])


def test_where_credentials_may_go() -> None:
    hosts = ("twilio.com",)
    assert is_of("https://api.twilio.com/x", hosts, account())
    assert is_of("https://api.dublin.ie1.twilio.com:443/x", hosts, account())
    assert not is_of("https://twilio.com.x/", hosts, account())
    proxied = account(api_base="http://gateway.internal:8080")
    assert is_of("http://gateway.internal:8080/2010/x", hosts, proxied)
    assert not is_of("http://gateway.internal:8081/2010/x", hosts, proxied)


async def test_telnyx_asks_anew_only_for_what_is_over() -> None:
    of = account("telnyx", api_key="key")
    media, old = TelnyxMedia(), "https://files.example/old"
    body = b'{"data": {"download_urls": {"wav": "https://files.example/new"}}}'
    serve = Kept(httpx.Response(403), ok(body), ok(b"new"))
    assert await fetch(media, old, serve, of, media_id="rec-12345678") == b"new"
    assert [str(each.url) for each in serve.asked] == [
        old, "https://api.telnyx.com/v2/recordings/rec-12345678", "https://files.example/new",
    ]  # fmt: skip
    assert ["authorization" in each.headers for each in serve.asked] == [False, True, False]
    for answers, given, code in (
        ([httpx.Response(503)], {"media_id": "rec-12345678"}, "http_503"),
        ([httpx.Response(403)], {"media_id": "../x/y"}, "token"),
        ([httpx.Response(403), ok(b"{}")], {"media_id": "rec-12345678"}, "gone"),
        ([httpx.Response(403), ok(b"?")], {"media_id": "rec-12345678"}, "internal"),
    ):
        with pytest.raises(FetchError) as caught:
            await fetch(media, old, Kept(*answers), of, **given)
        assert caught.value.code == code


@pytest.mark.parametrize(
    ("answer", "code", "again", "after"),
    [
        (httpx.Response(404), "gone", True, None),
        (httpx.Response(401), "token", True, None),
        (httpx.Response(429, headers={"retry-after": "7"}), "throttled", True, 7.0),
        (httpx.Response(503, headers={"retry-after": "9"}), "http_503", True, 9.0),
        (httpx.Response(400), "http_400", False, None),
        (httpx.Response(204), "http_204", False, None),
        (httpx.Response(200, content=b"x" * 1001), "too_large", False, None),
        (httpx.Response(302, headers={"location": "http://a.example/"}), "refused", False, None),
        (httpx.Response(302, headers={"location": "file:///etc/passwd"}), "refused", False, None),
        (httpx.Response(302, headers={"location": "https://[bad"}), "refused", False, None),
    ],
)
async def test_every_failure_has_its_name(
    answer: httpx.Response, code: str, again: bool, after: float | None
) -> None:
    transport = httpx.MockTransport(lambda _: answer)
    async with httpx.AsyncClient(transport=transport) as http:
        with pytest.raises(FetchError) as caught:
            await download(http, "https://files.example/x", {}, 1000)
    error = caught.value
    assert (error.code, error.again, error.retry_after) == (code, again, after)


@pytest.mark.parametrize("url", ["", "x", "https://", "https://[::1", "\x00", "https://a\nb/"])
async def test_what_is_no_address_is_refused(url: str) -> None:
    async with httpx.AsyncClient() as http:
        with pytest.raises(FetchError) as caught:
            await download(http, url, {}, 1000)
    assert caught.value.again is False


# --- Mailgun -----------------------------------------------------------------------------------

STORED = "https://storage.eu.mailgun.net/v3/domains/example.org/messages/k/attachments/0"


def mail_account(**settings: str) -> Account:
    fields = {"channel": "email", "provider": "mailgun", "address": "a@example.org",
              "signing_key": "s", **settings}  # fmt: skip
    text = json.dumps({"accounts": {"mail": fields}})
    found = load_accounts(text, "channels.yaml", {}).get("mail")
    assert found is not None
    return found


async def test_a_stored_file_is_had_with_the_key() -> None:
    serve = Kept(ok())
    assert await fetch(MailgunMedia(), STORED, serve, mail_account(api_key="key-1")) == b"sound"
    shown = base64.b64encode(b"api:key-1").decode()
    assert serve.asked[0].headers["authorization"] == f"Basic {shown}"


@pytest.mark.parametrize(
    ("url", "settings", "code"),
    [
        ("https://mailgun.net.example/x", {"api_key": "key-1"}, "refused"),
        ("http://storage.eu.mailgun.net/x", {"api_key": "key-1"}, "refused"),
        (STORED, {}, "token"),
    ],
)
async def test_the_key_goes_to_mailgun_alone(url: str, settings: dict[str, str], code: str) -> None:
    serve = Kept()
    with pytest.raises(FetchError) as refusal:
        await fetch(MailgunMedia(), url, serve, mail_account(**settings))
    assert refusal.value.code == code
    assert serve.asked == []
