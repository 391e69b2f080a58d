"""Amazon SNS, which carries what Amazon SES has to say: its envelope and its signature.

Source: docs.aws.amazon.com/sns, "Verifying the signatures of Amazon SNS messages" and "Parsing
Amazon SNS message formats". The signature says that Amazon wrote it, of whichever topic: anyone may
have a topic. So the topic is pinned to the account, and the address of the certificate is checked
before anybody fetches it.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from shared.accounts import Account
from shared.channels import KeySource, WebhookRequest
from shared.channels.wire import text_at
from shared.errors import Unauthenticated, Unreadable

NOTIFICATION: Final = "Notification"
SUBSCRIBED: Final = "SubscriptionConfirmation"
UNSUBSCRIBED: Final = "UnsubscribeConfirmation"
_SIGNED: Final[Mapping[str, tuple[str, ...]]] = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    SUBSCRIBED: ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
_HASHES: Final[Mapping[str, hashes.HashAlgorithm]] = {
    "1": hashes.SHA1(),  # noqa: S303 - what topics sign with that nobody has set to version 2
    "2": hashes.SHA256(),
}
_HOST: Final = re.compile(r"sns\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?", re.ASCII)
_PATH: Final = re.compile(r"/[A-Za-z0-9._/-]{1,200}\.pem", re.ASCII)
_ARN: Final = re.compile(
    r"arn:(aws[a-z-]*):sns:([a-z0-9-]+):\d{12}:[A-Za-z0-9_.-]{1,256}", re.ASCII
)


def envelope(body: bytes) -> Mapping[str, Any]:
    """The message as Amazon wrote it, every character of it: the signature covers the decoded text.
    Raises Unreadable."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Unreadable("the body is no JSON, as SNS sends it") from error
    if not isinstance(found, dict):
        raise Unreadable("the body is no message of SNS")
    return found


def topics(account: Account) -> Collection[str]:
    """The topics whose messages the account takes."""
    given = account.settings.get("topic_arn", ())
    return (given,) if isinstance(given, str) else tuple(given)


def region_of(topic_arn: str) -> str:
    """`eu-west-1` of `arn:aws:sns:eu-west-1:…`; empty for what is no topic."""
    found = _ARN.fullmatch(topic_arn)
    return found[2] if found else ""


def keys_wanted(request: WebhookRequest, account: Account) -> KeySource:
    """The certificate the message names. Raises Unauthenticated for a topic that is not the
    account's, and for an address that is not Amazon's."""
    message = _ours(request, account)
    address = _certificate_address(text_at(message, "SigningCertURL"), account)
    return KeySource(address, address, partial(_certificate, address), chosen=True)


def verify(request: WebhookRequest, account: Account) -> None:
    """Raises Unauthenticated unless SNS signed this, for a topic of the account's."""
    message = _ours(request, account)
    address = _certificate_address(text_at(message, "SigningCertURL"), account)
    certificate = request.keys.get(address)
    if certificate is None:
        raise Unauthenticated("SigningCertURL leads to no certificate: let Amazon SNS sign it")
    if (
        not certificate.not_valid_before_utc
        <= request.received_at
        <= certificate.not_valid_after_utc
    ):
        raise Unauthenticated("the signing certificate is not valid now: check the clocks")
    digest = _HASHES.get(text_at(message, "SignatureVersion"))
    if digest is None:
        raise Unauthenticated("SignatureVersion must be 1 or 2")
    try:
        signature = base64.b64decode(text_at(message, "Signature"), validate=True)
        certificate.public_key().verify(signature, to_sign(message), PKCS1v15(), digest)
    except (binascii.Error, ValueError, InvalidSignature) as error:
        raise Unauthenticated("Signature is not Amazon's for these words") from error


def to_sign(message: Mapping[str, Any]) -> bytes:
    """What the signature covers: names and values, each on a line of its own, in byte order."""
    kind = str(message.get("Type"))
    names = _SIGNED[SUBSCRIBED if kind == UNSUBSCRIBED else kind]
    pairs = ((name, message.get(name)) for name in names)
    text = "".join(f"{name}\n{value}\n" for name, value in pairs if value is not None)
    return text.encode("utf-8", "replace")  # half an emoji, as Java writes it


def confirmation(message: Mapping[str, Any], account: Account) -> str:
    """The call that confirms a subscription. It is made of topic and token, never of the address
    in the message. Source: the API's "ConfirmSubscription", which needs no credentials."""
    topic, token = str(message["TopicArn"]), text_at(message, "Token")
    if not token or not region_of(topic):
        raise Unreadable("the confirmation has no Token, or its TopicArn is none")
    asked = {"Action": "ConfirmSubscription", "TopicArn": topic, "Token": token}
    query = urlencode({**asked, "Version": "2010-03-31"})
    ending = ".cn" if topic.startswith("arn:aws-cn:") else ""
    base = f"https://sns.{region_of(topic)}.amazonaws.com{ending}"
    return f"{_sandbox(account) or base}/?{query}"


def _ours(request: WebhookRequest, account: Account) -> Mapping[str, Any]:
    try:
        message = envelope(request.body)
    except Unreadable as error:
        raise Unauthenticated(f"{error}: turn raw message delivery off") from error
    if message.get("Type") not in (NOTIFICATION, SUBSCRIBED, UNSUBSCRIBED):
        raise Unauthenticated("Type is none of SNS: turn raw message delivery off")
    if message.get("TopicArn") not in topics(account):
        raise Unauthenticated("TopicArn is no topic_arn of this account: name it in the file")
    return message


def _certificate_address(given: str, account: Account) -> str:
    """Where to fetch the certificate: Amazon, or what stands in for it by the operator's word."""
    sandbox = _sandbox(account)
    try:
        parts = urlsplit(given)
        genuine = (
            parts.scheme == "https"
            and _HOST.fullmatch(parts.netloc.removesuffix(":443")) is not None
        )
    except ValueError as error:
        raise Unauthenticated("SigningCertURL is no address") from error
    if not (genuine or (sandbox and given.startswith(f"{sandbox}/"))):
        raise Unauthenticated("SigningCertURL must lead to https://sns.<region>.amazonaws.com")
    if not _PATH.fullmatch(parts.path) or parts.query or parts.fragment:
        raise Unauthenticated("SigningCertURL must end in .pem")
    return f"{sandbox or f'https://{parts.netloc}'}{parts.path}"


def _sandbox(account: Account) -> str:
    return str(account.settings.get("api_base", "")).rstrip("/")


def _certificate(address: str, pem: bytes) -> Mapping[str, x509.Certificate]:
    certificate = x509.load_pem_x509_certificate(pem)
    if not isinstance(certificate.public_key(), RSAPublicKey):
        raise ValueError("the certificate's key is not RSA")
    return {address: certificate}
