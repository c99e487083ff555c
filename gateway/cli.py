"""The command line: `gateway VERB`. Each verb is a few lines that call a room.

Exit codes: 0 it worked or holds, 1 it does not hold, 2 wrong usage or unusable configuration.
A verb imports its room when it runs, so that `check` and `--help` stay quick.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import orjson

from gateway.caller_keys import KeyFile, KeysUnreadable
from gateway.config import Bundle, approval, environment, load
from gateway.config.documents import Plain
from gateway.config.outlook import outlook
from gateway.errors import ConfigurationError
from gateway.keys import KeyFault, mint_caller_key
from gateway.policy.forms import Report, instant
from providers import PROVIDERS
from providers.document import Value

OK: Final = 0
DOES_NOT_HOLD: Final = 1
UNUSABLE: Final = 2


class Unusable(Exception):
    """The verb cannot do its work as it was asked. The message is ours and says what to do."""


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb. `arguments` adds what it takes beside `--config`."""

    words: tuple[str, ...]
    help: str
    example: str
    run: Callable[[argparse.Namespace], int]
    arguments: Callable[[argparse.ArgumentParser], None] = lambda _parser: None


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; its exit code."""
    options = parser().parse_args(argv)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except ConfigurationError as error:
        for fault in error.faults:
            _complain(str(fault))
    except (Unusable, KeysUnreadable, KeyFault, approval.NotApproved) as error:
        _complain(str(error))
    except BrokenPipeError:  # the reader has seen enough; a second flush at exit must not fail, too
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    else:
        return code
    return UNUSABLE


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(prog="gateway", description="The one way out to language-model providers.")
    verbs = top.add_subparsers(metavar="VERB", required=True)
    groups: dict[str, argparse._SubParsersAction[argparse.ArgumentParser]] = {}
    for verb in VERBS:
        into = verbs
        if len(verb.words) > 1:
            group = verb.words[0]
            if group not in groups:
                grouped = verbs.add_parser(group, help=GROUPS[group], description=GROUPS[group])
                groups[group] = grouped.add_subparsers(metavar="VERB", required=True)
            into = groups[group]
        made = into.add_parser(
            verb.words[-1],
            help=verb.help,
            description=verb.help,
            epilog=f"example:\n  {verb.example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        verb.arguments(made)
        made.add_argument("--config", type=Path, default=Path("config"), metavar="DIR", help="default: config")
        made.set_defaults(run=verb.run)
    return top


# --- serve, check -------------------------------------------------------------------------------


def _serve(options: argparse.Namespace) -> int:
    from gateway.app import serve  # noqa: PLC0415  # it loads the whole application

    return serve(options.config, environment())


def _check(options: argparse.Namespace) -> int:
    try:
        bundle = load(options.config, environment(), wires=PROVIDERS, check_recognizers=_check_rules)
    except ConfigurationError as error:
        _say(map(str, error.faults))
        count = len(error.faults)
        _complain(f"{count} fault{'' if count == 1 else 's'}: `gateway serve` would not start")
        return DOES_NOT_HOLD
    _say(outlook(bundle, datetime.now(UTC)))
    return OK


def _check_rules(mappings: Mapping[str, Plain], report: Report) -> None:
    from gateway.redaction.rules import RulesInvalid, compile_rules  # noqa: PLC0415  # half a second

    with contextlib.suppress(RulesInvalid):  # each fault was reported
        compile_rules(mappings, report)


# --- try, redact, audit -------------------------------------------------------------------------


def _try_arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument("file", metavar="REQUEST.json", help="- reads standard input")
    made.add_argument("--jsonl", action="store_true", help="many requests, one a line; answers likewise")


def _try(options: argparse.Namespace) -> int:
    from gateway.redaction import lean  # noqa: PLC0415  # before anything imports Presidio

    lean.install()
    from gateway.trial import NotARequest, try_requests  # noqa: PLC0415

    bundle = _bundle(options)
    refused = False
    try:
        for verdict in try_requests(bundle, _requests(_lines(options.file), options.jsonl)):
            refused = refused or verdict["decision"] != "allow"
            style = 0 if options.jsonl else orjson.OPT_INDENT_2
            _say([orjson.dumps(verdict, option=style).decode()])
    except NotARequest as fault:
        raise Unusable(str(fault)) from None
    return DOES_NOT_HOLD if refused else OK


def _lines(name: str) -> Iterator[bytes]:
    if name == "-":
        yield from sys.stdin.buffer
        return
    try:
        with Path(name).open("rb") as file:
            yield from file
    except OSError:
        raise Unusable(f"{name}: cannot be read") from None


def _requests(lines: Iterable[bytes], jsonl: bool) -> Iterator[Value]:
    texts = lines if jsonl else [b"".join(lines)]
    for number, text in enumerate(texts, 1):
        if jsonl and not text.strip():
            continue
        try:
            yield orjson.loads(text)
        except orjson.JSONDecodeError:
            raise Unusable(f"line {number} is not valid JSON" if jsonl else "the file is not valid JSON") from None


def _redact_arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument("--jsonl", action="store_true", help='one {"id", "text"} a line in, one {"id", "spans"} out')


def _redact(options: argparse.Namespace) -> int:
    from gateway.redaction.command import LineInvalid, redact  # noqa: PLC0415  # it loads the detector

    bundle = _bundle(options)
    try:
        redact(_standard_input(), sys.stdout, options.jsonl, bundle.recognizers)
    except LineInvalid as fault:
        raise Unusable(str(fault)) from None
    return OK


def _standard_input() -> Iterator[str]:
    try:
        for line in sys.stdin.buffer:
            yield line.decode("utf-8")
    except UnicodeDecodeError:
        raise Unusable("standard input is not UTF-8") from None


def _audit_arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument("--from", dest="start", type=_when, metavar="TIME", help="a day or an instant, included")
    made.add_argument("--to", dest="end", type=_when, metavar="TIME", help="a day or an instant, not included")
    for name in ("tenant", "caller", "processor", "code", "call"):
        made.add_argument(f"--{name}", metavar=name.upper())
    made.add_argument("--decision", choices=("allow", "refuse"))
    made.add_argument("--kind", choices=("intent", "outcome", "refusal", "operator"))
    made.add_argument("--limit", type=int, metavar="N", help="at most N records")
    made.add_argument("--jsonl", action="store_true", help="one JSON object a line")


def _audit(options: argparse.Namespace) -> int:
    from gateway.audit.reader import Filters, query, table_line  # noqa: PLC0415
    from gateway.audit.store import StoreFault  # noqa: PLC0415
    from gateway.keys import Keyring  # noqa: PLC0415

    bundle = _bundle(options)
    names = ("start", "end", "tenant", "caller", "processor", "decision", "code", "kind", "call", "limit")
    filters = Filters(**{name: getattr(options, name) for name in names})
    try:
        key = Keyring.open(bundle.state / "keys", master=bundle.master_key).journal_key()
        for line in query(bundle.state / "journal", key, filters):
            _say([orjson.dumps(line).decode() if options.jsonl else table_line(line)])
    except StoreFault as fault:
        raise Unusable(str(fault)) from None
    except ValueError:
        raise Unusable("a filter is no value that a record can have") from None
    return OK


# --- keys, schemas ------------------------------------------------------------------------------


def _keys_new_arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument("caller", metavar="CALLER", help="a service of callers.yaml")
    ends = made.add_mutually_exclusive_group()
    ends.add_argument("--days", type=int, default=365, metavar="N", help="valid for N days (default: 365)")
    ends.add_argument("--until", type=_when, metavar="TIME", help="valid until this day or instant")


def _keys_new(options: argparse.Namespace) -> int:
    bundle, now = _bundle(options), datetime.now(UTC)
    if options.caller not in bundle.callers.services:
        raise Unusable(f"callers.yaml has no such service; there are {', '.join(sorted(bundle.callers.services))}")
    if not 0 < options.days <= 3660:
        raise Unusable("--days is 1 to 3660")
    expires = now + timedelta(days=options.days) if options.until is None else options.until
    if expires <= now:
        raise Unusable("--until is past")
    key = mint_caller_key()
    KeyFile(bundle.state).add(options.caller, key, now, expires)
    _complain(f"key {key.key_id} of {options.caller}, valid until {expires:%Y-%m-%d %H:%M} UTC; it is shown this once")
    _say([key.text])
    return OK


def _keys_list(options: argparse.Namespace) -> int:
    bundle, now = _bundle(options), datetime.now(UTC)
    held = KeyFile(bundle.state).read()
    rows = [(key.id, key.caller, key.expires, "issued") for key in held.keys]
    for name, service in bundle.callers.services.items():
        rows += [(key.id, name, key.expires, "callers.yaml") for key in service.keys]
    for key_id, caller, expires, where in rows:
        state = "valid" if expires is None or now < expires else "expired"
        if caller not in bundle.callers.services:
            state = "of no service"
        state = "revoked" if key_id in held.revocations else state
        until = "for ever" if expires is None else f"{expires:%Y-%m-%d %H:%M} UTC"
        _say([f"{key_id}  {state:13}  {caller:24}  {until:20}  {where}"])
    return OK


def _keys_revoke_arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument("key", metavar="ID", help="a key's public id, the 16 hex digits after zrg_; not the key itself")


def _keys_revoke(options: argparse.Namespace) -> int:
    bundle = _bundle(options)
    listed = {key.id for service in bundle.callers.services.values() for key in service.keys}
    file = KeyFile(bundle.state)
    if options.key not in listed | {key.id for key in file.read().keys}:
        raise Unusable("no key has this id; `gateway keys list` shows them")
    file.revoke(options.key, datetime.now(UTC))
    _complain("revoked; a running gateway refuses it within a second")
    return OK


def _schemas_approve_arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument("file", type=Path, metavar="FILE", help="a JSON Schema, or the response format or tool round it")
    made.add_argument("--name", metavar="NAME", help="of the file under schemas/; default: that of FILE")


def _schemas_approve(options: argparse.Namespace) -> int:
    from gateway.redaction import lean  # noqa: PLC0415  # before anything imports Presidio

    lean.install()
    from gateway.redaction.engine import Engine  # noqa: PLC0415

    bundle = _bundle(options)
    engine = Engine(bundle.recognizers)
    engine.test()
    try:
        path, digest = approval.approve(options.config, options.file, engine.find, options.name)
    except approval.NotApproved as fault:
        _complain(str(fault))
        return DOES_NOT_HOLD
    _complain(f"{path}: approved; a running gateway lets it leave within a second")
    _say([digest])
    return OK


def _schemas_list(options: argparse.Namespace) -> int:
    _bundle(options)
    _say(f"{digest}  {name}" for name, digest in approval.approved(options.config))
    return OK


# --- what they share ----------------------------------------------------------------------------


def _bundle(options: argparse.Namespace) -> Bundle:
    return load(options.config, environment(), wires=PROVIDERS)


def _when(text: str) -> datetime:
    try:
        return instant(text)
    except ValueError:
        raise argparse.ArgumentTypeError("write 2026-11-25 or 2026-11-25T09:30:00Z, in UTC") from None


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")


def _complain(line: str) -> None:
    sys.stderr.write(f"{line}\n")


GROUPS = {
    "keys": "caller keys: issue, list, revoke; effective without restart",
    "schemas": "structured-output schemas that may leave",
}

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
    Verb(
        ("redact",),
        "the redactor alone: text in, redacted text out",
        "gateway redact < transcript.txt",
        _redact,
        _redact_arguments,
    ),
    Verb(
        ("keys", "new"),
        "issue a key for a caller and print it, this once",
        "gateway keys new coaching-demo --days 90",
        _keys_new,
        _keys_new_arguments,
    ),
    Verb(("keys", "list"), "every key by its public id, with its state", "gateway keys list", _keys_list),
    Verb(
        ("keys", "revoke"),
        "refuse a key from now on",
        "gateway keys revoke 0123456789abcdef",
        _keys_revoke,
        _keys_revoke_arguments,
    ),
    Verb(
        ("schemas", "approve"),
        "let a schema leave, once the redactor finds nothing in it",
        "gateway schemas approve call_summary.json",
        _schemas_approve,
        _schemas_approve_arguments,
    ),
    Verb(("schemas", "list"), "the approved schemas, by digest", "gateway schemas list", _schemas_list),
    Verb(
        ("audit",),
        "the records of calls, oldest first",
        "gateway audit --from 2026-11-01 --tenant t-4f1c --decision refuse --jsonl",
        _audit,
        _audit_arguments,
    ),
)
"""Every verb, in the order of `--help`."""
