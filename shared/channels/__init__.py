"""A channel is one small thing: it verifies, parses and sends. Nothing else knows a provider.

The table CHANNELS stands in `shared.channels.table`; adding a channel is one module here and one
row there (docs/adding-a-channel.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol
from uuid import UUID

import httpx

from shared.accounts import Account, Accounts
from shared.events import (
    Attachment,
    Channel,
    DeliveryStatusReceived,
    Identity,
    MessageReceived,
)


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """A provider's request, as it came over the wire.

    path     the part after `/webhooks/{account}`: empty, or e.g. `/mime`
    query    pairs in order, decoded; `raw_query` as it stood in the URL
    headers  names in lower case
    keys     the provider's public keys by their id, where `Provider.keys` asked for them
    enclosed what `Provider.enclosure` asked for: the part of the request that lies elsewhere
    """

    method: str
    path: str
    query: Sequence[tuple[str, str]]
    raw_query: str
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime
    keys: Mapping[str, Any] = field(default_factory=dict)
    enclosed: bytes | None = None


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where a provider publishes the keys it signs with. The door fetches them before `verify`.

    url     https, of a host the adapter has checked: the request may have chosen it
    id      the key this request names; a newer list is fetched where the one at hand lacks it
    read    the keys in the document, by id. Raises ValueError where it is not what it should be
    leads   for a document that only says where the keys are: their address, checked as `url` is.
            Raises ValueError
    fresh   seconds after which the document is fetched again
    chosen  the request chose `url`: nothing there (4xx) means that there is no such key. At an
            address we know it is an outage
    """

    url: str
    id: str
    read: Callable[[bytes], Mapping[str, Any]]
    leads: Callable[[bytes], str] | None = None
    fresh: float = 24 * 3600.0
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Enclosure:
    """The part of a request that its provider left elsewhere: what to GET, signed by the adapter.

    most  bytes; a larger one is not fetched
    """

    url: str
    headers: Mapping[str, str]
    most: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What the provider gets back once all is durable."""

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class NewBlob:
    """Bytes the intake must make durable before the event that refers to them."""

    ref: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Parked:
    """An item under a valid signature that we cannot read: kept raw, listed for a person.

    key  an id of the item if it shows one, so that the provider's repeats park once
    """

    raw: bytes
    reason: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class Parsed:
    """All that one request holds. Everything becomes durable, then `answer` goes out.

    calls  addresses to GET before that: a provider wants to hear that we asked for its posts
    """

    messages: Sequence[MessageReceived] = ()
    statuses: Sequence[DeliveryStatusReceived] = ()
    parked: Sequence[Parked] = ()
    blobs: Sequence[NewBlob] = ()
    answer: Answer = field(default_factory=Answer)
    calls: Sequence[str] = ()


class Inbound(Protocol):
    """The door side of a channel's provider. Pure: no clock, no network, no disk."""

    @property
    def max_body(self) -> int:
        """Bytes; more is refused with 413 while streaming."""

    def handshake(self, request: WebhookRequest, account: Account) -> Answer:
        """Answers the provider's GET. Raises Refused."""

    def verify(self, request: WebhookRequest, account: Account) -> None:
        """Raises Unauthenticated unless the account's secret signed these bytes.

        Any other exception counts as a refusal too.
        """

    def parse(self, request: WebhookRequest, account: Account, accounts: Accounts) -> Parsed:
        """Raises Unreadable when the body as a whole cannot be read; items one by one are parked.

        Any other exception parks the body as well.
        """


@dataclass(frozen=True, slots=True)
class File:
    """A file that leaves with a message.

    url  a signed link of ours, good for an hour, for providers that fetch rather than take bytes;
         empty where REGIE_PUBLIC_URL is not set
    """

    name: str
    content_type: str
    content: bytes
    url: str = ""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message to a customer.

    id            our message id: goes out as correlation or idempotency key where there is one
    references    ids on the channel it answers, nearest first
    template      name of a template to use instead of free text
    files         what `attachments` name, with their bytes
    reply_window_closes_at  until when a person may answer freely, where the channel says so
    notice        to our own people or a partner, by mail: an answer to it is no customer's
    """

    id: UUID
    case_id: UUID
    recipient: Identity
    text: str
    subject: str = ""
    references: Sequence[str] = ()
    template: str = ""
    attachments: Sequence[Attachment] = ()
    files: Sequence[File] = ()
    automatic: bool = False
    reply_window_closes_at: datetime | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    notice: bool = False


@dataclass(frozen=True, slots=True)
class Receipt:
    """The provider took it. `provider_id` is what its statuses and answers will name."""

    provider_id: str


class Outbound(Protocol):
    """The sending side. Raises SendError and nothing else; bounds its own time (15 s)."""

    async def send(
        self, message: Outgoing, account: Account, http: httpx.AsyncClient
    ) -> Receipt: ...


class Media(Protocol):
    """Fetches files that stayed with the provider, after their message is durable."""

    async def fetch(
        self, file: Attachment, account: Account, http: httpx.AsyncClient, most: int
    ) -> bytes:
        """The bytes, `most` of them at the most. Raises FetchError; bounds its own time."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing `regie doctor` looked at. `advice` tells what to do where it is not `ok`.

    about  `reach`: whether the provider answers; `subscription`: whether what comes in comes here
    """

    what: str
    ok: bool
    advice: str = ""
    about: Literal["account", "reach", "subscription"] = "account"


class Health(Protocol):
    """Asks the provider whether the account can be reached, may send, and is subscribed.

    Which addresses are ours, `shared.channels.hooks` says.
    """

    async def examine(self, account: Account, http: httpx.AsyncClient) -> Sequence[Finding]:
        """Sends nothing to any customer and changes nothing; bounds its own time (15 s)."""


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` messages in `seconds`, as many as `burst` at once (0: `count`)."""

    count: int
    seconds: float = 1.0
    burst: int = 0


@dataclass(frozen=True, slots=True)
class FileLimits:
    """What files a provider takes with a message, from its own documentation.

    most   files of one message
    size   bytes of one file; total: of all together, 0 where only `size` counts
    types  content types, or their beginnings (`image/`); empty: any
    links  it fetches them from us, which needs REGIE_PUBLIC_URL
    """

    most: int
    size: int
    total: int = 0
    types: Sequence[str] = ()
    links: bool = False


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider of a channel; None where it has no such side.

    keys            which public keys `inbound.verify` needs for a request; None for a request that
                    needs none. Pure; raises Refused, as `verify` does
    enclosure       which part of a verified request lies elsewhere; None for one that is whole
    media           None: its files are at plain addresses, or there are none
    files           what may go with a reply; None: a reply with files is refused at once
    per_account     how fast one account may send; None where the provider sets no limit
    per_recipient   how fast one person may be written to
    """

    inbound: Inbound | None = None
    outbound: Outbound | None = None
    keys: Callable[[WebhookRequest, Account], KeySource | None] | None = None
    enclosure: Callable[[WebhookRequest, Account], Enclosure | None] | None = None
    media: Media | None = None
    files: FileLimits | None = None
    health: Health | None = None
    per_account: Rate | None = None
    per_recipient: Rate | None = None


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """A row of CHANNELS. `reply_window` is how long after a customer's message we may answer."""

    name: Channel
    providers: Mapping[str, Provider]
    reply_window: timedelta | None = None
