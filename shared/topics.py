"""The topics, their keys and how many partitions they have."""

from __future__ import annotations

from typing import Final

MESSAGES_RECEIVED: Final = "messages.received"  # key: hash of the sender's identity
CASES_CHANGED: Final = "cases.changed"  # key: case id
DELIVERIES_REPORTED: Final = "deliveries.reported"  # key: account + provider message id

TOPICS: Final = (MESSAGES_RECEIVED, CASES_CHANGED, DELIVERIES_REPORTED)

# Fixed at creation: a later change would send a customer's next message to another partition
# while an earlier one still waits in the old one.
PARTITIONS: Final = 12
DEAD_LETTER_PARTITIONS: Final = 1


def dead_letters_of(topic: str) -> str:
    return f"{topic}.dlq"


DEAD_LETTER_TOPICS: Final = tuple(dead_letters_of(topic) for topic in TOPICS)


def partitions_of(topic: str) -> int:
    return DEAD_LETTER_PARTITIONS if topic in DEAD_LETTER_TOPICS else PARTITIONS
