"""Which addresses content may go to: looked at when the socket is made, whatever the name resolved to before.

The ranges are those that no provider can have: the standard library calls some of them global (NAT64 and
6to4 forms of loopback), so they are listed (RFC 6052, 3056, 4380, 6598).
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Callable
from typing import TypeAlias

Vet: TypeAlias = Callable[[str], bool]
"""An address as text -> whether a socket may be connected to it."""

_DENIED = tuple(
    ipaddress.ip_network(text)
    for text in (
        "::/96",  # IPv4-compatible
        "100.64.0.0/10",  # carrier-grade NAT
        "192.0.0.0/24",  # protocol assignments
        "192.88.99.0/24",  # 6to4 relay anycast
        "198.18.0.0/15",  # benchmarks
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",  # local-use NAT64
        "2001::/23",  # protocol assignments, Teredo (2001::/32) among them
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
    )
)


def is_public(address: str) -> bool:
    """Whether the address is a host on the internet that is not this one.

    IPv6 forms that wrap an IPv4 address are denied whatever they wrap.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if not parsed.is_global or parsed.is_multicast or parsed.is_reserved or parsed.is_unspecified:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return False
    if any(parsed.version == network.version and parsed in network for network in _DENIED):
        return False
    return not _is_ours(parsed)


def is_loopback(address: str) -> bool:
    """Whether the address is this host's loopback, plainly written."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return parsed.is_loopback


def _is_ours(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an interface of this host bears it: only then can a socket be bound to it."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError as error:
        # No IPv6 on this host at all: then it is not ours, and connecting will say so.
        return error.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
    return True
