"""Text messages by Twilio, out of the form of an incoming one.

Source: twilio.com/docs/messaging/guides/webhook-request and, for `OptOutType`,
…/tutorials/advanced-opt-out. Twilio joins the parts of a long text before it tells us of it.
"""

from __future__ import annotations

from shared.accounts import Account
from shared.channels import WebhookRequest
from shared.channels.providers.twilio_messages import Form, files
from shared.channels.sms import items
from shared.channels.sms.items import Text
from shared.events import MessageReceived


def message(form: Form, owner: Account, request: WebhookRequest) -> MessageReceived:
    """Raises Unreadable where nobody is named as the sender."""
    found, lost = files(form)
    return items.message(
        Text(
            id=form.get("MessageSid") or form.get("SmsSid", ""),
            sender=form.get("From", "").strip(),
            recipient=form.get("To", ""),
            at=request.received_at,  # Twilio signs no time
            text=form.get("Body", ""),
            files=found,
            lost=lost,
            opt_out=items.opt_out(form.get("OptOutType", "")),
        ),
        owner,
        request.received_at,
        dict(form),
    )
