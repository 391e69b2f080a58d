"""Teams: every activity of `teams/`, the token and all that may be wrong with it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from shared.channels import WebhookRequest
from shared.channels.teams import TeamsInbound, keys_wanted
from shared.channels.teams.hosts import may_have_our_token
from shared.channels.teams.tokens import read_keys
from shared.channels.wire import load as load_json
from shared.channels.wire import text_at
from shared.errors import Forbidden, NotFound, Unauthenticated, Unreadable
from shared.events import MessageReceived
from tests.contracts.channels.behaviour import (
    CHECKS,
    RECEIVED_AT,
    Check,
    Door,
    load,
    name_of,
    named,
    post,
)

CASES = json.loads((Path(__file__).parent / "teams" / "activities.json").read_text())
APP = "c9e8c047-2a74-40a2-b28a-b162d5f5327c"
ACCOUNTS = load(
    f"""
    accounts:
      desk-teams: {{channel: teams, provider: microsoft, app_id: {APP}}}
      fake-teams: {{channel: teams, provider: microsoft, app_id: other, api_base: "http://127.0.0.1:9"}}
    """
)
DESK, FAKE = named(ACCOUNTS, "desk-teams"), named(ACCOUNTS, "fake-teams")
KEY, STRANGER = RSAKey.generate_key(2048), RSAKey.generate_key(2048)
SERVICE = "https://smba.trafficmanager.net/amer/"
AROUND = {
    "timestamp": "2026-10-01T11:17:04.000Z",
    "serviceUrl": SERVICE,
    "channelId": "msteams",
    "from": {
        "id": "29:1XJKJMvc5GBtc2JwZq0oj8tHZmzrQgFmB39ATiQWA85gQtHieVkKilBZ9XHoq9j7Zaqt7CZ",
        "name": "Larry Jin",
        "aadObjectId": "7faf8ba7-79c7-4079-a8c5-5c26e4a6d3b1",
    },
    "conversation": {"conversationType": "personal", "id": "a:1pL6i0oY3C0K8oAj8"},
    "recipient": {"id": f"28:{APP}", "name": "Regie"},
}  # fmt: skip
NOW = int(RECEIVED_AT.timestamp())


def published(key: RSAKey = KEY, id: str = "k1", endorsements: Any = ("msteams",)) -> Any:
    part = {**key.as_dict(private=False), "kid": id, "endorsements": list(endorsements)}
    return read_keys(json.dumps({"keys": [part]}).encode())


def token(key: RSAKey = KEY, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
    told = {
        "iss": "https://api.botframework.com", "aud": APP, "serviceurl": SERVICE,
        "nbf": NOW - 60, "exp": NOW + 3600,
    }  # fmt: skip
    said = {"alg": "RS256", "kid": "k1", **(header or {})}
    return jwt.encode(said, told | claims, key, algorithms=[said["alg"]])


def signed(body: bytes, with_token: str = "", keys: Any = None) -> WebhookRequest:
    request = post(body, {"authorization": f"Bearer {with_token or token()}"})
    return replace(request, keys=published() if keys is None else keys)


def body_of(received: Mapping[str, Any]) -> bytes:
    return json.dumps(AROUND | dict(received)).encode()


GOOD = body_of(CASES[0]["received"])


def around(body: bytes) -> WebhookRequest:
    """Rightly signed for whatever the body names."""
    try:
        named = load_json(body)
    except Unreadable:
        named = None
    channel = text_at(named, "channelId") or "msteams"
    return signed(
        body, token(serviceurl=text_at(named, "serviceUrl")), published(endorsements=[channel, ""])
    )


DOOR = Door(
    TeamsInbound(),
    DESK,
    ACCOUNTS,
    sign=around,
    body=GOOD,
    covered=False,
    wrong=[
        {"authorization": f"Bearer {token(STRANGER)}"},
        {"authorization": "Bearer "},
        {"authorization": "Bearer é.☃.x"},
        {"authorization": f"Basic {token()}"},
    ],
)


@pytest.mark.parametrize("check", CHECKS, ids=name_of)
def test_behaviour(check: Check) -> None:
    check(DOOR)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_activity(case: Any) -> None:
    parsed = DOOR.parse(signed(body_of(case["received"])))
    assert not parsed.parked
    assert len(parsed.messages) == len(case["messages"])
    for message, want in zip(parsed.messages, case["messages"], strict=True):
        assert {field: shown(message, field) for field in want} == want
    assert [[s.provider_id, s.status] for s in parsed.statuses] == case.get("statuses", [])
    assert (json.loads(parsed.answer.body) if parsed.answer.body else None) == case.get("answer")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"channelId": "webchat"}, "webchat"),
        ({"serviceUrl": "https://evil.example.org/"}, "no service of Microsoft's"),
        ({"serviceUrl": "https://smba.trafficmanager.net.evil.example.org/"}, "no service"),
        ({"conversation": {}}, "no conversation"),
    ],
)
def test_what_could_not_be_answered_is_parked(changes: Any, reason: str) -> None:
    (parked,) = DOOR.parse(signed(body_of(CASES[0]["received"] | changes))).parked
    assert reason in parked.reason


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "https://sts.windows.net/evil/"},
        {"aud": "another-app"},
        {"exp": NOW - 301},
        {"nbf": NOW + 301},
        {"exp": None},
        {"serviceurl": "https://evil.example.org/"},
        {"header": {"kid": "k2"}},
        {"header": {"alg": "PS256"}},
    ],
)
def test_a_token_for_something_else_is_refused(wrong: dict[str, Any]) -> None:
    header = wrong.pop("header", None)
    with pytest.raises(Unauthenticated):
        TeamsInbound().verify(signed(GOOD, token(header=header, **wrong)), DESK)


@pytest.mark.parametrize("right", [{"exp": NOW - 299}, {"nbf": NOW + 299}])
def test_clocks_may_differ_by_five_minutes(right: dict[str, Any]) -> None:
    TeamsInbound().verify(signed(GOOD, token(**right)), DESK)


def test_a_key_speaks_for_the_channels_it_endorses_only() -> None:
    keys = published(endorsements=("skype", "webchat"))
    with pytest.raises(Forbidden):
        TeamsInbound().verify(signed(GOOD, keys=keys), DESK)


def test_a_symmetric_signature_by_the_public_key_is_refused() -> None:
    """The classic: HS256 with the published key for a secret."""
    header = {"alg": "none", "kid": "k1"}
    unsigned = ".".join((_part(header), _part({"aud": APP}), ""))
    with pytest.raises(Unauthenticated):
        TeamsInbound().verify(signed(GOOD, unsigned), DESK)


def test_the_keys_are_asked_of_microsoft_and_nobody_else() -> None:
    source = keys_wanted(signed(GOOD), DESK)
    assert source.url == "https://login.botframework.com/v1/.well-known/openidconfiguration"
    assert source.id == "k1"
    assert source.leads is not None
    right = {"jwks_uri": "https://login.botframework.com/v1/.well-known/keys"}
    assert source.leads(json.dumps(right).encode()) == right["jwks_uri"]
    for wrong in ("https://evil.example.org/keys", "http://login.botframework.com/", ""):
        with pytest.raises(ValueError, match="jwks_uri"):
            source.leads(json.dumps({"jwks_uri": wrong}).encode())


@pytest.mark.parametrize(
    ("url", "ours"),
    [
        ("https://smba.trafficmanager.net/emea/", True),
        ("https://europe.api.botframework.com", True),
        ("https://smba.infra.gcc.teams.microsoft.com/teams", True),
        ("http://smba.trafficmanager.net/emea/", False),
        ("https://smba.trafficmanager.net:8443/", False),
        ("https://smba.trafficmanager.net@evil.example.org/", False),
        ("https://evilbotframework.com/", False),
        ("https://x.trafficmanager.net/", False),
        ("https://smba.trafficmanager.net.evil.org", False),
        ("https://[::1", False),
        ("", False),
    ],
)
def test_who_may_have_our_token(url: str, ours: bool) -> None:
    assert may_have_our_token(url, DESK) is ours
    assert not may_have_our_token("http://127.0.0.1:9/", DESK)
    assert may_have_our_token("http://127.0.0.1:9/v3", FAKE)


def test_microsoft_asks_nothing_by_get() -> None:
    with pytest.raises(NotFound):
        TeamsInbound().handshake(WebhookRequest("GET", "", [], "", {}, b"", RECEIVED_AT), DESK)


def shown(message: MessageReceived, field: str) -> Any:
    match field:
        case "ids":
            return [each.value for each in message.sender.identities]
        case "sender":
            return message.sender.name
        case "references":
            return list(message.thread.references)
        case "target":
            return message.thread.target
        case "files":
            return [[file.url, file.name] for file in message.attachments]
    return msgspec.to_builtins(getattr(message, field))


def _part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("words", ["<at " * 30_000, "<at>" + " " * 100_000], ids=["open", "blank"])
def test_a_hostile_text_takes_no_more_than_its_length(words: str) -> None:
    began = time.process_time()
    html = [{"contentType": "text/html", "content": words}]
    for told in ({"text": words}, {"text": "", "attachments": html}):
        DOOR.parse(around(body_of(CASES[0]["received"] | told)))
    assert time.process_time() - began < 2
