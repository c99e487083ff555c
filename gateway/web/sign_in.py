"""Signing in with OpenID Connect: the code flow with PKCE, a second factor in the token, and a seat by a claim.

Tokens are checked by joserfc: signature under the issuer's own keys, issuer, audience, times and nonce. The name of a
person goes no further than the book of access.

Sources: OpenID Connect Core 1.0 sections 3.1.2 and 3.1.3.7; OpenID Connect Discovery 1.0 section 4; RFC 7636 (PKCE,
S256); RFC 9207 (issuer in the answer); RFC 8176 (authentication methods).
"""

from __future__ import annotations

import hashlib
import secrets
import ssl
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import cast
from urllib.parse import urlencode, urlsplit

import aiohttp
import orjson
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, KeySetSerialization

from gateway.audit.periods import DAY, EVER
from gateway.audit.scope import Scope
from gateway.audit.words import Role
from gateway.config.settings import Seat, SignIn
from gateway.policy.hosts import is_loopback

ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA", "Ed25519"]
PENDING_SECONDS = 600
MOST_PENDING = 1000
_MOST_BYTES = 256 * 1024
_LEEWAY = 60
_TIMEOUT = aiohttp.ClientTimeout(total=10)


class NotSignedIn(Exception):
    """Nobody is let in. The message is ours, says why in general, and holds nothing of a token."""


@dataclass(frozen=True, slots=True)
class Entrance:
    """Who comes in, and for how long at most (seconds, None: as every session)."""

    role: Role
    scope: Scope
    who: str
    most: float | None


@dataclass(frozen=True, slots=True)
class _Pending:
    verifier: str
    nonce: str
    browser: str
    to: str
    began: float


class OpenId:
    """The provider of identities, as this service asks it.

    Args:
        settings: how to sign in.
        secret: the client's secret, or None for a public client.
        authorities: a PEM file of roots for the issuer instead of the usual ones.
        back: the address that the provider sends people back to.
        region: of this log; a seat may be bound to others.
        clock: monotonic seconds.
        now: the time.
    """

    def __init__(
        self,
        settings: SignIn,
        secret: str | None,
        authorities: Path | None,
        back: str,
        region: str,
        clock: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self._settings, self._secret, self._back, self._region = settings, secret, back, region
        self._clock, self._now = clock, now
        self._pending: dict[str, _Pending] = {}
        self._found: dict[str, object] | None = None
        self._context: ssl.SSLContext | bool = True
        if authorities is not None:
            self._context = ssl.create_default_context(cafile=str(authorities))

    async def begin(self, to: str) -> tuple[str, str]:
        """The address to send somebody to, and a value that their browser must bring back with the answer.

        Raises:
            NotSignedIn: the provider does not answer, or not as it should.
        """
        found = await self._discover()
        for state in [key for key, held in self._pending.items() if self._clock() - held.began > PENDING_SECONDS]:
            del self._pending[state]
        while len(self._pending) >= MOST_PENDING:
            del self._pending[next(iter(self._pending))]
        state, browser = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        held = _Pending(secrets.token_urlsafe(48), secrets.token_urlsafe(32), browser, to, self._clock())
        self._pending[state] = held
        asked = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._back,
            "scope": "openid",
            "state": state,
            "nonce": held.nonce,
            "code_challenge": _challenge(held.verifier),
            "code_challenge_method": "S256",
            **({"acr_values": " ".join(self._settings.acr)} if self._settings.acr else {}),
        }
        return f"{found['authorization_endpoint']}?{urlencode(asked)}", browser

    async def finish(self, given: Mapping[str, str], browser: str) -> tuple[Entrance, str]:
        """Who came back, and where they wanted to go.

        Raises:
            NotSignedIn: the answer is not to our question, the token does not hold, or there is no seat for them.
        """
        held = self._pending.pop(given.get("state", ""), None)
        if held is None or self._clock() - held.began > PENDING_SECONDS:
            raise NotSignedIn("This sign-in was not begun here, or took too long. Begin again.")
        if not secrets.compare_digest(held.browser, browser):
            raise NotSignedIn("This sign-in was begun in another browser. Begin again.")
        if given.get("iss", self._settings.issuer) != self._settings.issuer or "code" not in given:
            raise NotSignedIn("The provider of identities did not let you in.")
        token = await self._exchange(given["code"], held.verifier)
        return self._seat(await self._claims(token, held.nonce)), held.to

    async def _exchange(self, code: str, verifier: str) -> str:
        found = await self._discover()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._back,
            "client_id": self._settings.client_id,
            "code_verifier": verifier,
        }
        if self._secret is not None:
            form["client_secret"] = self._secret
        answer = await self._ask("POST", str(found["token_endpoint"]), form)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise NotSignedIn("The provider of identities gave no identity token.")
        return token

    async def _claims(self, token: str, nonce: str) -> dict[str, object]:
        """The claims of a token that holds (OpenID Connect Core section 3.1.3.7)."""
        found = await self._discover()
        try:
            keys = KeySet.import_key_set(
                cast("KeySetSerialization", await self._ask("GET", str(found["jwks_uri"]), None))
            )
            claims = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
            jwt.JWTClaimsRegistry(
                now=lambda: round(self._now().timestamp()),
                leeway=_LEEWAY,
                iss={"essential": True, "value": self._settings.issuer},
                aud={"essential": True, "value": self._settings.client_id},
                sub={"essential": True},
                exp={"essential": True},
                iat={"essential": True},
                nonce={"essential": True, "value": nonce},
            ).validate(claims)
        except (JoseError, ValueError, TypeError, KeyError):
            raise NotSignedIn("The identity token does not hold.") from None
        azp = claims.get("azp", self._settings.client_id)
        if azp != self._settings.client_id:
            raise NotSignedIn("The identity token is another service's.")
        return cast("dict[str, object]", claims)

    def _seat(self, claims: Mapping[str, object]) -> Entrance:
        if not self._second_factor(claims):
            raise NotSignedIn("A second factor is needed: sign in again with one.")
        values = claims.get(self._settings.claim)
        held = {values} if isinstance(values, str) else set(map(str, values)) if isinstance(values, list) else set()
        now = self._now()
        for seat in self._settings.seats:
            if seat.value in held and self._open(seat, now):
                most = None if seat.expires is None else (seat.expires - now).total_seconds()
                return Entrance(Role(seat.role), scope_of(seat), str(claims["sub"])[:80], most)
        raise NotSignedIn("You are known, but there is no seat for you here.")

    def _second_factor(self, claims: Mapping[str, object]) -> bool:
        methods = claims.get("amr")
        shown = set(map(str, methods)) if isinstance(methods, list) else set()
        return bool(shown & set(self._settings.amr)) or claims.get("acr") in self._settings.acr

    def _open(self, seat: Seat, now: datetime) -> bool:
        if seat.expires is not None and seat.expires <= now:
            return False
        return seat.regions is None or self._region in seat.regions

    async def _discover(self) -> dict[str, object]:
        if self._found is None:
            found = await self._ask(
                "GET", f"{self._settings.issuer.rstrip('/')}/.well-known/openid-configuration", None
            )
            if found.get("issuer") != self._settings.issuer:
                raise NotSignedIn("The provider of identities calls itself otherwise than configured.")
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                self._refuse_plain(found.get(name))
            self._found = found
        return self._found

    async def _ask(self, method: str, url: str, form: Mapping[str, str] | None) -> dict[str, object]:
        """One bounded exchange with the provider; its answer, which is an object of JSON."""
        self._refuse_plain(url)
        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT, trust_env=False) as session,
                session.request(method, url, data=form, allow_redirects=False, ssl=self._context) as answer,
            ):
                body = await answer.content.read(_MOST_BYTES)
                if answer.status != 200 or not answer.content.at_eof():
                    raise NotSignedIn("The provider of identities does not answer as it should.")
                read = orjson.loads(body)
        except (aiohttp.ClientError, TimeoutError, OSError, orjson.JSONDecodeError):
            raise NotSignedIn("The provider of identities does not answer.") from None
        if not isinstance(read, dict):
            raise NotSignedIn("The provider of identities does not answer as it should.")
        return cast("dict[str, object]", read)

    def _refuse_plain(self, url: object) -> None:
        parts = urlsplit(url if isinstance(url, str) else "")
        plain = parts.scheme == "http" and is_loopback(parts.hostname or "")
        if not (parts.scheme == "https" or plain) or not parts.hostname:
            raise NotSignedIn("The provider of identities names an address that is not protected.")


def scope_of(seat: Seat) -> Scope:
    """What a seat may see."""
    first = 0 if seat.since is None else round(seat.since.timestamp()) * 1_000_000 // DAY
    end = EVER // DAY if seat.until is None else round(seat.until.timestamp()) * 1_000_000 // DAY
    return Scope.everyone(first, end) if seat.everyone else Scope.of(seat.tenants, first, end)


def _challenge(verifier: str) -> str:
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
