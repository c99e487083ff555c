"""What the pages hold open, from when they begin until they end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Timer

import pytest

from gateway.audit.index import Index
from gateway.web.serving import Pages
from tests.gateway.web.lived import lived


def test_a_step_under_way_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stops the pages while the index takes rows in closes its files only after that."""
    made = lived(tmp_path, calls=20, days=2)
    house = Pages(made.configuration, made.state, {}).house
    begun, go_on = Event(), Event()
    step = Index.step

    def slow(index: Index, most: int) -> int:
        begun.set()
        assert go_on.wait(10)
        return step(index, most)

    monkeypatch.setattr(Index, "step", slow)
    with ThreadPoolExecutor(1) as other:
        taken = other.submit(house.follow)
        assert begun.wait(10)
        Timer(0.2, go_on.set).start()
        house.close()

        assert taken.result(10) > 0
