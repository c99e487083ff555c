"""Operator traffic: witnesses of the log, usage reports, collectors, at hosts that gateway.yaml names. No content.

Nothing of a call passes here, and the relay never imports it. Requests go to a listed host, over TLS 1.3 with verified
chain and name, or in plain text to this machine's loopback; no redirect is followed, no proxy of the environment used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from yarl import URL

from gateway.addresses import Vet, is_loopback, is_public
from gateway.endpoints import Connector, Resolver, tls_context

SECONDS = 10.0
LARGEST = 4 * 1024 * 1024


class Unreached(Exception):
    """There was no answer, or none that can be used. The text is ours."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `retry_after` is as it was sent, empty if it was not."""

    status: int
    content_type: str
    body: bytes
    retry_after: str = ""


class Outside:
    """A client of the listed hosts. Close it.

    Args:
        addresses: the URLs that may be asked, by host and port.
        authorities: a PEM file of trusted roots instead of the usual ones.
        vet: which addresses a listed name may have; with https, that is.
        shown: our own certificate and its private key (PEM), for a host that asks for one.

    Raises:
        OSError: a file of these is not there, or holds something else.
    """

    def __init__(
        self,
        addresses: Iterable[str],
        authorities: Path | None = None,
        *,
        vet: Vet = is_public,
        shown: tuple[Path, Path] | None = None,
    ) -> None:
        self._listed = {_place(URL(address)) for address in addresses}
        resolver = Resolver()
        resolver.names = frozenset(host for _scheme, host, _port in self._listed)
        context = tls_context(authorities)
        if shown is not None:
            context.load_cert_chain(*shown)
        self._sessions = {
            "https": _session(Connector(context, resolver, vet, 5.0)),
            "http": _session(Connector(context, resolver, is_loopback, 5.0)),
        }

    async def ask(
        self, method: str, address: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request and its whole answer.

        Raises:
            Unreached: the host is not listed, cannot be reached, takes too long, or says too much.
        """
        url = URL(address)
        if _place(url) not in self._listed or (url.scheme == "http" and not is_loopback(url.host or "")):
            raise Unreached("the host is not one that gateway.yaml names")
        try:
            async with (
                asyncio.timeout(SECONDS),
                self._sessions[url.scheme].request(
                    method, url, data=body, headers=headers, allow_redirects=False
                ) as response,
            ):
                content = await response.content.read(LARGEST + 1)
                while not response.content.at_eof() and len(content) <= LARGEST:
                    content += await response.content.read(LARGEST)
                if len(content) > LARGEST:
                    raise Unreached("the answer is too long")
                return Answer(response.status, response.content_type, content, response.headers.get("Retry-After", ""))
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            raise Unreached("no answer") from None  # the library's texts quote what came

    async def close(self) -> None:
        """End every connection."""
        for session in self._sessions.values():
            await session.close()


def _session(connector: Connector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, auto_decompress=False
    )


def _place(url: URL) -> tuple[str, str, int]:
    return url.scheme, url.host or "", url.port or 0
