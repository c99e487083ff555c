"""When rounds are played, and what becomes of what they find; the verb that asks a running gateway for one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.audit.record import Operator
from gateway.canary.canary import Canary
from gateway.canary.round import Parts, Result
from gateway.cli import main
from gateway.config import load
from gateway.config.settings import Canary as CanaryForm
from gateway.errors import Code
from gateway.passage import InForce
from gateway.policy.entries import Entry
from gateway.policy.halts import Halts
from gateway.simulator import CREDENTIAL
from gateway.vocabulary import vocabulary_of
from providers import PROVIDERS
from tests.configuration import write_configuration

SECOND = 1_000_000
HOUR = 3600
OPENAI = "simulated-openai"


@dataclass
class Stand:
    """A canary whose rounds are made up, and whose clock the test sets."""

    state: Path
    force: InForce
    now: int = 1_790_000_000 * SECOND
    played: list[list[str]] = field(default_factory=list)
    noted: list[Operator] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)
    halts: Halts = field(default_factory=Halts)
    results: dict[str, Result] = field(default_factory=dict)
    fault: Exception | None = None
    leads: bool = True

    def __post_init__(self) -> None:
        self.canary = Canary(
            self.parts, self.halts, self.note, lambda event, name, _word: self.told.append((event, name)),
            clock=lambda: self.now, player=self.player, leads=lambda: self.leads,
        )  # fmt: skip

    def parts(self) -> Parts:
        return cast(Parts, type("P", (), {"force": self.force, "state": self.state})())

    async def note(self, record: Operator) -> None:
        self.noted.append(record)

    async def player(self, _parts: Parts, entries: Iterable[Entry]) -> list[Result]:
        names = [entry.id for entry in entries]
        self.played.append(names)
        if self.fault is not None:
            raise self.fault
        return [self.results.get(name, Result(name, calls=3)) for name in names]

    async def after(self, seconds: float) -> int:
        """So much later it looks; how many rounds there were in all."""
        self.now += round(seconds * SECOND)
        await self.canary.look()
        return len(self.played)

    def set(self, **chosen: Any) -> None:
        """Another configuration comes into force."""
        changed = self.force.bundle.settings.model_copy(update={"canary": CanaryForm(**chosen)})
        self.force = replace(self.force, bundle=replace(self.force.bundle, settings=changed))


@pytest.fixture(scope="module")
def force(tmp_path_factory: pytest.TempPathFactory) -> InForce:
    """A configuration in force."""
    bundle = load(write_configuration(tmp_path_factory.mktemp("stand"), 1, CREDENTIAL), {}, wires=PROVIDERS)
    words = vocabulary_of(
        wires=PROVIDERS.values(), surfaces=bundle.surfaces.values(), registry=bundle.registry, tenants=bundle.tenants,
        callers=bundle.callers.services, purposes=bundle.purposes,
    )  # fmt: skip
    from gateway.audit.language import Sha  # noqa: PLC0415
    from gateway.targets import Targets  # noqa: PLC0415

    return InForce(bundle, words, Sha(bundle.digest), None, Targets(PROVIDERS), frozenset())


@pytest.fixture
def stand(tmp_path: Path, force: InForce) -> Stand:
    """One that is to play every hour."""
    made = Stand(tmp_path, force)
    made.set(every_seconds=HOUR)
    return made


async def test_it_plays_at_once_and_then_on_its_schedule(stand: Stand) -> None:
    """The first round follows the start; the next comes when the hour is over, and not before."""
    assert [await stand.after(seconds) for seconds in (0, 1, HOUR - 2, 1, 1)] == [1, 1, 1, 2, 2]
    assert stand.played[0] == ["simulated-anthropic", OPENAI]


async def test_of_several_workers_one_plays_and_the_others_follow(stand: Stand, tmp_path: Path, force: InForce) -> None:
    """A follower plays and records nothing; it stops the route that failed, and releases it, and plays once it leads."""
    other = Stand(tmp_path, stand.force, leads=False)
    stand.results = {OPENAI: Result(OPENAI, calls=1, leaked=["embeddings: leaked"])}
    await stand.after(0)
    assert await other.after(0) == 0
    assert (other.canary.well, other.canary.failing) == (False, [f"{OPENAI}: embeddings: leaked"])
    assert other.halts.code(OPENAI) is Code.PROCESSOR_NOT_ACTIVE
    stand.results = {}
    await stand.after(HOUR)
    await other.after(HOUR)
    assert (other.canary.well, other.halts.code(OPENAI), other.noted) == (True, None, [])

    other.leads = True
    assert await other.after(0) == 1


async def test_whoever_leads_next_takes_over_what_failed(stand: Stand, tmp_path: Path) -> None:
    """The route stays stopped until a round of its own finds nothing."""
    stand.results = {OPENAI: Result(OPENAI, calls=1, leaked=["embeddings: leaked"])}
    await stand.after(0)
    other = Stand(tmp_path, stand.force)
    other.results = {OPENAI: Result(OPENAI)}
    await other.after(0)
    assert other.halts.code(OPENAI) is Code.PROCESSOR_NOT_ACTIVE
    other.results = {}
    await other.after(HOUR)

    assert other.halts.code(OPENAI) is None


async def test_without_a_schedule_it_plays_when_asked(stand: Stand) -> None:
    """`every_seconds: 0` plays nothing by itself."""
    stand.set(every_seconds=0)

    assert await stand.after(10 * HOUR) == 0


async def test_another_configuration_is_tried_at_once(stand: Stand) -> None:
    """What came into force was not proved by the round before it."""
    await stand.after(0)
    from gateway.audit.language import Sha  # noqa: PLC0415

    stand.force = replace(stand.force, digest=Sha("ab" * 32))

    assert await stand.after(1) == 2


async def test_what_failed_or_was_not_proved_is_tried_again_soon(stand: Stand) -> None:
    """After a minute, not after an hour; then on the schedule again."""
    for bad in (Result(OPENAI, calls=3, leaked=["x"]), Result(OPENAI, calls=3, unproved=["x"])):
        stand.results = {OPENAI: bad}
        before = await stand.after(2 * HOUR)
        assert await stand.after(59) == before
        stand.results = {}
        assert await stand.after(1) == before + 1
        assert await stand.after(HOUR - 1) == before + 1


async def test_a_failure_stops_the_route_until_a_round_passes(stand: Stand) -> None:
    """What cannot look in between changes nothing."""
    for result, halted in (
        (Result(OPENAI, calls=1, leaked=["x"]), Code.PROCESSOR_NOT_ACTIVE),
        (Result(OPENAI, calls=1, unproved=["x"]), Code.PROCESSOR_NOT_ACTIVE),
        (Result(OPENAI, calls=1), None),
        (Result(OPENAI, calls=1, unproved=["x"]), None),
    ):
        stand.results = {OPENAI: result}
        await stand.canary.play()
        assert (stand.halts.code(OPENAI), stand.canary.well) == (halted, halted is None)
    assert [record.verdict for record in stand.noted if record.processor == OPENAI] == [
        "fail", "inconclusive", "pass", "inconclusive"
    ]  # fmt: skip


async def test_it_takes_back_no_halt_but_its_own(stand: Stand) -> None:
    """An entry that somebody else stopped stays so when its trials pass."""
    stand.halts.halt(OPENAI, Code.ATTESTATION_FAILED, "read_back")
    stand.results = {OPENAI: Result(OPENAI, calls=1, leaked=["x"])}
    await stand.canary.play()
    stand.results = {}
    await stand.canary.play()

    assert stand.halts.code(OPENAI) is Code.ATTESTATION_FAILED


async def test_an_entry_that_is_gone_keeps_nothing_red(stand: Stand) -> None:
    """Nobody can try it again, and it serves nobody."""
    stand.results = {OPENAI: Result(OPENAI, calls=1, leaked=["x"])}
    await stand.canary.play()
    assert not stand.canary.well
    registry = type(stand.force.bundle.registry)([])
    stand.force = replace(stand.force, bundle=replace(stand.force.bundle, registry=registry))
    await stand.canary.play()

    assert stand.canary.well


async def test_a_round_that_could_not_be_played_is_told_and_comes_again(stand: Stand) -> None:
    """No port, no time: nothing is proved, nothing is stopped, and a minute later it is tried again."""
    stand.fault = OSError()
    await stand.after(0)
    assert (stand.told, stand.canary.well) == ([("canary_not_played", "")], True)

    assert [await stand.after(seconds) for seconds in (59, 1)] == [1, 2]


def test_the_verb_says_that_nobody_serves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a running gateway there is nothing to prove, and that is wrong usage, not a pass."""
    configuration = write_configuration(tmp_path, 1, CREDENTIAL)

    assert main(["canary", "--wait", "0.3", "--config", str(configuration)]) == 2
    assert "no running gateway" in capsys.readouterr().err
    assert main(["canary", "nobody", "--config", str(configuration)]) == 2
