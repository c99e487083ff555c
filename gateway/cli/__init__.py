"""The command line: `gateway VERB`. Each verb is a few lines that call a room.

Exit codes: 0 it worked or holds, 1 it does not hold, 2 wrong usage or unusable configuration.
A verb imports its room when it runs, so that `check` and `--help` stay quick.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from gateway.caller_keys import KeysUnreadable
from gateway.cli import (
    attest,
    audit,
    canary,
    change,
    disclosure,
    evidence,
    hosts,
    keys,
    processors,
    redaction,
    retention,
    schemas,
    serving,
    web,
    witness,
)
from gateway.cli.verb import OK, UNUSABLE, Unusable, Verb, complain
from gateway.config.approval import NotApproved
from gateway.errors import ConfigurationError
from gateway.keys import KeyFault

GROUPS = {
    "processors": "the sub-processor registry",
    "keys": "caller keys: issue, list, revoke, effective without restart; and the master key",
    "change": "change control: propose, approve and apply configurations",
    "tenant": "tenants: their names, copies of what is recorded of them, and its erasure",
    "subject": "one person of a tenant: a copy of what is recorded, and its erasure",
    "schemas": "structured-output schemas that may leave",
    "hosts": "the hosts of a region that make one log together",
}
VERBS: tuple[Verb, ...] = (
    *serving.VERBS,
    *redaction.VERBS,
    *keys.VERBS,
    *schemas.VERBS,
    *processors.VERBS,
    *disclosure.VERBS,
    *attest.VERBS,
    *canary.VERBS,
    *change.VERBS,
    *audit.VERBS,
    *evidence.VERBS,
    *retention.VERBS,
    *hosts.VERBS,
    *web.VERBS,
    *witness.VERBS,
)
"""Every verb, in the order of `--help`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; its exit code."""
    options = parser().parse_args(argv)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except ConfigurationError as error:
        for fault in error.faults:
            complain(str(fault))
    except (Unusable, KeysUnreadable, KeyFault, NotApproved) as error:
        complain(str(error))
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
