"""What every test may ask for: the simulated provider, and the whole application in front of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from gateway.simulator import Simulator
from providers.document import Document

if TYPE_CHECKING:
    from gateway.app import Application

CALLER = "coaching-service"
"""The caller of the example configuration. Its key is bound to one tenant and one purpose."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """The application under test, listening on loopback.

    `key` is a fresh caller key, bound to a tenant and a purpose, so that a stock client needs nothing else.
    """

    application: Application
    configuration: Path
    state: Path
    key: str

    @property
    def url(self) -> str:
        """The root: the base URL of the Anthropic wire; `/v1` below it is OpenAI's."""
        return f"http://127.0.0.1:{self.application.port}"


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

    configuration = example_configuration(tmp_path, simulator.port)
    state = tmp_path / "state"
    application = Application(configuration, state)
    await application.start()
    try:
        yield Gateway(application, configuration, state, caller_key(state, CALLER))
    finally:
        await application.stop()


def example_configuration(tmp_path: Path, simulator_port: int) -> Path:
    """Write a private copy of the example configuration, with the simulated provider as its one active entry.

    Returns:
        The directory: gateway.yaml, callers.yaml, tenants.yaml, processors/, and copies of
        config/surfaces and config/recognizers. Models: those of `gateway.simulator.small`.
    """
    raise NotImplementedError("filled in at integration")


def caller_key(state: Path, caller: str) -> str:
    """Make a fresh key for a caller of the example configuration, as `gateway keys new` does."""
    raise NotImplementedError("filled in at integration")


def approve_schema(gateway: Gateway, schema: Document) -> None:
    """Approve a structured-output schema, as `gateway schemas approve` does, effective at once."""
    raise NotImplementedError("filled in at integration")
