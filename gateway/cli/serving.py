"""`serve`, `check`, `health` and `try`: the gateway itself, its configuration, and one request without sending it."""

from __future__ import annotations

import argparse
import contextlib
import http.client
import ssl
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import orjson

from gateway.change.control import require_approval, warnings
from gateway.cli.verb import DOES_NOT_HOLD, OK, Unusable, Verb, bundle_of, complain, lines, say
from gateway.config import environment, load
from gateway.config.documents import Plain, read_document
from gateway.config.outlook import outlook
from gateway.config.settings import Settings, parse_settings
from gateway.errors import ConfigurationError
from gateway.policy.forms import Report
from providers import PROVIDERS
from providers.document import Value

_MOST_WORKERS = 64


def _serve(options: argparse.Namespace) -> int:
    from gateway.app import serve  # noqa: PLC0415  # it loads the whole application
    from gateway.audit.store import StoreFault  # noqa: PLC0415
    from gateway.listener import ListenerError  # noqa: PLC0415

    try:
        return serve(options.config, environment(), options.workers)
    except (StoreFault, ListenerError) as fault:
        raise Unusable(str(fault)) from None


def _serve_arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--workers",
        type=_workers,
        default=1,
        metavar="N",
        help="processes that serve the port together, each with a journal of its own (default: 1, which needs none)",
    )


def _workers(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_WORKERS:
        raise argparse.ArgumentTypeError(f"write a number from 1 to {_MOST_WORKERS}")
    return int(text)


def _check(options: argparse.Namespace) -> int:
    try:
        bundle = load(options.config, environment(), wires=PROVIDERS, check_recognizers=_check_rules)
        require_approval(bundle, bundle.state, PROVIDERS)
    except ConfigurationError as error:
        say(map(str, error.faults))
        count = len(error.faults)
        complain(f"{count} fault{'' if count == 1 else 's'}: `gateway serve` would not start")
        return DOES_NOT_HOLD
    say(outlook(bundle, datetime.now(UTC)))
    say(warnings(bundle) or ["change control is on: this configuration was approved"])
    return OK


def _check_rules(mappings: Mapping[str, Plain], report: Report) -> None:
    from gateway.redaction.home import folder  # noqa: PLC0415
    from gateway.redaction.rules import RulesInvalid, compile_rules  # noqa: PLC0415  # half a second

    with contextlib.suppress(RulesInvalid):  # each fault was reported
        compile_rules(mappings, report, folder())


def _health_arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument("--ready", action="store_true", help="ask whether it takes calls, not only whether it answers")


def _health(options: argparse.Namespace) -> int:
    listener = _settings(options.config / "gateway.yaml").operations
    host = "127.0.0.1" if listener.host in {"0.0.0.0", "::"} else listener.host  # noqa: S104  # compared, not bound
    connection = http.client.HTTPConnection(host, listener.port, timeout=2.0)
    if listener.tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False  # by whatever name it was issued, it must be the very certificate we listen with
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations((options.config / listener.tls.certificate).resolve())
        connection = http.client.HTTPSConnection(host, listener.port, timeout=2.0, context=context)
    try:
        connection.request("GET", "/readyz" if options.ready else "/healthz")
        answer = connection.getresponse()
        body = answer.read(65536)
    except (OSError, http.client.HTTPException):
        complain("no gateway answers on its operations port")
        return DOES_NOT_HOLD
    finally:
        connection.close()
    say([body.decode("utf-8", "replace")])
    return OK if answer.status == 200 else DOES_NOT_HOLD


def _settings(path: Path) -> Settings:
    """`gateway.yaml` alone: a probe that asks every few seconds must not read surfaces and rules."""
    faults: list[str] = []
    document = read_document(path, path.name, lambda line, _key, reason: faults.append(f"{path}:{line}: {reason}"))
    settings = None if document is None else parse_settings(document.tree, lambda _path, why: faults.append(why))
    if settings is None:
        raise Unusable("; ".join(faults) or f"{path}: cannot be read")
    return settings


def _try_arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument("file", metavar="REQUEST.json", help="- reads standard input")
    made.add_argument("--jsonl", action="store_true", help="many requests, one a line; answers likewise")


def _try(options: argparse.Namespace) -> int:
    from gateway.redaction import lean  # noqa: PLC0415  # before anything imports Presidio

    lean.install()
    from gateway.trial import NotARequest, try_requests  # noqa: PLC0415

    bundle = bundle_of(options)
    refused = False
    try:
        for verdict in try_requests(bundle, _requests(lines(options.file), options.jsonl)):
            refused = refused or verdict["decision"] != "allow"
            style = 0 if options.jsonl else orjson.OPT_INDENT_2
            say([orjson.dumps(verdict, option=style).decode()])
    except NotARequest as fault:
        raise Unusable(str(fault)) from None
    return DOES_NOT_HOLD if refused else OK


def _requests(lines: Iterable[bytes], jsonl: bool) -> Iterator[Value]:
    texts = lines if jsonl else [b"".join(lines)]
    for number, text in enumerate(texts, 1):
        if jsonl and not text.strip():
            continue
        try:
            yield orjson.loads(text)
        except orjson.JSONDecodeError:
            raise Unusable(f"line {number} is not valid JSON" if jsonl else "the file is not valid JSON") from None


VERBS = (
    Verb(
        ("serve",),
        "run the gateway until SIGTERM; SIGHUP reloads",
        "gateway serve --config /etc/gateway --workers 4",
        _serve,
        _serve_arguments,
    ),
    Verb(
        ("check",),
        "read the configuration as serve would: what is in force, what starts or ends soon, and every fault",
        "gateway check --config /etc/gateway",
        _check,
    ),
    Verb(
        ("health",),
        "ask the running gateway whether it answers, or (--ready) takes calls; for probes",
        "gateway health --ready --config /etc/gateway",
        _health,
        _health_arguments,
    ),
    Verb(
        ("try",),
        "dry run of a request {method, path, headers, body, caller}: sends nothing, records nothing",
        """echo '{"path": "/v1/messages", "caller": "coaching-demo", "body": {}}' | gateway try -""",
        _try,
        _try_arguments,
    ),
)
