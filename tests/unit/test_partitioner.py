"""The partition of a key, against aiokafka's own partitioner."""

from __future__ import annotations

import pytest
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as oracle
from hypothesis import given
from hypothesis import strategies as st

from shared.broker import MESSAGE_BYTES, Message, TopicPartition
from shared.broker.partitioner import murmur2, partition_for
from shared.broker.placing import place

KEYS = st.binary(max_size=200)


@given(KEYS)
def test_the_hash_is_kafkas(key: bytes) -> None:
    assert murmur2(key) == oracle(key) & 0xFFFFFFFF


@given(KEYS, st.integers(1, 64))
def test_the_partition_is_kafkas(key: bytes, count: int) -> None:
    every = list(range(count))
    assert partition_for(key, count) == DefaultPartitioner()(key, every, every)


@pytest.mark.parametrize(
    ("key", "expected"),
    # From Kafka's own UtilsTest.testMurmur2.
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_hash_is_that_of_the_java_client(key: bytes, expected: int) -> None:
    assert murmur2(key) == expected & 0xFFFFFFFF


def test_a_given_partition_wins_over_the_key() -> None:
    assert place(Message("t", b"k", b"", (), 3), {"t": 12}) == TopicPartition("t", 3)
    by_key = place(Message("t", b"k", b""), {"t": 12})
    assert by_key == TopicPartition("t", partition_for(b"k", 12))


@pytest.mark.parametrize(
    "message",
    [
        Message("unknown", b"k", b""),
        Message("t", b"k", b"", (), 12),
        Message("t", b"k", b"", (), -1),
        Message("t", b"k", b"x" * (MESSAGE_BYTES + 1)),
    ],
)
def test_what_no_log_would_take_is_refused(message: Message) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        place(message, {"t": 12})
