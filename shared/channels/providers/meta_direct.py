"""Messenger and Instagram webhooks: one envelope, one item at a time.

Sources: developers.facebook.com, "Messenger Platform: webhook events reference" (one page an event)
and "Instagram Platform: webhook notification examples" (editions of 2025 and 2026).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from shared.accounts import Account, Accounts
from shared.channels import Answer, Parked, Parsed, WebhookRequest
from shared.channels.providers import meta, meta_comments
from shared.channels.providers.meta_items import Event, read
from shared.channels.providers.meta_place import Place
from shared.channels.wire import dump, list_at, mapping_at, text_at
from shared.errors import Unreadable
from shared.events import Channel, DeliveryStatusReceived, MessageReceived, Scheme

# What Meta calls it, the field with its own id, and what a customer's id is there.
_SITES: Final[Mapping[str, tuple[Channel, str, Scheme]]] = {
    "page": ("messenger", "page_id", "psid"),
    "instagram": ("instagram", "account_id", "igsid"),
}


class DirectInbound:
    """Webhooks of Facebook pages and of Instagram's professional accounts.

    One app may serve both at one address, so either account's door reads both.
    """

    @property
    def max_body(self) -> int:
        return meta.MAX_BODY

    def handshake(self, request: WebhookRequest, account: Account) -> Answer:
        return meta.handshake(request, account.secrets("verify_token"))

    def verify(self, request: WebhookRequest, account: Account) -> None:
        meta.verify(request, account.secrets("app_secret"))

    def parse(self, request: WebhookRequest, account: Account, accounts: Accounts) -> Parsed:
        object, entries = meta.entries(request.body, *_SITES)
        channel, id_field, scheme = _SITES[object]
        site = _Site(meta.owners(account, accounts, channel, id_field), id_field, scheme, request)
        found = _Found()
        for entry in entries:
            site.read(entry, found)
        return found.parsed()


@dataclass(slots=True)
class _Found:
    messages: list[MessageReceived] = field(default_factory=list)
    statuses: list[DeliveryStatusReceived] = field(default_factory=list)
    parked: list[Parked] = field(default_factory=list)

    def add(self, event: Event) -> None:
        if isinstance(event, MessageReceived):
            self.messages.append(event)
        else:
            self.statuses.append(event)

    def park(self, item: Any, reason: str) -> None:
        self.parked.append(Parked(dump(item), reason, _key(item)))

    def parsed(self) -> Parsed:
        return Parsed(self.messages, self.statuses, self.parked)


@dataclass(frozen=True, slots=True)
class _Site:
    owners: Mapping[str, Account]
    id_field: str
    scheme: Scheme
    request: WebhookRequest

    def read(self, entry: Any, found: _Found) -> None:
        nothing = True
        for item, standby in _items(entry):
            nothing = False
            self._item(item, entry, standby, found)
        for change in _changes(entry):
            nothing = False
            self._change(change, entry, found)
        if nothing:
            found.park(entry, "this entry has neither `messaging`, `standby` nor `changes`")

    def _item(self, item: Any, entry: Any, standby: bool, found: _Found) -> None:
        ids = _ids(item)
        id = next((id for id in ids if id in self.owners), "")
        # An item that names no account of ours itself is its entry's; one that names another's not.
        id = id or (next(iter(ids), "") if len(ids) > 1 else text_at(entry, "id"))
        if (owner := self.owners.get(id)) is None:
            found.park(item, meta.unowned(id, self.id_field))
            return
        try:
            for event in read(item, self._place(owner, id, entry, standby)):
                found.add(event)
        except Unreadable as error:
            found.park(item, str(error))

    def _change(self, change: meta.Change, entry: Any, found: _Found) -> None:
        if _ids(change.value):  # Meta's test button, and some apps, write messages so
            self._item(change.value, entry, False, found)
            return
        id = text_at(entry, "id")
        if (owner := self.owners.get(id)) is None:
            found.park(change.value, meta.unowned(id, self.id_field))
            return
        try:
            for event in meta_comments.read(change, self._place(owner, id, entry, False)):
                found.add(event)
        except Unreadable as error:
            found.park(change.value, str(error))

    def _place(self, owner: Account, id: str, entry: Any, standby: bool) -> Place:
        time = text_at(entry, "time")
        return Place(owner, id, self.scheme, time, self.request.received_at, standby)


def _items(entry: Any) -> Iterator[tuple[Any, bool]]:
    for item in list_at(entry, "messaging"):
        yield item, False
    for item in list_at(entry, "standby"):
        yield item, True


def _changes(entry: Any) -> Iterator[meta.Change]:
    # Instagram's examples put a change into the entry itself as well.
    if list_at(entry, "changes") or "field" in (entry if isinstance(entry, dict) else ()):
        yield from meta.changes_of(entry)


def _ids(item: Any) -> list[str]:
    """Whom an item is between, the one it was sent to first."""
    sides = (text_at(mapping_at(item, side), "id") for side in ("recipient", "sender"))
    return [id for id in sides if id]


def _key(item: Any) -> str:
    for part in ("message", "message_edit", "postback", "reaction"):
        if mid := text_at(mapping_at(item, part), "mid"):
            return f"{part} {mid}"
    return text_at(item, "id")
