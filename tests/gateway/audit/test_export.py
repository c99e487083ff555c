"""The exports: every leaf once, in a form that the other tool takes, and nothing lost on the way back."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Iterator

import jsonschema
import pytest

from gateway.audit.evidence import Evidence
from gateway.audit.export import COLUMNS, FORMATS, csv_head, csv_line, ocsf, records
from gateway.audit.merkle import leaf_hash
from gateway.audit.store import FILE_NAME, reading
from tests.gateway.audit.logs import KEY, ORIGIN, House, lived_in
from tests.vectors import vectors


@contextlib.contextmanager
def opened(house: House) -> Iterator[Evidence]:
    with house.log() as log, contextlib.closing(reading(house.directory / "journal" / FILE_NAME, KEY)) as journal:
        latest = log.latest()
        assert latest is not None
        yield Evidence(log, journal, house.directory / "log", None, latest)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return lived_in(tmp_path_factory.mktemp("export") / "state", calls=300)


def test_every_leaf_is_a_line_with_its_place_and_its_hash(house: House) -> None:
    """NDJSON: log, index and leaf hash of each, in order, so a dropped line shows and each can be proved."""
    with opened(house) as evidence:
        lines = [json.loads(FORMATS["ndjson"](record)) for record in records(evidence, 0)]
        entries = [row.entry for row in evidence.rows()]

    assert [line["index"] for line in lines] == list(range(len(entries)))
    assert [line["leaf"] for line in lines] == [leaf_hash(entry).hex() for entry in entries]
    assert {line["log"] for line in lines} == {ORIGIN}
    assert {line["kind"] for line in lines} == {"intent", "outcome", "refusal", "operator", "tenant_head"}


def test_who_resumes_at_an_index_loses_nothing(house: House) -> None:
    """Cut anywhere, the first part and what follows the last index are the whole."""
    with opened(house) as evidence:
        whole = [FORMATS["ndjson"](record) for record in records(evidence, 0)]
        for cut in (0, 1, 255, 256, 257, len(whole) - 1, len(whole)):
            assert whole[:cut] + [FORMATS["ndjson"](record) for record in records(evidence, cut)] == whole


def test_ocsf_lines_are_of_the_schema(house: House) -> None:
    """Each is API Activity of OCSF 1.8 as the schema file has it, and the schema refuses what could hold content."""
    check = jsonschema.Draft202012Validator(vectors("ocsf_api_activity_1_8"))
    with opened(house) as evidence:
        lines = [json.loads(ocsf(record)) for record in records(evidence, 0)]

    assert len(lines) > 600
    for line in lines:
        check.validate(line)
    by_code = {line["metadata"]["event_code"]: line for line in lines}
    assert by_code["refusal"]["action_id"] == by_code["refusal"]["disposition_id"] == 2
    assert by_code["intent"]["ai_model"]["name"] == "gpt-5.2-2026-01-15"
    assert by_code["outcome"]["status_id"] == 1
    assert by_code["outcome"]["metadata"]["correlation_uid"]
    for name in ("http_request", "message", "raw_data", "unmapped", "enrichments"):
        assert not check.is_valid({**lines[0], name: {}})
    assert not check.is_valid({name: value for name, value in lines[0].items() if name != "api"})


def test_csv_is_read_back(house: House) -> None:
    """As many columns as the head names, on every line."""
    with opened(house) as evidence:
        text = "\n".join([csv_head(), *(csv_line(record) for record in records(evidence, 0))])
    read = list(csv.DictReader(io.StringIO(text)))

    assert all(set(row) == set(COLUMNS) for row in read)
    assert {row["tenant"] for row in read} == {"", "tenant-seven"}
    assert [int(row["index"]) for row in read] == list(range(len(read)))


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t"])
def test_a_cell_is_never_a_formula(start: str) -> None:
    """Even though no value of a record could begin so."""
    line = next(csv.reader([csv_line({"tenant": f"{start}1+1"})]))

    assert line[COLUMNS.index("tenant")] == f"'{start}1+1"
