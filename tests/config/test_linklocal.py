"""No connection leads to a link-local or metadata address, however it is written and whatever a name answers."""

import socket
from typing import Any

import pytest

from agent_mcp.config.linklocal import LinkLocalError, check_host, is_link_local, refuse_link_local

pytestmark = pytest.mark.anyio


class FakeStream:
    """A connection as the HTTP library shows it."""

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.closed = False

    def get_extra_info(self, name: str) -> Any:
        """Whom it leads to."""
        return (self.peer, 80) if name == "server_addr" else None

    async def aclose(self) -> None:
        """Close."""
        self.closed = True


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "[fe80::1]", "fd00:ec2::254"),
        *("::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"),
        *("100.100.100.200", "168.63.129.16", "fd20:ce::254", "169.254.169.254."),
        *("64:ff9b:1::a9fe:a9fe", "::169.254.169.254", "::ffff:0:a9fe:a9fe"),
        *("2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.16689662"),
    ],
)
def test_every_form_of_a_link_local_address_is_one(address: str) -> None:
    assert is_link_local(address)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "::1", "10.0.0.1", "169.253.0.1", "example.org", "", "fec0::1", "::", "2130706433", "1é"],
)
def test_other_addresses_and_names_are_none(address: str) -> None:
    assert not is_link_local(address)


@pytest.mark.parametrize("host", ["2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.16689662"])
async def test_decimal_octal_and_hexadecimal_notations_are_seen_through(host: str) -> None:
    with pytest.raises(LinkLocalError, match="allow_link_local"):
        await check_host(host, 80)


async def test_a_name_that_has_such_an_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_: object, **__: object) -> list[Any]:
        addresses = ("93.184.216.34", "169.254.169.254")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(LinkLocalError, match=r"metadata\.example"):
        await refuse_link_local("connection.connect_tcp.started", {"host": "metadata.example", "port": 80})


async def test_a_name_that_answers_differently_the_second_time_is_refused_by_its_peer() -> None:
    stream = FakeStream("169.254.169.254")
    with pytest.raises(LinkLocalError):
        await refuse_link_local("connection.connect_tcp.complete", {"return_value": stream})
    assert stream.closed
    honest = FakeStream("127.0.0.1")
    await refuse_link_local("connection.connect_tcp.complete", {"return_value": honest})
    assert not honest.closed


async def test_a_name_that_nobody_knows_is_left_to_who_connects() -> None:
    await check_host("no.such.host.invalid", 80)
