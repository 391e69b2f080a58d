"""The demo's life: its sinks, its customers and its agents, for as long as the process runs."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Mapping
from datetime import timedelta
from typing import Final

import httpx
import structlog

from services.demo import greeting, quiet, sink
from services.demo.agents import Agent
from services.demo.customers import Customers
from services.demo.posts import Post
from shared import api_keys
from shared.accounts import Account
from shared.api_keys import Grant
from shared.database import transaction
from shared.errors import Misconfigured
from shared.runtime import Runtime
from shared.serving import listen
from shared.serving.server import Server
from shared.telemetry import describe

SEED: Final = 20_26
KEYS_LAST: Final = timedelta(days=1)
TEAMS: Final = {"jo": ("frontdesk", "parcels"), "sam": ("claims", "frontdesk")}

log = structlog.get_logger("demo")


async def traffic(address: str, runtime: Runtime, env: Mapping[str, str]) -> None:
    """Runs until cancelled, once the process is ready at `address`. `env` as `demo_files` made it.

    Raises Misconfigured where the demo's accounts are not those that were loaded.
    """
    whatsapp = runtime.accounts.get("shop-whatsapp")
    if whatsapp is None or "DEMO_SINK_PORT" not in env:
        raise Misconfigured(
            "--demo brings its own accounts and policy: unset REGIE_CHANNELS_FILE and "
            "REGIE_POLICY_FILE, or leave --demo out"
        )
    quiet.requests_out_of_the_log()
    visitor, *keys = await _keys(runtime, "you", *TEAMS)
    async with (
        httpx.AsyncClient(base_url=address, timeout=20) as http,
        asyncio.TaskGroup() as group,
    ):
        life = _Life(group, http)
        sink_port = int(env["DEMO_SINK_PORT"])
        customers = Customers(
            runtime.accounts, life.post, life.later, random.Random(SEED),
            f"http://127.0.0.1:{sink_port}",
        )  # fmt: skip
        group.create_task(_web_sink(whatsapp, customers, sink_port), name="demo web")
        group.create_task(_mail_sink(customers, int(env["DEMO_SMTP_PORT"])), name="demo mail")
        for agent in _agents(address, keys):
            group.create_task(_at_work(agent), name=f"demo agent {agent.name}")
        greeting.show(address, visitor)
        await customers.live()


class _Life:
    """What customers do, beside each other, and what the doors say to it."""

    def __init__(self, group: asyncio.TaskGroup, http: httpx.AsyncClient) -> None:
        self._group = group
        self._http = http

    def later(self, work: Awaitable[None]) -> None:
        self._group.create_task(_quietly(work))

    async def post(self, post: Post) -> str:
        """Raises httpx.HTTPError for what is not accepted."""
        answer = await self._http.post(post.path, content=post.content, headers=dict(post.headers))
        return answer.raise_for_status().text


async def _quietly(work: Awaitable[None]) -> None:
    """A customer who finds the door closed gives up; the demo goes on."""
    try:
        await work
    except httpx.HTTPStatusError as error:
        log.warning("not accepted", status=error.response.status_code)
    except httpx.HTTPError as error:
        log.info("not accepted", error=describe(error))


async def _keys(runtime: Runtime, *agents: str) -> list[str]:
    expires = runtime.now() + KEYS_LAST
    async with transaction(runtime.engine) as connection:
        return [
            await api_keys.create(
                connection,
                Grant("agent", agent=agent, teams=TEAMS.get(agent, ()), expires_at=expires),
            )
            for agent in agents
        ]


def _agents(address: str, keys: list[str]) -> list[Agent]:
    # Jo is always there; Sam has long breaks, and claims come due meanwhile.
    hours = {"jo": (300.0, 30.0), "sam": (60.0, 150.0)}
    return [
        Agent(name, _client(address, key), random.Random(f"{SEED} {name}"), *hours[name])
        for name, key in zip(TEAMS, keys, strict=True)
    ]


def _client(address: str, key: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=address, timeout=20, headers={"Authorization": f"Bearer {key}"}
    )


async def _at_work(agent: Agent) -> None:
    async with agent.client:
        await agent.live()


async def _web_sink(account: Account, customers: Customers, port: int) -> None:
    await Server(sink.web(account, customers.hear)).run_on(listen("127.0.0.1", port))


async def _mail_sink(customers: Customers, port: int) -> None:
    server = sink.MailServer(customers.hear)
    listening = await asyncio.get_running_loop().create_server(server.session, "127.0.0.1", port)
    async with listening:
        await listening.serve_forever()
