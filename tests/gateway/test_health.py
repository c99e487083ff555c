"""`gateway health`: what a probe sees of a running gateway."""

from __future__ import annotations

import asyncio
import io
import json
import socket
from pathlib import Path

import pytest
import trustme

from gateway.app import Application
from gateway.cli import main
from gateway.simulator import CREDENTIAL, Simulator
from tests.configuration import write_configuration
from tests.houses import UNSCANNED, settings


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("protected", [False, True], ids=["plain", "TLS"])
async def test_a_probe_asks_the_operations_port(
    simulator: Simulator, tmp_path: Path, capsys: pytest.CaptureFixture[str], protected: bool
) -> None:
    """Running: 0 and what it says, over TLS too. Not running, or another's certificate: 1."""
    operations: dict[str, object] = {"host": "127.0.0.1", "port": free_port()}
    if protected:
        certificate = trustme.CA().issue_cert("operations.example")
        certificate.cert_chain_pems[0].write_to_path(tmp_path / "chain.pem")
        certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
        operations["tls"] = {"certificate": "../chain.pem", "private_key": "../key.pem"}
    chosen = settings(**UNSCANNED, operations=operations)
    directory = write_configuration(tmp_path, simulator.port, CREDENTIAL, settings=chosen)
    arguments = ["health", "--ready", "--config", str(directory)]

    assert await asyncio.to_thread(main, arguments) == 1
    application = Application(directory, tmp_path / "state", stream=io.BytesIO())
    await application.start()
    try:
        capsys.readouterr()
        assert await asyncio.to_thread(main, arguments) == 0
        assert json.loads(capsys.readouterr().out)["ready"] is True
        assert await asyncio.to_thread(main, ["health", "--config", str(directory)]) == 0
        if protected:
            trustme.CA().issue_cert("operations.example").cert_chain_pems[0].write_to_path(tmp_path / "chain.pem")
            assert await asyncio.to_thread(main, arguments) == 1
    finally:
        await application.stop()


def test_a_probe_without_settings_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a usable gateway.yaml the answer is 2, not that the gateway is down."""
    assert main(["health", "--config", str(tmp_path)]) == 2
    assert "gateway.yaml" in capsys.readouterr().err
