"""Whom the notifier may call: addresses in every disguise, and a name server that changes its mind.

Nothing here connects: what is allowed ends at a resolver or a guard that says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_network

import httpx
import pytest

from services.notifier.endpoints import checked
from services.notifier.targets.http import guarded_client
from services.router.versions.targets import refusal_of_own
from shared.addresses import is_own, is_private_name, reach
from shared.errors import Invalid, Misconfigured
from shared.guard import Forbidden, Guard, origin_of, plain
from tests.hostile import HOSTILE

PUBLIC = ["1.1.1.1", "93.184.216.34", "172.15.255.255", "172.32.0.1", "192.0.1.1", "100.63.0.1",
          "100.128.0.1", "198.17.0.1", "223.255.255.255", "2606:4700::1111", "2a00:1450::1",
          "::ffff:1.1.1.1", "64:ff9b::101:101"]  # fmt: skip
PRIVATE = ["10.0.0.1", "10.255.255.255", "127.0.0.1", "127.255.255.254", "172.16.0.1",
           "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.255.255", "192.0.0.1",
           "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.19.255.255", "198.51.100.1",
           "203.0.113.1", "::1", "fc00::1", "fdff::1", "fec0::1", "2001:db8::1", "3fff::1",
           "5f00::1", "100::1", "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:10.0.0.1",
           "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "2002:101:101::1",
           "2002:7f00:1::1", "2001::1", "2001:0:101:101::", "::7f00:1",
           "2606:4700::5efe:7f00:1", "1::1", "4000::1"]  # fmt: skip
NEVER = ["0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.170.2", "169.254.0.1", "224.0.0.1",
         "239.255.255.255", "240.0.0.1", "255.255.255.255", "100.100.100.200", "168.63.129.16",
         "192.0.0.192", "::", "fe80::1", "febf::1", "ff02::1", "fd00:ec2::254", "fd20:ce::254",
         "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "64:ff9b::a9fe:a9fe", "::a9fe:a9fe",
         "64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::1", "::ffff:0:a9fe:a9fe",
         "2001:0:a9fe:a9fe::1", "2001:0:101:101::5601:5601", "2606:4700::5efe:a9fe:a9fe",
         "fd00:ec2::253", "fd00:ec2::23",
         "fd00:c1::a9fe:a9fe", "::ffff:0.0.0.0"]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_may_be_called(address: str) -> None:
    assert reach(ip_address(address)) == "public"
    Guard().permit("hooks.example.org", 443, ip_address(address))


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_need_a_word_of_the_operator(address: str) -> None:
    assert reach(ip_address(address)) == "private"
    with pytest.raises(Forbidden, match="REGIE_ALLOW_PRIVATE_TARGETS"):
        Guard().permit("hooks.example.org", 443, ip_address(address))


@pytest.mark.parametrize("address", NEVER)
def test_no_word_of_anybody_opens_link_local_and_metadata(address: str) -> None:
    assert reach(ip_address(address)) == "never"
    guard = Guard.of("0.0.0.0/0, ::/0, hooks.example.org:443")
    with pytest.raises(Forbidden, match="never called"):
        guard.permit("hooks.example.org", 443, ip_address(address))


@pytest.mark.parametrize(
    ("allowed", "host", "port", "address", "permitted"),
    [
        ("127.0.0.1:9901", "127.0.0.1", 9901, "127.0.0.1", True),
        ("127.0.0.1:9901", "127.0.0.1", 9902, "127.0.0.1", False),
        ("127.0.0.1:9901", "localhost", 9901, "127.0.0.1", True),
        ("127.0.0.1:9901", "localhost", 9901, "::ffff:127.0.0.1", True),
        ("127.0.0.1:9901", "localhost", 9901, "::1", False),
        ("localhost:9901", "localhost", 9901, "127.0.0.1", True),
        ("localhost:9901", "LOCALHOST.", 9901, "::1", True),
        ("localhost:9901", "127.0.0.1", 9901, "127.0.0.1", False),
        ("[::1]:80", "::1", 80, "::1", True),
        ("10.0.0.0/8", "desk.internal", 8443, "10.1.2.3", True),
        ("10.0.0.0/8", "desk.internal", 8443, "::ffff:10.1.2.3", True),
        ("10.0.0.0/8", "desk.internal", 8443, "192.168.1.1", False),
        ("10.0.0.0/8", "desk.internal", 8443, "fd00::1", False),
        ("fd00::/8", "desk.internal", 443, "fd00::1", True),
        ("192.168.1.7", "printer", 80, "192.168.1.7", True),
        ("192.168.1.7", "printer", 80, "192.168.1.8", False),
        (" 10.0.0.0/8 , desk:80,", "desk", 80, "172.16.0.1", True),
    ],
)
def test_what_the_operator_allows(
    allowed: str, host: str, port: int, address: str, permitted: bool
) -> None:
    guard = Guard.of(allowed)
    if permitted:
        guard.permit(host, port, ip_address(address))
    else:
        with pytest.raises(Forbidden):
            guard.permit(host, port, ip_address(address))


@pytest.mark.parametrize(
    "item", ["desk", "desk:", "desk:http", "desk:0", "desk:65536", "10.0.0/33"]
)
def test_what_cannot_be_read_is_named(item: str) -> None:
    with pytest.raises(Misconfigured, match="REGIE_ALLOW_PRIVATE_TARGETS.*" + item):
        Guard.of(f"127.0.0.1:80, {item}")


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://127.0.0.1:9901/supervisors", ("127.0.0.1", 9901)),
        ("https://Hooks.Example.org/x", ("hooks.example.org", 443)),
        ("http://hooks.example.org./", ("hooks.example.org", 80)),
        ("http://[::1]:8080/", ("::1", 8080)),
        ("http://user:pass@desk.internal/", ("desk.internal", 80)),
        ("http://bücher.example/", ("xn--bcher-kva.example", 80)),
        ("ftp://desk.internal/", None),
        ("http://desk:port/", None),
        ("desk.internal/path", None),
        ("", None),
    ],
)
def test_the_origin_of_a_url(url: str, origin: tuple[str, int] | None) -> None:
    assert origin_of(url) == origin


async def unasked(host: str, port: int) -> Sequence[str]:
    """Resolves nothing, and only what looks like a private network's name may come so far."""
    raise OSError(f"{host} was asked for")


@pytest.mark.parametrize("url", HOSTILE)
async def test_a_hostile_url_is_never_connected_to(url: str) -> None:
    """Nor tried again: it is no outage."""
    async with guarded_client(Guard(), unasked) as http:
        with pytest.raises(
            (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.ConnectError, UnicodeError)
        ) as found:
            await http.post(url, content=b"{}")
    if isinstance(found.value, httpx.ConnectError):
        host = str(found.value).partition(" has no address")[0]
        assert is_private_name(plain(host)), "nothing but a private network's name is looked up"


@pytest.mark.parametrize("url", HOSTILE)
def test_a_hostile_url_is_refused_when_it_is_given(url: str) -> None:
    """By a subscription and by an agent, over https too, where the scheme is no reason."""
    secure = url.replace("http://", "https://", 1)
    for each in dict.fromkeys((url, secure)):
        with pytest.raises(Invalid):
            checked(each, Guard())
    if url.startswith("http://"):
        with pytest.raises(Invalid) as found:
            checked(secure, Guard())
        assert "use https" not in str(found.value)
        assert refusal_of_own(secure, Guard()) or "@" in url or not url.isprintable()


def test_the_table_is_long_enough_to_be_one() -> None:
    assert len(HOSTILE) == len(set(HOSTILE)) >= 200


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.org/in", "https://hooks.example.org./in", "https://1.1.1.1/",
        "https://hooks.example.org:8443/a?b=c", "https://[2606:4700::1111]/", "https://16843009/",
        "https://bücher.example/", "https://straße.example/", "https://xn--bcher-kva.example/",
        "https://a_b.example.org/", "https://1.example.org/", "https://hooks.example.org/a b",
    ],
)  # fmt: skip
def test_what_is_public_and_plain_is_taken(url: str) -> None:
    if " " in url:
        with pytest.raises(Invalid, match="whole URL"):
            checked(url, Guard())
    else:
        assert checked(url, Guard()) == url


def test_a_name_is_read_as_the_client_reads_it() -> None:
    """`ß` is `ss` to the old rules of such names and a letter of its own to the new ones."""
    assert origin_of("https://straße.example/") == ("xn--strae-oqa.example", 443)
    there = origin_of("https://straße.internal/")
    assert there is not None
    with pytest.raises(Forbidden):
        Guard.of("strasse.internal:443").permit_unresolved(*there)


def test_a_public_address_of_this_machine_is_as_private_as_loopback() -> None:
    """What is not routed, like /metrics, is behind it."""
    mine = ip_address("1.1.1.1")
    for seen in ("1.1.1.1", "::ffff:1.1.1.1"):
        with pytest.raises(Forbidden, match="this machine's own"):
            Guard(own=lambda address: address == mine).permit(
                "hooks.example.org", 443, ip_address(seen)
            )
    Guard(networks=(ip_network("1.1.1.1/32"),), own=lambda _: True).permit("h", 443, mine)
    assert is_own(ip_address("127.0.0.1"))
    assert not is_own(ip_address("192.0.2.1"))


@pytest.mark.parametrize(
    ("host", "permitted"),
    [
        ("hooks.example.org", True), ("1.1.1.1", True), ("16843009", True), ("1.2.3.4.5", False),
        ("local.example.org", True), ("internal.com", True), ("0xa.example.org", True),
        ("desk.internal", False), ("DESK.LOCAL.", False), ("a.b.localhost", False),
        ("printer", False), ("nas.home.arpa", False), ("hooks.default.svc", False),
        ("metadata.google.internal", False), ("desk.lan", True), ("10.1.2.3", True),
        ("fe80::1", False),
    ],
)  # fmt: skip
def test_what_can_be_said_of_a_host_by_its_name(host: str, permitted: bool) -> None:
    guard = Guard.of("desk.lan:80, 10.0.0.0/8, fe80::/10, desk.internal:81")
    if permitted:
        guard.permit_unresolved(host, 80)
    else:
        with pytest.raises(Forbidden):
            guard.permit_unresolved(host, 80)


class NameServer:
    """Gives each answer once, in order; the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.mark.parametrize(
    "answer",
    [
        ["127.0.0.1"], ["169.254.169.254"], ["::1"], ["fe80::1%eth0"], ["::ffff:10.0.0.1"],
        ["93.184.216.34", "127.0.0.1"], ["2606:4700::1111", "::1"], ["not an address"],
    ],
)  # fmt: skip
async def test_one_bad_address_among_the_answers_refuses_the_name(answer: list[str]) -> None:
    server = NameServer(answer)
    async with guarded_client(Guard(), server) as http:
        with pytest.raises(httpx.UnsupportedProtocol, match=r"rebind\.example"):
            await http.get("http://rebind.example/")
    assert server.asked == [("rebind.example", 80)]


async def test_a_name_without_an_address_may_have_one_later() -> None:
    async def unknown(host: str, port: int) -> Sequence[str]:
        raise OSError("Name or service not known")

    async with guarded_client(Guard(), unknown) as http:
        with pytest.raises(httpx.ConnectError, match="has no address"):
            await http.get("http://nowhere.example/")


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:3128")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:3128")
    server = NameServer(["10.0.0.1"])
    async with guarded_client(Guard(), server) as http:
        with pytest.raises(httpx.UnsupportedProtocol):
            await http.get("http://proxied.example/")
    assert server.asked == [("proxied.example", 80)]
