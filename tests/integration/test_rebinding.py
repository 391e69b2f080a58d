"""A name server of our own that says one thing to whoever checks and another to whoever connects.

127.0.0.2 stands for an address that may be called, as public ones may: the guard permits it and
nothing else of this machine. The trap listens on another of its addresses, at the same port.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest

from shared.guard import Guard
from shared.guarded_http import guarded_client
from tests.fakes.endpoint import Endpoint, reset, status
from tests.fakes.nameserver import NameServer

GOOD, TRAP = "127.0.0.2", "127.0.0.3"
NAME = "rebind.example"


@dataclass
class Place:
    names: NameServer
    good: Endpoint
    trap: Endpoint
    http: httpx.AsyncClient

    @property
    def url(self) -> str:
        return f"http://{NAME}:{self.good.port}/in"

    async def post(self, url: str = "") -> int:
        return (await self.http.post(url or self.url, content=b"{}")).status_code


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with make() as made:
        yield made
        assert made.trap.connections == 0, "nobody ever came to the trap"


@asynccontextmanager
async def make() -> AsyncIterator[Place]:
    async with (
        NameServer() as names,
        Endpoint(host=GOOD) as good,
        Endpoint(host=TRAP, port=good.port) as trap,
        guarded_client(Guard.of(GOOD), names.resolve) as http,
    ):
        yield Place(names, good, trap, http)


async def test_the_connection_goes_to_the_address_that_was_checked(place: Place) -> None:
    place.names.says(NAME, "A", [GOOD], [TRAP])
    assert await place.post() == 200
    assert place.names.asked == [(NAME, "A"), (NAME, "AAAA")], "asked once, and never again"
    assert place.good.requests[0].headers["host"] == f"{NAME}:{place.good.port}"


async def test_what_it_says_later_is_checked_anew(place: Place) -> None:
    place.names.says(NAME, "A", [GOOD], [TRAP])
    place.good.script("/in", reset())
    with pytest.raises(httpx.TransportError):
        await place.post()
    with pytest.raises(httpx.UnsupportedProtocol, match=TRAP):
        await place.post()
    assert place.names.times(NAME) == 4
    assert place.good.connections == 1


@pytest.mark.parametrize(
    ("a", "aaaa"),
    [
        ([GOOD, TRAP], []),
        ([TRAP, GOOD], []),
        ([GOOD], ["::1"]),
        ([GOOD], ["::ffff:127.0.0.3"]),
        ([GOOD], ["64:ff9b::7f00:3"]),
        ([GOOD], ["fe80::1"]),
        ([GOOD, "169.254.169.254"], ["2606:4700::1111"]),
        ([], ["::1"]),
        ([], ["::ffff:7f00:3"]),
        ([], ["fd00:ec2::254"]),
        ([], ["2002:7f00:3::1"]),
        (["0.0.0.0"], []),
    ],
)
async def test_one_bad_address_of_either_family_refuses_the_name(
    place: Place, a: list[str], aaaa: list[str]
) -> None:
    place.names.says(NAME, "A", a)
    place.names.says(NAME, "AAAA", aaaa)
    with pytest.raises(httpx.UnsupportedProtocol, match=r"rebind\.example leads to"):
        await place.post()
    assert place.good.connections == 0


async def test_a_name_with_addresses_of_ipv6_alone_is_called(place: Place) -> None:
    place.names.says(NAME, "AAAA", [f"::ffff:{GOOD}"])
    assert await place.post() == 200


async def test_an_alias_is_judged_by_where_it_ends(place: Place) -> None:
    place.names.alias(NAME, "cdn.example")
    place.names.alias("cdn.example", "edge.example")
    place.names.says("edge.example", "A", [GOOD], [TRAP])
    assert await place.post() == 200
    other = f"http://other.example:{place.good.port}/in"
    place.names.alias("other.example", "edge.example")
    with pytest.raises(httpx.UnsupportedProtocol, match=r"other\.example leads to"):
        await place.post(other)


async def test_an_alias_to_a_name_inside_is_judged_by_its_address(place: Place) -> None:
    place.names.alias(NAME, "metadata.google.internal")
    place.names.says("metadata.google.internal", "A", ["169.254.169.254"])
    with pytest.raises(httpx.UnsupportedProtocol, match="never called"):
        await place.post()


@pytest.mark.parametrize("fault", ["nothing", "failure", "circle"])
async def test_a_name_server_in_trouble_is_an_outage_and_no_refusal(
    place: Place, fault: str
) -> None:
    """A delivery is tried again then."""
    if fault == "failure":
        place.names.fail(NAME)
    elif fault == "circle":
        place.names.alias(NAME, "round.example")
        place.names.alias("round.example", NAME)
    with pytest.raises(httpx.ConnectError, match="has no address"):
        await place.post()


async def test_the_next_checked_address_is_tried_without_asking_again(place: Place) -> None:
    place.names.says(NAME, "A", ["127.0.0.4", GOOD], [TRAP])
    guard = Guard.of(f"{GOOD}, 127.0.0.4")
    async with guarded_client(guard, place.names.resolve) as http:
        assert (await http.post(place.url, content=b"{}")).status_code == 200
    assert place.names.times(NAME) == 2


async def test_a_name_the_operator_allows_may_move_inside_but_not_to_metadata(
    place: Place,
) -> None:
    place.names.says(NAME, "A", [GOOD], ["169.254.169.254"])
    guard = Guard.of(f"{NAME}:{place.good.port}")
    async with guarded_client(guard, place.names.resolve) as http:
        place.good.script("/in", reset())
        with pytest.raises(httpx.TransportError):
            await http.post(place.url, content=b"{}")
        with pytest.raises(httpx.UnsupportedProtocol, match="never called"):
            await http.post(place.url, content=b"{}")


async def test_what_is_written_as_an_address_asks_no_name_server(place: Place) -> None:
    assert await place.post(f"http://0x7f.2:{place.good.port}/in") == 200
    with pytest.raises(httpx.UnsupportedProtocol, match="a private address"):
        await place.post(f"http://0x7f.3:{place.good.port}/in")
    assert place.names.asked == []


async def test_a_redirect_to_the_trap_is_an_answer(place: Place) -> None:
    place.names.says(NAME, "A", [GOOD])
    place.good.script("/in", status(307, location=place.trap.url + "/in"))
    assert await place.post() == 307
