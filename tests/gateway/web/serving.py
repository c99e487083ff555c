"""The pages, listening on a free port over a lived-in state, and somebody who asks them."""

from __future__ import annotations

import contextlib
import html
import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from yarl import URL

from gateway.audit.words import Role
from gateway.web.links import make
from gateway.web.serving import Pages
from tests.gateway.web.lived import NOW, Lived, lived


@dataclass(slots=True)
class Answer:
    """What came back."""

    status: int
    text: str
    headers: dict[str, str]

    @property
    def words(self) -> str:
        """The page as a reader sees it: no markup, spaces single."""
        return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", self.text)).split())

    @property
    def form_token(self) -> str:
        """What the page's own forms carry."""
        found = re.search(r'name="form_token" value="([^"]+)"', self.text)
        assert found
        return found[1]


@dataclass(slots=True)
class Reader:
    """Somebody with a browser of their own."""

    session: aiohttp.ClientSession
    base: str

    async def get(self, path: str, **headers: str) -> Answer:
        """A page; redirects are shown, not followed."""
        async with self.session.get(
            URL(f"{self.base}{path}", encoded=True), headers=headers, allow_redirects=False
        ) as answer:
            return Answer(answer.status, await answer.text(), dict(answer.headers))

    async def post(self, path: str, form: dict[str, str], **headers: str) -> Answer:
        """A form."""
        async with self.session.post(f"{self.base}{path}", data=form, headers=headers, allow_redirects=False) as answer:
            return Answer(answer.status, await answer.text(), dict(answer.headers))


@dataclass(slots=True)
class Served:
    """The pages and their state. `clock` is what the pages take for now, in microseconds."""

    pages: Pages
    lived: Lived

    @property
    def base(self) -> str:
        """Their address."""
        return self.pages.address

    @contextlib.asynccontextmanager
    async def stranger(self) -> AsyncIterator[Reader]:
        """Somebody who is not signed in."""
        jar = aiohttp.CookieJar(unsafe=True)  # the host is an address
        async with aiohttp.ClientSession(cookie_jar=jar) as session:
            yield Reader(session, self.base)

    @contextlib.asynccontextmanager
    async def reader(self, role: Role = Role.SECURITY, *tenants: str) -> AsyncIterator[Reader]:
        """Somebody who came in by a one-time link."""
        async with self.stranger() as made:
            token = make(self.lived.state, role, tenants, time.time())
            entered = await made.post("/enter", {"token": token})
            assert entered.status == 303
            yield made


@contextlib.asynccontextmanager
async def serving(
    folder: Path,
    *,
    calls: int = 60,
    days: int = 5,
    web: dict[str, object] | None = None,
    change: Callable[[Lived], object] = lambda _made: None,
) -> AsyncIterator[Served]:
    """Make a state under `folder`, change it, and serve its pages."""
    made = lived(folder, calls=calls, days=days, web=web)
    change(made)
    pages = Pages(made.configuration, made.state, {})
    pages.house.clock = lambda: NOW
    while pages.house.follow():
        pass
    await pages.start()
    try:
        yield Served(pages, made)
    finally:
        await pages.stop()
