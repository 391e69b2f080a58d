"""What the tests of Messenger and Instagram share: the accounts of one app, and its signature."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from shared.channels import Parsed, WebhookRequest
from shared.channels.providers.meta_direct import DirectInbound
from tests.contracts.channels import messages
from tests.contracts.channels.behaviour import load, named, post
from tests.contracts.channels.messages import Case

SECRET, OLD, OTHER = "app-secret-of-the-desk", "app-secret-of-last-year", "app-secret-of-another"
ACCOUNTS = load(
    """
    accounts:
      desk-messenger:
        channel: messenger
        provider: meta
        page_id: "114352288281000"
        app_id: "555000111"
        app_secret: ["${NEW}", "${OLD}"]
        verify_token: our-verify-token
        access_token: ["EAAG-page", old-token]
        api_base: http://meta.test
      night-messenger:
        channel: messenger
        provider: meta
        page_id: "114352288281111"
        app_secret: ${NEW}
        verify_token: our-verify-token
        access_token: EAAG-page
        human_agent: true
        api_base: http://meta.test
      elsewhere-messenger:
        channel: messenger
        provider: meta
        page_id: "114352288282222"
        app_secret: ${OTHER}
        verify_token: our-verify-token
      desk-instagram:
        channel: instagram
        provider: meta
        account_id: "17841405309211844"
        app_id: "555000111"
        app_secret: ${NEW}
        verify_token: our-verify-token
        access_token: EAAG-page
        human_agent: false
        api_base: http://meta.test
    """,
    NEW=SECRET, OLD=OLD, OTHER=OTHER,
)  # fmt: skip
MESSENGER, NIGHT = named(ACCOUNTS, "desk-messenger"), named(ACCOUNTS, "night-messenger")
INSTAGRAM = named(ACCOUNTS, "desk-instagram")


def signed(body: bytes, secret: str = SECRET) -> WebhookRequest:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return post(body, {"x-hub-signature-256": f"sha256={digest}"})


def parse(payload: Any) -> Parsed:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return DirectInbound().parse(signed(body), MESSENGER, ACCOUNTS)


def check(case: Case) -> None:
    """One row of a table; `nothing` is for what tells a desk nothing, `keyless` for what Meta gives
    no id, `echo` for a reply that was typed elsewhere."""
    parsed = parse(messages.body_of(case))
    if case.get("nothing"):
        assert [*parsed.messages, *parsed.statuses, *parsed.parked] == []
    elif "parked" in case and case.get("keyless"):
        (item,) = parsed.parked
        assert case["parked"] in item.reason
        assert json.loads(item.raw) is not None
        assert [*parsed.messages, *parsed.statuses] == []
    else:
        wanted = dict(case.get("message", {}))
        if parsed.messages:
            assert parsed.messages[0].echo is wanted.pop("echo", False)
        messages.check({**case, "message": wanted} if wanted else case, parsed)
