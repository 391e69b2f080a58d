"""One Kafka node: its folder, its ports, and its process while it runs."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from deploy.kafka.runners import KafkaUnavailable, Runner

READY = b"Kafka Server started"


class Broker:
    def __init__(self, runner: Runner, node: int, folder: Path, ports: tuple[int, int]) -> None:
        self.node = node
        self.port, self.controller_port = ports
        self.log = folder / "broker.log"
        self._runner = runner
        self._folder = folder
        # The folder's digest keeps two servers' containers apart.
        self._name = f"regie-kafka-{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._log_seen = 0

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def configure(self, properties: Mapping[str, str]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        lines = [f"{key}={value}\n" for key, value in properties.items()]
        self._properties.write_text("".join(lines), encoding="utf-8")

    def format(self, cluster: str) -> subprocess.Popen[bytes] | None:
        """Begin to lay out the storage; None when that was done before."""
        if self.data.joinpath("meta.properties").exists():
            return None
        args = ["format", f"--cluster-id={cluster}", "--config", str(self._properties)]
        return self._spawn(f"{self._name}-format", "kafka.tools.StorageTool", *args)

    def start(self) -> None:
        self._log_seen = self.log.stat().st_size if self.log.exists() else 0
        self._process = self._spawn(self._name, "kafka.Kafka", str(self._properties))
        # When this process dies without a word (SIGKILL), the pipe closes and the guard
        # takes the broker along; a JVM of 320 MB is not left behind.
        last_act = self._runner.signal(self._name, self._process.pid, signal.SIGKILL)
        self._guard = subprocess.Popen(
            ["sh", "-c", 'read -r _; exec "$@" 2>/dev/null', "guard", *last_act],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def await_ready(self, deadline: float) -> None:
        while READY not in self._new_log():
            if not self.running:
                raise KafkaUnavailable(f"broker {self.node} ended:\n{self._tail()}")
            if time.monotonic() > deadline:
                raise KafkaUnavailable(f"broker {self.node} is not ready:\n{self._tail()}")
            time.sleep(0.05)

    def signal(self, number: signal.Signals) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        command = self._runner.signal(self._name, self._process.pid, number)
        subprocess.run(command, capture_output=True, timeout=20, check=False)

    def wait(self, timeout: float) -> None:
        """Until it has ended; after `timeout` seconds it is killed."""
        if self._process is None:
            return
        try:
            self._process.wait(max(timeout, 0))
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            self._process.wait(20)
        if self._guard is not None:
            self._guard.kill()
            self._guard.communicate()
        self._process = self._guard = None

    @property
    def data(self) -> Path:
        return self._folder / "data"

    @property
    def _properties(self) -> Path:
        return self._folder / "server.properties"

    def _spawn(self, name: str, main: str, *args: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self._runner.command(name, self._folder, main, *args),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Out of the terminal's reach: Ctrl-C comes to us, and we end it in order.
                start_new_session=True,
            )

    def _new_log(self) -> bytes:
        with self.log.open("rb") as log:
            log.seek(self._log_seen)
            return log.read()

    def _tail(self) -> str:
        return self._new_log().decode(errors="replace")[-3000:]
