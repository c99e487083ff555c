"""What is an exact endpoint: one host by its own name, no pattern, no trick in the path.

Content goes to listed names only, so a name that could be read in two ways is a fault.
"""

from __future__ import annotations

import ipaddress
import re

_BASE_URL = re.compile(r"(https?)://([a-z0-9.-]+)(?::([1-9][0-9]{0,4}))?(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*").fullmatch
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?").fullmatch
_DIGITS = re.compile(r"(?:0x)?[0-9a-f]*").fullmatch


def url_fault(url: str, *, unsafe_plaintext: bool) -> str | None:
    """Why this is no exact endpoint, or None.

    Args:
        url: https, or http to a loopback address.
        unsafe_plaintext: whether the entry says that http is meant; needed for http and for nothing else.
    """
    if not url.isascii() or "xn--" in url:
        return "letters outside a-z in a host name may be a look-alike; write the provider's own ASCII name"
    found = _BASE_URL(url)
    if found is None:
        return "write https://host[:port][/path] exactly: lower case, no pattern, user, query or slash at the end"
    scheme, host, port = found.groups()
    if port is not None and int(port) > 65_535:
        return "there is no such port"
    if not is_host(host):
        return "this is no exact host name; dots at an end, empty parts and patterns are not allowed"
    return _plain_fault(host, unsafe_plaintext) if scheme == "http" else _verified_fault(host, unsafe_plaintext)


def is_host(name: str) -> bool:
    """Whether this is a lower-case host name or IPv4 address (RFC 1123 section 2.1), without a dot at its end."""
    return len(name) <= 253 and all(_LABEL(label) for label in name.split("."))


def is_loopback(host: str) -> bool:
    """Whether this is a loopback address, or the name that every system gives to it."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _plain_fault(host: str, unsafe_plaintext: bool) -> str | None:
    if is_loopback(host) and unsafe_plaintext:
        return None
    return "http is for a loopback address marked unsafe_plaintext: true; write https"


def _verified_fault(host: str, unsafe_plaintext: bool) -> str | None:
    if unsafe_plaintext:
        return "an https endpoint needs no unsafe_plaintext"
    if "." not in host or _DIGITS(host.rsplit(".", 1)[-1]):
        return "write the provider's full host name, which its certificate bears; an address has none"
    return None
