"""The forms of words: what a pattern says of a word that it does not spell out (`\\d{2,}`, `grand\\w+`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

import re2

from gateway.redaction.automata import Expression, linear_options
from gateway.redaction.grammar import WORD, Tree, members, read

ANY_WORD = r"(?:\w){1,}"
_DIGIT = sum(1 << code for code in b"0123456789")
_UPPER = sum(1 << code for code in b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_ALPHABET = b"abcdefghijklmnopqrstuvwxyz"
_USUAL = 40
"""So many letters a word has at most, but for what is none."""
_LETTERS = 3
"""So many letters of a beginning, or an ending, are looked up."""


class Part(NamedTuple):
    """Characters of a class (a `mask` of their codes), `least` to `most` of them (None: as many as there are)."""

    mask: int
    least: int
    most: int | None

    @property
    def is_letter(self) -> bool:
        """Whether it is one character, and always the same."""
        return self.mask.bit_count() == self.least == self.most == 1


def plainest(form: str) -> str:
    """An RE2 source of a form as it is written most plainly: those that say the same are mostly one."""
    parts = _parts(form)
    return form if parts is None else "".join(_source(part) for part in parts)


def _parts(form: str) -> list[Part] | None:
    """The classes that a form is a row of; None if it is more than that."""
    tree = read(form)
    found: list[Part] = []
    for part in _read(tree.parts if tree.kind == "seq" else [tree]):
        if part is None:
            return None
        last = found[-1] if found else None
        if last is not None and last.mask == part.mask and not part.is_letter:
            most = None if last.most is None or part.most is None else last.most + part.most
            found[-1] = Part(part.mask, last.least + part.least, most)
        else:
            found.append(part)
    return found


def _read(trees: Iterable[Tree]) -> Iterator[Part | None]:
    for tree in trees:
        (one,), least, most = (tree.parts, tree.least, tree.most) if tree.kind == "repeat" else ([tree], 1, 1)
        if one.kind == "set" and one.mask & ~_UPPER:
            yield Part(one.mask & ~_UPPER if one.mask != WORD else WORD, least, most)  # words are in lower case
        elif one.kind == "text" and (one is tree or len(one.text) == 1):
            yield from (Part(1 << ord(character), least, most) for character in one.text)
        else:
            yield None


def _source(part: Part) -> str:
    if part.is_letter:
        return chr(part.mask.bit_length() - 1)
    listed = "".join(rf"\x{ord(one):02x}" for one in members(part.mask))
    written = {WORD: r"\w", _DIGIT: r"\d"}.get(part.mask, f"[{listed}]")
    return f"(?:{written}){{{part.least},{'' if part.most is None else part.most}}}"


class WordForms:
    """Which forms a word has: RE2 sources, each with the atom that words bear which it matches as a whole.

    RE2 is slow at hundreds at once, and most say how a word begins, or how it ends: those are looked up by their
    letters. Others say what characters it has, and how many.
    """

    def __init__(self, forms: Iterable[tuple[str, int]]) -> None:
        listed = list(forms)
        self.atoms = tuple(atom for _form, atom in listed)
        self._beginnings: dict[bytes, list[tuple[bytes, int, str, int]]] = defaultdict(list)
        self._endings: dict[bytes, list[tuple[bytes, int, str, int]]] = defaultdict(list)
        made_of: dict[bytes, list[tuple[int, int | None, int]]] = defaultdict(list)
        with_digits: list[tuple[str, int]] = []
        others: list[tuple[str, int]] = []
        for form, atom in listed:
            parts = _parts(form)
            if parts is None:
                others.append((form, atom))
                continue
            beginning = _letters(parts)
            ending = b"" if len(beginning) == len(parts) else _letters(reversed(parts))[::-1]
            between = parts[len(beginning) : len(parts) - len(ending)]
            least = len(beginning) + len(ending) + sum(part.least for part in between)
            is_open = len(between) == 1 and between[0].mask == WORD and between[0].most is None
            if beginning:
                exact = "" if is_open and not ending else form
                self._beginnings[beginning[:_LETTERS]].append((beginning, least, exact, atom))
            elif ending:
                exact = "" if is_open else form
                self._endings[ending[-_LETTERS:]].append((ending, least, exact, atom))
            elif len(between) == 1:
                listing = "".join(members(between[0].mask)).encode()
                made_of[listing].append((least, between[0].most, atom))
            elif any(part.least and not part.mask & ~_DIGIT for part in between):
                with_digits.append((form, atom))
            else:
                others.append((form, atom))
        self._with_digits = _Several(with_digits)
        self._others = _Several(others)
        self._made_of = list(made_of.items())
        self._made_of_all = [forms for listing, forms in self._made_of if not _ALPHABET.translate(None, listing)]
        self._made_of_some = [one for one in self._made_of if _ALPHABET.translate(None, one[0])]
        self._by_size: dict[int, list[int]] = {}

    def borne(self, word: bytes) -> list[int]:
        """The atoms that a word bears by its forms."""
        found = self._others.of(word)
        size = len(word)
        if word.isalpha():
            found.extend(self._of_size(size))
            left = self._made_of_some
        else:
            found.extend(self._with_digits.of(word))
            left = self._made_of
        for characters, forms in left:
            if not word.translate(None, characters):
                found.extend(_sized(forms, size))
        for letters in range(1, min(size, _LETTERS) + 1):
            for beginning, least, exact, atom in self._beginnings.get(word[:letters], ()):
                if size >= least and word.startswith(beginning) and (not exact or _expression(exact).is_whole(word)):
                    found.append(atom)
            for ending, least, exact, atom in self._endings.get(word[-letters:], ()):
                if size >= least and word.endswith(ending) and (not exact or _expression(exact).is_whole(word)):
                    found.append(atom)
        return found

    def _of_size(self, size: int) -> list[int]:
        """The atoms that every word of so many letters bears."""
        known = self._by_size.get(size)
        if known is None:
            known = [atom for forms in self._made_of_all for atom in _sized(forms, size)]
            if size <= _USUAL:
                self._by_size[size] = known
        return known


def _sized(forms: Iterable[tuple[int, int | None, int]], size: int) -> list[int]:
    """The atoms of those that a word may have which is so long."""
    return [atom for least, most, atom in forms if least <= size and (most is None or size <= most)]


@cache
def _expression(form: str) -> Expression:
    """A form, made when a word is first held against it: to make a thousand takes a start a sixth of a second."""
    return Expression(form)


class _Several:
    """Forms that are asked for together."""

    def __init__(self, forms: list[tuple[str, int]]) -> None:
        self._atoms = tuple(atom for _form, atom in forms)
        self._set = re2.Set.FullMatchSet(linear_options())
        for form, _atom in forms:
            self._set.Add(form.encode())
        self._set.Compile()

    def of(self, word: bytes) -> list[int]:
        """The atoms of those that a word has."""
        return [self._atoms[number] for number in self._set.Match(word) or ()] if self._atoms else []


def _letters(parts: Iterable[Part]) -> bytes:
    """The letters that parts begin with."""
    found = bytearray()
    for part in parts:
        if not part.is_letter:
            break
        found.append(part.mask.bit_length() - 1)
    return bytes(found)
