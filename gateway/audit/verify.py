"""The auditor's procedure: fourteen assertions about a log, checked offline and from first principles.

Standard library only, and nothing of the gateway is imported: what wrote the log must not judge it.
This file is also inside every evidence pack; run it by itself:

    python3 -I zr_verify.py PACK.zip --policy policy.txt

Memory is bounded: records are read once, in the log's order, and forgotten; what stays is the calls that are
open, one counter a tenant and a boot, and the configurations. The formats are those of RFC 6962, RFC 8032 and
C2SP (signed-note, tlog-checkpoint, tlog-cosignature, tlog-tiles); the record language is restated below.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import functools
import gc
import gzip
import hashlib
import json
import re
import sys
import zipfile
import zlib
from collections import Counter, OrderedDict, defaultdict
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Protocol, Tuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Reader = Tuple[Callable[[str], re.Match[str] | None], list[str], list[str], list[str], list[str]]
    Readers = Dict[str, Reader]

Json = Dict[str, Any]
"""What a JSON object says; every use comes after a check of its form."""
Point = Tuple[int, int, int, int]

MONTHS_KEPT = 13
NOTICE_DAYS = 30
_CLOCK_SLACK = 5_000_000  # microseconds between judging a call and recording its intent
_DAY = 86_400_000_000
ERASED_WITHIN_DAYS = 30
MOST_TOLERANCE_PERMILLE = 10
_WITNESS_SLACK = 600_000_000  # between clocks, and until a record is in the log
_OUTAGE = 600_000_000  # a heartbeat is due every minute; ten without one is worth a line

TITLES = {
    "A1": "manifest, files and signatures match",
    "A2": "checkpoints A and B verify, meet the witness quorum, and B extends A",
    "A3": "time anchors bound A and B",
    "A4": "every index in [A, B) is a valid record, an operator record, or covered by a logged deletion",
    "A5": "no boot lacks a record, and every boot ended cleanly or has its loss interval listed",
    "A6": "each intent has exactly one outcome, later in the log",
    "A7": "each intent was covered at its time by an agreement on zero retention and no training",
    "A8": "each denial has a reason, and none was sent",
    "A9": "every record is of the closed language",
    "A10": "configurations form an unbroken chain, and each record's was in force",
    "A11": "sub-processors were announced at least 30 days before first use",
    "A12": "totals in the report equal totals recomputed",
    "A13": "reconciliation differences are within tolerance or listed",
    "A14": "nothing is older than 13 months and the current one",
}


class NotVerified(Exception):
    """The evidence cannot even be read. The text says where and why."""


# 1. Signatures: Ed25519, RFC 8032 section 5.1.7, in affine-free (extended) coordinates

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_ROOT = pow(2, (_P - 1) // 4, _P)


def _add(p: Point, q: Point) -> Point:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % _P, (p[1] + p[0]) * (q[1] + q[0]) % _P
    c, d = 2 * p[3] * q[3] * _D % _P, 2 * p[2] * q[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(scalar: int, point: Point) -> Point:
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = _add(result, point)
        point = _add(point, point)
        scalar >>= 1
    return result


def _point(encoded: bytes) -> Point | None:
    """The point that 32 bytes encode, or None."""
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


_BY = 4 * pow(5, _P - 2, _P) % _P
_BASE = _point(_BY.to_bytes(32, "little")) or (0, 1, 1, 0)


def ed25519(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` (64 bytes) over `message` is by `public` (32 bytes)."""
    if len(public) != 32 or len(signature) != 64:
        return False
    a, r, s = _point(public), _point(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= _L:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % _L
    left, right = _times(s, _BASE), _add(r, _times(h, a))
    return (left[0] * right[2] - right[0] * left[2]) % _P == 0 and (left[1] * right[2] - right[1] * left[2]) % _P == 0


# 2. Notes, checkpoints, policies


class Key:
    """A verifier key: `name+id+base64(type, public)`. The base64 may hold a plus."""

    def __init__(self, text: str) -> None:
        try:
            self.name, written_id, key = text.split("+", 2)
            raw = base64.b64decode(key, validate=True)
        except (ValueError, binascii.Error):
            raise NotVerified("a verifier key has another form") from None
        self.kind, self.public = raw[0] if raw else 0, raw[1:]
        self.id = hashlib.sha256(self.name.encode() + b"\n" + raw).digest()[:4]
        if self.kind not in (1, 4) or len(self.public) != 32 or self.id.hex() != written_id:
            raise NotVerified("a verifier key is not Ed25519, or its id is not its own")

    def signed(self, text: str, payload: bytes) -> bool:
        """Whether `payload` is this key's signature (type 1) or cosignature (type 4) over a note's text."""
        if self.kind == 1:
            return ed25519(self.public, text.encode(), payload)
        if len(payload) != 72:
            return False
        time = int.from_bytes(payload[:8], "big")
        return ed25519(self.public, f"cosignature/v1\ntime {time}\n{text}".encode(), payload[8:])


class Policy:
    """The auditor's trust: `log VKEY`, `witness NAME VKEY`, `group NAME any|all|K MEMBER...`, `quorum NAME|none`."""

    def __init__(self, text: str) -> None:
        self.logs, self.witnesses, self.groups, self.quorum = [], {}, {}, "none"
        for line in text.splitlines():
            words = line.split("#")[0].split()
            if not words:
                continue
            if words[0] == "log" and len(words) in (2, 3):
                self.logs.append(Key(words[1]))
            elif words[0] == "witness" and len(words) in (3, 4):
                self.witnesses[words[1]] = Key(words[2])
            elif words[0] == "group" and len(words) > 3:
                need = {"any": 1, "all": len(words) - 3}.get(words[2]) or int(words[2])
                self.groups[words[1]] = (need, words[3:])
            elif words[0] == "quorum" and len(words) == 2:
                self.quorum = words[1]
            else:
                raise NotVerified("the policy has a line of another form")

    def met(self, name: str, cosigners: set[str]) -> bool:
        """Whether the witnesses `cosigners` satisfy a member of the policy."""
        if name == "none":
            return True
        if name in self.groups:
            need, members = self.groups[name]
            return sum(self.met(member, cosigners) for member in members) >= need
        return name in cosigners


def read_checkpoint(note: str, policy: Policy) -> tuple[str, int, bytes]:
    """(origin, size, root) of a note that the log of the policy signed and its quorum cosigned.

    Raises:
        NotVerified: it is not.
    """
    text, blank, rest = note.rpartition("\n\n")
    text += "\n"
    lines = text.split("\n")
    if not blank or len(lines) != 4 or not re.fullmatch(r"0|[1-9][0-9]{0,18}", lines[1]):
        raise NotVerified("not a checkpoint")
    signatures = list(_signatures(rest))

    def by(key: Key) -> bool:
        found = [payload for name, ident, payload in signatures if name == key.name and ident == key.id]
        if any(not key.signed(text, payload) for payload in found):
            raise NotVerified("a signature by a known key is wrong")
        return bool(found)

    if not any([by(key) for key in policy.logs if key.name == lines[0]]):
        raise NotVerified("not signed by the log's key")
    cosigners = {name for name, key in policy.witnesses.items() if by(key)}
    if not policy.met(policy.quorum, cosigners):
        raise NotVerified("the witness quorum is not met")
    try:
        root = base64.b64decode(lines[2], validate=True)
    except binascii.Error:
        raise NotVerified("not a checkpoint") from None
    return lines[0], int(lines[1]), root


def _signatures(lines: str) -> Iterator[tuple[str, bytes, bytes]]:
    """(name, key id, payload) of each signature of a note.

    Raises:
        NotVerified: a line has another form.
    """
    for line in lines.splitlines():
        match = re.fullmatch("— ([^ +]+) ([A-Za-z0-9+/=]+)", line)
        try:
            raw = base64.b64decode(match[2], validate=True) if match else b""
        except binascii.Error:
            raw = b""
        if match is None or len(raw) < 5:
            raise NotVerified("a signature line has another form")
        yield match[1], raw[:4], raw[4:]


def cosigned_at(note: str, policy: Policy) -> list[int]:
    """When each witness of the policy signed a note that was read before, in seconds since 1970 by its own clock."""
    text, _, rest = note.rpartition("\n\n")
    found = []
    for name, ident, payload in _signatures(rest):
        for key in policy.witnesses.values():
            if (key.name, key.id) == (name, ident) and key.signed(f"{text}\n", payload):
                found.append(int.from_bytes(payload[:8], "big"))
    return found


# 3. Time-stamp tokens: RFC 3161 in CMS (RFC 5652), certificates of RFC 5280; RSA (PKCS #1 v1.5) and ECDSA

Value = Tuple[int, bytes, bytes]
"""A value in DER (X.690): its tag, its content, and the whole of it."""

_STAMP_TYPE = "2a864886f70d0109100104"
_STAMPS_ALONE = bytes.fromhex("300a06082b06010505070308")
_DEEPEST = 6
_PEM = re.compile("-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\\s]+)-----END CERTIFICATE-----")
_SHA = {"2b0e03021a": "sha1", "608648016503040201": "sha256", "608648016503040202": "sha384",
        "608648016503040203": "sha512"}  # fmt: skip
_DIGEST_INFO = {  # RFC 8017 section 9.2, note 1
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}
_RSA_KEY, _EC_KEY = "2a864886f70d010101", "2a8648ce3d0201"
_SIGNED_WITH = {  # a signature's algorithm: the key's, and the digest where it says one
    "2a864886f70d010101": (_RSA_KEY, ""), "2a864886f70d01010b": (_RSA_KEY, "sha256"),
    "2a864886f70d01010c": (_RSA_KEY, "sha384"), "2a864886f70d01010d": (_RSA_KEY, "sha512"),
    "2a8648ce3d040302": (_EC_KEY, "sha256"), "2a8648ce3d040303": (_EC_KEY, "sha384"),
    "2a8648ce3d040304": (_EC_KEY, "sha512"),
}  # fmt: skip
_CURVES = {  # SP 800-186 section 3.2.1: p, b, the order, the base point; a is -3
    "2a8648ce3d030107": (
        2**256 - 2**224 + 2**192 + 2**96 - 1,
        0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
        0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
        0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
        0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
    ),
    "2b81040022": (
        2**384 - 2**128 - 2**96 + 2**32 - 1,
        0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF,
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
        0xAA87CA22BE8B05378EB1C71EF320AD746E1D3B628BA79B9859F741E082542A385502F25DBF55296C3A545E3872760AB7,
        0x3617DE4A96262C6F5D9E98BF9292DC29F8F41DBD289A147CE9DA3113B5F0B8C00A60B1CE1D7E819D7A431D7C90EA0E5F,
    ),
}


def values(data: bytes) -> list[Value]:
    """The values that stand one after the other in DER.

    Raises:
        ValueError, IndexError: it is no DER, or ends within a value.
    """
    found, at = [], 0
    while at < len(data):
        size, start = data[at + 1], at + 2
        if size & 128:
            count = size & 127
            if not 1 <= count <= 4:
                raise ValueError
            size, start = int.from_bytes(data[start : start + count], "big"), start + count
        if data[at] & 31 == 31 or start + size > len(data):
            raise ValueError
        found.append((data[at], data[start : start + size], data[at : start + size]))
        at = start + size
    return found


def _content(value: Value, tag: int) -> bytes:
    if value[0] != tag:
        raise ValueError
    return value[1]


def _within(value: Value, tag: int) -> list[Value]:
    return values(_content(value, tag))


def _clock(value: Value) -> int:
    """Microseconds since 1970 of a time in UTC (RFC 5280 section 4.1.2.5, RFC 3161 section 2.4.2)."""
    text = value[1].decode("ascii")
    if value[0] == 0x17:
        text = ("19" if text >= "50" else "20") + text
    match = re.fullmatch(r"([0-9]{14})(?:\.([0-9]{1,6})[0-9]*)?Z", text)
    if match is None or value[0] not in (0x17, 0x18):
        raise ValueError
    at = datetime.strptime(match[1], "%Y%m%d%H%M%S").replace(tzinfo=timezone.utc)
    return int(at.timestamp()) * 1_000_000 + int((match[2] or "").ljust(6, "0"))


class Certificate:
    """What of a certificate (RFC 5280 section 4.1) a chain is made of."""

    def __init__(self, whole: bytes) -> None:
        body, algorithm, signature = _within(values(whole)[0], 0x30)
        fields = _within(body, 0x30)
        if fields[0][0] == 0xA0:
            fields = fields[1:]
        self.whole, self.signed, self.signature = whole, body[2], _content(signature, 3)[1:]
        self.algorithm = _within(algorithm, 0x30)[0][1].hex()
        self.serial, self.issuer, self.subject = fields[0][1], fields[2][2], fields[4][2]
        self.since, self.until = (_clock(each) for each in _within(fields[3], 0x30))
        kind, bits = _within(fields[5], 0x30)
        self.kind, self.key = [each[1].hex() for each in _within(kind, 0x30)], _content(bits, 3)[1:]
        self.extensions = {}
        for each in fields[6:]:
            for name, *critical, value in map(lambda one: _within(one, 0x30), _extensions(each)):
                self.extensions[name[1].hex()] = bool(critical and critical[0][1] != b"\0"), _content(value, 4)

    @property
    def issues(self) -> bool:
        """Whether it may issue others: basicConstraints says so, and keyUsage, where there is one, keyCertSign."""
        constraints = self.extensions.get("551d13", (False, b"\x30\0"))[1]
        usage = self.extensions.get("551d0f", (False, b"\3\2\1\4"))[1]
        return values(constraints)[0][1][:3] == b"\1\1\xff" and bool(values(usage)[0][1][1] & 4)

    @property
    def stamps(self) -> bool:
        """Whether it is for time stamps and, as is critical, for nothing else (RFC 3161 section 2.3)."""
        return self.extensions.get("551d25") == (True, _STAMPS_ALONE)

    def made(self, algorithm: str, digest: str, message: bytes, signature: bytes) -> bool:
        """Whether this key made a signature.

        Raises:
            NotVerified: by an algorithm that is not known here.
        """
        kind, named = _SIGNED_WITH.get(algorithm, ("", ""))
        digest = named or digest
        if kind == self.kind[0] == _RSA_KEY and digest in _DIGEST_INFO:
            modulus, exponent = (
                int.from_bytes(_content(each, 2), "big") for each in _within(values(self.key)[0], 0x30)
            )
            return _rsa(modulus, exponent, _DIGEST_INFO[digest] + hashlib.new(digest, message).digest(), signature)
        if kind == self.kind[0] == _EC_KEY and digest and self.kind[1] in _CURVES:
            r, s = (int.from_bytes(_content(each, 2), "big") for each in _within(values(signature)[0], 0x30))
            return _ecdsa(_CURVES[self.kind[1]], self.key, hashlib.new(digest, message).digest(), r, s)
        raise NotVerified("it is signed by an algorithm that is not known here; ask `openssl ts -verify`")


def _extensions(field: Value) -> list[Value]:
    return _within(values(field[1])[0], 0x30) if field[0] == 0xA3 else []


def _rsa(modulus: int, exponent: int, digest: bytes, signature: bytes) -> bool:
    """RFC 8017 section 8.2.2."""
    size = (modulus.bit_length() + 7) // 8
    if not 256 <= size <= 2048 or exponent.bit_length() > 33 or len(signature) != size:
        return False
    said = pow(int.from_bytes(signature, "big"), exponent, modulus).to_bytes(size, "big")
    return said == b"\0\1" + b"\xff" * (size - len(digest) - 3) + b"\0" + digest


def _ecdsa(curve: tuple[int, int, int, int, int], key: bytes, digest: bytes, r: int, s: int) -> bool:
    """FIPS 186-5 section 6.4.2, in Jacobian coordinates."""
    p, b, order, *base = curve
    size = (p.bit_length() + 7) // 8
    x, y = int.from_bytes(key[1 : 1 + size], "big"), int.from_bytes(key[1 + size :], "big")
    if key[:1] != b"\4" or len(key) != 2 * size + 1 or (y * y - x * x * x + 3 * x - b) % p or max(x, y) >= p:
        return False
    if not (0 < r < order and 0 < s < order):
        return False
    number = int.from_bytes(digest, "big") >> max(0, 8 * len(digest) - order.bit_length())
    inverse = pow(s, order - 2, order)
    one, two = (base[0], base[1], 1), (x, y, 1)
    both, at = _joined(one, two, p), (1, 1, 0)
    left, right = number * inverse % order, r * inverse % order
    for bit in range(order.bit_length(), -1, -1):
        at = _doubled(at, p)
        chosen = (left >> bit & 1) + 2 * (right >> bit & 1)
        if chosen:
            at = _joined(at, (one, two, both)[chosen - 1], p)
    return at[2] != 0 and at[0] * pow(at[2], 2 * p - 4, p) % p % order == r


Jacobian = Tuple[int, int, int]


def _doubled(point: Jacobian, p: int) -> Jacobian:
    x, y, z = point
    if not z or not y:
        return 1, 1, 0
    square = y * y % p
    beta, alpha = 4 * x * square % p, 3 * (x - z * z) * (x + z * z) % p
    new = (alpha * alpha - 2 * beta) % p
    return new, (alpha * (beta - new) - 8 * square * square) % p, 2 * y * z % p


def _joined(one: Jacobian, two: Jacobian, p: int) -> Jacobian:
    if not one[2] or not two[2]:
        return two if not one[2] else one
    z1, z2 = one[2] * one[2] % p, two[2] * two[2] % p
    u1, u2 = one[0] * z2 % p, two[0] * z1 % p
    s1, s2 = one[1] * two[2] * z2 % p, two[1] * one[2] * z1 % p
    if u1 == u2:
        return _doubled(one, p) if s1 == s2 else (1, 1, 0)
    h, r = u2 - u1, s2 - s1
    cube, v = h * h * h % p, u1 * h * h % p
    x = (r * r - cube - 2 * v) % p
    return x, (r * (v - x) - s1 * cube) % p, one[2] * two[2] * h % p


class Token:
    """A time-stamp token, out of the whole answer of an authority: what digest, when, and who says so.

    Raises:
        NotVerified: it is none, or it was not granted.
    """

    def __init__(self, answer: bytes) -> None:
        try:
            self._read(answer)
        except (ValueError, IndexError):
            raise NotVerified("it is no time-stamp token") from None

    def _read(self, answer: bytes) -> None:
        status, *token = _within(values(answer)[0], 0x30)
        if _within(status, 0x30)[0][2] not in (b"\2\1\0", b"\2\1\1"):
            raise NotVerified("the authority did not grant it")
        kind, content = _within(token[0], 0x30)
        _, _, inner, *rest = _within(_within(content, 0xA0)[0], 0x30)
        inner_kind, info = _within(inner, 0x30)
        if kind[1].hex() != "2a864886f70d010702" or inner_kind[1].hex() != _STAMP_TYPE:
            raise ValueError
        self._info = _content(_within(info, 0xA0)[0], 4)
        _, _, imprint, _, time, *_ = _within(values(self._info)[0], 0x30)
        algorithm, digest = _within(imprint, 0x30)
        self.algorithm, self.digest = _SHA.get(_within(algorithm, 0x30)[0][1].hex(), ""), _content(digest, 4)
        self.time = _clock(time)
        self._held = [Certificate(each[2]) for field in rest if field[0] == 0xA0 for each in values(field[1])]
        (self._signer,) = _within(rest[-1], 0x31)
        if len(self._held) > 8:
            raise ValueError

    def is_over(self, message: bytes) -> bool:
        """Whether it is over the digest of this message; SHA-1 is none any more."""
        return self.algorithm in _DIGEST_INFO and hashlib.new(self.algorithm, message).digest() == self.digest

    def check(self, roots: list[Certificate] | None) -> None:
        """Whether an authority signed it whose chain leads to one of `roots`; None takes the authority's own word.

        Raises:
            NotVerified: it did not.
        """
        try:
            signer = self._signed()
            if roots is not None and not _chained(signer, self._held, roots, self.time, _DEEPEST):
                raise NotVerified("its authority's certificate does not lead to a trusted root")
        except (ValueError, IndexError, KeyError):
            raise NotVerified("its signature has another form") from None

    def _signed(self) -> Certificate:
        """Who signed it. RFC 5652 section 5.4; the certificate is bound in by RFC 5816."""
        _, who, hashed, attributes, algorithm, signature, *_ = _within(self._signer, 0x30)
        issuer, serial = _within(who, 0x30)
        found = [each for each in self._held if (each.issuer, each.serial) == (issuer[2], serial[1])]
        if len(found) != 1:
            raise NotVerified("its authority's certificate is not in it")
        digest = _SHA.get(_within(hashed, 0x30)[0][1].hex(), "")
        said = {}
        for each in _within(attributes, 0xA0):
            name, held = _within(each, 0x30)
            said[name[1].hex()] = _within(held, 0x31)[0]
        if digest not in _DIGEST_INFO or said["2a864886f70d010903"][1].hex() != _STAMP_TYPE:
            raise ValueError
        if _content(said["2a864886f70d010904"], 4) != hashlib.new(digest, self._info).digest():
            raise NotVerified("what its authority signed is not what it says")
        if not _named(said, found[0]):
            raise NotVerified("it was signed under another certificate")
        if not (found[0].stamps and found[0].since <= self.time <= found[0].until):
            raise NotVerified("its certificate is not for time stamps, or not of that time")
        message = b"\x31" + attributes[2][1:]
        if not found[0].made(_within(algorithm, 0x30)[0][1].hex(), digest, message, _content(signature, 4)):
            raise NotVerified("its signature is wrong")
        return found[0]


def _named(said: dict[str, Value], certificate: Certificate) -> bool:
    """Whether signed attributes name a certificate by its digest: ESSCertIDv2 (RFC 5035), or ESSCertID (RFC 2634)."""
    for name, usual in (("2a864886f70d010910022f", "sha256"), ("2a864886f70d010910020c", "sha1")):
        if name in said:
            first = _within(_within(_within(said[name], 0x30)[0], 0x30)[0], 0x30)
            digest = _SHA.get(_within(first[0], 0x30)[0][1].hex(), "") if first[0][0] == 0x30 else usual
            held = first[1] if first[0][0] == 0x30 else first[0]
            return bool(digest) and hashlib.new(digest, certificate.whole).digest() == _content(held, 4)
    return False


def _chained(leaf: Certificate, held: list[Certificate], roots: list[Certificate], at: int, left: int) -> bool:
    """Whether a chain of certificates, each of that time, leads from `leaf` to a root."""
    if any(each.whole == leaf.whole for each in roots):
        return True
    for each in (*roots, *held):
        may = left and each.subject == leaf.issuer and each.issues and each.since <= at <= each.until
        if may and _issued(each.whole, leaf.whole) and _chained(each, held, roots, at, left - 1):
            return True
    return False


@functools.lru_cache(maxsize=64)
def _issued(issuer: bytes, certificate: bytes) -> bool:
    """Whether the one signed the other; the same few stand behind every token of a year."""
    made = Certificate(certificate)
    return Certificate(issuer).made(made.algorithm, "", made.signed, made.signature)


def read_roots(pem: str) -> list[Certificate]:
    """The certificates of a PEM file.

    Raises:
        NotVerified: it holds none, or something else.
    """
    try:
        found = [Certificate(base64.b64decode(re.sub(r"\s", "", each), validate=True)) for each in _PEM.findall(pem)]
    except (ValueError, IndexError, binascii.Error):
        found = []
    if not found:
        raise NotVerified("the authorities' roots are no certificates in PEM")
    return found


# 4. The tree


class Tree:
    """A growing tree, as its peaks: [(height, hash)], left to right. Entries are hashed a tile's worth at a time."""

    def __init__(self, peaks: Iterable[tuple[int, bytes]] = ()) -> None:
        self._peaks = list(peaks)
        self._waiting: list[bytes] = []

    def add(self, entry: bytes) -> None:
        """Append an entry."""
        self._waiting.append(entry)
        if len(self._waiting) == 256:
            self._settle()

    def _settle(self) -> None:
        sha, height, left = hashlib.sha256, 0, []
        nodes = [sha(b"\0" + entry).digest() for entry in self._waiting]
        self._waiting.clear()
        while nodes:
            if self._peaks and self._peaks[-1][0] == height:
                nodes.insert(0, self._peaks.pop()[1])
            if len(nodes) & 1:
                left.append((height, nodes.pop()))
            nodes = [sha(b"\1" + nodes[at] + nodes[at + 1]).digest() for at in range(0, len(nodes), 2)]
            height += 1
        self._peaks += reversed(left)

    def root(self) -> bytes:
        """The root over all entries."""
        self._settle()
        if not self._peaks:
            return hashlib.sha256(b"").digest()
        node = self._peaks[-1][1]
        for _, left in reversed(self._peaks[:-1]):
            node = hashlib.sha256(b"\1" + left + node).digest()
        return node


def included(entry: bytes, index: int, size: int, path: Iterable[bytes], root: bytes) -> bool:
    """Whether `path` proves that `entry` is leaf `index` of the tree with that root. RFC 9162 section 2.1.3.2."""
    if not 0 <= index < size:
        return False
    at, last, node = index, size - 1, hashlib.sha256(b"\0" + entry).digest()
    for each in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            node = hashlib.sha256(b"\1" + each + node).digest()
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            node = hashlib.sha256(b"\1" + node + each).digest()
        at, last = at >> 1, last >> 1
    return last == 0 and node == root


def consistent(old: int, new: int, path: Iterable[bytes], old_root: bytes, new_root: bytes) -> bool:
    """Whether `path` proves that the tree of `new` leaves extends that of `old`. RFC 9162 section 2.1.4.2."""
    proof = list(path)
    if old in (0, new):
        return not proof and (old == 0 or old_root == new_root)
    if not 0 < old < new or not proof:
        return False
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    nodes = iter([old_root, *proof] if at == 0 else proof)
    older = newer = next(nodes)
    for node in nodes:
        if last == 0:
            return False
        if at & 1 or at == last:
            older = hashlib.sha256(b"\1" + node + older).digest()
            newer = hashlib.sha256(b"\1" + node + newer).digest()
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            newer = hashlib.sha256(b"\1" + newer + node).digest()
        at, last = at >> 1, last >> 1
    return last == 0 and older == old_root and newer == new_root


# 5. The record language: every field a record may have, and the form of its value

_WORD = "[A-Za-z0-9_][A-Za-z0-9._:/@+-]{0,79}"
_HEX = {size: f'"[0-9a-f]{{{size}}}"' for size in (16, 32, 64)}
_ID = '"(?:[0-9a-f]{32}|[0-9a-f]{16})"'


def _up_to(most: int) -> str:
    """The form of the integers 0 to `most`, so that one match checks a whole record."""
    digits = str(most)
    forms = [digits]
    for at, digit in enumerate(digits):
        least = 1 if at == 0 else 0
        if int(digit) > least:
            forms.append(f"{digits[:at]}[{least}-{int(digit) - 1}][0-9]{{{len(digits) - at - 1}}}")
    if len(digits) > 1:  # the usual case first: an alternation is tried in its order
        forms.insert(0, f"[1-9][0-9]{{0,{len(digits) - 2}}}")
    return f"(?:{'|'.join(forms)}|0)"


_INT = _up_to(2**53 - 1)
_COUNT, _TOKENS, _SIZE, _TOTAL = _up_to(2**16 - 1), _up_to(2**24 - 1), _up_to(2**28), _up_to(2**40)
_FEW, _STATUS = _up_to(15), "[1-5][0-9]{2}"
_BOOL = "(?:true|false)"
_W = f'"{_WORD}"'


def _one_of(text: str) -> str:
    words = "|".join(text.split())
    return f'"(?:{words})"'


def _list_of(form: str) -> str:
    return rf"\[(?:{form}(?:,{form})*)?\]"


CODES = """unauthenticated operation_not_allowed tenant_missing purpose_missing tenant_unknown purpose_not_allowed
 body_invalid body_too_large parameter_unknown parameter_retains_data schema_not_approved content_not_scannable
 model_not_allowed residency_mismatch processor_not_active agreement_expired attestation_failed
 redaction_unavailable audit_unavailable rate_limited overloaded upstream_failed upstream_timeout
 response_not_allowed"""
RESULTS = """completed refused_by_provider aborted_by_caller upstream_failed upstream_truncated upstream_timeout
 cut_off indeterminate"""
ERRORS = """invalid_request_error authentication_error invalid_api_key permission_error billing_error
 insufficient_quota not_found_error model_not_found request_too_large context_length_exceeded rate_limit_error
 rate_limit_exceeded content_filter content_policy_violation timeout_error api_error server_error
 overloaded_error other"""
FINISHES = """stop length tool_calls function_call content_filter completed incomplete failed cancelled
 max_output_tokens end_turn max_tokens stop_sequence tool_use pause_turn refusal model_context_window_exceeded
 other"""
ACTS = """boot shutdown configuration key gap recovery unauthenticated suspension notice change tenant heartbeat
 erase erased prune export view anchor reconciliation totals attestation canary"""
VERDICTS = "pass fail inconclusive lifted"
SETTINGS = """project_retention organization_retention code_interpreter file_search image_generation mcp web_search
 external_storage covered_model account_retention invocation_logging policy content_logging cache stored_by_default
 stored_if_asked control answers leaks unrecorded refusals"""
SAID = """zero_data_retention enhanced_zero_data_retention modified_abuse_monitoring
 enhanced_modified_abuse_monitoring organization_default none default inherit aws_review provider_data_share enabled
 disabled present absent refused served contradicted denied unreachable other"""
GROUNDS = "tenant subject cancelled"
CATEGORIES = """RACIAL_ETHNIC_ORIGIN POLITICAL_OPINION RELIGION_BELIEF TRADE_UNION GENETIC BIOMETRIC HEALTH
 SEX_LIFE_ORIENTATION"""
ROLES = "security privacy_officer tenant_admin tenant_auditor external_auditor"

_PLACE = {"boot": _HEX[32], "rseq": _INT, "v": "1", "writer?": _HEX[32], "wseq?": _INT}
_TIMED = {**_PLACE, "time": _INT}
FIELDS = {
    "intent": {
        **_TIMED, "tseq": _INT, "call": _ID, "attempt": _FEW, "tenant": _W, "configuration": _HEX[64], "caller": _W,
        "key": _ID, "purpose": _W, "subject?": _HEX[32], "wire": _W, "operation": _W, "processor": _W, "agreement": _W,
        "countries": _list_of('"[A-Z]{2}"'), "model": _W, "tls": '"(?:none|TLSv1.3)"', "stream": _BOOL, "size": _SIZE,
        "messages?": _COUNT, "tools?": _COUNT, "images?": _COUNT, "redactions": _COUNT, "forced?": _list_of(_W),
        "conditionals?": _list_of(_W), "unscanned?": _list_of(rf"\[{_W},{_FEW}\]"),
    },
    "outcome": {
        **_TIMED, "tseq": _INT, "call": _ID, "attempt": _FEW, "tenant": _W, "result": _one_of(RESULTS),
        "code?": _one_of(CODES), "sent?": _BOOL, "status?": _STATUS, "error?": _one_of(ERRORS),
        "finishes?": _list_of(_one_of(FINISHES)), "input_tokens?": _TOKENS, "output_tokens?": _TOKENS,
        "cache_read_tokens?": _TOKENS, "cache_write_tokens?": _TOKENS, "reasoning_tokens?": _TOKENS, "chunks?": _TOKENS,
        "size?": _SIZE, "first_ms?": _TOKENS, "total_ms?": _TOKENS, "served?": _W, "provider_request?": _HEX[32],
        "echo?": _one_of("confirmed absent contradicted"), "redactions?": _COUNT, "scores_dropped?": _BOOL,
    },
    "refusal": {
        **_TIMED, "tseq?": _INT, "call": _ID, "configuration": _HEX[64], "code": _one_of(CODES), "caller": _W,
        "key": _ID, "tenant?": _W, "purpose?": _W, "subject?": _HEX[32], "wire?": _W, "operation?": _W,
        "processor?": _W, "model?": _W, "size?": _SIZE, "source?": _W,
    },
    "operator": {
        **_TIMED, "act": _one_of(ACTS), "configuration?": _HEX[64], "parent?": _HEX[64], "release?": _HEX[64],
        "started?": _ID, "previous?": _ID, "clean?": _BOOL, "key?": _ID, "enabled?": _BOOL, "closed?": _TOTAL,
        "refused?": _TOTAL, "start?": _INT, "end?": _INT, "processor?": _W, "document?": _HEX[64], "told?": _TOTAL,
        "approvers?": _list_of(_ID), "subject?": _HEX[32], "ground?": _one_of(GROUNDS), "receipt?": _HEX[64],
        "count?": _TOTAL, "totals?": _list_of(rf"\[{_one_of(CATEGORIES)},{_TOTAL}\]"),
        "role?": _one_of(ROLES), "session?": _ID, "query?": _HEX[64],
        "rows?": _TOTAL, "verdict?": _one_of(VERDICTS),
        "readings?": _list_of(rf"\[{_one_of(SETTINGS)},{_one_of(SAID)}\]"),
    },
    "tenant_head": {"v": "1", "time": _INT, "tenant": _W, "tseq": _INT, "day": _INT},
}  # fmt: skip
_LISTS = {
    "countries": 40,
    "forced": 64,
    "conditionals": 32,
    "unscanned": 8,
    "finishes": 4,
    "approvers": 16,
    "totals": 8,
    "readings": 16,
}
GREATEST_BYTES = 4096


def _pattern(kind: str, fields: dict[str, str]) -> re.Pattern[str]:
    """The one form of a kind: keys in order, no space, ASCII; absent ones left out. No first field is optional."""
    named = sorted((name.rstrip("?"), name.endswith("?"), form) for name, form in fields.items())
    named = sorted([*named, ("kind", False, f'"{kind}"')])
    parts = [f'(?:,"{name}":{form})?' if optional else f',"{name}":{form}' for name, optional, form in named]
    return re.compile(r"\{" + "".join(parts)[1:] + r"\}", re.ASCII)


_PATTERNS = {kind: _pattern(kind, fields) for kind, fields in FIELDS.items()}
_LISTED = {
    kind: [(name, _LISTS[name]) for name in _LISTS if {name, f"{name}?"} & fields.keys()]
    for kind, fields in FIELDS.items()
}


def fault_of(kind: str, text: str, record: Json) -> str | None:
    """Why a record is not of the closed language, or None. `record` is `text` parsed."""
    pattern = _PATTERNS.get(kind)
    if pattern is None:
        return "a kind that does not exist"
    if len(text) > GREATEST_BYTES + 128 or pattern.fullmatch(text) is None:
        return "a field is unknown, missing, out of order, or outside its domain"
    if record.get("size", 0) % 256:
        return "size is not a multiple of 256"
    for name, most in _LISTED[kind]:
        value = record.get(name)
        if value is not None and len(value) > 1 and not _in_order(value, most):
            return f"{name} is not a set in order"
    return None


_RECENT = 65_536
_NOWHERE = ("", 0, "")
_scan: Callable[[str, int], tuple[Json, int]] = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
_NEEDED = {
    "intent": "agreement attempt boot call conditionals configuration countries forced model processor purpose "
    "redactions rseq size tenant time tls tseq unscanned writer wseq",
    "outcome": "attempt boot call finishes result rseq size tenant time tseq writer wseq",
    "refusal": "boot call code configuration rseq size tenant time tseq writer wseq",
}
_COUNTS = ("input", "output", "cache_read", "cache_write")
_NUMBERS = frozenset(
    ("attempt", "redactions", "rseq", "size", "time", "tseq", "wseq", *(f"{name}_tokens" for name in _COUNTS))
)
_COUNTED = {  # where there is a reconciliation, these too
    "intent": " operation",
    "outcome": " cache_read_tokens cache_write_tokens input_tokens output_tokens",
    "refusal": "",
}
_BEGINS = {'{"agr': "intent", '{"att': "outcome", '{"boo': "refusal"}
_SETS_SEEN: dict[tuple[str, str], Any] = {}


def _reader(kind: str, more: str) -> Reader:
    """A kind's form with a group for each field that the procedure looks at, and the names of these.

    All in order; and which may be absent, are numbers, are sets. The others are text: the group is between the quotes.
    """
    wanted = (_NEEDED[kind] + more).split()
    numbers = [name for name in wanted if name in _NUMBERS]
    sets = [name for name in wanted if name in _LISTS]
    fields = {}
    for key, form in FIELDS[kind].items():
        name = key.rstrip("?")
        quoted = name in wanted and name not in numbers and name not in sets
        fields[key] = f'"({form[1:-1]})"' if quoted else f"({form})" if name in wanted else form
    absent = [name for name in wanted if f"{name}?" in fields]
    return _pattern(kind, fields).fullmatch, ["kind", *sorted(wanted)], absent, numbers, sets


_READERS = {kind: _reader(kind, "") for kind in _NEEDED}
_WITH_COUNTS = {kind: _reader(kind, more) for kind, more in _COUNTED.items()}


def read_record(text: str, readers: Readers = _READERS) -> Json | str:
    """The fields of a record that the procedure looks at, or why it is not of the closed language.

    One match both checks the form and finds the fields, in half the time of a JSON parser; what the language allows
    holds no escape, so the text between two quotes is the value. As `fault_of` says of the whole record.
    """
    kind = _BEGINS.get(text[:5])
    if kind is None:
        return _parsed(text)
    match, names, absent, numbers, sets = readers[kind]
    found = match(text)
    if found is None or len(text) > GREATEST_BYTES + 128:
        return _parsed(text)  # says what is wrong
    record: Json = dict(zip(names, (kind, *found.groups())))  # noqa: B905  # older Python has no strict
    for name in absent:
        if record[name] is None:
            del record[name]
    for name in numbers:
        if name in record:
            record[name] = int(record[name])
    for name in sets:
        value = record.get(name)
        if value is None:
            continue
        held = _SETS_SEEN.get((name, value))
        if held is None:
            if len(_SETS_SEEN) > _RECENT:
                _SETS_SEEN.clear()
            members = json.loads(value)
            held = _SETS_SEEN[name, value] = members if _in_order(members, _LISTS[name]) else ()
        if held == ():
            return f"{name} is not a set in order"
        record[name] = held
    if record.get("size", 0) % 256:
        return "size is not a multiple of 256"
    return record


def _parsed(text: str) -> Json | str:
    try:
        record, end = _scan(text, 0)
        kind = record["kind"] if end == len(text) else None
    except (ValueError, KeyError, TypeError, RecursionError, StopIteration):
        return "not a record"
    fault = fault_of(kind, text, record) if isinstance(kind, str) else "a kind that does not exist"
    whole: Json = record
    return whole if fault is None else fault


def _in_order(members: list[Any], most: int) -> bool:
    keys = [each[0] if isinstance(each, list) else each for each in members]
    return len(keys) <= most and keys == sorted(set(keys))


# 6. What the configurations say

_EU27 = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK".split()
_SETS = {"EU27": _EU27, "EEA": [*_EU27, "IS", "LI", "NO"], "EEA_CH": [*_EU27, "CH", "IS", "LI", "NO"]}


def _instant(text: object) -> int | None:
    """Microseconds of a date or an instant; None where there is none."""
    try:
        parsed = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return None
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=timezone.utc)
    return int(parsed.timestamp() * 1_000_000)


_TRIAL = "gateway:canary"


def is_trial(intent: Json) -> bool:
    """Whether an attempt was the gateway's own trial of its controls, with made-up text, to itself on its own host.

    It says so in every word that no configuration can give to anything else: none of them may hold a colon.
    """
    said = (intent["tenant"], intent["purpose"], intent["agreement"])
    return said == (_TRIAL,) * 3 and intent["processor"].startswith("canary:") and intent["tls"] == "none"


class Configuration:
    """One configuration: which processor may get what, and when."""

    def __init__(self, preimage: bytes) -> None:
        try:
            trees = json.loads(preimage)[0]
            entries = [tree for name, tree in trees.items() if name.startswith("processors/")]
            self.purposes = set(trees["gateway.yaml"]["purposes"])
            self.entries = {tree["id"]: tree for tree in entries}
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            raise NotVerified("a configuration has another form") from None
        self._notices: dict[str, tuple[int | None, int | None]] = {}
        self._known: dict[tuple[str, str, str, tuple[str, ...], str], str | tuple[int, int]] = {}

    def uncovered(self, intent: Json) -> str | None:
        """Why an intent was not covered, or None."""
        key = intent["processor"], intent["agreement"], intent["model"], tuple(intent["countries"]), intent["purpose"]
        if key not in self._known:
            self._known[key] = self._window(*key)
        found = self._known[key]
        if isinstance(found, str):
            return found
        start, end = found
        time = intent["time"]
        return None if start <= time + _CLOCK_SLACK and time - _CLOCK_SLACK < end else "no agreement was in force"

    def notice(self, processor: str) -> tuple[int | None, int | None]:
        """(announced, effective) of a processor, in microseconds; None for what is not there."""
        if processor not in self._notices:
            notice = (self.entries.get(processor) or {}).get("notice") or {}
            self._notices[processor] = _instant(notice.get("announced")), _instant(notice.get("effective"))
        return self._notices[processor]

    def _window(
        self, processor: str, agreement: str, model: str, countries: tuple[str, ...], purpose: str
    ) -> str | tuple[int, int]:
        entry = self.entries.get(processor)
        if entry is None or entry.get("example"):
            return "the processor is not in the configuration"
        agreements = entry.get("agreements") or []
        signed = next((each for each in agreements if each.get("id") == agreement), None)
        if signed is None or "zero_retention" not in signed.get("kinds", ()):
            return "the agreement is not on zero retention"
        windows = [(_instant(signed.get("valid_from")), _instant(signed.get("valid_until")))]
        for kind in ("no_training", "dpa"):
            if kind not in signed["kinds"]:
                others = [each for each in agreements if kind in each.get("kinds", ())]
                windows += [(_instant(each.get("valid_from")), _instant(each.get("valid_until"))) for each in others]
                if not others:
                    return f"no agreement is on {kind}"
        models = [each for each in entry.get("models") or [] if each.get("id") == model]
        if not models or models[0].get("retention_class", "zero") != "zero":
            return "the model is not in scope"
        places = entry.get("countries") or {}
        named = [*places.get("processing", ()), *places.get("storage", ())]
        if "WORLD" not in named:
            allowed = {country for name in named for country in _SETS.get(name, [name])}
            if not set(countries) <= allowed:
                return "the countries are not the processor's"
        if purpose not in self.purposes:
            return "the purpose is not configured"
        starts = [self.notice(processor)[1], *(start for start, _ in windows)]
        ends = [end for _, end in windows]
        known_starts = [each for each in starts if each is not None]
        known_ends = [each for each in ends if each is not None]
        if len(known_starts) < len(starts) or len(known_ends) < len(ends):
            return "the agreement or its notice has no dates"
        return max(known_starts), min(known_ends)


# 7. The procedure


class Assertion:
    """One assertion: how much was checked, how often it failed, and the first failure."""

    def __init__(self) -> None:
        self.checked = self.failed = 0
        self.first: str | None = None
        self.notes: list[str] = []

    def fail(self, where: str, why: str) -> None:
        """It does not hold here."""
        self.failed += 1
        if self.first is None:
            self.first = f"{where}: {why}"


class Writer:
    """A boot of another journal, whose rows were gathered into this log's: a worker, or another host.

    `due` is the row that comes next (None: unknown), `missing` the leaves missing when it was last seen.
    """

    def __init__(self, due: int | None, previous: str | None) -> None:
        self.due, self.previous = due, previous
        self.missing = self.time = 0
        self.announced: set[str | None] = set()
        self.in_force: str | None = None
        self.clean = self.ended = self.followed = False
        self.silent: tuple[int, int] | None = None  # between these instants nothing came, as a record says

    @property
    def lives(self) -> bool:
        """Whether it may still write."""
        return not self.ended

    def announce(self, record: Json) -> None:
        """A configuration is in force there."""
        self.announced.add(record.get("configuration"))
        self.in_force = record.get("configuration")


class Verification:
    """The fourteen assertions over one stream of entries."""

    def __init__(self, first_index: int) -> None:
        self.a = {name: Assertion() for name in TITLES}
        self.start = self.index = first_index
        self.totals: Counter[str] = Counter()
        self.by: dict[str, Counter[Any]] = {
            name: Counter() for name in ("reason", "processor", "model", "result", "day", "redacted")
        }
        self.losses: list[str] = []
        self.indeterminate: list[int] = []
        self.configurations: dict[str, Configuration] = {}
        self._announced: set[str | None] = set()
        self._in_force: str | None = None
        self._open: OrderedDict[tuple[str, int], tuple[int, str, str, tuple[str, int, str]]] = OrderedDict()
        self._boots: OrderedDict[str, list[Any]] = (
            OrderedDict()
        )  # id -> [next rseq, missing leaves when last seen, ended cleanly]
        self._boot: str | None = None
        self._writers: dict[str, Writer] = {}
        self._tenants: dict[str, tuple[int | None, int]] = {}
        self._missing = 0
        self._missing_ranges: list[list[int]] = []
        self._covered: list[tuple[int, int]] = []
        self._lost: list[tuple[int, int]] = []
        self._executed: dict[str, list[tuple[int, int]]] = {}
        self._asked: dict[str, tuple[int, int]] = {}  # what must be erased by when: list -> (index, asked at)
        self._broken: tuple[int, str] | None = None
        self._unended: dict[tuple[str, int], tuple[int, str]] = {}
        self._unbegun: list[int] = []
        self.lists: dict[str, bytes] = {}
        self.reports: dict[str, bytes] = {}
        self.stamps: dict[str, tuple[int, str, int]] = {}  # a token's digest -> (leaves, the note's digest, its time)
        self.stamped: dict[int, list[tuple[bytes, int]]] = {}  # leaves -> (the root that was stamped, when)
        self._stamped_at = 0
        self._unfounded: list[tuple[Assertion, int, str]] = []  # records whose file is not here
        # (processor, day, operation) -> attempts, explained, late, early, tokens of each count, the most of each
        self._sent: defaultdict[tuple[str, int, str], list[int]] = defaultdict(lambda: [0] * 12)
        self._refused: OrderedDict[str, None] = OrderedDict()
        self._last_time = 0
        self.first = self.latest = self.oldest = 0
        self._procedures: dict[str, Callable[[int, Json], None]] = {
            "intent": self._intent, "outcome": self._outcome, "refusal": self._refusal, "operator": self._operator,
        }  # fmt: skip

    def announce(self, record: Json) -> None:
        """A record from before A, proved to be in the log: a boot or configuration in force at A, or an anchor."""
        if record.get("act") == "anchor":
            self._anchors(self.start, record)
            return
        if "writer" in record:
            writer = self._writers.setdefault(record["writer"], Writer(None, record.get("previous")))
            writer.announce(record)
            return
        self._announced.add(record.get("configuration"))
        self._in_force = record.get("configuration")
        if record.get("act") == "boot":
            self._boot = record.get("started")

    def leaf(self, entry: bytes, salt: bytes | None, text: str | None) -> None:
        """The next entry of the log, with the record and the salt that are said to be behind it (or None)."""
        index, self.index = self.index, self.index + 1
        a4 = self.a["A4"]
        a4.checked += 1
        if entry[:1] == b"\2":
            try:
                text = entry[1:].decode("ascii")
            except UnicodeDecodeError:
                a4.fail(f"index {index}", "an operator record that is not ASCII")
                return
        elif entry[:1] != b"\1" or len(entry) != 33:
            a4.fail(f"index {index}", "neither a commitment nor an operator record")
            return
        elif text is None or salt is None:
            self._absent(index)
            return
        elif hashlib.sha256(b"zr-audit/v1\0" + salt + text.encode("ascii", "replace")).digest() != entry[1:]:
            a4.fail(f"index {index}", "the record is not the one that the log commits to")
            return
        self._record(index, text, entry[:1] == b"\2")

    def _absent(self, index: int) -> None:
        self._missing += 1
        ranges = self._missing_ranges
        if ranges and ranges[-1][1] == index:
            ranges[-1][1] = index + 1
        else:
            ranges.append([index, index + 1])

    def _record(self, index: int, text: str, clear: bool) -> None:
        a9 = self.a["A9"]
        a9.checked += 1
        record = read_record(text, _WITH_COUNTS if self.reports else _READERS)
        if isinstance(record, str):
            a9.fail(f"index {index}", record)
            return
        kind = record["kind"]
        if (kind == "operator" and "session" not in record) != clear:
            a9.fail(f"index {index}", "a record about a call or a person in clear, or a hidden operator record")
            return
        gathered = "writer" in record
        if gathered != ("wseq" in record):
            a9.fail(f"index {index}", "a record with half of its place in another journal")
            return
        time = record["time"]
        if not self.first:
            self.first = time
        self.latest = max(self.latest, time)
        if time < self._stamped_at and not gathered:  # what is gathered from elsewhere may come late
            self.a["A3"].fail(f"index {index}", "it says that it is older than a time-stamp token that is before it")
        if not clear and (time < self.oldest or not self.oldest):
            self.oldest = time
        if kind == "tenant_head":
            self._head(index, record)
            return
        self._place(index, record)
        if gathered:
            self._written(index, record)
        if "tenant" in record:
            self._of_tenant(index, record)
        self._procedures[kind](index, record)

    def _place(self, index: int, record: Json) -> None:
        """A5: the next rseq of its boot, and boots one after the other."""
        a5, boot, rseq, time = self.a["A5"], record["boot"], record["rseq"], record["time"]
        a5.checked += 1
        state = self._boots.get(boot)
        if state is None:
            begins = record.get("act") == "boot" and record.get("started") == boot and "writer" not in record
            if not begins and (self._boots or (self.start == 0 and not self._missing)):
                a5.fail(f"index {index}", f"boot {boot[:8]} does not begin with its boot record")
            state = self._boots[boot] = [rseq if not begins else 0, self._missing, None]
            if len(self._boots) > 1024:
                self._boots.popitem(last=False)
        elif boot != self._boot:
            a5.fail(f"index {index}", f"a record of boot {boot[:8]}, which had ended")
        skipped, missing = rseq - state[0], self._missing - state[1]
        if not 0 <= skipped <= missing:
            a5.fail(f"index {index}", f"rseq {rseq} of boot {boot[:8]} where {state[0]} is due")
        state[:] = rseq + 1, self._missing, record.get("act") == "shutdown" and "writer" not in record
        if self._last_time and time - self._last_time > _OUTAGE and boot == self._boot:
            self.losses.append(f"silence without a heartbeat from {_iso(self._last_time)} to {_iso(time)}")
        self._last_time = time

    def _written(self, index: int, record: Json) -> None:
        """A5: gathered out of another journal, whose boot is `writer`: the next of its rows, too."""
        a5, name, wseq = self.a["A5"], record["writer"], record["wseq"]
        writer = self._writers.get(name)
        if writer is None:
            begins = record.get("act") == "boot" and record.get("started") == name and wseq == 0
            if not begins and self.start == 0 and not self._missing:
                a5.fail(f"index {index}", f"writer {name[:8]} does not begin with its boot record")
            writer = self._writers[name] = Writer(0 if begins else wseq, record.get("previous"))
        if writer.due is None:
            writer.due, writer.missing = wseq, self._missing
        elif not writer.lives:
            a5.fail(f"index {index}", f"a record of writer {name[:8]}, which had ended")
        if not 0 <= wseq - writer.due <= self._missing - writer.missing:
            a5.fail(f"index {index}", f"row {wseq} of writer {name[:8]} where {writer.due} is due")
        writer.due, writer.missing, writer.time = wseq + 1, self._missing, record["time"]
        self._speaks(name, writer)

    def _falls_silent(self, index: int, record: Json) -> None:
        """A5: nothing more came of a writer, and the record counts what had come. See `end` for what that means."""
        a5, name = self.a["A5"], record["previous"]
        a5.checked += 1
        writer = self._writers.get(name)
        if writer is None:
            if self.start == 0 and not self._missing:
                a5.fail(f"index {index}", f"it says that writer {name[:8]} fell silent, of which nothing is here")
            return
        due, count = writer.due, record.get("count", 0)
        if due is not None and not 0 <= count - due <= self._missing - writer.missing:
            a5.fail(f"index {index}", f"it says that {count} rows of writer {name[:8]} had come, and {due} had")
        writer.silent = record.get("start", 0), record.get("end", 0)
        if "closed" in record:
            writer.ended, writer.silent = True, None
            self._refuse_open(f"index {index}", name)
            since, closed = _iso(record.get("start", 0)), record["closed"]
            self.losses.append(
                f"writer {name[:8]} was given up as lost: what it wrote after its first {count} rows, since {since}, "
                f"is not here, and {closed} of its attempts were closed as indeterminate"
            )

    def _speaks(self, name: str, writer: Writer) -> None:
        """A writer that had fallen silent goes on with its next row, so nothing of it is missing."""
        if writer.silent is not None:
            start, end = map(_iso, writer.silent)
            self.a["A5"].notes.append(f"writer {name[:8]} was silent from {start} to {end} and went on where it was")
            writer.silent = None

    def _of_tenant(self, index: int, record: Json) -> None:
        """A5: a tenant's records are numbered without gaps, too."""
        tenant, tseq = record["tenant"], record.get("tseq")
        last, missing = self._tenants.get(tenant, (None, 0))
        if tseq is None:
            self.a["A5"].fail(f"index {index}", "a tenant's record without its number")
            return
        expected = 1 if last is None and self.start == 0 else last and last + 1
        if expected is not None and not 0 <= tseq - expected <= self._missing - missing:
            self.a["A5"].fail(f"index {index}", f"record {tseq} of a tenant where {expected} is due")
        self._tenants[tenant] = (tseq, self._missing)

    def _head(self, index: int, record: Json) -> None:
        a5 = self.a["A5"]
        a5.checked += 1
        last, missing = self._tenants.get(record["tenant"], (None, 0))
        due = 0 if last is None and self.start == 0 else last
        if due is not None and not 0 <= record["tseq"] - due <= self._missing - missing:
            a5.fail(f"index {index}", "a tenant's daily count differs from its records")

    def _intent(self, index: int, record: Json) -> None:
        a6, key = self.a["A6"], (record["call"], record["attempt"])
        a6.checked += 1
        if key in self._open:
            a6.fail(f"index {index}", "a second intent for one attempt")
        if record["call"] in self._refused:
            self.a["A8"].fail(f"index {index}", "a call that was denied and yet sent")
        day = record["time"] // _DAY
        place = (record["processor"], day, record["operation"]) if self.reports else _NOWHERE
        self._open[key] = (index, record["tenant"], str(record.get("writer", record["boot"])), place)
        self.totals["attempts"] += 1
        self.totals["calls"] += record["attempt"] == 0
        self.totals["redactions"] += record["redactions"]
        self.by["processor"][record["processor"]] += 1
        self.by["model"][record["model"]] += 1
        self.by["day"][day] += 1
        if self.reports:
            self._sent[place][0] += 1
        configuration = self._in_effect(index, record)
        self._covered_by(index, record, configuration)

    def _covered_by(self, index: int, record: Json, configuration: Configuration | None) -> None:
        """A7 and A11."""
        a7, a11 = self.a["A7"], self.a["A11"]
        a7.checked += 1
        if is_trial(record):
            self.totals["trials"] += 1
            return
        why = "its configuration is not here" if configuration is None else configuration.uncovered(record)
        if record["tls"] == "none" and why is None:
            self.totals["plaintext"] += 1
        if why is None and configuration is not None:
            self.totals["covered"] += 1
        else:
            self.totals["uncovered"] += 1
            a7.fail(f"index {index}", why or "its configuration is not here")
            return
        a11.checked += 1
        announced, effective = configuration.notice(record["processor"])
        if announced is None or effective is None or effective - announced < NOTICE_DAYS * 86_400_000_000:
            a11.fail(f"index {index}", "used without 30 days of notice")
        elif record["time"] + _CLOCK_SLACK < effective:
            a11.fail(f"index {index}", "used before its notice had ended")

    def _in_effect(self, index: int, record: Json) -> Configuration | None:
        """A10: the record's configuration was announced at a lower index; the configuration itself, or None."""
        a10, digest = self.a["A10"], record["configuration"]
        a10.checked += 1
        writer = self._writers.get(record.get("writer", ""))
        if digest not in (self._announced if writer is None else writer.announced):
            a10.fail(f"index {index}", "decided under a configuration that no earlier record announced")
        return self.configurations.get(digest)

    def _outcome(self, index: int, record: Json) -> None:
        a6 = self.a["A6"]
        a6.checked += 1
        held = self._open.pop((record["call"], record["attempt"]), None)
        self.by["result"][record["result"]] += 1
        if record["result"] == "indeterminate":
            self.totals["indeterminate"] += 1
            if len(self.indeterminate) < 100:
                self.indeterminate.append(index)
        if held is not None and self.reports:
            self._closed(held[3], record)
        if held is not None and held[1] != record["tenant"]:
            a6.fail(f"index {index}", "an outcome of another tenant than its intent")
        if held is None and (record["call"], record["attempt"]) not in self._unended and not self._from_before(record):
            self._unbegun.append(index)

    def _from_before(self, record: Json) -> bool:
        """Whether the intent can lie before A: a UUIDv7 says when its call began (RFC 9562 section 5.7)."""
        if self.start == 0 or len(record["call"]) != 32:
            return False
        self.totals["carried"] += 1
        return int(record["call"][:12], 16) * 1000 <= self.first + _CLOCK_SLACK

    def _refusal(self, index: int, record: Json) -> None:
        a8 = self.a["A8"]
        a8.checked += 1
        self.totals["refused"] += 1
        self.by["reason"][record["code"]] += 1
        self._in_effect(index, record)
        if any((record["call"], attempt) in self._open for attempt in range(1)):
            a8.fail(f"index {index}", "a call that was sent and then denied")
        self._refused[record["call"]] = None
        if len(self._refused) > _RECENT:
            self._refused.popitem(last=False)

    def _operator(self, index: int, record: Json) -> None:
        self.totals["operator"] += 1
        act = record["act"]
        if "writer" in record and act in {"boot", "configuration", "shutdown", "recovery"}:
            self._of_writer(index, record, self._writers[record["writer"]])
        elif act == "boot":
            self._booted(index, record)
        elif act == "configuration":
            a10 = self.a["A10"]
            a10.checked += 1
            if record.get("parent") != self._in_force and self._in_force is not None:
                a10.fail(f"index {index}", "a configuration whose parent was not in force")
            self._announced.add(record.get("configuration"))
            self._in_force = record.get("configuration")
        elif act == "shutdown":
            self._refuse_open(f"index {index}", record["boot"])
        elif act == "recovery":
            self._refuse_open(f"index {index}", None)
        elif act == "gap" and "previous" in record:
            self._falls_silent(index, record)
        elif act == "gap":
            start, end = _iso(record.get("start", 0)), _iso(record.get("end", 0))
            self.losses.append(f"nothing could be written from {start} to {end}; {record.get('refused', 0)} refused")
            if "document" in record:
                self._loses(index, record)
        elif act == "unauthenticated":
            self.totals["strangers"] += record.get("refused", 0)
        elif act in ("erase", "prune", "erased"):
            self._forgets(index, record)
        elif act == "reconciliation":
            self._reconciles(index, record)
        elif act == "anchor":
            self._anchors(index, record)
        elif act == "totals":
            self.by["redacted"].update(dict(record.get("totals", [])))

    def _anchors(self, index: int, record: Json) -> None:
        """A3: what comes after this record was written after its token was made."""
        a3, stamp = self.a["A3"], self.stamps.get(record.get("document", ""))
        a3.checked += 1
        if stamp is None:
            self._unfounded.append((a3, index, "its time-stamp token is not here, or does not hold"))
            return
        size, note, time = stamp
        said = record.get("count"), record.get("parent")
        if said != (size, note) or size > index or abs(int(record.get("start", 0)) - time) > 1_000_000:
            a3.fail(f"index {index}", "it says otherwise than its time-stamp token")
            return
        self._stamped_at = max(self._stamped_at, time - _WITNESS_SLACK)

    def stamped_here(self, root: bytes) -> None:
        """A3: of the log as it is up to here, which was stamped, nothing is of after the stamp."""
        for stamped, time in self.stamped.pop(self.index):
            if stamped != root:
                self.a["A3"].fail(f"a token over {self.index} leaves", "is not over this log's past")
            elif self.latest > time + _WITNESS_SLACK:
                self.a["A3"].fail(f"a token over {self.index} leaves", f"was made before {_iso(self.latest)}")

    def _reconciles(self, index: int, record: Json) -> None:
        """A13: the report is what the record names, our side is what this log says, and no difference is silent."""
        a13, written = self.a["A13"], self.reports.get(record.get("document", ""), b"")
        a13.checked += 1
        if hashlib.sha256(written).hexdigest() != record.get("document"):
            self._unfounded.append((a13, index, "its report is not here, or was changed"))
            return
        try:
            tree = json.loads(written)
            clean = all([self._reconciled_day(index, tree, row) for row in tree["days"]])
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            a13.fail(f"index {index}", "its report has another form")
            return
        if tree["processor"] != record.get("processor") or bool(record.get("clean")) != clean:
            a13.fail(f"index {index}", "it says otherwise than its report")

    def _reconciled_day(self, index: int, tree: Json, row: Json) -> bool:
        """A13 for a day; whether it agrees within tolerance. Our side, and what differs, are made out anew."""
        a13, day, permille = self.a["A13"], int(row["day"]), int(tree["tolerance_permille"])
        a13.checked += 1
        ours = self._ours(tree, day)
        whole = self.start == 0 or self.first <= day * _DAY  # of an earlier day the log before A knows more
        if whole and not self._missing and any(row[name] != value for name, value in ours.items()):
            wrong = next(name for name, value in ours.items() if row[name] != value)
            a13.fail(f"index {index}", f"day {day} had {ours[wrong]} {wrong}, and the report says {row[wrong]}")
        said = [sum(held[at] for held in row["keys"].values()) for at in range(3)]
        if said[1:] != row["said"] or row["requests"] not in (None, said[0]) or permille > MOST_TOLERANCE_PERMILLE:
            a13.fail(f"index {index}", f"day {day} does not add up, or more is tolerated than may be")
        attempts, explained, late, early = (int(row[name]) for name in ("attempts", "explained", "late", "early"))
        why = []
        room = max(1, attempts * permille // 1000)
        if row["requests"] is not None:
            why += _beyond("requests", said[0], attempts - explained - late - room, attempts + early + room)
        for name, total, peak, told in zip(("input", "output"), row["tokens"], row["peaks"], said[1:]):  # noqa: B905
            room = max(peak, total * permille // 1000)
            why += _beyond(
                name, told, total - (explained + late) * peak - room, total + (explained + early) * peak + room
            )
        if any(key not in tree["gateway_keys"] and any(held) for key, held in row["keys"].items()):
            why.append("foreign_key")
        if why != row["why"]:
            a13.fail(f"index {index}", f"day {day} differs otherwise than the report lists")
        if why:
            a13.notes.append(
                f"{tree['processor']}, day {day}: {attempts} attempts and {row['tokens']} tokens; the provider counted "
                f"{row['requests']} requests and {row['said']} tokens ({', '.join(why)})"
            )
        if row["not_counted"]:
            a13.notes.append(f"{tree['processor']}, day {day}: its report does not count {row['not_counted']} attempts")
        return not why

    def _ours(self, tree: Json, day: int) -> Json:
        """What this log says of a processor's day, as a report has it."""
        found = {key[2]: sent for key, sent in self._sent.items() if key[:2] == (tree["processor"], day)}
        here = [sent for operation, sent in found.items() if operation in tree["operations"]]
        tokens = [sent for operation, sent in found.items() if operation in tree["tokens_of"]]
        kinds = [[4 + _COUNTS.index(name) for name in names] for names in (tree["input"], ["output"])]
        sums = [sum(sent[at] for sent in here) for at in range(4)]
        return {
            "attempts": sums[0],
            "explained": sums[1] + sum(self._still_open(tree, day)),
            "late": sums[2],
            "early": sums[3],
            "not_counted": sum(sent[0] for operation, sent in found.items() if operation not in tree["operations"]),
            "tokens": [sum(sent[at] for sent in tokens for at in kind) for kind in kinds],
            "peaks": [sum(max((sent[at + 4] for sent in tokens), default=0) for at in kind) for kind in kinds],
        }

    def _still_open(self, tree: Json, day: int) -> Iterator[bool]:
        for held in self._open.values():
            yield held[3][:2] == (tree["processor"], day) and held[3][2] in tree["operations"]

    def _closed(self, place: tuple[str, int, str], record: Json) -> None:
        """How an attempt ended, for reconciliations."""
        sent, ended = self._sent[place], record["time"] // _DAY
        sent[1] += record["result"] != "completed"
        if ended > place[1] and record["result"] != "indeterminate":
            sent[2] += 1
            self._sent[place[0], ended, place[2]][3] += 1
        for at, name in enumerate(_COUNTS, 4):
            tokens = record.get(f"{name}_tokens", 0)
            sent[at] += tokens
            sent[at + 4] = max(sent[at + 4], tokens)

    def deletes(self, index: int, record: Json) -> None:
        """A deletion that was logged after B, proved to be in the log: it may cover what is missing before B."""
        if record.get("act") in ("erase", "prune", "erased"):
            self._forgets(index, record)
        elif record.get("act") == "gap" and "document" in record:
            self._loses(index, record)

    def _forgets(self, index: int, record: Json) -> None:
        """A4 and A14: what a logged deletion covers, and whether it was carried out."""
        act, digest = record["act"], record.get("document", "")
        if act == "erased":
            held = self._asked.pop(digest, None)
            if held is not None and record["time"] - held[1] > ERASED_WITHIN_DAYS * _DAY:
                self.a["A14"].fail(f"index {index}", "an erasure that was carried out too late")
            spans = self._listed(index, record)
            if spans is not None:
                self._executed[digest] = spans
            return
        spans = self._listed(index, record)
        if spans is None:
            return
        self.totals["erasures" if act == "erase" else "prunes"] += 1
        if record.get("count") != sum(end - start for start, end in spans):
            self.a["A4"].fail(f"index {index}", "its list does not hold as many leaves as it says")
        self._covered += spans
        if act == "erase":
            self.a["A14"].checked += 1
            self._asked[digest] = (index, int(record.get("start") or record["time"]))

    def _listed(self, index: int, record: Json) -> list[tuple[int, int]] | None:
        """The spans that a record's list names, all of lower indices; None, and A4 fails, where there is none."""
        a4, written = self.a["A4"], self.lists.get(record.get("document", ""), b"")
        a4.checked += 1
        if hashlib.sha256(written).hexdigest() != record.get("document"):
            a4.fail(f"index {index}", "the list of what it deletes is not here, or was changed")
            return None
        try:
            spans = [(int(start), int(end)) for start, end in json.loads(written)["spans"]]
        except (ValueError, KeyError, TypeError):
            spans = [(0, 0)]
        edges = [0, *(edge for span in spans for edge in span), index]
        if edges != sorted(edges) or any(start == end for start, end in spans):
            a4.fail(f"index {index}", "the list of what it deletes is in disorder, or names what came after it")
            return None
        return spans

    def _loses(self, index: int, record: Json) -> None:
        """A disk was lost, and with it what its checkpoints had signed: listed as a loss, whatever it costs."""
        spans = self._listed(index, record)
        if spans is not None:
            count = sum(end - start for start, end in spans)
            self._lost += spans
            self.losses.append(f"{count} records of the log were lost with a disk")
            self._broken = None

    def _booted(self, index: int, record: Json) -> None:
        a5 = self.a["A5"]
        self.totals["boots"] += 1
        previous, known = record.get("previous"), self._boots.get(self._boot or "")
        if record["rseq"] != 0 or record.get("started") != record["boot"]:
            a5.fail(f"index {index}", "a boot record that is not the first of its boot")
        self._still_broken()
        if self._boot is not None and previous != self._boot:
            self._broken = index, f"the boot before is not {self._boot[:8]}: a boot is missing"
        if self._boot is None and previous is not None and self.start == 0:
            a5.fail(f"index {index}", "a boot came before the log's first")
        if known is not None and self._broken is None and bool(record.get("clean")) != bool(known[2]):
            # A state that came back from a backup does not know how the boot ended, where the log does.
            self._broken = index, "it says of the boot before what its records do not"
            if record.get("clean"):
                self._still_broken()
        if previous is not None and not record.get("clean"):
            since = _iso(self._last_time) if self._last_time else "before A"
            self.losses.append(f"boot {previous[:8]} ended without warning between {since} and {_iso(record['time'])}")
        self._boot = record["boot"]
        self._last_time = 0
        self._announced = {record.get("configuration")}
        self._in_force = record.get("configuration")

    def _of_writer(self, index: int, record: Json, writer: Writer) -> None:
        """A5, A6 and A10 for a journal that was gathered: it begins, ends and changes as the gathering one does."""
        a5, act, name = self.a["A5"], record["act"], record["writer"]
        if act == "configuration":
            self.a["A10"].checked += 1
            if record.get("parent") != writer.in_force and writer.in_force is not None:
                self.a["A10"].fail(f"index {index}", "a configuration whose parent was not in force")
        elif act == "shutdown":
            self._refuse_open(f"index {index}", name)
            writer.ended = writer.clean = True
        elif act == "recovery":
            self._refuse_open(f"index {index}", writer.previous)
        else:
            self.totals["boots"] += 1
            if record["wseq"] != 0 or record.get("started") != name:
                a5.fail(f"index {index}", "a boot record that is not the first of its boot")
            self._succeeds(index, record)
        if act in {"boot", "configuration"}:
            writer.announce(record)

    def _succeeds(self, index: int, record: Json) -> None:
        """A5: a writer that goes on where another ended names it, and each is followed by at most one."""
        a5, previous = self.a["A5"], record.get("previous")
        if previous is None:
            return
        before = self._writers.get(previous)
        if before is None:
            if self.start == 0 and not self._missing:
                a5.fail(f"index {index}", f"the writer before is not here: {previous[:8]} is missing")
            return
        if before.followed:
            a5.fail(f"index {index}", f"a second writer that says it follows {previous[:8]}")
        if bool(record.get("clean")) != before.clean:
            a5.fail(f"index {index}", "it says of the writer before what its records do not")
        if not record.get("clean"):
            since, until = _iso(before.time), _iso(record["time"])
            self.losses.append(f"writer {previous[:8]} ended without warning between {since} and {until}")
        self._speaks(previous, before)
        before.ended = before.followed = True

    def _still_broken(self) -> None:
        """A5: a boot that does not follow, or not as it says, and no record of a lost disk since."""
        if self._broken is not None:
            self.a["A5"].fail(f"index {self._broken[0]}", self._broken[1])
            self._broken = None

    def _refuse_open(self, where: str, boot: str | None) -> None:
        """When a boot has ended or was recovered from, none of its calls may be open."""
        ours = [
            key
            for key, held in self._open.items()
            if (held[2] not in self._writers if boot is None else held[2] == boot)
        ]
        for key in ours:
            index, _tenant, of, _place = self._open.pop(key)
            if boot is not None or of != self._boot:
                self._unended[key] = index, f"an intent without an outcome when its boot had ended ({where})"

    def end(self) -> None:
        """What can only be said at the end."""
        a4, a6, a14 = self.a["A4"], self.a["A6"], self.a["A14"]
        self._still_broken()
        missing, lost = _merged(self._missing_ranges), _merged(self._lost)
        for start, _end in _minus(missing, _merged([*self._covered, *lost])):
            a4.fail(f"index {start}", "no record, and no logged deletion covers it")
        last_lost = lost[-1][1] if lost else 0
        for assertion, index, why in self._unfounded:
            if index >= last_lost:
                assertion.fail(f"index {index}", why)
            else:
                assertion.notes.append(f"index {index}: {why}; it may have been lost with the disk")
        for index in self._unbegun:
            if not lost or index < lost[0][0]:  # else its intent may be among what a lost disk held
                a6.fail(f"index {index}", "an outcome without an intent before it")
        for index, why in self._unended.values():
            if index >= last_lost:  # else its outcome may be among what a lost disk held
                a6.fail(f"index {index}", why)
        for spans in self._executed.values():
            here = [(max(start, self.start), min(end, self.index)) for start, end in spans]
            for start, _end in _minus([span for span in here if span[0] < span[1]], missing):
                a14.fail(f"index {start}", "a record that was said to be deleted is here")
        for index, asked in self._asked.values():
            if self.latest > asked + ERASED_WITHIN_DAYS * _DAY:
                a14.fail(f"index {index}", "an erasure that was not carried out in time")
        self.totals["erased"] = sum(end - start for start, end in _minus(missing, lost))
        self.totals["lost"] = self._missing - sum(end - start for start, end in _minus(missing, lost))
        for index, _tenant, boot, _place in self._open.values():
            writer = self._writers.get(boot)
            if boot != self._boot if writer is None else not writer.lives:
                a6.fail(f"index {index}", "an intent without an outcome although its boot has ended")
        self.totals["open"] = len(self._open)
        opened = Counter(held[2] for held in self._open.values())
        for name, writer in self._writers.items():
            if not writer.lives or not (writer.silent or (writer.time and self.latest - writer.time > _OUTAGE)):
                continue
            since, said = (_iso(writer.silent[0]), "a") if writer.silent else (_iso(writer.time), "no")
            rows = "an unknown number of rows" if writer.due is None else f"{writer.due} rows"
            self.losses.append(
                f"writer {name[:8]} fell silent at {since} ({said} record says so); what it wrote after its first "
                f"{rows} is not here, and {opened[name]} of its attempts have no outcome"
            )
        if self.oldest:
            a14.checked = self.a["A9"].checked
            # a call that lasted into the month stays whole
            if _month(self.latest) - _month(self.oldest + _DAY) > MONTHS_KEPT:
                a14.fail("the oldest record", f"is of {_iso(self.oldest)[:10]}")

    def facts(self) -> Json:
        """Every total, as the report has it."""
        names = ("calls", "attempts", "covered", "uncovered", "trials", "refused", "redactions", "indeterminate",
                 "erased", "erasures", "prunes", "lost", "open", "strangers", "boots", "operator", "carried",
                 "plaintext")  # fmt: skip
        by = {name: dict(sorted(counts.items())) for name, counts in self.by.items()}
        by["day"] = {_iso(day * 86_400_000_000)[:10]: count for day, count in by["day"].items()}
        return {
            "totals": {name: self.totals[name] for name in names},
            "by": by,
            "losses": self.losses,
            "indeterminate": self.indeterminate,
        }


def _beyond(name: str, said: int, least: int, most: int) -> list[str]:
    return [f"fewer_{name}"] if said < least else [f"more_{name}"] if said > most else []


def _merged(spans: Iterable[Iterable[int]]) -> list[tuple[int, int]]:
    """The same indices as spans in order, none touching the next."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(tuple(span) for span in spans):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def _minus(spans: list[tuple[int, int]], others: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """What of `spans` is in none of `others`; both are in order."""
    at = 0
    for first, end in spans:
        while at < len(others) and others[at][1] <= first:
            at += 1
        here, start = at, first
        while here < len(others) and others[here][0] < end:
            if others[here][0] > start:
                yield start, others[here][0]
            start = others[here][1]
            here += 1
        if start < end:
            yield start, end


def _iso(time: int) -> str:
    return datetime.fromtimestamp(time / 1_000_000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _month(time: int) -> int:
    day = datetime.fromtimestamp(time / 1_000_000, timezone.utc)
    return day.year * 12 + day.month


def sentence(facts: Json, since: str, until: str) -> str:
    """The report's sentence. Its zeros are printed."""
    t, by = facts["totals"], facts["by"]
    reasons = ", ".join(f"{code} {count}" for code, count in by["reason"].items()) or "none"
    losses = "; ".join(facts["losses"]) or "none"
    tried = f" {t['trials']} were the gateway's trials of itself, on its own host." if t.get("trials") else ""
    return (
        f"Between {since} and {until} the gateway made {t['calls']} provider calls in {t['attempts']} attempts. "
        f"{t['covered']} went to endpoints under an agreement in force at that time; {t['uncovered']} did not.{tried} "
        f"{t['refused']} requests were denied ({reasons}). {t['redactions']} redactions. "
        f"{t['indeterminate']} attempts are indeterminate. {t['erased']} records were deleted under "
        f"{t['erasures']} logged erasures and {t['prunes']} ends of their months. Possible loss intervals: {losses}."
    )


class Evidence(Protocol):
    """What is verified: a pack, or the gateway's own state.

    `note_a` and `note_b` are the checkpoints (the first None where A is 0), `peaks` those of A, `prior` the operator
    records in force at A as (index, entry, proof), `configurations` digest -> bytes, `report` the facts claimed.
    `lists` are what deletions name and `reports` the reconciliations, digest -> bytes; `later` the deletions that were
    logged after B: a checkpoint, the proof that it extends B, and records as in `prior`, proved under it. `stamps` are
    (checkpoint, answer of an authority, proof) of each time-stamp token that bounds the period; the proof is between B
    and the checkpoint, None for one within the period. `roots` (PEM) is whom this evidence itself trusts with time.
    """

    start: int
    end: int
    note_a: str | None
    note_b: str
    peaks: list[tuple[int, bytes]]
    prior: list[tuple[int, bytes, list[bytes]]]
    configurations: dict[str, bytes]
    lists: dict[str, bytes]
    reports: dict[str, bytes]
    later: tuple[str, list[bytes], list[tuple[int, bytes, list[bytes]]]] | None
    stamps: list[tuple[str, bytes, list[bytes] | None]]
    roots: str
    report: Json | None

    def leaves(self) -> Iterator[tuple[bytes, bytes | None, str | None]]:
        """(entry, salt, record's text) of each leaf; without salt and text if it was erased."""

    def check_files(self, a1: Assertion, policy: Policy) -> None:
        """A1."""

    def counted(self) -> dict[str, int]:
        """Totals that the evidence's own database counts, for evidence without a report; none in a pack."""


def verify(
    evidence: Evidence,
    policy: Policy,
    progress: Callable[[int, int], object] | None = None,
    seen: Iterable[str] = (),
    roots: str | None = None,
) -> Verification:
    """Check everything about `evidence`; the Verification.

    `roots` (PEM) are the time-stamp authorities that the auditor trusts: then the evidence must hold a token of theirs.

    `seen` are checkpoints that the auditor kept from before. The log must extend each of them: that is what shows
    a log whose end was cut off, or which was written anew, by somebody who holds its key.

    Raises:
        NotVerified: it cannot be read at all.
    """
    a_origin, a_size, a_root = None, 0, None
    trust = None
    try:
        if evidence.note_a is not None:
            a_origin, a_size, a_root = read_checkpoint(evidence.note_a, policy)
        b_origin, b_size, b_root = read_checkpoint(evidence.note_b, policy)
    except NotVerified as fault:
        trust = str(fault)
        a_size, b_size, b_root, b_origin = evidence.start, evidence.end, None, None
    run = Verification(a_size)
    a2 = run.a["A2"]
    a2.checked = 1 if evidence.note_a is None else 2
    if trust is not None:
        a2.fail("checkpoint", trust)
    evidence.check_files(run.a["A1"], policy)
    tree = Tree(evidence.peaks)
    over = [] if b_root is None else _stamps(run, evidence, policy, roots, (b_origin, b_size, b_root))
    if a_root is not None and (tree.root() != a_root or a_origin != b_origin or a_size > b_size):
        a2.fail("checkpoint A", "the tiles beside it do not give its root, or B is not of the same log")
    for index, entry, path in evidence.prior:
        if b_root is None or index >= a_size or entry[:1] != b"\2" or not included(entry, index, b_size, path, b_root):
            run.a["A10"].fail(f"index {index}", "an earlier operator record is not proved to be in the log")
        else:
            run.announce(json.loads(entry[1:]))
    run.lists, run.reports = evidence.lists, evidence.reports
    if evidence.later is not None and b_root is not None:
        _later(run, evidence.later, policy, b_origin, b_size, b_root)
    for digest, preimage in evidence.configurations.items():
        if hashlib.sha256(preimage).hexdigest() != digest:
            run.a["A10"].fail("configurations", "a file is not what its name says")
        else:
            run.configurations[digest] = Configuration(preimage)
    kept = _kept(seen, policy, a2, a_size, b_size)
    _walk(run, evidence, tree, kept, progress, b_size - a_size)
    if run.index in run.stamped:
        run.stamped_here(tree.root())
    if b_root is not None and (run.index != b_size or tree.root() != b_root):
        a2.fail("checkpoint B", f"{run.index - a_size} entries do not lead from A to the root that B signs")
    _extends(kept, run.index, tree, a2)
    for size in kept:
        a2.fail("a checkpoint seen before", f"had {size} leaves, which this log never had")
    run.end()
    _compare(run, evidence)
    if policy.quorum == "none":
        a2.notes.append("the policy asks for no witness: only the log's own key stands for A and B")
    _bounded(run, evidence, policy, over)
    run.a["A10"].notes.append("approvals stand in the agreements; changes of configuration carry none of their own")
    if not run.a["A13"].checked:
        run.a["A13"].notes.append("no reconciliation in this period: nothing here speaks against a bypass")
    return run


def _later(
    run: Verification,
    later: tuple[str, list[bytes], list[tuple[int, bytes, list[bytes]]]],
    policy: Policy,
    b_origin: str | None,
    b_size: int,
    b_root: bytes,
) -> None:
    """A4: deletions logged after B, each proved to be in a log that extends B."""
    note, path, acts = later
    a4 = run.a["A4"]
    try:
        origin, size, root = read_checkpoint(note, policy)
    except NotVerified as fault:
        a4.fail("the checkpoint after B", str(fault))
        return
    if origin != b_origin or not consistent(b_size, size, path, b_root, root):
        a4.fail("the checkpoint after B", "does not extend B")
        return
    for index, entry, proof in acts:
        if index < b_size or entry[:1] != b"\2" or not included(entry, index, size, proof, root):
            a4.fail(f"index {index}", "a later deletion is not proved to be in the log")
        else:
            run.deletes(index, json.loads(entry[1:]))


def _walk(
    run: Verification,
    evidence: Evidence,
    tree: Tree,
    kept: dict[int, set[bytes]],
    progress: Callable[[int, int], object] | None,
    total: int,
) -> None:
    """Every leaf, once, in order."""
    add, leaf, start = tree.add, run.leaf, run.index
    marks = kept.keys() | run.stamped.keys()
    collecting = gc.isenabled()
    gc.disable()  # nothing here makes a cycle, and looking for them takes a tenth of the time
    try:
        for entry, salt, text in evidence.leaves():
            if run.index in marks:
                _pass(run, kept, tree)
            add(entry)
            leaf(entry, salt, text)
            if progress is not None and run.index % 8192 == 0:
                progress(run.index - start, total)
    finally:
        if collecting:
            gc.enable()


def _pass(run: Verification, kept: dict[int, set[bytes]], tree: Tree) -> None:
    """A2 and A3: the log as it is here is what was seen of it, and stamped."""
    if run.index in kept:
        _extends(kept, run.index, tree, run.a["A2"])
    if run.index in run.stamped:
        run.stamped_here(tree.root())


def _stamps(
    run: Verification,
    evidence: Evidence,
    policy: Policy,
    pem: str | None,
    b: tuple[str | None, int, bytes],
) -> list[int]:
    """A3: each token is of a trusted authority and over a checkpoint of this log. When B, or more, was stamped."""
    a3, (origin, size, root), after = run.a["A3"], b, []
    by_log = Policy("")
    by_log.logs = policy.logs
    try:
        given = evidence.roots or None if pem is None else pem
        roots = None if given is None else read_roots(given)
    except NotVerified as fault:
        a3.fail("the authorities' roots", str(fault))
        return []
    if pem is None and evidence.stamps:
        a3.notes.append("whose clock the time-stamp tokens are of is this evidence's own word: give --tsa-roots")
    for note, answer, path in evidence.stamps:
        a3.checked += 1
        try:
            stamped_origin, stamped, stamped_root = read_checkpoint(note, by_log)
            token = Token(answer)
            token.check(roots)
        except NotVerified as fault:
            a3.fail("a time-stamp token", str(fault))
            continue
        if not token.is_over(note.encode()) or stamped_origin != origin:
            a3.fail(f"a token over {stamped} leaves", "is over something else")
            continue
        if path is None and run.start <= stamped <= size:
            run.stamped.setdefault(stamped, []).append((stamped_root, token.time))
        else:
            ends = [(stamped, stamped_root), (size, root)]
            (old, old_root), (new, new_root) = ends if stamped < size else ends[::-1]
            if path is None or not consistent(old, new, path, old_root, new_root):
                a3.fail(f"a token over {stamped} leaves", "is not over this log's past")
                continue
        after += [token.time] if stamped >= size else []
        digest = hashlib.sha256(note.encode()).hexdigest()
        run.stamps[hashlib.sha256(answer).hexdigest()] = stamped, digest, token.time
    if run.stamps:
        a3.notes.append("whether an authority's certificate was revoked is not looked up: this runs offline")
    elif pem is not None:
        a3.fail("time-stamp tokens", "there is none by an authority that you trust")
    return after


def _bounded(run: Verification, evidence: Evidence, policy: Policy, stamped: list[int]) -> None:
    """A3: by the clocks of witnesses and authorities that are trusted, B was there when they signed it, and A before.

    A record between them cannot be of after B was signed, nor of long before A was.
    """
    a3 = run.a["A3"]
    if stamped:
        a3.notes.append(f"a time-stamp token says that B was there at {_iso(min(stamped))}")
        if run.latest > min(stamped) + _WITNESS_SLACK:
            a3.fail("the latest record", f"is of {_iso(run.latest)}, after a token over B was made")
    try:
        before = [] if evidence.note_a is None else cosigned_at(evidence.note_a, policy)
        after = cosigned_at(evidence.note_b, policy)
    except NotVerified:
        before = after = []  # A2 says so
    a3.checked += len(before) + len(after)
    if after and run.latest > min(after) * 1_000_000 + _WITNESS_SLACK:
        a3.fail("the latest record", f"is of {_iso(run.latest)}, after a witness had signed B")
    earliest = min(run.first, run.oldest or run.first)
    if before and earliest < min(before) * 1_000_000 - _WITNESS_SLACK:
        a3.fail("the earliest record", f"is of {_iso(earliest)}, long before a witness had signed A")
    if not after and not stamped:
        a3.notes.append("no witness signed B, and no time-stamp token is over it: times are the gateway's own clock")
    if not after and policy.quorum != "none":
        a3.fail("checkpoint B", "no witness of the policy says when it was there")


def _kept(seen: Iterable[str], policy: Policy, a2: Assertion, start: int, end: int) -> dict[int, set[bytes]]:
    """The checkpoints seen before, by size; those of before A cannot be compared with this evidence."""
    kept: dict[int, set[bytes]] = {}
    for note in seen:
        a2.checked += 1
        try:
            _origin, size, root = read_checkpoint(note, policy)
        except NotVerified as fault:
            a2.fail("a checkpoint seen before", str(fault))
            continue
        if size < start:
            a2.notes.append(f"a checkpoint of {size} leaves lies before A: compare it with an earlier pack")
        else:
            kept.setdefault(size, set()).add(root)
        if size > end:
            a2.fail("a checkpoint seen before", f"had {size} leaves; this log has {end}: its end was cut off")
    return {size: roots for size, roots in kept.items() if size <= end}


def _extends(kept: dict[int, set[bytes]], size: int, tree: Tree, a2: Assertion) -> None:
    if kept.pop(size, {tree.root()}) != {tree.root()}:
        a2.fail("a checkpoint seen before", f"of {size} leaves is not of this log's past: the log was written anew")


def _compare(run: Verification, evidence: Evidence) -> None:
    """A12: a pack's report, or how many rows of each kind a state's database counts."""
    a12, facts, report = run.a["A12"], run.facts(), evidence.report
    if report is None:
        counted = evidence.counted()
        for name, count in counted.items():
            a12.checked += 1
            said = facts["totals"].get(name, 0)
            if name == "operator" and facts["totals"]["lost"] and count <= said:
                continue  # what a lost disk held stands in the log alone
            if said != count:
                a12.fail(name, f"the database counts {count}, the log {said}")
        if not counted:
            a12.fail("report", "there is none, and nothing was counted")
        return
    for part in ("totals", "by", "losses", "indeterminate"):
        a12.checked += 1
        if report.get(part) != facts[part]:
            a12.fail(part, "the report says otherwise")


# 8. The pack


class Pack:
    """An evidence pack: a zip whose members are read one after the other, never unpacked."""

    def __init__(self, file: str) -> None:
        try:
            self._zip = zipfile.ZipFile(file)
            self._names = [each.filename for each in self._zip.infolist()]
            self._manifest_bytes = self._zip.read("manifest.json")
            self._manifest = json.loads(self._manifest_bytes)
            self.start, self.end = int(self._manifest["start"]), int(self._manifest["end"])
            self.note_b = self._zip.read("log/checkpoint.B").decode()
            self.note_a = self._zip.read("log/checkpoint.A").decode() if self.start else None
            self.report = json.loads(self._zip.read("report.json"))["facts"]
            self.prior = _proved(json.loads(self._zip.read("operator/prior.json")))
            self.lists = {
                name[len("operator/erasures/") : -5]: self._zip.read(name)
                for name in self._names
                if name.startswith("operator/erasures/")
            }
            self.reports = {
                name[len("reconcile/") : -5]: self._zip.read(name)
                for name in self._names
                if name.startswith("reconcile/")
            }
            self.later = self._later() if "operator/later.json" in self._names else None
            self.policy = self._zip.read("trust/policy").decode()
            self.roots = self._zip.read("trust/tsa-roots.pem").decode() if "trust/tsa-roots.pem" in self._names else ""
            self.stamps = self._stamps() if "log/anchors.json" in self._names else []
            self.peaks = self._peaks()
            self.configurations = {
                name[len("operator/configurations/") : -5]: self._zip.read(name)
                for name in self._names
                if name.startswith("operator/configurations/")
            }
        except (KeyError, ValueError, TypeError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as fault:
            raise NotVerified(f"the pack cannot be read ({type(fault).__name__})") from None

    def _later(self) -> tuple[str, list[bytes], list[tuple[int, bytes, list[bytes]]]]:
        tree = json.loads(self._zip.read("operator/later.json"))
        return str(tree["checkpoint"]), [bytes.fromhex(each) for each in tree["path"]], _proved(tree["acts"])

    def _stamps(self) -> list[tuple[str, bytes, list[bytes] | None]]:
        found = []
        for each in json.loads(self._zip.read("log/anchors.json")):
            name = f"log/anchors/{int(each['size'])}"
            path = None if each["path"] is None else [bytes.fromhex(node) for node in each["path"]]
            found.append((self._zip.read(f"{name}.note").decode(), self._zip.read(f"{name}.tsr"), path))
        return found

    def check_files(self, a1: Assertion, policy: Policy) -> None:
        """A1: nothing is missing, added or changed, and the manifest is signed by the log."""
        listed = self._manifest.get("files", {})
        names = [name for name in self._names if name not in ("manifest.json", "manifest.note")]
        for name in sorted(set(names) ^ set(listed)) + sorted(n for n, c in Counter(self._names).items() if c > 1):
            a1.fail(name, "not listed, not there, or there twice")
        for name in names:
            a1.checked += 1
            if name.startswith("/") or ".." in name.split("/") or "\\" in name:
                a1.fail("a member", "its path leads out of the pack")
            digest = hashlib.sha256()
            try:
                with self._zip.open(name) as member:
                    while block := member.read(1 << 20):
                        digest.update(block)
            except (OSError, EOFError, zipfile.BadZipFile, zlib.error):
                a1.fail(name, "damaged")
                continue
            if digest.hexdigest() != listed.get(name):
                a1.fail(name, "not the file that the manifest lists")
        a1.checked += 1
        if not self._signed(policy):
            a1.fail("manifest.json", "not signed by the log's key")

    def counted(self) -> dict[str, int]:
        """A pack without a report has nothing to compare."""
        return {}

    def leaves(self) -> Iterator[tuple[bytes, bytes | None, str | None]]:
        """(entry, salt, text) of each index, from the bundles and the records."""
        records = self._records()
        held = next(records, None)
        for index, entry in self._entries():
            while held is not None and held[0] < index:
                raise NotVerified("the records are out of order")
            if held is not None and held[0] == index:
                yield entry, held[1], held[2]
                held = next(records, None)
            else:
                yield entry, None, None
        if held is not None:
            raise NotVerified("a record of an index that the log does not have")

    def _entries(self) -> Iterator[tuple[int, bytes]]:
        try:
            for position in range(self.start // 256, -(-self.end // 256)):
                width = min(256, self.end - position * 256)
                data = self._zip.read(f"log/{_bundle_path(position, width)}")
                at = 0
                for index in range(position * 256, position * 256 + width):
                    end = at + 2 + int.from_bytes(data[at : at + 2], "big")
                    if end > len(data) or at == end:
                        raise NotVerified("a bundle is too short")
                    if index >= self.start:
                        yield index, data[at + 2 : end]
                    at = end
        except (KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as fault:
            raise NotVerified(f"the entries cannot be read ({type(fault).__name__})") from None

    def _records(self) -> Iterator[tuple[int, bytes | None, str]]:
        for name in sorted(name for name in self._names if name.startswith("records/")):
            try:
                with self._zip.open(name) as member, gzip.open(member, "rt", encoding="ascii", newline="\n") as lines:
                    for line in lines:
                        match = _LINE.match(line)
                        if match is None or not line.endswith("}\n"):
                            raise NotVerified("a line of records has another form")
                        salt = bytes.fromhex(match[2]) if match[2] else None
                        yield int(match[1]), salt, line[match.end() : -2]
            except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as fault:
                raise NotVerified(f"the records cannot be read ({type(fault).__name__})") from None

    def _peaks(self) -> list[tuple[int, bytes]]:
        """The peaks of A out of the partial tiles at its right edge."""
        peaks: list[tuple[int, bytes]] = []
        size, level = self.start, 0
        while size:
            width = size % 256
            if width:
                hashes = self._zip.read(f"log/tile/{level}/{_path(size >> 8)}.p/{width}")
                if len(hashes) != 32 * width:
                    raise ValueError
                found, at = [], 0
                for bit in range(7, -1, -1):
                    if width >> bit & 1:
                        found.append((8 * level + bit, _perfect(hashes[32 * at : 32 * (at + (1 << bit))])))
                        at += 1 << bit
                peaks = found + peaks
            size, level = size >> 8, level + 1
        return peaks

    def _signed(self, policy: Policy) -> bool:
        try:
            note = self._zip.read("manifest.note").decode()
            text, _, rest = note.rpartition("\n\n")
            expected = f"zr-evidence/v1\n{hashlib.sha256(self._manifest_bytes).hexdigest()}"
            name, written = rest.strip()[2:].split(" ")
            raw = base64.b64decode(written, validate=True)
            keys = [key for key in policy.logs if key.name == name and key.id == raw[:4]]
            return text == expected and any(key.signed(f"{text}\n", raw[4:]) for key in keys)
        except (KeyError, ValueError, NotVerified, zipfile.BadZipFile, zlib.error, OSError, EOFError):
            return False


def _proved(records: Iterable[Json]) -> list[tuple[int, bytes, list[bytes]]]:
    return [
        (int(each["index"]), bytes.fromhex(each["entry"]), [bytes.fromhex(node) for node in each["path"]])
        for each in records
    ]


_LINE = re.compile(r'\{"index":(0|[1-9][0-9]{0,15}),"salt":"([0-9a-f]{64}|)","record":(?=\{)')


def _perfect(hashes: bytes) -> bytes:
    nodes = [hashes[at : at + 32] for at in range(0, len(hashes), 32)]
    while len(nodes) > 1:
        nodes = [hashlib.sha256(b"\1" + nodes[at] + nodes[at + 1]).digest() for at in range(0, len(nodes), 2)]
    return nodes[0]


def _path(number: int) -> str:
    text = f"{number % 1000:03d}"
    while number >= 1000:
        number //= 1000
        text = f"x{number % 1000:03d}/{text}"
    return text


def _bundle_path(position: int, width: int) -> str:
    return f"tile/entries/{_path(position)}" + ("" if width == 256 else f".p/{width}")


# 9. The command


def lines_of(run: Verification) -> Iterator[str]:
    """The outcome of each assertion, for people."""
    for name, held in run.a.items():
        verdict = "FAIL" if held.failed else "PASS"
        yield f"{name:4}{verdict}  {held.checked:>9} checked {held.failed:>6} failed  {TITLES[name]}"
        if held.failed:
            yield f"      first: {held.first}"
        for note in held.notes:
            yield f"      note: {note}"


def show_progress(done: int, total: int) -> None:
    """A bar on standard error, if somebody is looking."""
    if sys.stderr.isatty():
        share = done / total if total else 1
        sys.stderr.write(f"\r[{'#' * int(40 * share):40}] {done:,} of {total:,}")
        sys.stderr.flush()


def main(arguments: list[str] | None = None) -> int:
    """Verify a pack; 0 only if every assertion holds."""
    parser = argparse.ArgumentParser(prog="zr_verify", description="Check an evidence pack offline.")
    parser.add_argument("pack")
    parser.add_argument("--policy", help="your own trust: the log's key, witnesses, quorum")
    parser.add_argument("--tsa-roots", help="your own trust: certificates (PEM) of time-stamp authorities")
    parser.add_argument("--seen", action="append", default=[], help="a checkpoint that you kept from before")
    options = parser.parse_args(arguments)
    try:
        return verify_pack(options.pack, options.policy, sys.stdout.write, options.seen, options.tsa_roots)
    except (NotVerified, OSError) as fault:
        sys.stdout.write(f"FAIL: {fault}\n")
        return 1


def verify_pack(
    path: str,
    policy_path: str | None,
    write: Callable[[str], object],
    seen: Iterable[str] = (),
    roots_path: str | None = None,
) -> int:
    """Check a pack, or a copy for whom it is about, and write what was found, line by line; the exit code."""
    try:
        with zipfile.ZipFile(path) as opened:
            if "copy.json" in opened.namelist():
                return _copy(opened, policy_path, write)
    except (KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as fault:
        raise NotVerified(f"it cannot be read ({type(fault).__name__})") from None
    pack = Pack(path)
    if policy_path is None:
        write("note: no --policy, so the key is the pack's own word: this shows that it is whole, not whose it is\n")
        policy = Policy(pack.policy)
    else:
        policy = Policy(Path(policy_path).read_text(encoding="utf-8"))
    roots = None if roots_path is None else Path(roots_path).read_text(encoding="utf-8")
    run = verify(pack, policy, show_progress, [Path(name).read_text(encoding="utf-8") for name in seen], roots)
    return conclude(run, write)


def _copy(opened: zipfile.ZipFile, policy_path: str | None, write: Callable[[str], object]) -> int:
    """Check a copy of what is recorded of one tenant, or of one person there; the exit code."""
    head = json.loads(opened.read("copy.json"))
    if policy_path is None:
        write("note: no --policy, so the key is the copy's own word\n")
        policy = Policy(f"log {head['key']}\nquorum none\n")
    else:
        policy = Policy(Path(policy_path).read_text(encoding="utf-8"))
    _origin, size, root = read_checkpoint(opened.read("checkpoint").decode(), policy)
    count = wrong = last = gaps = 0
    for line in opened.open("records.ndjson"):
        each = json.loads(line)
        text, salt = each["record"], bytes.fromhex(each["salt"])
        entry = b"\1" + hashlib.sha256(b"zr-audit/v1\0" + salt + text.encode()).digest()
        record = json.loads(text)
        path = [bytes.fromhex(node) for node in each["path"]]
        holds = included(entry, each["index"], size, path, root) and record.get("tenant") == head["tenant"]
        holds = holds and fault_of(str(record.get("kind")), text, record) is None
        if not holds and not wrong:
            write(f"first: index {each['index']}: not proved, or not of this tenant\n")
        count, wrong = count + 1, wrong + (not holds)
        number = record.get("tseq", last)
        gaps += number > last + 1 and record.get("kind") != "tenant_head"
        last = max(last, number)
    whole = head["subject"] is None
    write(f"{count} records proved to be in the log; {wrong} are not\n")
    if whole:
        write(f"numbered to {last}, with {gaps} gaps, which are of records that were deleted, or are under way\n")
    failed = wrong or count != head["records"]
    write("does NOT hold\n" if failed else "holds\n")
    return 1 if failed else 0


def conclude(run: Verification, write: Callable[[str], object]) -> int:
    """Write what was found, for people, line by line; the exit code: 0 only if every assertion holds."""
    if sys.stderr.isatty():
        sys.stderr.write("\n")
    for line in lines_of(run):
        write(line + "\n")
    write(sentence(run.facts(), _iso(run.first), _iso(run.latest)) + "\n")
    failed = any(held.failed for held in run.a.values())
    write("does NOT hold\n" if failed else "holds\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
