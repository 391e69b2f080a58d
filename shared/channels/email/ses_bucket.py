"""A mail that SES has put into a bucket of S3: what to fetch, signed with the account's key.

Source: docs.aws.amazon.com/ses, "Deliver to S3 bucket action"; docs.aws.amazon.com/AmazonS3,
"GetObject". SES carries mails up to 150 kB in a notification; larger ones must go this way.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from shared.accounts import Account
from shared.channels import Enclosure
from shared.channels.email.mime import LARGEST
from shared.channels.email.ses_api import credentials_of
from shared.channels.providers.sigv4 import signed
from shared.channels.wire import mapping_at, text_at

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)


def enclosure(said: Any, account: Account, at: datetime) -> Enclosure | None:
    """The object with the mail; None where the mail is elsewhere, or the account has no key."""
    bucket, key = place(said)
    credentials = credentials_of(account, "s3")
    if credentials is None or not key or not _BUCKET.fullmatch(bucket) or ".." in bucket:
        return None
    base = str(account.settings.get("api_base", "")).rstrip("/")
    if not base:
        ending = ".cn" if credentials.region.startswith("cn-") else ""
        # The bucket in the path: in the host's name, one with dots has no certificate.
        base = f"https://s3.{credentials.region}.amazonaws.com{ending}"
    url = f"{base}/{bucket}/{quote(key, safe='/-_.~')}"
    return Enclosure(url, signed("GET", url, credentials, at), LARGEST)


def place(said: Any) -> tuple[str, str]:
    """Bucket and key of a received mail; empty where it is in the notification itself."""
    action = mapping_at(mapping_at(said, "receipt"), "action")
    if text_at(action, "type") != "S3" or text_at(said, "content"):
        return "", ""
    bucket, key = action.get("bucketName"), action.get("objectKey")
    return (bucket, key) if isinstance(bucket, str) and isinstance(key, str) else ("", "")
