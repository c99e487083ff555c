"""THE PATH OF ONE REQUEST: open, read, judge, clean, admit, send, deliver, close.

Nothing here is a plug-in, because the order is the security: each step takes a value that only the
step before it can make. Every error leaves by one door, `_refuse`, shaped as the wire's own; every
attempt that may have sent a byte is closed by exactly one outcome, under cancellation too.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from time import perf_counter, time_ns

from aiohttp import web

from gateway.answers import Answer, StreamedAnswer, WholeAnswer
from gateway.attempt import Attempt
from gateway.audit.ledger import Ledger
from gateway.audit.record import Intent
from gateway.audit.words import Result, Tls
from gateway.callers import key_shown
from gateway.clock import Clock
from gateway.connection import stalled
from gateway.delivery import Delivery, StreamCheck, check_headers, check_whole, read_answer
from gateway.errors import Code, GatewayError, Refused, Unavailable, UpstreamError
from gateway.exchange import CleanCall, Grant
from gateway.failover import Elsewhere
from gateway.intake import Request, head_fault, invite, misread, read_body
from gateway.keys import Keyring, new_call_id
from gateway.limits import Limits
from gateway.passage import InForce, Passage, Said
from gateway.policy.judge import judge
from gateway.quotas import BYTES_A_TOKEN, Claim, OverQuota, Quotas
from gateway.routes import Routes
from gateway.steps import Opened, ask, clean_call, open_call, read_call
from gateway.targets import read_query
from gateway.telemetry.context import TRACEPARENT
from gateway.turning import Door
from gateway.upstream import Reply, Truncated, Upstream
from gateway.waits import Waits
from providers import sse
from providers.document import Document, serialise
from providers.provider import Provider

_AFTER_SECONDS = 0.25
_PROVIDER_TROUBLE = frozenset({Code.UPSTREAM_FAILED, Code.UPSTREAM_TIMEOUT})


class Relay:
    """Serves requests, each on one pass through the eight steps.

    Args:
        in_force: the configuration in force now; a call keeps the one it began with.
        report: told of each passage once, when its answer is decided or its caller gone.
        full: told of each call that found every place taken; of such a call there is no passage.
        clock: the instant of judgement.
    """

    def __init__(
        self,
        *,
        in_force: Callable[[], InForce],
        keyring: Keyring,
        ledger: Ledger,
        upstream: Upstream,
        limits: Limits,
        quotas: Quotas,
        routes: Routes,
        current: Callable[[], bool],
        report: Callable[[Passage], None],
        full: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._in_force = in_force
        self._keyring = keyring
        self._ledger = ledger
        self._upstream = upstream
        self._limits = limits
        self._quotas = quotas
        self._routes = routes
        self._current = current
        self._report = report
        self.door = Door(lambda: limits.full, in_force, full)
        self._clock = clock
        self.stopping = False
        self.streams = 0
        """Streams being delivered now."""

    async def handle(self, request: Request) -> Answer:
        """Answer one request. Raises nothing but cancellation."""
        if (turned := self.door.meet(request._message)) is not None:
            return turned
        said = self._hear(request)
        passage = Passage(new_call_id(time_ns), perf_counter(), said.force, said.target, traceparent=said.traceparent)
        try:
            return await self._pass(request, passage, said)
        except GatewayError as error:
            return await self._refuse(request, passage, error)
        finally:
            for held in passage.held:
                held.release(0 if passage.attempt is None else passage.attempt.tokens)
            self._report(passage)

    def _hear(self, request: Request) -> Said:
        """What the head of a request says; of a known one, what it said before under the same configuration."""
        force, known = self._in_force(), request.known
        if known is not None and isinstance(known.said, Said) and known.said.force is force:
            return known.said
        headers = request.headers
        target = force.targets.find(request.method, request.raw_path, headers)
        return Said(force, target, headers.get(TRACEPARENT), head_fault(request._message, force.host_names))

    async def _pass(self, request: Request, passage: Passage, said: Said) -> Answer:
        bundle, bounds = passage.force.bundle, passage.force.bundle.settings.limits
        if said.fault is not None:
            raise misread(request, said.fault)
        if not self._current():
            reason = "This replica cannot confirm that what it enforces is current, so it grants nothing."
            raise Unavailable(Code.OVERLOADED, reason, retry_after=1)
        if said.key is None:
            said.key = key_shown(request.headers)
        caller = passage.caller = bundle.callers.recognise(said.key)
        if request.known is not None:
            request.known.said = said  # a stranger's is read anew each time
        now, latest = self._clock.read()
        asked = said.asked
        if asked is None or asked.caller is not caller:
            asked = said.asked = ask(bundle, self._keyring, said.target, caller, request.headers)
        opened = open_call(asked, self._keyring, call_id=passage.call_id, now=now, latest=latest)  # 1 open
        passage.opened = opened
        query = read_query(said.target, asked.policy.surface)
        with self._limits.admit(caller.id, caller.allowance):
            if opened.entry.operation.answered_here:
                return self._answer_here(passage, opened, query)
            await invite(request)
            body = await read_body(request, bounds.body_bytes, bounds.body_seconds)
            passage.size = len(body)
            passage.conversation = passage.force.conversations.meet(asked.scope, body)
            call = read_call(opened, body, passage.conversation)  # 2 read
            grant = passage.grant = judge(call, asked.policy)  # 3 judge
            after = bundle.elsewhere(opened.entry.purpose, opened.entry.tenant)
            elsewhere = Elsewhere(call, asked.policy, after, self._routes, self._clock)
            try:
                self._routes.check(grant.route)
            except GatewayError:
                other = elsewhere.instead_of(grant)
                if other is None:
                    raise
                grant = other
            while True:
                answer = await self._attempt(request, passage, grant, elsewhere)
                if not isinstance(answer, Grant):
                    return answer
                grant = answer

    async def _attempt(
        self, request: web.BaseRequest, passage: Passage, grant: Grant, elsewhere: Elsewhere
    ) -> Answer | Grant:
        """Steps 4 to 8 at one entry: the answer, or the grant under which the call goes to another instead."""
        force, passage.grant = passage.force, grant
        await self._claim(passage, grant)
        began = perf_counter()
        conversation, passage.conversation = passage.conversation, None
        clean = passage.clean = await clean_call(grant, passage.redactor, conversation)  # 4 clean
        passage.redaction_seconds = perf_counter() - began
        intent = Intent.of(
            clean,
            len(passage.attempts),
            vocabulary=force.vocabulary,
            configuration=force.digest,
            time=time_ns() // 1000,
            tls=_tls(grant),
        )
        began = perf_counter()
        admission = await self._ledger.admit(intent)  # 5 admit
        passage.journal_seconds = perf_counter() - began
        attempt = Attempt(self._ledger, self._keyring, force.vocabulary, intent, admission)
        passage.attempts.append(attempt)
        try:
            return await self._send(request, passage, clean, attempt, elsewhere)
        except GatewayError as error:
            if error.code in _PROVIDER_TROUBLE and not isinstance(error, Truncated):
                self._routes.failed(grant.route)
            await attempt.conclude_error(error)  # 8 close
            other = elsewhere.after(grant, error)
            if other is None:
                raise
            return other
        except (asyncio.CancelledError, ConnectionError):  # the caller is gone, or we are
            cut = self.stopping or stalled(request)
            attempt.abandon(Result.CUT_OFF if cut else Result.ABORTED_BY_CALLER)  # 8 close
            raise
        finally:  # 8 close, whatever else happened: the first outcome of an attempt wins
            attempt.abandon(Result.CUT_OFF)

    async def _claim(self, passage: Passage, grant: Grant) -> None:
        """Take what the call needs of its caller's, tenant's and processor's quotas; of another processor's later."""
        caller = passage.caller
        assert caller is not None  # noqa: S101  # it was opened
        tenant, processor = grant.call.entry.tenant, grant.route.processor
        claims: Sequence[Claim] = passage.force.book.claims(caller.id, caller.quota, tenant, processor)
        if passage.attempts:
            for held in passage.held:
                held.leave("processor")
            claims = [claim for claim in claims if claim.scope == "processor"]
        if claims:
            estimate = 1 + grant.call.size // BYTES_A_TOKEN
            passage.held.append(await self._quotas.claim(claims, estimate, stream=grant.stream))

    async def _send(
        self, request: web.BaseRequest, passage: Passage, clean: CleanCall, attempt: Attempt, elsewhere: Elsewhere
    ) -> Answer | Grant:
        secret = passage.force.bundle.secret(clean.grant.route.credential)
        if passage.overhead is None:
            passage.overhead = perf_counter() - passage.started
        async with self._upstream.send(clean, attempt.admission, secret) as reply:  # 6 send
            attempt.answered(reply.status, _request_id(clean.grant.call.entry.wire, reply))
            self._routes.answered(clean.grant.route, reply.status, reply.headers.get("retry-after"))
            if reply.status >= 400:
                document = await self._read_error(passage, reply, attempt)
                other = elsewhere.after_answer(clean.grant, reply.status)
                return await self._deliver_error(passage, reply, document) if other is None else other
            check_headers(clean.grant, reply.headers)
            if clean.grant.stream:
                return await self._deliver_stream(request, passage, clean.grant, reply, attempt)
            return await self._deliver_whole(passage, clean, reply, attempt)

    # 7 deliver

    async def _deliver_whole(self, passage: Passage, clean: CleanCall, reply: Reply, attempt: Attempt) -> Answer:
        grant = clean.grant
        body = await reply.read()
        attempt.received(len(body))
        content_type = reply.headers.get("content-type", "")
        surface = passage.force.bundle.surfaces[passage.target.wire.name]
        tally, body = await check_whole(grant, surface, content_type, body, passage.answer(), clean.values)
        passage.answered(tally.redactions, scores_dropped=tally.scores_dropped)
        await attempt.conclude(Result.COMPLETED, tally)  # 8 close: durable before the answer's first byte
        passage.status = reply.status
        headers = passage.answer_headers(reply.headers)
        headers["content-type"] = content_type
        return WholeAnswer(reply.status, body, headers)

    async def _deliver_stream(
        self, request: web.BaseRequest, passage: Passage, grant: Grant, reply: Reply, attempt: Attempt
    ) -> Answer:
        if not reply.headers.get("content-type", "").startswith("text/event-stream"):
            raise UpstreamError(Code.RESPONSE_NOT_ALLOWED, "the answer is not the event stream that was asked for")
        check = StreamCheck(grant, passage.force.bundle.surfaces[passage.target.wire.name])
        delivery = Delivery(check, passage.answer(), passage.restoration())
        passage.status = reply.status
        headers = passage.answer_headers(reply.headers)
        headers["content-type"] = "text/event-stream; charset=utf-8"
        headers["cache-control"] = "no-cache"
        response = StreamedAnswer(status=reply.status, headers=headers)
        await response.prepare(request)
        self.streams += 1
        waits = Waits()
        try:
            while check.last is None:
                chunk = await (_next(reply, delivery, waits) if delivery.holds else reply.next())
                if chunk:
                    attempt.received(len(chunk))
                elif not delivery.holds:
                    raise Truncated
                if released := await delivery.feed(chunk) if delivery.holds else delivery.pass_on(chunk):
                    await response.write(released)
            rest, last = await delivery.finish()
            if rest:
                await response.write(rest)
            last = await self._last_event(passage, attempt, delivery, last)
        except GatewayError as error:
            last = await self._break_off(passage, attempt, delivery, error)
        finally:
            waits.close()
            self.streams -= 1
            passage.answered(delivery.tally.redactions, scores_dropped=delivery.tally.scores_dropped)
        await response.write(last)
        await response.write_eof()
        if check.last is not None:
            await _read_out(reply)
        return response

    async def _last_event(self, passage: Passage, attempt: Attempt, delivery: Delivery, terminal: bytes) -> bytes:
        """The event that ends a stream, once the outcome is durable: the terminal one, or the provider's own error."""
        if terminal:
            await attempt.conclude(Result.COMPLETED, delivery.tally)  # 8 close
            return terminal
        failure = delivery.check.last
        assert failure is not None  # noqa: S101  # it has ended
        assert failure.document is not None  # noqa: S101  # an error is JSON
        await attempt.conclude(Result.UPSTREAM_FAILED, delivery.tally)  # 8 close
        return sse.build(failure.name, serialise(await self._scrubbed(passage, failure.document)))

    async def _break_off(self, passage: Passage, attempt: Attempt, delivery: Delivery, error: GatewayError) -> bytes:
        """The wire's own error event, which ends a stream that has begun; its terminal event never comes.

        What is held back stays here: nobody has looked at the end of it.
        """
        with contextlib.suppress(Unavailable):
            await attempt.conclude_error(error, delivery.tally)  # 8 close
        passage.code, passage.where = error.code, error.where
        assert passage.target.operation is not None  # noqa: S101  # it was opened
        return passage.target.wire.shape_stream_error(passage.target.operation, passage.wire_refusal(error))

    async def _read_error(self, passage: Passage, reply: Reply, attempt: Attempt) -> Document:
        """A provider's own error, which closes the attempt; empty if it is not of any form."""
        body = await reply.read()
        attempt.received(len(body))
        try:
            document = read_answer(body)
        except UpstreamError:
            document = {}
        failed = reply.status >= 500
        await attempt.conclude(  # 8 close
            Result.UPSTREAM_FAILED if failed else Result.REFUSED_BY_PROVIDER,
            error=passage.target.wire.error_code(document),
        )
        return document

    async def _deliver_error(self, passage: Passage, reply: Reply, document: Document) -> Answer:
        """A provider's own error keeps status, shape and code; its texts are cleaned, and go to the caller only."""
        wire = passage.target.wire
        passage.status = reply.status
        headers = passage.answer_headers(reply.headers)
        if document:
            shown = serialise(await self._scrubbed(passage, document))
        else:
            unreadable = UpstreamError(
                Code.UPSTREAM_FAILED, "the provider answered with an error that is not of its form"
            )
            shown = wire.shape_error(passage.wire_refusal(unreadable, reply.status))
        return web.Response(status=reply.status, body=shown, headers=headers, content_type="application/json")

    async def _scrubbed(self, passage: Passage, document: Document) -> Document:
        wire, redactor = passage.target.wire, passage.redactor
        texts: list[str] = []

        def gather(text: str) -> str:
            texts.append(text)
            return text

        wire.scrub_error(document, gather)
        if redactor is not None and texts:
            texts = [(await redactor.redact(text))[0] for text in texts]
        cleaned = iter(texts)
        return wire.scrub_error(document, lambda _text: next(cleaned))

    # what the gateway answers itself

    def _answer_here(self, passage: Passage, opened: Opened, query: dict[str, str]) -> Answer:
        """The model list: what this caller may use now."""
        wire, policy = opened.entry.wire, opened.asked.policy
        models = policy.registry.models(wire=wire.name, tenant=policy.tenant, now=opened.entry.now)
        argument = passage.target.argument
        if argument is not None and argument not in models:
            reason = "no processor that is open to this caller has this model"
            raise Refused(Code.MODEL_NOT_ALLOWED, reason, status=404)
        body = wire.list_models(models, query) if argument is None else wire.show_model(argument)
        passage.status = 200
        return web.Response(body=body, headers=passage.own_headers(), content_type="application/json")

    async def _refuse(self, request: web.BaseRequest, passage: Passage, error: GatewayError) -> Answer:
        """The one door by which every refusal and failure leaves. A known caller's refusal is recorded first."""
        if passage.attempt is None and passage.caller is not None:
            try:
                await self._ledger.refuse(passage.refusal(error, passage.caller, time_ns() // 1000))
            except Unavailable as unrecorded:
                error = unrecorded
        passage.code, passage.where, passage.status = error.code, error.where, error.status
        headers = passage.own_headers()
        headers["x-gateway-code"] = error.code.value
        headers["x-should-retry"] = "true" if error.retryable else "false"
        if error.retry_after is not None:
            headers["retry-after"] = str(error.retry_after)
        if isinstance(error, OverQuota):
            headers.update(passage.target.wire.show_rates(error.rates, datetime.now(UTC)))
        body = passage.target.wire.shape_error(passage.wire_refusal(error))
        headers["content-type"] = "application/json"
        return WholeAnswer(error.status, body, headers)


async def _next(reply: Reply, delivery: Delivery, waits: Waits) -> bytes:
    """The next bytes of a stream that has not ended; none if what is held back may not wait for more.

    Raises:
        Truncated: the stream is over.
        UpstreamError: as `Reply.next`.
    """
    patience = delivery.patience
    if patience is None:
        chunk = await reply.next()
    else:
        try:
            chunk = await waits.within(patience, reply.next())
        except TimeoutError:
            return b""
    if not chunk:
        raise Truncated
    return chunk


def _request_id(wire: Provider, reply: Reply) -> str | None:
    for name in (wire.request_id_header, *wire.door_request_ids):
        if found := reply.headers.get(name):
            return found
    return None


async def _read_out(reply: Reply) -> None:
    """Read what the framing still owes after the last event, so that the connection can serve the next call."""
    with contextlib.suppress(UpstreamError, TimeoutError):
        async with asyncio.timeout(_AFTER_SECONDS):
            async for _chunk in reply:
                pass


def _tls(grant: Grant) -> Tls:
    return Tls.TLS_1_3 if grant.route.base_url.startswith("https:") else Tls.NONE
