"""Purposes: which may carry content, from when, and which may never be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from gateway.errors import Code, Refused
from gateway.policy.notices import Announced
from gateway.policy.purposes import CONTENT, LawfulBasis, PolicyPurpose, Purpose, PurposeForm, check_purposes

ANNOUNCED = datetime(2026, 1, 1, tzinfo=UTC)
EFFECTIVE = ANNOUNCED + timedelta(days=30)
NOTICE = Announced.model_construct(announced=ANNOUNCED, effective=EFFECTIVE, document_sha256="a" * 64)


def purpose(policy: PolicyPurpose = "running_the_service", name: str = "summary") -> Purpose:
    form = PurposeForm.model_construct(policy=policy, lawful_basis="contract", data="personal", notice=NOTICE)
    return Purpose(name, form)


def test_there_are_six_of_the_policy_and_six_lawful_bases() -> None:
    """The closed lists are as long as the documents that they come from."""
    assert len(get_args(PolicyPurpose)) == 6
    assert len(get_args(LawfulBasis)) == 6


@pytest.mark.parametrize("policy", get_args(PolicyPurpose))
def test_content_leaves_to_run_the_service_or_keep_it_secure(policy: PolicyPurpose) -> None:
    """Under any other purpose of the policy a content call is refused, at any time."""
    asked = purpose(policy)

    if policy in CONTENT:
        asked.permit(EFFECTIVE, 0)
    else:
        with pytest.raises(Refused) as caught:
            asked.permit(EFFECTIVE, 0)
        assert caught.value.code is Code.PURPOSE_NOT_ALLOWED


@pytest.mark.parametrize(
    ("days", "first"),
    [
        pytest.param(0, EFFECTIVE, id="the usual notice"),
        pytest.param(10, EFFECTIVE, id="a shorter promise changes nothing"),
        pytest.param(60, ANNOUNCED + timedelta(days=60), id="a longer promise"),
    ],
)
def test_a_purpose_waits_for_its_notice(days: int, first: datetime) -> None:
    """Calls under a new purpose are refused until the instant at which this tenant's notice has run."""
    asked = purpose()

    with pytest.raises(Refused) as caught:
        asked.permit(first - timedelta(microseconds=1), days)
    asked.permit(first, days)

    assert caught.value.code is Code.PURPOSE_NOT_ALLOWED


@pytest.mark.parametrize(
    "name",
    ["emotion", "rep_emotions", "mood-check", "training", "model_training", "finetuning", "fine_tune", "distill"],
)
def test_what_may_never_be(name: str) -> None:
    """Inferring emotions and training models is a fault whatever else is written."""
    faults: list[object] = []

    check_purposes({name: purpose().form}, 30, lambda path, _reason: faults.append(path))

    assert faults == [("purposes", name)]


@pytest.mark.parametrize("name", ["coaching_feedback", "constraint_check", "affected_accounts", "restraint"])
def test_words_that_only_look_alike(name: str) -> None:
    """A name that merely contains such a word is none."""
    faults: list[object] = []

    check_purposes({name: purpose().form}, 30, lambda path, _reason: faults.append(path))

    assert faults == []
