"""A newcomer's first minute: `regie serve --demo`."""

from __future__ import annotations

import os
import re
from pathlib import Path

import httpx
import pytest

from tests.e2e.process import Regie, attempts, running

SECONDS = 60


@pytest.mark.slow
async def test_the_demo_fills_the_inbox_from_three_channels_and_stops_in_order(
    tmp_path: Path,
) -> None:
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    async with running(Regie(tmp_path / "data", env, services=("--demo",))) as regie:
        key = await _printed_key(regie)
        async with regie.client(key) as agent:
            channels = set[str]()
            async for _ in attempts(SECONDS):
                channels |= await _channels(agent)
                if len(channels) >= 3:
                    break
            assert channels >= {"whatsapp", "email", "phone"}
            claimed = await agent.post("/v1/inbox/next")
            assert claimed.status_code == 200
            reply = await agent.post(
                f"/v1/cases/{claimed.json()['id']}/replies",
                json={"text": "We are on it.", "outcome": _outcome(claimed.json())},
            )
            assert reply.status_code == 202
        assert await regie.stop() == 0


async def _printed_key(regie: Regie) -> str:
    async for _ in attempts(SECONDS):
        if found := re.search(r"agent key +(regie_\w+)", regie.log.read_text(errors="replace")):
            assert f"{regie.url}/v1/inbox" in regie.log.read_text(errors="replace")
            return found[1]
    raise AssertionError(f"no key was printed: {regie.tail()}")


async def _channels(agent: httpx.AsyncClient) -> set[str]:
    states = ["open", "waiting_customer", "waiting_internal", "closed"]
    page = await agent.get("/v1/inbox", params={"state": states})
    return {item["channel"] for item in page.raise_for_status().json()["items"]}


def _outcome(case: dict[str, str]) -> str:
    """A call is answered by calling back."""
    return "reached" if case["channel"] in ("phone", "portal") else ""
