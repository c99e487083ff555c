"""The registry in time: notice of processors and countries, exemptions, objections, transfers, halts, a clock in doubt."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.errors import Code, Refused
from gateway.policy.choice import considered, tenant_classes
from gateway.policy.countries import expand
from gateway.policy.entries import Entry, State
from gateway.policy.halts import Halts
from gateway.policy.processors import Registry
from gateway.policy.tenants import Tenant
from tests.gateway.policy.test_processors import EUROPEAN, MICROSECOND, NOW, agreements, code_of, entry, route

DIGEST = "c" * 64
ANNOUNCED = datetime(2026, 11, 1, tzinfo=UTC)
EFFECTIVE = datetime(2026, 12, 1, tzinfo=UTC)
NOTICE = {"announced": "2026-11-01", "days": 30, "effective": "2026-12-01", "document_sha256": DIGEST}
EMERGENCY = {
    "tenant": "t-eu",
    "reason": "an outage elsewhere",
    "contract": "addendum 7",
    "document_sha256": DIGEST,
    "approvers": ["Ada", "Grace"],
    "valid_from": "2026-11-10",
    "valid_until": "2026-11-20",
}


def served(entry: Entry, now: datetime, tenant: Tenant = EUROPEAN) -> bool:
    try:
        route(Registry([entry]), now=now, tenant=tenant)
    except Refused:
        return False
    return True


def first_served(entry: Entry, instants: list[datetime], tenant: Tenant = EUROPEAN) -> datetime | None:
    """The first of these instants at which it is served; each is tried a microsecond before, too."""
    tried = sorted({moment for at in instants for moment in (at - MICROSECOND, at)})
    return next((at for at in tried if served(entry, at, tenant)), None)


@pytest.mark.parametrize(
    ("days", "first"),
    [
        pytest.param(None, EFFECTIVE, id="the usual notice"),
        pytest.param(7, EFFECTIVE, id="a shorter promise changes nothing"),
        pytest.param(45, ANNOUNCED + timedelta(days=45), id="a longer promise"),
    ],
)
def test_a_new_processor_waits_for_the_tenants_notice(days: int | None, first: datetime) -> None:
    """Traffic begins at the instant at which the notice of this tenant has run, and not a microsecond before."""
    tenant = Tenant("t-eu", expand(["EU27"]), notice_days=days)

    assert first_served(entry(notice=NOTICE), [EFFECTIVE, first], tenant) == first


def test_a_further_model_needs_no_notice() -> None:
    """A model that is added under an agreement in force takes traffic at once."""
    more = entry(models=[{"id": "large", "retention_class": "zero"}, {"id": "new", "retention_class": "zero"}])

    assert route(Registry([more]), model="new").model == "new"


def test_an_emergency_is_for_one_tenant_and_its_days() -> None:
    """An exempted tenant is served before the notice has run, in its window only, and nobody else is."""
    exempting = entry(notice=NOTICE, exemptions=[EMERGENCY])
    begins, ends = datetime(2026, 11, 10, tzinfo=UTC), datetime(2026, 11, 20, tzinfo=UTC)
    other = Tenant("t-other", expand(["EU27"]))

    assert [served(exempting, at) for at in (begins - MICROSECOND, begins, ends - MICROSECOND, ends)] == [
        False, True, True, False,
    ]  # fmt: skip
    assert not served(exempting, begins, other)
    assert exempting.state(begins) is State.ANNOUNCED


def test_an_emergency_with_evidence_missing_opens_nothing() -> None:
    """One date of it still to be filled, and the entry is an example."""
    drafted = entry(notice=NOTICE, exemptions=[{**EMERGENCY, "valid_from": "TO_BE_FILLED"}])

    assert not served(drafted, datetime(2026, 11, 15, tzinfo=UTC))


def test_an_exemption_does_not_leak_through_what_was_remembered() -> None:
    """One registry asked for an exempted tenant and then for another of the same terms refuses the other."""
    registry = Registry([entry(notice=NOTICE, exemptions=[EMERGENCY])])
    at = datetime(2026, 11, 15, tzinfo=UTC)

    assert route(registry, now=at).processor == "toy"

    assert code_of(registry, now=at, tenant=Tenant("t-other", EUROPEAN.residency)) is Code.PROCESSOR_NOT_ACTIVE


ADDED = {"announced": "2026-11-01", "effective": "2026-12-01", "document_sha256": DIGEST, "reason": "more room"}


def test_a_new_country_counts_from_its_day_on() -> None:
    """Whoever does not accept it is served until that instant; the record names it from then on."""
    spreading = entry(countries={"processing": ["DE"], "added": [{**ADDED, "countries": ["CH"]}]})
    wider = Tenant("t-wide", expand(["EEA_CH"]))
    registry = Registry([spreading])

    assert route(registry, now=EFFECTIVE - MICROSECOND).countries == ("DE",)
    assert code_of(registry, now=EFFECTIVE) is Code.RESIDENCY_MISMATCH
    assert route(registry, now=EFFECTIVE, tenant=wider).countries == ("CH", "DE")


def test_a_new_country_waits_for_a_longer_notice() -> None:
    """A tenant that accepts the country, but was promised more days, is not served until they have passed."""
    spreading = entry(countries={"processing": ["DE"], "added": [{**ADDED, "countries": ["CH"]}]})
    patient = Tenant("t-wide", expand(["EEA_CH"]), notice_days=45)
    until = ANNOUNCED + timedelta(days=45)
    registry = Registry([spreading])

    assert route(registry, now=EFFECTIVE - MICROSECOND, tenant=patient).countries == ("DE",)
    assert code_of(registry, now=EFFECTIVE, tenant=patient) is Code.PROCESSOR_NOT_ACTIVE
    assert code_of(registry, now=until - MICROSECOND, tenant=patient) is Code.PROCESSOR_NOT_ACTIVE
    assert route(registry, now=until, tenant=patient).countries == ("CH", "DE")


def test_an_objection_excludes_the_tenant_and_nobody_else() -> None:
    """Who objected is not served by that entry; another one takes the call where it fits."""
    objecting = Tenant("t-no", expand(["EU27"]), objections=frozenset({"toy"}))
    other = entry(id="zz-other")

    assert code_of(Registry([entry()]), tenant=objecting) is Code.MODEL_NOT_ALLOWED
    assert route(Registry([entry(), other]), tenant=objecting).processor == "zz-other"
    assert route(Registry([entry(), other])).processor == "toy"


TRANSFER = {
    "law": "EEA",
    "mechanism": "scc",
    "reference": "module 3",
    "document_sha256": DIGEST,
    "valid_from": "2026-06-01",
    "valid_until": "2026-12-01",
}


def test_data_under_a_law_needs_a_basis_for_its_transfer() -> None:
    """Abroad, a tenant under that law is served exactly while a basis is in force."""
    abroad = entry(countries={"processing": ["US"]}, transfers=[TRANSFER])
    lawful = Tenant("t", expand(["WORLD"]), laws=frozenset({"EEA"}))
    begins = datetime(2026, 6, 1, tzinfo=UTC)
    registry = Registry([abroad])

    assert code_of(registry, tenant=lawful, now=begins - MICROSECOND) is Code.AGREEMENT_EXPIRED
    assert route(registry, tenant=lawful, now=begins).processor == "toy"
    assert code_of(registry, tenant=lawful, now=EFFECTIVE) is Code.AGREEMENT_EXPIRED


@pytest.mark.parametrize(
    ("countries", "law", "asked"),
    [
        pytest.param(["DE"], "EEA", False, id="inside the EEA"),
        pytest.param(["DE", "CH"], "EEA", True, id="Switzerland is outside the EEA"),
        pytest.param(["GB"], "UK", False, id="inside the United Kingdom"),
        pytest.param(["GB"], "EEA", True, id="the United Kingdom from the EEA"),
        pytest.param(["CH"], "CH", False, id="inside Switzerland"),
        pytest.param(["CA"], "QC", True, id="from Québec every other place is outside, Ontario, too"),
        pytest.param(["WORLD"], "EEA", True, id="anywhere"),
    ],
)
def test_where_a_law_sees_a_transfer(countries: list[str], law: str, asked: bool) -> None:
    """Within its own area a law asks for nothing; beyond it, without a basis, nobody under it is served."""
    abroad = entry(countries={"processing": countries})

    assert (abroad.uncovered([law], NOW) == [law]) is asked  # type: ignore[list-item]


def test_a_halt_counts_for_the_next_call() -> None:
    """What is halted takes nothing from the very next call on, and goes on when it is released."""
    halts = Halts()
    registry = Registry([entry()], halts)

    assert route(registry).processor == "toy"
    halts.halt("toy", Code.ATTESTATION_FAILED)
    assert code_of(registry) is Code.ATTESTATION_FAILED
    halts.release("toy")

    assert route(registry).processor == "toy"


def test_a_halted_entry_gives_way_to_another() -> None:
    """Another entry that fits takes the calls while the first is halted."""
    halts = Halts()
    registry = Registry([entry(), entry(id="zz-other")], halts)

    chosen = [route(registry).processor]
    halts.halt("toy")
    chosen.append(route(registry).processor)

    assert chosen == ["toy", "zz-other"]


# --- a clock in doubt -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("earliest", "latest", "code"),
    [
        pytest.param(EFFECTIVE - timedelta(hours=1), EFFECTIVE, Code.PROCESSOR_NOT_ACTIVE, id="a jump over the beginning"),
        pytest.param(EFFECTIVE, EFFECTIVE + timedelta(hours=1), None, id="in force at both ends"),
        pytest.param(datetime(2027, 1, 9, tzinfo=UTC), datetime(2027, 1, 10, tzinfo=UTC), Code.AGREEMENT_EXPIRED, id="over the end"),
        pytest.param(datetime(2027, 1, 9, tzinfo=UTC), datetime(2027, 1, 10, tzinfo=UTC) - MICROSECOND, None, id="up to the end"),
    ],
)  # fmt: skip
def test_a_clock_in_doubt_never_lets_more_through(earliest: datetime, latest: datetime, code: Code | None) -> None:
    """A call leaves only if it might leave at the earliest and at the latest that it may be."""
    registry = Registry([entry(notice=NOTICE)])

    def ask() -> str:
        return registry.route(
            wire="toy", operation="ask", model="large", tenant=EUROPEAN, now=earliest, latest=latest
        ).processor

    if code is None:
        assert ask() == "toy"
    else:
        with pytest.raises(Refused) as caught:
            ask()
        assert caught.value.code is code


def test_a_clock_in_doubt_does_not_change_the_processor() -> None:
    """Where the call would go elsewhere at the latest, it goes nowhere: that one may not have begun."""
    ending = entry(id="a-ending", retired="2026-12-01")
    beginning = entry(id="b-beginning", notice=NOTICE)
    registry = Registry([ending, beginning])

    with pytest.raises(Refused) as caught:
        registry.route(
            wire="toy", operation="ask", model="large", tenant=EUROPEAN, now=EFFECTIVE - MICROSECOND, latest=EFFECTIVE
        )

    assert caught.value.code is Code.PROCESSOR_NOT_ACTIVE


# --- the end that is warned of, and the choice in words ------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "ends"),
    [
        pytest.param({}, "2027-01-10", id="the agreement ends"),
        pytest.param({"review_by": "2026-12-24"}, "2026-12-24", id="the review is due"),
        pytest.param({"retired": "2026-12-12"}, "2026-12-12", id="it is retired"),
        pytest.param({"suspended": "2026-12-02"}, "2026-12-02", id="it is suspended"),
        pytest.param({"agreements": agreements({"valid_until": "2026-12-01"}, {"valid_from": "2026-12-01"})}, "2027-01-10", id="renewed without a gap"),
        pytest.param({"agreements": agreements({"valid_until": "2026-12-01"}, {"valid_from": "2026-12-02"})}, "2026-12-01", id="renewed with a gap"),
        pytest.param({"suspended": True}, None, id="not active now"),
    ],
)  # fmt: skip
def test_when_it_takes_no_more_traffic(changed: dict[str, object], ends: str | None) -> None:
    """The end that people are warned of is the first instant at which the entry itself refuses."""
    found = entry(**changed)

    until = found.ends(NOW)

    assert until == (None if ends is None else datetime.fromisoformat(ends).replace(tzinfo=UTC))
    if until is not None:
        assert (found.state(until - MICROSECOND), found.state(until) is State.ACTIVE) == (State.ACTIVE, False)


def test_a_choice_is_explained() -> None:
    """Every entry with the model is named in the order of choice, with the reason, and the one that is taken."""
    registry = Registry(
        [
            entry(id="a-abroad", countries={"processing": ["US"]}),
            entry(id="b-wide", countries={"processing": ["DE", "FR"]}),
            entry(id="c-near", countries={"processing": ["DE"]}),
            entry(id="d-soon", countries={"processing": ["IE"]}, notice=NOTICE),
            entry(
                id="e-lapsed", countries={"processing": ["IE"]}, agreements=agreements({"valid_until": "2026-11-01"})
            ),
        ]
    )

    found = considered(registry, wire="toy", operation="ask", model="large", tenant=EUROPEAN, now=NOW)

    assert [(item.processor, item.code, item.chosen) for item in found] == [
        ("a-abroad", Code.RESIDENCY_MISMATCH, False),
        ("c-near", None, True),
        ("d-soon", Code.PROCESSOR_NOT_ACTIVE, False),
        ("e-lapsed", Code.AGREEMENT_EXPIRED, False),
        ("b-wide", None, False),
    ]
    assert found[0].reason == "outside the residency: US"
    assert "2026-12-01" in found[2].reason
    assert route(registry).processor == "c-near"


def test_tenants_of_the_same_terms_are_one_class() -> None:
    """Each class has its models, and each entry that it cannot use the country or the reason."""
    registry = Registry([entry(), entry(id="swiss", countries={"processing": ["DE", "CH"]})])
    tenants = {
        "t-1": Tenant("t-1", expand(["EU27"])),
        "t-2": Tenant("t-2", expand(["EU27"])),
        "t-3": Tenant("t-3", expand(["EEA_CH"]), objections=frozenset({"toy"})),
        "t-4": Tenant("t-4", expand(["EU27"]), status="cancelled"),
    }

    first, second = tenant_classes(registry, tenants, NOW)

    assert (first.tenants, first.example, first.models) == (2, "t-1", ("toy/large", "toy/listener"))
    assert first.excluded == (("swiss", "outside the residency: CH"),)
    assert (second.example, second.excluded) == ("t-3", (("toy", "the tenant objected to it"),))
