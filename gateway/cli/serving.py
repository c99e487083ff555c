"""`serve`, `check` and `try`: the gateway itself, its configuration, and one request without sending it."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

import orjson

from gateway.cli.verb import DOES_NOT_HOLD, OK, Unusable, Verb, bundle_of, complain, lines, say
from gateway.config import environment, load
from gateway.config.documents import Plain
from gateway.config.outlook import outlook
from gateway.errors import ConfigurationError
from gateway.policy.forms import Report
from providers import PROVIDERS
from providers.document import Value


def _serve(options: argparse.Namespace) -> int:
    from gateway.app import serve  # noqa: PLC0415  # it loads the whole application

    return serve(options.config, environment())


def _check(options: argparse.Namespace) -> int:
    try:
        bundle = load(options.config, environment(), wires=PROVIDERS, check_recognizers=_check_rules)
    except ConfigurationError as error:
        say(map(str, error.faults))
        count = len(error.faults)
        complain(f"{count} fault{'' if count == 1 else 's'}: `gateway serve` would not start")
        return DOES_NOT_HOLD
    say(outlook(bundle, datetime.now(UTC)))
    return OK


def _check_rules(mappings: Mapping[str, Plain], report: Report) -> None:
    from gateway.redaction.rules import RulesInvalid, compile_rules  # noqa: PLC0415  # half a second

    with contextlib.suppress(RulesInvalid):  # each fault was reported
        compile_rules(mappings, report)


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
    Verb(("serve",), "run the gateway until SIGTERM; SIGHUP reloads", "gateway serve --config /etc/gateway", _serve),
    Verb(
        ("check",),
        "read the configuration as serve would: what is in force, what starts or ends soon, and every fault",
        "gateway check --config /etc/gateway",
        _check,
    ),
    Verb(
        ("try",),
        "dry run of a request {method, path, headers, body, caller}: sends nothing, records nothing",
        """echo '{"path": "/v1/messages", "caller": "coaching-demo", "body": {}}' | gateway try -""",
        _try,
        _try_arguments,
    ),
)
