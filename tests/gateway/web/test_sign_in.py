"""Signing in with a provider of identities: who is let in as what, and every token and answer that is not taken."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import pytest_asyncio
from yarl import URL

from gateway.audit.words import Role
from tests.configuration import EUROPEAN, TENANT
from tests.gateway.web.provider import CLIENT, SECRET, Provider
from tests.gateway.web.serving import Answer, Reader, Served, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEATS = [
    {"value": "audit-security", "role": "security", "everyone": True},
    {"value": "audit-acme", "role": "tenant_auditor", "tenants": [TENANT]},
    {"value": "audit-elsewhere", "role": "security", "everyone": True, "regions": ["moon"]},
    {"value": "auditors-late", "role": "external_auditor", "everyone": True, "since": "2026-11-01", "until": "2026-12-01",
     "expires": "2026-01-01"},
    {"value": "auditors", "role": "external_auditor", "everyone": True, "since": "2026-11-24", "until": "2026-11-25",
     "expires": "2099-01-01"},
]  # fmt: skip


@dataclass(slots=True)
class Both:
    """The pages, and the provider that they ask."""

    served: Served
    provider: Provider


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lasting(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Both]:
    """Pages that are signed into through the provider."""
    folder: Path = tmp_path_factory.mktemp("sign-in")
    provider = Provider()
    await provider.start()
    (folder / "secret").write_text(SECRET)
    sign_in = {"issuer": provider.issuer, "client_id": CLIENT, "client_secret_file": "../secret", "seats": SEATS}
    async with serving(folder, calls=40, web={"sign_in": sign_in}) as served:
        yield Both(served, provider)
    await provider.stop()


@pytest.fixture
def both(lasting: Both) -> Both:
    """The same, with a provider that does everything right."""
    lasting.provider.claims, lasting.provider.forge, lasting.provider.down = {}, "", False
    lasting.provider.algorithm = "ES256"
    site = lasting.served.pages.site
    assert site is not None
    assert site._open_id is not None
    site._open_id._found = None
    return lasting


async def asked(reader: Reader, to: str = "") -> tuple[Answer, URL | None]:
    """Begin, and let the provider send us back; the address that it sends to, not yet opened."""
    begun = await reader.get(f"/sign-in/start{to}")
    if begun.status != 303:
        return begun, None
    async with reader.session.get(URL(begun.headers["Location"], encoded=True), allow_redirects=False) as answer:
        return begun, URL(answer.headers["Location"], encoded=True)


async def signed_in(reader: Reader, to: str = "") -> Answer:
    """The whole way."""
    begun, back = await asked(reader, to)
    return begun if back is None else await reader.get(f"{back.raw_path}?{back.raw_query_string}")


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
async def test_who_has_a_seat_comes_in_and_goes_where_they_wanted(both: Both, algorithm: str) -> None:
    """The code flow with PKCE, state and nonce; then the page that was asked for at first."""
    both.provider.algorithm = algorithm
    async with both.served.stranger() as reader:
        answer = await signed_in(reader, "?to=%2Fcalls%3Fdecision%3Drefuse")
        page = await reader.get(answer.headers["Location"])
    query = both.provider.asked[-1]

    assert answer.headers["Location"] == "/calls?decision=refuse"
    assert "security, every tenant" in page.words
    assert query["redirect_uri"] == f"{both.served.base}/sign-in/done"
    assert len(query["code_challenge"]) == 43
    assert "HttpOnly" in answer.headers["Set-Cookie"]
    assert both.served.pages.house.book.looks(None, most=1)[0].who == "ada"


async def test_a_seat_is_as_wide_as_it_says(both: Both) -> None:
    """A tenant's auditor sees the tenant; an external auditor sees the days of the seat, and no call before them."""
    both.provider.claims = {"groups": ["unknown", "audit-acme"]}
    async with both.served.stranger() as reader:
        await signed_in(reader)
        mine = await reader.get("/calls")
        theirs = await reader.get(f"/calls?tenant={EUROPEAN}")
    both.provider.claims = {"groups": "auditors"}
    async with both.served.stranger() as reader:
        await signed_in(reader)
        bounded = await reader.get("/calls?from=2026-01-01&to=2027-01-01")
        wider = await reader.post(
            "/reports", {"form_token": (await reader.get("/reports")).form_token, "from": "2026-11-01"}
        )

    assert TENANT in mine.text
    assert EUROPEAN not in mine.text
    assert "0 of " in theirs.words
    assert "external auditor, every tenant, 2026-11-24 to 2026-11-24" in bounded.words
    days = {cell.split("T")[0] for cell in bounded.text.split('datetime="')[1:] if "T" in cell[:11]}
    assert {each[:10] for each in days} <= {"2026-11-24", "2026-11-26"}  # the calls, and when the log was signed
    assert wider.status == 403


NOBODY: dict[str, tuple[dict[str, object], str]] = {
    "no second factor": ({"amr": ["pwd"]}, ""),
    "no word of factors": ({"amr": None}, ""),
    "factors in one word": ({"amr": "mfa"}, ""),
    "no group": ({"groups": None}, ""),
    "an unknown group": ({"groups": ["nobody"]}, ""),
    "a group that holds ours": ({"groups": ["audit-security-2"]}, ""),
    "a seat of another region": ({"groups": ["audit-elsewhere"]}, ""),
    "a seat that has expired": ({"groups": ["auditors-late"]}, ""),
    "another issuer": ({"iss": "https://another.example"}, ""),
    "another audience": ({"aud": "another"}, ""),
    "among audiences, for another": ({"aud": [CLIENT, "x"], "azp": "x"}, ""),
    "another nonce": ({"nonce": "x"}, ""),
    "no nonce": ({"nonce": None}, ""),
    "expired": ({"exp": int(time.time()) - 3600}, ""),
    "no expiry": ({"exp": None}, ""),
    "issued tomorrow": ({"iat": int(time.time()) + 86_400}, ""),
    "nobody in particular": ({"sub": None}, ""),
    "signed by another key": ({}, "another key"),
    "changed after it was signed": ({}, "changed"),
    "not signed": ({}, "no algorithm"),
    "signed with the public key": ({}, "symmetric"),
    "an issuer that calls itself otherwise": ({}, "issuer"),
    "an endpoint without protection": ({}, "plain token endpoint"),
}


@pytest.mark.parametrize("case", NOBODY)
async def test_a_token_that_does_not_hold_lets_nobody_in(both: Both, case: str) -> None:
    """Each is refused on a clear page that holds nothing of the token, and there is no session."""
    both.provider.claims, both.provider.forge = NOBODY[case]
    async with both.served.stranger() as reader:
        answer = await signed_in(reader)
        page = await reader.get("/calls")

    assert answer.status == 403
    assert "ada" not in answer.text
    assert page.status == 303


async def test_an_answer_is_taken_once_and_from_the_browser_that_asked(both: Both) -> None:
    """A stolen or replayed answer, one with another state, and one in another browser let nobody in."""
    async with both.served.stranger() as victim, both.served.stranger() as thief:
        _begun, back = await asked(victim)
        assert back is not None
        path = f"{back.raw_path}?{back.raw_query_string}"
        stolen = await thief.get(path)
        late = await victim.get(path)  # the thief's try used it up: begin again
        forged = await victim.get(f"/sign-in/done?code=x&state={parse_qs(urlsplit(path).query)['state'][0]}x")
        bare = await victim.get("/sign-in/done")
        _begun, back = await asked(victim)
        assert back is not None
        other = await victim.get(f"{back.raw_path}?{back.update_query(iss='https://evil.example').raw_query_string}")
        whole = await signed_in(victim)
        again = await victim.get(path)

    assert {each.status for each in (stolen, late, forged, bare, other, again)} == {403}
    assert whole.status == 303


async def test_a_sign_in_that_takes_too_long_is_over(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """After ten minutes the answer is to no question."""
    async with both.served.stranger() as reader:
        _begun, back = await asked(reader)
        assert back is not None
        site = both.served.pages.site
        assert site is not None
        assert site._open_id is not None
        clock = site._open_id._clock
        monkeypatch.setattr(site._open_id, "_clock", lambda: clock() + 601)

        assert (await reader.get(f"{back.raw_path}?{back.raw_query_string}")).status == 403


async def test_a_provider_that_does_not_answer_is_said(both: Both) -> None:
    """Nobody comes in, and the page says why."""
    both.provider.down = True
    async with both.served.stranger() as reader:
        answer = await reader.get("/sign-in/start")

    assert answer.status == 403
    assert "does not answer" in answer.words


async def test_nobody_is_led_elsewhere(both: Both) -> None:
    """After signing in one is on these pages, whatever the link said."""
    for to in ("https://evil.example", "//evil.example", "/\\evil.example", "/calls\r\nX: y", "javascript:alert(1)"):
        async with both.served.stranger() as reader:
            answer = await signed_in(reader, f"?to={quote(to, safe='')}")
            assert answer.status == 303, to
            assert answer.headers["Location"] == "/"


async def test_both_doors_are_told(both: Both) -> None:
    """The sign-in offers the provider first, and says how a one-time link is made."""
    async with both.served.stranger() as reader:
        door = await reader.get("/sign-in?to=%2Fcalls")
    async with both.served.reader(Role.PRIVACY_OFFICER) as reader:
        inside = await reader.get("/")

    assert 'href="/sign-in/start?to=%2Fcalls"' in door.text
    assert "gateway web --link" in door.words
    assert inside.status == 200
