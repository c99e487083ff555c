"""A witness of the tests, written from the specification alone (c2sp.org/tlog-witness): keeps one checkpoint a log."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit.verify import consistent
from tests.loopback import served


@dataclass
class TestWitness:
    """One witness. `sizes` and `roots` are what it cosigned last, by origin; `silent` makes it answer 500."""

    name: str = "witness.example/w1"
    seed: bytes = bytes(32)
    sizes: dict[str, int] = field(default_factory=dict)
    roots: dict[str, bytes] = field(default_factory=dict)
    asked: int = 0
    silent: bool = False
    forges: bool = False
    port: int = 0

    @property
    def public(self) -> bytes:
        return Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw()

    @property
    def key(self) -> str:
        return f"{self.name}+{self._id.hex()}+{base64.b64encode(bytes([4]) + self.public).decode()}"

    @property
    def _id(self) -> bytes:
        return sha256(self.name.encode() + b"\n\x04" + self.public).digest()[:4]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def add(self, request: web.Request) -> web.Response:
        self.asked += 1
        if self.silent:
            return web.Response(status=500)
        head, _, note = (await request.text()).partition("\n\n")
        first, *proof = head.split("\n")
        match = re.fullmatch(r"old (0|[1-9][0-9]*)", first)
        assert match is not None
        text, _, _ = note.rpartition("\n\n")
        origin, size, root = text.split("\n")
        old, new, new_root = int(match[1]), int(size), base64.b64decode(root)
        known = self.sizes.get(origin, 0)
        if old != known:
            return web.Response(status=409, text=f"{known}\n", content_type="text/x.tlog.size")
        path = [base64.b64decode(line) for line in proof]
        if old and not consistent(old, new, path, self.roots[origin], new_root):
            return web.Response(status=422)
        self.sizes[origin], self.roots[origin] = new, new_root
        time = 1_795_000_000 + self.asked
        message = f"cosignature/v1\ntime {time}\n{text}\n".encode()
        signature = Ed25519PrivateKey.from_private_bytes(self.seed).sign(b"x" + message if self.forges else message)
        payload = base64.b64encode(self._id + time.to_bytes(8, "big") + signature).decode()
        return web.Response(text=f"— {self.name} {payload}\n")

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[TestWitness]:
        application = web.Application()
        application.router.add_post("/add-checkpoint", self.add)
        async with served(application) as self.port:
            yield self


TestWitness.__test__ = False  # type: ignore[attr-defined]  # pytest would collect it by its name
