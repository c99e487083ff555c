"""YAML as this house reads it, with the line of every key. The door of `yaml`.

Accepted is the part of YAML that every reader reads alike: UTF-8, mappings with text keys, lists, quoted and plain
text, decimal numbers, `true`, `false`, `null`. What YAML 1.1 readers turn into something else (`no`, `0x1f`,
`1_000`, `12:30`) must be quoted; anchors, aliases, merges, tags, tabs, second documents and repeated keys are faults.
A date stays text. Sources: YAML 1.1 types (yaml.org/type) and YAML 1.2.2 section 10.3, the core schema.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias

import yaml

from gateway.policy.forms import Path as Keys
from gateway.policy.forms import spelled

Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"

MAX_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 40
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_AMBIGUOUS = re.compile(r"yes|no|on|off|true|false|null|~|<<|=|", re.IGNORECASE).fullmatch
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,15})").fullmatch
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,15})\.[0-9]{1,16}").fullmatch
_NUMBERISH = re.compile(
    r"[-+]?(?:0x[0-9a-f_]+|0b[01_]+|0o?[0-7_]+|[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"
    r"|(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9_]+)(?:e[-+]?[0-9]+)?|\.inf|\.nan)",
    re.IGNORECASE,
).fullmatch
_UNSEEN = (
    (
        re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"),
        "an invisible or control character",
    ),
    (re.compile("[\t\r]"), "a tab or a lone carriage return"),
)
_SECRET = re.compile(
    r"(?<![A-Za-z0-9])(?:sk-[A-Za-z0-9_-]{16}|zrg_[0-9a-f]{16}_|AKIA[0-9A-Z]{16}|(?:gsk_|xai-|AIza)[A-Za-z0-9_-]{20}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY)"
)
_EXPOSED = "this looks like a key; write {file: PATH} or {environment: NAME}, and replace the key: it was in a file"

Complain: TypeAlias = Callable[[int, str, str], None]
"""Told of a fault: line (0 is the file as a whole), key, reason."""


@dataclass(slots=True)
class _Lines:
    """The line of a node, and of what is in it."""

    line: int
    keys: dict[str, tuple[int, _Lines]] = field(default_factory=dict)
    items: list[_Lines] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Document:
    """A file that was read: its plain tree, and where each key of it stands."""

    name: str
    tree: Plain
    _lines: _Lines

    def line(self, path: Keys) -> int:
        """The line of a path, or of the innermost part of it that is there. Counts from 1."""
        node, line = self._lines, self._lines.line
        for step in path:
            if isinstance(step, int):
                if step >= len(node.items):
                    break
                node = node.items[step]
                line = node.line
            elif step in node.keys:
                line, node = node.keys[step]
            else:
                break
        return line


class _Mark(Protocol):
    line: int


class _NotReadable(Exception):
    """The file cannot be read further than `line`."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


def read_text(path: Path, complain: Complain) -> str | None:
    """A file's text: UTF-8 without a byte order mark, and no character that people do not see."""
    try:
        return _text(path)
    except _NotReadable as fault:
        complain(fault.line, "", fault.reason)
        return None


def read_document(path: Path, name: str, complain: Complain) -> Document | None:
    """Read one YAML file, or tell every fault of its writing and give None."""
    text = read_text(path, complain)
    if text is None:
        return None
    builder = _Builder(text, complain)
    try:
        tree, lines = builder.document()
    except _NotReadable as fault:
        complain(fault.line, shown(builder.path), fault.reason)
        return None
    except yaml.MarkedYAMLError as error:  # its own words quote the file
        # An open quote or bracket is only noticed much later; where it began is what helps.
        quoted = error.context_mark if "quoted" in (error.context or "") else None
        line = _line(quoted or _open_bracket(text) or error.problem_mark)
        complain(line, "", "the YAML breaks here: an open quote or bracket, a missing colon, or wrong indentation")
        return None
    except yaml.YAMLError:
        complain(0, "", "this is not YAML")
        return None
    return None if builder.faults else Document(name, tree, lines)


def shown(path: Keys) -> str:
    """A path for a fault; a key that looks like a secret is not shown."""
    return spelled(tuple("?" if isinstance(step, str) and _SECRET.search(step) else step for step in path))


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise _NotReadable(0, "there is no such file") from None
    except OSError:
        raise _NotReadable(0, "the file cannot be read; see its owner and mode") from None
    if len(data) > MAX_BYTES:
        raise _NotReadable(0, f"the file is larger than {MAX_BYTES} bytes")
    if data.startswith(_MARKS):
        raise _NotReadable(1, "the file begins with a byte order mark; save it as UTF-8 without one")
    try:
        text = data.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise _NotReadable(data.count(b"\n", 0, error.start) + 1, "these bytes are not UTF-8") from None
    for pattern, what in _UNSEEN:
        found = pattern.search(text)
        if found is not None:
            raise _NotReadable(text.count("\n", 0, found.start()) + 1, f"{what} stands in this line")
    return text


def _open_bracket(text: str) -> _Mark | None:
    """Where the innermost bracket begins that is not closed before the YAML breaks."""
    open_brackets: list[_Mark] = []
    with contextlib.suppress(yaml.YAMLError):
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            if isinstance(token, yaml.FlowSequenceStartToken | yaml.FlowMappingStartToken):
                open_brackets.append(token.start_mark)
            elif isinstance(token, yaml.FlowSequenceEndToken | yaml.FlowMappingEndToken) and open_brackets:
                open_brackets.pop()
    return open_brackets[-1] if open_brackets else None


def _line(mark: _Mark | None) -> int:
    return 0 if mark is None else mark.line + 1


class _Builder:
    """Events to a plain tree and its lines. Faults in values are told one by one; faults in form end it."""

    def __init__(self, text: str, complain: Complain) -> None:
        self._events = yaml.parse(text, Loader=_LOADER)
        self._complain = complain
        self._steps: list[str | int] = []
        self.faults = 0

    @property
    def path(self) -> Keys:
        """Where the builder stands."""
        return tuple(self._steps)

    def document(self) -> tuple[Plain, _Lines]:
        next(self._events)
        start = next(self._events)
        if isinstance(start, yaml.StreamEndEvent):
            raise _NotReadable(0, "the file is empty")
        tree, lines = self._node(next(self._events))
        next(self._events)
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise _NotReadable(_line(after.start_mark), "a second document begins here; a file holds one")
        return tree, lines

    def _node(self, event: yaml.Event) -> tuple[Plain, _Lines]:
        line = _line(event.start_mark)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _NotReadable(line, "anchors, aliases and merges are not read; write the value out")
        if getattr(event, "tag", None) is not None:
            raise _NotReadable(line, "tags are not read; write the plain value")
        if len(self._steps) > MAX_DEPTH:
            raise _NotReadable(line, "this is nested too deeply")
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(line)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(line)
        assert isinstance(event, yaml.ScalarEvent)  # noqa: S101  # the only kind that is left
        return self._scalar(event, line), _Lines(line)

    def _mapping(self, line: int) -> tuple[Plain, _Lines]:
        tree: dict[str, Plain] = {}
        lines = _Lines(line)
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            at = _line(event.start_mark)
            if not isinstance(event, yaml.ScalarEvent):
                raise _NotReadable(at, "a key is text on one line; aliases and merges are not read")
            if event.value == "<<" and not event.style:
                raise _NotReadable(at, "anchors, aliases and merges are not read; write the value out")
            self._steps.append(event.value)
            key = self._scalar(event, at)
            if not isinstance(key, str):
                self._fault(at, "a key is text; put it in quotes")
                key = event.value
            if key in tree:
                self._fault(at, "this key stands here twice")
            value, inner = self._node(next(self._events))
            tree[key] = value
            lines.keys[key] = (at, inner)
            self._steps.pop()
        return tree, lines

    def _sequence(self, line: int) -> tuple[Plain, _Lines]:
        tree: list[Plain] = []
        lines = _Lines(line)
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            self._steps.append(len(tree))
            value, inner = self._node(event)
            tree.append(value)
            lines.items.append(inner)
            self._steps.pop()
        return tree, lines

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> Plain:
        text = event.value
        if _SECRET.search(text):
            self._fault(line, _EXPOSED)
            return ""
        if event.style:
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER(text):
            return int(text)
        if _DECIMAL(text):
            return float(text)
        if _AMBIGUOUS(text) or _NUMBERISH(text):
            reason = "a value is missing" if not text else "YAML readers disagree on this word; put text in quotes"
            self._fault(line, reason)
        return text

    def _fault(self, line: int, reason: str) -> None:
        self.faults += 1
        self._complain(line, shown(self.path), reason)
