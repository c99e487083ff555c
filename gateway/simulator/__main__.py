"""`python -m gateway.simulator --port N`: the simulated provider as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path

from gateway.simulator.scenario import read_scenario
from gateway.simulator.server import CREDENTIAL, Simulator


def main() -> None:
    """Serve until SIGTERM or SIGINT; prints the root URL on one line once it listens."""
    parser = argparse.ArgumentParser(
        prog="gateway.simulator", description="A provider that keeps nothing, on loopback."
    )
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 picks a free one")
    parser.add_argument("--credential", default=CREDENTIAL, help="the bearer or x-api-key that it accepts")
    parser.add_argument("--log", type=Path, help="file to which every arrival is appended, bodies included")
    parser.add_argument("--script", type=Path, help="JSON: model name -> scenario, in force from the start")
    options = parser.parse_args()
    try:
        asyncio.run(_serve(options))
    except OSError as fault:
        parser.exit(1, f"port {options.port} of 127.0.0.1: {fault.strerror}; free it, or give --port another\n")


async def _serve(options: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    simulator = Simulator(port=options.port, credential=options.credential, log=options.log)
    if options.script is not None:
        for model, scenario in json.loads(options.script.read_text(encoding="utf-8")).items():
            simulator.script(read_scenario(scenario), model=model)
    async with simulator:
        sys.stdout.write(f"{simulator.url}\n")
        sys.stdout.flush()
        await stopped.wait()


if __name__ == "__main__":
    main()
