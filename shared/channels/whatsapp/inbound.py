"""The door side of WhatsApp: one POST, up to a thousand updates, each told apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from shared.accounts import Account, Accounts
from shared.channels import Answer, Parked, Parsed, WebhookRequest
from shared.channels.providers import meta
from shared.channels.whatsapp.content import explanation
from shared.channels.whatsapp.items import Setting, message, status
from shared.channels.wire import dump, list_at, mapping_at, text_at
from shared.errors import Unreadable
from shared.events import DeliveryStatusReceived, MessageReceived

_OBJECT: Final = "whatsapp_business_account"
_LISTS: Final = {"messages": "messages", "smb_message_echoes": "message_echoes"}


class MetaInbound:
    """WhatsApp webhooks of Meta's Cloud API."""

    @property
    def max_body(self) -> int:
        return meta.MAX_BODY

    def handshake(self, request: WebhookRequest, account: Account) -> Answer:
        return meta.handshake(request, account.secrets("verify_token"))

    def verify(self, request: WebhookRequest, account: Account) -> None:
        meta.verify(request, account.secrets("app_secret"))

    def parse(self, request: WebhookRequest, account: Account, accounts: Accounts) -> Parsed:
        found = _Found()
        owners = _owners(account, accounts)
        for change in meta.changes(request.body, _OBJECT):
            if change.field not in _LISTS:
                found.park(change.value, _unread(change.field))
                continue
            number = text_at(mapping_at(change.value, "metadata"), "phone_number_id")
            if (owner := owners.get(number)) is None:
                found.park(change.value, _unknown(number), _only_id(change.value))
                continue
            _read(found, change.field, change.value, _setting(change.value, owner, request))
        return found.parsed()


@dataclass(slots=True)
class _Found:
    messages: list[MessageReceived] = field(default_factory=list)
    statuses: list[DeliveryStatusReceived] = field(default_factory=list)
    parked: list[Parked] = field(default_factory=list)

    def park(self, item: Any, reason: str, key: str = "") -> None:
        self.parked.append(Parked(dump(item), reason, key))

    def parsed(self) -> Parsed:
        return Parsed(self.messages, self.statuses, self.parked)


def _read(found: _Found, field: str, value: Mapping[str, Any], around: Setting) -> None:
    items, statuses = list_at(value, _LISTS[field]), list_at(value, "statuses")
    for item in items:
        try:
            found.messages.append(message(item, around, echo=field == "smb_message_echoes"))
        except Unreadable as error:
            found.park(item, str(error), text_at(item, "id"))
    for item in statuses:
        try:
            found.statuses.append(status(item, around))
        except Unreadable as error:
            found.park(item, str(error), f"{text_at(item, 'id')} {text_at(item, 'status')}".strip())
    if not (items or statuses):
        why = next((explanation(each) for each in list_at(value, "errors")), "")
        found.park(value, why or f"there is neither a message nor a status in this {field!r}")


def _setting(value: Any, owner: Account, request: WebhookRequest) -> Setting:
    return Setting(
        account=owner,
        display_number=text_at(mapping_at(value, "metadata"), "display_phone_number"),
        contacts=list_at(value, "contacts"),
        received_at=request.received_at,
    )


def _owners(account: Account, accounts: Accounts) -> Mapping[str, Account]:
    """The accounts this signature speaks for, by phone number id.

    An app secret belongs to an app and serves all its numbers; an app may speak for no other's.
    """
    secrets = set(account.secrets("app_secret"))
    return {
        number: each
        for each in accounts
        if (each.channel, each.provider) == ("whatsapp", "meta")
        and secrets & set(each.secrets("app_secret"))
        and (number := text_at(dict(each.settings), "phone_number_id"))
    }


def _unread(field: str) -> str:
    if not field:
        return "this entry is not a change with a `field` and a `value`"
    return f"Regie does not read {field[:40]!r}: take that field off the app's subscriptions"


def _unknown(number: str) -> str:
    if not number:
        return "metadata.phone_number_id is missing"
    return (
        f"phone_number_id {number[:40]} is no account with this app secret: "
        "add it to the channels file, or take its webhook back in Meta's app settings"
    )


def _only_id(value: Any) -> str:
    items = [*list_at(value, "messages"), *list_at(value, "message_echoes")]
    return text_at(items[0], "id") if len(items) == 1 else ""
