"""The same wire at a cloud's door: signed or with a bearer, in one region, and only while the account keeps nothing."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anthropic
import pytest

from gateway.app import Application
from gateway.config import load
from gateway.errors import ConfigurationError
from gateway.simulator import CREDENTIAL, Scenario, Simulator
from gateway.simulator.administration import ADMINISTRATOR, KEY_PAIR
from providers import PROVIDERS
from providers.places import cloud_region, control_url
from tests.configuration import CALLER, EUROPEAN, MANY, PURPOSE, TENANT, issue_key, write_configuration
from tests.gateway.attest.settings import edit
from tests.houses import UNSCANNED, client, records, settings

PROFILE = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
ALIAS = "claude-sonnet-4-5"
SERVED = "claude-sonnet-4-5-20250929"
ASK: Any = [{"role": "user", "content": "How did it go?"}]


class Cloud:
    """A gateway whose entry of the wire is a cloud's door, which is the simulated provider."""

    def __init__(self, application: Application, configuration: Path, keys: tuple[str, str]) -> None:
        self.application = application
        self.configuration = configuration
        self.key, self.many = keys

    @property
    def url(self) -> str:
        """The root."""
        return f"http://127.0.0.1:{self.application.port}"

    def stock(self) -> anthropic.AsyncAnthropic:
        """The stock client."""
        return anthropic.AsyncAnthropic(api_key=self.key, base_url=self.url, max_retries=0)

    def clouds_own(self) -> anthropic.AsyncAnthropicBedrockMantle:
        """The client that the vendor makes for this cloud, with its base URL changed."""
        return anthropic.AsyncAnthropicBedrockMantle(
            api_key=self.key, base_url=f"{self.url}/anthropic", aws_region="eu-central-1", max_retries=0
        )


def door(configuration: Path, port: int, *, scheme: str = "aws_sigv4", **keys: Any) -> None:
    """Put the entry behind a cloud's door."""
    secret = KEY_PAIR if scheme == "aws_sigv4" else ADMINISTRATOR
    (configuration / "secrets" / "cloud").write_text(f"{secret}\n", "ascii")
    (configuration / "secrets" / "calls").write_text(f"{KEY_PAIR if scheme == 'aws_sigv4' else CREDENTIAL}\n", "ascii")
    model = {"id": PROFILE, "retention_class": "zero", "aliases": [ALIAS], "served_models": [SERVED, PROFILE],
             "traits": {"inference_geo": "unsupported"}}  # fmt: skip
    edit(
        configuration, "anthropic",
        **{
            "door": "bedrock", "base_url": f"http://127.0.0.1:{port}/anthropic", "operations": ["messages"],
            "account_scope": {"account": "123456789012", "region": "eu-central-1"},
            "countries": {"processing": ["DE", "ES", "FR", "IE", "IT", "SE"]}, "models": [model],
            "credential": {"file": "secrets/calls", "scheme": scheme},
            "read_back": {"method": "bedrock_account", "credential": {"file": "secrets/cloud", "scheme": scheme}},
            **keys,
        },
    )  # fmt: skip


@asynccontextmanager
async def clouded(simulator: Simulator, folder: Path, **keys: Any) -> AsyncIterator[Cloud]:
    """The gateway over it; its usual tenant's data may be in the EU."""
    configuration = write_configuration(folder, simulator.port, CREDENTIAL, settings=settings(**UNSCANNED))
    door(configuration, simulator.port, **keys)
    tenants = configuration / "tenants.yaml"
    tree = json.loads(tenants.read_text("utf-8"))
    tree["tenants"][TENANT]["residency"] = ["EU27"]
    tree["tenants"][EUROPEAN]["residency"] = ["CA"]
    tenants.write_text(json.dumps(tree), "utf-8")
    made = issue_key(folder / "state", CALLER), issue_key(folder / "state", MANY)
    application = Application(configuration, stream=io.BytesIO())
    await application.start()
    try:
        yield Cloud(application, configuration, made)
    finally:
        await application.stop()


@pytest.mark.parametrize("scheme", ["aws_sigv4", "bearer"])
async def test_the_official_clients_pass(simulator: Simulator, tmp_path: Path, scheme: str) -> None:
    """The stock client and the cloud's own, plain and streamed; what leaves names the profile and shows one credential."""
    async with clouded(simulator, tmp_path, scheme=scheme) as cloud:
        for made in (cloud.stock(), cloud.clouds_own()):
            simulator.reset()
            simulator.script(
                Scenario(served_model=SERVED, headers={"x-amzn-requestid": "amzn-1"}, without_headers=("request-id",)),
                model=PROFILE,
            )
            answer = await made.messages.create(model=PROFILE, max_tokens=64, messages=ASK)
            assert (answer.model, answer.content[0].type) == (SERVED, "text")
            async with made.messages.stream(model=PROFILE, max_tokens=64, messages=ASK) as stream:
                assert (await stream.get_final_message()).stop_reason == "end_turn"
            await made.close()

            assert [a.target for a in simulator.arrivals] == ["/anthropic/v1/messages"] * 2
            for arrival in simulator.arrivals:
                shown = [value for name, value in arrival.headers if name.lower() in {"authorization", "x-api-key"}]
                assert len(shown) == 1
                assert shown[0].startswith("AWS4-HMAC-SHA256 Credential=AKID" if scheme == "aws_sigv4" else "Bearer ")
                assert cloud.key not in repr(arrival)

    outcomes = [line for line in records(tmp_path / "state") if line["kind"] == "outcome"]
    assert len(outcomes) == 4
    assert all(line["provider_request"] and line["served"] == SERVED for line in outcomes)


async def test_an_alias_is_resolved_here(simulator: Simulator, tmp_path: Path) -> None:
    """A caller may use the short name; the provider is sent the exact one, or it would choose for us."""
    async with clouded(simulator, tmp_path) as cloud, cloud.stock() as made:
        simulator.script(Scenario(served_model=SERVED), model=PROFILE)
        await made.messages.create(model=ALIAS, max_tokens=64, messages=ASK)

        assert [arrival.document["model"] for arrival in simulator.arrivals if arrival.body] == [PROFILE]


@pytest.mark.parametrize("mode", ["default", "inherit", "aws_review", "provider_data_share", "None", ""])
async def test_an_account_that_keeps_anything_takes_no_call(simulator: Simulator, tmp_path: Path, mode: str) -> None:
    """The account's mode must read `none`, to the letter; whatever else it says refuses the call before it leaves."""
    simulator.administration.mode = mode
    async with clouded(simulator, tmp_path) as cloud, cloud.stock() as made:
        with pytest.raises(anthropic.PermissionDeniedError) as raised:
            await made.messages.create(model=PROFILE, max_tokens=64, messages=ASK)

        assert raised.value.response.headers["x-gateway-code"] == "attestation_failed"
        assert [arrival.target for arrival in simulator.arrivals if arrival.method == "POST"] == []


async def test_a_canadian_tenant_is_not_served_from_europe(simulator: Simulator, tmp_path: Path) -> None:
    """Every country of the profile must lie in the tenant's residency."""
    headers = {"x-gateway-tenant": EUROPEAN, "x-gateway-purpose": PURPOSE}
    document = {"model": PROFILE, "max_tokens": 9, "messages": ASK}
    async with clouded(simulator, tmp_path) as cloud, client(cloud.many) as session:
        answer = await session.post(f"{cloud.url}/v1/messages", json=document, headers=headers)

        assert answer.headers["x-gateway-code"] == "residency_mismatch"


async def test_a_secret_that_is_no_key_pair_sends_nothing(simulator: Simulator, tmp_path: Path) -> None:
    """It is told as the provider's failure, and the secret is in no word of it."""
    async with clouded(simulator, tmp_path) as cloud, client(cloud.key) as session:
        (cloud.configuration / "secrets" / "calls").write_text("not-a-key-pair\n", "ascii")
        async with session.post(
            f"{cloud.url}/v1/messages", json={"model": PROFILE, "max_tokens": 9, "messages": ASK},
            headers={"anthropic-version": "2023-06-01"},
        ) as answer:  # fmt: skip
            said = await answer.text()

    assert (answer.status, answer.headers["x-gateway-code"]) == (502, "upstream_failed")
    assert "not-a-key-pair" not in said
    assert [arrival.target for arrival in simulator.arrivals if arrival.method == "POST"] == []


HOST = "https://bedrock-runtime.{}/anthropic"
FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "a profile that may go anywhere": ("models[0]", {"models": [{"id": "global.anthropic.claude-x", "retention_class": "zero", "traits": {"inference_geo": "unsupported"}}]}),
    "a profile that hides where it goes": ("models[0]", {"models": [{"id": "arn:aws:bedrock:eu-central-1:1:inference-profile/x", "retention_class": "zero", "traits": {"inference_geo": "unsupported"}}]}),
    "a profile of another geography": ("models[0]", {"models": [{"id": "us.anthropic.claude-x", "retention_class": "zero", "traits": {"inference_geo": "unsupported"}}]}),
    "fewer countries than the profile has": ("countries.processing", {"countries": {"processing": ["DE"]}}),
    "a region that is not the host's": ("account_scope.region", {"account_scope": {"account": "1", "region": "eu-west-1"}}),
    "no region to sign for": ("account_scope", {"account_scope": {"account": "1"}}),
    "a key of the wire's own": ("credential.scheme", {"credential": {"file": "secrets/cloud"}}),
    "no read-back": ("read_back", {"read_back": None}),
    "a read-back in another region": ("read_back.base_url", {"read_back": {"method": "bedrock_account", "base_url": "https://bedrock.us-east-1.amazonaws.com"}}),
    "London, which is not in the Union": ("countries.processing", {"base_url": HOST.format("eu-west-2.amazonaws.com"), "models": [{"id": "anthropic.claude-x", "retention_class": "zero", "traits": {"inference_geo": "unsupported"}}], "account_scope": {"account": "1", "region": "eu-west-2"}}),
}  # fmt: skip


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration with the door's real host."""
    configuration = write_configuration(tmp_path_factory.mktemp("cloud"), 1, CREDENTIAL)
    door(configuration, 1)
    edit(configuration, "anthropic", base_url=HOST.format("eu-central-1.amazonaws.com"), unsafe_plaintext=False)
    return configuration


def test_the_real_door_is_taken(real: Path) -> None:
    """The entry of the faults below is without one."""
    (entry,) = [
        item for item in load(real, {}, wires=PROVIDERS).registry.entries.values() if item.form.door == "bedrock"
    ]

    assert entry.form.credential.scheme == "aws_sigv4"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_door_that_leads_elsewhere_is_a_fault(real: Path, fault: str) -> None:
    """Host, profile, region, countries, credential and read-back go together, or the entry is refused with its key."""
    key, keys = FAULTS[fault]
    path = real / "processors" / "simulated-anthropic.yaml"
    before = path.read_text("utf-8")
    try:
        edit(real, "anthropic", **keys)
        with pytest.raises(ConfigurationError) as raised:
            load(real, {}, wires=PROVIDERS)
    finally:
        path.write_text(before, "utf-8")
    assert any(item.key.startswith(key) for item in raised.value.faults), raised.value.faults


@pytest.mark.parametrize(
    ("base_url", "region", "control"),
    [
        ("https://bedrock-runtime.eu-central-1.amazonaws.com/anthropic", "eu-central-1", "https://bedrock.eu-central-1.amazonaws.com"),
        ("https://bedrock-runtime.ca-west-1.api.aws/openai", "ca-west-1", "https://bedrock.ca-west-1.amazonaws.com"),
        ("https://bedrock-mantle.eu-north-1.api.aws/anthropic", "eu-north-1", "https://bedrock.eu-north-1.amazonaws.com"),
        ("https://bedrock-runtime.eusc-de-east-1.amazonaws.eu/anthropic", "eusc-de-east-1", "https://bedrock.eusc-de-east-1.amazonaws.eu"),
        ("https://aws-external-anthropic.eu-central-1.api.aws", None, "https://aws-external-anthropic.eu-central-1.api.aws"),
        ("https://bedrock-runtime.eu-central-1.amazonaws.com.evil.example", None, "https://bedrock-runtime.eu-central-1.amazonaws.com.evil.example"),
    ],
)  # fmt: skip
def test_a_region_is_read_from_the_host(base_url: str, region: str | None, control: str) -> None:
    """Of this cloud's own names only; the vendor's own platform there is another processor, and no door of this one."""
    assert cloud_region(base_url.split("/")[2]) == region
    assert control_url(base_url) == control
