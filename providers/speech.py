"""What an answer says: the strings in it that a model or its tools chose, and which of them read on.

A wire names the strings of an answer, or of one stream event, as `Said` values that point into the
decoded tree, so that they can be exchanged there. Every string that is not known to be of a closed
grammar (an id, a kind, a blob) is said. Pure knowledge of the wires: what is done with it is decided elsewhere.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Container
from dataclasses import dataclass, field
from typing import TypeAlias

import orjson

from providers.document import Document, Value

Key: TypeAlias = "tuple[str | int, ...]"
"""Names a channel: pieces with the same key read on as one text."""

WORD = re.compile(r"[A-Za-z0-9_.:-]{0,128}").fullmatch
"""The closed grammar of ids, kinds and other words that a wire chooses."""
BLOB = re.compile(r"[A-Za-z0-9+/_-]*={0,2}").fullmatch
"""Base64 of either alphabet (RFC 4648 sections 4 and 5)."""
OWN = frozenset(
    {
        "assistant",
        "auto",
        "chat.completion",
        "completed",
        "default",
        "end_turn",
        "function",
        "function_call",
        "length",
        "max_tokens",
        "message",
        "output_text",
        "reasoning",
        "response",
        "standard",
        "stop",
        "text",
        "thinking",
        "tool_calls",
        "tool_use",
    }
)
"""Words that wires have of their own and nearly every answer repeats; nobody chose them, so they tell nothing."""
IDS = frozenset({"id", "call_id", "item_id", "response_id", "tool_use_id", "approval_request_id"})
"""Keys of words that are new in each answer: what is known of others says nothing of them."""


class Form(enum.Enum):
    """What may happen to a string."""

    TEXT = "text"  # edits are made, in JSON string by string
    SEALED = "sealed"  # signed, or must pass as it is: an edit ends the answer
    BLOB = "blob"  # base64: sealed, and read only if it decodes to text
    TREE = "tree"  # an object that a model wrote: read, keys too, as the JSON that it is
    WORD = "word"  # of the closed grammar; read with `_`, `-`, `.` and `:` as spaces; an edit ends the answer


@dataclass(slots=True)
class Said:
    """One string of an answer.

    Attributes:
        holder, name: where it stands in the tree: `holder[name]`.
        channel: which text it continues; None if it is a text of its own.
        form: what may happen to it.
        glue: what a reader sees between it and the piece before.
        scores: the lists of token log-probabilities that go with it, as (holder, name).
    """

    holder: Document | list[Value] = field(repr=False)
    name: str | int
    channel: Key | None = None
    form: Form = Form.TEXT
    glue: str = ""
    scores: tuple[tuple[Document, str], ...] = field(default=(), repr=False)

    @property
    def text(self) -> str:
        """The string; of a tree, its JSON."""
        found = self.holder[self.name]  # type: ignore[index]  # a name for a mapping, an index for a list
        return found if isinstance(found, str) else orjson.dumps(found).decode()

    def exchange(self, text: str) -> None:
        """Put another in its place."""
        self.holder[self.name] = orjson.loads(text) if self.form is Form.TREE else text  # type: ignore[index]  # as above


@dataclass(slots=True)
class Speech:
    """What an answer or an event says.

    `closes` are beginnings of keys: with this event the channels with such keys end, before what it says itself.
    """

    said: list[Said] = field(default_factory=list)
    closes: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a wire's keys tell of the strings under them.

    Attributes:
        words: keys whose strings are of the closed grammar; one that is not is text.
        blobs: keys whose strings are base64; one that is not is sealed.
        trees: keys whose objects a model wrote.
        apart: keys that are not gone into: token log-probabilities, which go with the text beside them.
    """

    words: frozenset[str]
    blobs: frozenset[str]
    trees: frozenset[str] = frozenset()
    apart: frozenset[str] = frozenset({"logprobs"})

    def gather(self, value: Value, into: list[Said], known: Container[str] = (), under: str = "") -> None:
        """All that is said in a tree, in document order, less the words that are known; a list stands `under` a key."""
        if type(value) is dict:
            for key, member in value.items():
                kind = type(member)
                if kind is str:
                    self.string(value, key, key, into, known)
                elif not member or (kind is not dict and kind is not list):
                    continue
                elif kind is dict and key in self.trees:
                    into.append(Said(value, key, form=Form.TREE))
                elif key not in self.apart:
                    self.gather(member, into, known, key)
        elif type(value) is list:
            for index, item in enumerate(value):
                kind = type(item)
                if kind is str:
                    self.string(value, index, under, into, known)
                elif kind is dict or kind is list:
                    self.gather(item, into, known, under)

    def string(
        self,
        holder: Document | list[Value],
        name: str | int,
        key: str,
        into: list[Said],
        known: Container[str] = (),
    ) -> None:
        """One string under a key: said, unless it is a blob or a known word."""
        text = holder[name]  # type: ignore[index]  # a name for a mapping, an index for a list
        if not text or not isinstance(text, str):
            return
        if key in self.words:
            if key in IDS or text not in known:
                into.append(Said(holder, name, form=Form.WORD if WORD(text) else Form.TEXT))
        elif key in self.blobs:
            into.append(Said(holder, name, form=Form.BLOB if BLOB(text) else Form.SEALED))
        else:
            into.append(Said(holder, name))
