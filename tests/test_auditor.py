"""The auditor at work in a real browser: from a question to its answer, to the proof, and not to another tenant's."""

from __future__ import annotations

import asyncio
import html
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.audit.words import Role
from gateway.web.links import make
from gateway.web.pages import PAGES
from tests.browser import Tab, browser
from tests.configuration import EUROPEAN, TENANT
from tests.equipment import AXE
from tests.gateway.web.lived import NOW, more
from tests.gateway.web.serving import Served, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALIKE = """
document.querySelectorAll('tbody').forEach((body) => [...body.rows].slice(6).forEach((row) => row.remove()));
document.querySelectorAll('.diff, .facets ul').forEach((list) => [...list.children].slice(8).forEach((each) => each.remove()));
document.querySelectorAll('svg rect, svg text').forEach((each, at) => { if (at > 12) each.remove(); });
"""
"""Rows that are like the first few, and would be checked one by one for nothing."""

RULES = {
    "light": "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']",
    "dark": "['color-contrast', 'link-in-text-block']",  # the rest is the same page
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """The pages over a lived-in state."""
    async with serving(tmp_path_factory.mktemp("auditor"), calls=160) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened() -> AsyncIterator[Tab]:
    """One browser for all."""
    async with browser() as tab:
        yield tab


@pytest_asyncio.fixture(loop_scope="module")
async def tab(served: Served, opened: Tab) -> Tab:
    """The browser, looking at the overview as the security team, in an ordinary window."""
    await opened.look()
    await enter(served, opened)
    opened.requests.clear()
    opened.complaints.clear()
    return opened


async def enter(served: Served, tab: Tab, role: Role = Role.SECURITY, *tenants: str) -> None:
    """Come in by a one-time link, with the button that is there."""
    await tab.call("Network.clearBrowserCookies")
    await tab.open(f"{served.base}/enter/{make(served.lived.state, role, tenants, time.time())}")
    await tab.follow("document.querySelector('main button').click()")
    assert await tab.run("document.querySelector('h1').textContent") == "Overview"


async def click(tab: Tab, text: str, within: str = "main") -> None:
    """Follow the link that bears this text."""
    found = f"[...document.querySelectorAll('{within} a')].find((each) => each.textContent.trim().startsWith({text!r}))"
    assert await tab.run(f"!!{found}"), f"there is no link {text!r} on {await tab.run('location.href')}"
    await tab.follow(f"{found}.click()")


async def seen(tab: Tab) -> str:
    """The text of the page as it is seen."""
    text: str = await tab.run("document.body.innerText")
    return text


def everything(served: Served) -> dict[str, str]:
    """One address of every sort of page."""
    made = served.lived.made[TENANT][0]
    refused = served.lived.refused[TENANT][0]
    return {
        **{page: f"/{page}" for page in PAGES},
        "a call": f"/calls/{made}",
        "a refusal": f"/calls/{refused}",
        "a filtered list": f"/calls?decision=refuse&tenant={TENANT}",
        "an empty list": "/calls?tenant=nobody",
        "a difference": f"/configuration/{served.lived.digests[1]}",
        "rules": f"/configuration/{served.lived.digests[1]}?source=O4",
        "a problem": "/calls?from=never",
        "the door": "/sign-in",
    }


# --- the tour -----------------------------------------------------------------------------------


async def test_the_tour(served: Served, tab: Tab, tmp_path: Path) -> None:
    """Filter to a denial, follow it to its rule of that moment, verify its proof, export, and try another tenant's."""
    await click(tab, "Denials", "nav")
    await click(tab, "O4")
    assert "rule is O4" in await seen(tab)
    await click(tab, "O4", ".calls")
    rule = await seen(tab)
    assert "Rules that cite O4" in rule
    assert '"source": "O4"' in rule
    digest = (await tab.run("location.pathname")).removeprefix("/configuration/")
    assert digest in served.lived.digests

    await tab.follow("history.back()")
    await tab.follow("document.querySelector('.calls td:last-child a').click()")
    assert digest[:16] in await seen(tab)
    call = (await tab.run("location.pathname")).removeprefix("/calls/")
    assert call in served.lived.refused[TENANT] + served.lived.refused[EUROPEAN]
    found = await recomputed(tab)
    assert found["holds"] == "true", found
    assert len(found["lines"]) == 4

    await tab.open(f"{served.base}/calls?decision=refuse")
    await tab.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    await tab.run("[...document.querySelectorAll('.exports a')].find((each) => each.textContent === 'NDJSON').click()")
    text = await arrived(tmp_path / "records.ndjson")
    assert call in text
    assert '"rows":' in text.splitlines()[0]

    await enter(served, tab, Role.TENANT_AUDITOR, EUROPEAN)
    await tab.open(f"{served.base}/calls")
    assert TENANT not in await seen(tab)
    for path in (f"/calls/{served.lived.made[TENANT][0]}", "/configuration", "/reports", f"/configuration/{digest}"):
        await tab.open(served.base + path)
        page = await seen(tab)
        assert "Not for your role" in page or "There is no such page" in page
        assert TENANT not in page
    assert not [each for each in tab.requests if not each.startswith(served.base)]


async def arrived(path: Path) -> str:
    """The text of a download, once it is whole."""
    deadline = time.monotonic() + 20
    while not path.exists() and time.monotonic() < deadline:
        await asyncio.sleep(0.05)  # the browser is another process, and our server must answer it
    return path.read_text("utf-8")


async def recomputed(tab: Tab, kind: str = "leaf-0") -> dict[str, object]:
    """Press the button of a proof, and wait for its verdicts."""
    found: dict[str, object] = await tab.run(
        f"""(async () => {{
        const box = document.querySelector('[data-check="{kind}"]'), list = box.querySelector('.verdicts');
        list.replaceChildren(); delete list.dataset.holds;
        const told = new Promise((done) => new MutationObserver((_all, watch) => {{
          if (list.dataset.holds !== undefined) {{ watch.disconnect(); done(); }}
        }}).observe(list, {{ attributes: true }}));
        box.querySelector('button').click();
        await told;
        return {{ holds: list.dataset.holds, lines: [...list.children].map((each) => each.textContent) }};
        }})()"""
    )
    return found


# --- the proof is computed here -----------------------------------------------------------------

LIES = {
    "the record": "change('text', (text) => text.replace('call_summary', 'call_summarx').replace('coaching_feedback', 'coaching_feedbacx'))",
    "the salt": "change('salt', (text) => flip(text))",
    "the entry": "change('entry', (text) => flip(text))",
    "the leaf": "change('leaf', (text) => flip(text))",
    "a neighbour": "holder.querySelectorAll('[data-step]')[1].dataset.step = flip(holder.querySelectorAll('[data-step]')[1].dataset.step)",
    "a neighbour left out": "holder.querySelector('[data-step]').remove()",
    "the index": "change('index', (text) => String(Number(text) + 1))",
    "the size": "change('size', (text) => String(Number(text) + 1))",
    "the size in the checkpoint": "change('note', (text) => text.replace(/\\n\\d+\\n/, '\\n7\\n'))",
    "the root in the checkpoint": "change('note', (text) => text.replace(/\\n.{43}=\\n/, '\\n' + 'A'.repeat(43) + '=\\n'))",
    "the signature": "change('note', (text) => text.replace(/(\\u2014 \\S+ .{20})./, (_all, head) => head + 'x'))",
    "the key": "holder.querySelector('.vkey').value = 'zero-retention-gateway.invalid/test+00000000+AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB'",
    "no key": "holder.querySelector('.vkey').value = ''",
}
_CHANGE = """(() => {
  const holder = document.querySelector('[data-check="leaf-0"]').closest('.proving');
  const flip = (text) => (text[0] === '0' ? '1' : '0') + text.slice(1);
  const change = (name, how) => { const each = holder.querySelector(`[data-field="${name}"]`); each.textContent = how(each.textContent); };
  %s
})()"""


async def test_the_browser_finds_every_lie(served: Served, tab: Tab) -> None:
    """What the server says is recomputed, so any part of a proof that is changed is found; and the truth holds."""
    path = f"{served.base}/calls/{served.lived.made[TENANT][5]}"
    for lie, script in LIES.items():
        await tab.open(path)
        await tab.run(_CHANGE % script)
        found = await recomputed(tab)
        assert found["holds"] == "false", lie
    await tab.open(path)

    assert [(await recomputed(tab, kind))["holds"] for kind in ("leaf-0", "leaf-1")] == ["true", "true"]
    assert tab.complaints == []


async def test_consistency_is_computed_too(served: Served, tab: Tab) -> None:
    """The integrity page proves that today's log extends an older checkpoint; a changed hash of it does not hold."""
    with served.pages.house.log() as log:
        assert log is not None
        signed = log.latest()
    assert signed is not None
    more(served.lived, 30, NOW + 7_200_000_000)
    await tab.open(f"{served.base}/integrity?at={signed.size}")
    holds = await recomputed(tab, "checkpoint")
    await tab.run(
        "(() => { const each = document.querySelector('[data-step]'); each.dataset.step = each.dataset.step.replace(/^./, (d) => d === '0' ? '1' : '0'); })()"
    )
    fails = await recomputed(tab, "checkpoint")

    assert holds["holds"] == "true", holds
    assert len(holds["lines"]) == 3  # type: ignore[arg-type]
    assert fails["holds"] == "false"


# --- for everybody ------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing(served: Served, tab: Tab, scheme: str) -> None:
    """WCAG 2.2 AA and good practice on every sort of page, with everything unfolded, as axe-core checks it."""
    assert AXE.exists(), "axe-core is missing: `make browser` fetches it"
    source = AXE.read_text("utf-8")
    await tab.look(scheme=scheme)
    found: dict[str, list[str]] = {}
    for name, path in everything(served).items():
        await tab.open(served.base + path)
        await tab.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        await tab.run(ALIKE)
        await tab.run(source + "; 0")
        script = f"axe.run(document, {{ runOnly: {RULES[scheme]} }}).then((run) => run.violations.flatMap((each) => each.nodes.map((node) => each.id + ' ' + node.target + ' ' + node.failureSummary)))"
        violations = await tab.run(script)
        if violations:
            found[name] = violations[:5]

    assert found == {}


async def test_nothing_runs_off_a_small_screen(served: Served, tab: Tab) -> None:
    """At 320 CSS pixels every page flows; only tables and code scroll, within themselves."""
    await tab.look(width=320, height=700)
    wide = []
    for name, path in everything(served).items():
        await tab.open(served.base + path)
        await tab.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        if await tab.run("document.documentElement.scrollWidth > 320"):
            script = "[...document.querySelectorAll('main *')].filter((e) => e.getBoundingClientRect().right > 321 && !e.closest('.scroll, pre')).slice(0, 3).map((e) => e.outerHTML.slice(0, 90))"
            wide.append((name, await tab.run(script)))

    assert wide == []


async def test_the_keyboard_alone_is_enough(served: Served, tab: Tab) -> None:
    """Tab reaches the skip link first, then everything in order, always visibly; Enter follows."""
    await tab.open(f"{served.base}/calls")
    await tab.press("Tab", 9)
    first = await tab.run("document.activeElement.textContent")
    names, unseen = [first], []
    for _each in range(40):
        await tab.press("Tab", 9)
        names.append(await tab.run("document.activeElement.textContent.trim() || document.activeElement.id"))
        outline = await tab.run("getComputedStyle(document.activeElement).outlineStyle")
        if outline == "none":
            unseen.append(names[-1])
        if names[-1].startswith("refuse"):
            break
    tab._loaded.clear()
    await tab.press("Enter", 13, "\r")
    await tab._loaded.wait()

    assert first == "Skip to content"
    assert names[1:4] == ["Sign out", "Overview", "Calls"]
    assert {"from", "to", "Show", "call", "Find"} <= set(names)
    assert unseen == []
    assert "decision=refuse" in await tab.run("location.search")


async def test_without_script_everything_is_there(served: Served, tab: Tab) -> None:
    """A browser that runs no script shows the same facts; only what a script alone can do is not offered."""
    path = f"{served.base}/calls/{served.lived.made[TENANT][5]}"
    await tab.open(path)
    script = (
        "[...document.querySelectorAll('main dd, main td, main li > code')].map((each) => each.textContent).join('|')"
    )
    with_script = await tab.run(script)
    await tab.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        await tab.open(path)
        document = await tab.call("DOM.getDocument")
        markup = (await tab.call("DOM.getOuterHTML", nodeId=document["root"]["nodeId"]))["outerHTML"]
    finally:
        await tab.call("Emulation.setScriptExecutionDisabled", value=False)

    assert 'data-check="leaf-0" hidden' in markup.replace('hidden=""', "hidden")
    assert "Take this proof away" in markup
    text = re.sub(r"<[^>]+>", "", html.unescape(markup))
    for fact in with_script.split("|")[:60]:
        assert fact in text


async def test_times_are_told_here_too(served: Served, tab: Tab) -> None:
    """Where the reader's clock is not UTC, each time has theirs beside it."""
    await tab.call("Emulation.setTimezoneOverride", timezoneId="America/Montreal")
    try:
        await tab.open(f"{served.base}/integrity")
        text = await seen(tab)
    finally:
        await tab.call("Emulation.setTimezoneOverride", timezoneId="UTC")

    assert "2026-11-26 15:00:00 UTC (" in text
    assert "10:00:00" in text
    assert "here)" in text


async def test_nothing_is_asked_of_others_and_nothing_complains(served: Served, tab: Tab) -> None:
    """Every request of every page goes to the pages themselves, and the browser has no word of a broken policy."""
    for path in everything(served).values():
        await tab.open(served.base + path)

    assert [each for each in tab.requests if not each.startswith(f"{served.base}/")] == []
    assert [each for each in tab.complaints if "400" not in each] == []


async def test_paper_leaves_out_what_paper_cannot(served: Served, tab: Tab) -> None:
    """In print there is no navigation, and the sentence and the facts below it are there."""
    await tab.look(media="print")
    await tab.open(f"{served.base}/")

    assert await tab.run("getComputedStyle(document.querySelector('nav.pages')).display") == "none"
    assert await tab.run("document.querySelector('.sentence').getBoundingClientRect().height > 20")
    assert await tab.run("document.querySelector('.facts').getBoundingClientRect().height > 20")
