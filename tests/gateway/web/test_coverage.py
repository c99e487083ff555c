"""The page's count of covered attempts is the verifier's, whatever an agreement lacks and whenever it ends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.audit import verify
from gateway.audit.configurations import keep_configuration, kept_configuration
from gateway.audit.evidence import open_evidence, own_policy
from gateway.audit.index import Index
from gateway.audit.pages import Filters, Pages
from gateway.audit.scope import Scope
from gateway.web.agreements import agreements
from gateway.web.coverage import GRACE, Turn, _configuration, _holds, _intent, coverage
from tests.gateway.web.lived import NOW, Lived, lived

MIDDLE = datetime.fromtimestamp(NOW / 1e6, UTC) - timedelta(days=2, hours=5)


def _replaced(entry: dict[str, Any], **facts: object) -> None:
    entry["agreements"][0].update(facts)


def _split(entry: dict[str, Any]) -> None:
    """No training in a document of its own, which begins later than the calls."""
    own = {
        **entry["agreements"][0],
        "id": "another",
        "kinds": ["no_training"],
        "valid_from": f"{MIDDLE:%Y-%m-%dT%H:%M:%SZ}",
    }
    entry["agreements"][0]["kinds"] = ["zero_retention", "dpa"]
    entry["agreements"].append(own)


CASES: dict[str, Callable[[dict[str, Any]], object]] = {
    "as it is": lambda _entry: None,
    "no agreement on data processing": lambda entry: _replaced(entry, kinds=["zero_retention", "no_training"]),
    "it ended among the calls": lambda entry: _replaced(entry, valid_until=f"{MIDDLE:%Y-%m-%dT%H:%M:%SZ}"),
    "it began among the calls": lambda entry: _replaced(entry, valid_from=f"{MIDDLE:%Y-%m-%dT%H:%M:%SZ}"),
    "another agreement began among the calls": _split,
    "the notice ended among the calls": lambda entry: entry["notice"].update(effective=f"{MIDDLE:%Y-%m-%d}"),
    "a country is missing": lambda entry: entry["countries"].update(processing=["FR"]),
    "the model retains": lambda entry: [each.update(retention_class="retains") for each in entry["models"]],
}


def _verified(made: Lived) -> tuple[int, int]:
    with open_evidence(made.state, made.keyring) as evidence:
        run = verify.verify(evidence, verify.Policy(own_policy(evidence.origin, made.keyring)), None)
    return run.totals["covered"], run.totals["uncovered"]


@pytest.mark.parametrize("case", CASES)
def test_what_is_covered_is_what_the_verifier_finds(tmp_path: Path, case: str) -> None:
    """Both numbers, over everything and as the sum over two halves."""
    made = lived(tmp_path, calls=60, edit=CASES[case])
    index = Index(made.state, made.keyring.index_key(), made.keyring.journal_key())
    while index.step():
        pass
    index.close()
    pages = Pages(made.state, made.keyring.index_key(), made.keyring.journal_key())
    with pages.view(Scope.everyone()) as view:
        known = agreements(made.state)
        whole = coverage(view, Filters(), made.state, known)
        half = NOW - 3 * 86_400_000_000 + 777
        parts = [coverage(view, each, made.state, known) for each in (Filters(until=half), Filters(since=half))]
    pages.close()

    assert whole == _verified(made)
    assert (parts[0][0] + parts[1][0], parts[0][1] + parts[1][1]) == whole
    assert sum(whole) == sum(map(len, made.made.values()))
    if case != "as it is":
        assert whole[1]


def test_a_call_on_its_way_through_a_reload_is_the_former_configurations(tmp_path: Path) -> None:
    """For ten minutes after a configuration came into force, one may still have been decided by the one before."""
    made = lived(tmp_path, calls=3)
    trees, schemas = orjson.loads(kept_configuration(made.state / "log", made.digests[1]) or b"")
    del trees["processors/simulated-openai.yaml"]
    narrower = orjson.dumps([trees, schemas], option=orjson.OPT_SORT_KEYS)
    digest = sha256(narrower).hexdigest()
    keep_configuration(made.state / "log", digest, narrower)
    in_force = ((NOW - 10**12, made.digests[1]), (NOW, digest))
    turns = [
        Turn(time, number, _configuration(str(made.state / "log"), name))
        for number, (time, name) in enumerate(in_force)
    ]
    intent = _intent(("simulated-openai", "simulated-openai-2026", "gpt-simulated", "CA", "call_summary"))

    assert _holds(turns, (NOW - 20, NOW), intent)
    assert _holds(turns, (NOW, NOW + GRACE), intent)
    assert not _holds(turns, (NOW + GRACE, NOW + GRACE + 20), intent)
    assert not _holds([], (NOW, NOW + 20), intent)
