"""The door side of WhatsApp: one POST, up to a thousand updates, each told apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from shared.accounts import Account, Accounts
from shared.channels import Answer, Parked, Parsed, WebhookRequest
from shared.channels.providers import meta
from shared.channels.whatsapp import notices
from shared.channels.whatsapp.items import Setting, message, status
from shared.channels.wire import dump, list_at, mapping_at, text_at
from shared.errors import Unreadable
from shared.events import DeliveryStatusReceived, MessageReceived

_OBJECT: Final = "whatsapp_business_account"
_Read = Callable[[Any, Setting], MessageReceived | DeliveryStatusReceived | None]


def _written(item: Any, around: Setting) -> MessageReceived:
    return message(item, around, echo=False)


def _echoed(item: Any, around: Setting) -> MessageReceived:
    return message(item, around, echo=True)


# Which lists a field holds, and how an item of each is read. In `standby` another sender has the
# conversation; what became of that one's messages is not ours to follow.
_LISTS: Final[Mapping[str, Mapping[str, _Read]]] = {
    "messages": {"messages": _written, "statuses": status},
    "smb_message_echoes": {"message_echoes": _echoed, "statuses": status},
    "standby": {"messages": _written, "message_echoes": _echoed, "statuses": lambda *_: None},
    "calls": {"calls": notices.call, "statuses": lambda *_: None},
    "user_preferences": {"user_preferences": notices.preference},
    "user_id_update": {"user_id_update": notices.new_user_id},
}


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
        owners = meta.owners(account, accounts, "whatsapp", "phone_number_id")
        for change in meta.changes(request.body, _OBJECT):
            if change.field not in _LISTS:
                found.note(change)
                continue
            number = text_at(mapping_at(change.value, "metadata"), "phone_number_id")
            if (owner := owners.get(number)) is None:
                found.park(change.value, _unknown(number), _only_id(change.value))
                continue
            _read(found, change, _setting(change, owner, request))
        return found.parsed()


@dataclass(slots=True)
class _Found:
    messages: list[MessageReceived] = field(default_factory=list)
    statuses: list[DeliveryStatusReceived] = field(default_factory=list)
    parked: list[Parked] = field(default_factory=list)

    def add(self, event: MessageReceived | DeliveryStatusReceived | None) -> None:
        if isinstance(event, MessageReceived):
            self.messages.append(event)
        elif event is not None:
            self.statuses.append(event)

    def park(self, item: Any, reason: str, key: str = "") -> None:
        self.parked.append(Parked(dump(item), reason, key))

    def note(self, change: meta.Change) -> None:
        """A change that holds nothing of a customer's: parked if an operator should hear of it."""
        if change.field in notices.FACTS:
            if reason := notices.fact(change.field, change.value):
                self.park(change.value, reason)
        elif change.field not in notices.IGNORED:
            self.park(change.value, _unread(change.field))

    def parsed(self) -> Parsed:
        return Parsed(self.messages, self.statuses, self.parked)


def _read(found: _Found, change: meta.Change, around: Setting) -> None:
    empty = True
    for name, read in _LISTS[change.field].items():
        for item in list_at(change.value, name):
            empty = False
            try:
                found.add(read(item, around))
            except Unreadable as error:
                found.park(item, str(error), _key(item))
    if empty:
        why = next((meta.explanation(each) for each in list_at(change.value, "errors")), "")
        found.park(change.value, why or f"there is nothing in this {change.field!r}")


def _key(item: Any) -> str:
    return f"{text_at(item, 'id')} {text_at(item, 'status')}".strip()


def _setting(change: meta.Change, owner: Account, request: WebhookRequest) -> Setting:
    return Setting(
        account=owner,
        display_number=text_at(mapping_at(change.value, "metadata"), "display_phone_number"),
        contacts=list_at(change.value, "contacts"),
        received_at=request.received_at,
        standby=change.field == "standby",
    )


def _unread(field: str) -> str:
    if not field:
        return "this entry is not a change with a `field` and a `value`"
    return f"Regie does not read {field[:40]!r}: take that field off the app's subscriptions"


def _unknown(number: str) -> str:
    if not number:
        return "metadata.phone_number_id is missing"
    return meta.unowned(number, "phone_number_id")


def _only_id(value: Any) -> str:
    items = [*list_at(value, "messages"), *list_at(value, "message_echoes")]
    return text_at(items[0], "id") if len(items) == 1 else ""
