"""The form each wire fills in: operations, headers, credential, error shape, and what an answer shows.

A wire is a value, not a class to inherit from. Everything here is knowledge of how a provider
speaks and would be just as true in a program that logged everything; what is allowed is decided
elsewhere, by data. No socket, no clock, no judgement.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from msgspec import Struct

from providers.document import Document
from providers.speech import Said, Speech

Body = Literal["json", "multipart", "none"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing a caller can ask of a wire.

    `path` is the raw target, byte for byte, both at the gateway and (appended to the entry's
    base URL) at the provider; `{id}` at its end stands for one segment. `answered_here` marks
    what the gateway answers itself, so that nothing leaves. `dialect` names the answer's format, and `convention` is
    what OpenTelemetry's conventions for generative AI call it, if they do. `growing` is the member of a request that
    lists a conversation, which a caller sends again with each turn.
    """

    name: str
    method: str
    path: str
    body: Body = "json"
    answered_here: bool = False
    dialect: str = ""
    convention: str = ""
    growing: str = ""


class Usage(Struct, frozen=True):
    """Token counts as the provider reports them; None where it does not say."""

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None


class Observation(Struct, frozen=True):
    """What one answer, or one stream event, shows. Names and numbers only, never text.

    Attributes:
        event: the stream event's type; "" for a whole answer.
        kinds: (namespace, name) of each typed thing in it, for the surface to judge: an output
            item, a content block or part, a delta, a tool. For instance ("item", "message").
        echoes: retention echoes: the path of each field that shows stored state
            (`store`, `conversation`, `container`), never its value.
        model: the served model's id, or None where the answer names none.
        usage: token counts, merged over a stream by taking the latest non-None.
        finishes: finish or stop reasons, as the wire spells them.
        response_id: the provider's object id; leaves here only as a keyed hash.
        terminal: the event without which a stream is not complete.
        error: the wire's error code where the event is an error, else None.
    """

    event: str = ""
    kinds: tuple[tuple[str, str], ...] = ()
    echoes: tuple[str, ...] = ()
    model: str | None = None
    usage: Usage | None = None
    finishes: tuple[str, ...] = ()
    response_id: str | None = None
    terminal: bool = False
    error: str | None = None


class Rate(Struct, frozen=True):
    """What is left of an allowance a minute: `kind` is `requests` or `tokens`, `reset` seconds until it is whole."""

    kind: str
    limit: int
    remaining: int
    reset: float


class Refusal(Struct, frozen=True):
    """What a wire needs to shape an error. All strings are ours."""

    status: int
    code: str
    message: str
    where: str | None
    call_id: str
    source: str | None = None
    instead: str | None = None


@dataclass(frozen=True, slots=True)
class Provider:
    """A wire.

    Attributes:
        name: also the stem of its surface file.
        alias: path prefix that forces this wire (`/openai`).
        operations: every operation that a surface may grant.
        forwarded_request_headers: lower-case names whose value the surface judges and the relay
            then sends; all others are dropped.
        forwarded_response_headers: lower-case names, or prefixes that end in `-`, passed back.
        request_id_header: where this wire's clients look for the request's id.
        credential: secret -> headers that carry it.
        constant_headers: headers sent with every request.
        telltale_header: a request header that only this wire's clients send; it decides where two
            wires share a path, or where the path is unknown.
        end_mark: the data of an event that is no JSON and ends a stream (`[DONE]`), or empty.
        shape_error: a refusal -> the JSON body of this wire's error.
        shape_stream_error: (operation, refusal) -> the bytes of this wire's error event.
        observe: (operation, document) -> what a whole answer shows.
        observe_event: (operation, event name, data) -> what one stream event shows, given the
            decoded `data` (None for the end mark).
        error_code: error body -> (type, code) as closed words of the wire, or ("", "").
        scrub_error: error body, replacement -> the same body with its message texts replaced
            by what the replacement function returns for each.
        list_models: model ids, and the parsed query -> the body of the model list.
        show_model: model id -> the body of one model.
        asks_stream: whether the request document asks for a stream.
        ask_usage: make a streaming request ask for the usage event (in place, in a tree of ours);
            whether that changed it.
        usage_parameter: the name of the parameter that `ask_usage` sets, or empty.
        door_request_ids: where a cloud's door in front of the same wire puts its own id for the request.
        padding: the key of an event whose string is of random length and says nothing, or empty.
        is_usage_event: whether a stream event exists only because usage was asked for.
        said: (operation, document, words that are known) -> every text of a whole answer but those words, pointing
            into it.
        show_rates: (rates, now) -> the headers in which this wire tells them.
        said_in_event: (operation, data, words that are known) -> every text of one stream event but those
            words, and which texts end with it.
    """

    name: str
    alias: str
    operations: tuple[Operation, ...]
    forwarded_request_headers: tuple[str, ...]
    forwarded_response_headers: tuple[str, ...]
    request_id_header: str
    credential: Callable[[str], Mapping[str, str]]
    shape_error: Callable[[Refusal], bytes]
    shape_stream_error: Callable[[Operation, Refusal], bytes]
    observe: Callable[[Operation, Document], Observation]
    observe_event: Callable[[Operation, str, Document | None], Observation]
    error_code: Callable[[Document], tuple[str, str]]
    scrub_error: Callable[[Document, Callable[[str], str]], Document]
    list_models: Callable[[tuple[str, ...], Mapping[str, str]], bytes]
    show_model: Callable[[str], bytes]
    asks_stream: Callable[[Document], bool]
    ask_usage: Callable[[Operation, Document], bool]
    is_usage_event: Callable[[Operation, Document], bool]
    said: Callable[[Operation, Document, Container[str]], list[Said]]
    said_in_event: Callable[[Operation, Document, Container[str]], Speech]
    show_rates: Callable[[Sequence[Rate], datetime], Mapping[str, str]]
    constant_headers: Mapping[str, str] = field(default_factory=dict)
    telltale_header: str | None = None
    end_mark: bytes = b""
    usage_parameter: str = ""
    door_request_ids: tuple[str, ...] = ("x-amzn-requestid",)
    padding: str = ""

    def operation(self, name: str) -> Operation:
        """The operation of that name.

        Raises:
            KeyError: the wire has none.
        """
        for operation in self.operations:
            if operation.name == name:
                return operation
        raise KeyError(name)
