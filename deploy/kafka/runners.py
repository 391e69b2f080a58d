"""Two ways to run Kafka's classes: this machine's Java on jars that Maven brings, or Docker."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

HERE = Path(__file__).resolve().parent
POM = HERE / "pom.xml"
HEAP = "-Xmx320m"


class KafkaUnavailable(RuntimeError):
    """Kafka cannot run here, or did not come up; the text says what to do."""


class Runner(Protocol):
    def command(self, name: str, folder: Path, main: str, *args: str) -> list[str]:
        """The command that runs the Java class `main`, which writes below `folder` only."""

    def signal(self, name: str, pid: int, number: signal.Signals) -> list[str]:
        """The command that sends a signal to what `command` started under this name and pid."""


class Jvm:
    """Kafka's jars, copied by Maven, on this machine's Java."""

    def __init__(self, java: str, libs: Path) -> None:
        self._java = java
        self._libs = libs

    def command(self, name: str, folder: Path, main: str, *args: str) -> list[str]:
        # Warnings are enough to find a fault by; the ready line is the one exception.
        logging = [
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
            "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
        ]
        jvm = [self._java, HEAP, "-XX:+UseSerialGC", "-cp", f"{self._libs}/*"]
        return [*jvm, *logging, main, *args]

    def signal(self, name: str, pid: int, number: signal.Signals) -> list[str]:
        return ["sh", "-c", 'kill -s "$0" "$1"', number.name.removeprefix("SIG"), str(pid)]


class Docker:
    """The official image; host networking keeps the listeners on this machine's loopback."""

    def __init__(self, image: str) -> None:
        self._image = image

    def command(self, name: str, folder: Path, main: str, *args: str) -> list[str]:
        container = ["--rm", "--name", name, "--network", "host", "--entrypoint", "java"]
        files = ["--user", f"{os.getuid()}:{os.getgid()}", "--volume", f"{folder}:{folder}"]
        logging = ["-Dlog4j2.configurationFile=/opt/kafka/config/log4j2.yaml"]
        jvm = [HEAP, "-Dkafka.logs.dir=/tmp", *logging, "-cp", "/opt/kafka/libs/*"]
        return ["docker", "run", *container, *files, self._image, *jvm, main, *args]

    def signal(self, name: str, pid: int, number: signal.Signals) -> list[str]:
        return ["docker", "kill", "--signal", number.name, name]


def version() -> str:
    """Kafka's version, as the pom names it."""
    found = re.search(r"<kafka\.version>([^<]+)<", POM.read_text(encoding="utf-8"))
    assert found, f"{POM} names no kafka.version"
    return found[1]


def missing() -> str | None:
    """What this machine lacks to run Kafka, in one sentence; None when nothing."""
    if (_java() and (_libs().is_dir() or shutil.which("mvn"))) or _docker():
        return None
    have = "Java 17 or newer" if not _java() else "Maven"
    return (
        f"{have} is missing: install both Java and Maven (Debian, Ubuntu: "
        "apt-get install default-jre-headless maven; Fedora: dnf install "
        "java-latest-openjdk-headless maven; macOS: brew install openjdk maven), "
        "or on Linux start Docker"
    )


def runner() -> Runner:
    """The way to run Kafka here; brings the jars when they are not there yet."""
    java = _java()
    if java and (_libs().is_dir() or shutil.which("mvn")):
        return Jvm(java, _bring_jars())
    if _docker():
        return Docker(f"apache/kafka:{version()}")
    raise KafkaUnavailable(missing() or "Kafka cannot run here")


def _java() -> str | None:
    home = os.environ.get("JAVA_HOME")
    for java in ([f"{home}/bin/java"] if home else []) + ["java"]:
        # Asked, not only looked for: macOS has a `java` that merely offers to install one.
        said = _said([java, "-version"])
        number = re.search(r'version "(\d+)', said or "")
        if number and int(number[1]) >= 17:
            return java
    return None


def _docker() -> bool:
    return sys.platform == "linux" and _said(["docker", "info"]) is not None


def _said(command: Sequence[str]) -> str | None:
    """What a command printed, both streams; None when it is absent, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return (done.stdout + done.stderr).decode(errors="replace")


def _libs() -> Path:
    """The jars' folder. Its name holds the pom's digest, so that a new version brings new jars."""
    cache = Path(os.environ.get("REGIE_KAFKA_LIBS") or HERE / ".libs").resolve()
    return cache / f"{version()}-{hashlib.sha256(POM.read_bytes()).hexdigest()[:8]}"


def _bring_jars() -> Path:
    libs = _libs()
    if libs.is_dir():
        return libs
    print(f"bringing Kafka {version()} (43 MB, once) …", file=sys.stderr, flush=True)
    libs.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=libs.parent) as folder:
        copied = Path(folder, "jars")
        maven = ["mvn", "-q", "-B", "--strict-checksums", "-f", str(POM)]
        done = subprocess.run(
            [*maven, "dependency:copy-dependencies", f"-DoutputDirectory={copied}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=900,
            check=False,
        )
        if done.returncode != 0:
            raise KafkaUnavailable(f"Maven could not bring Kafka:\n{done.stdout.decode()[-2000:]}")
        try:
            copied.rename(libs)
        except OSError:
            # Another run was quicker; the jars are the same.
            if not libs.is_dir():
                raise
    return libs
