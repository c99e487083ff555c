"""What the parts of the application are made with: the configuration's values under each part's own names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gateway.audit.journal import Settings as JournalSettings
from gateway.audit.sequencing import Plan
from gateway.config import Bundle
from gateway.config.settings import Tls
from gateway.endpoints import Endpoint
from gateway.listener import ListenerOptions
from gateway.part import ALONE, Part
from gateway.upstream import UpstreamOptions


def part_in_region(part: Part, bundle: Bundle) -> Part:
    """The part of a process on this host: only one host of a region keeps the log."""
    replicas = bundle.settings.replicas
    if replicas is None or replicas.carriage is None:
        return part
    return replace(part, keeps=part.keeps and replicas.carriage.keeps_log)


def log_plan(bundle: Bundle, state: Path) -> Plan:
    """What the sequencer of the log needs to know."""
    log = bundle.settings.log
    return Plan(
        journal=str(state / "journal"),
        log=str(state / "log"),
        guard=str(bundle.guard(state)),
        keys=str(state / "keys"),
        origin=bundle.origin,
        master=None if bundle.master_key is None else str(bundle.master_key),
        tiles=None if log.tiles is None else str(bundle.path(log.tiles)),
        fenced=bundle.settings.replicas is not None and bundle.settings.replicas.carriage is not None,
    )


def endpoints(bundle: Bundle) -> list[Endpoint]:
    """Where calls may go."""
    return [Endpoint(base_url, unsafe_plaintext) for base_url, unsafe_plaintext in bundle.registry.endpoints]


def listener_options(bundle: Bundle, part: Part = ALONE) -> ListenerOptions:
    """The port of callers, for one of the processes that share it."""
    listen, limits = bundle.settings.listen, bundle.settings.limits
    certificate, private_key = _pair(bundle, listen.tls)
    return ListenerOptions(
        host=listen.host,
        port=listen.port if part.port is None else part.port,
        shared_port=part.workers > 1,
        names=frozenset(listen.names),
        certificate=certificate,
        private_key=private_key,
        unsafe_plaintext=listen.unsafe_plaintext,
        client_max_size=limits.body_bytes,
        write_seconds=limits.write_seconds,
        max_connections=-(-limits.connections // part.workers),
        max_connections_per_peer=limits.connections_per_peer,
    )


def operations_options(bundle: Bundle) -> ListenerOptions:
    """The port of the operator."""
    operations = bundle.settings.operations
    certificate, private_key = _pair(bundle, operations.tls)
    return ListenerOptions(
        host=operations.host,
        port=operations.port,
        any_name=True,
        certificate=certificate,
        private_key=private_key,
        unsafe_plaintext=operations.unsafe_plaintext,
    )


def pages_options(bundle: Bundle) -> ListenerOptions:
    """The port of the auditor's pages."""
    pages = bundle.settings.web
    certificate, private_key = _pair(bundle, pages.tls)
    return ListenerOptions(
        host=pages.host,
        port=pages.port,
        names=frozenset(pages.names),
        certificate=certificate,
        private_key=private_key,
        unsafe_plaintext=pages.unsafe_plaintext,
        client_max_size=65_536,
        max_connections=512,
        max_connections_per_peer=128,
        max_line_size=8190,
    )


def _pair(bundle: Bundle, tls: Tls | None) -> tuple[Path | None, Path | None]:
    """Where a port's certificate and its key are; nothing for one in plain text."""
    return (None, None) if tls is None else (bundle.path(tls.certificate), bundle.path(tls.private_key))


def upstream_options(bundle: Bundle) -> UpstreamOptions:
    """The way to the providers."""
    limits, upstream = bundle.settings.limits, bundle.settings.upstream
    return UpstreamOptions(
        max_in_flight=limits.in_flight,
        connect_seconds=limits.connect_seconds,
        head_seconds=limits.first_byte_seconds,
        idle_seconds=limits.idle_seconds,
        total_seconds=limits.total_seconds,
        max_answer_bytes=limits.answer_bytes,
        keepalive_seconds=upstream.keepalive_seconds,
        ca_file=None if upstream.authorities is None else bundle.path(upstream.authorities),
    )


def journal_settings(bundle: Bundle) -> JournalSettings:
    """How the journal commits."""
    journal = bundle.settings.journal
    return JournalSettings(
        timeout=journal.timeout_seconds,
        closing_timeout=journal.closing_seconds,
        waiting=journal.waiting,
        batch=journal.batch,
        check_every=journal.check_seconds,
        ballast=journal.ballast_bytes,
    )
