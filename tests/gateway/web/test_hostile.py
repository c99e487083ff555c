"""A state in which every word is markup, as no release would write it: the pages show it as text and do nothing of it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from hashlib import sha256

import orjson
import pytest
import pytest_asyncio

from gateway.audit.configurations import keep_configuration, kept_configuration
from gateway.audit.store import FILE_NAME, SqliteStore, line_of, reading
from gateway.web.pages import PAGES
from tests.gateway.web.lived import NOW, Lived
from tests.gateway.web.serving import Reader, Served, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

MARK = "zqmark"
WORD = f"'\"><script>{MARK}</script><img src=x onerror={MARK}()>{{{{7*7}}}}"
CALL = "f0" * 16
KEPT = frozenset({"act", "attempt", "kind", "result", "started", "previous"})
"""Fields whose words say what a record is; another word there is no record at all."""


def spoilt(value: object) -> object:
    """A value with every text of it replaced, but for instants, and names of fields kept."""
    if isinstance(value, dict):
        return {name: each if name in KEPT else spoilt(each) for name, each in value.items()}
    if isinstance(value, list):
        return [spoilt(each) for each in value]
    return WORD if isinstance(value, str) and not re.fullmatch(r"\d{4}-\d\d-\d\d", value) else value


def spoil(made: Lived) -> None:
    """Add to a journal one row of every sort with nothing but markup in it, and a configuration likewise."""
    preimage = kept_configuration(made.state / "log", made.digests[1])
    assert preimage is not None
    trees, schemas = orjson.loads(preimage)
    trees = {name: spoilt(tree) if name.startswith("processors/") else tree for name, tree in trees.items()}
    preimage = orjson.dumps([trees, schemas], option=orjson.OPT_SORT_KEYS)
    digest = sha256(preimage).hexdigest()
    keep_configuration(made.state / "log", digest, preimage)
    made.digests.append(digest)
    key = made.keyring.journal_key()
    with contextlib.closing(reading(made.state / "journal" / FILE_NAME, key)) as journal:
        rows = journal.execute(
            "SELECT kind, body FROM record GROUP BY kind, body ->> 'act' ORDER BY kind <> 'p', kind"
        ).fetchall()
    lines = []
    for number, (kind, body) in enumerate(rows):
        record = spoilt(orjson.loads(body))
        assert isinstance(record, dict)
        call = "" if kind == "p" else CALL if kind in "io" else "f1" * 16
        record["time"] = NOW - 30_000_000 + number
        if call:
            record["call"] = call
        if record.get("act") in {"boot", "configuration"}:
            record["configuration"], record["parent"] = digest, made.digests[1]
        text = orjson.dumps(record, option=orjson.OPT_SORT_KEYS).decode()
        lines.append(line_of(record["time"], kind, call, 0, text))
    store = SqliteStore(made.state / "journal", key)
    store.begin(lines)
    store.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """The pages over such a state."""
    async with serving(tmp_path_factory.mktemp("hostile"), calls=20, change=spoil) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def security(served: Served) -> AsyncIterator[Reader]:
    """Somebody of the security team."""
    async with served.reader() as made:
        yield made


async def test_markup_in_the_record_is_shown_as_text(served: Served, security: Reader) -> None:
    """On every page, of every sort of record and of a configuration: whole pages, in which it is text like any other."""
    digest = served.lived.digests[-1]
    paths = [*(f"/{page}" for page in PAGES), f"/calls/{CALL}", f"/calls/{'f1' * 16}", f"/configuration/{digest}"]
    found: dict[str, str] = {}
    for path in paths:
        answer = await security.get(path)
        assert answer.status == 200, path
        found[path] = answer.text

    for path, text in found.items():
        assert "<script>zq" not in text, path
        assert "<img" not in text, path
        assert "49" not in re.findall(r"onerror=zqmark\(\)&gt;([^<]{1,7})", text), path
    shown = {path for path, text in found.items() if f"&lt;script&gt;{MARK}" in text}
    assert {"/calls", "/denials", "/agreements", "/attestations", f"/calls/{CALL}", f"/configuration/{digest}"} <= shown


@pytest.mark.parametrize("written", ["csv", "ndjson", "ocsf"])
async def test_markup_in_the_record_is_taken_away_as_text(security: Reader, written: str) -> None:
    """A file with it is a file to keep and no page, and each record of it is on one line."""
    answer = await security.get(f"/calls/export?format={written}")

    assert answer.status == 200
    assert answer.headers["Content-Disposition"].startswith("attachment;")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert sum(CALL in line for line in answer.text.splitlines()) == 2
