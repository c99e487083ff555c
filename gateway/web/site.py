"""The site: from a request to a page. What is in no table is refused, and what is shown was noted before."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import secrets
import sys
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import monotonic, time
from types import MappingProxyType
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from aiohttp import web

from gateway.audit.scope import Scope
from gateway.audit.store import StoreFault
from gateway.errors import Refused
from gateway.intake import check_head, read_body
from gateway.web import links
from gateway.web.asking import Answer, Ask, NotHere, Shown, Taken
from gateway.web.frame import HEADERS, HERE, Frame
from gateway.web.house import House
from gateway.web.pages import PAGES, Page
from gateway.web.parameters import PERIOD, BadParameter, address, filters_of, parse, shown
from gateway.web.reporting import Reporting
from gateway.web.sessions import Sessions
from gateway.web.sign_in import NotSignedIn, OpenId
from gateway.web.viewer import Viewer, scope_words

_PATH = re.compile(r"/[A-Za-z0-9._~/-]{0,512}")
_STATIC: Mapping[str, str] = MappingProxyType(
    {
        "style.css": "text/css; charset=utf-8",
        "check.js": "text/javascript; charset=utf-8",
        "icon.svg": "image/svg+xml",
    }
)
_FORM_BYTES = 4096
_AT_ONCE = 4
"""Pages that are made at the same time; more wait."""

_TAKEN_AT_ONCE = 2
_TAKING_SECONDS = 900.0
"""Files that are taken away at the same time, and how long one may take: each keeps a moment of the index in use."""


class _Problem(Exception):
    """What a page of a problem says: status, title, and words that quote nothing."""

    def __init__(self, status: int, title: str, reason: str) -> None:
        super().__init__(title)
        self.status, self.title, self.reason = status, title, reason


class Site:
    """Answers requests from a house.

    Args:
        house: what there is to see.
        names: what Host may say, without port.
        base: the address in a browser, without a slash at the end.
        open_id: how people sign in; None where there are one-time links alone.
    """

    def __init__(self, house: House, names: frozenset[str], base: str, open_id: OpenId | None) -> None:
        web_settings = house.bundle.settings.web
        self._house, self._names, self._base, self._open_id = house, names, base, open_id
        self._frame = Frame()
        self._sessions = Sessions(web_settings.idle_minutes * 60, web_settings.session_hours * 3600, monotonic)
        self._secure = base.startswith("https:")
        self._cookie = "__Host-audit" if self._secure else "audit"
        self._static = {name: (HERE / "static" / name).read_bytes() for name in _STATIC}
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._taking = asyncio.Semaphore(_TAKEN_AT_ONCE)
        self.reporting = Reporting(house)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to any request."""
        try:
            return await self._route(request)
        except _Problem as problem:
            fault = problem
        except NotHere:
            fault = _Problem(404, "There is no such page", "It is not here, or not for your role.")
        except BadParameter as bad:
            fault = _Problem(400, "This address cannot be read", bad.reason)
        except NotSignedIn as refused:
            fault = _Problem(403, "You are not signed in", str(refused))
        except Refused:
            fault = _Problem(400, "This request cannot be read", "Its form, or the name it is sent to, is not served.")
        except StoreFault:
            fault = _Problem(
                503,
                "The record cannot be read now",
                "Nothing is shown rather than something incomplete. Try again; if it stays, tell the operator.",
            )
        except Exception as unforeseen:  # noqa: BLE001  # the outermost: a clear page, and where it was, without its text
            self._tell(unforeseen)
            fault = _Problem(500, "This page could not be made", "Tell the operator: the reason is in the pages' log.")
        body = self._bare("problem.html", fault.title, self._viewer(request), status=fault.status, reason=fault.reason)
        return self._html(fault.status, body)

    async def _route(self, request: web.BaseRequest) -> web.StreamResponse:
        check_head(request, self._names)
        path, _mark, query = request.raw_path.partition("?")
        if not _PATH.fullmatch(path):
            raise NotHere
        if request.method == "POST":
            return await self._post(request, path)
        if request.method not in {"GET", "HEAD"}:
            raise _Problem(405, "Only reading is possible here", "These pages change nothing.")
        if path.startswith("/static/"):
            return self._file(path.removeprefix("/static/"))
        return await self._get(request, path, query)

    # reading

    async def _get(self, request: web.BaseRequest, path: str, query: str) -> web.StreamResponse:
        parts = tuple(path.strip("/").split("/")) if path != "/" else ("overview",)
        if parts[0] in {"sign-in", "enter"}:
            return await self._door(request, parts, query)
        viewer = self._viewer(request)
        if viewer is None:
            return self._redirect(address("/sign-in", {}) + _to(path, query))
        page = PAGES.get(parts[0])
        if page is None or len(parts) - 1 > page.parts or (path != "/" and path.endswith("/")):
            raise NotHere
        if not viewer.may(page.name):
            await self._note(viewer, "refused", f"/{page.name}", 0)
            raise _Problem(403, "Not for your role", f"{page.title} is not open to your role.")
        given = parse(query, page.takes)
        return await self._answer(request, viewer, page, given, parts[1:])

    async def _answer(
        self, request: web.BaseRequest, viewer: Viewer, page: Page, given: Mapping[str, str], parts: tuple[str, ...]
    ) -> web.StreamResponse:
        """Make the page in a thread, note that it was asked, and only then let it out."""
        with contextlib.ExitStack() as stack:

            def make() -> Answer:
                view = stack.enter_context(self._house.pages.view(viewer.scope))
                return page.answer(Ask(viewer, view, self._house, given, parts, self._house.now()))

            async with self._room:
                answer = await asyncio.to_thread(make)
            here = "/" + "/".join((page.name, *parts))
            asked = address(here, answer.settled or given)
            if isinstance(answer, Taken):
                if self._taking.locked():
                    raise _Problem(503, "Others are taking files now", "Try again in a moment.")
                async with self._taking, asyncio.timeout(_TAKING_SECONDS):
                    await self._note(viewer, "export", asked, answer.rows)
                    return await self._send(request, answer)
            await self._note(viewer, "view", asked, answer.rows)
            return self._page(viewer, page.name, answer, asked, self._left(request))

    async def _send(self, request: web.BaseRequest, taken: Taken) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={
                **self._headers(),
                "Content-Type": taken.kind,
                "Content-Disposition": f'attachment; filename="{taken.name}"',
                "X-Audit-Query": taken.words,
                "X-Audit-Rows": str(taken.rows),
            }
        )
        await response.prepare(request)
        if request.method == "GET":
            while block := await asyncio.to_thread(_next, taken.blocks):
                await response.write(block)
        await response.write_eof()
        return response

    def _page(self, viewer: Viewer, name: str, shown: Shown, asked: str, left: float) -> web.Response:
        body = self._frame.render(
            shown.template,
            {
                **shown.facts,
                **self._common(viewer),
                "page_name": name,
                "title": shown.title,
                "about": {
                    "words": shown.words,
                    "permalink": asked,
                    "rows": shown.rows,
                    "log": self._house.log_state(),
                    "made": self._house.clock(),
                    "left_minutes": int(left // 60),
                },
            },
        )
        return self._html(200, body)

    def _common(self, viewer: Viewer | None) -> dict[str, object]:
        pages = [page for page in PAGES.values() if viewer is not None and viewer.may(page.name)]
        return {
            "nav": [(page.name, page.title) for page in pages],
            "viewer": viewer,
            "base": self._base,
            "idle_minutes": self._house.bundle.settings.web.idle_minutes,
            "origin": self._house.bundle.origin,
            "form_token": "" if viewer is None else viewer.form_token,
            "may": (lambda _page: False) if viewer is None else viewer.may,
        }

    async def _note(self, viewer: Viewer, act: str, asked: str, rows: int) -> None:
        digest = hashlib.sha256(asked.encode()).hexdigest()
        now = self._house.clock()
        await asyncio.to_thread(self._house.book.note, viewer.session, act, asked, digest, rows, now)

    # the door

    async def _door(self, request: web.BaseRequest, parts: tuple[str, ...], query: str) -> web.StreamResponse:
        if parts[0] == "enter":
            if len(parts) != 2 or not self._house.bundle.settings.web.links:
                raise NotHere
            return self._html(200, self._bare("enter.html", "Enter", token=parts[1]))
        if parts == ("sign-in",):
            to = _inside(dict(_pairs(query)).get("to", "/"))
            body = self._bare("sign_in.html", "Sign in", to=to, open_id=self._open_id is not None, to_query=_to(to, ""))
            return self._html(200, body)
        if self._open_id is None or len(parts) != 2:
            raise NotHere
        given = dict(_pairs(query))
        if parts[1] == "start":
            where, browser = await self._open_id.begin(_inside(given.get("to", "/")))
            response = self._redirect(where)
            self._set_cookie(response, f"{self._cookie}-begin", browser, links.HOLDS_SECONDS)
            return response
        if parts[1] != "done":
            raise NotHere
        entrance, to = await self._open_id.finish(given, request.cookies.get(f"{self._cookie}-begin", ""))
        value, viewer = self._sessions.enter(entrance.role, entrance.scope, entrance.who, entrance.most)
        return await self._enter(value, viewer, to)

    async def _enter(self, value: str, viewer: Viewer, to: str) -> web.StreamResponse:
        await asyncio.to_thread(
            self._house.book.enter, viewer.session, viewer.role.value, viewer.who, scope_words(viewer.scope),
            self._house.clock(),
        )  # fmt: skip
        response = self._redirect(to)
        self._set_cookie(response, self._cookie, value, None)
        return response

    async def _post(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        """The three forms: enter, sign out, build a pack. Each from our own pages alone."""
        if not self._own(request):
            raise _Problem(403, "This form is not ours", "It was sent from another site. Nothing was done.")
        form = dict(_pairs((await read_body(request, _FORM_BYTES, 10.0)).decode("ascii", "replace")))
        if path == "/enter" and self._house.bundle.settings.web.links:
            return await self._by_link(form)
        viewer = self._viewer(request)
        if viewer is None:
            return self._redirect("/sign-in")
        if not secrets.compare_digest(form.get("form_token", "").encode(), viewer.form_token.encode()):
            raise _Problem(403, "This form is not yours", "Open the page again. Nothing was done.")
        if path == "/sign-out":
            self._sessions.leave(request.cookies.get(self._cookie, ""))
            response = self._redirect("/sign-in")
            response.del_cookie(self._cookie, path="/")
            return response
        if path == "/reports" and viewer.may("reports"):
            return await self._report(viewer, form)
        raise NotHere

    async def _report(self, viewer: Viewer, form: Mapping[str, str]) -> web.StreamResponse:
        """Begin a pack: of a period within the viewer's own, since a pack holds all of its period."""
        given = parse(_query_of(form), PERIOD)
        wide = [name for name in PERIOD if name not in given]
        filters = filters_of(given, self._house.now(), viewer.scope)
        bounded = viewer.scope != Scope.everyone()
        if bounded and (wide or [shown(filters.since), shown(filters.until)] != [given[name] for name in PERIOD]):
            raise _Problem(
                403, "Not for your role", "The period is wider than what you may see: write both ends of it."
            )
        asked = address("/reports", given)
        await self._note(viewer, "export", asked, 1)
        self.reporting.begin(viewer, given)
        return self._redirect("/reports")

    async def _by_link(self, form: Mapping[str, str]) -> web.StreamResponse:
        entry = await asyncio.to_thread(links.take, self._house.state, form.get("token", ""), time())
        if entry is None:
            raise NotSignedIn("This link was used, is too old, or never was. Make another with `gateway web --link`.")
        value, viewer = self._sessions.enter(entry.role, entry.scope, "one-time link")
        return await self._enter(value, viewer, "/")

    # small things

    @staticmethod
    def _tell(fault: Exception) -> None:
        """Say what kind of fault it was and where, for the operator; never its text, which may quote a parameter."""
        frames = traceback.extract_tb(fault.__traceback__)
        where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "nowhere"
        sys.stderr.write(f"gateway web: {type(fault).__name__} at {where}\n")

    def _viewer(self, request: web.BaseRequest) -> Viewer | None:
        value = request.cookies.get(self._cookie)
        return None if value is None else self._sessions.find(value)

    def _left(self, request: web.BaseRequest) -> float:
        return self._sessions.left(request.cookies.get(self._cookie, ""))

    def _own(self, request: web.BaseRequest) -> bool:
        """Whether a form comes from a page of ours, by what a browser says of it by itself."""
        site = request.headers.get("Sec-Fetch-Site", "same-origin")
        origin = request.headers.get("Origin")
        ours = {self._base, f"{urlsplit(self._base).scheme}://{request.headers.get('Host', '').lower()}"}
        return site in {"same-origin", "none"} and (origin is None or origin.lower() in ours)

    def _file(self, name: str) -> web.Response:
        if name not in self._static:
            raise NotHere
        headers = {**self._headers(), "Cache-Control": "public, max-age=31536000, immutable"}
        return web.Response(body=self._static[name], headers={**headers, "Content-Type": _STATIC[name]})

    def _bare(self, template: str, title: str, viewer: Viewer | None = None, **facts: object) -> bytes:
        common = {**self._common(viewer), "page_name": "", "title": title, "about": None}
        return self._frame.render(template, {**common, **facts})

    def _html(self, status: int, body: bytes) -> web.Response:
        headers = {**self._headers(), "Content-Type": "text/html; charset=utf-8"}
        return web.Response(status=status, body=body, headers=headers)

    def _headers(self) -> dict[str, str]:
        strict = {"Strict-Transport-Security": "max-age=63072000"} if self._secure else {}
        return {**HEADERS, **strict}

    def _redirect(self, where: str) -> web.Response:
        return web.Response(status=303, headers={**self._headers(), "Location": where})

    def _set_cookie(self, response: web.StreamResponse, name: str, value: str, seconds: int | None) -> None:
        response.set_cookie(name, value, max_age=seconds, path="/", httponly=True, samesite="Lax", secure=self._secure)

    async def follow(self) -> None:
        """Keep the index up to the journal while the site runs; read the configuration again once a minute."""
        reloaded = monotonic()
        while True:
            try:
                taken = await asyncio.to_thread(self._house.follow)
            except StoreFault as fault:
                sys.stderr.write(f"gateway web: {fault}\n")
                taken = 0
            if monotonic() - reloaded > 60:
                reloaded = monotonic()
                await asyncio.to_thread(self._house.reload)
                await asyncio.to_thread(links.sweep, self._house.state, time())
            await asyncio.sleep(1.0 if not taken else 0.01)


def _next(blocks: Iterator[bytes]) -> bytes:
    return next(blocks, b"")


def _inside(to: str) -> str:
    """Where somebody wanted to go, if it is a page of ours; else the overview."""
    path, _mark, query = to.partition("?")
    return (
        to
        if _PATH.fullmatch(path) and not path.startswith("//") and re.fullmatch(r"[\w.~%+&=:@/-]*", query, re.ASCII)
        else "/"
    )


def _to(path: str, query: str) -> str:
    return "" if path == "/" and not query else f"?to={quote(path + (f'?{query}' if query else ''), safe='')}"


def _pairs(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text[:4096], max_num_fields=32)
    except ValueError:
        return []


def _query_of(form: Mapping[str, str]) -> str:
    return urlencode([(name, value) for name, value in form.items() if name != "form_token"])
