"""The guarded HTTP client: every connection of it goes to an address that was checked.

The check stands inside the connection step. A name is resolved once, each of its addresses is
checked, and the connection is made to one of those, so that no second answer of a name server can
lead elsewhere. Host and TLS name stay those of the URL.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

import httpcore
import httpx
from httpcore import AsyncNetworkBackend, AsyncNetworkStream

from shared.addresses import read_address
from shared.guard import Forbidden, Guard

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
# What a URL raises that can never be called: trying again does not help. httpx reads a host's
# `xn--` again as it makes the request, and lets the error of that through.
UNCALLABLE: Final = (
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
    httpx.LocalProtocolError,
    UnicodeError,
)
_KEPT: Final = 5  # s; a server that closes an idle connection as we use it leaves a doubt
_CONNECTIONS: Final = 100


def guarded_client(
    guard: Guard, resolve: Resolve | None = None, tls: ssl.SSLContext | None = None
) -> httpx.AsyncClient:
    """Follows no redirect, reads no proxy from the environment, verifies certificates.

    resolve  every address of a name; by default the system's answer
    tls      whom to trust; by default certifi's authorities, or those of SSL_CERT_FILE
    """
    return httpx.AsyncClient(
        transport=GuardedTransport(guard, resolve or resolve_by_system, tls or _tls()),
        follow_redirects=False,
        trust_env=False,
        timeout=15,
    )


async def resolve_by_system(host: str, port: int) -> Sequence[str]:
    """Every address of a name, in the system's order. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class GuardedTransport(httpx.AsyncBaseTransport):
    """httpx over a pool of httpcore whose connections are made by `_Backend`."""

    def __init__(self, guard: Guard, resolve: Resolve, tls: ssl.SSLContext) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=_CONNECTIONS,
            keepalive_expiry=_KEPT,
            network_backend=_Backend(guard, resolve),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        _must_be_web(request)
        assert isinstance(request.stream, httpx.AsyncByteStream)
        inner = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _as_httpx(request):
            response = await self._pool.handle_async_request(inner)
        return httpx.Response(
            status_code=response.status,
            headers=response.headers,
            stream=_Body(response, request),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: httpcore.Response, request: httpx.Request) -> None:
        self._response = response
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx(self._request):
            async for part in self._response.aiter_stream():
                yield part

    async def aclose(self) -> None:
        with _as_httpx(self._request):
            await self._response.aclose()


class _Backend(AsyncNetworkBackend):
    """Makes connections, to checked addresses only."""

    def __init__(self, guard: Guard, resolve: Resolve) -> None:
        self._guard = guard
        self._resolve = resolve
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._checked(host, port)
                return await self._first(addresses, port, local_address, socket_options)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"no connection to {host} in {timeout} s") from error

    async def _checked(self, host: str, port: int) -> Sequence[str]:
        """All of a name's addresses: with a bad one among them, not even the good ones are used.
        What is written as an address is taken at its word; no resolver reads it otherwise."""
        written = self._guard.permit_written(host, port)
        if written is not None:
            return [str(written)]
        try:
            found = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} has no address: {error}") from error
        for text in found:
            address = read_address(text)
            if address is None:
                raise Forbidden(f"{host} leads to {text}, which is no IP address")
            self._guard.permit(host, port, address)
        return found

    async def _first(
        self, addresses: Sequence[str], port: int, local: str | None, options: Iterable[Any] | None
    ) -> AsyncNetworkStream:
        """The first of these that answers."""
        failure = httpcore.ConnectError("the name has no address")
        for address in addresses:
            try:
                return await self._inner.connect_tcp(
                    address, port, local_address=local, socket_options=options
                )
            except httpcore.ConnectError as error:
                failure = error
        raise failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> AsyncNetworkStream:
        raise Forbidden("a unix socket is never called")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def _must_be_web(request: httpx.Request) -> None:
    """A port of 0 would be taken for none, and a web socket's URL for a web page's."""
    url = request.url
    if url.scheme not in ("http", "https"):
        raise httpx.UnsupportedProtocol(f"{url.scheme} is never called", request=request)
    if url.port is not None and not 0 < url.port < 65536:
        raise httpx.UnsupportedProtocol(f"there is no port {url.port}", request=request)


@cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context()


@contextmanager
def _as_httpx(request: httpx.Request) -> Iterator[None]:
    """httpcore's errors as those of httpx, which bear the same names."""
    try:
        yield
    except _ERRORS as error:
        name = next(kind.__name__ for kind in type(error).__mro__ if hasattr(httpx, kind.__name__))
        raise getattr(httpx, name)(str(error), request=request) from error


_ERRORS: Final = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)
