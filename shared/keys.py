"""The keys of the topics: they decide the partition, and with it what stays in order.

Hashes, because a key is shown by every Kafka tool and an identity is somebody's address.
"""

from __future__ import annotations

import hashlib

from shared.events import MessageReceived


def _key(*parts: str) -> bytes:
    return hashlib.sha256("\x1f".join(parts).encode()).digest()[:16]


def message_key(message: MessageReceived) -> bytes:
    """All messages of one sender follow each other; so does what is told of a withheld call."""
    identities = message.sender.identities
    if identities:
        return sender_key(str(identities[0]))
    thread = message.thread
    return _key(message.account, thread.target or thread.message_id or str(message.id))


def sender_key(identity: str) -> bytes:
    """The key of somebody's messages, by the first identity they came from: `scheme:value`."""
    return _key(identity)


def delivery_key(account: str, provider_id: str) -> bytes:
    """All that is reported of one delivery follows each other."""
    return _key(account, provider_id)
