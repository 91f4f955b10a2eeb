"""Addresses that no server of a config may have unless its entry says so: link-local ones and clouds' metadata.

Whoever talks to such an address from inside a machine may be handed that machine's own credentials. The look is at
what a connection really leads to: at the name's addresses before, and at the peer's address before a byte is sent, so
that a name which answers differently the second time gains nothing. Knows no HTTP beyond the form of a trace of
`httpcore2` (https://www.encode.io/httpcore/extensions/#trace).
"""

import ipaddress
import socket
from typing import Any

import anyio

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA = frozenset(
    map(
        ipaddress.ip_address,
        ("100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254"),
    )
)
"""Metadata services outside of the link-local ranges: Alibaba, Oracle, Azure, and Amazon and Google over IPv6."""
_EMBEDDING = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "::/96", "::ffff:0:0:0/96")))
"""Networks whose addresses end in an IPv4 one: NAT64, well-known and local (RFC 6052, 8215), compatible (RFC 4291),
translated (RFC 2765)."""


class LinkLocalError(OSError):
    """A connection leads to an address that is not allowed; nothing was sent."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"{host} leads to a link-local or metadata address, which is refused; "
            'set "allow_link_local": true in the server\'s entry if it is meant'
        )


def is_link_local(written: str) -> bool:
    """Whether an address is one of these, also inside of IPv6 forms of IPv4; False for what is no address."""
    address = _parsed(written.strip("[]").partition("%")[0].rstrip("."))
    if address is None:
        return False
    return any(each.is_link_local or each in _METADATA for each in (address, *_embedded(address)))


def _parsed(written: str) -> Address | None:
    try:
        return ipaddress.ip_address(written)
    except ValueError:
        pass
    try:
        # `2852039166` and `0251.0376.0251.0376` are addresses to whoever connects, a proxy too.
        return ipaddress.IPv4Address(socket.inet_aton(written))
    except (OSError, ValueError):
        return None


def _embedded(address: Address) -> list[Address]:
    """The IPv4 addresses that an IPv6 one stands for: mapped and 6to4 (RFC 4291, 3056), and those of `_EMBEDDING`."""
    if not isinstance(address, ipaddress.IPv6Address):
        return []
    found: list[Address] = [each for each in (address.ipv4_mapped, address.sixtofour) if each is not None]
    if any(address in network for network in _EMBEDDING):
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return found


async def refuse_link_local(event: str, info: dict[str, Any]) -> None:
    """The `trace` extension of a request: looks at each connection as it is made.

    Raises:
        LinkLocalError: it leads where it must not.
    """
    if event.endswith("connect_tcp.started"):
        await check_host(info["host"], info["port"])
    elif event.endswith("connect_tcp.complete"):
        stream = info["return_value"]
        peer = stream.get_extra_info("server_addr")
        if peer is not None and is_link_local(str(peer[0])):
            await stream.aclose()
            raise LinkLocalError(str(peer[0]))


async def check_host(host: str, port: int) -> None:
    """Look at every address of a name, in whichever notation (`2852039166` and `0251.0376.0251.0376` are one too).

    Raises:
        LinkLocalError: one of them is not allowed.
    """
    try:
        found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return  # Whoever connects finds the same, and says it better.
    if any(is_link_local(str(sockaddr[0])) for *_, sockaddr in found):
        raise LinkLocalError(host)
