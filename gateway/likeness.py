"""Events of a stream that say the same as one that was checked, but for one piece of text.

Most events of a stream are such: a check of one holds for all of them, since no check looks at what a text says.
So an event that agrees byte for byte with a checked one, up to and from the text, and has a plain JSON string
between, needs no reading. What is not recognised is read as ever.
"""

from __future__ import annotations

import re

import orjson

from providers import sse
from providers.document import Document
from providers.provider import Operation, Provider
from providers.speech import Form, Said

_PLAIN = re.compile(rb"[^\"\\\x00-\x1f]*").fullmatch
"""The inside of a JSON string without escapes (RFC 8259 section 7), if it is UTF-8."""
_PADDING = re.compile(rb"[A-Za-z0-9]{1,64}").fullmatch
_PROBE = "~"


class Likeness:
    """What one checked event and those like it have in common.

    Attributes:
        name: of the event.
        lead: bytes of it before its data.
    """

    __slots__ = ("_after", "_before", "_middle", "lead", "name")

    def __init__(self, name: str, before: bytes, middle: bytes, after: bytes, lead: int) -> None:
        """Use `of`. Between `before` and `middle` stands the text, between that and `after` padding, if any."""
        self.name = name
        self._before = before
        self._middle = middle
        self._after = after
        self.lead = lead

    @classmethod
    def of(cls, wire: Provider, operation: Operation, event: bytes, name: str, document: Document) -> Likeness | None:
        """The likeness of a checked event with this name and document; None if it has none that can be told surely."""
        text = _only_text(wire, operation, document)
        if text is None:
            return None
        before, quoted, after = event.partition(orjson.dumps(text.text))
        lead = len(sse.build(name, b"")) - 2
        data = before[lead:] + orjson.dumps(_PROBE) + after[:-2]
        if (
            not quoted
            or sse.build(name, event[lead:-2]) != event
            or not _is_there(wire, operation, data, document, text)
        ):
            return None
        padding = document.get(wire.padding) if wire.padding else None
        middle = b""
        if isinstance(padding, str):
            middle, quoted, after = after.partition(orjson.dumps(padding))
            if not quoted or not _PADDING(quoted[1:-1]) or not middle.endswith(b'"%b":' % wire.padding.encode()):
                return None
            middle, after = b'"%b"' % middle, b'"%b' % after
        else:
            after = b'"%b' % after
        return cls(name, before + b'"', middle, after, lead)

    def has(self, event: bytes) -> bool:
        """Whether the event is like the one that was checked."""
        if not event.startswith(self._before) or not event.endswith(self._after):
            return False
        start, end = len(self._before), len(event) - len(self._after)
        if self._middle:
            at = event.find(self._middle, start)
            if at < 0 or not _PADDING(event, at + len(self._middle), end):
                return False
            end = at
        return start <= end and _PLAIN(event, start, end) is not None and _is_utf8(event)


def _only_text(wire: Provider, operation: Operation, document: Document) -> Said | None:
    """The one piece of text that an event says, if it says one and ends nothing."""
    speech = wire.said_in_event(operation, document, ())
    texts = [one for one in speech.said if one.channel is not None]
    if speech.closes or len(texts) != 1 or texts[0].form is not Form.TEXT or texts[0].scores or texts[0].glue:
        return None
    return texts[0] if isinstance(texts[0].name, str) else None


def _is_there(wire: Provider, operation: Operation, data: bytes, document: Document, text: Said) -> bool:
    """Whether the text, and nothing else, stands where another was put into the data."""
    try:
        other = orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    found = _only_text(wire, operation, other) if type(other) is dict else None
    if found is None or found.text != _PROBE:
        return False
    found.exchange(text.text)
    return bool(other == document)


def _is_utf8(event: bytes) -> bool:
    if event.isascii():
        return True
    try:
        event.decode()
    except UnicodeDecodeError:
        return False
    return True
