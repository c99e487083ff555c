"""The README says what the program does: its tables, commands and examples are held against it."""

from __future__ import annotations

import argparse
import asyncio
import re
import shlex
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from gateway.cli import VERBS, parser
from gateway.cli.verb import Verb
from gateway.config.settings import Settings
from gateway.errors import Code
from gateway.keys import Keyring
from gateway.metrics import Metrics
from gateway.policy.forms import TO_BE_FILLED
from providers import PROVIDERS
from tests.configuration import TENANT
from tests.conftest import Gateway

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in sorted(p.name for p in ROOT.glob("*.md"))}
WIRES = {"OpenAI": "openai", "Anthropic": "anthropic"}
MACHINE_PATHS = re.compile(r"/(?:home|root|Users|work|tmp|mnt)/|[A-Z]:\\|https?://(?:\d+\.){3}\d+")


def rows(start: str) -> list[list[str]]:
    """The cells of the table whose head row begins with `start`."""
    lines = README[README.index(start) :].splitlines()
    end = next((i for i, line in enumerate(lines) if not line.startswith("|")), len(lines))
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))] for line in lines[2:end]]


def section(title: str) -> str:
    """The text below a heading, up to the next one."""
    after = README.split(f"\n{title}\n", 1)[1]
    return re.split(r"^#{2,3} ", after, maxsplit=1, flags=re.MULTILINE)[0]


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def quoted(text: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`]+)`", text)


def surface(wire: str) -> dict[str, object]:
    """A wire's surface as its file holds it."""
    tree: dict[str, object] = yaml.safe_load((ROOT / "config/surfaces" / f"{wire}.yaml").read_text(encoding="utf-8"))
    return tree


def forced_names(tree: object, key: str = "") -> Iterator[str]:
    """Every name that `x-gateway-forced` can bear because of a surface."""
    if isinstance(tree, dict):
        if "force" in tree or "force_by" in tree:
            yield str(tree.get("label", key))
        for name, item in tree.items():
            if name == "strictness":
                yield str(item["label"])
            yield from forced_names(item, str(name))
    elif isinstance(tree, list):
        for item in tree:
            yield from forced_names(item, key)


# --- tables -------------------------------------------------------------------------------------


def test_the_table_of_refusals_is_the_programs() -> None:
    """Every code, its status and whether it may be sent again; each says when, and what to do."""
    table = rows("| code | status |")
    shown = {cells[0].strip("`"): (int(cells[1]), cells[2] == "yes") for cells in table}

    assert shown == {code.value: (code.status, code.retryable) for code in Code}
    assert [cells for cells in table if len(cells) != 5 or not all(cells)] == []


def test_response_headers_are_those_that_the_relay_sets() -> None:
    """Each header of the table is one that the code names."""
    source = "".join((ROOT / "gateway" / name).read_text(encoding="utf-8") for name in ("passage.py", "relay.py"))

    assert {cells[0].strip("`") for cells in rows("| response header |")} == set(
        re.findall(r'"(x-gateway-[a-z-]+)"', source)
    )


def test_request_headers_are_those_that_the_door_reads() -> None:
    """Each header of ours that a caller may send is one that the code names."""
    source = (ROOT / "gateway" / "callers.py").read_text(encoding="utf-8")
    shown = {name for cells in rows("| request header |") for name in quoted(cells[0]) if name.startswith("x-gateway-")}

    assert shown == set(re.findall(r'"(x-gateway-[a-z-]+)"', source))


def test_the_operations_are_those_of_the_wires() -> None:
    """The paths that the README lists are those that the gateway serves, no more and no fewer."""
    paragraph = README[README.index("\nOperations: ") :].split("Everything else is 404", 1)[0]
    shown = {path for text in quoted(paragraph) for path in re.findall(r"/[a-z_/0-9]+", text)}
    served = {operation.path.split("/{")[0] for wire in PROVIDERS.values() for operation in wire.operations}

    assert {path.removeprefix("/v1") for path in shown} == {path.removeprefix("/v1") for path in served}


@pytest.mark.parametrize("wire", WIRES)
def test_every_grant_is_listed_with_its_meaning(wire: str) -> None:
    """The conditional verdicts of a surface and what they let happen, word for word."""
    shown = {cells[0].strip("`"): cells[2] for cells in rows("| grant | on |") if cells[1] == wire}

    assert shown == surface(WIRES[wire])["grants"]


@pytest.mark.parametrize("wire", WIRES)
def test_every_forced_name_is_explained(wire: str) -> None:
    """What a surface can force is in the table, and the table has nothing else."""
    shown = {
        name for cells in rows("| name in the header |") if cells[2] in {wire, "both"} for name in quoted(cells[0])
    }
    by_the_wire = {"stream_options.include_usage"} if wire == "OpenAI" else set()

    assert shown - by_the_wire == set(forced_names(surface(WIRES[wire])))


@pytest.mark.parametrize("entry", sorted((ROOT / "config/processors").glob("*.yaml")), ids=lambda path: path.stem)
def test_what_a_processor_keeps_is_listed_word_for_word(entry: Path) -> None:
    """Each example entry has its carve-outs, all of them and in its own words."""
    text = section("### What each keeps all the same")
    listed = text.split(f"\n`{entry.stem}`\n", 1)[1].strip("\n").split("\n\n", 1)[0]

    assert [line.removeprefix("- ") for line in listed.splitlines()] == yaml.safe_load(entry.read_text("utf-8"))[
        "carve_outs"
    ]


def test_no_processor_is_listed_that_does_not_exist() -> None:
    """The list of carve-outs has a block for each entry and no other."""
    named = re.findall(r"^`([^`]+)`$", section("### What each keeps all the same"), re.MULTILINE)

    assert sorted(named) == sorted(path.stem for path in (ROOT / "config/processors").glob("*.yaml"))


def test_the_evidence_that_the_steps_name_is_what_the_example_lacks() -> None:
    """Each key that an example leaves to be filled is told in the steps."""
    text = (ROOT / "config/processors/openai-eu.yaml").read_text(encoding="utf-8")
    lacking = set(re.findall(rf"^\s*(\w+): \[?{TO_BE_FILLED}", text, re.MULTILINE))
    steps = section("### Add one")

    assert lacking
    assert {key for key in lacking if key not in steps} == {"organization", "project"}  # of `account_scope`
    assert "`account_scope`" in steps


def test_the_metrics_are_the_programs() -> None:
    """Each metric of the table is served, and each that is served is in the table."""
    served = {family.name for family in Metrics(()).registry.collect()}

    assert {name for cells in rows("| metric |") for name in quoted(cells[0])} == served


def test_readiness_names_the_checks_of_the_application() -> None:
    """The checks of `/readyz` are those that the application lists."""
    source = (ROOT / "gateway" / "app.py").read_text(encoding="utf-8")
    listed = re.search(r"checks = \{(.*?)\n {8}\}", source, re.DOTALL)

    assert listed is not None
    for name in re.findall(r'"(\w+)":', listed[1]):
        assert f"`{name}`" in section("## Operations port"), name


def test_the_settings_that_are_named_exist() -> None:
    """What the README calls a key of `gateway.yaml` is one, so that nobody writes a fault."""
    named = set(re.findall(r"`((?:limits|redaction|journal|upstream)\.\w+)`", README)) - {"journal.db"}

    assert named
    for dotted in named:
        group, key = dotted.split(".")
        form = Settings.model_fields[group].annotation
        assert form is not None
        assert key in form.model_fields, dotted


# --- commands -----------------------------------------------------------------------------------


def test_the_table_of_verbs_is_the_programs() -> None:
    """Every verb, what it does and its example are those of `--help`."""
    shown = [
        (re.sub(r"( [A-Z][\w.]*)+$", "", cells[0].strip("`")), cells[1], cells[2].strip("`").replace(r"\|", "|"))
        for cells in rows("| verb | does |")
    ]

    assert shown == [(f"gateway {' '.join(verb.words)}", verb.help, verb.example) for verb in VERBS]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_verb_that_a_document_names_exists(name: str) -> None:
    """No `gateway VERB` is told that the program does not have."""
    known = {verb.words for verb in VERBS}
    groups = {words[0] for words in known if len(words) > 1}
    text = DOCUMENTS[name]
    for first, second in re.findall(r"(?:`|^)gateway ([a-z]+)(?: ([a-z]+))?", text, re.MULTILINE):
        words = (first, second) if first in groups else (first,)
        assert words in known, f"gateway {first} {second}"


@pytest.mark.parametrize("verb", VERBS, ids=[" ".join(verb.words) for verb in VERBS])
def test_the_help_of_each_verb_shows_an_example_that_parses(verb: Verb, capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` ends with an example, and the command line takes it."""
    with pytest.raises(SystemExit) as ended:
        parser().parse_args([*verb.words, "--help"])

    shown = capsys.readouterr().out
    command = verb.example.split(" | ")[-1].split(" < ")[0]
    assert ended.value.code == 0
    assert verb.example in shown.split("example:")[1]
    assert parser().parse_args(shlex.split(command)[1:]).run == verb.run


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_make_target_and_file_exists(name: str) -> None:
    """What a document tells one to run or read is there."""
    text = DOCUMENTS[name]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"(?:`|^)make ([a-z]+)", text, re.MULTILINE))
    files = set(re.findall(r"`((?:gateway|config|tests|providers)/[\w./-]*)`", text))
    files |= set(re.findall(r"\]\(([\w.]+)\)", text)) | set(re.findall(r"`(Dockerfile|[a-z]\w*\.yaml)`", text))
    files -= {"config/schemas/"}  # made by the first approval
    here = {path.name for path in [*ROOT.iterdir(), *(ROOT / "config").iterdir()]}

    assert {target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)} == set()
    assert {file for file in files if file not in here and not (ROOT / file).exists()} == set()


def test_every_link_within_the_readme_leads_somewhere() -> None:
    """Each anchor is that of a heading."""
    anchors = {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.+)$", README, re.M)
    }

    assert set(re.findall(r"\]\(#([\w-]+)\)", README)) <= anchors


@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_document_names_a_machine(name: str) -> None:
    """No path or address of the computer that it was written on."""
    assert MACHINE_PATHS.findall(DOCUMENTS[name]) == []


# --- examples -----------------------------------------------------------------------------------


def here(example: str, gateway: Gateway) -> str:
    """An example with this gateway's address, a caller's key, and a tenant of ours."""
    address = gateway.url.removeprefix("http://")
    for word, value in (("HOST:8080", address), ("KEY", gateway.key), ("demo", TENANT)):
        assert word in example, word
        example = example.replace(word, value)
    return example


async def printed(*command: str) -> str:
    """What a command prints; it must end well."""
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(60):
        out, _none = await process.communicate()
    assert process.returncode == 0
    return out.decode()


async def test_the_openai_example_shows_what_it_says(gateway: Gateway) -> None:
    """The example answers, counts a redaction and shows a forced value."""
    example = here(blocks("python")[0], gateway)

    out = await printed(sys.executable, "-c", example)

    assert "HEALTH=1" in out
    assert "store=false" in out


async def test_the_anthropic_example_streams(gateway: Gateway) -> None:
    """The example prints an answer."""
    example = here(blocks("python")[1], gateway)

    assert (await printed(sys.executable, "-c", example)).strip()


async def test_the_curl_example_answers(gateway: Gateway) -> None:
    """The request of the example gets an embedding. It is read here, since not every machine has curl."""
    words = shlex.split(here(blocks("sh")[0], gateway).replace("\\\n", ""))
    options = argparse.ArgumentParser()
    options.add_argument("-sS", action="store_true")
    options.add_argument("-H", action="append")
    options.add_argument("-d")
    options.add_argument("url")
    shown = options.parse_args(words[1:])
    request = urllib.request.Request(  # noqa: S310  # loopback
        shown.url, shown.d.encode(), dict(line.split(": ", 1) for line in shown.H)
    )

    def ask() -> bytes:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  # loopback
            body: bytes = answer.read()
            return body

    assert words[0] == "curl"
    assert b'"embedding"' in await asyncio.to_thread(ask)


async def test_a_master_key_made_as_told_opens_a_state(tmp_path: Path) -> None:
    """The command that README gives makes a master file that a keyring takes."""
    await printed("sh", "-c", f"cd {shlex.quote(str(tmp_path))} && {blocks('sh')[2]}")
    Keyring.open(tmp_path / "keys", master=tmp_path / "gateway-master.keys", create=True).journal_key()
