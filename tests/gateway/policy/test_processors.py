"""The registry: where a call may go, at which instant, and which filter left nothing."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from gateway.errors import Code, Refused
from gateway.exchange import Route
from gateway.policy.consistency import parse_entry
from gateway.policy.countries import expand
from gateway.policy.entries import Entry, State
from gateway.policy.processors import Registry
from gateway.policy.tenants import Tenant
from tests.gateway.policy.surfaces import TOY

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

ENTRY: dict[str, object] = {
    "id": "toy",
    "legal_entity": {"name": "Toy Ltd", "address": "1 Toy Street", "country": "IE", "contact": "privacy@toy.example"},
    "door": "direct",
    "wire": "toy",
    "base_url": "https://eu.toy.example",
    "account_scope": {"project": "toys"},
    "countries": {"processing": ["DE", "FR"], "storage": ["IE"]},
    "operations": ["ask", "hear"],
    "models": [
        {
            "id": "large",
            "retention_class": "zero",
            "served_models": ["large", "large-2026"],
            "aliases": ["big"],
            "traits": {"cache": "explicit"},
        },
        {"id": "listener", "retention_class": "zero", "operations": ["hear"]},
        {"id": "flagged", "retention_class": "flagged"},
        {"id": "kept", "retention_class": "retains"},
        {"id": "doubtful", "retention_class": "unknown"},
    ],
    "agreements": [
        {
            "id": "zero-2026",
            "kinds": ["zero_retention", "no_training"],
            "scope": "the project",
            "valid_from": "2026-01-10",
            "valid_until": "2027-01-10",
            "document_sha256": "a" * 64,
            "approvers": ["Ada", "Grace"],
        }
    ],
    "carve_outs": ["Flagged images are kept."],
    "notice": {"announced": "2025-12-01", "days": 30, "effective": "2026-01-01", "document_sha256": "b" * 64},
    "review_by": "2027-06-01",
    "suspended": False,
    "credential": {"environment": "TOY_KEY"},
}
EUROPEAN = Tenant("t-eu", expand(["EU27"]))


def entry(**changed: object) -> Entry:
    tree = {**copy.deepcopy(ENTRY), **changed}
    faults: list[object] = []
    read = parse_entry(tree, str(tree["id"]), {"toy": TOY}, lambda path, reason: faults.append((path, reason)))
    assert read is not None, faults
    return read


def agreements(*windows: Mapping[str, object]) -> list[object]:
    (usual,) = copy.deepcopy(ENTRY["agreements"])  # type: ignore[misc]
    return [{**usual, "id": f"zero-{number}", **window} for number, window in enumerate(windows)]


def route(
    registry: Registry, *, model: str = "large", tenant: Tenant = EUROPEAN, now: datetime = NOW, **more: str
) -> Route:
    return registry.route(
        wire=more.get("wire", "toy"),
        operation=more.get("operation", "ask"),
        model=model,
        tenant=tenant,
        now=now,
        narrowed_to=more.get("narrowed_to"),
    )


def code_of(registry: Registry, **asked: object) -> Code:
    with pytest.raises(Refused) as caught:
        route(registry, **asked)  # type: ignore[arg-type]
    return caught.value.code


def test_a_call_is_routed_to_what_the_entry_declares() -> None:
    """The route bears the entry's endpoint, exact model, served ids, agreement, countries, credential and traits."""
    found = route(Registry([entry()]))

    assert found == Route(
        processor="toy",
        base_url="https://eu.toy.example",
        model="large",
        served_models=frozenset({"large", "large-2026"}),
        agreement="zero-2026",
        countries=("DE", "FR", "IE"),
        credential="environment:TOY_KEY",
        traits={"cache": "explicit"},
    )


def test_an_alias_goes_to_the_exact_model() -> None:
    """An alias is resolved here and nowhere else."""
    assert route(Registry([entry()]), model="big").model == "large"


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        pytest.param({"model": "huge"}, Code.MODEL_NOT_ALLOWED, id="a model that no entry has"),
        pytest.param({"model": "LARGE"}, Code.MODEL_NOT_ALLOWED, id="a model in another case"),
        pytest.param({"model": "large-2026"}, Code.MODEL_NOT_ALLOWED, id="an id that is only served"),
        pytest.param({"model": ""}, Code.MODEL_NOT_ALLOWED, id="no model"),
        pytest.param({"model": "flagged"}, Code.MODEL_NOT_ALLOWED, id="a model whose flagged traffic is kept"),
        pytest.param({"model": "kept"}, Code.MODEL_NOT_ALLOWED, id="a model that keeps everything"),
        pytest.param({"model": "doubtful"}, Code.MODEL_NOT_ALLOWED, id="a model of unknown class"),
        pytest.param({"model": "listener"}, Code.MODEL_NOT_ALLOWED, id="a model for another operation"),
        pytest.param({"operation": "shout"}, Code.MODEL_NOT_ALLOWED, id="an operation that no entry has"),
        pytest.param({"wire": "other"}, Code.MODEL_NOT_ALLOWED, id="another wire"),
        pytest.param({"narrowed_to": "nobody"}, Code.MODEL_NOT_ALLOWED, id="narrowed to an unknown processor"),
        pytest.param(
            {"tenant": Tenant("t", expand(["EU27"]), processors=frozenset({"other"}))},
            Code.MODEL_NOT_ALLOWED,
            id="narrowed by the tenant",
        ),
        pytest.param({"tenant": Tenant("t", expand(["DE"]))}, Code.RESIDENCY_MISMATCH, id="one country of three"),
        pytest.param(
            {"tenant": Tenant("t", expand(["DE", "FR"]))}, Code.RESIDENCY_MISMATCH, id="storage outside, processing in"
        ),
        pytest.param({"tenant": Tenant("t", frozenset())}, Code.RESIDENCY_MISMATCH, id="no residency at all"),
        pytest.param({"tenant": Tenant("t", expand(["CA"]))}, Code.RESIDENCY_MISMATCH, id="another continent"),
    ],
)
def test_what_the_registry_refuses(asked: dict[str, object], code: Code) -> None:
    """Each filter has its code, and a refusal holds nothing that the caller sent."""
    assert code_of(Registry([entry()]), **asked) is code


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        pytest.param({"example": True}, Code.PROCESSOR_NOT_ACTIVE, id="an example"),
        pytest.param({"suspended": True}, Code.PROCESSOR_NOT_ACTIVE, id="suspended"),
        pytest.param({"suspended": "2026-11-25"}, Code.PROCESSOR_NOT_ACTIVE, id="suspended since today"),
        pytest.param({"retired": "2026-11-25"}, Code.PROCESSOR_NOT_ACTIVE, id="retired"),
        pytest.param({"review_by": "2026-11-25"}, Code.PROCESSOR_NOT_ACTIVE, id="review overdue"),
        pytest.param({"review_by": "TO_BE_FILLED"}, Code.PROCESSOR_NOT_ACTIVE, id="no review date yet"),
        pytest.param(
            {"account_scope": {"project": "TO_BE_FILLED"}}, Code.PROCESSOR_NOT_ACTIVE, id="an account to be filled"
        ),
        pytest.param(
            {"agreements": agreements({"document_sha256": "TO_BE_FILLED"})},
            Code.PROCESSOR_NOT_ACTIVE,
            id="a document to be filled",
        ),
        pytest.param(
            {"agreements": agreements({"approvers": ["TO_BE_FILLED"]})},
            Code.PROCESSOR_NOT_ACTIVE,
            id="approvers to be filled",
        ),
        pytest.param(
            {"notice": {"announced": "2026-11-01", "days": 30, "effective": "2026-12-01", "document_sha256": "b" * 64}},
            Code.PROCESSOR_NOT_ACTIVE,
            id="announced, not yet effective",
        ),
        pytest.param(
            {"agreements": agreements({"valid_until": "2026-11-25"})}, Code.AGREEMENT_EXPIRED, id="ended today"
        ),
        pytest.param(
            {"agreements": agreements({"valid_from": "2026-11-26"})}, Code.AGREEMENT_EXPIRED, id="begins tomorrow"
        ),
        pytest.param(
            {
                "agreements": agreements(
                    {"kinds": ["zero_retention"]}, {"kinds": ["no_training"], "valid_until": "2026-02-01"}
                )
            },
            Code.AGREEMENT_EXPIRED,
            id="no training, no longer",
        ),
    ],
)
def test_an_entry_that_takes_no_traffic_now(changed: dict[str, object], code: Code) -> None:
    """Dates and evidence decide; whatever is missing means no."""
    assert code_of(Registry([entry(**changed)])) is code


WINDOWS = [
    pytest.param("2026-01-01", {"agreements": agreements({"valid_from": "2025-01-01"})}, "begins", id="effective"),
    pytest.param("2026-01-10", {}, "begins", id="agreement begins"),
    pytest.param("2027-01-10", {}, "ends", id="agreement ends"),
    pytest.param("2026-12-01", {"review_by": "2026-12-01"}, "ends", id="review due"),
    pytest.param("2026-12-01T09:30:00Z", {"suspended": "2026-12-01T09:30:00Z"}, "ends", id="suspended"),
    pytest.param("2026-12-01", {"retired": "2026-12-01"}, "ends", id="retired"),
]  # fmt: skip


@pytest.mark.parametrize(("instant", "changed", "what"), WINDOWS)
def test_windows_are_half_open(instant: str, changed: dict[str, object], what: str) -> None:
    """At an edge, a microsecond decides: what begins holds at its instant, what ends does not."""
    registry = Registry([entry(**changed)])
    edge = datetime.fromisoformat(instant.replace("Z", "")).replace(tzinfo=UTC)

    held = []
    for now in (edge - MICROSECOND, edge, edge + MICROSECOND):
        try:
            held.append(route(registry, now=now).processor == "toy")
        except Refused:
            held.append(False)

    assert held == ([False, True, True] if what == "begins" else [True, False, False])


@pytest.mark.parametrize(
    ("now", "changed", "state"),
    [
        pytest.param("2025-11-30", {}, State.DRAFT, id="before it was announced"),
        pytest.param("2025-12-15", {}, State.ANNOUNCED, id="in its days of notice"),
        pytest.param("2026-01-05", {}, State.ANNOUNCED, id="effective, its agreement not yet"),
        pytest.param("2026-06-01", {}, State.ACTIVE, id="in force"),
        pytest.param("2027-02-01", {}, State.EXPIRED, id="its agreement over"),
        pytest.param("2027-07-01", {}, State.EXPIRED, id="its review overdue"),
        pytest.param("2026-06-01", {"suspended": True}, State.SUSPENDED, id="suspended"),
        pytest.param("2026-06-01", {"retired": "2026-05-01"}, State.RETIRED, id="retired"),
        pytest.param("2026-06-01", {"retired": "2026-05-01", "suspended": True}, State.RETIRED, id="retired for good"),
        pytest.param("2026-06-01", {"example": True}, State.DRAFT, id="an example"),
    ],
)
def test_state_follows_from_dates(now: str, changed: dict[str, object], state: State) -> None:
    """The state of an entry is computed, never typed."""
    assert entry(**changed).state(datetime.fromisoformat(now).replace(tzinfo=UTC)) is state


def test_a_renewed_agreement_takes_over_without_a_gap() -> None:
    """At the instant at which one agreement ends and the next begins, the next is cited and no call is refused."""
    edge = datetime(2026, 7, 1, tzinfo=UTC)
    registry = Registry([entry(agreements=agreements({"valid_until": "2026-07-01"}, {"valid_from": "2026-07-01"}))])

    cited = [route(registry, now=now).agreement for now in (edge - MICROSECOND, edge)]

    assert cited == ["zero-0", "zero-1"]


def test_a_clock_that_jumps_activates_nothing_early() -> None:
    """The instant given decides alone: having looked at a later one leaves nothing behind."""
    registry = Registry([entry()])
    early, late = datetime(2025, 12, 31, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)

    route(registry, now=late)

    assert code_of(registry, now=early) is Code.PROCESSOR_NOT_ACTIVE


def test_the_refusal_is_that_of_the_filter_that_left_nothing() -> None:
    """Of several entries the one that came furthest gives the code; one that fits is taken all the same."""
    suspended = entry(id="a-suspended", suspended=True)
    lapsed = entry(id="b-lapsed", agreements=agreements({"valid_until": "2026-11-01"}))
    abroad = entry(id="c-abroad", countries={"processing": ["US"]})
    good = entry(id="d-good")

    codes = [
        code_of(Registry([abroad])),
        code_of(Registry([abroad, suspended])),
        code_of(Registry([abroad, suspended, lapsed])),
    ]

    assert codes == [Code.RESIDENCY_MISMATCH, Code.PROCESSOR_NOT_ACTIVE, Code.AGREEMENT_EXPIRED]
    assert route(Registry([abroad, suspended, lapsed, good])).processor == "d-good"


def test_the_choice_among_several_is_always_the_same() -> None:
    """Fewest countries first, then the id, whatever the order in which the entries came."""
    wide = entry(id="a-wide", countries={"processing": ["EU27"]})
    near = entry(id="c-near", countries={"processing": ["DE"]})
    other = entry(id="b-other", countries={"processing": ["FR"]})
    anywhere = entry(id="0-anywhere", countries={"processing": ["WORLD"]})
    tenant = Tenant("t", expand(["WORLD"]))

    chosen = {
        route(Registry(order), tenant=tenant).processor
        for order in itertools.permutations([wide, near, other, anywhere])
    }

    assert chosen == {"b-other"}
    assert route(Registry([wide, near, other]), tenant=tenant, narrowed_to="a-wide").processor == "a-wide"


def test_an_entry_that_may_be_anywhere_fits_only_who_accepts_it() -> None:
    """`WORLD` is more than every country by name: only a tenant that says WORLD fits."""
    registry = Registry([entry(countries={"processing": ["WORLD"]})])

    assert route(registry, tenant=Tenant("t", expand(["WORLD"]))).countries == ("ZZ",)
    assert code_of(registry, tenant=Tenant("t", expand(["WORLD"]) - {"ZZ"})) is Code.RESIDENCY_MISMATCH


@pytest.mark.parametrize("set_of_tenant", ["EU27", "EEA", "EEA_CH"])
@pytest.mark.parametrize("set_of_entry", ["EU27", "EEA", "EEA_CH"])
def test_a_wider_europe_does_not_fit_a_narrower_one(set_of_tenant: str, set_of_entry: str) -> None:
    """The whole set must lie inside: an EEA and Swiss endpoint is nothing for an EU tenant."""
    registry = Registry([entry(countries={"processing": [set_of_entry]})])
    order = ["EU27", "EEA", "EEA_CH"]

    fits = order.index(set_of_entry) <= order.index(set_of_tenant)

    tenant = Tenant("t", expand([set_of_tenant]))
    assert (set_of_entry in order) and (
        route(registry, tenant=tenant).processor == "toy" if fits else code_of(registry, tenant=tenant)
    )


def test_models_lists_what_may_be_used_now() -> None:
    """Only zero-retention models of an open, active entry are listed, aliases included, in order."""
    registry = Registry(
        [entry(), entry(id="us", countries={"processing": ["US"]}, models=[{"id": "us", "retention_class": "zero"}])]
    )

    assert registry.models(wire="toy", tenant=EUROPEAN, now=NOW) == ("big", "large", "listener")
    assert registry.models(wire="toy", tenant=EUROPEAN, now=datetime(2027, 3, 1, tzinfo=UTC)) == ()
    assert registry.models(wire="other", tenant=EUROPEAN, now=NOW) == ()


def test_endpoints_leave_examples_out() -> None:
    """Nothing is ever connected to for an entry that can take no traffic."""
    registry = Registry([entry(), entry(id="sketch", base_url="https://sketch.example", example=True)])

    assert list(registry.endpoints) == [("https://eu.toy.example", False)]


def test_a_callers_words_are_not_remembered() -> None:
    """Asking for a million models or processors that are not there leaves no trace in memory."""
    registry = Registry([entry()])

    for number in range(100):
        code_of(registry, model=f"no-{number}")
        code_of(registry, narrowed_to=f"no-{number}")

    assert len(registry._answers) == 0
