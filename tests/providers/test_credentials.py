"""Secrets as they are shown: bearers, and signatures that are botocore's own to the byte."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from providers.credentials import NotAKeyPair, Signed, bearer, signature

ROOT = Path(__file__).resolve().parents[2]
VECTORS = json.loads((ROOT / "tests" / "vectors" / "sigv4.json").read_text("utf-8"))


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


WATCHED = """
import sys
touched = []
def watch(event, arguments):
    if event == "open" and not str(arguments[0]).endswith((".py", ".pyc", ".so")) and "w" not in str(arguments[1]):
        touched.append(str(arguments[0]))
    # urllib3, which comes along, tries at its import whether loopback has an IPv6 address; it connects nowhere
    if event.startswith("socket.") and event not in ("socket.__new__", "socket.bind"):
        touched.append(event)
from datetime import datetime
from providers.credentials import Signed, prepare, signature
assert "botocore" not in sys.modules
prepare(["wire", "bearer"])
assert "botocore" not in sys.modules
import logging
sys.addaudithook(watch)
prepare(["aws_sigv4"])
logging.basicConfig(level=0, stream=sys.stderr)
request = Signed("GET", "bedrock.eu-west-1.amazonaws.com", "/data-retention", b"", "eu-west-1")
print(signature(request, sys.argv[1], datetime.fromisoformat("2026-01-01T00:00:00Z")))
print(touched)
"""


def test_signing_reads_nothing_and_says_nothing(tmp_path: Path) -> None:
    """The library comes in where something is signed; no profile, variable, file, socket or log line goes with it."""
    profile = tmp_path / "config"
    profile.write_text("[default]\nregion = us-east-1\naws_access_key_id = AKIDOTHEROTHEROTHE00\n", "ascii")
    astray = {
        "AWS_CONFIG_FILE": str(profile), "AWS_SHARED_CREDENTIALS_FILE": str(profile), "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "AKIDOTHEROTHEROTHE00", "AWS_SECRET_ACCESS_KEY": "other", "AWS_SESSION_TOKEN": "other",
    }  # fmt: skip

    def made(environment: dict[str, str]) -> list[str]:
        command = [sys.executable, "-c", WATCHED, "AKIDEXAMPLEEXAMPLE00:key:token-of-a-session"]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment, timeout=60
        )
        assert done.stderr == ""
        return done.stdout.splitlines()

    usual = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    assert made({**usual, **astray}) == made(usual)
    assert made(usual)[1] == "[]"
