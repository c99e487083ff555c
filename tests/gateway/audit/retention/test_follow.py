"""The export that follows: every leaf once and in order, while the log grows, is erased from, and across a new start."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.audit.retention.requests import ask
from gateway.audit.words import Ground
from gateway.cli import audit, parser
from tests.gateway.audit.retention.states import EIGHT, State


async def test_a_follower_resumes_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Interrupted twice and resumed after the last index that it saw, it has each index exactly once."""
    state = State(tmp_path / "state")
    monkeypatch.setattr(audit, "bundle_of", lambda _options: SimpleNamespace(state=state.directory, master_key=None))
    seen: list[int] = []
    async with state.open():
        await state.live(1)
        for follower in range(3):
            grown = [threading.Event() for _ in range(3)]
            looked = [threading.Event() for _ in range(3)]
            rounds = iter(range(3))

            def sleep(_seconds: float, rounds: object = rounds, grown: object = grown, looked: object = looked) -> None:
                at = next(rounds)  # type: ignore[call-overload]
                looked[at].set()  # type: ignore[index]
                if at == 2:
                    raise KeyboardInterrupt
                assert grown[at].wait(30)  # type: ignore[index]

            monkeypatch.setattr(audit.time, "sleep", sleep)
            after = str(seen[-1] if seen else -1)
            options = parser().parse_args(["audit", "export", "--follow", "--after", after])
            following = asyncio.create_task(asyncio.to_thread(audit._audit, options))
            for at in range(2):
                assert await asyncio.to_thread(looked[at].wait, 30)
                await state.live(2)
                if follower == 1 and at == 0:
                    ask(state.keyring, Ground.TENANT, EIGHT, None, state.tick())
                    await state.erasing.due()
                state.order()
                grown[at].set()
            assert await following == 0
            lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
            seen += [line["index"] for line in lines]
        size = state.order() or state.ordering.size

    assert seen == list(range(size))
