"""Nothing comes into force without its approvals, and what the state says of the past is proved, not believed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.audit.configurations import keep_configuration
from gateway.change.chain import Chain, ChainBroken, NotApplied
from gateway.change.control import OFF, require_approval, warnings
from gateway.change.statement import Approval, approve
from gateway.config import Bundle
from gateway.errors import ConfigurationError
from gateway.keys import KeyFault, Signer, make_approver_key, public_key_id, read_approver_key
from tests.gateway.change.controlled import (
    ADA,
    CONTROLLED,
    EDITH,
    GRACE,
    LATER,
    NOW,
    STRANGER,
    House,
    begun,
    control,
    house,
)
from tests.gateway.config.small import FILES, WIRES

PROCESSOR = FILES["processors/toy-eu.yaml"]
SUSPENDED = {"processors/toy-eu.yaml": PROCESSOR.replace("suspended: false", "suspended: true")}
ELSEWHERE = {"processors/toy-eu.yaml": PROCESSOR.replace("https://eu.toy", "https://else.toy")}


def serves(made: House, bundle: Bundle) -> bool:
    """Whether a gateway on this state would serve it."""
    made.chain = Chain(made.state, WIRES)  # nothing that was read before is remembered
    try:
        require_approval(bundle, made.state, WIRES)
    except ConfigurationError:
        return False
    return True


def reasons(made: House, bundle: Bundle) -> list[tuple[str, str]]:
    """(file, reason) of its refusal."""
    with pytest.raises(ConfigurationError) as caught:
        require_approval(bundle, made.state, WIRES)
    return [(Path(fault.file).name, fault.reason) for fault in caught.value.faults]


def test_without_approvers_everything_serves(tmp_path: Path) -> None:
    """A first start, `make run` and the examples are as they were; that it is off is said."""
    made = house(tmp_path)
    bundle = made.version(**{"gateway.yaml": FILES["gateway.yaml"]})

    require_approval(bundle, made.state, WIRES)

    assert warnings(bundle) == [OFF]
    with pytest.raises(NotApplied, match="change control is off"):
        made.chain.propose(bundle.preimage, LATER, NOW)


def test_the_first_needs_two_of_its_own_approvers(tmp_path: Path) -> None:
    """A configuration that lists approvers serves once two of them agreed to it."""
    made = house(tmp_path)
    first = made.version()
    refused = reasons(made, first)
    one = made.proposed(first, EDITH)
    with pytest.raises(NotApplied, match="1 of 2 approvals"):
        made.chain.apply(one, NOW)

    made.applied(first, ADA, GRACE)

    assert [name for name, _why in refused] == ["gateway.yaml"]
    assert serves(made, first)
    assert warnings(first) == []


@pytest.mark.parametrize(
    ("changed", "signers", "enough"),
    [
        pytest.param(SUSPENDED, (), False, id="narrowing, by nobody"),
        pytest.param(SUSPENDED, (EDITH,), True, id="narrowing, by one"),
        pytest.param(ELSEWHERE, (ADA,), False, id="widening, by one"),
        pytest.param(ELSEWHERE, (ADA, EDITH), True, id="widening, by two"),
        pytest.param({**SUSPENDED, "gateway.yaml": CONTROLLED.replace("../state", "../s2")}, (ADA,), False, id="both"),
    ],
)
def test_approvals_in_proportion(
    tmp_path: Path, changed: dict[str, str], signers: tuple[Signer, ...], enough: bool
) -> None:
    """A change serves with as many approvals as it needs; with fewer the one before serves on, and only that."""
    made, first = begun(tmp_path)
    second = made.version(**changed)
    proposal = made.proposed(second, *signers)

    if enough:
        made.chain.apply(proposal, NOW)
    else:
        with pytest.raises(NotApplied, match=f"{len(signers)} of"):
            made.chain.apply(proposal, NOW)

    assert (serves(made, second), serves(made, first)) == (enough, not enough)


def test_a_refusal_names_the_files(tmp_path: Path) -> None:
    """Each file that is not as it was approved is told, with what to do."""
    made, _first = begun(tmp_path)
    second = made.version(**ELSEWHERE, **{"schemas/more.json": FILES["schemas/summary.json"].replace("summary", "x")})

    found = reasons(made, second)

    assert [name for name, _why in found] == ["toy-eu.yaml", "schemas"]
    assert all("gateway change propose" in why for _name, why in found)


Signing = Callable[[House, Bundle], Approval]


def _of(made: House, bundle: Bundle, signer: Signer) -> Approval:
    return approve(made.proposed(bundle).statement, signer)


def _another_digest(made: House, _bundle: Bundle) -> Approval:
    return _of(made, made.version(**SUSPENDED), GRACE)


def _broken(made: House, bundle: Bundle) -> Approval:
    good = _of(made, bundle, GRACE)
    return replace(good, signature=bytes([good.signature[0] ^ 1, *good.signature[1:]]))


def _under_a_false_name(made: House, bundle: Bundle) -> Approval:
    return replace(_of(made, bundle, STRANGER), key=public_key_id(GRACE.public))


NOBODYS: dict[str, Signing] = {
    "a broken signature": _broken,
    "a foreign key": lambda made, bundle: _of(made, bundle, STRANGER),
    "a foreign key under an approver's id": _under_a_false_name,
    "an approval of another digest": _another_digest,
    "no signature": lambda _made, _bundle: Approval(public_key_id(GRACE.public), b""),
    "the same approver twice": lambda made, bundle: _of(made, bundle, ADA),
}


@pytest.mark.parametrize("name", NOBODYS)
def test_an_approval_that_is_none(tmp_path: Path, name: str) -> None:
    """It is turned away, and one that is put into the files by hand does not count."""
    made, first = begun(tmp_path)
    second = made.version(**ELSEWHERE)
    proposal = made.proposed(second, ADA)
    false = NOBODYS[name](made, second)
    with pytest.raises(NotApplied):
        made.chain.approve(proposal, false, NOW)

    forged = made.chain._keep(replace(proposal, approvals=(*proposal.approvals, false)))
    with pytest.raises(NotApplied, match="1 of 2 approvals"):
        made.chain.apply(forged, NOW)

    assert (serves(made, second), serves(made, first)) == (False, True)


def test_a_statement_that_makes_itself_small(tmp_path: Path) -> None:
    """How many must approve is found anew: a statement that says one for a change that needs two is not enough."""
    made, _first = begun(tmp_path)
    second = made.version(**ELSEWHERE)
    honest = made.proposed(second)
    small = made.chain._keep(replace(honest, statement=replace(honest.statement, needs=1, kinds=("words",))))
    made.chain.approve(small, approve(small.statement, ADA), NOW)

    with pytest.raises(NotApplied, match="1 of 2 approvals"):
        made.chain.apply(small, NOW)


def test_a_fork_is_not_served(tmp_path: Path) -> None:
    """Of two that were approved on the same parent only the first comes into force."""
    made, _first = begun(tmp_path)
    second, third = made.version(**ELSEWHERE), made.version(**SUSPENDED)
    one, other = made.proposed(second, ADA, GRACE), made.proposed(third, ADA, GRACE)
    made.chain.apply(one, NOW)

    with pytest.raises(NotApplied, match="another configuration than the one in force"):
        made.chain.apply(other, NOW)
    with pytest.raises(NotApplied, match="another configuration than the one in force"):
        made.chain.approve(other, approve(other.statement, EDITH), NOW)

    assert (serves(made, second), serves(made, third)) == (True, False)


def test_an_approval_counts_once(tmp_path: Path) -> None:
    """After a return to the parent, the approvals of the change that was taken back do not bring it back."""
    made, first = begun(tmp_path)
    wide = made.version(**ELSEWHERE)
    old = made.applied(wide, ADA, GRACE)
    made.applied(first, ADA, GRACE)

    with pytest.raises(NotApplied, match="another configuration than the one in force"):
        made.chain.apply(replace(old, applied=None), NOW)

    assert (serves(made, wide), serves(made, first)) == (False, True)


@pytest.mark.parametrize(
    ("after", "applied"),
    [pytest.param(-1, True, id="a second before"), pytest.param(0, False, id="at"), pytest.param(1, False, id="after")],
)
def test_a_proposal_expires(tmp_path: Path, after: int, applied: bool) -> None:
    """At its last instant a proposal can neither be approved nor applied any more."""
    made, _first = begun(tmp_path)
    second = made.version(**ELSEWHERE)
    proposal = made.proposed(second, ADA, GRACE)
    now = LATER + timedelta(seconds=after)

    if applied:
        made.chain.apply(proposal, now)
    else:
        for attempt in (
            lambda: made.chain.apply(proposal, now),
            lambda: made.chain.approve(proposal, approve(proposal.statement, EDITH), now),
        ):
            with pytest.raises(NotApplied, match="expired"):
                attempt()

    assert serves(made, second) is applied


def test_a_key_expires(tmp_path: Path) -> None:
    """An approver whose time has ended approves nothing; what was approved before holds."""
    made = house(tmp_path)
    limited = made.version(**{"gateway.yaml": FILES["gateway.yaml"] + control(grace="2026-11-26")})
    made.applied(limited, ADA, GRACE)
    changed = {"gateway.yaml": FILES["gateway.yaml"] + control(grace="2026-11-26"), **ELSEWHERE}
    second = made.version(**changed)
    late = NOW + timedelta(days=1)
    proposal = made.proposed(second, ADA, at=late)

    with pytest.raises(NotApplied, match="or has expired"):
        made.chain.approve(proposal, approve(proposal.statement, GRACE), late)

    assert serves(made, limited)


def test_the_approvers_are_those_of_the_parent(tmp_path: Path) -> None:
    """Whom a change adds cannot approve that change, and whom it removes can; afterwards it is the other way round."""
    made, _first = begun(tmp_path)
    swapped = {"gateway.yaml": CONTROLLED.replace(EDITH.public.hex(), STRANGER.public.hex())}
    second = made.version(**swapped)
    proposal = made.proposed(second, EDITH)
    with pytest.raises(NotApplied, match="not that of an approver"):
        made.chain.approve(proposal, approve(proposal.statement, STRANGER), NOW)
    made.chain.apply(made.chain.approve(proposal, approve(proposal.statement, ADA), NOW), NOW)

    third = made.proposed(made.version(**swapped, **SUSPENDED))
    with pytest.raises(NotApplied, match="not that of an approver"):
        made.chain.approve(third, approve(third.statement, EDITH), NOW)

    assert made.chain.approve(third, approve(third.statement, STRANGER), NOW).approvals


def test_change_control_ends_only_by_two(tmp_path: Path) -> None:
    """Taking the approvers out of the file does not switch it off; two of them do, and it can begin again."""
    made, _first = begun(tmp_path)
    without = made.version(**{"gateway.yaml": FILES["gateway.yaml"]})
    before = serves(made, without)
    made.applied(without, ADA, GRACE)
    anything = made.version(**{"gateway.yaml": FILES["gateway.yaml"], **ELSEWHERE})
    free = serves(made, anything)
    again = made.version()
    refused = serves(made, again)
    made.applied(again, GRACE, EDITH)

    assert (before, free, refused, serves(made, again)) == (False, True, False, True)


def _cut(made: House) -> None:
    lines = made.chain.path.read_bytes().splitlines(keepends=True)
    made.chain.path.write_bytes(b"".join(lines[:-1]))


def _edit(made: House, change: Callable[[dict[str, object]], object]) -> None:
    lines = [json.loads(line) for line in made.chain.path.read_bytes().splitlines()]
    change(lines[-1])
    made.chain.path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def _statement(made: House, **changed: object) -> None:
    _edit(made, lambda link: link["statement"].update(changed))  # type: ignore[attr-defined]  # it is a mapping


DAMAGE: dict[str, Callable[[House], object]] = {
    "the last link cut off": _cut,
    "not JSON": lambda made: made.chain.path.write_bytes(b"{\n"),
    "an approval taken away": lambda made: _edit(made, lambda link: link["approvals"].pop()),  # type: ignore[attr-defined]
    "no approvals": lambda made: _edit(made, lambda link: link.update(approvals=[], statement={**link["statement"], "needs": 1})),  # type: ignore[dict-item]
    "another digest": lambda made: _statement(made, digest="ab" * 32),
    "another parent": lambda made: _statement(made, parent="ab" * 32),
    "another place": lambda made: _statement(made, number=7),
    "a later end": lambda made: _statement(made, until="2036-01-01T00:00:00Z"),
    "an unknown key": lambda made: _edit(made, lambda link: link.update(more=1)),
    "an approval that is none": lambda made: _edit(made, lambda link: link["approvals"].append({"key": "0" * 16, "signature": "00" * 64})),  # type: ignore[attr-defined]
    "never applied": lambda made: _edit(made, lambda link: link.pop("applied")),
    "what the digests are of is gone": lambda made: [
        path.unlink() for path in (made.state / "changes" / "configurations").glob("*.json")
    ],
    "what the digests are of is another": lambda made: [
        path.write_bytes(b"[{}, []]") for path in (made.state / "changes" / "configurations").glob("*.json")
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_a_chain_that_was_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Whoever writes the state and holds no key only makes the gateway refuse what was in force."""
    made, _first = begun(tmp_path)
    second = made.version(**ELSEWHERE)
    made.applied(second, ADA, GRACE)
    assert serves(made, second)

    DAMAGE[name](made)
    _forget(monkeypatch)

    assert not serves(made, second)
    assert not serves(made, made.version(**SUSPENDED))


def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that starts: what was read of digests is read anew."""
    from gateway.change import chain  # noqa: PLC0415

    monkeypatch.setattr(chain, "_control", chain._control.__wrapped__)
    monkeypatch.setattr(chain, "_NEEDED", {})


def test_a_chain_that_is_gone(tmp_path: Path) -> None:
    """A state in which a controlled configuration was once in force does not start over, with or without approvers."""
    made, first = begun(tmp_path)
    keep_configuration(made.state / "log", first.digest, first.preimage)
    made.chain.path.unlink()

    for bundle in (first, made.version(**{"gateway.yaml": FILES["gateway.yaml"]})):
        assert "is gone" in reasons(made, bundle)[0][1]
    with pytest.raises(ChainBroken):
        made.chain.propose(first.preimage, LATER, NOW)


def test_a_small_link_in_the_middle(tmp_path: Path) -> None:
    """A link of the past is proved like the last: one that widened with a single approval breaks all that follow."""
    made, _first = begun(tmp_path)
    wide, narrow = made.version(**ELSEWHERE), made.version(
        **{"processors/toy-eu.yaml": ELSEWHERE["processors/toy-eu.yaml"].replace("suspended: false", "suspended: true")}
    )  # fmt: skip
    made.applied(wide, ADA, GRACE)
    made.applied(narrow, EDITH)
    assert serves(made, narrow)

    lines = [json.loads(line) for line in made.chain.path.read_bytes().splitlines()]
    lines[1]["approvals"].pop()
    made.chain.path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")

    assert not serves(made, narrow)


def test_a_tenants_residency_is_one_that_was_approved(tmp_path: Path) -> None:
    """Tenants come without approval, but only within `change.residency`; one that is cancelled does not count."""
    made, _first = begun(tmp_path)
    tenants = FILES["tenants.yaml"]

    within = made.version(**{"tenants.yaml": tenants.replace("[CA, US]", "[US]")})
    wider = made.version(**{"tenants.yaml": tenants.replace("[CA, US]", "[CA, US, MX]")})

    assert serves(made, within)
    assert [name for name, _why in reasons(made, wider)] == ["tenants.yaml"]


def test_an_approvers_key_is_a_file_of_its_own(tmp_path: Path) -> None:
    """It is made once, for its owner alone, and read back; what is none is turned away without a word of it."""
    path = tmp_path / "ada.key"
    made = make_approver_key(path)

    assert read_approver_key(path).public == made.public
    assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(KeyFault, match="never replaced"):
        make_approver_key(path)
    path.chmod(0o640)
    with pytest.raises(KeyFault, match="others may use it"):
        read_approver_key(path)
    path.chmod(0o600)
    path.write_text("zrg-approver-private 00", encoding="ascii")
    with pytest.raises(KeyFault, match="not the key of an approver"):
        read_approver_key(path)
