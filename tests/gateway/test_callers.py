"""Who is asking: keys in every wrong form, headers in every wrong form, and keys that come and go."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from multidict import CIMultiDict

from gateway.caller_keys import FILE, KeyFile, KeysUnreadable
from gateway.callers import Caller, CallerForm, Callers, Identity, identify, key_shown, parse_callers
from gateway.errors import Code, Refused
from gateway.keys import CallerKey, digest_caller_key, mint_caller_key
from gateway.limits import Allowance
from gateway.policy.countries import expand
from gateway.policy.tenants import Tenant

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
TENANTS = {
    "t-1": Tenant("t-1", expand(["CA"])),
    "t-2": Tenant("t-2", expand(["CA"]), purposes=frozenset({"summary"})),
    "t-gone": Tenant("t-gone", expand(["CA"]), status="cancelled"),
    "t-held": Tenant("t-held", expand(["CA"]), status="suspended"),
    "t-other": Tenant("t-other", expand(["CA"])),
}
ALLOWANCE = Allowance(10, 100)
BOTH = Caller("many", "0" * 16, frozenset(TENANTS) - {"t-other"}, frozenset({"summary", "coaching"}), ALLOWANCE)
ONE = Caller("one", "0" * 16, frozenset({"t-1"}), frozenset({"summary"}), ALLOWANCE)


class Clock:
    """An instant and a monotonic second, moved by hand."""

    def __init__(self) -> None:
        self.now = NOW
        self.second = 0.0


def services(**more: object) -> dict[str, CallerForm]:
    tree = {"callers": {"one": {"tenants": ["t-1"], "purposes": ["summary"], **more}}}
    faults: list[object] = []
    read = parse_callers(tree, TENANTS, ("summary", "coaching"), lambda path, reason: faults.append((path, reason)))
    assert read is not None, faults
    assert not faults
    return read


def callers(state: Path, clock: Clock, **more: object) -> Callers:
    return Callers(services(**more), ALLOWANCE, KeyFile(state), clock=lambda: clock.now, monotonic=lambda: clock.second)


def issue(state: Path, caller: str = "one", expires: datetime | None = None) -> CallerKey:
    key = mint_caller_key()
    KeyFile(state).add(caller, key, NOW, expires)
    return key


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


@pytest.mark.parametrize("how", ["authorization", "x-api-key", "both alike", "lower-case scheme"])
def test_a_good_key_names_its_caller(tmp_path: Path, how: str) -> None:
    """A key is taken from either header, or from both if they agree."""
    key = issue(tmp_path)
    headers = {
        "authorization": bearer(key.text),
        "x-api-key": {"x-api-key": key.text},
        "both alike": {"x-api-key": key.text, **bearer(key.text)},
        "lower-case scheme": {"authorization": f"bearer {key.text}"},
    }[how]

    caller = callers(tmp_path, Clock()).authenticate(CIMultiDict(headers))

    assert caller == Caller("one", key.key_id, frozenset({"t-1"}), frozenset({"summary"}), ALLOWANCE)
    assert key.text not in repr(caller)


def _spoilt(text: str) -> dict[str, dict[str, str]]:
    other = mint_caller_key().text
    return {
        "no header": {},
        "an empty key": {"x-api-key": ""},
        "an empty bearer": {"authorization": "Bearer "},
        "no scheme": {"authorization": text},
        "another scheme": {"authorization": f"Basic {text}"},
        "two keys": {"x-api-key": other, **bearer(text)},
        "a good key and an empty one": {"x-api-key": "", **bearer(text)},
        "an unknown key": bearer(other),
        "a digit less": bearer(text[:-1]),
        "a digit more": bearer(text + "0"),
        "another last digit": bearer(text[:-1] + ("0" if text[-1] != "0" else "1")),
        "the id of another": bearer(other[:21] + text[21:]),
        "upper case": bearer(text.upper()),
        "a space in front": bearer(f" {text}"),
        "two spaces behind": bearer(f"{text}  "),
        "a line break": bearer(f"{text}\n"),
        "a look-alike": bearer(text.replace("z", "\u1d22", 1)),
        "bytes that are no text": bearer("\udcff" + text),
        "a very long key": bearer(text * 1000),
        "its digest": bearer(digest_caller_key(text)),
    }


@pytest.mark.parametrize("how", _spoilt("zrg_" + "0" * 16 + "_" + "0" * 49))
def test_every_other_key_is_refused_alike(tmp_path: Path, how: str) -> None:
    """Whatever is wrong with a key, the answer is the same, and holds nothing of it."""
    key = issue(tmp_path)
    headers = _spoilt(key.text)[how]

    with pytest.raises(Refused) as caught:
        callers(tmp_path, Clock()).authenticate(headers)

    error = caught.value
    assert (error.code, error.status, error.where, error.retryable) == (Code.UNAUTHENTICATED, 401, None, False)
    assert error.reason == "send a caller key as Authorization: Bearer KEY or x-api-key: KEY"


@pytest.mark.parametrize("text", ["sk-ant-api03-abc", "sk-proj-abc", "sk-abc"])
@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
def test_a_providers_own_key_gets_a_hint(tmp_path: Path, header: str, text: str) -> None:
    """Who sends a provider's key learns which key to send, and the answer does not repeat it."""
    headers = bearer(text) if header == "authorization" else {"x-api-key": text}

    with pytest.raises(Refused) as caught:
        callers(tmp_path, Clock()).authenticate(headers)

    assert caught.value.code is Code.UNAUTHENTICATED
    assert "zrg_" in caught.value.reason
    assert text not in caught.value.reason


def test_a_key_ends_at_its_instant(tmp_path: Path) -> None:
    """A microsecond before its end a key is good; at its end it is not."""
    key = issue(tmp_path, expires=NOW)
    clock = Clock()
    known = callers(tmp_path, clock)

    clock.now = NOW - timedelta(microseconds=1)
    assert known.authenticate(bearer(key.text)).id == "one"
    clock.now = NOW
    with pytest.raises(Refused):
        known.authenticate(bearer(key.text))


def test_what_a_key_shows_is_not_whether_it_is_good(tmp_path: Path) -> None:
    """It may be kept: that the key was issued, has ended or was revoked is asked each time."""
    clock = Clock()
    known = callers(tmp_path, clock)
    key = issue(tmp_path, expires=NOW)
    shown = key_shown(bearer(key.text))
    clock.now = NOW - timedelta(microseconds=1)

    assert key.text not in repr(shown)
    with pytest.raises(Refused):
        known.recognise(shown)
    clock.second = 1.0
    assert known.recognise(shown).key_id == key.key_id
    clock.now = NOW
    with pytest.raises(Refused):
        known.recognise(shown)
    clock.now = NOW - timedelta(microseconds=1)
    assert known.recognise(shown).key_id == key.key_id
    known.revoke([key.key_id])
    with pytest.raises(Refused):
        known.recognise(shown)


def test_keys_overlap_for_rotation(tmp_path: Path) -> None:
    """A second key is good beside the first, and the first can go without the second."""
    first, second = issue(tmp_path), issue(tmp_path)
    KeyFile(tmp_path).revoke(first.key_id, NOW)

    known = callers(tmp_path, Clock())

    assert known.authenticate(bearer(second.text)).key_id == second.key_id
    with pytest.raises(Refused):
        known.authenticate(bearer(first.text))


def test_keys_come_and_go_without_a_restart(tmp_path: Path) -> None:
    """The file is looked at again after a tenth of a second, and not before."""
    clock = Clock()
    known = callers(tmp_path, clock)
    key = issue(tmp_path)

    with pytest.raises(Refused):
        known.authenticate(bearer(key.text))
    clock.second = 1.0
    assert known.authenticate(bearer(key.text)).id == "one"
    KeyFile(tmp_path).revoke(key.key_id, NOW)
    clock.second = 1.05
    assert known.authenticate(bearer(key.text)).id == "one"
    clock.second = 1.11
    with pytest.raises(Refused):
        known.authenticate(bearer(key.text))


def test_a_listed_key_is_good_and_can_be_revoked(tmp_path: Path) -> None:
    """A key of callers.yaml works by its digest; a revocation in the state wins over the list."""
    key = mint_caller_key()
    listed = [{"id": key.key_id, "sha256": key.digest}]
    clock = Clock()
    known = callers(tmp_path, clock, keys=listed)

    assert known.authenticate(bearer(key.text)).key_id == key.key_id
    KeyFile(tmp_path).revoke(key.key_id, NOW)
    clock.second = 1.0
    with pytest.raises(Refused):
        known.authenticate(bearer(key.text))


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(b"", id="emptied"),
        pytest.param(b"{", id="cut off"),
        pytest.param(b'{"version": 2, "keys": [], "revoked": {}}', id="of another version"),
        pytest.param(b'{"version": 1, "keys": []}', id="without its revocations"),
        pytest.param(b'{"version": 1, "keys": [{"id": 7}], "revoked": {}}', id="of other types"),
    ],
)
def test_a_damaged_key_file_opens_nothing(tmp_path: Path, damage: bytes) -> None:
    """Who was revoked is then unknown, so no key is good; when the file is back, so are the keys."""
    key = issue(tmp_path)
    clock = Clock()
    known = callers(tmp_path, clock)
    whole = (tmp_path / FILE).read_bytes()

    (tmp_path / FILE).write_bytes(damage)
    clock.second = 1.0
    with pytest.raises(Refused):
        known.authenticate(bearer(key.text))
    fault = known.fault
    (tmp_path / FILE).write_bytes(whole)
    clock.second = 2.0

    assert fault is not None
    assert FILE in fault
    assert known.authenticate(bearer(key.text)).id == "one"
    assert known.fault is None


def test_a_revocation_once_seen_outlives_its_file(tmp_path: Path) -> None:
    """Restoring an older copy of the key file does not bring a revoked key back in a running process."""
    key = issue(tmp_path)
    older = (tmp_path / FILE).read_bytes()
    KeyFile(tmp_path).revoke(key.key_id, NOW)
    clock = Clock()
    known = callers(tmp_path, clock)

    (tmp_path / FILE).write_bytes(older)
    clock.second = 1.0

    with pytest.raises(Refused):
        known.authenticate(bearer(key.text))


def test_a_key_of_a_service_that_is_gone(tmp_path: Path) -> None:
    """A key that was issued to a service which callers.yaml no longer lists is unknown."""
    key = issue(tmp_path, caller="gone")

    with pytest.raises(Refused):
        callers(tmp_path, Clock()).authenticate(bearer(key.text))


def test_the_key_file_holds_no_key(tmp_path: Path) -> None:
    """Only digests are stored, readable by nobody else."""
    key = issue(tmp_path)

    text = (tmp_path / FILE).read_text(encoding="utf-8")

    assert key.text not in text and key.text[21:] not in text
    assert json.loads(text)["keys"][0]["sha256"] == key.digest
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["caller_keys.json", "caller_keys.lock"]


def test_nothing_is_written_over_a_damaged_key_file(tmp_path: Path) -> None:
    """Issuing or revoking on a damaged file would lose the other keys' revocations, so it is an error."""
    (tmp_path / FILE).write_bytes(b"{")

    with pytest.raises(KeysUnreadable):
        issue(tmp_path)
    with pytest.raises(KeysUnreadable):
        KeyFile(tmp_path).revoke("0" * 16, NOW)

    assert (tmp_path / FILE).read_bytes() == b"{"


def test_a_services_own_limits_win(tmp_path: Path) -> None:
    """What a service says of its limits holds; what it leaves out is as usual."""
    key = issue(tmp_path)

    caller = callers(tmp_path, Clock(), limits={"in_flight": 2}).authenticate(bearer(key.text))

    assert caller.allowance == Allowance(2, 100)


def test_a_dry_run_may_name_a_service(tmp_path: Path) -> None:
    """`named` gives a service without a key, under an id that no key has."""
    known = callers(tmp_path, Clock())

    assert known.named("one").key_id == "0" * 16
    with pytest.raises(Refused):
        known.named("nobody")


def who(caller: Caller, headers: dict[str, str] | CIMultiDict[str]) -> Identity:
    return identify(caller, headers, TENANTS, {"toy"})


def test_what_a_key_is_bound_to_need_not_be_said() -> None:
    """One tenant and one purpose follow from the key."""
    assert who(ONE, {}) == Identity(TENANTS["t-1"], "summary", None, None)


def test_headers_say_the_rest() -> None:
    """Tenant, purpose, subject and processor come from their headers; a subject is not shown."""
    identity = who(
        BOTH,
        {
            "x-gateway-tenant": "t-2",
            "x-gateway-purpose": "summary",
            "x-gateway-subject": "rep-77",
            "x-gateway-processor": "toy",
        },
    )

    assert identity == Identity(TENANTS["t-2"], "summary", "rep-77", "toy")
    assert "rep-77" not in repr(identity)


@pytest.mark.parametrize(
    ("caller", "headers", "code"),
    [
        pytest.param(BOTH, {"x-gateway-purpose": "summary"}, Code.TENANT_MISSING, id="no tenant"),
        pytest.param(BOTH, {"x-gateway-tenant": ""}, Code.TENANT_UNKNOWN, id="an empty tenant"),
        pytest.param(BOTH, {"x-gateway-tenant": "T-1"}, Code.TENANT_UNKNOWN, id="a tenant in capitals"),
        pytest.param(BOTH, {"x-gateway-tenant": "t-1, t-2"}, Code.TENANT_UNKNOWN, id="two tenants in one line"),
        pytest.param(BOTH, {"x-gateway-tenant": "*"}, Code.TENANT_UNKNOWN, id="every tenant"),
        pytest.param(BOTH, {"x-gateway-tenant": "t-none"}, Code.TENANT_UNKNOWN, id="a tenant of nobody"),
        pytest.param(BOTH, {"x-gateway-tenant": "t-other"}, Code.TENANT_UNKNOWN, id="another caller's tenant"),
        pytest.param(BOTH, {"x-gateway-tenant": "t-gone"}, Code.TENANT_UNKNOWN, id="a cancelled tenant"),
        pytest.param(BOTH, {"x-gateway-tenant": "t-held"}, Code.TENANT_UNKNOWN, id="a suspended tenant"),
        pytest.param(ONE, {"x-gateway-tenant": "t-2"}, Code.TENANT_UNKNOWN, id="not the tenant of the key"),
        pytest.param(BOTH, {"x-gateway-tenant": "t-1"}, Code.PURPOSE_MISSING, id="no purpose"),
        pytest.param(
            BOTH, {"x-gateway-tenant": "t-1", "x-gateway-purpose": ""}, Code.PURPOSE_NOT_ALLOWED, id="an empty purpose"
        ),
        pytest.param(
            BOTH, {"x-gateway-tenant": "t-1", "x-gateway-purpose": "hiring"}, Code.PURPOSE_NOT_ALLOWED, id="unknown"
        ),
        pytest.param(ONE, {"x-gateway-purpose": "coaching"}, Code.PURPOSE_NOT_ALLOWED, id="not the key's purpose"),
        pytest.param(
            BOTH,
            {"x-gateway-tenant": "t-2", "x-gateway-purpose": "coaching"},
            Code.PURPOSE_NOT_ALLOWED,
            id="not the tenant's purpose",
        ),
        pytest.param(ONE, {"x-gateway-processor": "nobody"}, Code.MODEL_NOT_ALLOWED, id="an unknown processor"),
        pytest.param(ONE, {"x-gateway-subject": ""}, Code.PARAMETER_UNKNOWN, id="an empty subject"),
        pytest.param(ONE, {"x-gateway-subject": "x" * 257}, Code.PARAMETER_UNKNOWN, id="a long subject"),
        pytest.param(
            ONE,
            CIMultiDict([("X-Gateway-Tenant", "t-1"), ("x-gateway-tenant", "t-2")]),
            Code.PARAMETER_UNKNOWN,
            id="a header in two lines",
        ),
    ],
)
def test_what_is_refused_of_an_identity(caller: Caller, headers: dict[str, str], code: Code) -> None:
    """Each has its code and names the header; no value is repeated."""
    with pytest.raises(Refused) as caught:
        who(caller, headers)

    error = caught.value
    assert error.code is code
    assert (error.where or "").startswith("x-gateway-")
    assert not [value for value in headers.values() if len(value) > 2 and value in error.reason]


def test_a_tenants_state_is_not_told() -> None:
    """Unknown, another's, suspended and cancelled tenants cannot be told apart by a caller."""
    reasons = set()
    for named in ("t-none", "t-other", "t-gone", "t-held", "*"):
        with pytest.raises(Refused) as caught:
            who(BOTH, {"x-gateway-tenant": named})
        reasons.add((caught.value.reason, caught.value.status))

    assert len(reasons) == 1
