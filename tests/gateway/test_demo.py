"""The demonstration of `make run`: its calls are covered by the agreements that its own entries name, and it says whose."""

from __future__ import annotations

import io
import socket
from pathlib import Path

import anthropic
import openai
import pytest

from gateway import demo
from gateway.app import Application
from gateway.audit import verify
from gateway.audit.evidence import open_evidence
from gateway.config import load
from gateway.demo import prepare
from gateway.keys import Keyring
from gateway.simulator import Simulator
from providers import PROVIDERS
from tests.configuration import ROOT, issue_key
from tests.gateway.audit.forgeries import failed

QUESTION = "How did the call go?"


async def test_what_the_demonstration_sends_is_covered(tmp_path: Path) -> None:
    """Calls on both wires verify: none is outside an agreement, none without notice; the entries stay examples in config/."""
    config = prepare(tmp_path, 1)
    credential = (tmp_path / "credential").read_text(encoding="ascii").strip()
    async with Simulator(credential=credential) as simulator:
        config = prepare(tmp_path, simulator.port)
        settings = (config / "gateway.yaml").read_text(encoding="utf-8")
        for old, new in (
            ("port: 8080", "port: 0"),
            ("port: 9090", "port: 0"),
            ("redaction:\n", "redaction:\n  unsafe_redaction_off: true\n"),  # which takes seconds to start
        ):
            assert old in settings
            settings = settings.replace(old, new)
        (config / "gateway.yaml").write_text(settings, encoding="utf-8")
        state = load(config, {}, wires=PROVIDERS).state
        key = issue_key(state, "coaching-demo")
        application = Application(config, stream=io.BytesIO())
        await application.start()
        try:
            base = f"http://127.0.0.1:{application.port}"
            async with openai.AsyncOpenAI(base_url=f"{base}/v1", api_key=key, max_retries=0) as one:
                await one.chat.completions.create(
                    model="gpt-simulated", messages=[{"role": "user", "content": QUESTION}]
                )
            async with anthropic.AsyncAnthropic(base_url=base, api_key=key, max_retries=0) as two:
                await two.messages.create(
                    model="claude-simulated", max_tokens=50, messages=[{"role": "user", "content": QUESTION}]
                )
        finally:
            await application.stop()
    keyring = Keyring.open(state / "keys")
    with open_evidence(state, keyring) as evidence:
        run = verify.verify(evidence, verify.Policy(evidence.policy(keyring)))

    assert {name: run.a[name].first for name in failed(run)} == {}
    assert (run.totals["covered"], run.totals["uncovered"]) == (2, 0)
    for path in (ROOT / "config" / "processors").glob("simulated-*.yaml"):
        text = path.read_text(encoding="utf-8")
        assert "example: true" in text
        assert "nobody signed it" in text


def test_a_port_that_is_taken_ends_it_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It does not take another gateway that answers there for its own."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(demo, "PORTS", (port,))
        monkeypatch.setattr("sys.argv", ["make run"])

        assert demo.main() == 1

    assert f"another program listens on {port} " in capsys.readouterr().err
