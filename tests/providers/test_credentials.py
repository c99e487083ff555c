"""Secrets as they are shown: bearers, and signatures that are botocore's own to the byte."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from providers.credentials import NotAKeyPair, Signed, bearer, signature

VECTORS = json.loads((Path(__file__).resolve().parents[1] / "vectors" / "sigv4.json").read_text("utf-8"))


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: f"{case['method']} {case['path']}")
def test_a_signature_is_botocores(case: dict[str, Any]) -> None:
    """Method, host, path, headers, body, token and date are signed as the vendor's own library signs them."""
    secret = ":".join(filter(None, [VECTORS["identity"], VECTORS["key"], case["token"]]))
    request = Signed(
        case["method"], case["host"], case["path"], case["body"].encode(), case["region"], headers=case["headers"]
    )

    made = signature(request, secret, datetime.fromisoformat(case["at"]))

    assert made["Authorization"] == case["authorization"]
    assert (made["X-Amz-Date"], made.get("X-Amz-Security-Token")) == (case["date"], case["token"])


def test_the_published_example_is_met() -> None:
    """`get-vanilla` of the vendor's own suite of 2015, which anybody can look up."""
    request = Signed("GET", "example.amazonaws.com", "/", b"", "us-east-1", service="service")
    made = signature(
        request,
        "AKIDEXAMPLE00000:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        datetime.fromisoformat("2015-08-30T12:36:00Z"),
    )

    assert made["Authorization"].endswith("Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31")


@pytest.mark.parametrize(
    "secret", ["", "AKID", "AKIDEXAMPLEEXAMPLE00", "AKIDEXAMPLEEXAMPLE00:", "short:key", "AKIDEXAMPLEEXAMPLE00:a:b:c"]
)
def test_what_is_no_key_pair_signs_nothing(secret: str) -> None:
    """And says nothing of the secret."""
    with pytest.raises(NotAKeyPair) as raised:
        signature(Signed("GET", "h", "/", b"", "eu-west-1"), secret, datetime.fromisoformat("2026-01-01T00:00:00Z"))
    assert not raised.value.args


def test_a_bearer_is_one_header() -> None:
    """As RFC 6750 has it."""
    assert bearer("abc") == {"Authorization": "Bearer abc"}
