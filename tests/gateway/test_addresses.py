"""The addresses that content may go to."""

from __future__ import annotations

import socket

import pytest

from gateway import addresses
from gateway.addresses import is_loopback, is_public

DENIED = {
    "loopback": "127.0.0.1",
    "loopback elsewhere": "127.8.9.1",
    "unspecified": "0.0.0.0",  # noqa: S104
    "this network": "0.1.2.3",
    "private ten": "10.0.0.1",
    "private 172": "172.16.0.1",
    "private 172, last": "172.31.255.255",
    "private 192": "192.168.1.1",
    "link local": "169.254.1.1",
    "metadata service": "169.254.169.254",
    "carrier-grade NAT, first": "100.64.0.0",
    "carrier-grade NAT, last": "100.127.255.255",
    "protocol assignments": "192.0.0.8",
    "6to4 relay": "192.88.99.1",
    "documentation": "203.0.113.7",
    "benchmark": "198.18.0.1",
    "multicast": "224.0.0.1",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "IPv6 loopback": "::1",
    "IPv6 unspecified": "::",
    "IPv6 unique local": "fd00::1",
    "IPv6 link local": "fe80::1",
    "IPv6 link local with zone": "fe80::1%lo",
    "IPv6 multicast": "ff02::1",
    "IPv6 documentation": "2001:db8::1",
    "IPv6 new documentation": "3fff::1",
    "mapped loopback": "::ffff:127.0.0.1",
    "mapped public": "::ffff:8.8.8.8",
    "compatible loopback": "::7f00:1",
    "NAT64 of loopback": "64:ff9b::7f00:1",
    "NAT64 of a public address": "64:ff9b::808:808",
    "local NAT64": "64:ff9b:1::1",
    "6to4 of loopback": "2002:7f00:1::",
    "6to4 of a public address": "2002:808:808::1",
    "Teredo": "2001::1",
    "a name": "localhost",
    "decimal": "2130706433",
    "octal": "0177.0.0.1",
    "short": "127.1",
    "empty": "",
    "spaced": " 8.8.8.8",
}


@pytest.mark.parametrize("name", DENIED)
def test_address_no_provider_can_have_is_denied(name: str) -> None:
    """Private, special, wrapped and unreadable addresses are not public."""
    assert not is_public(DENIED[name])


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.0", "172.32.0.1", "2606:4700::1"]
)
def test_internet_address_is_public(address: str) -> None:
    """Ordinary addresses on the internet pass, those beside a denied range too."""
    assert is_public(address)


def test_own_address_is_denied(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that a socket here can be bound to is this host, whatever its range."""
    bound: list[str] = []

    class Binding(socket.socket):
        def bind(self, address: tuple[str, int]) -> None:  # type: ignore[override]
            bound.append(address[0])

    monkeypatch.setattr(addresses.socket, "socket", Binding)

    assert not is_public("8.8.8.8")
    assert bound == ["8.8.8.8"]


@pytest.mark.parametrize(
    ("address", "loopback"), [("127.0.0.1", True), ("::1", True), ("10.0.0.1", False), ("8.8.8.8", False), ("x", False)]
)
def test_loopback(address: str, loopback: bool) -> None:
    """Loopback is what is plainly written so."""
    assert is_loopback(address) is loopback
