"""The process: it starts, it drains, and it ends when a part of it does."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.broker import Message
from shared.cloudevents import encode
from shared.errors import DatabaseUnavailable, Misconfigured
from shared.events import HeartbeatSent
from shared.runtime import Runtime, Service, Subscription
from shared.serving import address_of, listen, serve
from shared.serving.tasks import TaskEnded
from shared.topics import MESSAGES_RECEIVED
from tests.builders import EXAMPLE, NOON
from tests.command import ready, regie, said
from tests.doors import make_runtime, open_door
from tests.rooms import SECRETS
from tests.waiting import BOUND, until

CHANNELS = (
    "accounts: {service-portal: {channel: portal, provider: generic, secret: '${PORTAL_SECRET}'}}"
)


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    channels = tmp_path / "channels.yaml"
    channels.write_text(CHANNELS)
    return {
        "REGIE_CHANNELS_FILE": str(channels),
        "REGIE_DATA_DIR": str(tmp_path / "data"),
        "PORTAL_SECRET": SECRETS["PORTAL_SECRET"],
    }


# --- as a command ------------------------------------------------------------------------------


async def test_from_an_empty_folder_to_a_routed_message_and_back(env: dict[str, str]) -> None:
    async with regie("serve", "--port", "0", env=env) as command:
        await until(lambda: ready(command))
        # While it serves, its database is reached through it.
        status, key = await said("keys", "create", "--role", "admin", env=env)
        assert status == 0, key
        headers = {"Authorization": f"Bearer {key.strip()}"}
        async with httpx.AsyncClient(base_url=command.address, headers=headers) as http:
            body = {"account": "service-portal", "from": {"address": "1001"}, "text": "Hello"}
            posted = await http.post("/v1/messages", json=body)
            assert posted.status_code == 202

            async def routed() -> bool:
                return (await http.get(posted.headers["location"])).status_code == 200

            await until(routed)
            found = (await http.get(posted.headers["location"])).json()
            assert found["case"]["team"] == "frontdesk"
            assert found["occurred_at"].endswith("Z")
        status, words = await said(
            "lag", env={**env, "REGIE_URL": command.address, "REGIE_KEY": key.strip()}
        )
        assert (status, "OK" in words) == (0, True)
        command.process.send_signal(signal.SIGTERM)
        assert await command.ended() == 0
    status, words = await said("keys", "list", env=env)
    assert status == 0
    assert "admin" in words


async def test_a_busy_port_says_so(env: dict[str, str]) -> None:
    listener = listen("127.0.0.1", 0)
    port = str(listener.getsockname()[1])
    status, words = await said("serve", "--port", port, env=env)
    listener.close()
    assert status == 2
    assert f"port {port}" in words
    assert "--port" in words


async def test_a_wrong_channels_file_says_what_and_where(env: dict[str, str]) -> None:
    Path(env["REGIE_CHANNELS_FILE"]).write_text("accounts: {a: {channel: emial}}")
    status, words = await said("serve", "--port", "0", env=env)
    assert status == 2
    assert "channels.yaml:1" in words
    assert "email" in words


async def test_the_process_ends_with_its_database(env: dict[str, str], tmp_path: Path) -> None:
    async with regie("serve", "--port", "0", env=env) as command:
        await until(lambda: ready(command))
        pid = (tmp_path / "data" / "postgres" / "data" / "postmaster.pid").read_text()
        os.kill(int(pid.split()[0]), signal.SIGKILL)
        assert await command.ended() == 1


async def test_a_policy_is_checked_without_a_server(env: dict[str, str], tmp_path: Path) -> None:
    assert (await said("policy", "check", str(EXAMPLE), env=env))[0] == 0
    wrong = tmp_path / "policy.yaml"
    wrong.write_text(EXAMPLE.read_text().replace("team: claims,", "team: clams,", 1))
    status, words = await said("policy", "check", str(wrong), env=env)
    assert status == 1
    assert "clams" in words


async def test_without_a_server_a_command_says_how_to_get_one(env: dict[str, str]) -> None:
    status, words = await said("lag", env={**env, "REGIE_URL": "http://127.0.0.1:1"})
    assert status == 1
    assert "regie serve" in words


# --- in this process ---------------------------------------------------------------------------


@pytest.fixture
def runtime(database_url: str, tmp_path: Path) -> Runtime:
    return make_runtime(database_url, tmp_path)


async def run(runtime: Runtime, service: Service) -> None:
    await asyncio.wait_for(
        serve(
            runtime,
            [service],
            listen("127.0.0.1", 0),
            stop=asyncio.Event(),
            prepare=[("log", runtime.broker.start)],
        ),
        BOUND,
    )


async def test_a_task_that_raises_ends_the_process(runtime: Runtime) -> None:
    async def fail() -> None:
        raise ValueError("broken")

    with pytest.raises(ExceptionGroup) as caught:
        await run(runtime, Service("room", tasks={"bad": fail}))
    assert caught.group_contains(ValueError)


async def test_a_task_that_just_ends_ends_the_process(runtime: Runtime) -> None:
    async def leave() -> None:
        pass

    with pytest.raises(ExceptionGroup) as caught:
        await run(runtime, Service("room", tasks={"quitter": leave}))
    assert caught.group_contains(TaskEnded, match="quitter")


async def test_a_wrong_file_at_start_ends_the_process(runtime: Runtime) -> None:
    async def start() -> None:
        raise Misconfigured("policy.yaml:3: no")

    with pytest.raises(ExceptionGroup) as caught:
        await run(runtime, Service("room", start=start))
    assert caught.group_contains(Misconfigured)


async def test_a_request_under_way_is_answered_before_the_end(runtime: Runtime) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()
    router = APIRouter()

    @router.get("/slow")
    async def slow() -> str:
        entered.set()
        await leave.wait()
        return "done"

    async with open_door(runtime, [Service("room", routers=[router])]) as door:
        answer = asyncio.create_task(door.http.get("/slow"))
        await entered.wait()
        door.stop.set()
        leave.set()
        assert (await answer).json() == "done"


async def test_a_batch_under_way_is_committed_before_the_end(runtime: Runtime) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def handle(connection: AsyncConnection, items: Sequence[Any]) -> None:
        entered.set()
        await leave.wait()

    subscription = Subscription("test.slow", (MESSAGES_RECEIVED,), handle)
    async with open_door(runtime, [Service("room", subscriptions=[subscription])]) as door:
        await door.runtime.broker.publish([beat()])
        await entered.wait()
        door.stop.set()
        leave.set()
    moved = make_runtime(str(runtime.settings.database_url), runtime.settings.data_dir)
    async with open_door(moved, []) as after:
        rows = await after.rows("SELECT next FROM positions WHERE grp = 'test.slow' AND next > 0")
        assert rows == [(1,)]


async def test_while_a_dependency_is_away_the_process_lives_unready(runtime: Runtime) -> None:
    there = asyncio.Event()
    stop = asyncio.Event()

    async def prepare() -> None:
        if not there.is_set():
            raise DatabaseUnavailable("not yet")
        await runtime.broker.start()

    listener = listen("127.0.0.1", 0)
    serving = asyncio.create_task(
        serve(runtime, [], listener, stop=stop, prepare=[("database", prepare)])
    )
    async with httpx.AsyncClient(base_url=address_of(listener), timeout=BOUND) as http:
        assert (await http.get("/healthz")).status_code == 200
        waiting = await http.get("/readyz")
        assert (waiting.status_code, waiting.json()["ready"]) == (503, False)
        refused = await http.get("/v1/anything")
        assert (refused.status_code, refused.json()["name"]) == (503, "starting")
        there.set()

        async def now_ready() -> bool:
            return (await http.get("/readyz")).status_code == 200

        await until(now_ready)
    stop.set()
    await asyncio.wait_for(serving, BOUND)


def beat() -> Message:
    body = HeartbeatSent(partition=0, sent_at=NOON)
    return encode(MESSAGES_RECEIVED, b"", body, id="beat", source="/test", partition=0)
