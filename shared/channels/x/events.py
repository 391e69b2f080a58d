"""The door side of X: one parser under two envelopes.

The Account Activity API sends `{for_user_id, direct_message_events: […], …}`, its successor, the
X Activity API, `{data: {event_type, filter, payload}}` with the same bodies inside. Both come to
the same address, and a message that comes by both has one id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from shared.accounts import Account, Accounts
from shared.channels import Answer, Parked, Parsed, WebhookRequest
from shared.channels.wire import dump, list_at, load, mapping_at, text_at
from shared.channels.x import signature
from shared.channels.x.items import Setting, direct_message, encrypted, mention, read
from shared.errors import Unreadable
from shared.events import DeliveryStatusReceived, MessageReceived

_MAX_BODY: Final = 1024 * 1024
_CONTACTS: Final = {
    "direct_message_events": direct_message,
    "tweet_create_events": mention,
    "direct_message_mark_read_events": read,
}  # fmt: skip
# Nobody wrote to us by any of these.
_IGNORED: Final = frozenset((
    "direct_message_indicate_typing_events", "favorite_events", "follow_events",
    "unfollow_events", "block_events", "unblock_events", "mute_events", "unmute_events",
    "tweet_delete_events",
))  # fmt: skip
_AROUND: Final = frozenset(("for_user_id", "users", "apps", "user_has_blocked"))
# Of `post.` all but a mention is our own doing.
_NO_CONTACTS: Final = (
    "dm.indicate_typing", "chat.conversation_join", "profile.", "follow.", "like.", "mute.",
    "block.", "post.", "spaces.", "news.",
)  # fmt: skip


class XInbound:
    """Webhooks of X, verified by the app's `consumer_secret`."""

    @property
    def max_body(self) -> int:
        return _MAX_BODY

    def handshake(self, request: WebhookRequest, account: Account) -> Answer:
        return signature.challenge(request, account.secrets("consumer_secret"))

    def verify(self, request: WebhookRequest, account: Account) -> None:
        signature.verify(request, account.secrets("consumer_secret"))

    def parse(self, request: WebhookRequest, account: Account, accounts: Accounts) -> Parsed:
        document = load(request.body)
        if not isinstance(document, dict):
            raise Unreadable("the body is not a JSON object")
        found = _Found()
        for event in _envelopes(document):
            owner = _owner(event.user, account, accounts)
            if owner is None:
                if event.user or not event.kind.startswith(_NO_CONTACTS):
                    found.park(event.raw, _unknown(event.user), event.id)
                continue
            _read(event, owner, request, found)
        return found.parsed()


@dataclass(frozen=True, slots=True)
class _Envelope:
    """What one envelope is about. `kind` is the newer one's event type, empty for the older."""

    user: str
    payload: Mapping[str, Any]
    raw: Any
    kind: str = ""
    id: str = ""


@dataclass(slots=True)
class _Found:
    messages: dict[Any, MessageReceived] = field(default_factory=dict)
    statuses: dict[Any, DeliveryStatusReceived] = field(default_factory=dict)
    parked: list[Parked] = field(default_factory=list)

    def add(self, event: MessageReceived | DeliveryStatusReceived | None) -> None:
        if isinstance(event, MessageReceived):
            self.messages[event.id] = event
        elif event is not None:
            self.statuses[event.id] = event

    def park(self, item: Any, reason: str, key: str = "") -> None:
        self.parked.append(Parked(dump(item), reason, key))

    def attempt(self, item: Any, key: str, reading: Callable[[], Any]) -> None:
        """One item that cannot be read does not take the others with it."""
        try:
            self.add(reading())
        except Unreadable as error:
            self.park(item, str(error), key)

    def parsed(self) -> Parsed:
        return Parsed([*self.messages.values()], [*self.statuses.values()], self.parked)


def _envelopes(document: Mapping[str, Any]) -> Iterator[_Envelope]:
    """Raises Unreadable where the body is neither of the two."""
    data = document.get("data")
    if isinstance(data, dict | list):
        for each in data if isinstance(data, list) else [data]:
            yield _newer(each)
        return
    revoked = mapping_at(mapping_at(document, "user_event"), "revoke")
    user = text_at(document, "for_user_id") or text_at(mapping_at(revoked, "source"), "user_id")
    if not (user or revoked):
        raise Unreadable("the body has neither `data` nor `for_user_id`: it is no webhook of X's")
    yield _Envelope(user, document, document, "oauth.revoke" if revoked else "")


def _newer(event: Any) -> _Envelope:
    kind, payload = text_at(event, "event_type"), mapping_at(event, "payload")
    user = text_at(mapping_at(event, "filter"), "user_id")
    return _Envelope(
        # Who withdraws our access matches no filter any more.
        user=user or (text_at(payload, "user_id") if kind == "oauth.revoke" else ""),
        payload=payload,
        raw=event,
        kind=kind,
        id=text_at(event, "event_uuid"),
    )


def _people(event: _Envelope) -> dict[str, Any]:
    """Who is who, by id: with direct messages in `payload.users`, with posts in `includes`."""
    listed = list_at(mapping_at(event.raw, "includes"), "users") if event.kind else []
    users = [mapping_at(each, "data") or each for each in listed]
    return {text_at(user, "id"): user for user in users} | dict(mapping_at(event.payload, "users"))


def _read(event: _Envelope, owner: Account, request: WebhookRequest, found: _Found) -> None:
    payload = event.payload
    around = Setting(owner, _people(event), mapping_at(payload, "apps"), request.received_at)
    if event.kind == "oauth.revoke":
        found.park(event.raw, "X says our app's access was withdrawn: authorise it again", event.id)
        return
    if event.kind.startswith("chat.") and not _is_no_contact(event):
        found.attempt(event.raw, event.id, lambda: encrypted(payload, event.id, around))
        return
    known = 0
    for name, reader in _CONTACTS.items():
        for item in list_at(payload, name):
            known += 1
            key = text_at(item, "id") or text_at(item, "id_str")
            found.attempt(item, key, _bound(reader, item, around))
    others = [n for n in payload if n not in (*_CONTACTS, *_IGNORED, *_AROUND)]
    if event.kind.startswith("post.mention") and not known:
        found.attempt(event.raw, event.id, lambda: mention(_older(payload, around), around))
    elif not known and not _is_no_contact(event) and (event.kind or others):
        what = event.kind or others[0]
        found.park(event.raw, f"Regie does not read {what[:60]!r} of X", event.id)


def _bound(reader: Callable[[Any, Setting], Any], item: Any, around: Setting) -> Callable[[], Any]:
    return lambda: reader(item, around)


def _is_no_contact(event: _Envelope) -> bool:
    return event.kind.startswith(_NO_CONTACTS) or any(name in event.payload for name in _IGNORED)


def _older(post: Mapping[str, Any], around: Setting) -> dict[str, Any]:
    """A post of the newer shape, `{id, text, author_id, …}`, in the words of the older one."""
    post = mapping_at(post, "data") or post
    author = text_at(post, "author_id")
    user = mapping_at(around.users, author)
    user = mapping_at(user, "data") or user
    return {
        **post,
        "id_str": text_at(post, "id"),
        "user": {"id_str": author, "name": text_at(user, "name"),
                 "screen_name": text_at(user, "username")},
        # X sends this event for posts that mention us, and for nothing else.
        "in_reply_to_user_id_str": around.us,
    }  # fmt: skip


def _owner(user: str, account: Account, accounts: Accounts) -> Account | None:
    """The account an event is about, among those this signature speaks for."""
    ours = set(account.secrets("consumer_secret"))
    named = (each for each in accounts if each.channel == "x" and user)
    return next(
        (
            each
            for each in named
            if each.settings.get("user_id") == user and ours & set(each.secrets("consumer_secret"))
        ),
        None,
    )


def _unknown(user: str) -> str:
    if not user:
        return "the event does not say whose it is (for_user_id, filter.user_id)"
    return (
        f"user {user[:30]} is no account with this consumer secret: add it to the channels file, "
        "or end its subscription at X"
    )
