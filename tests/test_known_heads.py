"""A caller whose head is known is asked all that changes: whether its key is good, what is in force, what its body says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from gateway.caller_keys import KeyFile
from gateway.heads import Known
from gateway.keys import caller_key_id
from gateway.passage import Said
from gateway.simulator import Simulator
from tests.configuration import ALL_GRANTS, CALLER, EUROPEAN, MANY, PURPOSE, TENANT, issue_key
from tests.conftest import Gateway
from tests.houses import UNSCANNED, house, records, settings, unaccounted
from tests.raw_http import Connection, request

PROMPTLY = 1.5
"""Seconds until a key that was revoked by another process must be refused."""


@pytest.fixture
async def gateway(simulator: Simulator, tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway whose configuration the test edits."""
    async with house(simulator, tmp_path, settings(limits={"body_bytes": 20_000}, **UNSCANNED)) as running:
        yield running


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """For each request whose head was known, whether anything had been learnt of it."""
    seen = list[bool]()
    body = Known.body

    def spied(head: Known, data: bytes) -> bytes | None:
        if (found := body(head, data)) is not None:
            seen.append(isinstance(head.said, Said))
        return found

    monkeypatch.setattr(Known, "body", spied)
    yield seen


def asked(key: str, text: str = "Hello", /, **headers: str) -> bytes:
    """A chat completion."""
    document = {"model": "gpt-simulated", "messages": [{"role": "user", "content": text}]}
    lines = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", **headers}
    return request("POST", "/v1/chat/completions", lines.items(), json.dumps(document).encode())


async def test_what_is_answered_does_not_tell_whether_the_head_was_known(
    gateway: Gateway, simulator: Simulator, known: list[bool]
) -> None:
    """Each has an answer, a call id and records of its own, and what left is its own body."""
    texts = ["one", "another", "a third that is longer", "one"]
    async with Connection(gateway.application.port) as connection:
        answers = [await connection.ask(asked(gateway.key, text)) for text in texts]

    assert known == [True] * 3
    assert [answer.status for answer in answers] == [200] * 4
    assert [arrival.document["messages"] for arrival in simulator.arrivals] == [
        [{"role": "user", "content": text}] for text in texts
    ]
    ids = [answer.header("x-gateway-call-id") for answer in answers]
    lines = records(gateway.state)
    assert [line["call"] for line in lines if line["kind"] == "intent"] == ids
    assert len(set(ids)) == 4
    assert unaccounted(lines) == []


async def test_a_revoked_key_is_refused_under_a_known_head(gateway: Gateway, known: list[bool]) -> None:
    """As promptly as under any other, and the connection's head is not what lets it in."""
    key = issue_key(gateway.state, CALLER)
    key_id = caller_key_id(key)
    assert key_id is not None
    loop = asyncio.get_running_loop()
    async with Connection(gateway.application.port) as connection, asyncio.timeout(10):
        while (await connection.ask(asked(key))).status != 200:
            await asyncio.sleep(0.05)  # another process's key: there is no event to wait for
        assert (await connection.ask(asked(key))).status == 200
        KeyFile(gateway.state).revoke(key_id, datetime.now(UTC))
        began = loop.time()
        while (answer := await connection.ask(asked(key))).status == 200:
            await asyncio.sleep(0.05)

    assert answer.code == "unauthenticated"
    assert loop.time() - began < PROMPTLY
    assert all(known)


async def test_a_strangers_head_is_not_known(gateway: Gateway, known: list[bool]) -> None:
    """Nothing is kept for who showed no good key: each of its requests is read and refused as the first."""
    async with Connection(gateway.application.port) as connection:
        answers = [await connection.ask(asked("zrg_" + "0" * 16 + "_" + "0" * 49)) for _ in range(3)]

    assert {(answer.status, answer.code) for answer in answers} == {(401, "unauthenticated")}
    assert known == []


async def test_a_known_head_is_judged_by_what_is_in_force(gateway: Gateway, known: list[bool]) -> None:
    """After a reload nothing is taken from before it: neither the processor, nor the policy, nor the names of the host."""
    path = gateway.configuration / "processors" / "simulated-openai.yaml"
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    async with Connection(gateway.application.port) as connection:
        before = [await connection.ask(asked(gateway.key)) for _ in range(2)]
        path.write_text(json.dumps({**tree, "suspended": True}), encoding="utf-8")
        assert await gateway.application.reload()
        after = [await connection.ask(asked(gateway.key)) for _ in range(2)]

    assert [answer.status for answer in before] == [200, 200]
    assert [(answer.status, answer.code) for answer in after] == [(403, "processor_not_active")] * 2
    assert len({answer.header("x-gateway-policy") for answer in (*before, *after)}) == 2
    assert known == [True] * 3


async def test_callers_that_share_a_connection_are_told_apart(gateway: Gateway) -> None:
    """By a balancer, say: each call is its own caller's and tenant's, whatever was known before it."""
    many = issue_key(gateway.state, MANY)
    whose = [(CALLER, TENANT), (ALL_GRANTS, TENANT), (MANY, TENANT), (MANY, EUROPEAN)]
    keys = [gateway.key, gateway.granted_key, many, many]
    turns = [0, 0, 1, 1, 0, 2, 2, 3, 3, 2, 1, 0]
    data = [
        asked(key, **{"x-gateway-tenant": tenant, "x-gateway-purpose": PURPOSE})
        for key, (_caller, tenant) in zip(keys, whose, strict=True)
    ]
    async with Connection(gateway.application.port) as connection, asyncio.timeout(10):
        while (await connection.ask(data[2])).status == 401:
            await asyncio.sleep(0.05)  # another process's key: there is no event to wait for
        said = [await connection.ask(data[turn]) for turn in turns]

    recorded = {line["call"]: line for line in records(gateway.state) if line["kind"] in {"intent", "refusal"}}
    told = [recorded[answer.header("x-gateway-call-id")] for answer in said]
    assert [(line["caller"], line["tenant"]) for line in told] == [whose[turn] for turn in turns]


async def test_a_known_head_takes_no_larger_body(gateway: Gateway, simulator: Simulator, known: list[bool]) -> None:
    """The length that counts is the body's own, and not the one that the head told first."""
    async with Connection(gateway.application.port) as connection:
        small = await connection.ask(asked(gateway.key))
        answer = await connection.ask(asked(gateway.key, "x" * 20_000))
        ended = await connection.ended()

    assert (small.status, answer.status, answer.code, ended) == (200, 413, "body_too_large", True)
    assert known == [True]
    assert len(simulator.arrivals) == 1


async def test_two_at_once_are_two_under_a_known_head(gateway: Gateway, simulator: Simulator) -> None:
    """The second is not part of the first, and both are answered in their order."""
    first, second = asked(gateway.key, "first"), asked(gateway.key, "second one")
    async with Connection(gateway.application.port) as connection:
        assert (await connection.ask(first)).status == 200
        await connection.send(first + second)
        both = [await connection.answer(), await connection.answer()]

    assert [answer.status for answer in both] == [200, 200]
    assert [arrival.document["messages"][0]["content"] for arrival in simulator.arrivals] == [
        *("first", "first", "second one")
    ]


@pytest.mark.parametrize("behind", [b"{}", b"\0", b"GET "], ids=["a body", "a zero", "half a request"])
async def test_what_is_left_over_is_no_part_of_a_known_request(
    gateway: Gateway, simulator: Simulator, behind: bytes
) -> None:
    """What stands behind the body is read as what it is: another request, or nothing that is one."""
    data = asked(gateway.key)
    async with Connection(gateway.application.port) as connection:
        assert (await connection.ask(data)).status == 200
        answer = await connection.ask(data + behind)

    assert answer.status == (200 if behind == b"GET " else 400)
    assert {arrival.body for arrival in simulator.arrivals} == {simulator.arrivals[0].body}
