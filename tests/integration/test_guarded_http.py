"""The guarded client on real connections: to the address that was checked, and to no other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from services.notifier.targets.http import guarded_client
from shared.guard import Guard
from tests.certificates import Authority
from tests.fakes.endpoint import Endpoint, hang, reset, status


class NameServer:
    """Gives each answer once, in order; the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


async def test_the_host_of_the_url_is_what_the_target_sees() -> None:
    async with Endpoint() as endpoint:
        guard = Guard.of(f"hooks.example.org:{endpoint.port}")
        server = NameServer(["127.0.0.1"])
        async with guarded_client(guard, server) as http:
            answer = await http.post(
                f"http://hooks.example.org:{endpoint.port}/x?y=1", content=b"{}"
            )
        assert answer.status_code == 200
        (request,) = endpoint.requests
        assert request.path == "/x?y=1"
        assert request.headers["host"] == f"hooks.example.org:{endpoint.port}"


async def test_a_name_that_moves_between_two_connections_is_checked_again() -> None:
    async with Endpoint() as endpoint:
        guard = Guard.of(f"127.0.0.1:{endpoint.port}")
        server = NameServer(["127.0.0.1"], ["169.254.169.254"])
        url = f"http://rebind.example:{endpoint.port}/"
        async with guarded_client(guard, server) as http:
            assert (await http.get(url)).status_code == 200
            assert (await http.get(url)).status_code == 200  # the same connection
            assert server.asked == 1  # resolved once, and connected to that
            endpoint.script("/", reset())
            with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
                await http.get(url)
            with pytest.raises(httpx.UnsupportedProtocol, match="never called"):
                await http.get(url)
        assert server.asked == 2


async def test_a_redirect_is_an_answer_and_not_followed() -> None:
    async with Endpoint() as endpoint:
        endpoint.script("/", status(307, location="http://169.254.169.254/latest/meta-data/"))
        async with guarded_client(Guard.of(f"127.0.0.1:{endpoint.port}")) as http:
            assert (await http.post(endpoint.url + "/")).status_code == 307
        assert len(endpoint.requests) == 1


async def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    async with Endpoint() as endpoint:
        guard = Guard.of("127.0.0.0/8")
        async with guarded_client(guard, NameServer(["127.0.0.2", "127.0.0.1"])) as http:
            answer = await http.get(f"http://two.example:{endpoint.port}/")
        assert answer.status_code == 200


async def test_times_out_as_httpx_does() -> None:
    async def never(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    async with guarded_client(Guard(), never) as http:
        with pytest.raises(httpx.ConnectTimeout):
            await http.get("http://slow.example/", timeout=0.05)
    async with Endpoint() as endpoint:
        endpoint.script("/", hang())
        async with guarded_client(Guard.of(f"127.0.0.1:{endpoint.port}")) as http:
            with pytest.raises(httpx.ReadTimeout):
                await http.get(endpoint.url + "/", timeout=0.05)


async def test_the_certificate_is_checked_against_the_name_and_not_the_address(
    tmp_path: Path,
) -> None:
    asked: list[str | None] = []
    authority = Authority(tmp_path)
    context = authority.server("hooks.example.org")
    context.sni_callback = lambda _socket, name, _context: asked.append(name)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    trust = authority.trust()
    guard = Guard.of("127.0.0.0/8")
    async with server, guarded_client(guard, NameServer(["127.0.0.1"]), trust) as http:
        good = await http.get(f"https://hooks.example.org:{port}/")
        assert good.status_code == 204
        with pytest.raises(httpx.ConnectError, match="certificate"):
            await http.get(f"https://other.example.org:{port}/")
    assert asked == ["hooks.example.org", "other.example.org"]
