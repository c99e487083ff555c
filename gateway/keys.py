"""Everything secret: the master key, what it seals, tenants' keys, caller keys, call ids.

The only door of `cryptography`. No function here shows a secret in a repr, an error or a log;
a caller key's text leaves once, from `mint_caller_key`, and only its digest is kept.

On disk, under one directory (0700, files 0600, ours): `master.keys` unless it is kept elsewhere,
and what it seals: `journal.sealed`, `log.sealed`, `log-signer.sealed` and `tenants/DIGEST.sealed`.
An approver's private key is in a file of its owner and never in the state.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, TypeAlias

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509 import Certificate, load_pem_x509_certificates

from gateway.errors import Code, Unavailable

KEY_BYTES = 32
NONCE_BYTES = 12  # NIST SP 800-38D section 5.2.1.1: 96 bits, the only length GCM takes without hashing it
MASTER_FILE = "master.keys"

_MASTER_LINE = re.compile(r"([0-9a-f]{8}) ([0-9a-f]{64})")
_MAGIC = b"zrs1"
_APPROVER_LINE = re.compile(r"zrg-approver-private ([0-9a-f]{64})\n?")
_CALLER_KEY = re.compile(r"zrg_([0-9a-f]{16})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})")
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_NOBODY = hashlib.sha256(b"no caller has this digest").hexdigest()


Certificates: TypeAlias = list[Certificate]
_GONE = "gone"
_FIELD = re.compile(r"tenants/[0-9a-f]{32}").fullmatch


class KeyFault(Exception):
    """A key file is missing, readable by others, or not what this keyring sealed.

    The text names a file and a reason, never key material.
    """


class MadeElsewhere(KeyFault):
    """Another process made the file first."""


@dataclass(frozen=True, slots=True)
class _Master:
    key_id: str
    secret: bytes = field(repr=False)


class _Keyed:
    """HMAC-SHA-256 under one key (RFC 2104), with both key blocks hashed once: a quarter of the library call's time."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        block = key.ljust(64, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def digest(self, message: bytes) -> bytes:
        """The 32 bytes for this message."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()


class Signer:
    """An Ed25519 key (RFC 8032). Deterministic: the same message gives the same signature.

    Args:
        seed: the 32 bytes of the private key.
    """

    __slots__ = ("_key", "public")

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes over `message`."""
        return self._key.sign(message)


class Keyring:
    """The master keys and what they seal. One process at a time writes; reads are cached.

    Rotation: add a line to the master file (`add_master`), then `reseal`. The newest line seals,
    every line unseals, so a line may go once `reseal` has run and no backup needs it.

    Attributes:
        shared: other hosts use the same keys of tenants, so that none is made here by the way: one that is not here
            yet is `Unavailable`.
    """

    __slots__ = ("_directory", "_masters", "_tenants", "shared")

    def __init__(self, directory: Path, masters: Iterable[_Master]) -> None:
        """Use `open`; this is its last step."""
        self._directory = directory
        self._masters = {master.key_id: master for master in masters}
        self._tenants: dict[str, _Keyed] = {}
        self.shared = False

    def __repr__(self) -> str:
        return f"Keyring({str(self._directory)!r}, {len(self._masters)} master keys)"

    @classmethod
    def open(cls, directory: Path, *, master: Path | None = None, create: bool = False) -> Keyring:
        """Read the master keys of a state.

        Args:
            directory: where sealed keys live; made with mode 0700 if `create`.
            master: the master file if it is kept outside the state, which is better: a copy of
                the state is then useless by itself.
            create: make a first master key where there is none. Only at first start: a master
                that vanished later must be restored, never replaced.

        Raises:
            KeyFault: something is missing, malformed, or open to others.
        """
        path = directory / MASTER_FILE if master is None else master
        if create:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not path.exists():
                # Looked for again: whoever made it since may have sealed a key too.
                if any(directory.rglob("*.sealed")) and not path.exists():
                    raise KeyFault(f"{path}: the master key is gone but sealed keys remain; restore it")
                with contextlib.suppress(MadeElsewhere):  # by another process that starts now: the same one serves both
                    _write_new(path, f"{_new_master_line()}\n".encode())
        _refuse_open_to_others(directory, directory=True)
        return cls(directory, _read_masters(path))

    @property
    def newest(self) -> str:
        """The id of the master key that seals."""
        return next(reversed(self._masters))

    def seal(self, purpose: str, plain: bytes) -> bytes:
        """Encrypt under the newest master key, bound to `purpose`: magic, key id, nonce, AES-256-GCM text and tag."""
        master = self._masters[self.newest]
        head = _MAGIC + bytes.fromhex(master.key_id)
        nonce = os.urandom(NONCE_BYTES)
        return head + nonce + AESGCM(master.secret).encrypt(nonce, plain, head + purpose.encode())

    def unseal(self, purpose: str, sealed: bytes) -> bytes:
        """Decrypt what `seal` made for the same purpose, under any master key of the file.

        Raises:
            KeyFault: damaged, of another purpose, or of a master key that is not here.
        """
        head, rest = sealed[:8], sealed[8:]
        master = self._masters.get(head[4:].hex()) if head[:4] == _MAGIC else None
        if master is None:
            raise KeyFault(f"{purpose}: sealed under a master key that is not here")
        try:
            return AESGCM(master.secret).decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], head + purpose.encode())
        except (InvalidTag, ValueError):
            raise KeyFault(f"{purpose}: damaged, or sealed for something else") from None

    def reseal(self) -> int:
        """Seal everything anew under the newest master key; the number of files that changed.

        A kill half-way leaves each file whole, under the old or the new key. Run again to finish.
        """
        changed = 0
        for path in sorted(self._directory.rglob("*.sealed")):
            sealed = _read(path)
            if sealed[4:8].hex() != self.newest:
                purpose = path.relative_to(self._directory).with_suffix("").as_posix()
                _replace(path, self.seal(purpose, self.unseal(purpose, sealed)))
                changed += 1
        return changed

    def journal_key(self) -> bytes:
        """The journal's 256-bit database key, made at first use. Random, so the master can rotate without it."""
        return self._secret("journal")

    def log_key(self) -> bytes:
        """The 256-bit database key of the log, made at first use."""
        return self._secret("log")

    def data_keys(self, purpose: str) -> tuple[bytes, bytes]:
        """A database's key, and the one that is to replace it, made at first use and kept until `promote`."""
        return self._secret(purpose), self._secret(f"{purpose}-next")

    def promote(self, purpose: str) -> None:
        """Put the new key of a database in the place of the old one, which is forgotten."""
        _replace(self._directory / f"{purpose}.sealed", self.seal(purpose, self._secret(f"{purpose}-next")))
        self.drop(f"{purpose}-next")

    def index_key(self) -> bytes:
        """The 256-bit database key of what the auditor's pages keep; it follows from the journal's."""
        return hmac.digest(self.journal_key(), b"zr-index/1", "sha256")

    def log_signer(self) -> Signer:
        """What signs the log's checkpoints, made at first use."""
        return Signer(self._secret("log-signer"))

    def tenant_mac(self, tenant: str, label: str, value: str) -> str:
        """A keyed hash of a tenant's value: HMAC-SHA-256 (RFC 2104) cut to 128 bits, 32 hex digits.

        `label` separates fields: the same value under another label gives another hash.
        Without the tenant's key nobody can test a guess; once it is destroyed, neither can we.
        """
        keyed = self._tenants.get(tenant) or self._tenant_key(tenant)
        words = label.encode()
        return keyed.digest(len(words).to_bytes(2) + words + value.encode("utf-8", "surrogatepass"))[:16].hex()

    def seal_for(self, tenant: str, purpose: str, plain: bytes) -> bytes:
        """Encrypt under the tenant's own key, bound to `purpose`: nonce, AES-256-GCM text and tag."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + AESGCM(self._cipher_key(tenant)).encrypt(nonce, plain, purpose.encode())

    def unseal_for(self, tenant: str, purpose: str, sealed: bytes) -> bytes:
        """Decrypt what `seal_for` made for the same tenant and purpose.

        Raises:
            KeyFault: damaged, of another tenant or purpose, or that tenant's key was destroyed.
        """
        if not self.has_tenant(tenant):
            raise KeyFault(f"{purpose}: the tenant has no key")
        try:
            cipher = AESGCM(self._cipher_key(tenant))
            return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], purpose.encode())
        except (InvalidTag, ValueError):
            raise KeyFault(f"{purpose}: damaged, or sealed for something else") from None

    def _cipher_key(self, tenant: str) -> bytes:
        return (self._tenants.get(tenant) or self._tenant_key(tenant)).digest(b"zr-tenant-cipher/1")

    def keep(self, purpose: str, plain: bytes) -> None:
        """Keep something sealed, durably, in place of what was kept under this purpose; `reseal` takes it along.

        Args:
            purpose: a path below the key directory, made of our own names and digests alone.
            plain: what to keep.
        """
        path = self._directory / f"{purpose}.sealed"
        path.parent.mkdir(mode=0o700, exist_ok=True)
        _replace(path, self.seal(purpose, plain))

    def kept(self, folder: str) -> dict[str, bytes]:
        """Everything that `keep` keeps under purposes `folder/NAME`, by purpose, in order.

        Raises:
            KeyFault: one is damaged.
        """
        found = {}
        for path in sorted((self._directory / folder).glob("*.sealed")):
            purpose = f"{folder}/{path.stem}"
            found[purpose] = self.unseal(purpose, _read(path))
        return found

    def drop(self, purpose: str) -> bool:
        """Keep it no longer; whether it was kept. What a disk holds of the unlinked file stays sealed."""
        path = self._directory / f"{purpose}.sealed"
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        _sync_directory(path.parent)
        return True

    def has_tenant(self, tenant: str) -> bool:
        """Whether this tenant has a key: none that was destroyed, and none that was never needed, has."""
        return tenant in self._tenants or (self._directory / f"{_tenant_name(tenant)}.sealed").exists()

    def tenant_sealed(self, tenant: str) -> bytes:
        """The tenant's key, sealed under the master key; a new one, which is kept nowhere yet, where it has none.

        Raises:
            KeyFault: it is damaged.
        """
        name = _tenant_name(tenant)
        return self.seal(name, self._secret(name) if self.has_tenant(tenant) else os.urandom(KEY_BYTES))

    def tenant_field(self, tenant: str) -> str:
        """What the tenant's key is called where its name must not be seen."""
        return _tenant_name(tenant)

    def adopt_tenant(self, tenant: str, sealed: bytes) -> bool:
        """Take over a tenant's key that another host made; whether it is the one that is used here now.

        Raises:
            KeyFault: it is damaged, or sealed under another master key.
        """
        name = _tenant_name(tenant)
        secret = self.unseal(name, sealed)
        if not self.has_tenant(tenant):
            path = self._directory / f"{name}.sealed"
            path.parent.mkdir(mode=0o700, exist_ok=True)
            with contextlib.suppress(MadeElsewhere):
                _write_new(path, self.seal(name, secret))
        return hmac.compare_digest(self._secret(name), secret)

    def reread_tenant(self, tenant: str) -> None:
        """Take the tenant's key from the disk at its next use: another process may have destroyed it."""
        self._tenants.pop(tenant, None)

    def destroy_tenant(self, tenant: str) -> bool:
        """Forget the tenant's key, here and on disk, so that its hashes can never be linked again.

        Returns whether there was one. What a file system or a backup keeps of an unlinked file
        stays sealed under the master key.
        """
        name = _tenant_name(tenant)
        if self.shared and self.has_tenant(tenant):  # other hosts have it, too, and must not bring it back
            self.keep(f"{_GONE}/{_mark(self._secret(name))}", name.encode())
        self._tenants.pop(tenant, None)
        return self.drop(name)

    def gone(self) -> dict[str, str]:
        """The keys of tenants that were destroyed here or at another host: mark -> what the key was called.

        Raises:
            KeyFault: one is damaged.
        """
        return {purpose.partition("/")[2]: name.decode() for purpose, name in self.kept(_GONE).items()}

    def is_gone(self, tenant: str, sealed: bytes) -> bool:
        """Whether this key of a tenant, as another host has it, is one that was destroyed.

        Raises:
            KeyFault: it is damaged, or sealed under another master key.
        """
        return (self._directory / f"{_GONE}/{_mark(self.unseal(_tenant_name(tenant), sealed))}.sealed").exists()

    def destroy_marked(self, mark: str, field: str) -> None:
        """Forget the key that is called so, if it is the one of this mark; remember that it is gone, whoever has it.

        Raises:
            KeyFault: what is there under that name is damaged.
        """
        if _FIELD(field) is None or (self._directory / f"{_GONE}/{mark}.sealed").exists():
            return
        path = self._directory / f"{field}.sealed"
        if path.exists() and hmac.compare_digest(_mark(self.unseal(field, _read(path))), mark):
            self.drop(field)
        self.reread_field(field)
        self.keep(f"{_GONE}/{mark}", field.encode())

    def reread_field(self, field: str) -> None:
        """As `reread_tenant`, of the key that is called so."""
        for tenant in [tenant for tenant in self._tenants if _tenant_name(tenant) == field]:
            del self._tenants[tenant]

    def _tenant_key(self, tenant: str) -> _Keyed:
        if self.shared and not self.has_tenant(tenant):
            raise Unavailable(Code.AUDIT_UNAVAILABLE, "This tenant's key is not here yet. Try again shortly.")
        keyed = self._tenants[tenant] = _Keyed(self._secret(_tenant_name(tenant)))
        return keyed

    def _secret(self, purpose: str) -> bytes:
        """The random 32 bytes kept under `purpose`, made at first use."""
        path = self._directory / f"{purpose}.sealed"
        try:
            return self.unseal(purpose, _read(path))
        except FileNotFoundError:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            secret = os.urandom(KEY_BYTES)
            try:
                _write_new(path, self.seal(purpose, secret))
            except MadeElsewhere:
                return self.unseal(purpose, _read(path))  # by another worker of ours: the same one serves both
            return secret


def add_master(path: Path) -> str:
    """Append a new master key to a master file; its id. It seals from the next `Keyring.open` on.

    Raises:
        KeyFault: the file is malformed or open to others.
    """
    _read_masters(path)
    line = _new_master_line()
    _replace(path, _read(path) + f"{line}\n".encode())
    return line[:8]


def make_approver_key(path: Path) -> Signer:
    """Make a new key of somebody who approves changes, in a file (0600) that must not exist yet.

    Raises:
        KeyFault: there is such a file, or it cannot be written.
    """
    seed = os.urandom(KEY_BYTES)
    try:
        if path.exists():
            raise KeyFault(f"{path}: is there already; a key is never replaced")
        _write_new(path, f"zrg-approver-private {seed.hex()}\n".encode())
    except OSError:
        raise KeyFault(f"{path}: cannot be written") from None
    return Signer(seed)


def read_approver_key(path: Path) -> Signer:
    """The key that `make_approver_key` wrote.

    Raises:
        KeyFault: not there, open to others, or not such a key.
    """
    try:
        match = _APPROVER_LINE.fullmatch(_read(path).decode("ascii"))
    except UnicodeDecodeError:
        match = None
    except OSError:
        raise KeyFault(f"{path}: cannot be read") from None
    if match is None:
        raise KeyFault(f"{path}: not the key of an approver; `gateway change key` makes one")
    return Signer(bytes.fromhex(match[1]))


def signature_holds(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` (64 bytes) is Ed25519 (RFC 8032) over `message` by the owner of `public` (32 bytes)."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def read_certificates(pem: bytes) -> Certificates:
    """The certificates of a PEM file.

    Raises:
        KeyFault: there is none, or something else is in it.
    """
    try:
        return load_pem_x509_certificates(pem)
    except ValueError:
        raise KeyFault("no certificates in PEM") from None


def certificate_spans(pem: bytes) -> list[tuple[str, datetime, datetime]]:
    """(subject, from when, until when it is good) of each certificate of a PEM file, UTC.

    Raises:
        KeyFault: there is none, or something else is in it.
    """
    found = read_certificates(pem)
    return [(each.subject.rfc4514_string(), each.not_valid_before_utc, each.not_valid_after_utc) for each in found]


def public_key_id(public: bytes) -> str:
    """A short name for a public key, 16 hex digits of a SHA-256: what a record says of who approved."""
    return hashlib.sha256(b"zr-approver/1" + public).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class CallerKey:
    """A fresh caller key. `text` is shown once to its owner; `digest` is what configuration keeps."""

    key_id: str
    text: str = field(repr=False)
    digest: str


def mint_caller_key() -> CallerKey:
    """A caller key `zrg_ID_SECRETCHECK`: 16 hex digits, 43 base-62 digits (256 bits), 6 of a CRC-32.

    The prefix and the check digits let a secret scanner find a leaked key without false alarms,
    and the public id says which to revoke. The digest may be a plain SHA-256: nobody can guess
    256 random bits.
    """
    key_id = os.urandom(8).hex()
    body = f"zrg_{key_id}_{_base62(int.from_bytes(os.urandom(KEY_BYTES)), 43)}"
    text = body + _check_digits(body)
    return CallerKey(key_id, text, digest_caller_key(text))


def digest_caller_key(text: str) -> str:
    """SHA-256 of a key's whole text, 64 hex digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def caller_key_id(text: str) -> str | None:
    """The public id of a well-formed key, or None. Says nothing about whether the key is known."""
    match = _CALLER_KEY.fullmatch(text)
    if match is None or _check_digits(text[:-6]) != match[3]:
        return None
    return match[1]


class ShownKey(NamedTuple):
    """What is told of a key that somebody shows: the id that it claims, if it has the form of one, and its digest."""

    claimed: str | None
    digest: str


def shown_key(text: str) -> ShownKey:
    """What is told of a key. Says nothing about whether it is known."""
    match = _CALLER_KEY.fullmatch(text)
    return ShownKey(None if match is None else match[1], digest_caller_key(text))


def check_caller_key(shown: ShownKey, digests: Mapping[str, str]) -> str | None:
    """The id of the key if it is one of `digests` (id -> digest), else None.

    An unknown id costs the same comparison as a known one, so timing does not tell them apart.
    """
    claimed, digest = shown
    expected = _NOBODY if claimed is None else digests.get(claimed, _NOBODY)
    return claimed if hmac.compare_digest(digest, expected) else None


class Entropy:
    """The system's random bytes, asked for in pages: one call into the system for 400 identifiers."""

    __slots__ = ("_at", "_page")

    def __init__(self) -> None:
        self._page, self._at = b"", 0
        os.register_at_fork(after_in_child=self._forget)

    def __call__(self, size: int) -> bytes:
        """`size` bytes that nobody else gets."""
        end = self._at + size
        if end > len(self._page):
            self._page, self._at, end = os.urandom(4096), 0, size
        taken, self._at = self._page[self._at : end], end
        return taken

    def _forget(self) -> None:
        self._page = b""  # or a child would mint its parent's next identifiers


_ENTROPY = Entropy()


def new_call_id(clock: Callable[[], int], entropy: Callable[[int], bytes] = _ENTROPY) -> str:
    """A UUIDv7 (RFC 9562 section 5.7) as 32 hex digits: 48 bits of milliseconds, 74 random bits.

    `clock` gives nanoseconds since 1970.
    """
    milliseconds = clock() // 1_000_000 & 0xFFFF_FFFF_FFFF
    chance = int.from_bytes(entropy(10))
    high = milliseconds << 16 | 0x7000 | chance >> 64 & 0x0FFF
    low = 1 << 63 | chance & 0x3FFF_FFFF_FFFF_FFFF
    return f"{high << 64 | low:032x}"


def new_boot_id() -> str:
    """128 random bits as 32 hex digits: one start of the process."""
    return os.urandom(16).hex()


def sha256_hex(public: bytes) -> str:
    """SHA-256 of *public* material (configuration, a released file). Never of anything a caller sent."""
    return hashlib.sha256(public).hexdigest()


def tenant_digest(tenant: str) -> str:
    """What stands for a tenant in a file name, 32 hex digits."""
    return hashlib.sha256(b"zr-tenant/1" + tenant.encode()).hexdigest()[:32]


def _mark(secret: bytes) -> str:
    """What a tenant's key is known by once it is gone: nobody can make it, or test a guess, without the key."""
    return hmac.digest(secret, b"zr-tenant-gone/1", "sha256")[:16].hex()


def _tenant_name(tenant: str) -> str:
    # A digest, because a file name must neither be steered by an id nor show it.
    return f"tenants/{tenant_digest(tenant)}"


def _new_master_line() -> str:
    return f"{os.urandom(4).hex()} {os.urandom(KEY_BYTES).hex()}"


def _read_masters(path: Path) -> list[_Master]:
    try:
        text = _read(path).decode("ascii")
    except FileNotFoundError:
        raise KeyFault(f"{path}: there is no master key") from None
    except UnicodeDecodeError:
        raise KeyFault(f"{path}: not a master key file") from None
    masters: list[_Master] = []
    for number, line in enumerate(text.splitlines(), 1):
        match = _MASTER_LINE.fullmatch(line)
        if match is None or any(match[1] == known.key_id for known in masters):
            raise KeyFault(f"{path}:{number}: a line is `ID KEY`, 8 and 64 hex digits, each id once")
        masters.append(_Master(match[1], bytes.fromhex(match[2])))
    if not masters:
        raise KeyFault(f"{path}: there is no master key")
    return masters


def _read(path: Path) -> bytes:
    _refuse_open_to_others(path)
    return path.read_bytes()


def _refuse_open_to_others(path: Path, *, directory: bool = False) -> None:
    """Raises KeyFault unless `path` is a plain file (or directory) of ours that nobody else can use."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        if directory:
            raise KeyFault(f"{path}: there is no key directory") from None
        raise
    right_kind = stat.S_ISDIR(status.st_mode) if directory else stat.S_ISREG(status.st_mode)
    if not right_kind:
        raise KeyFault(f"{path}: not a plain {'directory' if directory else 'file'}")
    if status.st_uid != os.geteuid():
        raise KeyFault(f"{path}: belongs to another user")
    if status.st_mode & 0o077:
        raise KeyFault(f"{path}: others may use it; run chmod {'700' if directory else '600'} on it")


def _write_new(path: Path, content: bytes) -> None:
    """Write a file that must not exist yet, durably; a reader sees the whole of it or nothing."""
    staged = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    _write_synced(staged, content)
    try:
        os.link(staged, path)  # unlike a rename, this never replaces a key that another process just made
    except FileExistsError:
        raise MadeElsewhere(f"{path}: another process made it at this moment; start again") from None
    finally:
        staged.unlink()
    _sync_directory(path.parent)


def _replace(path: Path, content: bytes) -> None:
    staged = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    _write_synced(staged, content)
    staged.replace(path)
    _sync_directory(path.parent)


def _write_synced(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _base62(number: int, digits: int) -> str:
    text = ""
    for _ in range(digits):
        number, digit = divmod(number, 62)
        text = _BASE62[digit] + text
    return text


def _check_digits(body: str) -> str:
    return _base62(zlib.crc32(body.encode("ascii")), 6)
