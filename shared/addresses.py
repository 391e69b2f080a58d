"""What an address is to a caller that must not be tricked: public, private, or never called.

The lists are explicit, because Python's `is_global` has changed its mind between versions.
Sources: IANA's registries of special-purpose addresses for IPv4 and IPv6; for the metadata
services the documentation of the clouds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from socket import AF_INET, AF_INET6, SOCK_DGRAM, inet_aton, socket
from typing import Final, Literal

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Reach = Literal["public", "private", "never"]

# Link-local, and the metadata services outside of it.
_METADATA: Final = tuple(
    ip_network(network)
    for network in (
        "169.254.0.0/16", "fe80::/10",
        "100.100.100.200/32",  # Alibaba Cloud
        "168.63.129.16/32",  # Azure
        "192.0.0.192/32",  # Oracle Cloud
        "fd00:ec2::/32",  # AWS: metadata, the credentials of pods, names, time
        "fd20:ce::254/128",  # Google Cloud
        "fd00:c1::a9fe:a9fe/128",  # Oracle Cloud
        "fd00:42::42/128",  # Scaleway
    )
)  # fmt: skip
# "This host", multicast, reserved.
_NOBODY: Final = tuple(
    ip_network(network)
    for network in ("0.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "::/128", "ff00::/8")
)
_PRIVATE: Final = tuple(
    ip_network(network)
    for network in (
        "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
        "203.0.113.0/24",
        "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
    )
)  # fmt: skip
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")  # beyond it nothing of IPv6 is public
_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_TEREDO: Final = IPv6Network("2001::/32")
_6TO4: Final = IPv6Network("2002::/16")
# Old ways of writing an IPv4 address in the last 32 bits: compatible, translated, local NAT64.
_TAILED: Final = tuple(map(IPv6Network, ("::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48")))
_NUMERIC: Final = re.compile(r"(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)$", re.ASCII)
_NAME: Final = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*", re.ASCII)
_LONGEST_NAME: Final = 253
# RFC 6761, RFC 6762 (and its appendix G), RFC 7686, RFC 9476, ICANN's `internal`, and the names
# inside Kubernetes.
_INSIDE: Final = frozenset(
    ("localhost", "localdomain", "local", "internal", "intranet", "private", "corp", "home", "lan",
     "svc", "test", "invalid", "onion", "alt")
)  # fmt: skip
_ISATAP: Final = {0x0000_5EFE, 0x0200_5EFE}  # RFC 5214, in front of the last 32 bits


def reach(address: Address) -> Reach:
    """A metadata service is found in any IPv6 wrapping. A tunnel is private at best."""
    plain = unwrapped(address)
    if any(_within(one, _METADATA) for one in (plain, *hidden(address))) or _within(plain, _NOBODY):
        return "never"
    if isinstance(plain, IPv6Address) and plain not in _GLOBAL_UNICAST:
        return "private"
    if _within(plain, _PRIVATE) or _is_isatap(plain):
        return "private"
    return "public"


def unwrapped(address: Address) -> Address:
    """The IPv4 address that an IPv4-mapped or NAT64 one stands for: packets go there."""
    if isinstance(address, IPv6Address) and (address in _MAPPED or address in _NAT64):
        return _tail(address)
    return address


def hidden(address: Address) -> Iterator[IPv4Address]:
    """Every IPv4 address that is written inside an IPv6 one."""
    if isinstance(address, IPv4Address):
        return
    if address in _MAPPED or address in _NAT64 or _within(address, _TAILED) or _is_isatap(address):
        yield _tail(address)
    if address in _6TO4:
        yield IPv4Address((int(address) >> 80) & 0xFFFF_FFFF)
    if address in _TEREDO:
        yield IPv4Address((int(address) >> 64) & 0xFFFF_FFFF)  # its server
        yield IPv4Address(int(address) & 0xFFFF_FFFF ^ 0xFFFF_FFFF)  # its client, inverted


def read_address(text: str) -> Address | None:
    """None for what is a name. A zone (`fe80::1%eth0`) is no part of an IPv6 address."""
    try:
        return ip_address(text.partition("%")[0] if ":" in text else text)
    except ValueError:
        return None


def written_address(host: str) -> Address | None:
    """As `read_address`, and in the short, octal and hexadecimal writings of IPv4 that resolvers
    take too (`127.1`, `0x7f000001`, `2130706433`). None for what is a name."""
    address = read_address(host)
    if address is None and _NUMERIC.search(host):
        try:
            return IPv4Address(inet_aton(host))
        except OSError:
            return None
    return address


def is_name(host: str) -> bool:
    """Whether the DNS could have this name, in lower case and without a final dot. What ends in a
    number is an address, or nothing: no top-level name is a number."""
    return (
        len(host) <= _LONGEST_NAME
        and _NAME.fullmatch(host) is not None
        and _NUMERIC.search(host) is None
    )


def is_own(address: Address) -> bool:
    """Whether this machine has the address: packets to it would leave from it. Sends none."""
    with socket(AF_INET if address.version == 4 else AF_INET6, SOCK_DGRAM) as probe:
        try:
            probe.connect((str(address), 9))
        except OSError:  # no way leads there
            return False
        return read_address(str(probe.getsockname()[0])) == address


def is_private_name(host: str) -> bool:
    """Whether a name, in lower case, can only lead into a private network: one without a domain,
    or under a top-level name that the public DNS does not have."""
    return "." not in host or host.rpartition(".")[2] in _INSIDE or host.endswith(".home.arpa")


def _within(address: Address, networks: tuple[Network, ...]) -> bool:
    # `in` is False across the two families, and so must only ever be asked within one.
    return any(address.version == each.version and address in each for each in networks)


def _tail(address: IPv6Address) -> IPv4Address:
    return IPv4Address(int(address) & 0xFFFF_FFFF)


def _is_isatap(address: Address) -> bool:
    return isinstance(address, IPv6Address) and (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP
