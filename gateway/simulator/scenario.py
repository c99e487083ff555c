"""How the simulated provider may be told to behave: one frozen value per answer."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from providers.document import Document, Value


class Fault(enum.StrEnum):
    """A misbehaviour of the connection or of the bytes. `Scenario.after` says where, in events or bytes."""

    DIE_BEFORE_BODY = "die_before_body"  # closes once the head of the request is there
    DIE_BEFORE_HEAD = "die_before_head"
    DIE_MID_HEAD = "die_mid_head"
    DIE_MID_BODY = "die_mid_body"  # announced length not met; a stream is cut within an event
    DIE_MID_STREAM = "die_mid_stream"  # between two events, the chunked body unfinished; else as above
    STALL_BEFORE_HEAD = "stall_before_head"
    STALL_MID_BODY = "stall_mid_body"  # head and the first part, then nothing
    END_EARLY = "end_early"  # a well-formed end of the body, without the terminal event
    ENDLESS = "endless"  # the middle event of the stream for ever, `pace` seconds apart
    MALFORMED = "malformed"  # JSON that stops half way; an event whose data is not JSON
    SWITCH_PROTOCOLS = "switch_protocols"  # 101
    STREAM_ERROR = "stream_error"  # the wire's own error event in the middle of the stream


@dataclass(frozen=True, slots=True)
class Scenario:
    """One way to answer. The default is to answer well.

    Attributes:
        status: answer with the wire's own error of this status; 3xx with `headers` redirects.
        error_type, error_code, error_param: words of that error (also of a stream error).
        echo_prompt: the error's message quotes every text of the request.
        headers: set on the answer, replacing those of the same lower-case name.
        without_headers: lower-case names that the answer does not bear.
        content: what the model does instead of answering: `refusal`, `annotations`, `failed`,
            `content_filter`, `reasoning_text`, `redacted_thinking`, `queued`; "" for nothing special.
        say: the model's text, instead of the echo; None for the echo.
        think: the model's reasoning (its summary too), instead of the usual sentence.
        arguments: the JSON of every tool call, instead of a sample of the tool's schema.
        piece: characters of each delta of a stream; 0 for words.
        served_model: names another model than was asked for.
        merge: fields set at the root of the answer's object (`store`, `conversation`, `container`).
        items: output items or content blocks put before the model's own.
        events: (name, data) of stream events sent in the middle; the name "" gives an unnamed event.
        fault: see `Fault`.
        after: how many events (of a stream) or bytes (of a body) pass before the fault; None: half.
        reset: a death is a TCP reset, not an orderly close.
        delay: seconds before the head.
        pace: seconds between two events of a stream.
        byte_delay: seconds before each single byte of the body; 0 sends at once.
        gzip: the body is gzip-encoded, whatever the request accepts.
        body: sent instead of the answer's body, with the answer's head.
        raw: sent instead of everything, head included; then the connection closes.
    """

    status: int = 200
    error_type: str = ""
    error_code: str | None = None
    error_param: str | None = None
    echo_prompt: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    without_headers: tuple[str, ...] = ()
    content: str = ""
    say: str | None = None
    think: str | None = None
    arguments: str | None = None
    piece: int = 0
    served_model: str | None = None
    merge: Mapping[str, Value] = field(default_factory=dict)
    items: tuple[Document, ...] = ()
    events: tuple[tuple[str, Document], ...] = ()
    fault: Fault | None = None
    after: int | None = None
    reset: bool = False
    delay: float = 0.0
    pace: float = 0.0
    byte_delay: float = 0.0
    gzip: bool = False
    body: bytes | None = None
    raw: bytes | None = None


def read_scenario(document: Document) -> Scenario:
    """A scenario from the control path or a script file: the attributes by name, bytes as Latin-1 text.

    Raises:
        ValueError: an unknown key, or a value of the wrong kind.
    """
    known = {entry.name for entry in fields(Scenario)}
    given: dict[str, object] = dict(document)
    if not given.keys() <= known:
        raise ValueError("a scenario has only the attributes of Scenario")
    for name in ("body", "raw"):
        if isinstance(text := given.get(name), str):
            given[name] = text.encode("latin-1")
    for name in ("items", "without_headers"):
        if isinstance(listed := given.get(name), list):
            given[name] = tuple(listed)
    if isinstance(events := given.get("events"), list):
        given["events"] = tuple((pair[0], pair[1]) for pair in events if isinstance(pair, list))
    if given.get("fault") is not None:
        given["fault"] = Fault(str(given["fault"]))
    return Scenario(**given)  # type: ignore[arg-type]  # the control path belongs to tests; kinds are theirs
