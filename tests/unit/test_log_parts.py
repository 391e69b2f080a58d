"""The small parts of the log: packed headers, fair shares, Kafka's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.broker import Headers, TopicPartition
from shared.broker.headers import pack, unpack
from shared.broker.kafka_options import (
    connection_options,
    consumer_options,
    producer_options,
    reader_options,
    topic_options,
)
from shared.broker.postgres_consumer import shares
from shared.errors import Misconfigured
from shared.sessions import lock_number, session_arguments
from shared.settings import Settings

KAFKA = Settings(kafka_bootstrap="one:9092, two:9092", instance_id="router-1")


@given(st.lists(st.tuples(st.text(), st.binary())).map(tuple))
def test_headers_come_back_as_they_were(headers: Headers) -> None:
    assert unpack(pack(headers)) == headers


def test_foreign_bytes_are_no_headers() -> None:
    with pytest.raises(msgspec.DecodeError):
        unpack(b"\xc1")


@given(st.lists(st.integers(1, 2_000), min_size=1, max_size=24), st.integers(1, 1_000))
def test_shares_are_fair_and_leave_nothing_over(waiting: list[int], most: int) -> None:
    backlog = {TopicPartition("t", n): count for n, count in enumerate(waiting)}
    taken = shares(backlog, most)
    assert sum(taken.values()) == min(most, sum(waiting))
    assert all(0 < taken[tp] <= backlog[tp] for tp in taken)
    cut_short = [taken[tp] for tp in taken if taken[tp] < backlog[tp]]
    # Who gets less than it has gets as much as anybody, but for the remainder.
    assert not cut_short or min(cut_short) >= max(taken.values()) - 1


def test_a_busy_partition_does_not_hold_up_a_quiet_one() -> None:
    busy, quiet = TopicPartition("t", 0), TopicPartition("t", 1)
    assert shares({busy: 100_000, quiet: 3}, 500) == {busy: 497, quiet: 3}


def test_the_consumer_commits_nothing_by_itself_and_skips_nothing() -> None:
    options = consumer_options(KAFKA, "router")
    assert options["enable_auto_commit"] is False
    assert options["auto_offset_reset"] == "earliest"
    assert options["isolation_level"] == "read_committed"
    assert options["max_poll_records"] == 500
    assert options["rebalance_timeout_ms"] == 60_000
    assert options["group_instance_id"] == "router-1-router"
    assert reader_options(KAFKA)["enable_auto_commit"] is False


def test_membership_is_dynamic_without_a_lasting_name() -> None:
    assert consumer_options(Settings(kafka_bootstrap="a:1"), "g")["group_instance_id"] is None


def test_the_producer_waits_for_every_replica_and_repeats_nothing() -> None:
    options = producer_options(KAFKA)
    assert (options["acks"], options["enable_idempotence"]) == ("all", True)
    assert options["bootstrap_servers"] == ["one:9092", "two:9092"]


@pytest.mark.parametrize(("brokers", "copies", "in_sync"), [(1, 1, "1"), (2, 2, "1"), (5, 3, "2")])
def test_topics_are_copied_where_there_are_brokers(brokers: int, copies: int, in_sync: str) -> None:
    factor, settings = topic_options(brokers)
    assert (factor, settings["min.insync.replicas"]) == (copies, in_sync)
    assert settings["message.timestamp.type"] == "LogAppendTime"
    assert settings["retention.ms"] == "604800000"


def test_sasl_and_tls_are_passed_on() -> None:
    options = connection_options(
        Settings(
            kafka_bootstrap="a:1",
            kafka_security_protocol="SASL_SSL",
            kafka_sasl_mechanism="SCRAM-SHA-512",
            kafka_sasl_username="regie",
            kafka_sasl_password="made up",
        )
    )
    assert options["security_protocol"] == "SASL_SSL"
    assert options["ssl_context"].check_hostname
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("regie", "made up")


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_an_unreadable_certificate_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    settings = Settings(
        kafka_bootstrap="a:1", kafka_security_protocol="SSL", kafka_ca_file=str(file)
    )
    with pytest.raises(Misconfigured, match="REGIE_KAFKA_CA_FILE"):
        connection_options(settings)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "postgresql+asyncpg://u:p%40w@h:5433/d",
            {"host": "h", "port": 5433, "user": "u", "password": "p@w", "database": "d"},
        ),
        ("postgresql+asyncpg://u@/d?host=/run/pg", {"host": "/run/pg", "database": "d"}),
    ],
)
def test_a_session_goes_where_the_engine_goes(url: str, expected: dict[str, Any]) -> None:
    arguments = session_arguments(url, "regie-log", synchronous_commit="on")
    assert expected.items() <= arguments.items()
    assert arguments["server_settings"]["application_name"] == "regie-log"
    assert arguments["server_settings"]["synchronous_commit"] == "on"
    assert "prepared_statement_cache_size" not in arguments


@given(st.text())
def test_a_lock_number_fits_its_column(name: str) -> None:
    assert -(1 << 31) <= lock_number(name) < 1 << 31
