"""A provider of identities: discovery, authorization with PKCE, tokens signed for real, and every way to do it wrong.

Our own, over joserfc and aiohttp, on a free port. It checks what a provider must (RFC 7636 section 4.6, RFC 6749 section
4.1.3), so a client that leaves something out is refused here.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from urllib.parse import urlencode

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

CLIENT, SECRET = "audit-pages", "a-secret-of-tests"


@dataclass(slots=True)
class Provider:
    """The provider. What a test changes: `claims` of the next token, `forge` (see `_token`), `answers` by path."""

    claims: dict[str, object] = field(default_factory=dict)
    forge: str = ""
    algorithm: str = "ES256"
    down: bool = False
    issuer: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)
    _keys: dict[str, ECKey | RSAKey] = field(default_factory=dict)
    _runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen."""
        self._keys = {
            "ES256": ECKey.generate_key("P-256", {"kid": "one", "use": "sig", "alg": "ES256"}),
            "RS256": RSAKey.generate_key(2048, {"kid": "two", "use": "sig", "alg": "RS256"}),
        }
        app = web.Application()
        app.router.add_get("/.well-known/openid-configuration", self._discovery)
        app.router.add_get("/keys", self._jwks)
        app.router.add_get("/authorize", self._authorize)
        app.router.add_post("/token", self._token)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.issuer = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Stop."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _discovery(self, _request: web.Request) -> web.Response:
        if self.down:
            return web.Response(status=503)
        issuer = "https://another.example" if self.forge == "issuer" else self.issuer
        token = "http://elsewhere.example/token" if self.forge == "plain token endpoint" else f"{self.issuer}/token"
        return web.json_response(
            {
                "issuer": issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": token,
                "jwks_uri": f"{self.issuer}/keys",
            }
        )

    async def _jwks(self, _request: web.Request) -> web.Response:
        return web.json_response(KeySet(list(self._keys.values())).as_dict(private=False))

    async def _authorize(self, request: web.Request) -> web.Response:
        asked = dict(request.query)
        self.asked.append(asked)
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked
        back = {"code": code, "state": asked["state"], "iss": self.issuer}
        raise web.HTTPFound(f"{asked['redirect_uri']}?{urlencode(back)}")

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        asked = self._codes.pop(str(form.get("code")), None)
        challenge = (
            urlsafe_b64encode(hashlib.sha256(str(form.get("code_verifier")).encode()).digest()).rstrip(b"=").decode()
        )
        if (
            asked is None
            or challenge != asked["code_challenge"]
            or form.get("redirect_uri") != asked["redirect_uri"]
            or (form.get("client_id"), form.get("client_secret")) != (CLIENT, SECRET)
        ):
            return web.json_response({"error": "invalid_grant"}, status=400)
        return web.json_response({"access_token": "unused", "token_type": "Bearer", "id_token": self._sign(asked)})

    def _sign(self, asked: dict[str, str]) -> str:
        now = int(time.time())
        claims: dict[str, object] = {
            "iss": self.issuer, "aud": CLIENT, "sub": "ada", "exp": now + 300, "iat": now, "nonce": asked["nonce"],
            "amr": ["pwd", "mfa"], "groups": ["audit-security"], **self.claims,
        }  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        key = self._keys[self.algorithm]
        header: dict[str, object] = {"alg": self.algorithm, "kid": key.kid}
        if self.forge == "another key":
            key = ECKey.generate_key("P-256", {"kid": "one"})
        if self.forge == "no algorithm":
            return jwt.encode({"alg": "none"}, claims, key, algorithms=["none"])
        if self.forge == "symmetric":  # the public key as if it were a secret: the confusion of algorithms
            from joserfc.jwk import OctKey  # noqa: PLC0415

            public = self._keys["RS256"].as_pem(private=False)
            return jwt.encode({"alg": "HS256", "kid": "two"}, claims, OctKey.import_key(public), algorithms=["HS256"])
        written = jwt.encode(header, claims, key)
        if self.forge == "changed":
            head, body, signature = written.split(".")
            return f"{head}.{body[:-2]}{'AA' if body[-2:] != 'AA' else 'BB'}.{signature}"
        return written
