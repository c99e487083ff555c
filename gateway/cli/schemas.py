"""`schemas`: structured-output schemas that may leave."""

from __future__ import annotations

import argparse
from pathlib import Path

from gateway.cli.verb import DOES_NOT_HOLD, OK, Verb, bundle_of, complain, say
from gateway.config import approval


def _schemas_approve_arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument("file", type=Path, metavar="FILE", help="a JSON Schema, or the response format or tool round it")
    made.add_argument("--name", metavar="NAME", help="of the file under schemas/; default: that of FILE")


def _schemas_approve(options: argparse.Namespace) -> int:
    from gateway.redaction import lean  # noqa: PLC0415  # before anything imports Presidio

    lean.install()
    from gateway.redaction.engine import Engine  # noqa: PLC0415
    from gateway.redaction.home import folder  # noqa: PLC0415

    bundle = bundle_of(options)
    engine = Engine(bundle.recognizers, where=folder())
    engine.test()
    try:
        path, digest = approval.approve(options.config, options.file, engine.find, options.name)
    except approval.NotApproved as fault:
        complain(str(fault))
        return DOES_NOT_HOLD
    complain(f"{path}: approved; a running gateway lets it leave within a second")
    say([digest])
    return OK


def _schemas_list(options: argparse.Namespace) -> int:
    bundle_of(options)
    say(f"{digest}  {name}" for name, digest in approval.approved(options.config))
    return OK


VERBS = (
    Verb(
        ("schemas", "approve"),
        "let a schema leave, once the redactor finds nothing in it",
        "gateway schemas approve call_summary.json",
        _schemas_approve,
        _schemas_approve_arguments,
    ),
    Verb(("schemas", "list"), "the approved schemas, by digest", "gateway schemas list", _schemas_list),
)
