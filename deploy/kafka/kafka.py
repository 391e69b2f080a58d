"""A real Apache Kafka on this machine, for development and tests: `KafkaServer`.

It runs Kafka's own classes in KRaft mode, every node broker and controller at once, on
loopback only. `make kafka` (`python3 -m deploy.kafka`) keeps one in the foreground; tests
start their own and break its brokers one by one. Only the standard library is used, so
that it works before there is an environment.
"""

from __future__ import annotations

import base64
import random
import signal
import socket
import tempfile
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from deploy.kafka.broker import Broker
from deploy.kafka.runners import KafkaUnavailable, Runner, runner

HOST = "127.0.0.1"


class KafkaServer:
    """One broker, or several, numbered from 1 as in Kafka's own metadata.

    Every method blocks; from asyncio use `asyncio.to_thread`. `data` keeps topics from one
    run to the next; without it they live in a temporary folder. `port` is the first
    broker's, the others follow; 0 takes free ones. `properties` go over our own.
    """

    def __init__(
        self,
        brokers: int = 1,
        *,
        data: Path | None = None,
        port: int = 0,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        self._count = brokers
        self._data = data
        self._port = port
        self._extra = dict(properties or {})
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._brokers: dict[int, Broker] = {}

    @property
    def bootstrap(self) -> str:
        """The brokers' addresses, as clients and `REGIE_KAFKA_BOOTSTRAP` take them."""
        return ",".join(f"{HOST}:{broker.port}" for broker in self._brokers.values())

    @property
    def nodes(self) -> list[int]:
        return list(self._brokers)

    def start(self, timeout: float = 90) -> None:
        """Bring all brokers up, ready for clients.

        Raises KafkaUnavailable when they do not come up within `timeout` seconds.
        """
        if self._brokers:
            raise RuntimeError("this Kafka runs already")
        how = runner()
        folder = self._folder()
        try:
            self._lay_out(how, folder)
            deadline = time.monotonic() + timeout
            for broker in self._brokers.values():
                broker.start()
            for broker in self._brokers.values():
                broker.await_ready(deadline)
        except BaseException:
            self.stop(grace=0)
            raise

    def stop(self, grace: float = 5) -> None:
        """End all brokers, by force where one has not ended after `grace` seconds.

        Together they have no quorum left to approve an orderly farewell, and Kafka would
        wait minutes for one; its log is safe without. What is only temporary needs none.
        """
        if self._temporary is not None:
            grace = 0
        for broker in self._brokers.values():
            broker.signal(signal.SIGCONT)
            broker.signal(signal.SIGTERM)
        deadline = time.monotonic() + grace
        for broker in self._brokers.values():
            broker.wait(deadline - time.monotonic())
        self._brokers.clear()
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    def kill(self, node: int) -> None:
        """End a broker as a power cut does (SIGKILL)."""
        self._brokers[node].signal(signal.SIGKILL)
        self._brokers[node].wait(20)

    def terminate(self, node: int, timeout: float = 60) -> None:
        """End a broker in order (SIGTERM): it hands its partitions over first."""
        self._brokers[node].signal(signal.SIGTERM)
        self._brokers[node].wait(timeout)

    def pause(self, node: int) -> None:
        """Freeze a broker (SIGSTOP): its connections stay open and nothing answers."""
        self._brokers[node].signal(signal.SIGSTOP)

    def resume(self, node: int) -> None:
        """Let a frozen broker go on (SIGCONT)."""
        self._brokers[node].signal(signal.SIGCONT)

    def restart(self, node: int, timeout: float = 90) -> None:
        """Start a broker again on its old port and data, ending it in order if it runs."""
        broker = self._brokers[node]
        if broker.running:
            self.terminate(node)
        broker.start()
        broker.await_ready(time.monotonic() + timeout)

    def running(self, node: int) -> bool:
        return self._brokers[node].running

    def log(self, node: int) -> Path:
        return self._brokers[node].log

    def __enter__(self) -> KafkaServer:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _folder(self) -> Path:
        if self._data is not None:
            self._data.mkdir(parents=True, exist_ok=True)
            return self._data.resolve()
        self._temporary = tempfile.TemporaryDirectory(prefix="regie-kafka-")
        return Path(self._temporary.name).resolve()

    def _lay_out(self, how: Runner, folder: Path) -> None:
        ports = _ports(self._count, self._port)
        for node, pair in enumerate(ports, start=1):
            self._brokers[node] = Broker(how, node, folder / str(node), pair)
        formatting = []
        for broker in self._brokers.values():
            broker.configure(self._properties(broker))
            formatting.append((broker, broker.format(_cluster_id(folder))))
        for broker, process in formatting:
            if process is not None and process.wait(60) != 0:
                raise KafkaUnavailable(f"no storage:\n{broker.log.read_text()[-3000:]}")

    def _properties(self, broker: Broker) -> dict[str, str]:
        brokers = self._brokers.values()
        copies = str(min(self._count, 3))
        insync = "2" if self._count >= 3 else "1"
        client = f"PLAINTEXT://{HOST}:{broker.port}"
        return {
            "process.roles": "broker,controller",
            "node.id": str(broker.node),
            "controller.quorum.voters": ",".join(
                f"{one.node}@{HOST}:{one.controller_port}" for one in brokers
            ),
            "controller.listener.names": "CONTROLLER",
            "listeners": f"{client},CONTROLLER://{HOST}:{broker.controller_port}",
            "advertised.listeners": client,
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(broker.data),
            # Regie makes its topics itself; a misspelt one must fail, not appear.
            "auto.create.topics.enable": "false",
            "num.partitions": "12",
            "default.replication.factor": copies,
            "min.insync.replicas": insync,
            "offsets.topic.replication.factor": copies,
            "offsets.topic.num.partitions": "6",
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": insync,
            "transaction.state.log.num.partitions": "6",
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": insync,
            # A group of one need not wait three seconds for others.
            "group.initial.rebalance.delay.ms": "0",
            # The cleaner's default buffer is 128 MB of a heap of 320.
            "log.cleaner.dedupe.buffer.size": "16777216",
            **self._extra,
        }


def _cluster_id(folder: Path) -> str:
    """The cluster's name, the same on every start: positions are kept by it."""
    file = folder / "cluster.id"
    if not file.exists():
        file.write_text(base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("="))
    return file.read_text()


def _ports(count: int, first: int) -> list[tuple[int, int]]:
    """A client port and a controller port for each broker."""
    held: list[socket.socket] = []
    try:
        clients = [_hold(held, first + i if first else None) for i in range(count)]
        return [(port, _hold(held, None)) for port in clients]
    finally:
        for one in held:
            one.close()


def _hold(held: list[socket.socket], port: int | None) -> int:
    """A free port, bound until all are found, so that none is found twice.

    Free ones are taken below the range that outgoing connections use. From that range, a
    client that knocks at a dead broker's port could be given this very port and so block
    the broker's return.
    """
    for _ in range(100):
        number = port or random.randrange(20_000, 30_000)
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((HOST, number))
        except OSError as error:
            one.close()
            if port:
                raise KafkaUnavailable(f"port {port} is taken; name another: {error}") from error
            continue
        held.append(one)
        return number
    raise KafkaUnavailable("no free port between 20000 and 29999")
