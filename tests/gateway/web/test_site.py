"""The site as its readers meet it: pages, permalinks, roles, tenants kept apart, exports, and everything that is refused."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest
import pytest_asyncio

from gateway.audit.merkle import leaf_hash
from gateway.audit.store import StoreFault
from gateway.audit.verify import included, verify_pack
from gateway.audit.words import Role
from gateway.web.links import make
from gateway.web.pages import PAGES, Page
from gateway.web.viewer import MAY
from tests.configuration import EUROPEAN, TENANT
from tests.gateway.web.serving import Reader, Served, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

MARK = "zqmark"
OTHERS = {TENANT: EUROPEAN, EUROPEAN: TENANT}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """The pages over a lived-in state."""
    async with serving(tmp_path_factory.mktemp("site"), calls=160) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def security(served: Served) -> AsyncIterator[Reader]:
    """Somebody of the security team."""
    async with served.reader() as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mine(served: Served) -> AsyncIterator[Reader]:
    """The auditor of one tenant."""
    async with served.reader(Role.TENANT_AUDITOR, TENANT) as made:
        yield made


def call_of(served: Served, tenant: str) -> str:
    return served.lived.made[tenant][3]


# --- pages --------------------------------------------------------------------------------------


async def test_the_last_reading_of_each_processor_is_shown(security: Reader) -> None:
    """Beside each entry its last reading, the verdict and what was said, word by word; a trial is no reading."""
    words = (await security.get("/attestations")).words

    row = words.split("simulated-openai", 1)[1]
    assert "fail project retention: modified abuse monitoring, web search: disabled" in row
    assert "none recorded" in words.split("simulated-anthropic", 1)[1][:120]
    assert "canary" in row


@pytest.mark.parametrize("page", PAGES)
async def test_every_page_says_what_it_is(security: Reader, page: str) -> None:
    """Each page has one heading, and below it the query in words, a permalink, rows, log, root, time and role."""
    answer = await security.get(f"/{page}")

    assert answer.status == 200
    assert len(re.findall(r"<h1\b", answer.text)) == 1
    for words in ("About this page", "Query", "Rows matched", "Root", "security, every tenant"):
        assert words in answer.words
    assert f"{security.base}/{page}" in answer.text
    assert "zero-retention-gateway.invalid/test" in answer.words


@pytest.mark.parametrize("path", ["/", "/calls", "/denials", "/endpoints", "/redactions"])
async def test_a_permalink_shows_the_same_again(security: Reader, path: str) -> None:
    """The address that a page gives for itself has its period written out, and gives the same page."""
    first = await security.get(path)
    found = re.search(r'<dt>Permalink</dt><dd><a href="([^"]+)"', first.text)
    assert found
    again = await security.get(found[1].replace("&amp;", "&"))

    assert "from=2026-" in found[1]
    assert again.words.split("About this page")[0] == first.words.split("About this page")[0]


@pytest.mark.parametrize("path", ["/", "/calls", "/nothing", "/calls?x=1", "/static/style.css", "/sign-in"])
async def test_every_answer_forbids_what_it_does_not_need(security: Reader, path: str) -> None:
    """No script, style or picture from elsewhere or inline, no frame around it, nothing kept by a browser."""
    answer = await security.get(path)
    policy = answer.headers["Content-Security-Policy"]

    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    if not path.startswith("/static"):
        assert answer.headers["Cache-Control"] == "no-store"
        assert not re.search(r"<script(?![^>]+src=\"/static/)|<style|\sstyle=|\son[a-z]+=|javascript:", answer.text)
        assert not re.search(r"(?:src|href|action)=\"(?!/|#|http://127\.0\.0\.1)", answer.text)


async def test_the_sentence_counts_what_there_is(served: Served, security: Reader) -> None:
    """The overview's numbers are those of the records; the zeros and the loss interval are printed."""
    answer = await security.get("/")
    made = sum(map(len, served.lived.made.values()))
    refused = sum(map(len, served.lived.refused.values()))

    assert f"made {made} provider calls in {made} attempts" in answer.words
    assert f"{made} went to endpoints under an agreement in force at that time; 0 did not" in answer.words
    assert f"{refused} requests were denied" in answer.words
    assert "0 attempts are indeterminate" in answer.words
    assert "Possible loss intervals: 2026-" in answer.words
    assert "3 turned away" in answer.words


async def test_facets_lead_to_what_they_count(security: Reader) -> None:
    """Each facet's number is the number of rows that its link gives."""
    page = await security.get("/calls")
    facets = page.text.split('class="facets"')[1].split("</section>")[0]
    links = re.findall(r'<a href="([^"]+)"><span>[^<]*</span> <span class="n">([\d,]+)</span>', facets)

    assert len(links) > 10
    for address, number in links:
        followed = await security.get(address.replace("&amp;", "&"))
        assert f"{number} of " in followed.words, address


async def test_paging_reaches_every_row_once(served: Served, security: Reader) -> None:
    """From page to page, and back, every call is listed once."""
    seen: list[str] = []
    path: str | None = "/calls"
    while path is not None:
        page = await security.get(path)
        seen += re.findall(r'title="Call ([0-9a-f]{32})"', page.text)
        found = re.search(r'<a href="([^"]+)" rel="next"', page.text)
        path = found[1].replace("&amp;", "&") if found else None
    back = re.search(r'<a href="([^"]+)" rel="prev"', page.text)

    assert sorted(seen) == sorted(
        call for calls in [*served.lived.made.values(), *served.lived.refused.values()] for call in calls
    )
    assert back
    assert len(re.findall(r'title="Call ', (await security.get(back[1].replace("&amp;", "&"))).text)) == 50


async def test_a_denial_leads_to_its_rule_as_it_was_then(served: Served, security: Reader) -> None:
    """From the list of denials to the rules that cite its source, in the configuration of that moment."""
    page = await security.get("/denials?source=O4")
    found = re.search(r'href="(/configuration/[0-9a-f]{64}\?source=O4)"', page.text)
    assert found
    rule = await security.get(found[1])

    assert found[1][15:79] in served.lived.digests
    assert rule.status == 200
    assert "Rules that cite O4" in rule.words
    assert '"source": "O4"' in rule.words


async def test_a_configuration_is_compared_with_the_one_before(served: Served, security: Reader) -> None:
    """What changed is told in words and line by line."""
    page = await security.get(f"/configuration/{served.lived.digests[1]}")

    assert "notice of 14 days becomes 30" in page.words
    assert "simulated-openai.yaml" in page.words
    assert '<span class="less">-  &#34;notice_days&#34;: 14,' in page.text
    assert 'class="more"' in page.text


# --- tenants apart ------------------------------------------------------------------------------


def traces(served: Served, tenant: str) -> list[str]:
    """Everything that only this tenant's records hold: its id, its calls, its processor's own model."""
    return [tenant, *served.lived.made[tenant], *served.lived.refused[tenant]]


@pytest.mark.parametrize("whose", OTHERS)
@pytest.mark.parametrize("role", [Role.TENANT_AUDITOR, Role.TENANT_ADMIN, Role.EXTERNAL_AUDITOR, Role.SECURITY])
async def test_no_page_and_no_export_shows_another_tenants(served: Served, role: Role, whose: str) -> None:
    """Every page, with and without the other's ids in every parameter, and every export, as each role."""
    other = OTHERS[whose]
    theirs = call_of(served, other)
    async with served.reader(role, whose) as reader:
        paths = [f"/{page}" for page in PAGES]
        paths += [
            f"/calls?tenant={other}",
            f"/denials?tenant={other}",
            f"/redactions?tenant={other}",
            f"/calls?call={theirs}",
        ]
        paths += [f"/calls?agreement={'simulated-anthropic-2026' if other == EUROPEAN else 'simulated-openai-2026'}"]
        paths += [
            f"/calls/export?format={kind}{more}"
            for kind in ("csv", "ndjson", "ocsf")
            for more in ("", f"&tenant={other}")
        ]
        paths += [f"/calls/{theirs}", f"/calls/{theirs}/proof-0"]
        for path in paths:
            answer = await reader.get(path)
            # What a reader of the same scope typed is not what the record told them.
            allowed = {other, theirs} if path == "/access" else {each for each in (other, theirs) if f"={each}" in path}
            found = [each for each in traces(served, other) if each in answer.text and each not in allowed]
            assert not found, path
        own = await reader.get("/calls")

    assert whose in own.text


async def test_the_others_call_is_not_told_from_none(served: Served, mine: Reader) -> None:
    """Another tenant's call and one that never was give the same page, so nothing can be learned by trying."""
    theirs = await mine.get(f"/calls/{call_of(served, EUROPEAN)}")
    none = await mine.get(f"/calls/{'0' * 32}")

    assert theirs.status == none.status == 404
    assert theirs.text == none.text


@pytest.mark.parametrize("role", Role)
async def test_a_role_opens_its_pages_and_no_others(served: Served, role: Role) -> None:
    """The navigation lists exactly what opens; the rest is refused by name of the page alone."""
    tenants = (TENANT,) if role in {Role.TENANT_ADMIN, Role.TENANT_AUDITOR} else ()
    async with served.reader(role, *tenants) as reader:
        home = await reader.get("/")
        status = {page: (await reader.get(f"/{page}")).status for page in PAGES}
    listed = {name or "overview" for name in re.findall(r'<li><a href="/([a-z]*)"', home.text.split("<main")[0])}
    whole = {"configuration", "reports", "attestations"}
    expected = MAY[role] - (whole if tenants else frozenset())

    assert listed == expected
    assert {page for page, code in status.items() if code == 200} == expected
    assert {code for page, code in status.items() if page not in expected} <= {403}


async def test_a_tenants_admin_sees_only_looks_of_that_scope(served: Served, security: Reader) -> None:
    """The access page of a tenant lists sessions of the same tenants alone."""
    await security.get(f"/calls?tenant={EUROPEAN}&model=claude-simulated")
    async with served.reader(Role.TENANT_ADMIN, TENANT) as reader:
        await reader.get("/redactions")
        page = await reader.get("/access")

    assert "/redactions?from=" in page.text
    assert "claude-simulated" not in page.text
    assert "every tenant" not in page.words


# --- exports and proofs -------------------------------------------------------------------------


async def test_exports_hold_what_is_listed_and_can_be_proved(served: Served, security: Reader) -> None:
    """Every line has the index and hash of its leaf; the head says query, rows, size, root, time and role."""
    answer = await security.get("/calls/export?format=ndjson&decision=refuse")
    head, *lines = map(json.loads, answer.text.splitlines())
    with served.pages.house.log() as log:
        assert log is not None
        for line in lines:
            assert leaf_hash(log.entries(line["index"] // 256)[line["index"] % 256]).hex() == line["leaf"]

    assert {line["call"] for line in lines} == {call for calls in served.lived.refused.values() for call in calls}
    assert head["rows"] == str(len(lines))
    assert head["query"].startswith("records of attempts and refusals from 2026-")
    assert head["as"] == "security, every tenant"
    assert len(head["root"]) == 64


async def test_csv_and_ocsf_are_what_they_say(security: Reader) -> None:
    """CSV reads as CSV below its comments; OCSF has a class on every line but the head."""
    text = (await security.get("/calls/export?format=csv")).text
    rows = list(
        csv.DictReader(io.StringIO("".join(line for line in text.splitlines(True) if not line.startswith("#"))))
    )
    ocsf = [json.loads(line) for line in (await security.get("/calls/export?format=ocsf")).text.splitlines()]

    assert {row["kind"] for row in rows} == {"intent", "outcome", "refusal"}
    assert {line["class_uid"] for line in ocsf[1:]} == {6003}
    assert len(rows) == len(ocsf) - 1


async def test_a_proof_to_take_away_holds(served: Served, security: Reader) -> None:
    """The file has the form of a tlog-proof, and the auditor's own arithmetic accepts it."""
    page = await security.get(f"/calls/{call_of(served, TENANT)}")
    answer = await security.get(f"/calls/{call_of(served, TENANT)}/proof-0")
    head, place, *rest = answer.text.split("\n\n", 1)[0].split("\n")
    note = answer.text.split("\n\n", 1)[1]
    entry = re.search(r'data-field="entry">([0-9a-f]+)<', page.text)
    assert entry

    assert head == "c2sp.org/tlog-proof@v1"
    assert included(
        bytes.fromhex(entry[1]), int(place.removeprefix("index ")), int(note.split("\n")[1]),
        [base64.b64decode(each) for each in rest], base64.b64decode(note.split("\n")[2]),
    )  # fmt: skip
    assert answer.headers["Content-Disposition"].endswith('.tlog-proof"')


# --- what is recorded ---------------------------------------------------------------------------


async def test_a_view_is_noted_before_it_is_shown(
    served: Served, security: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each view and export is in the book with its query and rows; where that fails, nothing is shown."""
    await security.get(f"/calls?tenant={TENANT}")
    await security.get("/calls/export?format=csv")
    await security.get(f"/calls/{'0' * 32}")
    looks = served.pages.house.book.looks(None, most=2)

    def fail(*_: object) -> None:
        raise StoreFault("the disk")

    monkeypatch.setattr(served.pages.house.book, "note", fail)
    refused = [await security.get(path) for path in ("/calls", "/calls/export?format=csv", "/")]

    assert [look.act for look in looks] == ["export", "view"]
    assert looks[1].query.startswith("/calls?from=2026-")
    assert f"tenant={TENANT}" in looks[1].query
    assert looks[1].rows == len(served.lived.made[TENANT]) + len(served.lived.refused[TENANT])
    assert looks[1].digest == hashlib.sha256(looks[1].query.encode()).hexdigest()
    assert {each.status for each in refused} == {503}
    assert not any(TENANT in each.text for each in refused)


# --- bad input ----------------------------------------------------------------------------------

HOSTILE = {
    "script": f"<script>{MARK}</script>",
    "an attribute": f'"{MARK} onmouseover=alert(1)',
    "an entity": f"&lt;{MARK}",
    "SQL": f"{MARK}' OR 1=1 --",
    "a union": f"{MARK}' UNION ALL VALUES(1)--",
    "a template": "{{7*7}}" + MARK,
    "a path": f"../../{MARK}",
    "a null byte": f"{MARK}\0",
    "a header": f"{MARK}\r\nSet-Cookie: a=b",
    "long": MARK + "a" * 1800,
}


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.parametrize("page", PAGES.values(), ids=list(PAGES))
async def test_nothing_hostile_in_a_parameter_is_shown_or_done(security: Reader, page: Page, case: str) -> None:
    """In every parameter of every page, and in the path: a clear page with the right status, nothing of it in the answer."""
    for parameter in (*page.takes, MARK):
        answer = await security.get(f"/{page.name}?{parameter}={quote(HOSTILE[case])}")
        assert answer.status == 400, parameter
        assert MARK not in answer.text
    answer = await security.get(f"/{page.name}/{quote(HOSTILE[case], safe='')}")

    assert answer.status == 404
    assert MARK not in answer.text


@pytest.mark.parametrize(
    "path",
    ["//evil.example", "/calls/", "/calls//", "/calls/..", "/static/../site.py", "/static/nothing", "/calls/x/y/z", "/%2e%2e/",
     "/reports/../index.db", "/reports/index.db", "/integrity/x", "/enter", "/enter/a/b", "/sign-in/start", "/sign-in/done",
     "/integrity?at=999999999", "/CALLS"],
)  # fmt: skip
async def test_what_is_not_there_is_not_there(security: Reader, path: str) -> None:
    """Paths beside the table give one clear page."""
    assert (await security.get(path)).status == 404


@pytest.mark.parametrize("place", ["0-0", "9999999999999999-999999999999999999", "1795000000000000-0"])
async def test_a_forged_place_shows_nothing_more(served: Served, mine: Reader, place: str) -> None:
    """Whatever place somebody makes up, the list is within their own scope."""
    for parameter in ("after", "before"):
        answer = await mine.get(f"/calls?{parameter}={place}")
        assert answer.status == 200
        assert not [each for each in traces(served, EUROPEAN) if each in answer.text]


async def test_a_stranger_is_shown_the_door(served: Served) -> None:
    """Without a session, or with a forged or expired one, every page leads to the sign-in and says nothing else."""
    async with served.stranger() as stranger:
        for cookie in ("", "audit=forged", "audit=" + "x" * 3000):
            for page in PAGES:
                answer = await stranger.get(f"/{page}?from=2026-01-01", Cookie=cookie)
                assert answer.status == 303
                assert answer.headers["Location"].startswith("/sign-in?to=%2F")
        door = await stranger.get("/sign-in?to=https://evil.example/")

    assert door.status == 200
    assert "evil" not in door.text


async def test_an_idle_session_is_over(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the idle limit the same cookie leads to the door, and the page that was wanted is remembered."""
    async with served.reader() as reader:
        assert (await reader.get("/calls")).status == 200
        site = served.pages.site
        assert site is not None
        clock = site._sessions._clock
        monkeypatch.setattr(site._sessions, "_clock", lambda: clock() + 31 * 60)
        answer = await reader.get("/calls?decision=refuse")

    assert answer.status == 303
    assert answer.headers["Location"] == "/sign-in?to=%2Fcalls%3Fdecision%3Drefuse"


FORGED: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "no token": ({}, {}),
    "a made-up token": ({"form_token": "x" * 32}, {}),
    "another origin": ({"form_token": "OWN"}, {"Origin": "https://evil.example"}),
    "no origin at all": ({"form_token": "OWN"}, {"Origin": "null"}),
    "another site, as the browser says": ({"form_token": "OWN"}, {"Sec-Fetch-Site": "cross-site"}),
    "a sibling site": ({"form_token": "OWN"}, {"Sec-Fetch-Site": "same-site"}),
}


@pytest.mark.parametrize("case", FORGED)
@pytest.mark.parametrize("path", ["/sign-out", "/reports"])
async def test_a_form_from_elsewhere_does_nothing(served: Served, path: str, case: str) -> None:
    """A form without the session's token, or sent from another site, is refused, and the session lives on."""
    async with served.reader() as reader:
        form, headers = FORGED[case]
        if form.get("form_token") == "OWN":
            form = {"form_token": (await reader.get("/reports")).form_token}
        answer = await reader.post(path, form, **headers)

        assert answer.status == 403
        assert (await reader.get("/calls")).status == 200
    assert not (served.lived.state / "pages" / "packs").exists()


async def test_signing_out_ends_the_session(served: Served) -> None:
    """With the page's own form one is out."""
    async with served.reader() as reader:
        token = (await reader.get("/")).form_token
        answer = await reader.post("/sign-out", {"form_token": token})

        assert answer.status == 303
        assert (await reader.get("/calls")).status == 303


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_nothing_can_be_changed(security: Reader, method: str) -> None:
    """There is no way to write."""
    async with security.session.request(method, f"{security.base}/calls") as answer:
        assert answer.status == 405


async def test_another_host_is_not_served(security: Reader) -> None:
    """A request to another name, as after a rebinding of DNS, gets nothing."""
    answer = await security.get("/calls", Host="evil.example")

    assert answer.status == 400
    assert TENANT not in answer.text


async def test_an_unforeseen_fault_is_a_clear_page(
    security: Reader, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A page that breaks says so, without the text of the fault; the operator learns its kind and place."""

    def broken(*_: object) -> None:
        raise RuntimeError(MARK)

    monkeypatch.setattr("gateway.web.pages.calls.timeline", broken)
    answer = await security.get("/calls")
    told = capfd.readouterr().err

    assert answer.status == 500
    assert MARK not in answer.text + told
    assert "RuntimeError" in told


async def test_a_link_is_a_page_with_a_button(served: Served) -> None:
    """Opening a one-time link uses it up only when the button is pressed, so that no preview can."""
    token = make(served.lived.state, Role.SECURITY, (), time.time())
    async with served.stranger() as stranger:
        for _each in range(2):
            assert (await stranger.get(f"/enter/{token}")).status == 200
        first = await stranger.post("/enter", {"token": token})
        cookie = first.headers["Set-Cookie"]
    async with served.stranger() as stranger:
        second = await stranger.post("/enter", {"token": token})

    assert first.status == 303
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert second.status == 403


async def test_a_pack_is_built_and_taken_away(served: Served, tmp_path: Path) -> None:
    """Reports builds a pack in a process of its own; it is downloaded whole and verifies; the page never blocks."""
    async with served.reader() as reader:
        token = (await reader.get("/reports")).form_token
        begun = await reader.post("/reports", {"form_token": token})
        running = await reader.get("/reports")
        assert served.pages.site is not None
        await served.pages.site.reporting.settled()
        page = await reader.get("/reports")
        found = re.search(r'href="(/reports/evidence-[0-9TZ]+\.zip)"', page.text)
        assert found, page.words
        async with reader.session.get(f"{reader.base}{found[1]}") as answer:
            (tmp_path / "pack.zip").write_bytes(await answer.read())
    policy = tmp_path / "policy"
    policy.write_text(f"log {served.pages.house.verifier_key}\nquorum none\n")
    said: list[str] = []
    verify_pack(str(tmp_path / "pack.zip"), str(policy), lambda text: said.append(text) or 0, [])

    assert begun.status == 303
    assert "being built" in running.words
    assert "A2" in "".join(said)
