"""Whom we may call: the public internet, what the operator names, and never a metadata service.

    guard = Guard.of(settings.allow_private_targets, origins)
    guard.permit("hooks.example.org", 443, address)

It judges addresses: the connection step asks it for each one it is about to use. Of a host that is
not resolved yet, `permit_unresolved` says what can be known already.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Final
from urllib.parse import urlsplit

import httpcore

from shared.addresses import (
    Address,
    Network,
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
    """

    origins: frozenset[Origin] = frozenset()
    networks: tuple[Network, ...] = ()
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
        if found == "public":
            return
        if found == "never":
            raise Forbidden(
                f"{host} leads to {address}: link-local, metadata and reserved addresses are "
                "never called"
            )
        if not self._allows(host, port, unwrapped(address)):
            raise Forbidden(
                f"{host} leads to {address}, a private address: if that is meant, put "
                f"{host}:{port} into REGIE_ALLOW_PRIVATE_TARGETS"
            )

    def permit_unresolved(self, host: str, port: int) -> None:
        """Raises Forbidden for an address as `permit` does, in whatever writing; and for a name
        that only a private network has, unless it is allowed by that name."""
        name = plain(host)
        address = written_address(name)
        if address is not None:
            self.permit(host, port, address)
        elif is_private_name(name) and (name, port) not in self.origins:
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
    """The host and port a URL leads to; None when it has none or is not HTTP."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    if not parts.hostname or port is None or parts.scheme not in _PORTS:
        return None
    return plain(parts.hostname), port


def plain(host: str) -> str:
    """A host name as it is compared: lower case, in ASCII, without a final dot."""
    try:
        host = host.encode("idna").decode() if not host.isascii() else host
    except UnicodeError:
        pass  # it will not resolve either
    return host.lower().rstrip(".")


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
