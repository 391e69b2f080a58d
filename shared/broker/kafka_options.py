"""What we ask of Kafka and of aiokafka, whose defaults would lose or repeat (RUNNING C1).

auto-commit       off: the position in our database is the truth, the commit a hint
earliest          a group that is new to the log reads all of it; see `kafka_consumer` for why
                  this can still not skip anything silently
read_committed    nothing that a producer took back
acks=all          and idempotent: the death of a leader neither loses nor repeats
rebalance 60 s    aiokafka takes the session's 10 s otherwise, and throws slow members out
"""

from __future__ import annotations

import ssl
from typing import Any, Final

from aiokafka.errors import ConsumerStoppedError, IllegalStateError, KafkaError

from shared.broker import MESSAGE_BYTES
from shared.errors import Misconfigured
from shared.settings import Settings

AWAY: Final = (KafkaError, ConsumerStoppedError, IllegalStateError, OSError)

FETCH_RECORDS: Final = 500
LINGER_MS: Final = 2
_DAY_MS: Final = 24 * 60 * 60 * 1000
_REQUEST_BYTES: Final = MESSAGE_BYTES + (1 << 20)  # room for key and headers


def connection_options(settings: Settings) -> dict[str, Any]:
    """Where Kafka is and how we prove who we are. Raises Misconfigured."""
    options: dict[str, Any] = {
        "bootstrap_servers": [part.strip() for part in settings.kafka_bootstrap.split(",")],
        "client_id": f"regie-{settings.instance}",
        "security_protocol": settings.kafka_security_protocol,
        "request_timeout_ms": 10_000,
        "metadata_max_age_ms": 30_000,
    }
    if settings.kafka_security_protocol.endswith("SSL"):
        options["ssl_context"] = _tls(settings.kafka_ca_file)
    if settings.kafka_security_protocol.startswith("SASL"):
        options["sasl_mechanism"] = settings.kafka_sasl_mechanism or "PLAIN"
        options["sasl_plain_username"] = settings.kafka_sasl_username
        options["sasl_plain_password"] = settings.kafka_sasl_password
    return options


def _tls(ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise Misconfigured(
            f"REGIE_KAFKA_CA_FILE: {ca_file} cannot be read as PEM certificates: {error}"
        ) from error


def producer_options(settings: Settings) -> dict[str, Any]:
    return {
        **connection_options(settings),
        "acks": "all",
        "enable_idempotence": True,
        "linger_ms": LINGER_MS,
        "max_request_size": _REQUEST_BYTES,
    }


def reader_options(settings: Settings) -> dict[str, Any]:
    """For reading outside any group: where the ends are, what waits first."""
    return {
        **connection_options(settings),
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "isolation_level": "read_committed",
        "max_partition_fetch_bytes": 64 << 10,
    }


def consumer_options(settings: Settings, group: str) -> dict[str, Any]:
    """A member is static where the process has a lasting name: its restart moves no partition."""
    return {
        **connection_options(settings),
        "group_id": group,
        "group_instance_id": f"{settings.instance_id}-{group}" if settings.instance_id else None,
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "isolation_level": "read_committed",
        "max_poll_records": FETCH_RECORDS,
        "session_timeout_ms": 15_000,
        "heartbeat_interval_ms": 3_000,
        "rebalance_timeout_ms": 60_000,
        "max_poll_interval_ms": 300_000,
    }


def topic_options(brokers: int) -> tuple[int, dict[str, str]]:
    """The replication factor and the settings of a new topic. Content is kept for seven days."""
    copies = min(3, brokers)
    return copies, {
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": str(7 * _DAY_MS),
        "min.insync.replicas": str(2 if copies == 3 else 1),
        "max.message.bytes": str(_REQUEST_BYTES),
        "unclean.leader.election.enable": "false",
    }
