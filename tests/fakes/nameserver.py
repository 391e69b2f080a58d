"""A name server that changes its mind, over UDP on loopback, and a resolver that asks it.

async with NameServer() as server:
    server.says("rebind.example", "A", ["203.0.113.7"], ["127.0.0.1"])   # each once, the last ever
    server.alias("www.example", "rebind.example")
    async with guarded_client(guard, server.resolve) as http:
        …
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import IPv6Address
from types import TracebackType
from typing import Final, Literal, Self

from dnslib import AAAA, CNAME, QTYPE, RCODE, RR, A, DNSRecord  # type: ignore[import-untyped]

from tests.waiting import BOUND

Kind = Literal["A", "AAAA"]
_KINDS: Final[tuple[Kind, ...]] = ("A", "AAAA")
_ALIASES: Final = 8


class NameServer(asyncio.DatagramProtocol):
    """asked: every question, in order."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self._answers: dict[tuple[str, str], list[Sequence[str]]] = {}
        self._aliases: dict[str, str] = {}
        self._failing: set[str] = set()
        self._address: tuple[str, int] = ("", 0)

    def says(self, name: str, kind: Kind, *answers: Sequence[str]) -> None:
        """Every answer once and in order, but the last one for ever."""
        self._answers[name, kind] = list(answers)

    def alias(self, name: str, other: str) -> None:
        """A CNAME. The answer holds nothing else: whoever asks goes on by themselves."""
        self._aliases[name] = other

    def fail(self, name: str) -> None:
        """SERVFAIL."""
        self._failing.add(name)

    def times(self, name: str) -> int:
        return sum(asked == name for asked, _ in self.asked)

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """What a resolver makes of it: aliases followed, both families. Raises OSError."""
        found: list[str] = []
        for kind in _KINDS:
            found += await self._follow(host, kind)
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return found

    async def _follow(self, name: str, kind: Kind) -> Sequence[str]:
        for _ in range(_ALIASES):
            reply = await self._ask(name, kind)
            if reply.header.rcode == RCODE.SERVFAIL:
                raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
            aliases = [str(each.rdata.label) for each in reply.rr if each.rtype == QTYPE.CNAME]
            if not aliases:
                return [str(each.rdata) for each in reply.rr]
            name = aliases[0].rstrip(".")
        raise socket.gaierror(socket.EAI_FAIL, "too many aliases")

    async def _ask(self, name: str, kind: Kind) -> DNSRecord:
        loop = asyncio.get_running_loop()
        question = DNSRecord.question(name, kind).pack()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
            line.setblocking(False)
            async with asyncio.timeout(BOUND):
                await loop.sock_connect(line, self._address)
                await loop.sock_sendall(line, question)
                return DNSRecord.parse(await loop.sock_recv(line, 4096))

    # --- the server ---

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        question = DNSRecord.parse(data)
        name, kind = str(question.q.qname).rstrip("."), QTYPE[question.q.qtype]
        self.asked.append((name, kind))
        reply = question.reply()
        if name in self._failing:
            reply.header.rcode = RCODE.SERVFAIL
        elif name in self._aliases:
            reply.add_answer(RR(name, QTYPE.CNAME, rdata=CNAME(self._aliases[name]), ttl=0))
        else:
            for text in self._next(name, kind):
                record = A(text) if kind == "A" else AAAA(IPv6Address(text).exploded)
                reply.add_answer(RR(name, question.q.qtype, rdata=record, ttl=0))
        self._transport.sendto(reply.pack(), address)

    def _next(self, name: str, kind: str) -> Sequence[str]:
        answers = self._answers.get((name, kind), [()])
        return answers.pop(0) if len(answers) > 1 else answers[0]

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", 0)
        )
        self._address = self._transport.get_extra_info("sockname")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._transport.close()
