"""Read-backs of a running gateway: on a schedule, into the record, and with what they stop; the verb that does it now."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.app import Application
from gateway.attest.attester import Attester
from gateway.attest.standing import FILE, Standing, keep_standings, mark, read_standings
from gateway.cli import main
from gateway.config import load
from gateway.errors import ConfigurationError
from gateway.policy.halts import Halts
from gateway.simulator import CREDENTIAL, Scenario, Simulator
from providers import PROVIDERS
from tests.configuration import CALLER, issue_key, write_configuration
from tests.gateway.attest.settings import edit, read_back
from tests.houses import UNSCANNED, Served, client, records, serve, settings

ENTRY = "simulated-openai"


class House:
    """A gateway in this process whose first entry is read back."""

    def __init__(self, application: Application, configuration: Path, key: str) -> None:
        self.application = application
        self.configuration = configuration
        self.state = configuration.parent / "state"
        self.key = key

    async def call(self, **more: Any) -> str:
        """One call: `x-gateway-code`, or `ok`."""
        return await called(f"http://127.0.0.1:{self.application.port}", self.key, **more)

    async def look(self) -> None:
        """What it does every half second, now; a schedule that is not due is made due."""
        attester = self.application._attester
        async with attester._lock:
            for entry in list(attester._standings):
                attester._standings[entry] = _due(attester._standings[entry])
        await attester.look()

    async def ready(self) -> dict[str, Any]:
        """Readiness, with its warnings."""
        url = f"http://127.0.0.1:{self.application.operations_port}/readyz"
        async with client("") as session, session.get(url) as answer:
            return dict(await answer.json())

    def acts(self, act: str = "attestation") -> list[dict[str, Any]]:
        """The records of an act."""
        return [dict(line) for line in records(self.state) if line.get("act") == act]


def _due(standing: Standing) -> Standing:
    from dataclasses import replace  # noqa: PLC0415

    return replace(standing, read_at=0, probed_at=0)


async def called(url: str, key: str, **more: Any) -> str:
    """One call of the first wire: `x-gateway-code`, or `ok`."""
    document = {"model": "gpt-simulated", "messages": [{"role": "user", "content": "Hello"}], **more}
    async with client(key) as session, session.post(f"{url}/v1/chat/completions", json=document) as answer:
        await answer.read()
        return answer.headers.get("x-gateway-code", "ok")


@asynccontextmanager
async def housed(simulator: Simulator, folder: Path, **asked: Any) -> AsyncIterator[House]:
    """A gateway over a configuration under `folder`, which is made if it is not there."""
    configuration = folder / "config"
    if not configuration.exists():
        write_configuration(folder, simulator.port, CREDENTIAL, settings=settings(**UNSCANNED))
        read_back(configuration, simulator.port, **asked)
    key = issue_key(folder / "state", CALLER)
    application = Application(configuration)
    await application.start()
    try:
        yield House(application, configuration, key)
    finally:
        await application.stop()


async def test_an_entry_takes_traffic_once_its_settings_were_read(simulator: Simulator, tmp_path: Path) -> None:
    """They are read before anybody is served, and what they said is in the record, word by word."""
    async with housed(simulator, tmp_path) as house:
        assert await house.call() == "ok"
        (act,) = house.acts()

    assert (act["processor"], act["verdict"]) == (ENTRY, "pass")
    assert ["project_retention", "zero_data_retention"] in act["readings"]
    assert ["web_search", "disabled"] in act["readings"]


async def test_an_example_is_passed_by(simulator: Simulator, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Nobody reads its settings, so nobody says that they cannot be read, until it is an example no more."""
    configuration = write_configuration(tmp_path, simulator.port, CREDENTIAL, settings=settings(**UNSCANNED))
    read_back(configuration, simulator.port)
    edit(configuration, "openai", example=True)
    async with housed(simulator, tmp_path) as house:
        refused, told, acts = await house.call(), await house.ready(), house.acts()
        said = capfd.readouterr().err
        edit(configuration, "openai", example=False)
        async with house.application._attester._lock:  # nothing is read meanwhile
            assert await house.application.reload()
            unread = await house.call()
        await house.application._attester.look()

        assert await house.call() == "ok"
    assert (refused, unread, acts) == ("processor_not_active", "attestation_failed", [])
    assert ENTRY not in " ".join(told["warnings"])
    assert "takes no traffic" not in said


async def test_drift_stops_the_entry_and_a_pass_lets_it_go_on(simulator: Simulator, tmp_path: Path) -> None:
    """The next call after a failed reading is refused with its code, readiness says why; the next pass ends that."""
    async with housed(simulator, tmp_path) as house:
        simulator.administration.project = "none"
        await house.look()
        refused, told = await house.call(), await house.ready()
        simulator.administration.project = "zero_data_retention"
        await house.look()
        assert await house.call() == "ok"

        assert refused == "attestation_failed"
        assert f"{ENTRY}: its own settings do not read as agreed" in told["warnings"]
        assert [act["verdict"] for act in house.acts()] == ["pass", "fail", "pass"]


async def test_an_unknown_value_stops_it_too(simulator: Simulator, tmp_path: Path) -> None:
    """A word that a vendor adds is no pass, and stands as `other` in the record."""
    async with housed(simulator, tmp_path) as house:
        simulator.administration.project = "zero_data_retention_v2"
        await house.look()

        assert await house.call() == "attestation_failed"
        assert ["project_retention", "other"] in house.acts()[-1]["readings"]


async def test_an_unreachable_read_back_stops_it_after_its_age(simulator: Simulator, tmp_path: Path) -> None:
    """Inconclusive is no failure and no pass: the last pass counts, until it is too old."""
    async with housed(simulator, tmp_path, every_seconds=60, stale_after_seconds=60) as house:
        simulator.administration.status = 503
        await house.look()
        assert await house.call() == "ok"

        attester = house.application._attester
        passed = attester.standings()[ENTRY].passed_at
        for seconds, expected in ((59, "ok"), (60, "ok"), (61, "attestation_failed")):
            attester._clock = lambda at=passed + seconds * 1_000_000: at  # type: ignore[misc]
            attester.settle()
            assert await house.call() == expected, seconds
        assert [act["verdict"] for act in house.acts()] == ["pass", "inconclusive"]


async def test_a_gateway_that_never_read_grants_nothing(simulator: Simulator, tmp_path: Path) -> None:
    """If the very first reading cannot tell, the entry waits; the other entry serves."""
    simulator.administration.status = 500
    async with housed(simulator, tmp_path) as house:
        assert await house.call() == "attestation_failed"
        document = {"model": "claude-simulated", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
        url = f"http://127.0.0.1:{house.application.port}/v1/messages"
        async with client(house.key) as session, session.post(url, json=document) as answer:
            assert answer.status == 200


async def test_a_restart_forgets_nothing(simulator: Simulator, tmp_path: Path) -> None:
    """A failure still stops the entry after a restart with nobody to ask; so does a pass still count."""
    async with housed(simulator, tmp_path) as house:
        pass
    simulator.administration.status = 500
    async with housed(simulator, tmp_path) as house:
        await house.look()
        assert await house.call() == "ok"
        simulator.administration.status, simulator.administration.project = 200, "none"
        await house.look()
    simulator.administration.status = 500
    async with housed(simulator, tmp_path) as house:
        assert await house.call() == "attestation_failed"


async def test_another_account_begins_anew(simulator: Simulator, tmp_path: Path) -> None:
    """A pass of one project says nothing of the next: a reload to it stops the entry until it is read."""
    async with housed(simulator, tmp_path) as house:
        scope = {"project": "proj_elsewhere", "organization": "org-simulated"}
        edit(house.configuration, "openai", account_scope=scope)
        assert await house.application.reload()

        assert await house.call() == "attestation_failed"


async def test_a_reading_of_a_changed_account_is_no_pass_of_it(simulator: Simulator, tmp_path: Path) -> None:
    """What was read for the old account while the configuration changed does not count for the new one."""
    async with housed(simulator, tmp_path) as house:
        attester = house.application._attester
        old = attester._entries[ENTRY]
        edit(house.configuration, "openai", account_scope={"project": "proj_elsewhere"})
        assert await house.application.reload()
        await attester._read(old)
        attester.settle()

        assert await house.call() == "attestation_failed"


ECHOES: dict[str, Scenario] = {
    "a stored answer": Scenario(merge={"store": True}),
    "a conversation": Scenario(merge={"conversation": {"id": "conv_1"}}),
}


@pytest.mark.parametrize("echo", ECHOES)
async def test_an_answer_that_shows_retention_stops_its_entry(simulator: Simulator, tmp_path: Path, echo: str) -> None:
    """The call ends, and so does every later one, whatever the settings say, until somebody lifts that."""
    async with housed(simulator, tmp_path) as house:
        simulator.script(ECHOES[echo])
        url = f"http://127.0.0.1:{house.application.port}/v1/responses"
        document = {"model": "gpt-simulated", "input": "Hello"}
        async with client(house.key) as session, session.post(url, json=document) as answer:
            assert answer.headers["x-gateway-code"] == "response_not_allowed"
        assert await house.call() == "attestation_failed"
        await house.look()
        assert await house.call() == "attestation_failed"

        assert await asyncio.to_thread(main, ["attest", "--lift", ENTRY, "--config", str(house.configuration)]) == 0
        await house.look()
        assert await house.call() == "ok"
        assert [act["verdict"] for act in house.acts()] == ["pass", "fail", "pass", "lifted", "pass"]


async def test_a_contradiction_outlives_a_restart_and_an_edit(simulator: Simulator, tmp_path: Path) -> None:
    """What an answer showed is forgotten by nobody's restart, and by no change of the account."""
    async with housed(simulator, tmp_path) as house:
        house.application._attester.contradicted(ENTRY)
    async with housed(simulator, tmp_path) as house:
        assert await house.call() == "attestation_failed"
    edit(tmp_path / "config", "openai", account_scope={"project": "proj_simulated"})
    async with housed(simulator, tmp_path) as house:
        assert await house.call() == "attestation_failed"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"X-Zero-Data-Retention": "true"}, "ok"),
        ({"X-Zero-Data-Retention": "TRUE"}, "ok"),
        ({"X-Zero-Data-Retention": "false"}, "response_not_allowed"),
        ({"X-Zero-Data-Retention": "true, false"}, "response_not_allowed"),
        ({}, "response_not_allowed"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_what_each_answer_must_say(
    simulator: Simulator, tmp_path: Path, headers: dict[str, str], code: str, stream: bool
) -> None:
    """Where a provider says of every answer that nothing is kept, one that does not say so ends its entry's traffic."""
    configuration = write_configuration(tmp_path, simulator.port, CREDENTIAL, settings=settings(**UNSCANNED))
    edit(configuration, "openai", answer_headers={"x-zero-data-retention": "true"})
    async with housed(simulator, tmp_path) as house:
        simulator.script(Scenario(headers=headers))
        assert await house.call(stream=stream) == code

        simulator.script(Scenario(headers={"x-zero-data-retention": "true"}))
        assert await house.call(stream=stream) == ("ok" if code == "ok" else "attestation_failed")


async def test_a_probe_that_finds_something_stops_the_entry(simulator: Simulator, tmp_path: Path) -> None:
    """A text that was left and is found again is a failure that no setting outweighs; it is recorded as a canary."""
    probe = {"model": "gpt-simulated", "control": {"file": "secrets/control"}}
    simulator.administration.keeps = True
    async with housed(simulator, tmp_path, probe=probe) as house:
        assert await house.call() == "attestation_failed"
        (act,) = house.acts("canary")
        assert (act["verdict"], act["readings"]) == (
            "fail", [["stored_by_default", "present"], ["stored_if_asked", "present"]],
        )  # fmt: skip
        told = await house.ready()
        assert f"{ENTRY}: what a probe left there was kept" in told["warnings"]


async def test_a_broken_standing_is_no_start(simulator: Simulator, tmp_path: Path) -> None:
    """If what was known cannot be read, nothing listens, and the file is named."""
    configuration = write_configuration(tmp_path, simulator.port, CREDENTIAL, settings=settings(**UNSCANNED))
    (tmp_path / "state").mkdir(exist_ok=True)
    (tmp_path / "state" / FILE).write_bytes(b"{}")
    application = Application(configuration)
    with pytest.raises(ConfigurationError, match=FILE):
        await application.start()
    await application.stop()


def test_standings_are_read_as_they_were_kept(tmp_path: Path) -> None:
    """Every field comes back, and nothing else makes one."""
    kept = {"a": Standing("f" * 64, 5, 4, True, 3, 2, True, (("policy", "enabled"),)), "b": Standing()}
    keep_standings(tmp_path, kept, 7)

    assert read_standings(tmp_path) == (kept, 7)


# --- the verb -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("project", "status", "code", "verdict"),
    [("zero_data_retention", 200, 0, "pass"), ("none", 200, 1, "fail"), ("none", 500, 1, "inconclusive")],
)
async def test_the_verb_says_how_it_stands(
    simulator: Simulator, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    project: str, status: int, code: int, verdict: str,
) -> None:  # fmt: skip
    """`gateway attest` reads now and exits 0 only if everything reads as agreed."""
    configuration = write_configuration(tmp_path, simulator.port, CREDENTIAL)
    read_back(configuration, simulator.port)
    simulator.administration.project, simulator.administration.status = project, status

    assert await asyncio.to_thread(main, ["attest", "--json", "--config", str(configuration)]) == code
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["processor"], row["verdict"]) == (ENTRY, verdict)


async def test_of_several_workers_one_reads_and_all_follow(simulator: Simulator, tmp_path: Path) -> None:
    """One reading at the start, not one each; what an answer shows in one stops both, and a lift lets both go on."""
    configuration = write_configuration(tmp_path, simulator.port, CREDENTIAL, settings=settings(**UNSCANNED))
    read_back(configuration, simulator.port)
    key = issue_key(tmp_path / "state", CALLER)

    async def all_say(code: str) -> None:
        same = 0
        async with asyncio.timeout(30):
            while same < 24:  # each on a connection of its own: the kernel chooses among the workers
                same = same + 1 if await called(served.url, key) == code else 0

    served: Served = await serve(configuration, tmp_path, "--workers", "2")
    try:
        await all_say("ok")
        simulator.script(ECHOES["a stored answer"], model="gpt-simulated", count=1)
        document = {"model": "gpt-simulated", "input": "Hello"}
        async with client(key) as session, session.post(f"{served.url}/v1/responses", json=document) as answer:
            assert answer.headers["x-gateway-code"] == "response_not_allowed"
        await all_say("attestation_failed")
        lifting = ["attest", "--lift", ENTRY, "--config", str(configuration)]
        assert await asyncio.to_thread(main, lifting) == 0
        await all_say("ok")
        served.signal(signal.SIGTERM)
        assert await served.ended(60) == 0
    finally:
        await served.kill()

    acts = [line["verdict"] for line in records(tmp_path / "state") if line.get("act") == "attestation"]
    assert sorted(acts) == ["fail", "lifted", "pass"]


async def test_the_next_worker_goes_on_where_one_ended(simulator: Simulator, tmp_path: Path) -> None:
    """It knows what the one before knew and what was left for it, and reads nothing twice."""
    async with housed(simulator, tmp_path) as house:
        first = house.application._attester
        mine: list[bool] = [False]
        second = Attester(
            house.state, first._in_force, Halts(), first._note, lambda *_told: None, leads=lambda: mine[0]
        )
        await second.start()
        assert second.standings() == first.standings()
        second.contradicted(ENTRY)
        await second.look()
        assert second.standings()[ENTRY].contradicted_at
        await first.look()
        assert first.standings()[ENTRY].contradicted_at
        mine[0] = True
        await second.look()
        read = second.standings()

    assert read == first.standings()
    assert [act["verdict"] for act in house.acts()] == ["pass", "fail"]


async def test_what_the_verb_reads_the_gateway_takes_over(simulator: Simulator, tmp_path: Path) -> None:
    """A failure that `gateway attest` finds stops a running gateway within a second, in its record, too."""
    configuration = write_configuration(tmp_path, simulator.port, CREDENTIAL, settings=settings(**UNSCANNED))
    read_back(configuration, simulator.port)
    key = issue_key(tmp_path / "state", CALLER)
    served: Served = await serve(configuration, tmp_path)
    try:
        assert await called(served.url, key) == "ok"
        simulator.administration.organization = simulator.administration.project = "none"
        assert await asyncio.to_thread(main, ["attest", "--config", str(configuration)]) == 1
        async with asyncio.timeout(20):
            while await called(served.url, key) != "attestation_failed":
                await asyncio.sleep(0.05)
        served.signal(signal.SIGTERM)
        await served.ended(30)
    finally:
        await served.kill()

    assert [line["verdict"] for line in records(tmp_path / "state") if line.get("act") == "attestation"] == [
        "pass",
        "fail",
    ]


def test_the_verb_knows_who_rests_on_an_agreement(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An entry without `read_back` cannot be read; an unknown one is wrong usage."""
    configuration = write_configuration(tmp_path, 1, CREDENTIAL)

    assert main(["attest", "--config", str(configuration)]) == 0
    assert "rest on their agreements" in capsys.readouterr().out
    assert main(["attest", ENTRY, "--config", str(configuration)]) == 2
    assert main(["attest", "nobody", "--config", str(configuration)]) == 2


FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "a method that does not exist": ("read_back.method", {"read_back": {"method": "trust_us", "credential": {"file": "x"}}}),
    "of another wire": ("read_back.method", {"read_back": {"method": "anthropic_covered_model", "model": "m"}}),
    "without the project": ("account_scope", {"account_scope": {"organization": "o"}}),
    "a project that is a path": ("account_scope.project", {"account_scope": {"project": "a/../b"}}),
    "without a credential": ("read_back", {"read_back": {"method": "openai_organization"}}),
    "two places of a credential": (
        "read_back.credential",
        {"read_back": {"method": "openai_organization", "credential": {"file": "x", "environment": "X"}}},
    ),
    "a host in plain text": (
        "read_back.base_url",
        {"read_back": {"method": "openai_organization", "credential": {"file": "x"}, "base_url": "http://example.com"}},
    ),
    "stale before it is due": (
        "read_back.stale_after_seconds",
        {"read_back": {"method": "openai_organization", "credential": {"file": "x"}, "every_seconds": 600,
                       "stale_after_seconds": 60}},
    ),
    "a model that is not asked for": (
        "read_back.model",
        {"read_back": {"method": "openai_organization", "credential": {"file": "x"}, "model": "m"}},
    ),
    "a header that is none": ("answer_headers.X Y", {"answer_headers": {"X Y": "true"}}),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_read_back_that_cannot_work_is_a_fault(tmp_path: Path, fault: str) -> None:
    """Each is told with its key, before anything is asked."""
    key, keys = FAULTS[fault]
    configuration = write_configuration(tmp_path, 1, CREDENTIAL)
    read_back(configuration, 1)
    edit(configuration, "openai", **keys)

    with pytest.raises(ConfigurationError) as raised:
        load(configuration, {}, wires=PROVIDERS)
    assert key in {item.key for item in raised.value.faults}


def test_a_reading_is_of_its_account(tmp_path: Path) -> None:
    """Method, host, account and credential are what a reading is of; a new review date is not."""
    configuration = write_configuration(tmp_path, 1, CREDENTIAL)
    read_back(configuration, 1)

    def marked(**keys: Any) -> str:
        edit(configuration, "openai", **keys)
        return mark(load(configuration, {}, wires=PROVIDERS).registry.entries[ENTRY])

    first = marked()
    assert marked(review_by="2035-01-01") == first
    assert len({first, marked(account_scope={"project": "p2"}), marked(credential={"file": "secrets/other"})}) == 3
