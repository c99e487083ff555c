"""Time stamps: fetched when due, kept and recorded; what they bound is checked offline, and a failure costs nothing."""

from __future__ import annotations

import asyncio
import io
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import openai
import pytest
from msgspec.structs import replace

from gateway.anchoring import Anchoring
from gateway.app import Application
from gateway.audit import verify
from gateway.audit.evidence import open_evidence
from gateway.audit.journal import unavailable
from gateway.audit.language import Sha
from gateway.audit.record import Operator
from gateway.audit.report import Period, build
from gateway.audit.retention.restoring import adopt, reapply
from gateway.audit.stamping import NotStamped, Question
from gateway.audit.stamps import FOLDER, Stamp, keep_roots, keep_stamp, kept_stamps, last_stamped
from gateway.audit.tiles import Tiles
from gateway.audit.words import Act
from gateway.config.settings import TimeStamps
from gateway.errors import Unavailable
from gateway.keys import KeyFault, Keyring, read_certificates
from gateway.outside import Outside, Unreached
from gateway.simulator import CREDENTIAL, Simulator
from gateway.simulator.small import OPENAI_MODELS
from tests.configuration import issue_key, write_configuration
from tests.gateway.audit.forgeries import failed
from tests.gateway.audit.logs import DAY, SECOND
from tests.gateway.audit.retention.states import State
from tests.gateway.stamps import Authority, certificate, der, integer, make_key, oid

HOUR = 3_600_000_000


@asynccontextmanager
async def anchored(
    state: State, authority: Authority, roots: bytes | None = None
) -> AsyncIterator[tuple[Anchoring, list[str]]]:
    """The fetching of tokens for a state, from an authority that serves; what it told."""
    told: list[str] = []
    outside = Outside([authority.url])
    pem = authority.roots if roots is None else roots
    keep_roots(state.directory / "log", pem)
    settings = TimeStamps(url=authority.url, roots="roots.pem", every_hours=24)
    try:
        yield (
            Anchoring(
                state.directory / "log",
                state.keyring.log_key(),
                settings,
                read_certificates(pem),
                outside,
                state.ledger.note,
                told.append,
                lambda: state.time,
            ),
            told,
        )
    finally:
        await outside.close()


def checked(
    state: State, roots: str | None = None, since: int | None = None, until: int | None = None
) -> verify.Verification:
    """The assertions over a period of the state, by an auditor who trusts those roots."""
    with state.evidence(since, until) as evidence:
        return verify.verify(evidence, state.policy(), roots=roots)


async def lived(state: State, authority: Authority, days: int = 3) -> None:
    """Some days with calls, each of them stamped."""
    async with authority.serve(), state.open(), anchored(state, authority) as (anchoring, told):
        for _ in range(days):
            await state.live(2)
            assert await anchoring.look() is not None
            state.order()
            await state.live(1)
            state.days(1)
        assert told == []


def run_in(directory: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    """A program, to its end."""
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("kind", "digest"), [("rsa", "sha256"), ("p256", "sha256"), ("p384", "sha384")])
async def test_a_day_has_a_token_and_a_pack_shows_it(tmp_path: Path, kind: str, digest: str) -> None:
    """It is fetched once a day, kept, recorded, packed; the file in the pack checks it against the auditor's roots."""
    state = State(tmp_path / "state")
    authority = Authority(lambda: state.time, kind, digest)
    await lived(state, authority)
    kept = kept_stamps(state.directory / "log")
    assert [each.size for each in kept] == sorted({each.size for each in kept})
    assert authority.asked == len(kept) == 3

    run = checked(state, authority.roots.decode())
    assert (failed(run), run.totals["operator"]) == (set(), run.totals["boots"] + 1 + 3)
    assert failed(checked(state, _other_root().decode())) == {"A3"}
    assert run.a["A3"].checked == 6
    assert any("revoked" in note for note in run.a["A3"].notes)
    with state.evidence() as evidence:
        built = build(evidence, state.keyring, tmp_path / "pack.zip", Period(), state.time)
    assert built.failed == ()
    with zipfile.ZipFile(tmp_path / "pack.zip") as opened:
        (tmp_path / "zr_verify.py").write_bytes(opened.read("verify/zr_verify.py"))
        members = [name for name in opened.namelist() if name.endswith(".tsr")]
        for name in (members[0], members[0].replace(".tsr", ".note")):
            (tmp_path / Path(name).name).write_bytes(opened.read(name))
    assert len(members) == 3
    (tmp_path / "roots.pem").write_bytes(authority.roots)
    command = [sys.executable, "-I", "zr_verify.py", "pack.zip", "--tsa-roots", "roots.pem"]
    ran = run_in(tmp_path, command)
    assert (ran.returncode, ran.stdout.count(" PASS ")) == (0, 14), ran.stdout
    stem = Path(members[0]).stem
    asked = ["openssl", "ts", "-verify", "-in", f"{stem}.tsr", "-data", f"{stem}.note", "-CAfile", "roots.pem"]
    second = run_in(tmp_path, asked)
    assert "Verification: OK" in second.stdout, second.stderr


async def test_tokens_bound_the_period_from_both_sides(tmp_path: Path) -> None:
    """One over B or later says when B was there; the last one before A says that nothing after it is older."""
    state = State(tmp_path / "state")
    authority = Authority(lambda: state.time)
    began = state.time
    await lived(state, authority, days=4)

    run = checked(state, authority.roots.decode(), began + DAY + HOUR, began + 2 * DAY)
    assert failed(run) == set()
    assert run._stamped_at > began + DAY - HOUR  # out of the record before A, proved under B
    assert any("says that B was there" in note for note in run.a["A3"].notes)
    with state.evidence(began + DAY + HOUR, began + 2 * DAY) as evidence:
        places = [path is None for _note, _answer, path in evidence.stamps]
        assert places == [False, True, False]
        evidence.stamps = [(note, answer, path and path[:-1]) for note, answer, path in evidence.stamps]
        run = verify.verify(evidence, state.policy(), roots=authority.roots.decode())
    assert failed(run) == {"A3"}


async def test_a_clock_that_was_wrong_is_shown(tmp_path: Path) -> None:
    """Records dated after a token that is over them, or before one that they follow, do not pass."""
    for by in (-3 * HOUR, 3 * HOUR):
        state = State(tmp_path / f"state{by}")
        authority = Authority(lambda: state.time + by)  # noqa: B023
        async with authority.serve(), state.open(), anchored(state, authority) as (anchoring, told):
            await state.live(2)
            assert await anchoring.look() is not None
            await state.live(2)
        assert told == ["time stamps: the authority's clock and ours differ by more than a minute"]
        run = checked(state)
        assert failed(run) == {"A3"}
        assert ("older than a time-stamp token" if by > 0 else "was made before") in str(run.a["A3"].first)


def _other_root() -> bytes:
    return Authority(lambda: 0).roots


def _silent(authority: Authority) -> None:
    authority.silent = True


def _of_elsewhere(authority: Authority) -> None:
    authority.stamp = lambda _question: Authority(authority.now).stamp(Question("another note\n").written)  # type: ignore[method-assign]


def _says(answer: bytes) -> Callable[[Authority], None]:
    def change(authority: Authority) -> None:
        authority.answer = answer

    return change


def _spoils(name: str, value: bytes) -> Callable[[Authority], None]:
    def change(authority: Authority) -> None:
        authority.spoil = lambda parts: parts.update({name: value})

    return change


def _under(**leaf: object) -> Callable[[Authority], None]:
    def change(authority: Authority) -> None:
        authority.leaf = leaf
        roots = authority.root, authority._root_key
        authority.certificate = certificate("Test Stamps", authority._key, roots, authority=False, **leaf)

    return change


def _by_another_key(authority: Authority) -> None:
    authority._key = make_key(authority.kind)


_IMPRINT = der(0x30, der(0x30, oid("2.16.840.1.101.3.4.2.1"), der(5)), der(4, bytes(32)))
BAD = {
    "it does not answer": _silent,
    "it says nothing": _says(b""),
    "it says something else": _says(b"<html>"),
    "it refuses": _says(der(0x30, der(0x30, integer(2)))),
    "over another digest": _spoils("imprint", _IMPRINT),
    "to another question": _spoils("nonce", integer(7)),
    "to no question": _spoils("nonce", b""),
    "a token of elsewhere": _of_elsewhere,
    "its certificate has ended": _under(until=datetime(2021, 1, 1, tzinfo=UTC)),
    "its certificate is for anything": _under(usage=False),
    "its certificate's use is not critical": _under(critical=False),
    "signed by another key": _by_another_key,
}


@pytest.mark.parametrize("name", BAD)
async def test_what_is_no_token_is_neither_kept_nor_recorded(tmp_path: Path, name: str) -> None:
    """Whatever an authority says instead: it is told, the next look asks again, and calls go on."""
    state = State(tmp_path / "state")
    authority = Authority(lambda: state.time)
    BAD[name](authority)
    async with authority.serve(), state.open(), anchored(state, authority) as (anchoring, _):
        await state.live(1)
        for _ in range(2):
            with pytest.raises((NotStamped, Unreached)):
                await anchoring.look()
        await state.live(1)
        assert authority.asked == 2
        assert kept_stamps(state.directory / "log") == []
    run = checked(state)
    assert (failed(run), run.totals["operator"]) == (set(), 2)
    assert failed(checked(state, authority.roots.decode())) == {"A3"}  # who asks for one is told that there is none


async def test_an_authority_that_the_operator_does_not_trust_gives_nothing(tmp_path: Path) -> None:
    """The chain must lead to a root of `log.time_stamps.roots`."""
    state = State(tmp_path / "state")
    authority = Authority(lambda: state.time)
    async with authority.serve(), state.open(), anchored(state, authority, _other_root()) as (anchoring, _):
        await state.live(1)
        with pytest.raises(NotStamped):
            await anchoring.look()


async def stamped(state: State, authority: Authority) -> Stamp:
    """A checkpoint, stamped by whoever, kept and recorded without another look at the token."""
    await state.live(2)
    with state.log_read() as log:
        signed = log.latest()
    assert signed is not None
    answer = authority.stamp(Question(signed.note).written)
    made = Stamp(signed.note, answer, authority.now() // SECOND * SECOND, signed.size)
    keep_stamp(state.directory / "log", made)
    await state.ledger.note(made.act(state.tick()))
    await state.live(1)
    return made


async def test_tokens_outlive_the_disk(tmp_path: Path) -> None:
    """They are published with the log, and a restored state takes back those that the log names, and no others."""
    state, tiles = State(tmp_path / "state"), tmp_path / "tiles"
    authority = Authority(lambda: state.time)
    async with state.open():
        before = await stamped(state, authority)
        await state.journal.truncate()
        shutil.copytree(state.directory, tmp_path / "backup")
        await state.live(1)
        after = await stamped(state, authority)
        state.order()
    with state.log_read() as log:
        Tiles(tiles).publish(log)
    stray = Stamp(after.note, authority.stamp(Question("another note\n").written), after.time + SECOND, after.size)
    keep_stamp(tiles, stray)
    shutil.rmtree(state.directory)
    shutil.copytree(tmp_path / "backup", state.directory)
    state.keyring = Keyring.open(state.directory / "keys")
    assert [each.digest for each in kept_stamps(state.directory / "log")] == [before.digest]

    reapply(state.directory, state.keyring, state.guard)
    lost = adopt(state.directory, state.keyring, state.guard, tiles, state.time)

    assert lost is not None
    assert [each.digest for each in kept_stamps(state.directory / "log")] == [before.digest, after.digest]
    async with state.open():
        await state.ledger.note(lost.act(state.tick()))
        state.order()
    run = checked(state, authority.roots.decode())
    assert {name: run.a[name].first for name in failed(run)} == {}
    assert not any("may have been lost" in note for note in run.a["A3"].notes)
    (state.directory / "log" / FOLDER / after.file).unlink()
    assert any("may have been lost" in note for note in checked(state, authority.roots.decode()).a["A3"].notes)


@pytest.mark.parametrize("name", [name for name in BAD if name.startswith(("over", "a token", "its", "signed"))])
async def test_the_verifier_does_not_take_the_gateways_word(tmp_path: Path, name: str) -> None:
    """A bad token that the gateway kept and recorded all the same fails A3 by the file's own reading of it."""
    state = State(tmp_path / "state")
    authority = Authority(lambda: state.time)
    BAD[name](authority)
    async with state.open():
        await stamped(state, authority)

    assert failed(checked(state, authority.roots.decode())) == {"A3"}


async def test_a_record_must_say_what_its_token_does(tmp_path: Path) -> None:
    """A record of another size, checkpoint, hour or token than the one that is there, and a token that is gone."""
    for change in ({"count": 3}, {"parent": Sha("ab" * 32)}, {"start": 5}, {"document": Sha("cd" * 32)}, None):
        state = State(tmp_path / f"state-{change and next(iter(change))}")
        authority = Authority(lambda: state.time)  # noqa: B023
        async with state.open():
            made = await stamped(state, authority)
            if change is not None:
                await state.ledger.note(replace(made.act(state.tick()), **change))
        assert failed(checked(state, authority.roots.decode())) == ({"A3"} if change else set())
        if change is None:
            (state.directory / "log" / "anchors").rename(state.directory / "elsewhere")
            run = checked(state)
            assert failed(run) == {"A3"}
            assert "not here" in str(run.a["A3"].first)


async def test_no_bytes_break_the_reading_of_a_token(tmp_path: Path) -> None:
    """A token with any byte changed, or cut anywhere, is refused, or says the same as before; nothing else is raised."""
    authority = Authority(lambda: 1_795_000_000_000_000)
    roots = verify.read_roots(authority.roots.decode())
    good = authority.stamp(Question("a note\n").written)
    verify.Token(good).check(roots)
    for at in range(0, len(good), 3):
        for bad in (good[:at], good[:at] + bytes([good[at] ^ (1 << at % 8)]) + good[at + 1 :]):
            try:
                token = verify.Token(bad)
                token.check(roots)
            except verify.NotVerified:
                continue
            assert token.is_over(b"a note\n")
            assert token.time == 1_795_000_000_000_000
    for pem in ("", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        with pytest.raises(verify.NotVerified):
            verify.read_roots(pem)
        with pytest.raises(KeyFault):
            read_certificates(pem.encode())


async def test_a_record_that_could_not_be_written_is_written_later(tmp_path: Path) -> None:
    """The token is kept; while the journal refuses, no second one is fetched, and then the record follows."""
    state = State(tmp_path / "state")
    authority = Authority(lambda: state.time)
    async with authority.serve(), state.open(), anchored(state, authority) as (anchoring, _):
        await state.live(1)
        acts: list[Operator] = []

        async def refuses(_act: Operator) -> None:
            raise unavailable()

        async def notes(act: Operator) -> None:
            acts.append(act)

        anchoring._note = refuses
        for _ in range(2):
            with pytest.raises(Unavailable):
                await anchoring.look()
        anchoring._note = notes
        assert await anchoring.look() is None
        assert await anchoring.look() is None
        assert (authority.asked, [act.act for act in acts]) == (1, [Act.ANCHOR])
        assert not anchoring.late
        state.days(3)
        assert anchoring.late


async def test_a_token_that_is_being_kept_at_the_end_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway ends while the disk takes the token: it is kept, so it is recorded with what is recorded last."""
    began, go_on = threading.Event(), threading.Event()

    def slowly(log: Path, stamp: Stamp) -> None:
        began.set()
        go_on.wait(20)
        keep_stamp(log, stamp)

    monkeypatch.setattr("gateway.anchoring.keep_stamp", slowly)
    state = State(tmp_path / "state")
    authority = Authority(lambda: state.time)
    acts: list[Operator] = []

    async def notes(act: Operator) -> None:
        acts.append(act)

    async with authority.serve(), state.open(), anchored(state, authority) as (anchoring, _told):
        await state.live(1)
        anchoring._note = notes
        looking = asyncio.get_running_loop().create_task(anchoring.look())
        await asyncio.to_thread(began.wait, 20)
        looking.cancel()
        asyncio.get_running_loop().call_later(0.1, go_on.set)
        with pytest.raises(asyncio.CancelledError):
            await looking
        await anchoring.record()

    assert [act.act for act in acts] == [Act.ANCHOR]


async def test_the_gateway_serves_whatever_its_authority_does(simulator: Simulator, tmp_path: Path) -> None:
    """Configured, it fetches one as soon as there is a log; silent, or with roots that are none, calls go on all the same."""
    authority = Authority(lambda: time.time_ns() // 1000)
    roots = tmp_path / "roots.pem"
    roots.write_bytes(authority.roots)
    async with authority.serve():
        settings: dict[str, object] = {
            "log": {"time_stamps": {"url": authority.url, "roots": str(roots)}},
            "redaction": {"unsafe_redaction_off": True},  # which takes seconds to start
        }
        directory = write_configuration(tmp_path, simulator.port, CREDENTIAL, settings=settings)
        key = issue_key(tmp_path / "state")
        for silent, certificates in ((True, True), (False, True), (False, False)):
            authority.silent = silent
            roots.write_bytes(authority.roots if certificates else b"nothing")
            application = Application(directory, tmp_path / "state", stream=io.BytesIO())
            await application.start()
            try:
                async with openai.AsyncOpenAI(
                    base_url=f"http://127.0.0.1:{application.port}/v1", api_key=key, max_retries=0
                ) as client:
                    ask = [{"role": "user", "content": "Summarise the call."}]
                    await client.chat.completions.create(model=OPENAI_MODELS[0], messages=ask)  # type: ignore[call-overload]
                assert any("time-stamp" in each for each in application._warnings()) is not certificates
                if silent:
                    await until(lambda made=application: made._sequencing.size > 0)  # type: ignore[misc]
                elif certificates:
                    await until(lambda: last_stamped(tmp_path / "state" / "log") is not None)
            finally:
                await application.stop()
    keyring = Keyring.open(tmp_path / "state" / "keys")
    with open_evidence(tmp_path / "state", keyring) as evidence:
        run = verify.verify(evidence, verify.Policy(evidence.policy(keyring)), roots=authority.roots.decode())
    assert failed(run) == set()
    assert run.a["A3"].checked in {2, 3}  # its record, which an end may cut off, is made again then


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so that nothing tells of."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.05)
