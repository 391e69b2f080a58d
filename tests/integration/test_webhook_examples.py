"""The receiver of docs/webhooks.md runs as it stands there, and the page's own curl tries it."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from services.notifier.secrets import new_secret
from tests.e2e.process import free_port
from tests.waiting import BOUND, until

PAGE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text("utf-8")
CURL = next(block for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) if "hexkey" in block)


def example(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


@asynccontextmanager
async def receiver(secret: str) -> AsyncIterator[tuple[dict[str, str], asyncio.StreamReader]]:
    env = {"PATH": os.environ["PATH"], "SECRET": secret, "PORT": str(free_port())}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-u", "-c", example("python"), env=env,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip

    async def answers() -> bool:
        assert process.returncode is None, "the example ended by itself"
        try:
            async with httpx.AsyncClient() as http:
                return (await http.post(f"http://127.0.0.1:{env['PORT']}/")).status_code == 401
        except httpx.HTTPError:
            return False

    try:
        await until(answers)
        assert process.stdout is not None
        yield env, process.stdout
    finally:
        process.terminate()
        await process.wait()


async def curl(env: dict[str, str]) -> str:
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", CURL, env=env, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(BOUND):
        said, _ = await process.communicate()
    return said.decode().splitlines()[0]


@pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("openssl")), reason="no curl, or no openssl"
)
async def test_the_python_receiver_takes_the_pages_curl_once_and_no_forgery() -> None:
    async with receiver(new_secret()) as (env, said):
        assert " 204 " in await curl(env)
        assert " 204 " in await curl(env)  # a repeat
        assert " 401 " in await curl({**env, "SECRET": new_secret()})
        async with asyncio.timeout(BOUND):
            assert (await said.readline()).startswith(b"webhook.test")
    assert b"webhook.test" not in await said.read(), "the repeat was known for one"
