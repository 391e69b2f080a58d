"""Basic authentication of a provider that signs nothing: the password in the address it posts to.

`https://regie:<password>@<host>/webhooks/<account>` makes it send `Authorization: Basic`.
"""

from __future__ import annotations

import base64
import binascii
import hmac

from shared.accounts import Account
from shared.channels import WebhookRequest
from shared.errors import Unauthenticated


def verify(request: WebhookRequest, account: Account) -> None:
    """Compares with every `password` of the account, and with its `username` where it has one.

    Raises Unauthenticated. Never 403, upon which Postmark gives a mail up.
    """
    user, password = _given(request.headers.get("authorization", ""))
    passwords = [each.encode() for each in account.secrets("password") if each]
    # Every password is compared: the time taken does not tell which came close.
    right = sum(hmac.compare_digest(password, each) for each in passwords)
    name = str(account.settings.get("username", "")).encode()
    if not (right and (not name or hmac.compare_digest(user, name))):
        raise Unauthenticated(
            f"the password is none of account {account.name}: put it before the host in the "
            f"webhook's address, https://regie:<password>@<host>/webhooks/{account.name}"
        )


def _given(header: str) -> tuple[bytes, bytes]:
    scheme, _, credentials = header.partition(" ")
    if scheme.lower() != "basic":
        raise Unauthenticated("send Authorization: Basic, or put user and password in the address")
    try:
        user, _, password = base64.b64decode(credentials.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        raise Unauthenticated("the credentials are no base64: send Authorization: Basic") from None
    return user, password
