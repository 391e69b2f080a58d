"""AWS Signature Version 4: the headers that make a request to Amazon ours.

Source: docs.aws.amazon.com, "AWS Signature Version 4 for API requests" (IAM User Guide). The URL
must be spelt as it goes over the wire: it is signed as it stands.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import quote, unquote, urlsplit

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_PLAIN: Final = "-_.~"  # what RFC 3986 leaves unreserved, besides letters and digits


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key, for one service in one region."""

    key_id: str
    secret: str = field(repr=False)
    region: str
    service: str


def signed(
    method: str,
    url: str,
    credentials: Credentials,
    at: datetime,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """`headers` with those that sign the request; names in lower case. `at` is in UTC."""
    stamp = at.strftime("%Y%m%dT%H%M%SZ")
    payload = hashlib.sha256(body).hexdigest()
    sent = {name.lower(): " ".join(value.split()) for name, value in (headers or {}).items()}
    sent |= {"host": urlsplit(url).netloc.rpartition("@")[2], "x-amz-date": stamp}
    if credentials.service == "s3":
        sent["x-amz-content-sha256"] = payload
    names = ";".join(sorted(sent))
    request = "\n".join(
        [
            method,
            _path(url, credentials.service),
            _query(url),
            *(f"{name}:{sent[name]}" for name in sorted(sent)),
            "",
            names,
            payload,
        ]
    )
    scope = f"{stamp[:8]}/{credentials.region}/{credentials.service}/aws4_request"
    digest = hashlib.sha256(request.encode()).hexdigest()
    signature = _signature(credentials, stamp, f"{_ALGORITHM}\n{stamp}\n{scope}\n{digest}")
    credential = f"Credential={credentials.key_id}/{scope}"
    sent["authorization"] = (
        f"{_ALGORITHM} {credential}, SignedHeaders={names}, Signature={signature}"
    )
    return sent


def _signature(credentials: Credentials, stamp: str, text: str) -> str:
    key = f"AWS4{credentials.secret}".encode()
    for part in (stamp[:8], credentials.region, credentials.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def _path(url: str, service: str) -> str:
    # Every service but S3 signs the path encoded once more than it is sent.
    path = urlsplit(url).path or "/"
    return path if service == "s3" else quote(path, safe=f"/{_PLAIN}")


def _query(url: str) -> str:
    pairs = [part.partition("=") for part in urlsplit(url).query.split("&") if part]
    again = sorted((_encoded(name), _encoded(value)) for name, _, value in pairs)
    return "&".join(f"{name}={value}" for name, value in again)


def _encoded(text: str) -> str:
    return quote(unquote(text), safe=_PLAIN)
