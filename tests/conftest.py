"""What every test may ask for: the simulated provider, and the whole application in front of it."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from gateway.config.documents import Complain, Document, parse_document
from gateway.policy.schemas import canonical_digest
from gateway.simulator import CREDENTIAL, Simulator
from providers.document import Document as Tree
from providers.document import serialise
from tests.configuration import ALL_GRANTS, CALLER, ROOT, issue_key, write_configuration
from tests.redis_server import RedisServer

LONGEST = (
    "tests/gateway/replicas/test_carriage.py",
    "tests/gateway/redaction/test_scanner.py",
    "tests/gateway/redaction/test_stream.py",
    "tests/gateway/attest/test_attester.py",
    "tests/test_crash.py",
    "tests/test_auditor.py",
    "tests/test_workers.py",
    "tests/gateway/test_cli.py",
    "tests/test_reload.py",
    "tests/test_official_sdks_openai.py",
    "tests/test_canary.py",
    "tests/gateway/test_quotas.py",
    "tests/gateway/redaction/test_evasion.py",
    "tests/test_cloud.py",
    "tests/gateway/redaction/test_command.py",
    "tests/test_answers.py",
    "tests/test_official_sdks_anthropic.py",
    "tests/test_readme.py",
)
"""The files that take longest, in that order. They begin: whichever ran last by itself would leave the other processor idle."""

LONG_BYTES = 8_000
"""Of a file that takes long to parse."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; within a file, and among the others, as they were."""
    rank = {ROOT / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


def pytest_sessionstart(session: pytest.Session) -> None:
    """What is made of the shipped rules, machine code too, is made once, before all want to make it at the same time."""
    if not hasattr(session.config, "workerinput"):
        script = (
            "from gateway.redaction import lean; lean.install()\n"
            "from gateway.redaction.home import folder\n"
            "from gateway.redaction.engine import Engine\n"
            "from tests.configuration import rules\n"
            "Engine(rules(), where=folder()).test()"
        )
        subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False, timeout=300)


if TYPE_CHECKING:
    from gateway.app import Application


@dataclass(frozen=True, slots=True)
class Gateway:
    """The application under test, listening on loopback.

    `key` is a fresh caller key, bound to a tenant and a purpose, so that a stock client needs nothing else;
    `granted_key` is one of a caller that was granted every conditional verdict.
    """

    application: Application
    configuration: Path
    state: Path
    key: str
    granted_key: str

    @property
    def url(self) -> str:
        """The root: the base URL of the Anthropic wire; `/v1` below it is OpenAI's."""
        return f"http://127.0.0.1:{self.application.port}"


@pytest.fixture(scope="session", autouse=True)
def _long_files_are_parsed_once() -> Iterator[None]:
    """The shipped surfaces and recognisers, of which hundreds of tests load a copy: the same bytes are the same document.

    A gateway that reloads relies on the same (`gateway.config.shelf`); what one file alone takes is most of a load.
    """
    known: dict[tuple[str, bytes], Document | None] = {}

    def parsed(data: bytes, name: str, complain: Complain) -> Document | None:
        key = name, hashlib.sha256(data).digest()
        if key not in known:
            document = parse_document(data, name, complain)
            if document is None or len(data) < LONG_BYTES:
                return document
            known[key] = document
        return known[key]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("gateway.config.shelf.parse_document", parsed)
        yield


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """The simulated provider, in this process, on a free port."""
    async with Simulator() as running:
        yield running


@pytest.fixture
async def gateway(simulator: Simulator, tmp_path: Path) -> AsyncIterator[Gateway]:
    """The whole application, in this process, on free ports, with the simulated provider behind it."""
    async with serving(simulator, tmp_path) as running:
        yield running


@pytest.fixture
def private_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that the test may break."""
    server = RedisServer(tmp_path / "redis")
    server.start()
    yield server
    server.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lasting_simulator() -> AsyncIterator[Simulator]:
    """One simulated provider for a module whose tests run on the module's loop and reset it."""
    async with Simulator() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lasting_gateway(
    lasting_simulator: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateway]:
    """One gateway for such a module: starting one costs seconds."""
    async with serving(lasting_simulator, tmp_path_factory.mktemp("gateway")) as running:
        yield running


@asynccontextmanager
async def serving(simulator: Simulator, tmp_path: Path) -> AsyncIterator[Gateway]:
    """Start the application with a private configuration and state under `tmp_path`, and stop it."""
    from gateway.app import Application  # noqa: PLC0415  # the tests that need no gateway must not load one
    from tests.detectors import shared  # noqa: PLC0415

    configuration = example_configuration(tmp_path, simulator.port)
    state = tmp_path / "state"
    key, granted_key = caller_key(state, CALLER), caller_key(state, ALL_GRANTS)
    application = Application(configuration, state, stream=io.BytesIO(), part=shared())
    await application.start()
    try:
        yield Gateway(application, configuration, state, key, granted_key)
    finally:
        await application.stop()


def example_configuration(tmp_path: Path, simulator_port: int) -> Path:
    """Write a private configuration with the simulated provider behind both wires; its directory."""
    return write_configuration(tmp_path, simulator_port, CREDENTIAL)


def caller_key(state: Path, caller: str) -> str:
    """Make a fresh key for a caller of the example configuration, as `gateway keys new` does."""
    return issue_key(state, caller)


async def approve_schema(gateway: Gateway, schema: Tree) -> None:
    """Approve a structured-output schema, as `gateway schemas approve` does, and wait until it is in force."""
    path = gateway.configuration / "schemas" / f"{canonical_digest(schema)[:16]}.json"
    if not path.exists():
        path.write_bytes(serialise(schema))
        assert await gateway.application.reload()
