"""`redact`: the redactor alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from gateway.cli.verb import OK, Unusable, Verb, bundle_of


def _redact_arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument("--jsonl", action="store_true", help='one {"id", "text"} a line in, one {"id", "spans"} out')


def _redact(options: argparse.Namespace) -> int:
    from gateway.redaction.command import LineInvalid, redact  # noqa: PLC0415  # it loads the detector

    bundle = bundle_of(options)
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


VERBS = (
    Verb(
        ("redact",),
        "the redactor alone: text in, redacted text out",
        "gateway redact < transcript.txt",
        _redact,
        _redact_arguments,
    ),
)
