"""The files of deploy/ and docker-compose.yml against what the code does."""

from __future__ import annotations

import asyncio
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
from shared.ops import Ops
from shared.progress import Progress
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
    for path in [*own_paths(room), *CONTRACT[room]]:
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
    asked |= {each["environment"] for each in _yaml("docker-compose.yml")["secrets"].values()}
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


# --- Prometheus and Grafana --------------------------------------------------------------------


def test_prometheus_scrapes_every_service_with_a_key() -> None:
    services = _yaml("docker-compose.yml")["services"]
    [job] = _yaml("deploy/prometheus/prometheus.yml")["scrape_configs"]
    [found] = job["dns_sd_configs"]
    assert set(found["names"]) == set(ROOMS)
    assert f"EXPOSE {found['port']}" in _text("deploy/Dockerfile")
    assert job["job_name"].startswith("regie"), "the rules look for it"
    [secret] = services["prometheus"]["secrets"]
    assert job["authorization"] == {"credentials_file": f"/run/secrets/{secret}"}


@pytest.mark.parametrize("name", ["prometheus", "grafana"])
def test_who_watches_is_asked_for_and_listens_here_alone(name: str) -> None:
    whole = _yaml("docker-compose.yml")
    service = whole["services"][name]
    assert service["profiles"] == ["watch"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert re.fullmatch(r".+:v?\d+\.\d+\.\d+", service["image"])
    assert set(service["secrets"]) <= set(whole["secrets"])
    for mount in service["volumes"]:
        outside = mount.split(":")[0]
        assert (ROOT / outside).exists() if outside.startswith(".") else outside in whole["volumes"]


def test_prometheus_is_given_the_rules_it_names() -> None:
    mounts = _yaml("docker-compose.yml")["services"]["prometheus"]["volumes"]
    folder = "/etc/prometheus"
    for name in ("prometheus.yml", *_yaml("deploy/prometheus/prometheus.yml")["rule_files"]):
        assert f"./deploy/prometheus/{name}:{folder}/{name}:ro" in mounts


# --- the image ---------------------------------------------------------------------------------


def test_the_image_begins_with_one_python_down_to_the_patch() -> None:
    version = re.search(r"^ARG PYTHON=(\S+)$", _text("deploy/Dockerfile"), re.MULTILINE)
    assert version is not None
    assert re.fullmatch(r"3\.\d+\.\d+-slim-\w+", version[1])
    froms = [line.split(" AS ")[0] for line in _steps("FROM")]
    assert froms == ["python:${PYTHON}", "python:${PYTHON}"]


def test_the_image_holds_what_the_lock_names_and_nothing_else() -> None:
    installs = [step for step in _steps("RUN") if "pip install" in step]
    assert len(installs) == 2
    assert "--require-hashes --only-binary=:all: -r requirements.lock" in installs[0]
    assert "--no-deps --no-build-isolation --no-index ." in installs[1]
    lock = _text("requirements.lock")
    line = r"^([\w.\[\]-]+)==[^\n]*\\\n((?:\s+--hash=sha256:\w{64}[ \\]*\n)*)"
    named = re.findall(line, lock, re.MULTILINE)
    assert len(named) == len(re.findall(r"^[\w.\[\]-]+==", lock, re.MULTILINE)) > 30
    assert all(hashes for _, hashes in named)
    assert "hatchling" in {name for name, _ in named}, "--no-index builds with it"


def test_the_image_gets_files_that_the_context_lets_in() -> None:
    let_in = set(re.findall(r"^!(\S+)$", _text(".dockerignore"), re.MULTILINE))
    copied = {
        source
        for step in _steps("COPY")
        if not step.startswith("--from")
        for source in step.split()[:-1]
    }
    assert copied == let_in
    assert all((ROOT / name).exists() for name in copied)


def test_the_image_runs_as_nobody_in_particular_and_tells_whether_it_lives() -> None:
    [made] = re.findall(r"useradd --uid (\d+) --user-group", _text("deploy/Dockerfile"))
    assert _steps("USER") == [f"{made}:{made}"]
    assert int(made) >= 10_000
    [check] = _steps("HEALTHCHECK")
    [path] = re.findall(r"http://127\.0\.0\.1:8080(/\w+)", check)
    assert path == "/healthz"
    assert path in operators_paths()
    [entry] = _steps("ENTRYPOINT")
    assert entry == '["regie"]'
    assert '\nregie = "services.__main__:main"' in _text("pyproject.toml")


# --- reading them ------------------------------------------------------------------------------


def own_paths(room: str) -> Iterator[str]:
    """The paths of one room's app, with 1 for each parameter."""
    runtime = _runtime()
    for path in make_app(runtime, ROOMS[room](runtime).routers).openapi()["paths"]:
        yield re.sub(r"\{\w+\}", "1", path)


def operators_paths() -> set[str]:
    """Those of every process: probes, metrics, /ops."""
    ops = Ops(_runtime(), [], Progress(), asyncio.Event())
    return set(make_app(_runtime(), [ops.router]).openapi()["paths"])


def _runtime() -> Runtime:
    url = "postgresql+asyncpg://nobody@localhost/nothing"  # nothing connects to it
    return Runtime(
        settings=read_settings({}),
        engine=connect(url),
        broker=PostgresBroker(url),
        blobs=FolderBlobs(Path("blobs")),
        accounts=load_accounts("accounts: {}", "none", {}),
    )


def _proxied_to(path: str) -> str:
    """As Caddy chooses: a pattern is the path itself, or with a final `*` its beginning."""
    for service, patterns in re.findall(r"@(\w+) path (.+)", _text("deploy/proxy/Caddyfile")):
        for pattern in patterns.split():
            whole = not pattern.endswith("*")
            if path == pattern if whole else path.startswith(pattern[:-1]):
                return str(service)
    return "router"


def _steps(word: str) -> list[str]:
    """What follows one of the Dockerfile's words, each step on one line."""
    whole = re.sub(r"\\\n\s*", "", _text("deploy/Dockerfile"))
    return re.findall(rf"^{word} (.+)$", whole, re.MULTILINE)


def _upstreams() -> list[str]:
    return re.findall(r"import service (\w+)", _text("deploy/proxy/Caddyfile"))


def _yaml(name: str) -> Any:
    return YAML(typ="safe").load(_text(name))


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")
