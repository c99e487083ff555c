"""How a secret is shown to a provider, where it is not as the wire itself does: as a bearer, or as a signature.

Signature: AWS Signature Version 4 (IAM User Guide, create a signed request), by the vendor's own botocore. Of it only
the signer is used: no session, no configuration file, no environment, no socket, and not its `add_auth`, which reads
the clock and writes what it signs, session token included, to a log. So the instant is an argument, and this is pure.
Importing it takes a quarter of a second, so it is imported where a signature is to be made: `prepare` does it before.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final, Literal, TypeAlias

from msgspec import Struct

Scheme: TypeAlias = Literal["wire", "bearer", "api_key", "aws_sigv4"]
"""As an entry writes it under `credential`: `wire` is what the wire's own clients do."""

BEDROCK: Final = "bedrock"
"""The signing name of the only service that is signed for (botocore 1.44: `signingName` of all its endpoints)."""

_SIGNED: Final = "aws_sigv4"
_SIGNER: Final = ("botocore.auth", "botocore.awsrequest", "botocore.credentials")


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


def prepare(schemes: Iterable[str]) -> None:
    """Import what these schemes need, so that no call waits for it."""
    if _SIGNED in schemes:
        for name in _SIGNER:
            importlib.import_module(name)


def signature(request: Signed, secret: str, at: datetime) -> dict[str, str]:
    """The headers that sign a request with a key pair at an instant (aware, UTC).

    Raises:
        NotAKeyPair: the secret is not one.
    """
    from botocore.auth import SigV4Auth  # noqa: PLC0415  # only where something is signed
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415
    from botocore.credentials import ReadOnlyCredentials  # noqa: PLC0415

    identity, key, token = _pair(secret)
    own = {"X-Amz-Date": f"{at:%Y%m%dT%H%M%SZ}"} | ({"X-Amz-Security-Token": token} if token else {})
    # Over https the library may leave the body out, if told so; we never tell. The address is for host and path alone.
    address = f"https://{request.host}{request.path}"
    headers = {"Host": request.host, **request.headers, **own}
    asked = AWSRequest(request.method, address, headers=headers, data=request.body)
    asked.context["timestamp"] = own["X-Amz-Date"]
    signer = SigV4Auth(ReadOnlyCredentials(identity, key, token or None), request.service, request.region)
    proof = signer.signature(signer.string_to_sign(asked, signer.canonical_request(asked)), asked)
    names = signer.signed_headers(signer.headers_to_sign(asked))
    shown = f"AWS4-HMAC-SHA256 Credential={signer.scope(asked)}, SignedHeaders={names}, Signature={proof}"
    return {**own, "Authorization": shown}


def _pair(secret: str) -> tuple[str, str, str]:
    identity, _colon, rest = secret.partition(":")
    key, _colon, token = rest.partition(":")
    if not (identity.isalnum() and len(identity) >= 16 and key) or ":" in token:
        raise NotAKeyPair
    return identity, key, token
