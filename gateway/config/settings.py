"""The settings of `config/gateway.yaml`: each key, its type and its default. Times in seconds, sizes in bytes.

A default stands wherever it can be right for everybody; what only the operator can know has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gateway.callers import QuotaForm
from gateway.categories import Personal
from gateway.failover import PATIENT, Trouble
from gateway.policy.facts import Credential
from gateway.policy.forms import (
    Counted,
    CountryName,
    Days,
    Digest,
    Form,
    Id,
    Instant,
    Prose,
    Report,
    Seconds,
    misfit,
    read,
)
from gateway.policy.hosts import is_host, is_loopback
from gateway.policy.notices import USUAL_DAYS
from gateway.policy.purposes import PurposeForm, check_purposes
from gateway.quotas import Book, Quota


def _host_name(value: str) -> str:
    if not is_host(value):
        raise misfit("write an exact host name in lower case, without port, pattern or dot at the end")
    return value


def _address(value: str) -> str:
    if not (is_host(value) or value in {"::", "::1"}):
        raise misfit("write the address to bind, such as 127.0.0.1 or 0.0.0.0")
    return value


_REDIS_URL = re.compile(r"rediss?(\+sentinel|\+cluster)?://([^/]+)(?:/([a-z0-9._-]+))?").fullmatch


def redis_hosts(url: str) -> tuple[tuple[str, int], ...]:
    """Each (host, port) of a `Replicas.url`."""
    found = _REDIS_URL(url)
    if found is None:
        return ()
    split = [item.rpartition(":") for item in found.group(2).split(",")]
    return tuple((host, int(port)) for host, _colon, port in split if port.isdecimal() and int(port) <= 65_535)


def _redis_url(value: str) -> str:
    found, hosts = _REDIS_URL(value), redis_hosts(value)
    if found is None or len(hosts) != len(found.group(2).split(",")) or not all(is_host(host) for host, _port in hosts):
        raise misfit("write redis://HOST:PORT, redis+sentinel://HOST:PORT,HOST:PORT/NAME or redis+cluster://HOST:PORT")
    kind, name = found.group(1), found.group(3)
    if (kind == "+sentinel") != (name is not None) or (kind is None and len(hosts) != 1):
        raise misfit("Sentinel needs the name of the service behind a slash; a single server or a cluster has none")
    return value


def _kind(value: str) -> str:
    if value not in Personal.__members__:
        raise misfit(f"no kind of personal data is called so; known are {', '.join(Personal)}")
    return value


def _origin(value: str) -> str:
    if not re.fullmatch(r"[!-*,-~]+", value) or value.endswith("/"):
        raise misfit("write a URL without scheme, such as log.example.com/eu: no space, no plus, no slash at the end")
    return value


def _cosigner(value: str) -> str:
    if not re.fullmatch(r"[!-*,-~]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44}", value):
        raise misfit("write the witness's verifier key: NAME+ID+KEY")
    return value


def _outside(value: str) -> str:
    if not re.fullmatch(
        r"https://[a-z0-9.-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~-]+)*|http://127\.0\.0\.1:[0-9]{1,5}", value
    ):
        raise misfit("write https://HOST[/PATH], without a slash at the end; http is for 127.0.0.1 alone")
    return value


def _provider(value: str) -> str:
    if not re.fullmatch(
        r"https://[a-z0-9.-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~-]+)*|http://127\.0\.0\.1:[0-9]{1,5}(?:/[a-z0-9]+)?",
        value,
    ):
        raise misfit("write https://HOST[/PATH], without a slash at the end; http is for 127.0.0.1 alone")
    return value


_OTLP = (
    r"https://[a-z0-9.-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~-]+)*"
    r"|http://127\.0\.0\.1:[0-9]{1,5}(?:/[A-Za-z0-9._~-]+)*"
)
"""Where a collector takes OTLP over HTTP."""


def _collector(value: str) -> str:
    if not re.fullmatch(
        rf"{_OTLP}|tls://[a-z0-9.-]+:[0-9]{{1,5}}|tcp://127\.0\.0\.1:[0-9]{{1,5}}",
        value,
    ):
        raise misfit("write https://HOST/PATH or tls://HOST:PORT; http and tcp are for 127.0.0.1 alone")
    return value


def _base(value: str) -> str:
    if not re.fullmatch(_OTLP, value):
        raise misfit("write https://HOST, without a slash at its end; http is for 127.0.0.1 alone")
    return value


def _header_name(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,63}", value) or value in {"host", "content-type", "content-length"}:
        raise misfit("write the name of a header in lower case; those that say where a body ends are ours")
    return value


PublicId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,128}$")]
SecretHeader = Annotated[str, AfterValidator(_header_name)]
PersonalKind = Annotated[str, AfterValidator(_kind)]
Port = Annotated[int, Field(ge=0, le=65_535)]
HostName = Annotated[str, AfterValidator(_host_name)]


class Tls(Form):
    """PEM files, read again on reload."""

    certificate: Prose
    private_key: Prose


class Listener(Form):
    """Where to listen. Anything but a loopback address needs TLS, or says that it is unsafe.

    `names` is what callers may write as Host, without port; loopback names need no mention.
    """

    host: Annotated[str, AfterValidator(_address)] = "127.0.0.1"
    port: Port
    names: tuple[HostName, ...] = ()
    tls: Tls | None = None
    unsafe_plaintext: bool = False

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)


class CallersListener(Listener):
    """The port of the callers."""

    port: Port = 8080


class OperationsListener(Listener):
    """The port of health, readiness and metrics."""

    port: Port = 9090


class Seat(Form):
    """What whoever bears a value of the sign-in's claim may see, and as which role.

    `tenants` are ids; `everyone: true` is every tenant, and needs a role that is not a tenant's. `regions` are those of
    which the role may see the log: with none of ours among them, there is no seat here. `since` and `until` bound the
    records that may be seen, `expires` the seat itself.
    """

    value: Prose
    role: Literal["security", "privacy_officer", "tenant_admin", "tenant_auditor", "external_auditor"]
    tenants: tuple[Id, ...] = ()
    everyone: bool = False
    regions: tuple[Id, ...] | None = None
    since: Instant | None = None
    until: Instant | None = None
    expires: Instant | None = None


class SignIn(Form):
    """OpenID Connect (authorization code with PKCE). Who signs in must have shown a second factor.

    `claim` is the claim of the identity token that seats are given by, a text or a list of texts; `amr` the
    authentication methods (RFC 8176) and `acr` the context classes of which one must be in the token.
    """

    issuer: Prose
    client_id: Prose
    client_secret_file: Prose | None = None
    claim: Prose = "groups"
    amr: tuple[Prose, ...] = ("mfa",)
    acr: tuple[Prose, ...] = ()
    authorities: Prose | None = None
    seats: Annotated[tuple[Seat, ...], Field(min_length=1)]


class Web(Listener):
    """The auditor's pages: where they listen, under which address people reach them, and who signs in how.

    `address` is what a browser shows (`https://audit.example.com`); without it, the listener's own. Without `sign_in`
    there are only one-time links, which `gateway web --link ROLE` prints for whoever can use the state.
    """

    port: Port = 8081
    address: Prose | None = None
    links: bool = True
    idle_minutes: Annotated[int, Field(ge=1, le=240)] = 30
    session_hours: Annotated[int, Field(ge=1, le=24)] = 8
    sign_in: SignIn | None = None


class Limits(Form):
    """Bounds of one exchange, of one caller (unless its own say otherwise) and of the whole process.

    `tenant` and `processor` hold for each one that `tenants` and `processors` do not name. On SIGTERM the gateway says
    for `handover_seconds` that it is not ready and takes calls all the same, so that a balancer turns to others first.
    """

    body_bytes: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)] = 4 * 1024 * 1024
    answer_bytes: Annotated[int, Field(ge=1024, le=1024 * 1024 * 1024)] = 64 * 1024 * 1024
    in_flight: Annotated[int, Field(ge=1, le=100_000)] = 1024
    caller_in_flight: Annotated[int, Field(ge=1, le=100_000)] = 256
    caller_per_minute: Annotated[int, Field(ge=1, le=10_000_000)] = 6000
    caller_streams: Annotated[int, Field(ge=1, le=100_000)] | None = None
    caller_tokens_per_minute: Annotated[int, Field(ge=1, le=10_000_000_000)] | None = None
    caller_tokens_per_day: Annotated[int, Field(ge=1, le=10_000_000_000_000)] | None = None
    tenant: QuotaForm = QuotaForm()
    tenants: Mapping[Id, QuotaForm] = {}
    processor: QuotaForm = QuotaForm()
    processors: Mapping[Id, QuotaForm] = {}
    connections: Annotated[int, Field(ge=1, le=100_000)] = 4096
    connections_per_peer: Annotated[int, Field(ge=1, le=100_000)] = 1024
    body_seconds: Seconds = 30.0
    connect_seconds: Seconds = 5.0
    first_byte_seconds: Seconds = 600.0
    idle_seconds: Seconds = 300.0
    total_seconds: Seconds = 3600.0
    write_seconds: Seconds = 30.0
    drain_seconds: Seconds = 30.0
    handover_seconds: Annotated[float, Field(ge=0, le=300, allow_inf_nan=False)] = 0.0

    def caller_quota(self) -> Quota:
        """What each caller may use beside its calls a minute and in flight."""
        return Quota(
            tokens_per_minute=self.caller_tokens_per_minute,
            streams=self.caller_streams,
            tokens_per_day=self.caller_tokens_per_day,
        )

    def book(self) -> Book:
        """What tenants and processors may use."""
        return Book(
            self.tenant.quota(),
            {name: form.quota() for name, form in self.tenants.items()},
            self.processor.quota(),
            {name: form.quota() for name, form in self.processors.items()},
        )


class Redaction(Form):
    """How special-category data is looked for. `unsafe_redaction_off` lets it leave; it is for benchmarks.

    `scope` is what goes with a finding: the span, its sentence, or the call. A tenant can only be stricter.

    `remembered`: so many blocks of texts, and findings in them, are known again; of conversations a quarter as many.

    `answers`: what comes back is cleaned too. Of a stream, at most `held_characters` of one text wait to be settled
    (no rule looks farther than half of the default), and none longer than `held_seconds` (longer than a clause takes
    at a slow model's pace); what waits then is decided as it stands, and rather taken out than let go.
    """

    workers: Annotated[int, Field(ge=1, le=256)] = 1
    remembered: Annotated[int, Field(ge=0, le=10_000_000)] = 32_768
    patience_seconds: Seconds = 2.0
    patience_seconds_per_mebibyte: Seconds = 8.0
    typed_placeholder: bool = False
    answers: bool = True
    held_characters: Annotated[int, Field(ge=256, le=4096)] = 512
    held_seconds: Annotated[float, Field(ge=0.05, le=60, allow_inf_nan=False)] = 2.0
    scope: Literal["span", "sentence", "refuse"] = "span"
    unsafe_redaction_off: bool = False


class PersonalData(Form):
    """Ordinary personal data that is taken out, too: which kinds, by default none, and whether answers get it back."""

    kinds: tuple[PersonalKind, ...] = ()
    restore: bool = False


class Journal(Form):
    """Bounds of the record's commit point."""

    timeout_seconds: Seconds = 0.25
    closing_seconds: Seconds = 5.0
    waiting: Annotated[int, Field(ge=1, le=1_000_000)] = 8192
    batch: Annotated[int, Field(ge=1, le=100_000)] = 512
    check_seconds: Seconds = 5.0
    ballast_bytes: Annotated[int, Field(ge=0, le=2**40)] = 64 * 2**20


class Witness(Form):
    """Somebody else who cosigns the log's checkpoints (c2sp.org/tlog-witness): a verifier key and where to submit."""

    key: Annotated[str, AfterValidator(_cosigner)]
    url: Annotated[str, AfterValidator(_outside)]


class TimeStamps(Form):
    """Who says at what time the log was there (RFC 3161): where to ask, how often, and whom to believe (PEM)."""

    url: Annotated[str, AfterValidator(_outside)]
    roots: Prose
    every_hours: Annotated[int, Field(ge=1, le=168)] = 24


class Log(Form):
    """The signed log. Never change `origin` once there is a log: it is the log's name.

    Its checkpoints are sent to the `witnesses` once a minute; an auditor asks for the cosignatures of `quorum` of them.
    With `time_stamps`, a token over the last checkpoint is fetched every so many hours; without, there are none.
    `guard` is a file on another volume than the state, where the last checkpoint is kept a second time;
    `tiles` a directory for a web server, from which anybody can read the log without its records.
    """

    origin: Annotated[str, AfterValidator(_origin)] | None = None
    guard: Prose | None = None
    tiles: Prose | None = None
    witnesses: Annotated[tuple[Witness, ...], Field(max_length=16)] = ()
    quorum: Annotated[int, Field(ge=0, le=16)] = 0
    time_stamps: TimeStamps | None = None


class Upstream(Form):
    """The side of the providers. `authorities` is a PEM file of trusted roots instead of the usual ones.

    After `failures` in a row on one entry and model it is left alone for `pause_seconds`, then tried by one call.
    `heed_retry_after`: a 429 that names seconds stops every caller of that entry and model for so long.
    """

    authorities: Prose | None = None
    keepalive_seconds: Seconds = 15.0
    failures: Annotated[int, Field(ge=1, le=100_000)] = 10
    pause_seconds: Annotated[float, Field(gt=0, le=60, allow_inf_nan=False)] = 5.0
    heed_retry_after: bool = True


class Usage(Form):
    """Where a processor's own count of what was used is read, by `gateway audit reconcile` and by nothing that serves.

    `credential` is a key that may read usage reports, and that no call is made with; `base_url` the entry's own if not
    said; `scope` the projects or workspaces that are the gateway's (all of the organization's, if none); `keys` the
    public ids of its keys there. Use of any other key in that scope is a difference.
    """

    processor: Id
    credential: Credential
    keys: Annotated[tuple[PublicId, ...], Field(min_length=1, max_length=64)]
    scope: Annotated[tuple[PublicId, ...], Field(max_length=64)] = ()
    base_url: Annotated[str, AfterValidator(_provider)] | None = None


class SecretFile(Form):
    """A file with one line, read when it is needed."""

    file: Prose


class Reached(Form):
    """How a tool of the operator's is reached.

    Of `headers` each value is a secret; that of `authorization` is shown as a bearer. `authorities` is a PEM file of
    trusted roots instead of the usual ones, `tls` our own certificate where the tool asks for one.
    """

    url: str
    headers: Annotated[Mapping[SecretHeader, SecretFile], Field(max_length=8)] = {}
    authorities: Prose | None = None
    tls: Tls | None = None


class Collector(Reached):
    """A tool of the security team that `gateway audit export --into NAME` sends the record to; what serves never does.

    `https://HOST/v1/logs` takes OTLP log records in JSON; `tls://HOST:PORT` takes syslog (RFC 5425) with CEF.
    """

    name: Id
    url: Annotated[str, AfterValidator(_collector)]


class Telemetry(Reached):
    """An OpenTelemetry collector that takes OTLP over HTTP in JSON, at `URL/v1/traces` and `URL/v1/metrics`.

    `traces: false` sends no spans; `metrics_seconds: 0` no metrics.
    """

    url: Annotated[str, AfterValidator(_base)]
    traces: bool = True
    metrics_seconds: Annotated[int, Field(ge=0, le=3600)] = 60


class Carriage(Form):
    """The hosts of a region make one log: each has its journal carried through Redis to the one that `keeps_log`.

    `host` is what this host's journals are called there, beside a number that each file is made with, so hosts may
    share it. All hosts have the same master key. Where a host's disk goes with it, `durability: local+waitaof` lets a
    call leave only once Redis (7.2 or newer, with `appendonly`) and `copies` of its replicas have its intent in their
    files.
    """

    host: Id
    keeps_log: bool = False
    durability: Literal["local", "local+waitaof"] = "local"
    copies: Annotated[int, Field(ge=0, le=16)] = 0


class Replicas(Form):
    """The Redis that several replicas share. Without it this host stands by itself.

    `url` is `redis://HOST:PORT`, `redis+sentinel://HOST:PORT,HOST:PORT/NAME` or `redis+cluster://HOST:PORT,HOST:PORT`;
    with `rediss` it is TLS 1.3, which anything but a loopback address needs. `count` replicas share a limit:
    while Redis is away, each grants that part of it. No call waits longer for Redis than `wait_seconds`. A replica that
    did not hear for `stale_seconds` which keys are revoked elsewhere grants nothing; without it, it goes on. With
    `carriage` one log holds what all of them wrote.
    """

    url: Annotated[str, AfterValidator(_redis_url)]
    count: Annotated[int, Field(ge=1, le=1000)]
    user: Id | None = None
    password: SecretFile | None = None
    authorities: Prose | None = None
    unsafe_plaintext: bool = False
    wait_seconds: Annotated[float, Field(ge=0.005, le=0.1, allow_inf_nan=False)] = 0.05
    stale_seconds: Annotated[float, Field(ge=2, le=86_400, allow_inf_nan=False)] | None = None
    carriage: Carriage | None = None

    @property
    def hosts(self) -> tuple[tuple[str, int], ...]:
        """Each host and port of the URL."""
        return redis_hosts(self.url)

    @property
    def encrypted(self) -> bool:
        """Whether it is TLS."""
        return self.url.startswith("rediss")


class MasterKey(Form):
    """Where the master key is; best outside the state, so that a copy of the state is useless by itself."""

    file: Prose


class Erasure(Form):
    """Which services may ask, by their own keys, for a copy of what is recorded of a tenant of theirs, or of one person
    there, and that it be erased. Nobody approves that: it is the tenant's own word."""

    callers: tuple[Id, ...] = ()


class ConditionalGrant(Form):
    """A conditional verdict of a surface, switched on by name for these callers and purposes and no others."""

    grant: Id
    callers: Annotated[tuple[Id, ...], Field(min_length=1)]
    purposes: Annotated[tuple[Id, ...], Field(min_length=1)]


class Failover(Form):
    """Calls for these purposes, of these tenants or of all, may be tried at another entry: see the module `failover`.

    `after` is what leads there. Without a mention of the provider's own 429, 503 or 529, only what kept the call from
    being sent at all.
    """

    purposes: Annotated[tuple[Id, ...], Field(min_length=1)]
    tenants: Annotated[tuple[Id, ...] | None, Field(min_length=1)] = None
    after: Annotated[tuple[Trouble, ...], Field(min_length=1)] = PATIENT


class Approver(Form):
    """Somebody who may approve changes: a name, and the public half of an Ed25519 key that is nobody else's."""

    id: Id
    public_key: Digest
    valid_until: Instant | None = None


class ChangeControl(Form):
    """Who approves changes of this configuration, and which residency a tenant may have without approval.

    With it, a bundle that was not approved by the approvers of the one before it is not served.
    """

    approvers: Annotated[tuple[Approver, ...], Field(min_length=2, max_length=16)]
    residency: Annotated[tuple[Annotated[tuple[CountryName, ...], Field(min_length=1)], ...], Field(min_length=1)]


class Canary(Form):
    """How often the controls are proved by trial, through every route, with constant texts; 0: never by itself."""

    every_seconds: Annotated[int, Field(ge=0, le=86_400)] = 3600


class Settings(Form):
    """The keys of `config/gateway.yaml`. Paths are as written: relative ones start at the configuration's folder."""

    region: Id
    purposes: Annotated[Mapping[Id, PurposeForm], Field(min_length=1, max_length=256)]
    notice_days: Days = USUAL_DAYS
    state: Prose = "../.state"
    listen: CallersListener = CallersListener()
    operations: OperationsListener = OperationsListener()
    master_key: MasterKey | None = None
    web: Web = Web()
    limits: Limits = Limits()
    redaction: Redaction = Redaction()
    personal_data: PersonalData = PersonalData()
    journal: Journal = Journal()
    log: Log = Log()
    upstream: Upstream = Upstream()
    grants: tuple[ConditionalGrant, ...] = ()
    failover: tuple[Failover, ...] = ()
    change: ChangeControl | None = None
    erasure: Erasure = Erasure()
    canary: Canary = Canary()
    replicas: Replicas | None = None
    usage: tuple[Usage, ...] = ()
    collectors: Annotated[tuple[Collector, ...], Field(max_length=16)] = ()
    telemetry: Telemetry | None = None

    def warnings(self) -> Iterator[str]:
        """What is in force and dangerous; said at every start and by `check`."""
        if self.redaction.unsafe_redaction_off:
            yield "redaction is OFF (unsafe_redaction_off): special-category data leaves with every call"
        elif not self.redaction.answers:
            yield "answers are not cleaned (redaction.answers): what a model says of people comes back as it is"
        for name, listener in (("listen", self.listen), ("operations", self.operations), ("web", self.web)):
            if listener.unsafe_plaintext and not listener.is_loopback:
                yield f"{name} is in plain text on the network (unsafe_plaintext): keys and content can be read there"
        if self.replicas is not None and self.replicas.unsafe_plaintext and not _all_loopback(self.replicas):
            yield "replicas are in plain text on the network (unsafe_plaintext): limits can be read and changed there"


def parse_settings(tree: object, report: Report) -> Settings | None:
    """Read `config/gateway.yaml`, or report every fault and give None."""
    fault = Counted(report)
    settings = read(Settings, tree, fault)
    if settings is None:
        return None
    for name, listener in (("listen", settings.listen), ("operations", settings.operations), ("web", settings.web)):
        _check_listener(name, listener, fault)
    _check_web(settings.web, fault)
    if not settings.listen.is_loopback and not settings.listen.names:
        fault(("listen",), "write names: the host names by which callers reach this gateway")
    if settings.replicas is not None:
        _check_replicas(settings.replicas, fault)
    check_purposes(settings.purposes, settings.notice_days, fault)
    named = [("grants", index, item.purposes) for index, item in enumerate(settings.grants)]
    named += [("failover", index, item.purposes) for index, item in enumerate(settings.failover)]
    for key, index, purposes in named:
        for at, purpose in enumerate(purposes):
            if purpose not in settings.purposes:
                fault((key, index, "purposes", at), "`purposes:` does not list this purpose")
    if settings.log.quorum > len(settings.log.witnesses):
        fault(("log", "quorum"), "there are fewer witnesses than it asks for")
    _check_collectors(settings.collectors, fault)
    if settings.change is not None:
        _check_approvers(settings.change.approvers, fault)
    return None if fault.faults else settings


def _all_loopback(replicas: Replicas) -> bool:
    return all(is_loopback(host) for host, _port in replicas.hosts)


def _check_replicas(replicas: Replicas, fault: Report) -> None:
    if replicas.encrypted and replicas.unsafe_plaintext:
        fault(("replicas", "unsafe_plaintext"), "it has TLS, so nothing is in plain text; leave this out")
    if not replicas.encrypted and not replicas.unsafe_plaintext and not _all_loopback(replicas):
        fault(("replicas", "url"), "not a loopback address: write rediss://, or unsafe_plaintext: true")
    carriage = replicas.carriage
    if carriage is not None and carriage.durability == "local+waitaof":
        where = ("replicas", "carriage", "durability")
        if carriage.keeps_log:
            fault(where, "this host keeps the log, so nobody takes its rows: it needs a disk that lasts")
        if replicas.url.partition("://")[0].endswith("+cluster"):
            fault(where, "a cluster does not say whether a row is copied: use one server, or Sentinel")


def _check_collectors(collectors: tuple[Collector, ...], fault: Report) -> None:
    names = [item.name for item in collectors]
    for index, item in enumerate(collectors):
        if item.name in names[:index]:
            fault(("collectors", index, "name"), "another collector has it; how far each is goes by its name")
        if item.headers and not item.url.startswith("http"):
            fault(("collectors", index, "headers"), "syslog has none; leave this out")


def _check_approvers(approvers: tuple[Approver, ...], fault: Report) -> None:
    for key, values in (
        ("id", [item.id for item in approvers]),
        ("public_key", [item.public_key for item in approvers]),
    ):
        for index, value in enumerate(values):
            if value in values[:index]:
                fault(("change", "approvers", index, key), "another approver has it; two approvals need two people")


def _check_web(web: Web, fault: Report) -> None:
    if not web.is_loopback and not web.names:
        fault(("web",), "write names: the host names by which people reach the pages")
    if web.address is not None and not re.fullmatch(r"https?://[a-z0-9.:\[\]-]+", web.address):
        fault(("web", "address"), "write scheme and host, such as https://audit.example.com, without path")
    if web.sign_in is None:
        return
    if not _ISSUER.fullmatch(web.sign_in.issuer):
        fault(("web", "sign_in", "issuer"), "write the issuer's address: https, or http on a loopback address")
    if not web.sign_in.amr and not web.sign_in.acr:
        fault(("web", "sign_in"), "write amr or acr: without a second factor nobody is let in")
    for at, seat in enumerate(web.sign_in.seats):
        _check_seat(seat, lambda path, reason, at=at: fault(("web", "sign_in", "seats", at, *path), reason))  # type: ignore[misc]


def _check_seat(seat: Seat, fault: Report) -> None:
    if seat.role in {"tenant_admin", "tenant_auditor"} and (seat.everyone or not seat.tenants):
        fault(("tenants",), "a tenant's role has tenants, and never everyone")
    if seat.everyone == bool(seat.tenants):
        fault(("tenants",), "write either tenants, or everyone: true")
    if seat.role == "external_auditor" and (seat.since is None or seat.until is None or seat.expires is None):
        fault(("since",), "an external auditor's seat is bounded: write since, until and expires")
    for name, instant in (("since", seat.since), ("until", seat.until)):
        if instant is not None and (instant.hour, instant.minute, instant.second) != (0, 0, 0):
            fault((name,), "write a whole day, in UTC")


_ISSUER = re.compile(
    r"https://[a-zA-Z0-9.-]+(:[0-9]+)?(/[\w./-]*)?|http://(127\.0\.0\.1|localhost)(:[0-9]+)?(/[\w./-]*)?"
)


def _check_listener(name: str, listener: Listener, fault: Report) -> None:
    if not listener.is_loopback and listener.tls is None and not listener.unsafe_plaintext:
        fault((name,), "not a loopback address: write tls: {certificate, private_key}, or unsafe_plaintext: true")
    if listener.tls is not None and listener.unsafe_plaintext:
        fault((name, "unsafe_plaintext"), "it has TLS, so nothing is in plain text; leave this out")
