"""The forms of words: what a pattern says of a word that it does not spell out (`\\d{2,}`, `grand\\w+`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from gateway.redaction.grammar import WORD, Tree, members, read
from gateway.redaction.machines import WHEN_BITS, Pattern
from gateway.redaction.native import Addresses, index_of, native
from gateway.redaction.stepping import Room, given, led, run_with
from gateway.redaction.tables import Bytes, Machine, Numbers

ANY_WORD = r"(?:\w){1,}"
_DIGIT = sum(1 << code for code in b"0123456789")
_UPPER = sum(1 << code for code in b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")


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


def form_pattern(forms: Mapping[str, int]) -> Pattern:
    """RE2 sources, each with the atom that words bear which it matches as a whole, as one pattern."""
    return Pattern([(read(form), atom) for form, atom in forms.items()])


class WordForms:
    """Which forms a word has. For one thread.

    Args:
        forms: the machine of a `form_pattern`.

    `table` is for `borne`, and `found` is room for what it gives and one atom more.
    """

    def __init__(self, forms: Machine) -> None:
        self.atoms: list[int] = np.unique(forms.matches >> WHEN_BITS).tolist()
        self._forms = forms
        self._room = Room.of(forms)
        self.table = run_with(forms, self._room)
        self.found = np.zeros(len(self.atoms) + 1, np.int32)

    def borne(self, word: bytes) -> list[int]:
        """The atoms that a word bears by its forms."""
        count = borne(np.frombuffer(word, np.uint8), 0, len(word), self.found, self.table)
        found: list[int] = self.found[:count].tolist()
        return found


@native
def borne(text: Bytes, start: int, end: int, found: Numbers, table: Addresses) -> int:
    """The atoms of the forms that text[start:end] has as a whole, each once; how many."""
    machine, room = given(table)
    here, there = room.here, room.there
    here[0] = machine.first[0]
    count = 1
    for at in range(start, end):
        count = led(machine, room, here, there, count, text[at])
        here, there = there, here
    total = 0
    for number in range(count):
        if here[number] & 1:
            row = index_of(machine.matching, 0, len(machine.matching), here[number] >> 1)
            for match in range(machine.match_starts[row], machine.match_starts[row + 1]):
                atom = machine.matches[match] >> WHEN_BITS
                known = 0
                while known < total and found[known] != atom:
                    known += 1
                if known == total:
                    found[total] = atom
                    total += 1
    return total
