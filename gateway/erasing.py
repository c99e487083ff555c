"""The desk of the product's own acts: erase a tenant or a person, copy what is recorded of them; and who does it.

A service that `erasure.callers` of gateway.yaml names asks with its caller key on the operations port, for its own
tenants alone. Nobody approves that. What was asked is durable before it is answered, and carried out in the background;
so is what an operator's two approvers asked for, and what is due by itself: the end of a cancelled tenant's grace, and
the rolling months.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import orjson
from aiohttp import web

from gateway.audit.language import Sha
from gateway.audit.ledger import Ledger
from gateway.audit.log_store import LogReader
from gateway.audit.record import Operator
from gateway.audit.retention import requests
from gateway.audit.retention.erasure import Erasing, NotYet
from gateway.audit.retention.register import Known, Register
from gateway.audit.retention.requests import DAY, GRACE_DAYS
from gateway.audit.store import StoreFault
from gateway.audit.words import Act, Ground
from gateway.config import Bundle
from gateway.errors import Code, GatewayError, Refused, Unavailable
from gateway.intake import read_body
from gateway.keys import KeyFault, Keyring

LOOK_SECONDS = 1.0
"""How long what was asked at the command line waits."""

TELL_EVERY = 30
"""How many failures in a row are worth a line in the operator's log."""

GRACES_SECONDS = 60
"""How often it is looked which tenants are cancelled."""

_BODY_BYTES = 4096
_BODY_SECONDS = 5.0
_LONGEST_SUBJECT = 256
_TARGET = re.compile(r"/tenants/([a-z0-9][a-z0-9_-]{0,62})/(?:(subjects)/)?(erase|export)|/erasures/([0-9a-f]{32})")


class Desk:
    """Takes requests and sees to them.

    Args:
        state: the state directory.
        keyring: of the state.
        ledger: where copies that were handed out are recorded.
        erasing: who carries out.
        bundle: the configuration in force now.
        clock: microseconds since 1970, UTC.
        tell: told the name of what went wrong, for the operator's log.
    """

    def __init__(
        self,
        state: Path,
        keyring: Keyring,
        ledger: Ledger,
        erasing: Erasing,
        bundle: Callable[[], Bundle],
        clock: Callable[[], int],
        tell: Callable[[str], None],
    ) -> None:
        self._state = state
        self._keyring = keyring
        self._ledger = ledger
        self._erasing = erasing
        self._bundle = bundle
        self._clock = clock
        self._tell = tell
        self._register = Register(keyring)
        self._asked = asyncio.Event()
        self._pruned_on = -1
        self._graces_seen = -GRACES_SECONDS * 1_000_000

    # the product's call

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse | None:
        """Answer a request of the operations port, if its path is one of the desk's; None if not.

        `POST /tenants/ID/erase` and `/tenants/ID/subjects/erase` answer 202 with the receipt; `POST .../export` the
        copy; `GET /erasures/ID` whether it is done. Of one person: the body is `{"subject": "..."}`.
        """
        match = _TARGET.fullmatch(request.raw_path)
        if match is None:
            return None
        try:
            return await self._answer(request, match)
        except GatewayError as error:
            return _json(error.status, {"error": error.code.value, "reason": error.reason})
        except (KeyFault, StoreFault, OSError):
            self._tell("erasure_unavailable")
            return _json(503, {"error": Code.AUDIT_UNAVAILABLE.value, "reason": "the state cannot be used now"})

    async def _answer(self, request: web.BaseRequest, match: re.Match[str]) -> web.StreamResponse:
        bundle = self._bundle()
        caller = bundle.callers.authenticate(request.headers)
        if caller.id not in bundle.settings.erasure.callers:
            raise Refused(Code.OPERATION_NOT_ALLOWED, "erasure.callers of gateway.yaml does not name this service")
        tenant, of_one, act, erasure = match.groups()
        if request.method != ("GET" if erasure else "POST"):
            raise Refused(Code.OPERATION_NOT_ALLOWED, "erasures are asked for by POST, and looked at by GET")
        if erasure:
            waiting = await asyncio.to_thread(requests.kept, self._keyring)
            state = "waiting" if any(each.id == erasure for each in waiting) else "done"
            return _json(200, {"erasure": erasure, "state": state})
        if tenant not in caller.tenants:
            raise Refused(Code.TENANT_UNKNOWN, "not a tenant of this service")
        subject = await _subject(request) if of_one else None
        if act == "export":
            return await self._copy(tenant, subject)
        ground = Ground.TENANT if subject is None else Ground.SUBJECT
        _, receipt = await asyncio.to_thread(requests.ask, self._keyring, ground, tenant, subject, self._clock())
        self._asked.set()
        return _json(202, asdict(receipt))

    async def _copy(self, tenant: str, subject: str | None) -> web.StreamResponse:
        mac = None if subject is None else self._keyring.tenant_mac(tenant, "subject", subject)
        content, act = await asyncio.to_thread(self._copied, tenant, mac)
        await self._ledger.note(act)  # before it is handed out
        return web.Response(body=content, content_type="application/zip", headers={"Cache-Control": "no-store"})

    def _copied(self, tenant: str, subject: str | None) -> tuple[bytes, Operator]:
        from gateway.audit.evidence import open_evidence  # noqa: PLC0415  # they bring the verifier, for rare use
        from gateway.audit.retention.copies import copy  # noqa: PLC0415

        now = self._clock()
        with (
            tempfile.TemporaryDirectory(dir=self._state, prefix=".copy-") as scratch,
            open_evidence(self._state, self._keyring) as evidence,
        ):
            out = Path(scratch) / "copy.zip"
            digest, count = copy(evidence, self._keyring, self._state, out, tenant, subject, now)
            act = Operator(
                time=now, act=Act.EXPORT, document=Sha(digest), count=count, end=now + requests.BACKUP_DAYS * DAY
            )
            return out.read_bytes(), act

    # who sees to it

    async def run(self) -> None:
        """See to what is due, for ever."""
        failed = 0
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._asked.wait()
            self._asked.clear()
            try:
                await asyncio.to_thread(self._end_graces)
                await self._erasing.due()
                await self._prune()
                failed = 0
            except (NotYet, Unavailable):
                continue  # what was asked is kept
            except (KeyFault, StoreFault, OSError):
                failed += 1  # once or twice at a first start, while there is no log yet
                if failed % TELL_EVERY == 0:
                    self._tell("erasure_unavailable")

    def _end_graces(self) -> None:
        """Note since when a tenant is cancelled, and ask for its erasure once its grace has ended."""
        now = self._clock()
        if abs(now - self._graces_seen) < GRACES_SECONDS * 1_000_000:
            return
        self._graces_seen = now
        known = {each.id: each for each in self._register.all()}
        recorded = self._recorded()
        for tenant in self._bundle().tenants.values():
            held = known.get(tenant.id)
            if tenant.status != "cancelled":
                if held is not None and held.cancelled is not None:
                    self._register.keep(replace(held, cancelled=None))
            elif tenant.id in recorded or self._keyring.has_tenant(tenant.id):  # else nothing is kept of it
                if held is None or held.cancelled is None:
                    self._register.keep(replace(held or Known(tenant.id), cancelled=now))
                elif held.cancelled + GRACE_DAYS * DAY <= now and not self._asked_for(tenant.id):
                    requests.ask(self._keyring, Ground.CANCELLED, tenant.id, None, now)

    def _recorded(self) -> set[str]:
        """The tenants of whom the log has a record."""
        try:
            with LogReader.read(self._state / "log", self._keyring.log_key()) as log:
                return set(log.tenants())
        except StoreFault:  # there is no log yet
            return set()

    def _asked_for(self, tenant: str) -> bool:
        return any(each.tenant == tenant and each.whole for each in requests.kept(self._keyring))

    async def _prune(self) -> None:
        today = self._clock() // DAY
        if today != self._pruned_on:
            await self._erasing.prune()
            self._pruned_on = today


async def _subject(request: web.BaseRequest) -> str:
    body = await read_body(request, _BODY_BYTES, _BODY_SECONDS)
    try:
        tree = orjson.loads(body)
    except orjson.JSONDecodeError:
        tree = None
    subject = tree.get("subject") if isinstance(tree, dict) and tree.keys() == {"subject"} else None
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT:
        raise Refused(Code.BODY_INVALID, 'the body is {"subject": "..."}, as in x-gateway-subject')
    return subject


def _json(status: int, tree: dict[str, object]) -> web.Response:
    return web.Response(
        status=status,
        body=orjson.dumps(tree),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
