"""How a secret is shown to a provider, where it is not as the wire itself does: as a bearer, or as a signature.

Signature: AWS Signature Version 4 (IAM User Guide, create a signed request) for what is sent here: no query, and a path
whose segments are encoded twice in the canonical form, as every service but S3 does it. Pure: the instant is an
argument. Held against the signatures of botocore 1.44.8 in `tests/vectors/sigv4.json`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, Literal, TypeAlias
from urllib.parse import quote

from msgspec import Struct

Scheme: TypeAlias = Literal["wire", "bearer", "api_key", "aws_sigv4"]
"""As an entry writes it under `credential`: `wire` is what the wire's own clients do."""

BEDROCK: Final = "bedrock"
"""The signing name of the only service that is signed for (botocore 1.44: `signingName` of all its endpoints)."""

_ALGORITHM: Final = "AWS4-HMAC-SHA256"


class NotAKeyPair(ValueError):
    """The secret is not ACCESS_KEY_ID:SECRET or ACCESS_KEY_ID:SECRET:SESSION_TOKEN. Holds nothing of it."""


class Signed(Struct, frozen=True):
    """What a signature is over. `path` is as it is sent; `headers` are beside Host and the date."""

    method: str
    host: str
    path: str
    body: bytes
    region: str
    headers: Mapping[str, str] = {}
    service: str = BEDROCK


def bearer(secret: str) -> dict[str, str]:
    """The header of a key that is a bearer (RFC 6750 section 2.1)."""
    return {"Authorization": f"Bearer {secret}"}


def api_key(secret: str) -> dict[str, str]:
    """The header of a resource's key (Microsoft, Azure OpenAI reference, authentication)."""
    return {"api-key": secret}


SHOWN: Final[Mapping[str, Callable[[str], Mapping[str, str]]]] = {"bearer": bearer, "api_key": api_key}
"""How a secret is shown that needs nothing of the request. `wire` is the wire's own way."""


def signature(request: Signed, secret: str, at: datetime) -> dict[str, str]:
    """The headers that sign a request with a key pair at an instant (aware, UTC).

    Raises:
        NotAKeyPair: the secret is not one.
    """
    identity, key, token = _pair(secret)
    stamp = f"{at:%Y%m%dT%H%M%SZ}"
    scope = f"{at:%Y%m%d}/{request.region}/{request.service}/aws4_request"
    own = {"X-Amz-Date": stamp} | ({"X-Amz-Security-Token": token} if token else {})
    named = {
        name.lower(): " ".join(value.split())
        for name, value in {"host": request.host, **request.headers, **own}.items()
    }
    names = ";".join(sorted(named))
    lines = "".join(f"{name}:{named[name]}\n" for name in sorted(named))
    path = quote(request.path, safe="/-_.~")
    canonical = f"{request.method}\n{path}\n\n{lines}\n{names}\n{hashlib.sha256(request.body).hexdigest()}"
    text = f"{_ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signing = f"AWS4{key}".encode()
    for part in scope.split("/"):
        signing = _mac(signing, part)
    proof = _mac(signing, text).hex()
    return {
        **own,
        "Authorization": f"{_ALGORITHM} Credential={identity}/{scope}, SignedHeaders={names}, Signature={proof}",
    }


def _pair(secret: str) -> tuple[str, str, str]:
    identity, _colon, rest = secret.partition(":")
    key, _colon, token = rest.partition(":")
    if not (identity.isalnum() and len(identity) >= 16 and key) or ":" in token:
        raise NotAKeyPair
    return identity, key, token


def _mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
