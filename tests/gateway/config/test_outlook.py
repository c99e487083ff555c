"""What `check` says: what is in force, what turns soon, and what is dangerous."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.caller_keys import KeyFile
from gateway.config.outlook import outlook
from gateway.keys import mint_caller_key
from tests.gateway.config.small import FILES, NOW, read, write
from tests.gateway.stamps import certificate, make_key

P = "processors/toy-eu.yaml"


def report(directory: Path, now: datetime = NOW, environment: dict[str, str] | None = None) -> str:
    return "\n".join(outlook(read(directory, environment, now), now))


def test_it_says_what_is_in_force(tmp_path: Path) -> None:
    """State, endpoint, countries, models, agreement, carve-outs, grants and counts are all there."""
    said = report(write(tmp_path), environment={"TOY_KEY": "a-toy-credential"})

    for words in (
        "toy-eu: active",
        "toy at https://eu.toy.example, Toy Ltd (IE)",
        "countries: DE FR; storage: IE",
        "models: toy-large",
        "refused, for their retention class: toy-kept (retains)",
        "agreement toy-zero: zero_retention, no_training; 2026-01-01 to 2027-01-01, in force",
        "kept all the same: Flagged images are kept.",
        "cache: service for summary",
        "2 callers, 2 active tenants of 3",
        "1 approved schemas",
    ):
        assert words in said
    assert "WARNING" not in said
    assert "a-toy-credential" not in said


@pytest.mark.parametrize(("more", "told"), [("", "spans and metrics"), (", traces: false", "metrics")])
def test_it_says_who_is_told_of_calls(tmp_path: Path, more: str, told: str) -> None:
    """A collector of traces and metrics is outside, too."""
    named = f"telemetry: {{url: 'https://otel.example'{more}}}\n"
    said = report(write(tmp_path, **{"gateway.yaml": FILES["gateway.yaml"] + named}))

    assert f"https://otel.example is told {told}, without content" in said


def test_an_example_says_what_is_missing(tmp_path: Path) -> None:
    """An entry with evidence to be filled is a draft, mark or no mark, and each missing piece is named."""
    said = report(write(tmp_path, **{P: FILES[P].replace("IE\n  contact", "TO_BE_FILLED\n  contact")}))

    assert "toy-eu: DRAFT, takes no traffic before its evidence is there" in said
    assert "evidence to be filled (1): legal_entity (country)" in said
    assert "No processor is active: every call will be refused." in said


@pytest.mark.parametrize(
    ("before", "words"),
    [
        pytest.param(timedelta(days=30, seconds=1), None, id="more than thirty days before"),
        pytest.param(timedelta(days=30), "within 30 days", id="thirty days before"),
        pytest.param(timedelta(days=7), "within 7 days", id="seven days before"),
        pytest.param(timedelta(days=1), "within 1 day:", id="a day before"),
        pytest.param(timedelta(), None, id="at the instant"),
    ],
)
def test_an_end_is_announced(tmp_path: Path, before: timedelta, words: str | None) -> None:
    """The end of an agreement is told thirty, seven and one days ahead."""
    end = datetime(2027, 1, 1, tzinfo=UTC)

    said = report(write(tmp_path), end - before).split("Starts or ends soon")[1].split("Conditional")[0]

    lines = [line for line in said.splitlines() if "agreement toy-zero ends" in line]
    assert [words in line for line in lines] == ([True] if words else [])  # type: ignore[operator]


STAMPS = """
log:
  time_stamps: {url: "https://tsa.example.com", roots: tsa.pem}
"""


@pytest.mark.parametrize(
    ("until", "words"),
    [
        pytest.param(NOW + timedelta(days=900), ["CN=a root, until 2029-05-13", "no certificate"], id="good for long"),
        pytest.param(NOW + timedelta(days=6), ["within 7 days: 2026-12-01 12:00 UTC, CN=a root of log.time_stamps.roots ends"], id="ends soon"),
        pytest.param(NOW, ["WARNING: CN=a root: good from 2020-01-01 to 2026-11-25", "WARNING: log.time_stamps.roots: no certificate is good now"], id="ended"),
        pytest.param("nothing", ["tsa.pem: errno 2; no time-stamp token is fetched"], id="not there"),
        pytest.param("text", ["no certificates in PEM; no time-stamp token is fetched"], id="something else"),
    ],
)  # fmt: skip
def test_whose_clock_is_believed_is_checked(tmp_path: Path, until: datetime | str, words: list[str]) -> None:
    """Each root of the time-stamp authorities with its end, and a warning where no token would come of it."""
    directory = write(tmp_path, **{"gateway.yaml": FILES["gateway.yaml"] + STAMPS})
    if isinstance(until, datetime):
        root = certificate("a root", make_key("p256"), None, authority=True, until=until)
        (directory / "tsa.pem").write_bytes(root.public_bytes(Encoding.PEM))
    elif until == "text":
        (directory / "tsa.pem").write_text("not a certificate")

    said = report(directory, environment={"TOY_KEY": "a-toy-credential"})

    assert words[0] in said
    assert (words[-1] in said) is (words[-1] != "no certificate")
    assert ("WARNING" in said) is (not isinstance(until, datetime) or until <= NOW)
    assert "errno 2" not in report(write(tmp_path / "without"))


def test_a_key_that_ends_is_announced(tmp_path: Path) -> None:
    """A caller key is named by its public id before it ends."""
    directory = write(tmp_path)
    key = mint_caller_key()
    KeyFile(tmp_path / "state").add("service", key, NOW, NOW + timedelta(days=3))

    said = report(directory)

    assert f"caller key service/{key.key_id} ends" in said
    assert key.text not in said


def test_dangers_are_warnings(tmp_path: Path) -> None:
    """Redaction that is off, plain text on the network and a missing credential are said aloud."""
    settings = FILES["gateway.yaml"].replace("unsafe_redaction_off: false", "unsafe_redaction_off: true")
    settings = settings.replace("host: 127.0.0.1", "host: 0.0.0.0\n  names: [x.example]\n  unsafe_plaintext: true")

    said = report(write(tmp_path, **{"gateway.yaml": settings}))

    assert said.count("WARNING") == 3
    for words in ("redaction is OFF", "plain text", "its credential (environment:TOY_KEY) cannot be read"):
        assert words in said


def test_says_how_much_goes_with_a_finding(tmp_path: Path) -> None:
    """The operator's own setting, and the tenants that are stricter."""
    tenants = FILES["tenants.yaml"].replace("  t-ca:\n", "  t-ca:\n    redaction: refuse\n")

    said = report(write(tmp_path, **{"tenants.yaml": tenants}))

    assert "redaction: the words that reveal are taken out" in said
    assert "for t-ca: a call with a finding is refused" in said


def test_says_what_personal_data_is_taken_out(tmp_path: Path) -> None:
    """The kinds, and whether answers get them back; nothing where none was asked for."""
    asked = FILES["gateway.yaml"] + "\npersonal_data:\n  kinds: [EMAIL, CARD]\n"

    assert "personal data taken out" not in report(write(tmp_path))
    assert "personal data taken out: EMAIL, CARD; answers do not get it back" in report(
        write(tmp_path, **{"gateway.yaml": asked})
    )


def test_it_says_what_leads_to_another_entry(tmp_path: Path) -> None:
    """By purpose and tenant; and that it leads nowhere, while no model is at two entries."""
    written = FILES["gateway.yaml"].replace(
        "grants:", "failover: [{purposes: [summary], tenants: [t-eu], after: [unreachable, 429]}]\ngrants:"
    )
    said = report(write(tmp_path / "one", **{"gateway.yaml": written}))
    twin = FILES[P].replace("toy-eu", "toy-twin")
    both = report(write(tmp_path / "two", **{"gateway.yaml": written, "processors/toy-twin.yaml": twin}))

    assert "summary of t-eu: 429, unreachable" in said
    assert "WARNING: no model is at two entries" in said
    assert "models at several entries: " in both
    assert "toy/toy-large" in both.partition("models at several entries: ")[2].partition("\n")[0]
    assert "Failover" not in report(write(tmp_path / "none"))
