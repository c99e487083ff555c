"""Two versions of a surface file, verdict by verdict: what was loosened, and what was tightened.

Only what is plainly narrower counts as tightened. A verdict that forces protects, so any change of one counts as
loosened, and so does every difference that these few rules do not understand. The grammar stands at the head of
`policy/grammar.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, cast

from gateway.config.documents import Plain

WORDS: Final = frozenset({"source", "read", "instead", "note"})
"""Keys beside a verdict or a shape that people read, and nothing else does."""

_VERDICTS: Final = ("allow", "conditional", "refuse", "force", "force_by")
_MISSING: Final = object()
Tree = Mapping[str, Plain]


@dataclass(frozen=True, slots=True)
class Move:
    """One verdict that changed: where it stands, and whether more may leave by it now."""

    where: str
    loosened: bool


def moves(old: Plain, new: Plain) -> list[Move]:
    """Every verdict that differs. None at all means that only words differ."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return [] if old == new else [Move("", loosened=True)]
    found: list[Move] = []
    for section in sorted(old.keys() | new.keys()):
        before, after = old.get(section), new.get(section)
        if before != after:
            found += _section(section, before, after)
    return found


def _section(name: str, old: Plain, new: Plain) -> Iterator[Move]:
    if name in {"read", "sources", "paths"}:  # a path that is listed is refused, as one that is not
        return
    if not isinstance(old or {}, dict) or not isinstance(new or {}, dict):
        yield Move(name, loosened=True)
        return
    before, after = cast("Tree", old or {}), cast("Tree", new or {})
    if name in {"operations", "query"}:
        yield from _verdicts(name, before, after)
    elif name == "answers":
        for space in sorted(before.keys() | after.keys()):
            inner = [_mapping(each.get(space)) for each in (before, after)]
            yield from _verdicts(f"answers.{space}", *[_without_words(each) for each in inner])
    elif name == "headers":
        for key in sorted(before.keys() | after.keys()):
            yield from _verdict(f"headers.{key}", before.get(key, _MISSING), after.get(key, _MISSING))
    elif name == "shapes":
        # One that nothing names does nothing; that something names a new one is a change of its own.
        for key in sorted(before.keys() & after.keys()):
            yield from _shape(key, before[key], after[key])
    elif name == "grants":
        yield from (Move(f"grants.{key}", loosened=True) for key in sorted(after.keys() - before.keys()))
        yield from (Move(f"grants.{key}", loosened=False) for key in sorted(before.keys() - after.keys()))
    else:
        yield Move(name, loosened=True)


def _verdicts(at: str, old: Tree, new: Tree) -> Iterator[Move]:
    for key in sorted(old.keys() | new.keys()):
        yield from _verdict(f"{at}.{key}", old.get(key, _MISSING), new.get(key, _MISSING))


def _verdict(at: str, old: object, new: object) -> Iterator[Move]:
    if old == new:
        return
    before, after = _kind(old), _kind(new)
    if _plain(old) == _plain(new):
        return
    if before.startswith("force") or after.startswith("force"):
        yield Move(at, loosened=True)
    elif after == "refuse":
        if before != "refuse":
            yield Move(at, loosened=False)
    elif before == "refuse" or (before == "conditional" and after == "allow"):
        yield Move(at, loosened=True)
    else:
        if before == "conditional" and _of(old, "conditional") != _of(new, "conditional"):
            yield Move(at, loosened=True)
        elif before != after:
            yield Move(at, loosened=False)
        yield from _shape(at, _inner(old), _inner(new))


def _shape(at: str, old: object, new: object) -> Iterator[Move]:
    if old == new:
        return
    if isinstance(old, list) and isinstance(new, list):
        yield from (Move(f"{at}={value}", loosened=True) for value in new if value not in old)
        yield from (Move(f"{at}={value}", loosened=False) for value in old if value not in new)
        return
    if not isinstance(old, dict) or not isinstance(new, dict):
        yield Move(at, loosened=True)
        return
    before, after = _without_words(old), _without_words(new)
    for key in sorted(before.keys() | after.keys()):
        was, now = before.get(key, _MISSING), after.get(key, _MISSING)
        if was == now:
            continue
        if key == "list" and was is not _MISSING and now is not _MISSING:
            yield from _verdict(f"{at}[]", was, now)
        elif key in {"fields", "cases", "values", "types", "url"} and isinstance(was, dict) and isinstance(now, dict):
            yield from _verdicts(at, was, now)
        else:
            yield Move(f"{at}.{key}", loosened=True)


def _kind(verdict: object) -> str:
    """Which verdict it is; `refuse` where there is none, since what is not named is refused."""
    if verdict is _MISSING:
        return "refuse"
    if isinstance(verdict, dict):
        named = [kind for kind in _VERDICTS if kind in verdict]
        return named[0] if len(named) == 1 else "allow"
    return "allow"


def _inner(verdict: object) -> object:
    if isinstance(verdict, dict) and _kind(verdict) == "conditional":
        return verdict.get("shape")
    return verdict["allow"] if isinstance(verdict, dict) and "allow" in verdict else verdict


def _of(verdict: object, key: str) -> object:
    return verdict.get(key) if isinstance(verdict, dict) else None


def _plain(verdict: object) -> object:
    return _without_words(verdict) if isinstance(verdict, dict) else verdict


def _without_words(tree: Mapping[str, Plain]) -> dict[str, Plain]:
    return {key: value for key, value in tree.items() if key not in WORDS}


def _mapping(value: Plain) -> Tree:
    return value if isinstance(value, dict) else {}
