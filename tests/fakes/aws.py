"""Amazon, as far as mail goes: SNS with its signatures, SES' API, a bucket of S3.

FakeAws().app is an ASGI application: hand it to `httpx.ASGITransport`, or serve it on loopback and
name it as an account's `api_base`. Requests are checked with Amazon's own signing code (botocore).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.parser import BytesParser
from email.policy import default
from functools import cache
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.x509.oid import NameOID
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.fakes.answering import Answering, Refusal

TOPIC = "arn:aws:sns:eu-west-1:123456789012:mails"
PEM_PATH = "/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
CERTIFICATE_URL = f"https://sns.eu-west-1.amazonaws.com{PEM_PATH}"
KEY_ID, SECRET = "AKIDEXAMPLE0000000001", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
_FIELDS = {
    "Notification": ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"],
    "SubscriptionConfirmation": [
        "Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"
    ],
}  # fmt: skip
_SEND = frozenset(
    {"FromEmailAddress", "Destination", "ReplyToAddresses", "FeedbackForwardingEmailAddress",
     "Content", "EmailTags", "ConfigurationSetName"}
)  # fmt: skip
_TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")


class Signer:
    """SNS' side of a signature: a key, and the certificate of it."""

    def __init__(self, begins: datetime | None = None, days: int = 3650) -> None:
        self.key = rsa.generate_private_key(65537, 2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
        begins = begins or datetime(2025, 1, 1, tzinfo=UTC)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(1)
            .not_valid_before(begins)
            .not_valid_after(begins + timedelta(days=days))
            .sign(self.key, hashes.SHA256())
        )

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def sign(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """The message with its signature, as its SignatureVersion wants it."""
        kind = message["Type"].replace("Unsubscribe", "Subscription")
        lines = [f"{n}\n{message[n]}\n" for n in _FIELDS[kind] if message.get(n) is not None]
        algorithm = hashes.SHA1() if message["SignatureVersion"] == "1" else hashes.SHA256()
        signature = self.key.sign("".join(lines).encode(), PKCS1v15(), algorithm)
        return {**message, "Signature": base64.b64encode(signature).decode()}

    def notification(self, said: Any, **changes: Any) -> dict[str, Any]:
        """`said` (text, or what becomes JSON) as SNS posts it."""
        text = said if isinstance(said, str) else json.dumps(said)
        message = {
            "Type": "Notification",
            "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": TOPIC,
            "Subject": "Amazon SES Email Receipt Notification",
            "Message": text,
            "Timestamp": "2026-10-01T11:59:58.900Z",
            "SignatureVersion": "2",
            "SigningCertURL": CERTIFICATE_URL,
            "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe",
            **changes,
        }
        return self.sign({name: value for name, value in message.items() if value is not None})

    def confirmation(self, **changes: Any) -> dict[str, Any]:
        return self.notification(
            f"You have chosen to subscribe to the topic {TOPIC}.",
            **{
                "Type": "SubscriptionConfirmation",
                "Token": "2336412f37",
                "SubscribeURL": "https://evil.example/confirm",
                "Subject": None,
                **changes,
            },
        )


@cache
def signer() -> Signer:
    return Signer()


@dataclass
class FakeAws(Answering):
    """One account at Amazon in eu-west-1.

    verified   identities that may send
    objects    what lies in S3, by `bucket/key`
    confirmed  the tokens of subscriptions that were confirmed
    """

    verified: frozenset[str] = frozenset({"example.org"})
    configuration_sets: frozenset[str] = frozenset({"replies"})
    objects: dict[str, bytes] = field(default_factory=dict)
    confirmed: list[str] = field(default_factory=list)
    endpoints: tuple[tuple[str, str], ...] = ()
    sending: bool = True
    pem: bytes = b""

    def __post_init__(self) -> None:
        self.app = Starlette(
            routes=[
                Route("/v2/email/outbound-emails", self._send, methods=["POST"]),
                Route("/v2/email/account", self._account),
                Route("/v2/email/identities/{name}", self._identity),
                Route("/", self._sns),
                Route("/{bucket}/{key:path}", self._object),
                Route("/{name}", self._certificate),
            ]
        )

    def refuse(self, name: str, message: str = "Because of this.", status: int = 400) -> None:
        """The next request is refused with this error of Amazon's."""
        self.answer(status, {"message": message}, {"x-amzn-errortype": f"{name}:http://internal/"})

    async def _send(self, request: Request) -> Response:
        body = await request.body()
        if (answer := self.note(request, body)) is not None:
            return answer
        try:
            _check_signature(request, body, "ses")
            self.accepted.append(self._checked(request, body))
        except Refusal as refusal:
            name, message = refusal.content
            headers = {"x-amzn-errortype": name}
            return JSONResponse({"message": message}, refusal.status, headers)
        return JSONResponse({"MessageId": f"0102{uuid4().hex}-000000"})

    def _checked(self, request: Request, body: bytes) -> dict[str, Any]:
        if request.headers.get("content-type") != "application/json":
            raise _refusal("BadRequestException", "content type")
        given = json.loads(body)
        if not isinstance(given, dict) or given.keys() - _SEND:
            raise _refusal("BadRequestException", "unknown member")
        to = given["Destination"]["ToAddresses"]
        if not all(re.fullmatch(r"[!-?A-~]+@[a-z0-9.-]+\.[a-z0-9-]+", each) for each in to):
            raise _refusal("BadRequestException", "Local address contains control or whitespace")
        for tag in given.get("EmailTags", []):
            if not (_TAG.fullmatch(tag["Name"]) and _TAG.fullmatch(tag["Value"])):
                raise _refusal("BadRequestException", "invalid tag")
        chosen = given.get("ConfigurationSetName")
        if chosen is not None and chosen not in self.configuration_sets:
            raise _refusal(
                "NotFoundException", f"Configuration set <{chosen}> does not exist.", 404
            )
        mail = base64.b64decode(given["Content"]["Raw"]["Data"], validate=True)
        if any(len(line) > 998 for line in mail.split(b"\r\n")) or len(mail) > 40_000_000:
            raise _refusal("BadRequestException", "line or mail too long")
        self._check_sender(mail)
        return {**given, "mail": mail}

    def _check_sender(self, mail: bytes) -> None:
        sender = BytesParser(policy=default).parsebytes(mail)["From"].addresses[0]
        if not {sender.addr_spec, sender.domain} & self.verified:
            words = f"Email address is not verified. The following identities failed: {sender}"
            raise _refusal("MessageRejected", words)

    async def _account(self, request: Request) -> Response:
        if (answer := self.note(request, None)) is not None:
            return answer
        if not _signed(request, b"", "ses"):
            return JSONResponse({"message": "no"}, 403)
        quota = {"Max24HourSend": 50000.0, "MaxSendRate": 14.0, "SentLast24Hours": 1.0}
        return JSONResponse(
            {"SendingEnabled": self.sending, "ProductionAccessEnabled": True,
             "EnforcementStatus": "HEALTHY", "SendQuota": quota}
        )  # fmt: skip

    async def _identity(self, request: Request) -> Response:
        if not _signed(request, b"", "ses"):
            return JSONResponse({"message": "no"}, 403)
        if request.path_params["name"] not in self.verified:
            return JSONResponse({"message": "not found"}, 404)
        return JSONResponse({"IdentityType": "DOMAIN", "VerifiedForSendingStatus": True})

    async def _sns(self, request: Request) -> Response:
        asked = {name: value[0] for name, value in parse_qs(request.url.query).items()}
        if (answer := self.note(request, asked)) is not None:
            return answer
        if asked.get("Version") != "2010-03-31" or asked.get("TopicArn") != TOPIC:
            return Response("<ErrorResponse/>", 400)
        if asked["Action"] == "ConfirmSubscription":
            self.confirmed.append(asked["Token"])
            return Response("<ConfirmSubscriptionResponse/>", media_type="text/xml")
        if not _signed(request, b"", "sns"):
            return Response("<ErrorResponse/>", 403)
        members = "".join(
            f"<member><Endpoint>{endpoint}</Endpoint><SubscriptionArn>{arn}</SubscriptionArn>"
            "</member>"
            for endpoint, arn in self.endpoints
        )
        return Response(f"<Subscriptions>{members}</Subscriptions>", media_type="text/xml")

    async def _object(self, request: Request) -> Response:
        if (answer := self.note(request, None)) is not None:
            return answer
        if not _signed(request, b"", "s3"):
            return Response("<Error><Code>SignatureDoesNotMatch</Code></Error>", 403)
        found = self.objects.get(f"{request.path_params['bucket']}/{request.path_params['key']}")
        return Response(found) if found is not None else Response("<Error/>", 404)

    async def _certificate(self, request: Request) -> Response:
        if (answer := self.note(request, None)) is not None:
            return answer
        pem = self.pem or signer().pem
        known = request.url.path == PEM_PATH
        return Response(pem) if known else Response("<Error/>", 403)


def _refusal(name: str, message: str, status: int = 400) -> Refusal:
    return Refusal(status, (name, message))


def _check_signature(request: Request, body: bytes, service: str) -> None:
    if not _signed(request, body, service):
        raise _refusal("SignatureDoesNotMatch", "The request signature does not match.", 403)


def _signed(request: Request, body: bytes, service: str) -> bool:
    """Signs the same request with botocore, and compares."""
    given = request.headers.get("authorization", "")
    names = re.search(r"SignedHeaders=([^,]+)", given)
    if names is None:
        return False
    headers = {
        name: request.headers[name]
        for name in names[1].split(";")
        if name not in ("host", "x-amz-date", "x-amz-content-sha256")
    }
    path = request.scope["raw_path"].decode()
    query = f"?{request.scope['query_string'].decode()}" if request.url.query else ""
    url = f"{request.url.scheme}://{request.headers['host']}{path}{query}"
    return given == authorization(
        request.method, url, body, headers, service, request.headers["x-amz-date"]
    )


def authorization(
    method: str,
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    service: str,
    stamp: str,
    region: str = "eu-west-1",
) -> str:
    """The header Amazon's own library would write."""
    again = AWSRequest(method=method, url=url, data=body, headers=dict(headers))
    again.context["timestamp"] = stamp
    kind = S3SigV4Auth if service == "s3" else SigV4Auth
    auth = kind(Credentials(KEY_ID, SECRET), service, region)
    again.headers["X-Amz-Date"] = stamp
    if service == "s3":
        again.headers["X-Amz-Content-SHA256"] = auth.payload(again)
    canonical = auth.canonical_request(again)
    signature = auth.signature(auth.string_to_sign(again, canonical), again)
    signed = auth.signed_headers(auth.headers_to_sign(again))
    return (
        f"AWS4-HMAC-SHA256 Credential={auth.scope(again)}, SignedHeaders={signed}, "
        f"Signature={signature}"
    )
