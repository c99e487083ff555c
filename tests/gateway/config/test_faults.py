"""Broken configurations: each is refused with file, line, key and reason, and grants nothing."""
# the table reads best with a case a row

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import ConfigurationError
from tests.gateway.config.small import FILES, read, write

G, C, T, P = "gateway.yaml", "callers.yaml", "tenants.yaml", "processors/toy-eu.yaml"
A64 = "a" * 64
A63 = "a" * 63
B64 = "b" * 64
ADDED = f"""\
  storage: [IE]
  added:
    - {{{{countries: [CH], reason: more room, announced: 2026-11-01, effective: {{}}, document_sha256: "{B64}"}}}}"""
EMERGENCY = f"""\
exemptions:
  - {{tenant: t-eu, reason: an outage elsewhere, contract: addendum 7, document_sha256: "{A64}", approvers: [Ada, Grace], valid_from: 2025-11-10, valid_until: 2025-12-10}}
"""
TRANSFER = f"""\
transfers:
  - {{law: EEA, mechanism: scc, reference: module 3, document_sha256: "{A64}", valid_from: 2026-01-01, valid_until: 2028-01-01}}
"""


def first_change(before: str, after: str) -> int:
    pairs = zip(before.split("\n"), after.split("\n"), strict=False)
    return next(number for number, (old, new) in enumerate(pairs, 1) if old != new)


# name, file, what is replaced, by what, key, words of the reason, lines below the first changed line
CASES: list[tuple[str, str, str, str, str, str, int]] = [
    # how it is written
    ("a repeated key", G, "state: ../state", "region: other", "region", "twice", 0),
    ("a repeated key further in", P, "  country: IE", "  name: Other Ltd", "legal_entity.name", "twice", 0),
    ("an anchor", P, "name: Toy Ltd", "name: &toy Toy Ltd", "legal_entity.name", "anchors", 0),
    ("an alias", P, "name: Toy Ltd", "name: *toy", "legal_entity.name", "aliases", 0),
    ("a merge", T, "  t-ca:\n", "  t-ca:\n    <<: {status: active}\n", "tenants.t-ca", "merges", 0),
    ("a tag", P, "days: 30", "days: !!int 30", "notice.days", "tags", 0),
    ("a second document", G, "grants:", "---\ngrants:", "(file)", "second document", 0),
    ("a tab", G, "  port: 8080", "\tport: 8080", "(file)", "a tab", 0),
    ("a tab at the end of a line", G, "  port: 8080", "  port: 8080\t", "(file)", "a tab", 0),
    ("an invisible space", P, "name: Toy Ltd", "name: Toy\u200b Ltd", "(file)", "invisible", 0),
    ("text that runs backwards", P, "name: Toy Ltd", "name: Toy\u202e Ltd", "(file)", "invisible", 0),
    ("an open quote", C, f'"{A64}"', f'"{A64}', "(file)", "YAML breaks", 0),
    ("an open bracket", C, "tenants: [t-eu]", "tenants: [t-eu", "(file)", "YAML breaks", 0),
    ("yes for true", P, "suspended: false", "suspended: yes", "suspended", "disagree", 0),
    ("off for false", P, "suspended: false", "suspended: off", "suspended", "disagree", 0),
    ("True with a capital", P, "suspended: false", "suspended: True", "suspended", "disagree", 0),
    ("Norway unquoted", T, "[EEA_CH]", "[NO]", "tenants.t-eu.residency[0]", "disagree", 0),
    ("a YAML boolean for a key", P, "  project: toys", "  on: toys", "account_scope.on", "disagree", 0),
    ("an octal number", P, "days: 30", "days: 030", "notice.days", "disagree", 0),
    ("a number with underscores", G, "4194304", "4_194_304", "limits.body_bytes", "disagree", 0),
    ("a sexagesimal number", G, "idle_seconds: 30", "idle_seconds: 1:30", "limits.idle_seconds", "disagree", 0),
    ("a hexadecimal number", G, "4194304", "0x400000", "limits.body_bytes", "disagree", 0),
    ("an endless number", G, "idle_seconds: 30", "idle_seconds: .inf", "limits.idle_seconds", "disagree", 0),
    ("a value that is missing", P, "suspended: false", "suspended:", "suspended", "missing", 0),
    ("null for a value", P, "review_by: 2027-06-01", "review_by: null", "review_by", "write a date", 0),
    ("a number for a key", P, "  project: toys", "  7: toys", "account_scope.7", "text", 0),
    ("an unknown kind of personal data", G, "grants:", "personal_data: {kinds: [MAIL]}\ngrants:", "personal_data.kinds[0]", "known are EMAIL", 0),
    # shape
    ("an unknown key at the top", G, "state: ../state", "stage: ../state", "stage", "unknown key", 0),
    ("an unknown key further in", P, "  country: IE", "  county: IE", "legal_entity.county", "unknown key", 0),
    ("an unknown key in a list", P, "    scope: the project toys", "    scop: x", "agreements[0].scop", "unknown", 0),
    ("a typed state", P, "suspended: false", "suspended: false\nstatus: active", "status", "unknown key", 0),
    ("a path pattern", P, "operations: [ask]", "operations: [ask]\npaths: ['/v1/.*']", "paths", "unknown key", 0),
    ("text for a number", G, "port: 8080", 'port: "8080"', "listen.port", "whole number", 0),
    ("a fraction for a whole number", P, "days: 30", "days: 30.5", "notice.days", "whole number", 0),
    ("a boolean for a number", P, "days: 30", "days: true", "notice.days", "whole number", 0),
    ("text for a boolean", G, "unsafe_redaction_off: false", 'unsafe_redaction_off: "no"', "", "true or false", 0),
    ("a number for text", P, "name: Toy Ltd", "name: 7", "legal_entity.name", "write text", 0),
    ("text for a list", P, "operations: [ask]", "operations: ask", "operations", "write a list", 0),
    ("a list for a mapping", P, "  project: toys", "  - toys", "account_scope", "keys with values", -1),
    ("a port that is none", G, "port: 8080", "port: 65536", "listen.port", "at most 65535", 0),
    ("no time at all", G, "idle_seconds: 30", "idle_seconds: 0", "limits.idle_seconds", "above 0", 0),
    ("an empty list of operations", P, "operations: [ask]", "operations: []", "operations", "empty list", 0),
    ("an empty list of countries", P, "[DE, FR]", "[]", "countries.processing", "empty list", 0),
    ("an empty residency", T, "residency: [EEA_CH]", "residency: []", "tenants.t-eu.residency", "empty list", 0),
    ("an empty narrowing", T, "processors: [toy-eu]", "processors: []", "tenants.t-ca.processors", "empty list", 0),
    ("a caller without tenants", C, "tenants: [t-eu]", "tenants: []", "callers.service.tenants", "empty list", 0),
    ("a caller for every tenant", C, "tenants: [t-eu]", 'tenants: ["*"]', "callers.service.tenants[0]", "an id is", 0),
    # names that point elsewhere
    ("a tenant of no file", C, "tenants: [t-eu]", "tenants: [t-us]", "callers.service.tenants[0]", "no other file", 0),
    ("a purpose of no file", C, "    purposes: [summary]", "    purposes: [sumary]", "", "no other file", 0),
    ("a processor of no file", T, "[toy-eu]", "[toy-us]", "tenants.t-ca.processors[0]", "no other file", 0),
    ("a forbidden grant misspelt", T, "[cache]", "[cash]", "tenants.t-eu.forbidden_grants[0]", "no other file", 0),
    ("a grant of no surface", G, "- grant: cache", "- grant: everything", "grants[0].grant", "no surface", 0),
    ("a grant to nobody", G, "callers: [service]", "callers: [nobody]", "grants[0].callers[0]", "no such service", 0),
    ("failover for no purpose", G, "grants:", "failover: [{purposes: [nothing]}]\ngrants:", "failover[0].purposes[0]", "does not list", 0),
    ("failover of no tenant", G, "grants:", "failover: [{purposes: [summary], tenants: [t-no]}]\ngrants:", "failover[0].tenants[0]", "no such tenant", 0),
    ("failover after a lost answer", G, "grants:", "failover: [{purposes: [summary], after: [500]}]\ngrants:", "failover[0].after[0]", "529", 0),
    ("failover after nothing", G, "grants:", "failover: [{purposes: [summary], after: []}]\ngrants:", "failover[0].after", "at least 1", 0),
    ("a collector of traces at a path that ends", G, "grants:", "telemetry: {url: 'https://otel.example/'}\ngrants:", "telemetry.url", "without a slash", 0),
    ("a collector of traces in plain text", G, "grants:", "telemetry: {url: 'http://otel.example'}\ngrants:", "telemetry.url", "127.0.0.1", 0),
    ("a log on a disk that is lost", G, "grants:", "replicas: {url: 'redis://127.0.0.1:6379', count: 2, carriage: {host: a, keeps_log: true, durability: local+waitaof}}\ngrants:", "replicas.carriage.durability", "keeps the log", 0),
    ("copies in a cluster", G, "grants:", "replicas: {url: 'redis+cluster://127.0.0.1:6379', count: 2, carriage: {host: a, durability: local+waitaof}}\ngrants:", "replicas.carriage.durability", "a cluster", 0),
    ("a grant to all", G, "callers: [service]", 'callers: ["*"]', "grants[0].callers[0]", "an id is", 0),
    ("a grant for no purpose", G, "    purposes: [summary]", "    purposes: [other]", "", "does not list", 0),
    ("a key that two callers share", C, "    limits: {in_flight: 5, per_minute: 60}", f'    keys: [{{id: 0123456789abcdef, sha256: "{A64}"}}]', "callers.agent.keys[0].id", "twice", 5),
    ("an id unlike its file's name", P, "id: toy-eu", "id: toy-us", "id", "file's name", 0),
    ("an unknown wire", P, "wire: toy", "wire: tow", "wire", "no wire", 0),
    ("an operation that the wire lacks", P, "[ask]", "[ask, shout]", "operations[1]", "the wire has", 0),
    ("an operation twice", P, "[ask]", "[ask, ask]", "operations[1]", "twice", 0),
    ("a trait that the surface lacks", P, "{cache: explicit}", "{cache: 24h}", "models[0].traits.cache", "no such", 0),
    # the endpoint
    ("a wildcard host", P, "https://eu.toy.example", "https://*.toy.example", "base_url", "no pattern", 0),
    ("a dot after the host", P, "https://eu.toy.example", "https://eu.toy.example.", "base_url", "dots", 0),
    ("two dots in the host", P, "https://eu.toy.example", "https://eu..toy.example", "base_url", "dots", 0),
    ("upper case in the host", P, "https://eu.toy.example", "https://EU.toy.example", "base_url", "lower case", 0),
    ("a look-alike host", P, "https://eu.toy.example", "https://eu.t\u043ey.example", "base_url", "look-alike", 0),
    ("a look-alike in ASCII", P, "https://eu.toy.example", "https://xn--eu-toy.example", "base_url", "look-alike", 0),
    ("a user in the host", P, "https://eu.toy.example", "https://eu.toy.example@evil.example", "base_url", "user", 0),
    ("a query", P, "https://eu.toy.example", "https://eu.toy.example/?x=1", "base_url", "query", 0),
    ("a way up in the path", P, "https://eu.toy.example", "https://eu.toy.example/v1/../x", "base_url", "exactly", 0),
    ("a slash at the end", P, "https://eu.toy.example", "https://eu.toy.example/", "base_url", "slash", 0),
    ("an escape in the path", P, "https://eu.toy.example", "https://eu.toy.example/%2e%2e", "base_url", "exactly", 0),
    ("plain http to a name", P, "https://eu.toy.example", "http://eu.toy.example", "base_url", "loopback", 0),
    ("plain http to loopback unsaid", P, "https://eu.toy.example", "http://127.0.0.1:8070", "base_url", "loopback", 0),
    ("plain http to the network", P, "https://eu.toy.example", "http://10.0.0.1\nunsafe_plaintext: true", "base_url", "loopback", 0),
    ("https that says it is plain", P, "https://eu.toy.example", "https://eu.toy.example\nunsafe_plaintext: true", "base_url", "needs no", -1),
    ("an address for a host", P, "https://eu.toy.example", "https://192.0.2.7", "base_url", "full host name", 0),
    ("an address as one number", P, "https://eu.toy.example", "https://3221225991", "base_url", "full host name", 0),
    ("a bare name", P, "https://eu.toy.example", "https://toy", "base_url", "full host name", 0),
    ("a port that is too high", P, "https://eu.toy.example", "https://eu.toy.example:70000", "base_url", "port", 0),
    ("another scheme", P, "https://eu.toy.example", "ftp://eu.toy.example", "base_url", "https", 0),
    # countries and models
    ("a vendor's region", P, "[DE, FR]", "[EU]", "countries.processing[0]", "ISO 3166-1", 0),
    ("a country in lower case", P, "[DE, FR]", "[de]", "countries.processing[0]", "capitals", 0),
    ("an old country code", T, "[EEA_CH]", "[UK]", "tenants.t-eu.residency[0]", "ISO 3166-1", 0),
    ("a model pattern", P, "id: toy-large", "id: toy-*", "models[0].id", "exact model id", 0),
    ("a model look-alike", P, "id: toy-large", "id: toy-l\u0430rge", "models[0].id", "exact model id", 0),
    ("a model twice", P, "id: toy-kept", "id: toy-large", "models[1].id", "twice", 0),
    ("an alias of another model", P, "aliases: [toy]", "aliases: [toy-kept]", "models[1].id", "twice", 2),
    ("an unknown retention class", P, "retention_class: zero", "retention_class: none", "models[0].retention_class", "zero", 0),
    ("a model without its class", P, "    retention_class: retains\n", "", "models[1].retention_class", "missing", -1),
    # evidence and dates
    ("one approver", P, "[Ada, Grace]", "[Ada]", "agreements[0].approvers", "two different", 0),
    ("one approver twice", P, "[Ada, Grace]", "[Ada, ADA]", "agreements[0].approvers", "two different", 0),
    ("an agreement that ends first", P, "valid_until: 2027-01-01", "valid_until: 2025-12-31", "agreements[0].valid_until", "after it begins", 0),
    ("an agreement of no time", P, "valid_until: 2027-01-01", "valid_until: 2026-01-01", "agreements[0].valid_until", "after it begins", 0),
    ("an agreement without an end", P, "    valid_until: 2027-01-01\n", "", "agreements[0].valid_until", "missing", -4),
    ("no agreement on training", P, "[zero_retention, no_training]", "[zero_retention]", "agreements", "no_training", -2),
    ("a short digest", P, f'document_sha256: "{A64}"', f'document_sha256: "{A63}"', "agreements[0].document_sha256", "64 lower-case", 0),
    ("a date that is none", P, "review_by: 2027-06-01", "review_by: 2027-02-30", "review_by", "write a date", 0),
    ("a date in another order", P, "review_by: 2027-06-01", "review_by: 01.06.2027", "review_by", "write a date", 0),
    ("an instant without its zone", P, "review_by: 2027-06-01", "review_by: 2027-06-01T00:00:00", "review_by", "write a date", 0),
    ("notice that was too short", P, "effective: 2026-01-01", "effective: 2025-11-30", "notice.effective", "sooner", 0),
    ("a review before the beginning", P, "review_by: 2027-06-01", "review_by: 2025-11-01", "review_by", "before", 0),
    ("retired before it was announced", P, "suspended: false", "suspended: false\nretired: 2025-01-01", "retired", "before", 0),
    ("no carve-out", P, "carve_outs:\n  - Flagged images are kept.", "carve_outs: []", "carve_outs", "empty list", 0),
    # credentials
    ("a key in the file", P, "{environment: TOY_KEY}", "sk-proj-abcdefghijklmnopqrstuv", "credential", "looks like a key", 0),
    ("a key as a path", P, "{environment: TOY_KEY}", "{file: sk-ant-abcdefghijklmnopqrstuv}", "credential.file", "looks like a key", 0),
    ("two references", P, "{environment: TOY_KEY}", "{environment: TOY_KEY, file: key}", "credential", "either", 0),
    ("no reference", P, "{environment: TOY_KEY}", "{}", "credential", "either", 0),
    ("a variable that is none", P, "{environment: TOY_KEY}", "{environment: $TOY_KEY}", "credential.environment", "environment variable", 0),
    # listeners
    ("an open listener", G, "host: 127.0.0.1", "host: 0.0.0.0", "listen", "tls", -1),
    ("an open listener without names", G, "host: 127.0.0.1", "host: 0.0.0.0\n  unsafe_plaintext: true", "listen", "names", -1),
    ("TLS that says it is plain", G, "host: 127.0.0.1", "tls: {certificate: a, private_key: b}\n  unsafe_plaintext: true", "listen.unsafe_plaintext", "leave this out", 1),
    ("a host pattern", G, "host: 127.0.0.1", 'names: ["*.example"]', "listen.names[0]", "exact host name", 0),
    ("a purpose twice", G, "  coaching:", "  summary:", "purposes.summary", "twice", 0),
    # purposes
    ("a purpose of no policy", G, "    policy: running_the_service\n", "", "purposes.summary.policy", "missing", -1),
    ("a purpose of a seventh kind", G, "policy: running_the_service", "policy: research", "purposes.summary.policy", "one of", 0),
    ("a purpose to train models", G, "  coaching:", "  model_training:", "purposes.model_training", "for good", 0),
    ("a purpose to tune models", G, "  coaching:", "  fine-tuning:", "purposes.fine-tuning", "for good", 0),
    ("a purpose to read emotions", G, "  coaching:", "  rep_emotion:", "purposes.rep_emotion", "for good", 0),
    ("a purpose without a lawful basis", G, "lawful_basis: contract", "lawful_basis: none", "purposes.summary.lawful_basis", "one of", 0),
    ("a purpose for special categories", G, "data: personal", "data: special_category", "purposes.summary.data", "one of", 0),
    ("a purpose before its notice has run", G, "      effective: 2026-01-01", "      effective: 2025-11-30", "purposes.summary.notice.effective", "30 days", 0),
    ("a purpose without the notice as sent", G, f'      document_sha256: "{B64}"\n', "", "purposes.summary.notice.document_sha256", "missing", -3),
    ("less notice than was promised", G, "region: test", "region: test\nnotice_days: -1", "notice_days", "at least 0", 0),
    # notice of processors and countries
    ("a notice without what was sent", P, f'  document_sha256: "{B64}"\n', "", "notice.document_sha256", "missing", -4),
    ("a notice of fewer days than promised", P, "  days: 30", "  days: 29", "notice.days", "promised 30", 0),
    ("a longer notice that has not run", P, "  days: 30", "  days: 90", "notice.effective", "90 days", 1),
    ("a country added without notice", P, "  storage: [IE]", "  storage: [IE]\n  added:\n    - {countries: [CH], reason: more room}", "countries.added[0].announced", "missing", 1),
    ("a country added too soon", P, "  storage: [IE]", ADDED.format("2026-11-29"), "countries.added[0].effective", "30 days", 1),
    ("a country added that is none", P, "  storage: [IE]", ADDED.replace("[CH]", "[EU]").format("2026-12-29"), "countries.added[0].countries[0]", "ISO 3166-1", 1),
    ("a nameless place", P, "[DE, FR]", '["*"]', "countries.processing[0]", "ISO 3166-1", 0),
    # emergencies
    ("an emergency that one person approves", P, "review_by:", EMERGENCY.replace("[Ada, Grace]", "[Ada]") + "review_by:", "exemptions[0].approvers", "two different", 1),
    ("an emergency without its contract", P, "review_by:", EMERGENCY.replace("contract: addendum 7", "note: x") + "review_by:", "exemptions[0].contract", "missing", 1),
    ("an emergency before any announcement", P, "review_by:", EMERGENCY.replace("2025-11-10", "2025-10-10") + "review_by:", "exemptions[0].valid_from", "announced first", 1),
    ("an emergency without end", P, "review_by:", EMERGENCY.replace("2025-12-10", "2027-12-10") + "review_by:", "exemptions[0].valid_until", "within 92 days", 1),
    ("an emergency for everybody", P, "review_by:", EMERGENCY.replace("tenant: t-eu", 'tenant: "*"') + "review_by:", "exemptions[0].tenant", "an id is", 1),
    ("an emergency for no tenant", P, "review_by:", EMERGENCY.replace("tenant: t-eu", "tenant: t-nobody") + "review_by:", "exemptions[0].tenant", "no such tenant", 1),
    # transfers
    ("a transfer under no law", P, "carve_outs:", TRANSFER.replace("law: EEA", "law: EU") + "carve_outs:", "transfers[0].law", "one of", 1),
    ("a transfer by a right of another law", P, "carve_outs:", TRANSFER.replace("mechanism: scc", "mechanism: uk_idta") + "carve_outs:", "transfers[0].mechanism", "adequacy, scc", 1),
    ("a transfer by consent", P, "carve_outs:", TRANSFER.replace("mechanism: scc", "mechanism: consent") + "carve_outs:", "transfers[0].mechanism", "one of", 1),
    ("a transfer that ends first", P, "carve_outs:", TRANSFER.replace("2028-01-01", "2025-01-01") + "carve_outs:", "transfers[0].valid_until", "after it begins", 1),
    ("a transfer without its document", P, "carve_outs:", TRANSFER.replace(f', document_sha256: "{A64}"', "") + "carve_outs:", "transfers[0].document_sha256", "missing", 1),
    # tenants
    ("an objection to nobody", T, "    notice_days: 60", "    objections: [{processor: toy-us, date: 2026-01-02}]", "tenants.t-ca.objections[0].processor", "no entry", 0),
    ("an objection without its day", T, "    notice_days: 60", "    objections: [{processor: toy-eu}]", "tenants.t-ca.objections[0].date", "missing", 0),
    ("a law that is none", T, "    notice_days: 60", "    laws: [GDPR]", "tenants.t-ca.laws[0]", "one of", 0),
    ("an empty list of laws", T, "    notice_days: 60", "    laws: []", "tenants.t-ca.laws", "empty list", 0),
    # where host, model and deployment are read together
    ("a region that the entry does not name", P, "https://eu.toy.example", "https://bedrock-runtime.us-east-1.amazonaws.com", "countries.processing", "in US, too", 4),
    ("a region that nobody knows", P, "https://eu.toy.example", "https://bedrock-mantle.moon-base-1.api.aws", "models[0]", "not known", 8),
    ("a deployment without its kind", P, "https://eu.toy.example", "https://toy.openai.azure.com", "models[0]", "deployment: {kind, region}", 8),
    ("a deployment where nothing is deployed", P, "    retention_class: zero", "    deployment: {kind: Standard, region: francecentral}\n    retention_class: zero", "models[0].deployment", "leave it out", 0),
    ("a host that promises no place", P, "https://eu.toy.example", "https://aiplatform.googleapis.com", "countries.processing", "WORLD", 4),
]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "old", "new", "key", "says", "down"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_each_fault_is_named_where_it_stands(
    tmp_path: Path, file: str, old: str, new: str, key: str, says: str, down: int
) -> None:
    """A broken configuration is not served; the fault has file, line, key and a reason in our words."""
    before = FILES[file]
    assert old in before
    after = before.replace(old, new, 1)
    directory = write(tmp_path, **{file: after})

    with pytest.raises(ConfigurationError) as caught:
        read(directory)

    named = [fault for fault in caught.value.faults if key in (fault.key, "") and says in fault.reason]
    assert named, caught.value.faults
    assert {fault.file for fault in named} == {str(directory / file)}
    if says:
        expected = first_change(before, after) + down
        assert expected in {fault.line for fault in named}


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        pytest.param(b"\xef\xbb\xbf" + FILES[T].encode(), 1, "byte order mark", id="a byte order mark"),
        pytest.param(FILES[T].encode("utf-16"), 1, "byte order mark", id="UTF-16"),
        pytest.param(b"tenants:\n  t-1: \xe9\n", 2, "not UTF-8", id="Latin-1"),
        pytest.param(b"tenants:\n  t-1: \x00\n", 2, "control", id="a NUL"),
        pytest.param(b"tenants:\r  t-1: {}\n", 1, "carriage return", id="a lone carriage return"),
        pytest.param(b"", 0, "empty", id="nothing at all"),
        pytest.param(b"# only a comment\n", 0, "empty", id="only a comment"),
        pytest.param(b"- t-1\n", 1, "keys with values", id="a list at the top"),
        pytest.param(b"tenants: {t-1: {residency: [DE], sta\n", 1, "YAML breaks", id="cut off"),
        pytest.param(b"[" * 60 + b"]" * 60, 1, "deeply", id="very deep"),
    ],
)
def test_a_file_that_is_no_plain_text(tmp_path: Path, content: bytes, line: int, says: str) -> None:
    """What is not plain UTF-8 YAML is refused before anything is believed."""
    with pytest.raises(ConfigurationError) as caught:
        read(write(tmp_path, **{T: content}))

    assert [(fault.line, True) for fault in caught.value.faults if fault.file.endswith(T) and says in fault.reason] == [
        (line, True)
    ]


def test_there_are_many_ways_to_break_it() -> None:
    """The table is as long as was promised, and each case has a name of its own."""
    assert len({case[0] for case in CASES}) == len(CASES) >= 60


def test_a_configuration_cut_off_anywhere_grants_nothing_more(tmp_path: Path) -> None:
    """Whatever is lost at the end of an entry, it either is a fault or leaves the entry as it was."""
    whole = read(write(tmp_path / "whole")).registry.entries["toy-eu"]
    text = FILES[P]

    for end in range(0, len(text) - 1, 7):
        directory = write(tmp_path / "cut", **{P: text[:end]})
        try:
            entry = read(directory).registry.entries["toy-eu"]
        except ConfigurationError:
            continue
        assert entry.form == whole.form


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    """Faults of different files, and several of one file, come in one go, in order."""
    directory = write(
        tmp_path,
        **{
            G: FILES[G].replace("port: 8080", "port: 0.5").replace("region: test", "region: TEST"),
            P: FILES[P].replace("[Ada, Grace]", "[Ada]").replace("review_by: 2027-06-01", "review_by: 2025-01-01"),
        },
    )

    with pytest.raises(ConfigurationError) as caught:
        read(directory)

    faults = caught.value.faults
    assert faults == sorted(faults)
    assert {fault.key for fault in faults} >= {"region", "listen.port", "agreements[0].approvers", "review_by"}


@pytest.mark.parametrize("name", ["gateway.yaml", "callers.yaml", "tenants.yaml", "surfaces/toy.yaml"])
def test_a_file_that_is_missing(tmp_path: Path, name: str) -> None:
    """A file that must be there and is not is a fault of that file."""
    directory = write(tmp_path)
    (directory / name).unlink()

    with pytest.raises(ConfigurationError) as caught:
        read(directory)

    assert (str(directory / name), 0) in {(fault.file, fault.line) for fault in caught.value.faults}


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        pytest.param("processors/other.yml", FILES[P], "other.yml", id="an entry that would be ignored"),
        pytest.param("surfaces/tow.yaml", "wire: tow\n", "tow.yaml", id="a surface of no wire"),
        pytest.param("schemas/none.json", '{"name": "x"}', "none.json", id="a schema that is none"),
        pytest.param("schemas/twice.json", '{"type": "object", "type": "object"}', "twice.json", id="not strict JSON"),
    ],
)
def test_a_file_that_nothing_reads(tmp_path: Path, name: str, text: str, says: str) -> None:
    """A file that looks like configuration but would not be used is a fault, not ignored."""
    with pytest.raises(ConfigurationError) as caught:
        read(write(tmp_path, **{name: text}))

    assert [fault for fault in caught.value.faults if fault.file.endswith(says)]


def test_no_fault_quotes_what_was_written(tmp_path: Path) -> None:
    """A fault holds our words only: a secret pasted in the wrong place does not reach a terminal or a log."""
    secret = "sk-proj-QuiteSecretQuiteSecret"
    for old in ("Toy Ltd", "[DE, FR]", "direct", "[Ada, Grace]", "project: toys", "suspended: false"):
        new = {"project: toys": f"{secret}: toys", "suspended: false": f"{secret}: false"}.get(old, secret)
        with pytest.raises(ConfigurationError) as caught:
            read(write(tmp_path, **{P: FILES[P].replace(old, new, 1)}))
        assert "QuiteSecret" not in str(caught.value)
        assert "QuiteSecret" not in repr(caught.value.faults)


def test_overlapping_agreements(tmp_path: Path) -> None:
    """Two agreements on one thing may touch but not overlap, so that it is certain which is in force."""
    second = (
        "  - id: toy-next\n    kinds: [zero_retention, no_training]\n    scope: the same\n    valid_from: {begins}\n"
        f'    valid_until: 2028-01-01\n    document_sha256: "{A64}"\n    approvers: [Ada, Grace]\ncarve_outs:'
    )

    read(write(tmp_path, **{P: FILES[P].replace("carve_outs:", second.format(begins="2027-01-01"), 1)}))
    with pytest.raises(ConfigurationError) as caught:
        overlapping = FILES[P].replace("carve_outs:", second.format(begins="2026-12-31T23:59:59.999999Z"), 1)
        read(write(tmp_path, **{P: overlapping}))

    assert {fault.key for fault in caught.value.faults} == {"agreements[1]"}
