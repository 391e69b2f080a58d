"""Our signatures against the specification's own example and the official library, both ways."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from services.notifier.secrets import new_secret
from shared.channels.providers.standard_webhooks import key_of, sign, sign_all, verify

# The vector of the specification's libraries (standard-webhooks/standard-webhooks, libraries).
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, TIMESTAMP, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def now() -> datetime:
    """The library compares with its own clock, and this module may be read minutes before."""
    return datetime.now(UTC)


def headers(signature: str, at: datetime) -> dict[str, str]:
    return {
        "webhook-id": ID,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature,
    }


def test_the_published_example_to_the_byte() -> None:
    assert sign(SECRET, ID, TIMESTAMP, BODY) == SIGNATURE
    assert Webhook(SECRET).sign(ID, datetime.fromtimestamp(TIMESTAMP, UTC), BODY.decode()) == (
        SIGNATURE
    )


@pytest.mark.parametrize("body", [b"{}", BODY, '{"é": "\u2028 \U0001f600"}'.encode()])
def test_the_official_library_takes_what_we_sign(body: bytes) -> None:
    secret, at = new_secret(), now()
    signature = sign(secret, ID, int(at.timestamp()), body)
    Webhook(secret).verify(body, headers(signature, at))
    for wrong in (body + b" ", b"[]"):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(wrong, headers(signature, at))


def test_either_secret_of_a_rotation_verifies() -> None:
    secrets, at = [new_secret(), new_secret()], now()
    both = sign_all(secrets, ID, int(at.timestamp()), BODY)
    for secret in secrets:
        Webhook(secret).verify(BODY, headers(both, at))
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(BODY, headers(both, at))


def test_we_take_what_the_official_library_signs() -> None:
    secret, at = new_secret(), now()
    signature = Webhook(secret).sign(ID, at, BODY.decode())
    assert verify([new_secret(), secret], headers(signature, at), BODY, at) == ID


def test_an_old_timestamp_is_refused_by_the_library() -> None:
    secret, old = new_secret(), now() - timedelta(minutes=6)
    signature = sign(secret, ID, int(old.timestamp()), BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(BODY, headers(signature, old))


def test_a_secret_is_as_long_as_the_specification_wants() -> None:
    secrets = {new_secret() for _ in range(50)}
    assert len(secrets) == 50
    for secret in secrets:
        assert secret.startswith("whsec_")
        assert 24 <= len(key_of(secret)) <= 64
