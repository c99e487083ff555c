"""A time-stamp authority of the tests, written from RFC 3161, RFC 5652 and RFC 5816 alone: its clock is the test's."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.loopback import served

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
SINCE, UNTIL = datetime(2020, 1, 1, tzinfo=UTC), datetime(2045, 1, 1, tzinfo=UTC)
_SHA256 = "2.16.840.1.101.3.4.2.1"
_DIGESTS = {"sha256": _SHA256, "sha384": "2.16.840.1.101.3.4.2.2", "sha512": "2.16.840.1.101.3.4.2.3"}
_ECDSA = {"sha256": "1.2.840.10045.4.3.2", "sha384": "1.2.840.10045.4.3.3", "sha512": "1.2.840.10045.4.3.4"}
_RSA = {"sha256": "1.2.840.113549.1.1.11", "sha384": "1.2.840.113549.1.1.12", "sha512": "1.2.840.113549.1.1.13"}
_HASHES = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}
_CURVES = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}


def der(tag: int, *parts: bytes) -> bytes:
    """One value in DER (X.690): tag, length, content."""
    body = b"".join(parts)
    if len(body) < 128:
        return bytes([tag, len(body)]) + body
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(size)]) + size + body


def oid(dotted: str) -> bytes:
    """An object identifier."""
    first, second, *rest = map(int, dotted.split("."))
    out = bytearray()
    for arc in (40 * first + second, *rest):
        groups = [arc & 127]
        while arc := arc >> 7:
            groups.append(arc & 127 | 128)
        out += bytes(reversed(groups))
    return der(6, bytes(out))


def integer(value: int) -> bytes:
    """A whole number."""
    return der(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def make_key(kind: str) -> Key:
    """A private key: `rsa`, `p256`, `p384` or `p521`."""
    return rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(_CURVES[kind])


def certificate(
    name: str, key: Key, issuer: tuple[x509.Certificate, Key] | None, *, authority: bool, **changed: object
) -> x509.Certificate:
    """A certificate; of a time-stamp authority unless it is a certificate authority's. `changed` spoils it."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer[0].subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(changed.get("since", SINCE))  # type: ignore[arg-type]
        .not_valid_after(changed.get("until", UNTIL))  # type: ignore[arg-type]
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if authority:
        usage = x509.KeyUsage(*[False] * 5, True, *[False] * 3)  # keyCertSign
        made = made.add_extension(usage, critical=True)
    elif changed.get("usage", True):
        made = made.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=bool(changed.get("critical", True))
        )
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    made = made.add_extension(identifier, critical=False)
    signing = key if issuer is None else issuer[1]
    parent = identifier if issuer is None else x509.SubjectKeyIdentifier.from_public_key(issuer[1].public_key())
    made = made.add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(parent), critical=False)
    return made.sign(signing, hashes.SHA256())


@dataclass
class Authority:
    """An authority with a root, an intermediate and a signing certificate of one kind of key.

    `spoil` changes a token before it is signed; `answer` replaces the whole answer; `silent` makes it answer 503.
    """

    now: Callable[[], int]
    kind: str = "p256"
    digest: str = "sha256"
    leaf: dict[str, object] = field(default_factory=dict)
    spoil: Callable[[dict[str, bytes]], None] = lambda _parts: None
    answer: bytes | None = None
    silent: bool = False
    asked: int = 0
    port: int = 0

    def __post_init__(self) -> None:
        self._root_key, middle_key, self._key = (make_key(self.kind) for _ in range(3))
        self.root = certificate("Test Root", self._root_key, None, authority=True)
        self._middle = certificate("Test Stamps CA", middle_key, (self.root, self._root_key), authority=True)
        self.certificate = certificate(
            "Test Stamps", self._key, (self._middle, middle_key), authority=False, **self.leaf
        )

    @property
    def roots(self) -> bytes:
        """What an auditor trusts, as PEM."""
        return self.root.public_bytes(Encoding.PEM)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stamp(self, question: bytes) -> bytes:
        """The answer (TimeStampResp) to a question (TimeStampReq)."""
        imprint, nonce = _question(question)
        at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=self.now())
        parts = {
            "version": integer(1),
            "policy": oid("1.3.6.1.4.1.99999.1"),
            "imprint": imprint,
            "serial": integer(self.asked + 1),
            "time": der(0x18, f"{at:%Y%m%d%H%M%S}Z".encode()),
            "nonce": nonce,
        }
        self.spoil(parts)
        info = der(0x30, *parts.values())
        return der(0x30, der(0x30, integer(0)), self._token(info))

    def _token(self, info: bytes) -> bytes:
        """CMS SignedData over a TSTInfo (RFC 5652 section 5), in a ContentInfo."""
        hashed = der(0x30, oid(_DIGESTS[self.digest]), der(5))
        of_leaf = hashlib.sha256(self.certificate.public_bytes(Encoding.DER)).digest()
        attributes = sorted([
            _attribute("1.2.840.113549.1.9.3", oid("1.2.840.113549.1.9.16.1.4")),
            _attribute("1.2.840.113549.1.9.4", der(4, hashlib.new(self.digest, info).digest())),
            _attribute("1.2.840.113549.1.9.16.2.47", der(0x30, der(0x30, der(0x30, der(4, of_leaf))))),
        ])  # fmt: skip
        signed = der(0x31, *attributes)
        issuer = self.certificate.issuer.public_bytes()
        signer = der(
            0x30,
            integer(1),
            der(0x30, issuer, integer(self.certificate.serial_number)),
            hashed,
            b"\xa0" + signed[1:],
            der(0x30, oid((_RSA if self.kind == "rsa" else _ECDSA)[self.digest])),
            der(4, self._sign(signed)),
        )
        held = sorted(each.public_bytes(Encoding.DER) for each in (self.certificate, self._middle))
        data = der(
            0x30,
            integer(3),
            der(0x31, hashed),
            der(0x30, oid("1.2.840.113549.1.9.16.1.4"), der(0xA0, der(4, info))),
            der(0xA0, *held),
            der(0x31, signer),
        )
        return der(0x30, oid("1.2.840.113549.1.7.2"), der(0xA0, data))

    def _sign(self, message: bytes) -> bytes:
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(message, padding.PKCS1v15(), _HASHES[self.digest])
        return self._key.sign(message, ec.ECDSA(_HASHES[self.digest]))

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        if self.silent:
            return web.Response(status=503)
        assert request.content_type == "application/timestamp-query"
        body = self.stamp(await request.read()) if self.answer is None else self.answer
        return web.Response(body=body, content_type="application/timestamp-reply")

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Authority]:
        """Answer over HTTP (RFC 3161 section 3.4)."""
        application = web.Application()
        application.router.add_post("/", self._answer)
        async with served(application) as self.port:
            yield self


def _attribute(kind: str, value: bytes) -> bytes:
    return der(0x30, oid(kind), der(0x31, value))


def _question(question: bytes) -> tuple[bytes, bytes]:
    """The message imprint and the nonce (nothing if there is none), as they stand in a TimeStampReq."""
    values, at = [], _content(question, 0)[0]
    while at < len(question):
        start, end = _content(question, at)
        values.append(question[at:end])
        at = end
        del start
    assert values[0] == integer(1)
    return values[1], next((each for each in values[2:] if each[0] == 2), b"")


def _content(data: bytes, at: int) -> tuple[int, int]:
    """Where the content of the value at `at` starts, and where it ends."""
    if data[at + 1] < 128:
        return at + 2, at + 2 + data[at + 1]
    count = data[at + 1] & 127
    start = at + 2 + count
    return start, start + int.from_bytes(data[at + 2 : start], "big")
