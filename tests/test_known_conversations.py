"""What official clients write of a conversation is known again: answers are appended as they came, and all is sent anew."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest
import pytest_asyncio

import gateway.relay
import gateway.steps
from gateway.exchange import Beginning, Call
from gateway.simulator import Simulator
from tests.conftest import Gateway
from tests.houses import house, settings

pytestmark = pytest.mark.asyncio(loop_scope="module")

TALK = 'Zo\u00eb said: "We went through the renewal", and who owns it on their side.\n' * 80
QUESTIONS = ("What went well?", "Who decides?", "And what is missing?")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(lasting_simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """A gateway that cleans."""
    async with house(lasting_simulator, tmp_path_factory.mktemp("known"), settings()) as gateway:
        yield gateway


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> list[Beginning | None]:
    """What was known of each call."""
    read, found = gateway.steps.read_call, list[Beginning | None]()

    def noted(*told: Any) -> Call:
        call = read(*told)
        found.append(call.beginning)
        return call

    monkeypatch.setattr(gateway.relay, "read_call", noted)
    return found


def _counts(known: list[Beginning | None]) -> list[int]:
    return [0 if one is None else one.count for one in known]


async def test_chat_of_the_openai_client(running: Gateway, known: list[Beginning | None]) -> None:
    """Each answer's message is appended as the client gives it."""
    client = openai.AsyncOpenAI(base_url=f"{running.url}/v1", api_key=running.key, max_retries=0)
    said: list[Any] = [{"role": "system", "content": "Coach."}, {"role": "user", "content": TALK}]
    async with client:
        for question in QUESTIONS:
            said.append({"role": "user", "content": question})
            answer = await client.chat.completions.create(model="gpt-simulated", messages=said, temperature=0.2)
            said.append(answer.choices[0].message)

    assert _counts(known) == [0, 3, 5]


async def test_responses_of_the_openai_client(running: Gateway, known: list[Beginning | None]) -> None:
    client = openai.AsyncOpenAI(base_url=f"{running.url}/v1", api_key=running.key, max_retries=0)
    said: list[Any] = [{"role": "user", "content": TALK}]
    async with client:
        for question in QUESTIONS:
            said.append({"role": "user", "content": question})
            answer = await client.responses.create(
                model="gpt-simulated", input=said, instructions="Coach.", store=False
            )
            said += answer.output

    assert _counts(known) == [0, 2, 4]


async def test_messages_of_the_anthropic_client(running: Gateway, known: list[Beginning | None]) -> None:
    client = anthropic.AsyncAnthropic(base_url=running.url, api_key=running.key, max_retries=0)
    said: list[Any] = [{"role": "user", "content": TALK}, {"role": "assistant", "content": "I see."}]
    async with client:
        for question in QUESTIONS:
            said.append({"role": "user", "content": question})
            answer = await client.messages.create(
                model="claude-simulated", max_tokens=64, system="Coach.", messages=said
            )
            said.append({"role": "assistant", "content": answer.content})

    assert _counts(known) == [0, 3, 5]


async def test_a_talk_that_is_coached_while_it_goes_on(running: Gateway, known: list[Beginning | None]) -> None:
    client = openai.AsyncOpenAI(base_url=f"{running.url}/v1", api_key=running.key, max_retries=0)
    async with client:
        for number in range(3):
            talk = TALK + TALK[:400] * number
            said: list[Any] = [{"role": "system", "content": "Coach."}, {"role": "user", "content": talk}]
            stream = await client.chat.completions.create(model="gpt-simulated", messages=said, stream=True)
            assert [chunk async for chunk in stream]

    assert known[0] is None
    assert [one is not None and one.part is not None for one in known[1:]] == [True, True]
