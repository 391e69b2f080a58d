"""Kafka from an administrator's side: our topics, the cluster's name, the groups' commits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import NodeNotReadyError, for_code

from shared.broker import GroupCommits, TopicPartition
from shared.broker.answering import answering
from shared.broker.kafka_options import AWAY, topic_options
from shared.errors import BrokerUnavailable, Misconfigured

CALL_SECONDS: Final = 10.0
_STEP_SECONDS: Final = 0.1
_EXISTS: Final = 36


class Administrator:
    """One client, opened on first use and again after it failed."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        self._admin: AIOKafkaAdminClient | None = None
        self._opening = asyncio.Lock()

    async def prepare(self, topics: Mapping[str, int]) -> str:
        """Creates the topics that are missing and checks the others; returns the cluster's id.

        topics  name to number of partitions. Raises BrokerUnavailable, Misconfigured
        """
        cluster = await self._ask("describe_cluster")
        if not cluster["brokers"]:
            raise BrokerUnavailable("no broker of this Kafka is ready yet")
        copies, settings = topic_options(len(cluster["brokers"]))
        missing = set(topics) - set(await self._ask("list_topics"))
        if missing:
            wanted = [
                NewTopic(name, topics[name], copies, topic_configs=settings)
                for name in sorted(missing)
            ]
            _check_created(await self._ask("create_topics", wanted))
        await self._check(topics)
        return str(cluster["cluster_id"])

    async def commits(self, group: str, topics: Sequence[str]) -> GroupCommits:
        offsets = await self._ask("list_consumer_group_offsets", group)
        return GroupCommits(
            {
                TopicPartition(tp.topic, tp.partition): at.offset
                for tp, at in offsets.items()
                if tp.topic in topics and at.offset >= 0
            }
        )

    async def ping(self, topics: Sequence[str], seconds: float) -> None:
        await self._ask("describe_topics", list(topics), within=seconds)

    async def close(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            try:
                await asyncio.wait_for(admin.close(), 5)
            except (*AWAY, TimeoutError):
                pass  # it held connections only

    async def _check(self, topics: Mapping[str, int]) -> None:
        """Every topic is there as it must be; a new one takes a moment to be known everywhere."""
        async with asyncio.timeout(CALL_SECONDS):
            while True:
                found = await self._ask("describe_topics", list(topics))
                counts = {topic["topic"]: len(topic["partitions"]) for topic in found}
                led = all(p["leader"] >= 0 for topic in found for p in topic["partitions"])
                if led and all(counts.get(topic) for topic in topics):
                    break
                await asyncio.sleep(_STEP_SECONDS)
        for topic, count in topics.items():
            if counts[topic] != count:
                raise Misconfigured(
                    f"topic {topic} has {counts[topic]} partitions and needs {count}: the number "
                    f"decides which key goes where, so make it anew with {count}"
                )
        await self._check_timestamps(list(topics))

    async def _check_timestamps(self, topics: Sequence[str]) -> None:
        wanted = {"message.timestamp.type": None}
        resources = [ConfigResource(ConfigResourceType.TOPIC, name, wanted) for name in topics]
        for response in await self._ask("describe_configs", resources):
            for error, _, _, name, entries in response.resources:
                values = {entry[0]: entry[1] for entry in entries}
                # Whoever may not read the settings has to trust who wrote them.
                if not error and values.get("message.timestamp.type") != "LogAppendTime":
                    raise Misconfigured(
                        f"topic {name} needs message.timestamp.type=LogAppendTime (set it with "
                        f"kafka-configs --alter): deadlines are judged by the broker's clock"
                    )

    async def _ask(self, method: str, *args: Any, within: float = CALL_SECONDS) -> Any:
        """Asks once more where the first broker asked has gone: the others may answer."""
        async with answering("Kafka does not answer", within, AWAY):
            try:
                return await self._call(method, *args)
            except AWAY:
                return await self._call(method, *args)

    async def _call(self, method: str, *args: Any) -> Any:
        try:
            return await getattr(await self._open(), method)(*args)
        except (AttributeError, AssertionError) as error:
            # aiokafka takes for granted that the metadata names a broker and a controller; those
            # of a Kafka that is just coming up do not.
            await self.close()
            raise NodeNotReadyError("no broker is ready yet") from error
        except (*AWAY, TimeoutError, asyncio.CancelledError):
            await self.close()
            raise

    async def _open(self) -> AIOKafkaAdminClient:
        async with self._opening:
            if self._admin is None:
                admin = AIOKafkaAdminClient(**self._options)
                try:
                    await admin.start()
                except BaseException:
                    await admin.close()
                    raise
                self._admin = admin
            return self._admin


def _check_created(response: Any) -> None:
    for topic, code, *words in response.topic_errors:
        if code and code != _EXISTS:  # another process may have been quicker
            error = for_code(code)
            detail = f"topic {topic} could not be created: {error.__name__} {words[:1]}"
            raise BrokerUnavailable(detail) if error.retriable else Misconfigured(detail)
