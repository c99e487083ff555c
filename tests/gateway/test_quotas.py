"""What callers, tenants and processors may use: counted in this process, and as a client sees it."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import openai
import pytest

from gateway.app import Application
from gateway.config import load
from gateway.errors import Code, ConfigurationError
from gateway.quotas import NO_QUOTAS, UNBOUNDED, Book, Claim, Counters, OverQuota, Quota
from gateway.simulator import CREDENTIAL, Simulator
from providers import PROVIDERS
from providers.provider import Rate
from tests.configuration import CALLER, TENANT, issue_key, write_configuration
from tests.redis_server import RedisServer

DAY = 86_400


class Clock:
    """Seconds that go on when told to."""

    def __init__(self) -> None:
        self.now = DAY * 20_000.0 + 100

    def __call__(self) -> float:
        return self.now


def one(**bounds: int) -> list[Claim]:
    return [Claim("tenant", "t-1", Quota(**bounds))]


def passes(counters: Counters, claims: list[Claim], tries: int, tokens: int = 1, *, stream: bool = False) -> int:
    """How many of so many calls that do not end are admitted."""
    admitted = 0
    for _ in range(tries):
        try:
            counters.take(claims, tokens, stream=stream)
        except OverQuota:
            continue
        admitted += 1
    return admitted


@pytest.mark.parametrize(
    ("bounds", "wait"),
    [
        ({"per_minute": 6}, 10),
        ({"tokens_per_minute": 55}, 7),
        ({"in_flight": 6}, 1),
        ({"streams": 6}, 1),
        ({"tokens_per_day": 60}, 60),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_each_bound_admits_exactly_so_many(bounds: dict[str, int], wait: int) -> None:
    """Six calls pass and the seventh is told how long to wait, at most a minute."""
    counters = Counters(Clock(), Clock())

    assert passes(counters, one(**bounds), 6, tokens=10, stream=True) == 6
    with pytest.raises(OverQuota) as caught:
        counters.take(one(**bounds), 10, stream=True)
    assert (caught.value.code, caught.value.retry_after) == (Code.RATE_LIMITED, wait)
    assert caught.value.retryable is ("tokens_per_day" not in bounds)


def test_what_was_really_used_counts() -> None:
    """A call that used more than was estimated makes the next wait; one that used less gives the rest back."""
    clock = Clock()
    counters = Counters(clock, clock)
    claims = one(tokens_per_minute=600)
    counters.take(claims, 10, stream=False).release(700)
    with pytest.raises(OverQuota) as caught:
        counters.take(claims, 10, stream=False)
    clock.now += caught.value.retry_after or 0
    held = counters.take(claims, 500, stream=False)
    held.release(0)
    held.release(0)

    assert passes(counters, claims, 1) == 1


def test_a_refused_call_uses_nothing_up() -> None:
    """Where one of the claims is used up, the others are left as they were."""
    counters = Counters(Clock(), Clock())
    caller = Claim("caller", "c", Quota(per_minute=5, in_flight=5))
    assert passes(counters, [caller, *one(per_minute=1)], 4) == 1

    assert passes(counters, [caller], 9) == 4


def test_a_day_begins_anew_at_midnight_and_only_forward() -> None:
    """A day's tokens are there again on the next day (UTC); a clock that is set back gives nothing."""
    monotonic, wall = Clock(), Clock()
    counters = Counters(monotonic, wall)
    claims = one(tokens_per_day=10)
    assert passes(counters, claims, 2, tokens=10) == 1
    wall.now -= DAY
    assert passes(counters, claims, 2, tokens=10) == 0
    wall.now += 2 * DAY

    assert passes(counters, claims, 2, tokens=10) == 1


def test_a_bound_that_a_reload_adds_begins_whole() -> None:
    """Calls that were counted for another bound are no debt of a new one."""
    counters = Counters(Clock(), Clock())
    assert passes(counters, one(in_flight=100), 50) == 50

    assert passes(counters, one(per_minute=7), 10) == 7


def test_shares_are_parts_and_never_nothing() -> None:
    """A share of three is a third of each bound, at least one, and no bound where there is none."""
    assert Quota(per_minute=100, streams=2).share(3) == Quota(per_minute=33, streams=1)


def test_nothing_configured_asks_for_nothing() -> None:
    """Without quotas there is no claim."""
    assert NO_QUOTAS.claims("c", UNBOUNDED, "t", "p") == ()
    assert [claim.key for claim in Book(tenant=Quota(per_minute=1)).claims("c", UNBOUNDED, "t", "p")] == ["tenant:t"]


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        (
            "openai",
            {
                "x-ratelimit-limit-requests": "60",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "1m30s",
            },
        ),
        (
            "anthropic",
            {
                "anthropic-ratelimit-requests-limit": "60",
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-requests-reset": "2026-11-25T00:01:30Z",
            },
        ),
    ],
)
def test_rates_are_told_as_the_wire_tells_them(wire: str, expected: dict[str, str]) -> None:
    """Each wire has its own names, and its own form of a reset."""
    now = datetime(2026, 11, 25, tzinfo=UTC)

    assert PROVIDERS[wire].show_rates((Rate("requests", 60, 0, 90.0),), now) == expected


LIMITED: list[tuple[dict[str, object], str]] = [
    ({"tenants": {TENANT: {"per_minute": 2}}}, "This tenant has used its calls of the minute."),
    ({"processor": {"tokens_per_minute": 40}}, "This processor has used its tokens of the minute."),
    ({"caller_tokens_per_day": 40}, "This caller has used its tokens of the day."),
    ({"caller_per_minute": 2}, "This caller has used its calls of the minute."),
]


@pytest.mark.parametrize(("limits", "reason"), LIMITED, ids=["tenant", "processor", "caller's day", "caller"])
async def test_a_stock_client_is_told_to_back_off(
    simulator: Simulator, tmp_path: Path, limits: dict[str, object], reason: str
) -> None:
    """The SDK's own exception, with `retry-after` and the wire's rate-limit headers; nothing of it left."""
    seen = await drive(simulator, tmp_path, {"limits": limits})

    assert seen.value.code == "rate_limited"
    assert reason in str(seen.value)
    assert 1 <= int(seen.value.response.headers["retry-after"]) <= 60
    assert "day" in reason or "x-ratelimit-limit-requests" in seen.value.response.headers or "tokens" in reason


async def test_limits_are_shared_through_redis(
    simulator: Simulator, tmp_path: Path, private_redis: RedisServer
) -> None:
    """What one replica admitted, another counts; without Redis it grants its share and refuses no valid key."""
    replicas = {
        "replicas": {"url": private_redis.url, "count": 2, "wait_seconds": 0.1},
        "limits": {"caller_per_minute": 4},
    }
    await drive(simulator, tmp_path / "a", replicas, most=4, least=4)
    await drive(simulator, tmp_path / "b", replicas, most=1, least=0)
    private_redis.stop()

    await drive(simulator, tmp_path / "c", replicas, most=2, least=2)


async def drive(
    simulator: Simulator, folder: Path, settings: dict[str, object], most: int = 5, least: int = 1
) -> pytest.ExceptionInfo[openai.RateLimitError]:
    """Call until refused; the refusal. From `least` to `most` calls pass before it."""
    settings = {**settings, "redaction": {"unsafe_redaction_off": True}}
    folder.mkdir(exist_ok=True)
    configuration = write_configuration(folder, simulator.port, CREDENTIAL, settings=settings)
    application = Application(configuration, folder / "state", stream=io.BytesIO())
    key = issue_key(folder / "state", CALLER)
    await application.start()
    passed = 0
    try:
        async with openai.AsyncOpenAI(
            base_url=f"http://127.0.0.1:{application.port}/v1", api_key=key, max_retries=0
        ) as client:
            with pytest.raises(openai.RateLimitError) as caught:
                for _ in range(most + 1):
                    await client.chat.completions.create(
                        model="gpt-simulated", messages=[{"role": "user", "content": "hello there, how are you?"}]
                    )
                    passed += 1
    finally:
        await application.stop()
    assert least <= passed <= most
    return caught


@pytest.mark.parametrize(
    ("limits", "key"),
    [({"tenants": {"t-none": {}}}, "limits.tenants.t-none"), ({"processors": {"none": {}}}, "limits.processors.none")],
)
def test_limits_of_nobody_are_faults(tmp_path: Path, limits: dict[str, object], key: str) -> None:
    """A quota for a name that no other file has is a misspelling, not a wish."""
    configuration = write_configuration(tmp_path, 1, CREDENTIAL, settings={"limits": limits})

    with pytest.raises(ConfigurationError) as caught:
        load(configuration, {}, wires=PROVIDERS)
    assert [fault.key for fault in caught.value.faults] == [key]


@pytest.mark.parametrize(
    ("url", "more", "good"),
    [
        ("redis://127.0.0.1:6379", {}, True),
        ("redis://redis.internal.example:6379", {}, False),
        ("redis://redis.internal.example:6379", {"unsafe_plaintext": True}, True),
        ("rediss://redis.internal.example:6379", {}, True),
        ("rediss+sentinel://a.example:26379,b.example:26379/main", {}, True),
        ("rediss+sentinel://a.example:26379", {}, False),
        ("rediss+cluster://a.example:7000,b.example:7001", {}, True),
        ("rediss://a.example:7000,b.example:7001", {}, False),
        ("rediss://user:secret@a.example:7000", {}, False),
        ("http://a.example:7000", {}, False),
    ],
)
def test_redis_is_named_exactly_and_over_tls(tmp_path: Path, url: str, more: dict[str, object], good: bool) -> None:
    """One server, Sentinels with a service or a cluster; beyond loopback by TLS, or said to be unsafe; no password."""
    settings: dict[str, object] = {"replicas": {"url": url, "count": 3, **more}}
    configuration = write_configuration(tmp_path, 1, CREDENTIAL, settings=settings)

    if good:
        assert load(configuration, {}, wires=PROVIDERS).settings.replicas is not None
    else:
        with pytest.raises(ConfigurationError):
            load(configuration, {}, wires=PROVIDERS)
