"""The servers that other tests trust: fresh databases, and brokers that can be broken."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from deploy.kafka.kafka import KafkaServer


async def _value(url: str, query: str) -> object:
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            return (await connection.execute(text(query))).scalar_one()
    finally:
        await engine.dispose()


async def _send(bootstrap: str, topic: str, value: bytes) -> int:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        return int((await producer.send_and_wait(topic, value, partition=0)).offset)
    finally:
        await producer.stop()


async def _create(bootstrap: str, topic: str, copies: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, copies)])
    finally:
        await admin.close()


@pytest.mark.parametrize("turn", ["first", "second"])
async def test_a_test_has_a_database_to_itself(database_url: str, turn: str) -> None:
    # Were the first test's table still there, the second's CREATE TABLE would fail.
    engine = create_async_engine(database_url)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE only_mine ()"))
    await engine.dispose()


async def test_a_database_comes_with_the_schema(database_url: str, empty_database_url: str) -> None:
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    assert await _value(empty_database_url, tables) == 0
    assert await _value(database_url, tables) != 0


async def test_kafka_takes_a_record(kafka: str) -> None:
    await _create(kafka, "servers.one", copies=1)
    assert await _send(kafka, "servers.one", b"a") == 0


@pytest.mark.slow
async def test_a_killed_broker_comes_back_on_its_port_with_its_data(
    kafka_cluster: KafkaServer,
) -> None:
    bootstrap = kafka_cluster.bootstrap
    await _create(bootstrap, "servers.three", copies=3)
    assert await _send(bootstrap, "servers.three", b"a") == 0

    kafka_cluster.kill(2)
    assert not kafka_cluster.running(2)
    assert await _send(bootstrap, "servers.three", b"b") == 1

    await asyncio.to_thread(kafka_cluster.restart, 2)
    assert kafka_cluster.bootstrap == bootstrap
    assert await _send(bootstrap, "servers.three", b"c") == 2
