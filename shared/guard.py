"""Whom we may call: the public internet, what the operator names, and never a metadata service.

    guard = Guard.of(settings.allow_private_targets, origins)
    guard.permit("hooks.example.org", 443, address)

It judges addresses: the connection step asks it for each one it is about to use. Of a host that is
not resolved yet, `permit_unresolved` says what can be known already. A URL is read as the client
reads it: two readings of one URL are how guards are passed by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Final

import httpcore
import httpx

from shared.addresses import (
    Address,
    Network,
    is_name,
    is_own,
    is_private_name,
    reach,
    read_address,
    unwrapped,
    written_address,
)
from shared.errors import Misconfigured

Origin = tuple[str, int]  # host in lower case, port
_PORTS: Final = {"http": 80, "https": 443}
_HELP: Final = "REGIE_ALLOW_PRIVATE_TARGETS takes host:port, address or CIDR, separated by commas"


class Forbidden(httpcore.UnsupportedProtocol):
    """An address that must not be called. To a client of httpx this is an `UnsupportedProtocol`,
    as for any URL that cannot be called at all: trying again does not help."""


@dataclass(frozen=True)
class Guard:
    """What may be called besides public addresses.

    origins   hosts with their port, by the name the URL has
    networks  addresses, whatever the port
    own       whether an address is this machine's: a public one of it is as private as loopback
    """

    origins: frozenset[Origin] = frozenset()
    networks: tuple[Network, ...] = ()
    own: Callable[[Address], bool] = field(default=is_own, compare=False, repr=False)
    _addresses: frozenset[tuple[Address, int]] = field(init=False)

    def __post_init__(self) -> None:
        known = ((read_address(host), port) for host, port in self.origins)
        literal = frozenset((unwrapped(address), port) for address, port in known if address)
        object.__setattr__(self, "_addresses", literal)

    @classmethod
    def of(cls, allowed: str, origins: Iterable[Origin] = ()) -> Guard:
        """From REGIE_ALLOW_PRIVATE_TARGETS and what the operator's files name. Raises
        Misconfigured, naming the item it cannot read."""
        hosts, networks = set(origins), []
        for item in filter(None, map(str.strip, allowed.split(","))):
            network = _network(item)
            if network is not None:
                networks.append(network)
            else:
                hosts.add(_host_and_port(item))
        return cls(frozenset(hosts), tuple(networks))

    def permit(self, host: str, port: int, address: Address) -> None:
        """Raises Forbidden unless `address`, to which `host` resolved, may be called on `port`."""
        found = reach(address)
        if found == "public" and not self.own(unwrapped(address)):
            return
        if found == "never":
            raise Forbidden(
                f"{host} leads to {address}: link-local, metadata and reserved addresses are "
                "never called"
            )
        if not self._allows(host, port, unwrapped(address)):
            whose = "this machine's own" if found == "public" else "a private"
            raise Forbidden(
                f"{host} leads to {address}, {whose} address: if that is meant, put "
                f"{host}:{port} into REGIE_ALLOW_PRIVATE_TARGETS"
            )

    def permit_written(self, host: str, port: int) -> Address | None:
        """The address that `host` writes, in whatever writing; None for a name, which is still to
        be resolved. Raises Forbidden for an address as `permit` does, for a port that is none, and
        for what is neither address nor name."""
        if not 0 < port < 65536:
            raise Forbidden(f"{host} has no port {port}: ports are 1 to 65535")
        name = plain(host)
        address = written_address(name)
        if address is not None:
            self.permit(host, port, address)
        elif not is_name(name):
            raise Forbidden(f"{host} is neither an address nor the name of a host: correct it")
        return address

    def permit_unresolved(self, host: str, port: int) -> None:
        """As `permit_written`, and raises Forbidden for a name that only a private network has,
        unless it is allowed by that name."""
        name = plain(host)
        if self.permit_written(host, port) is not None:
            return
        if is_private_name(name) and (name, port) not in self.origins:
            raise Forbidden(
                f"{host} is a name of a private network: if that is meant, put {host}:{port} into "
                "REGIE_ALLOW_PRIVATE_TARGETS"
            )

    def _allows(self, host: str, port: int, address: Address) -> bool:
        return (
            (plain(host), port) in self.origins
            or (address, port) in self._addresses
            or any(address.version == net.version and address in net for net in self.networks)
        )


def origin_of(url: str) -> Origin | None:
    """The host and port a URL leads to; None when it has none, or is not HTTP, or cannot be
    called."""
    try:
        read = httpx.URL(url)
        host, scheme, port = read.raw_host.decode(), read.scheme, read.port
        assert isinstance(read.host, str)  # reading it raises where its `xn--` is none
    except (httpx.InvalidURL, UnicodeError):
        return None
    port = _PORTS.get(scheme) if port is None else port
    if not host or port is None or scheme not in _PORTS or not 0 < port < 65536:
        return None
    return plain(host), port


def plain(host: str) -> str:
    """A host name as it is compared: lower case, in ASCII, without its final dot."""
    try:
        host = host.encode("idna").decode() if not host.isascii() else host
    except UnicodeError:
        pass  # it will not resolve either
    return host.lower().removesuffix(".")


def _network(item: str) -> Network | None:
    try:
        return ip_network(item.strip("[]"), strict=False)
    except ValueError:
        if "/" in item:
            raise Misconfigured(f"{_HELP}: {item!r} is no network") from None
        return None


def _host_and_port(item: str) -> Origin:
    host, colon, port = item.rpartition(":")
    host = host.strip("[]")
    if not (colon and host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise Misconfigured(f"{_HELP}: {item!r} is none of these")
    return plain(host), int(port)
