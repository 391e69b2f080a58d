"""The files of deploy/ and docker-compose.yml against what the code does."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from deploy.kafka import runners
from services.ingest.service import service as ingest
from services.notifier.service import service as notifier
from services.router.service import service as router
from shared.accounts import load_accounts
from shared.blobs import FolderBlobs
from shared.broker.kafka_options import topic_options
from shared.broker.postgres import PostgresBroker
from shared.database import connect
from shared.runtime import Runtime, Service
from shared.settings import Settings, read_settings
from shared.topics import DEAD_LETTER_TOPICS, TOPICS, partitions_of
from shared.web.app import make_app

ROOT = Path(__file__).parents[2]
ROOMS: dict[str, Callable[[Runtime], Service]] = {
    "ingest": ingest,
    "router": router,
    "notifier": notifier,
}
# DESIGN's table of the public contract, which is wider than what is written today.
CONTRACT = {
    "ingest": (
        "/webhooks/desk-whatsapp", "/webhooks/support-mail/mime", "/v1/messages", "/v1/messages/1",
        "/v1/chat", "/v1/chat/1", "/v1/resume/R-7K4Q-2M9X",
    ),
    "notifier": (
        "/v1/targets", "/v1/targets/1/rotate", "/v1/subscriptions", "/v1/subscriptions/1",
        "/v1/events", "/v1/stream",
    ),
    "router": (
        "/", "/ops", "/ops/lag", "/ops/dead-letters/1/replay", "/v1/inbox", "/v1/inbox/next",
        "/v1/cases", "/v1/cases/1/replies", "/v1/handoffs/1/accept", "/v1/promises/1", "/v1/agents",
        "/v1/customers/1/merge", "/v1/policy/dry-run", "/v1/reports/journeys", "/readyz",
    ),
}  # fmt: skip


@pytest.mark.parametrize("room", ROOMS)
def test_the_proxy_sends_every_route_to_the_service_that_has_it(room: str) -> None:
    for path in [*_own_paths(room), *CONTRACT[room]]:
        assert _proxied_to(path) == room, path


def test_the_compose_file_names_services_that_there_are() -> None:
    services = _yaml("docker-compose.yml")["services"]
    assert set(_upstreams()) == set(ROOMS)
    for room in ROOMS:
        assert services[room]["command"] == ["serve", room, "--host", "0.0.0.0"]


def test_the_compose_file_sets_variables_that_regie_reads() -> None:
    for name in _yaml("docker-compose.yml")["x-regie"]["environment"]:
        assert name.removeprefix("REGIE_").lower() in Settings.model_fields, name


def test_the_example_environment_has_all_that_is_asked_for() -> None:
    offered = set(re.findall(r"^#?([A-Z_]+)=", _text(".env.example"), re.MULTILINE))
    channels = re.sub(r"#.*", "", _text("deploy/channels.yaml"))
    asked = set(re.findall(r"\$\{([A-Z_]+)", channels + _text("docker-compose.yml")))
    assert asked - {"REGIE_VERSION"} <= offered


def test_the_example_environment_holds_no_value() -> None:
    assert not re.findall(r"^[A-Z_]+=.+", _text(".env.example"), re.MULTILINE)


def test_one_version_of_kafka_everywhere() -> None:
    image = _yaml("docker-compose.yml")["services"]["kafka"]["image"]
    assert image == f"apache/kafka:{runners.version()}"


def test_the_topics_are_listed_as_they_are_made() -> None:
    listed = _yaml("deploy/kafka/topics.yaml")
    wanted = {name: {"partitions": partitions_of(name)} for name in (*TOPICS, *DEAD_LETTER_TOPICS)}
    assert listed["topics"] == wanted
    assert listed["settings"] == topic_options(brokers=3)[1]


# --- reading them ------------------------------------------------------------------------------


def _own_paths(room: str) -> Iterator[str]:
    url = "postgresql+asyncpg://nobody@localhost/nothing"  # nothing connects to it
    runtime = Runtime(
        settings=read_settings({}),
        engine=connect(url),
        broker=PostgresBroker(url),
        blobs=FolderBlobs(Path("blobs")),
        accounts=load_accounts("accounts: {}", "none", {}),
    )
    for path in make_app(runtime, ROOMS[room](runtime).routers).openapi()["paths"]:
        yield re.sub(r"\{\w+\}", "1", path)


def _proxied_to(path: str) -> str:
    """As Caddy chooses: a pattern is the path itself, or with a final `*` its beginning."""
    for service, patterns in re.findall(r"@(\w+) path (.+)", _text("deploy/proxy/Caddyfile")):
        for pattern in patterns.split():
            whole = not pattern.endswith("*")
            if path == pattern if whole else path.startswith(pattern[:-1]):
                return str(service)
    return "router"


def _upstreams() -> list[str]:
    return re.findall(r"import service (\w+)", _text("deploy/proxy/Caddyfile"))


def _yaml(name: str) -> Any:
    return YAML(typ="safe").load(_text(name))


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")
