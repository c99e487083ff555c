"""What is taken by a collector, and what is not: an OTLP endpoint and syslog servers, each failing in its own ways."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from gateway import collectors
from gateway.audit.export import Record
from gateway.collectors import Collector, NotTaken, collector
from gateway.config import Bundle, load, secrets
from gateway.errors import ConfigurationError
from providers import PROVIDERS
from tests.configuration import write_configuration
from tests.gateway.collecting import Taken, otlp_endpoint, syslog_server

SECRET = "siem-secret-4711"


def records(count: int, first: int = 0) -> list[Record]:
    """Records of a log."""
    return [
        {"log": "log.example/eu", "index": first + at, "leaf": "ab" * 32, "kind": "outcome", "result": "completed"}
        for at in range(count)
    ]


def described(folder: Path, *items: dict[str, object]) -> Bundle:
    """A configuration with these collectors."""
    directory = write_configuration(folder, 9, "sk-simulated", settings={"collectors": list(items)})
    (directory / "secrets" / "siem").write_text(SECRET + "\n", encoding="ascii")
    return load(directory, {}, wires=PROVIDERS)


def made(folder: Path, **item: object) -> Collector:
    """The one collector of such a configuration."""
    bundle = described(folder, {"name": "siem", **item})
    return collector(bundle, bundle.settings.collectors[0])


async def _sent(there: Collector, batch: list[Record]) -> NotTaken | None:
    try:
        await there.send(batch)
    except NotTaken as fault:
        return fault
    else:
        return None


async def test_an_endpoint_is_sent_records_and_a_secret_that_rotates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One POST of JSON a batch, with the configured headers, each read from its file when it is sent."""
    async with otlp_endpoint() as (url, taken):
        headers = {"authorization": {"file": "secrets/siem"}, "x-team": {"file": "secrets/siem"}}
        there = made(tmp_path, url=url, headers=headers)
        await there.send(records(3))
        rotated = tmp_path / "config" / "secrets" / "siem"
        rotated.with_name("new").write_text("another-secret", encoding="ascii")
        rotated.with_name("new").replace(rotated)
        monkeypatch.setattr(secrets, "LOOK_AGAIN_SECONDS", 0.0)
        await there.send(records(2, first=3))
        await there.close()

    assert taken.indices == [0, 1, 2, 3, 4]
    assert taken.headers[0]["Authorization"] == f"Bearer {SECRET}"
    assert taken.headers[0]["x-team"] == SECRET
    assert taken.headers[0]["Content-Type"] == "application/json"
    assert taken.headers[1]["Authorization"] == "Bearer another-secret"


@pytest.mark.parametrize(
    ("how", "after"),
    [("busy", 7.0), ("no", None), ("hang up", 0.0), ("take and hang up", 0.0), ("partly", None)],
    ids=["busy, and says until when", "refuses", "hangs up", "takes it and hangs up", "takes a part for good"],
)
async def test_an_answer_that_does_not_say_all_is_there_is_none(tmp_path: Path, how: str, after: float | None) -> None:
    """Which of them may come again, and when, is as the OTLP specification has it."""
    async with otlp_endpoint() as (url, taken):
        taken.script.append(how)
        there = made(tmp_path, url=url)
        fault = await _sent(there, records(3))
        again = await _sent(there, records(3))
        await there.close()

    assert fault is not None
    assert fault.after == after
    assert again is None


async def test_a_secret_that_cannot_be_read_sends_nothing(tmp_path: Path) -> None:
    """It is not sent without."""
    async with otlp_endpoint() as (url, taken):
        there = made(tmp_path, url=url, headers={"authorization": {"file": "secrets/none"}})
        fault = await _sent(there, records(1))
        await there.close()

    assert fault is not None
    assert taken.batches == 0


@pytest.mark.parametrize(
    "how", ["half", "drop", "deaf", "shut"], ids=["goes away", "is gone", "does not read", "ends its side unread"]
)
@pytest.mark.parametrize("count", [20, 1024], ids=["a few", "a batch"])
async def test_a_syslog_server_that_did_not_read_all_took_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, count: int
) -> None:
    """However it ends: in order and early, at once, or never."""
    monkeypatch.setattr(collectors, "SECONDS", 0.5)
    with syslog_server(script=(how,)) as (port, taken):
        there = made(tmp_path, url=f"tcp://127.0.0.1:{port}")
        fault = await _sent(there, records(count))
        again = await _sent(there, records(count))

    assert fault is not None
    assert fault.after == 0.0
    assert again is None
    assert taken.indices[-count:] == list(range(count))


async def test_no_server_at_all_took_nothing(tmp_path: Path) -> None:
    """A refused connection is no answer."""
    with syslog_server() as (port, _taken):
        pass

    assert await _sent(made(tmp_path, url=f"tcp://127.0.0.1:{port}"), records(1)) is not None


@contextmanager
def _authorities(folder: Path) -> Iterator[tuple[trustme.CA, ssl.SSLContext, dict[str, object]]]:
    """An authority, a server's context that asks for our certificate, and our side of it in gateway.yaml."""
    folder.mkdir(exist_ok=True)
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    ours = authority.issue_cert("gateway.example")
    authority.cert_pem.write_to_path(folder / "roots.pem")
    ours.private_key_pem.write_to_path(folder / "ours.key")
    ours.cert_chain_pems[0].write_to_path(folder / "ours.pem")
    tls = {"certificate": str(folder / "ours.pem"), "private_key": str(folder / "ours.key")}
    yield authority, context, {"authorities": str(folder / "roots.pem"), "tls": tls}


async def test_syslog_goes_over_tls_with_both_sides_named(tmp_path: Path) -> None:
    """The server is verified, asks for our certificate, and ends TLS by its own word before a batch counts."""
    with _authorities(tmp_path) as (_authority, context, ours), syslog_server(context) as (port, taken):
        there = made(tmp_path, url=f"tls://localhost:{port}", **ours)
        await there.send(records(1024))
        await there.send(records(3, first=1024))

    assert taken.indices == list(range(1027))
    assert taken.batches == 2


@pytest.mark.parametrize("how", ["half", "drop"], ids=["goes away", "is gone"])
async def test_a_tls_server_that_did_not_read_all_took_nothing(tmp_path: Path, how: str) -> None:
    """Its own word at the end is worth nothing where it did not read."""
    with _authorities(tmp_path) as (_authority, context, ours), syslog_server(context, (how,)) as (port, taken):
        there = made(tmp_path, url=f"tls://localhost:{port}", **ours)
        fault = await _sent(there, records(1024))
        again = await _sent(there, records(1024))

    assert fault is not None
    assert again is None
    assert taken.batches == 2


async def test_a_tls_server_that_ends_without_a_word_took_nothing(tmp_path: Path) -> None:
    """An end that anybody on the way could have made is none (RFC 5425 section 4.4)."""
    with (
        _authorities(tmp_path) as (_authority, context, ours),
        syslog_server(context, ("mute",)) as (port, taken),
    ):
        fault = await _sent(made(tmp_path, url=f"tls://localhost:{port}", **ours), records(5))

    assert fault is not None
    assert taken.indices == list(range(5))


async def test_another_servers_certificate_is_refused(tmp_path: Path) -> None:
    """Nothing is sent to whoever answers at the address."""
    with _authorities(tmp_path) as (_authority, _context, ours):
        stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("localhost").configure_cert(stranger)
        with syslog_server(stranger) as (port, taken):
            fault = await _sent(made(tmp_path, url=f"tls://localhost:{port}", **ours), records(1))

    assert fault is not None
    assert taken.messages == Taken().messages


@pytest.mark.parametrize(
    ("item", "key"),
    [
        ({"name": "siem", "url": "tcp://10.0.0.7:601"}, "url"),
        ({"name": "siem", "url": "http://collector.example/v1/logs"}, "url"),
        ({"name": "siem", "url": "udp://127.0.0.1:514"}, "url"),
        ({"name": "siem", "url": "tls://siem.example"}, "url"),
        ({"name": "../siem", "url": "tls://siem.example:6514"}, "name"),
        ({"name": "siem", "url": "tls://siem.example:6514", "headers": {"x-key": {"file": "k"}}}, "headers"),
        ({"name": "siem", "url": "https://x.example/v1/logs", "headers": {"host": {"file": "k"}}}, "headers"),
    ],
    ids=["plain off this machine", "plain http", "udp", "no port", "a path", "headers of syslog", "a framing header"],
)
def test_a_collector_that_cannot_be_is_a_fault(tmp_path: Path, item: dict[str, object], key: str) -> None:
    """Each is told with its key."""
    with pytest.raises(ConfigurationError) as raised:
        described(tmp_path, item)

    assert any(key in str(fault) for fault in raised.value.faults)


def test_two_collectors_of_one_name_are_a_fault(tmp_path: Path) -> None:
    """How far each is goes by its name."""
    one: dict[str, object] = {"name": "siem", "url": "tls://siem.example:6514"}
    with pytest.raises(ConfigurationError):
        described(tmp_path, one, one)
