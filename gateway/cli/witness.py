"""`witness`: run by whoever wants to have seen each checkpoint of somebody else's log."""

from __future__ import annotations

import argparse
from pathlib import Path

from gateway.cli.verb import Unusable, Verb


def _arguments(made: argparse.ArgumentParser) -> None:
    made.add_argument("folder", metavar="DIR", type=Path, help="its key and the last checkpoints; made if absent")
    made.add_argument("--name", required=True, metavar="URL", help="what it is called, without a scheme")
    made.add_argument("--log", action="append", required=True, metavar="KEY", help="a log's key, as policy.txt has it")
    made.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1; any other needs a certificate")
    made.add_argument("--port", type=int, default=8090, help="default: 8090")
    made.add_argument("--certificate", type=Path, metavar="PEM")
    made.add_argument("--private-key", type=Path, metavar="PEM")


def _witness(options: argparse.Namespace) -> int:
    from gateway.listener import ListenerError  # noqa: PLC0415  # it loads the server
    from gateway.witness import serving  # noqa: PLC0415
    from gateway.witness.witness import NotAWitness  # noqa: PLC0415

    listening = serving.options(options.host, options.port, options.certificate, options.private_key)
    try:
        return serving.serve(options.folder, options.name, options.log, listening)
    except (NotAWitness, ListenerError) as fault:
        raise Unusable(str(fault)) from None
    except OSError as fault:
        raise Unusable(f"the port cannot be used: errno {fault.errno}") from None


VERBS = (
    Verb(
        ("witness",),
        "cosign somebody else's log, once it is seen to extend what was seen before; prints the witness's key",
        "gateway witness seen/ --name witness.example/w1 --log LOG+0a1b2c3d+KEY",
        _witness,
        _arguments,
    ),
)
