"""Configuration: every one that was in force, what each change means, who approved it, and any rule of it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from gateway.audit.configurations import kept_configuration
from gateway.audit.pages import Act
from gateway.change.chain import Chain, ChainBroken
from gateway.change.difference import difference
from gateway.change.snapshot import NotASnapshot, snapshot, trees_of
from gateway.web.asking import Ask, NotHere, Shown
from gateway.web.parameters import GRAMMARS
from providers import PROVIDERS

_MOST_LINES = 4000


@dataclass(frozen=True, slots=True)
class Turn:
    """One configuration as it came into force."""

    act: Act
    digest: str
    parent: str | None
    approvers: tuple[str, ...]


def answer(ask: Ask) -> Shown:
    """The chain, or one configuration: against its parent (or `old`), or the rules that cite a source."""
    turns = _turns(ask)
    if not ask.parts:
        control = next((turn.act for turn in turns if turn.act.act == "change"), None)
        facts: dict[str, object] = {"turns": turns, "control": control}
        return Shown("configurations.html", "Configuration", "every configuration that was in force", len(turns), facts)
    try:
        digest = GRAMMARS["old"](ask.parts[0])
    except ValueError:
        raise NotHere from None
    preimage = kept_configuration(ask.house.state / "log", digest)
    if preimage is None:
        raise NotHere
    old = ask.given.get("old") or next((turn.parent for turn in turns if turn.digest == digest and turn.parent), None)
    before = None if old is None else kept_configuration(ask.house.state / "log", old)
    source = ask.given.get("source")
    trees = trees_of(preimage)
    rules = [] if source is None else list(_citing(trees, source))
    facts = {
        "digest": digest,
        "old": old if before is not None else None,
        "turn": next((turn for turn in turns if turn.digest == digest), None),
        "meaning": [] if before is None else _meaning(before, preimage, ask),
        "diff": [] if before is None or source is not None else _diff(before, preimage),
        "files": [] if source is not None else [(name, _written(tree)) for name, tree in sorted(trees.items())],
        "source": source,
        "rules": rules,
        "page": None if source is None else _page_of(trees, source),
    }
    words = f"the configuration {digest[:16]}" + (f": the rules that cite {source}" if source else "")
    return Shown(
        "configuration.html",
        f"Configuration {digest[:16]}",
        words,
        len(rules) if source else len(trees),
        facts,
        dict(ask.given),
    )


def _turns(ask: Ask) -> list[Turn]:
    names = _approver_names(ask)
    found: list[Turn] = []
    for act in ask.view.acts(("boot", "configuration", "change"), most=1000):
        digest = act.body.get("configuration")
        if not isinstance(digest, str) or (act.act == "boot" and any(turn.digest == digest for turn in found[-1:])):
            continue
        keys = act.body.get("approvers")
        approvers = tuple(names.get(str(key), str(key)) for key in keys) if isinstance(keys, list) else ()
        parent = act.body.get("parent")
        found.append(Turn(act, digest, parent if isinstance(parent, str) else None, approvers))
    return found


def _approver_names(ask: Ask) -> dict[str, str]:
    """Key id -> name, of every approver whose signature counted; nothing where the chain cannot be proved."""
    chain = Chain(ask.house.state, PROVIDERS)
    try:
        links = chain.links()
        named: dict[str, str] = {}
        for at, link in enumerate(links):
            if link.applied is not None:
                named |= chain.approved_by(link, links[:at], link.applied)
    except ChainBroken:
        return {}
    return named


def _meaning(before: bytes, after: bytes, ask: Ask) -> list[tuple[str, int, str]]:
    try:
        old = snapshot(before, PROVIDERS)
        changes = difference(old, snapshot(after, PROVIDERS, old), ask.now)
    except NotASnapshot:
        return [("unreadable", 2, "one of them is of a release that this one does not read")]
    return [(each.kind.value, each.needs, each.what) for each in changes]


def _diff(before: bytes, after: bytes) -> list[tuple[str, list[tuple[str, str]]]]:
    old, new = trees_of(before), trees_of(after)
    found: list[tuple[str, list[tuple[str, str]]]] = []
    for name in sorted(old.keys() | new.keys()):
        one, two = (_written(trees[name]) if name in trees else "" for trees in (old, new))
        if one != two:
            lines = difflib.unified_diff(one.splitlines(), two.splitlines(), lineterm="", n=3)
            shown = [(_SORTS.get(line[:1], "same"), line) for line in lines if not line.startswith(("---", "+++"))]
            found.append((name, shown[:_MOST_LINES]))
    return found


_SORTS = {"+": "more", "-": "less", "@": "place"}


def _written(tree: object) -> str:
    return orjson.dumps(tree, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode()


def _citing(tree: object, source: str, place: str = "", name: str = "") -> list[tuple[str, str, str]]:
    """(file, place, the rule) of everything that cites the source, in order."""
    if not isinstance(tree, Mapping):
        return (
            [each for at, item in enumerate(tree) for each in _citing(item, source, f"{place}[{at}]", name)]
            if isinstance(tree, list)
            else []
        )
    if place and str(tree.get("source", "")).partition(" ")[0] == source:
        return [(name, place, _written(tree))]
    found: list[tuple[str, str, str]] = []
    for key, item in tree.items():
        if not name:
            found += _citing(item, source, "", str(key)) if str(key).startswith("surfaces/") else []
        else:
            found += _citing(item, source, f"{place}.{key}".lstrip("."), name)
    return found[:500]


def _page_of(trees: Mapping[str, object], source: str) -> str | None:
    for name, tree in trees.items():
        if name.startswith("surfaces/") and isinstance(tree, Mapping):
            sources = tree.get("sources")
            held = sources.get(source) if isinstance(sources, Mapping) else None
            if isinstance(held, Mapping):
                return str(held.get("page"))
    return None
