"""Patterns of the rules read into trees, and trees written out for RE2.

Dialects of RE2's language are read. A *link* (what stands beside a candidate) is RE2 over characters, and read as
exactly as RE2 reads it. A *phrase* (what may be a candidate) is made of words: whatever may stand between two words of
a term (a space, a comma, an apostrophe, a hyphen …) means any such gap, `<name>` is a macro, other marks stand for
themselves. Of an operator's own pattern nothing is read but which characters may stand where.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.redaction.patterns import GAP, GAP_CHARACTERS

WORD = sum(1 << code for code in b"0123456789_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_LOWER = sum(1 << code for code in b"0123456789abcdefghijklmnopqrstuvwxyz")
_UPPER = sum(1 << code for code in b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_DIGIT = sum(1 << code for code in b"0123456789")
_SPACE = sum(1 << code for code in b"\t\n\f\r ")
_BETWEEN = sum(1 << ord(character) for character in GAP_CHARACTERS)
_ALL = (1 << 128) - 1
_CLASSES = {"w": WORD, "W": _ALL & ~WORD, "d": _DIGIT, "D": _ALL & ~_DIGIT, "s": _SPACE, "S": _ALL & ~_SPACE}
_CONTROLS = {"t": 9, "n": 10, "r": 13, "f": 12, "v": 11, "a": 7}
_MOST_MARKS = 8
_MOST_SPELLINGS = 64
_MOST_REPEATS = 40


class Unread(ValueError):
    """A pattern is written in a way that is not known here; the message says what to write."""


@dataclass(slots=True)
class Tree:
    """A pattern, or a part of one.

    `kind` is a `text`, a `gap`, a `set` of characters (a `mask`), a `seq` of parts, one `or` another, a `repeat`
    (`least` to `most` times, None for ever), a marked `group`, a `macro` (its name in `text`), a word's `edge`, or the
    `start` or `end` of all text. A link's `text` is in either case, and its sets hold the cases that they mean.
    """

    kind: str
    text: str = ""
    mask: int = 0
    parts: list[Tree] = field(default_factory=list)
    least: int = 0
    most: int | None = None


_GAP = Tree("gap")


def read(source: str, phrase: bool = False) -> Tree:
    """The tree of a phrase, or of an operator's own pattern.

    Raises:
        Unread: it is written in a way that is not known here.
    """
    return _read(_Reader(source, phrase))


def read_link(source: str) -> Tree:
    """The tree of one side of a link, its macros written out.

    Raises:
        Unread: it is written in a way that is not known here.
    """
    return _read(_LinkReader(source, phrase=False))


def _read(reader: _Reader) -> Tree:
    tree = reader.alternatives()
    if reader.peek():
        raise Unread("a bracket is closed that was not opened")
    return tree


def written(tree: Tree, macros: Mapping[str, Tree]) -> str:
    """The tree as RE2 reads it, with its macros written out."""
    parts = [written(part, macros) for part in tree.parts]
    match tree.kind:
        case "gap":
            made = rf"(?:{GAP}|\b)"  # after another gap, or beside a mark, there is nothing left to stand in it
        case "text":
            made = "".join(_escaped(character) for character in tree.text)
        case "set":
            made = _class(tree.mask)
        case "macro":
            made = f"(?:{written(macros[tree.text], macros)})"
        case "or":
            made = f"(?:{'|'.join(parts)})"
        case "group":
            made = f"({parts[0]})"
        case "repeat":
            made = f"(?:{parts[0]}){{{tree.least},{'' if tree.most is None else tree.most}}}"
        case "edge":
            made = r"\b"
        case _:
            made = "".join(parts)
    return made


def is_grouped(tree: Tree) -> bool:
    """Whether a part of it is marked as the finding."""
    return tree.kind == "group" or any(map(is_grouped, tree.parts))


def macros_of(tree: Tree) -> set[str]:
    """The names of the macros in it."""
    found = {tree.text} if tree.kind == "macro" else set()
    return found.union(*map(macros_of, tree.parts))


def spellings(tree: Tree, gaps: bool = False) -> list[str] | None:
    """All that a tree matches, if that is a few words (with `gaps` a space for each gap); None if it is more."""
    if tree.kind in {"text", "set"}:
        few = tree.text.isalnum() or 0 < tree.mask.bit_count() <= _MOST_MARKS
        return ([tree.text] if tree.text else members(tree.mask)) if few else None
    if tree.kind == "gap":
        return [" "] if gaps else None
    parts = [spellings(part, gaps) for part in tree.parts]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts) or tree.kind not in {"seq", "or", "repeat"}:
        return None
    if tree.kind == "or":
        return [one for part in known for one in part]
    if tree.kind == "repeat":
        return None if tree.most != 1 else known[0] if tree.least else ["", *known[0]]
    made = [""]
    for part in known:
        made = [before + one for before in made for one in part][: _MOST_SPELLINGS + 1]
    return made if len(made) <= _MOST_SPELLINGS else None


def ways(parts: Sequence[Tree]) -> list[list[Tree]] | None:
    """The ways in which parts of one word may be written, each without a choice in it; None if they are many."""
    made: list[list[Tree]] = [[]]
    for part in parts:
        match part.kind:
            case "seq":
                either = ways(part.parts)
            case "or":
                several = [ways([one]) for one in part.parts]
                either = None if None in several else [way for known in several for way in known or ()]
            case "repeat" if part.most == 1:
                once = ways(part.parts)
                either = once if once is None or part.least else [[], *once]
            case "set" if part.mask.bit_count() <= _MOST_MARKS:
                either = [[Tree("text", one)] for one in members(part.mask)]
            case _:
                either = [[part]]
        if either is None or len(made) * len(either) > _MOST_SPELLINGS:
            return None
        made = [[*before, *one] for before in made for one in either]
    return made


def is_within_word(tree: Tree) -> bool:
    """Whether all it matches is a part of one word."""
    if tree.kind == "text":
        return tree.text.isalnum()
    return tree.kind == "set" or (tree.kind in {"seq", "or", "repeat"} and all(map(is_within_word, tree.parts)))


def is_any_word(tree: Tree) -> bool:
    """Whether every word is matched by it."""
    if tree.kind == "or":
        return is_within_word(tree) and any(map(is_any_word, tree.parts))
    if tree.kind != "repeat" or tree.least > 1:
        return False
    (part,) = tree.parts
    return is_any_word(part) or (tree.most is None and part.mask == WORD)


class _Reader:
    """Reads one source."""

    def __init__(self, source: str, phrase: bool) -> None:
        self._source = source
        self._phrase = phrase
        self._at = 0

    def alternatives(self) -> Tree:
        """One part or another, up to a bracket or the end."""
        parts = [self._sequence()]
        while self.peek() == "|":
            self._at += 1
            parts.append(self._sequence())
        return parts[0] if len(parts) == 1 else Tree("or", parts=parts)

    def peek(self) -> str:
        """The next character, or nothing."""
        return self._source[self._at : self._at + 1]

    def _next(self) -> str:
        character = self.peek()
        if not character:
            raise Unread("the pattern ends too early")
        self._at += 1
        return character

    def _sequence(self) -> Tree:
        parts: list[Tree] = []
        while self.peek() not in {"", "|", ")"}:
            part = self._one()
            if part is None:
                continue
            part = self._repeated(part)
            last = parts[-1] if parts else None
            if last is not None and last.kind == "gap" and _is_gap(part):
                continue
            if part.kind == "gap" and last is not None and _is_gap(last):
                parts[-1] = part
            elif part.kind == "text" and last is not None and last.kind == "text":
                parts[-1] = Tree("text", last.text + part.text)
            else:
                parts.append(part)
        return parts[0] if len(parts) == 1 else Tree("seq", parts=parts)

    def _one(self) -> Tree | None:
        """The next thing that may be repeated; None for what matches no text."""
        character = self._next()
        match character:
            case "(":
                made: Tree | None = self._group()
            case "[":
                made = self._set(self._class())
            case ".":
                made = self._set(_ALL)
            case "^" | "$":
                made = None
            case "*" | "+" | "?" | "{":
                raise Unread("a repetition of nothing")
            case "<" if self._phrase:
                name, closed, _rest = self._source[self._at :].partition(">")
                self._at += len(name) + len(closed)
                made = Tree("macro", name)
            case "\\":
                made = self._backslash(self._next())
            case _:
                made = self._character(character)
        return made

    def _backslash(self, name: str) -> Tree | None:
        if name in "Azb":
            return Tree("edge") if name == "b" else None
        mask = self._escape(name)
        return self._set(mask) if mask.bit_count() != 1 else self._character(chr(mask.bit_length() - 1))

    def _character(self, character: str) -> Tree:
        if self._phrase and character in GAP_CHARACTERS:
            return _GAP
        if character >= "\x80":
            return Tree("set", mask=0)
        return Tree("text", character)

    def _set(self, mask: int) -> Tree:
        """A class. That of a phrase holds letters and gaps, or marks and gaps, or one of these."""
        if not self._phrase:
            return Tree("set", mask=mask)
        letters, between, marks = mask & WORD, mask & _BETWEEN, mask & ~WORD & ~_BETWEEN
        if marks.bit_count() > _MOST_MARKS or (letters and marks):
            raise Unread("a class of a phrase holds letters, or a few marks: `\\w` is any letter, a space any gap")
        if letters:
            letters = WORD if letters & _LOWER == _LOWER else letters  # a phrase is lower case
            return Tree("set", mask=letters, least=1 if between else 0)  # `least` marks it until it is repeated
        either = [Tree("text", mark) for mark in members(marks)]
        if between:
            either.append(_GAP)
        return either[0] if len(either) == 1 else Tree("or", parts=either)

    def _group(self) -> Tree:
        marked = self._phrase
        if self.peek() == "?":
            marked = False
            self._at += 1
            while (character := self._next()) not in {":", ")"}:
                if character not in "ims-U":
                    raise Unread("a group of a kind that is not known here (no look-around, no name)")
            if character == ")":  # flags for what follows: the case of letters is not looked at
                return Tree("seq")
        inner = self.alternatives()
        if self._next() != ")":
            raise Unread("a bracket is not closed")
        return Tree("group", parts=[inner]) if marked else inner

    def _repeated(self, tree: Tree) -> Tree:
        gaps, tree.least = tree.kind == "set" and tree.least == 1, 0 if tree.kind == "set" else tree.least
        while (mark := self.peek()) and mark in "*+?{":
            self._at += 1
            least, most = {"*": (0, None), "+": (1, None), "?": (0, 1), "{": (0, None)}[mark]
            if mark == "{":
                end = self._source.find("}", self._at)
                low, comma, high = self._source[self._at : end].partition(",")
                if end < 0 or not low.isdecimal() or (high and not high.isdecimal()):
                    raise Unread("a repetition that is not counted")
                least, most = int(low), int(high) if high else None if comma else int(low)
                self._at = end + 1
                if self._phrase and max(least, most or 0) > _MOST_REPEATS:
                    raise Unread(f"a phrase repeats nothing more than {_MOST_REPEATS} times")
            if self.peek() == "?":  # as few as possible: the same texts
                self._at += 1
            if gaps and most is None:  # a word that may be a double one
                word = Tree("repeat", parts=[tree], least=1)
                before = Tree("repeat", parts=[_GAP], most=1)
                again = Tree("repeat", parts=[Tree("seq", parts=[_GAP, word])], most=1)
                tree = Tree("seq", parts=[before, word, again])
                if least:
                    continue
                most = 1
            tree = Tree("repeat", parts=[tree], least=least, most=most)
        return tree

    def _class(self) -> int:
        negated = self.peek() == "^"
        self._at += negated
        mask = 0
        first = True
        while (character := self._next()) != "]" or first:
            first = False
            if character == "[" and self.peek() == ":":
                raise Unread("a named class")
            low = self._escape(self._next()) if character == "\\" else _bit(character)
            if self.peek() == "-" and self._source[self._at + 1 : self._at + 2] not in {"]", ""}:
                self._at += 1
                character = self._next()
                high = self._escape(self._next()) if character == "\\" else _bit(character)
                if low & (low - 1) or high & (high - 1) or high < low:
                    raise Unread("a range that does not go upwards")
                low = (high << 1) - low
            mask |= low
        return _ALL & ~mask if negated else mask

    def _escape(self, name: str) -> int:
        if name in _CLASSES:
            return _CLASSES[name]
        if name in _CONTROLS:
            return 1 << _CONTROLS[name]
        if name == "x":
            digits = self._source[self._at : self._at + 2]
            self._at += 2
            try:
                return 1 << int(digits, 16) if int(digits, 16) < 128 else 0
            except ValueError:
                raise Unread("an escape that is not two hexadecimal digits") from None
        if name.isalnum():
            raise Unread("an escape that is not known here (no back-reference)")
        return _bit(name)


class _LinkReader(_Reader):
    """Reads a link to the letter: its case, where a line ends, and where the text does."""

    _folds = True

    def _one(self) -> Tree | None:
        character = self.peek()
        if character in {"^", "$"}:
            self._at += 1
            return Tree("start" if character == "^" else "end")
        if character == ".":
            self._at += 1
            return Tree("set", mask=_ALL & ~_bit("\n"))
        return super()._one()

    def _backslash(self, name: str) -> Tree | None:
        return Tree("start" if name == "A" else "end") if name in "Az" else super()._backslash(name)

    def _character(self, character: str) -> Tree:
        if character.isalpha() and not self._folds:
            return Tree("set", mask=_bit(character))
        return super()._character(character)

    def _set(self, mask: int) -> Tree:
        return Tree("set", mask=either_case(mask) if self._folds else mask)

    def _class(self) -> int:
        negated = self.peek() == "^"
        mask = super()._class()
        return _ALL & ~either_case(_ALL & ~mask) if negated and self._folds else mask

    def _group(self) -> Tree:
        before = self._folds
        flags, colon, _rest = self._source[self._at :].partition(":")
        if flags[:1] == "?":
            if not colon or flags not in {"?", "?i", "?-i"}:
                raise Unread("a group with flags: a link has none but (?i:...) and (?-i:...)")
            self._folds = before if flags == "?" else flags == "?i"
        made = super()._group()
        self._folds = before
        return made


def either_case(mask: int) -> int:
    """A class with each of its letters in either case."""
    return mask | (mask & _UPPER) << 32 | (mask >> 32 & _UPPER)


def _is_gap(tree: Tree) -> bool:
    return tree.kind == "gap" or (tree.kind == "repeat" and tree.parts[0].kind == "gap")


def _bit(character: str) -> int:
    return 1 << ord(character) if character < "\x80" else 0


def members(mask: int) -> list[str]:
    """The characters of a class."""
    return [chr(code) for code in range(128) if mask >> code & 1]


def _escaped(character: str) -> str:
    """A character of a phrase for RE2; a mark may have gaps about it."""
    if character.isalnum() or character == "_":
        return character
    return f"(?:{GAP})?\\x{ord(character):02x}(?:{GAP})?"


def _class(mask: int) -> str:
    if mask == WORD:
        return r"\w"
    if mask == _DIGIT:
        return r"\d"
    return "[" + "".join(f"\\x{ord(one):02x}" for one in members(mask)) + "]" if mask else r"[^\x00-\x7f]"
