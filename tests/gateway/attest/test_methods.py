"""Settings read back by the providers' official clients from simulated administration endpoints, whole and in every drift."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gateway.attest.methods import Means, probe_storage, read_settings
from gateway.attest.verdicts import Reading, reading, verdict
from gateway.audit.words import Said, Setting, Verdict
from gateway.errors import Code, UpstreamError
from gateway.policy.consistency import parse_entry
from gateway.policy.entries import Entry
from gateway.simulator import CREDENTIAL, Scenario, Simulator
from gateway.simulator.administration import ADMINISTRATOR, CONTROL, Administration
from providers import PROVIDERS
from tests.configuration import entry
from tests.gateway.attest.settings import COVERED, PROJECT

SECRETS = {"administrator": ADMINISTRATOR, "simulated": CREDENTIAL, "control": CONTROL}


def secret(reference: str) -> str:
    """A credential by reference, as a bundle reads it from its file."""
    try:
        return SECRETS[reference.removeprefix("file:secrets/")]
    except KeyError:
        raise UpstreamError(Code.UPSTREAM_FAILED, "there is none") from None


class House:
    """Entries whose settings are read from a simulated provider."""

    def __init__(self, provider: Simulator) -> None:
        self.provider = provider
        self.waited: list[float] = []

    def entry(self, wire: str, asked: dict[str, Any], scope: dict[str, str]) -> Entry:
        """An entry, read as from its file."""
        faults: list[object] = []
        tree = entry(wire, f"http://127.0.0.1:{self.provider.port}", ["gpt-simulated"])
        made = parse_entry({**tree, "read_back": asked, "account_scope": scope}, f"simulated-{wire}", PROVIDERS,
                           lambda *fault: faults.append(fault))  # fmt: skip
        assert made is not None, faults
        return made

    async def _pause(self, seconds: float) -> None:
        self.waited.append(seconds)

    async def read(self, wire: str = "openai", **asked: Any) -> Reading:
        """Read one entry's settings."""
        chosen = (PROJECT if wire == "openai" else COVERED) | asked
        return await read_settings(self.entry(wire, chosen, {"project": "proj_simulated"}), Means(secret))

    async def probe(self, **probe: Any) -> Reading:
        """Try what the first wire's project keeps."""
        chosen = PROJECT | {"probe": {"model": "gpt-simulated", **probe}}
        made = self.entry("openai", chosen, {"project": "proj_simulated"})
        return await probe_storage(made, Means(secret, None, self._pause))


@pytest.fixture
async def house(simulator: Simulator) -> AsyncIterator[House]:
    """A fresh one for each test."""
    yield House(simulator)


async def test_settings_as_agreed_pass(house: House) -> None:
    """Retention of project and organization, five hosted tools and external storage are each read, and all hold."""
    found = await house.read()

    assert found.verdict is Verdict.PASS
    assert found.said == {
        Setting.PROJECT_RETENTION: Said.ZERO, Setting.ORGANIZATION_RETENTION: Said.ZERO,
        Setting.CODE_INTERPRETER: Said.DISABLED, Setting.FILE_SEARCH: Said.DISABLED,
        Setting.IMAGE_GENERATION: Said.DISABLED, Setting.MCP: Said.DISABLED, Setting.WEB_SEARCH: Said.DISABLED,
        Setting.EXTERNAL_STORAGE: Said.ABSENT,
    }  # fmt: skip
    assert len(house.provider.administration.asked) == 4


def _project(word: object) -> Callable[[Administration], object]:
    return lambda its: setattr(its, "project", word)


DRIFT: dict[str, Callable[[Administration], object]] = {
    "the project keeps what classifiers flag": _project("modified_abuse_monitoring"),
    "the project has no setting": _project("none"),
    "a word that nobody knows": _project("zero_data_retention_lite"),
    "a number": _project(3),
    "nothing": _project(None),
    "a tool runs at the provider": lambda its: its.tools.add("web_search"),
    "another tool": lambda its: its.tools.add("mcp"),
    "copies go to a bucket": lambda its: setattr(its, "storage", True),
    "an answer of another form": lambda its: setattr(its, "raw", b'{"object":"list"}'),
    "organization's default, which keeps": lambda its: (
        setattr(its, "project", "organization_default"), setattr(its, "organization", "modified_abuse_monitoring")
    ),
}  # fmt: skip


@pytest.mark.parametrize("drift", DRIFT)
async def test_any_drift_fails(house: House, drift: str) -> None:
    """Whatever reads otherwise than agreed, or in words that nobody knows, is a failure."""
    DRIFT[drift](house.provider.administration)

    assert (await house.read()).verdict is Verdict.FAIL


async def test_a_project_may_take_its_organizations_setting(house: House) -> None:
    """`organization_default` holds where the organization keeps nothing."""
    house.provider.administration.project = "organization_default"

    assert (await house.read()).verdict is Verdict.PASS


@pytest.mark.parametrize("status", [401, 403, 404, 408, 409, 429, 500, 503])
async def test_no_answer_is_no_pass(house: House, status: int) -> None:
    """A status that is not 200 says nothing about the settings: inconclusive, neither pass nor failure."""
    house.provider.administration.status = status

    assert (await house.read()).verdict is Verdict.INCONCLUSIVE


async def test_an_answer_that_is_no_json_says_nothing(house: House) -> None:
    """A page of somebody else's is inconclusive."""
    house.provider.administration.raw = b"<html>"

    assert (await house.read()).verdict is Verdict.INCONCLUSIVE


async def test_nobody_there_is_no_pass(house: House) -> None:
    """A host that does not answer is inconclusive, too."""
    port = house.provider.port
    await house.provider.stop()
    house.provider.port = port

    assert (await house.read()).verdict is Verdict.INCONCLUSIVE


async def test_a_missing_credential_is_no_pass(house: House) -> None:
    """Without the key nothing is asked."""
    found = await house.read(credential={"file": "secrets/nowhere"})

    assert (found.verdict, house.provider.administration.asked) == (Verdict.INCONCLUSIVE, [])


async def test_the_environment_chooses_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the official clients would take from the environment neither leaves nor leads elsewhere."""
    for name, value in {
        "OPENAI_BASE_URL": "http://127.0.0.1:9", "OPENAI_ORG_ID": "org-evil", "OPENAI_PROJECT_ID": "proj-evil",
        "OPENAI_CUSTOM_HEADERS": "x-evil: 1", "HTTP_PROXY": "http://127.0.0.1:9", "ALL_PROXY": "http://127.0.0.1:9",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)

    found = await house.read()

    assert found.verdict is Verdict.PASS
    sent = [header for arrival in house.provider.arrivals for header in arrival.headers]
    assert not [name for name, value in sent if "evil" in value or name.lower().startswith(("openai-", "x-"))]


async def test_a_covered_model_that_is_refused_passes(house: House) -> None:
    """The workspace keeps nothing, so a model that needs retention is refused there, in the words documented."""
    found = await house.read("anthropic")

    assert (found.verdict, found.said) == (Verdict.PASS, {Setting.COVERED_MODEL: Said.REFUSED})


async def test_a_covered_model_that_answers_is_the_alarm(house: House) -> None:
    """If it is served, the workspace keeps what it is sent."""
    house.provider.administration.retains = True

    found = await house.read("anthropic", model="claude-covered")

    assert (found.verdict, found.said) == (Verdict.FAIL, {Setting.COVERED_MODEL: Said.SERVED})


@pytest.mark.parametrize("status", [403, 404, 429, 529])
async def test_a_covered_model_that_is_not_open_says_nothing(house: House, status: int) -> None:
    """No access to the model proves nothing about retention."""
    house.provider.script(Scenario(status=status), model="claude-elsewhere")

    assert (await house.read("anthropic", model="claude-elsewhere")).verdict is Verdict.INCONCLUSIVE


async def test_a_refusal_for_another_reason_says_nothing(house: House) -> None:
    """A 400 that does not speak of retention is no proof."""
    house.provider.script(Scenario(status=400), model="claude-elsewhere")

    assert (await house.read("anthropic", model="claude-elsewhere")).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("mode", "logging", "expected"),
    [
        ("none", {}, Verdict.PASS),
        *(
            (word, {}, Verdict.FAIL)
            for word in ("default", "inherit", "aws_review", "provider_data_share", "NONE", "new")
        ),
        ("none", {"loggingConfig": {"textDataDeliveryEnabled": True}}, Verdict.FAIL),
    ],
)
async def test_a_cloud_account_reads_exactly_none(house: House, mode: str, logging: Any, expected: Verdict) -> None:
    """The account's mode is `none` to the letter, and nothing of its calls is logged."""
    house.provider.administration.mode, house.provider.administration.logging = mode, logging
    asked = {"method": "bedrock_account", "credential": {"file": "secrets/administrator"}}
    made = house.entry("anthropic", asked, {"account": "1", "region": "ca-central-1"})

    found = await read_settings(made, Means(secret))

    assert found.verdict is expected


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ([{"name": "ContentLogging", "value": "false"}, {"name": "Other", "value": "true"}], Verdict.PASS),
        ([{"name": "ContentLogging", "value": "true"}], Verdict.FAIL),
        ([{"name": "ContentLogging", "value": False}], Verdict.FAIL),
        ([{"name": "ContentLogging", "value": "false"}, {"name": "ContentLogging", "value": "true"}], Verdict.FAIL),
        ([{"name": "contentlogging", "value": "false"}], Verdict.FAIL),
        ([], Verdict.FAIL),
        (None, Verdict.FAIL),
    ],
)
async def test_a_cloud_resource_that_logs_content(house: House, capabilities: Any, expected: Verdict) -> None:
    """Logging is off only where the capability is there and says `false`; where it is absent, content is logged."""
    house.provider.administration.capabilities = capabilities
    root = f"http://127.0.0.1:{house.provider.port}"
    asked = {"method": "azure_resource", "credential": {"file": "secrets/administrator"}, "base_url": root}
    made = house.entry("openai", asked, {"subscription": "s-1", "resource_group": "g.1", "resource": "r-1"})

    assert (await read_settings(made, Means(secret))).verdict is expected


@pytest.mark.parametrize(("is_off", "expected"), [(True, Verdict.PASS), (False, Verdict.FAIL), ("true", Verdict.FAIL)])
async def test_a_cloud_project_that_caches(house: House, is_off: object, expected: Verdict) -> None:
    """Caching must be switched off, and said to be."""
    house.provider.administration.cache_is_off = is_off  # type: ignore[assignment]
    made = house.entry("anthropic", {"method": "vertex_project", "credential": {"file": "secrets/administrator"}},
                       {"project": "proj_simulated"})  # fmt: skip

    assert (await read_settings(made, Means(secret))).verdict is expected


@pytest.mark.parametrize(
    ("policy", "expected"), [(True, Verdict.PASS), (False, Verdict.FAIL), (None, Verdict.FAIL), ("ON", Verdict.FAIL)]
)
async def test_an_account_with_a_policy(house: House, policy: Any, expected: Verdict) -> None:
    """Zero retention is the account's policy; absent or in another word it is not."""
    house.provider.administration.policy = policy
    made = house.entry("openai", {"method": "fireworks_policy", "credential": {"file": "secrets/administrator"}},
                       {"account": "simulated"})  # fmt: skip

    assert (await read_settings(made, Means(secret))).verdict is expected


async def test_what_is_stored_is_found(house: House) -> None:
    """A project that keeps what it was sent is found out, and what was left there is deleted."""
    house.provider.administration.keeps = True

    found = await house.probe(control={"file": "secrets/control"})

    assert (found.verdict, set(found.said.values())) == (Verdict.FAIL, {Said.PRESENT})
    assert [a.method for a in house.provider.arrivals].count("DELETE") == 2


async def test_what_is_not_stored_passes_beside_a_control(house: House) -> None:
    """Nothing is found after a while, and where it must be found it is: so the search can find."""
    found = await house.probe(control={"file": "secrets/control"})

    assert found.verdict is Verdict.PASS
    assert max(house.waited) == 55.0


async def test_without_a_control_nothing_is_proved(house: House) -> None:
    """A 404 also comes of a wrong path: no control, no pass."""
    assert (await house.probe()).verdict is Verdict.INCONCLUSIVE


async def test_a_control_that_keeps_nothing_proves_nothing(house: House) -> None:
    """If the search does not find what must be there, it would not find anything."""
    assert (await house.probe(control={"file": "secrets/simulated"})).verdict is Verdict.INCONCLUSIVE


def test_of_nothing_nothing_is_known() -> None:
    """No setting read is no pass; what a method reads and an answer leaves out is a failure."""
    assert verdict({}) is Verdict.INCONCLUSIVE
    assert reading("x", 0, ["policy"], {}).verdict is Verdict.FAIL
    assert (
        reading("x", 0, ["policy", "mcp"], {"policy": "enabled", "mcp": "unreachable"}).verdict is Verdict.INCONCLUSIVE
    )
