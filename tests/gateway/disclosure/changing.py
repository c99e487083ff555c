"""A configuration with something to tell customers: a new processor, a new country, an emergency, a new purpose."""

from __future__ import annotations

from tests.gateway.config.small import FILES

DIGEST = "c" * 64
CHANGING: dict[str, str] = {
    "processors/toy-eu.yaml": FILES["processors/toy-eu.yaml"]
    .replace(
        "  storage: [IE]\n",
        "  storage: [IE]\n  added:\n    - {countries: [CH], reason: more room, announced: 2026-11-20, "
        f'effective: 2026-12-20, document_sha256: "{DIGEST}"}}\n',
    )
    .replace("  - Flagged images are kept.\n", "  - Flagged images are kept, *always* & <everywhere>.\n"),
    "processors/toy-us.yaml": FILES["processors/toy-eu.yaml"]
    .replace("id: toy-eu", "id: toy-us")
    .replace("eu.toy.example", "us.toy.example")
    .replace("name: Toy Ltd", "name: Toy Inc | <b>bold</b>")
    .replace("[DE, FR]", "[US]")
    .replace("[IE]", "[US]")
    .replace("announced: 2025-11-01", "announced: 2026-11-10")
    .replace("effective: 2026-01-01", "effective: 2026-12-10")
    .replace(
        "review_by:",
        "french:\n  service: Résumés d'appels\n  carve_outs: [Les images signalées sont conservées.]\n"
        "service: Summaries of calls\n"
        "transfers:\n  - {law: EEA, mechanism: scc, reference: module 3, "
        f'document_sha256: "{DIGEST}", valid_from: 2026-01-01, valid_until: 2028-01-01}}\n'
        "exemptions:\n  - {tenant: t-ca, reason: an outage elsewhere, contract: addendum 7, approvers: [Ada, Grace], "
        f'document_sha256: "{DIGEST}", valid_from: 2026-11-15, valid_until: 2026-12-01}}\nreview_by:',
    ),
    "processors/toy-soon.yaml": FILES["processors/toy-eu.yaml"]
    .replace("id: toy-eu", "id: toy-soon")
    .replace("announced: 2025-11-01", "announced: 2026-12-01")
    .replace("effective: 2026-01-01", "effective: 2027-01-01"),
    "processors/toy-draft.yaml": FILES["processors/toy-eu.yaml"]
    .replace("id: toy-eu", "id: toy-draft\nexample: true")
    .replace("name: Toy Ltd", "name: Secret Plans Ltd"),
    "tenants.yaml": FILES["tenants.yaml"]
    .replace("    processors: [toy-eu]\n", "    processors: [toy-us]\n")
    .replace("    forbidden_grants: [cache]\n", "    forbidden_grants: [cache]\n    objections: [{processor: toy-soon, date: 2026-11-02}]\n"),
}  # fmt: skip
