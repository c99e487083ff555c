"""The values of one exchange, each made by exactly one step: Entry, Call, Grant, CleanCall, Admission, Reply.

A later step takes a value that only the earlier step can make, so the order of the path is
certain: `Upstream.send` cannot be called with what was not judged, cleaned and admitted.
Documents in here are content; nothing in this module may be logged, cached or pickled, and the repr of what
holds content is its kind alone.

`Struct` is msgspec's: frozen and slotted as a dataclass can be, and made in a tenth of its time, which counts
for values that every call makes anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct

from gateway.categories import Category, Personal
from providers.credentials import Scheme
from providers.document import Document
from providers.provider import Operation, Provider


def _kind_alone(value: object) -> str:
    return f"<{type(value).__name__}>"


class Entry(Struct, frozen=True):
    """Step 1, open. A known caller asked something for a known tenant and purpose.

    `subject` is already a keyed hash. `now` is the instant of judgement (aware, UTC); where the clock is in doubt it
    is the earliest that it may be, and `latest` the latest. `tried` are the processors that it has been to.
    """

    call_id: str
    now: datetime
    wire: Provider
    operation: Operation
    caller: str
    key_id: str
    tenant: str
    purpose: str
    subject: str | None = None
    narrowed_to: str | None = None
    latest: datetime | None = None
    tried: frozenset[str] = frozenset()


class Part(Struct, frozen=True):
    """The beginning of an item: of its string `key` so many `characters` are known, of all that is written `octets`."""

    key: str
    characters: int
    octets: int


class Beginning(Struct, frozen=True):
    """The first items of a growing list, which were judged and cleaned before and ask for nothing else.

    `clean` is their text as it leaves, without the list's brackets; `redactions` is what was taken out of them. If it
    ends within an item, the tree's list begins with the rest of that, before which a `part` stands again.
    """

    member: str
    count: int
    clean: bytes
    redactions: Mapping[Category | Personal, int]
    part: Part | None = None

    __repr__ = _kind_alone


class Call(Struct, frozen=True):
    """Step 2, read. The request as a strict tree; `headers` holds only those the wire forwards.

    Of a conversation that is known the tree holds what is new; `beginning` stands before it in its list.
    """

    entry: Entry
    document: Document
    headers: Mapping[str, str]
    size: int
    beginning: Beginning | None = None

    __repr__ = _kind_alone

    def place(self, where: str | None) -> str | None:
        """A path in the tree as the caller counts."""
        known = self.beginning
        if known is None or where is None or not where.startswith(f"{known.member}["):
            return where
        number, _bracket, rest = where[len(known.member) + 1 :].partition("]")
        return f"{known.member}[{int(number) + known.count}]{rest}"


class Forced(Struct, frozen=True):
    """A parameter that the gateway set. Both words come from the surface, never from the caller."""

    where: str
    value: str

    def __str__(self) -> str:
        return f"{self.where}={self.value}"


class Route(Struct, frozen=True):
    """Where the registry lets the call go, and under which agreement.

    `served_models` are the ids an answer may name; `traits` are what the surface needs to know
    of this model here (`prompt_cache: explicit`); `answer_headers` what every answer must say of its retention.
    `scheme` is how the credential is shown, and `region` that of a signature.
    """

    processor: str
    base_url: str
    model: str
    served_models: frozenset[str]
    agreement: str
    countries: tuple[str, ...]
    credential: str
    traits: Mapping[str, str]
    answer_headers: Mapping[str, str] = {}
    scheme: Scheme = "wire"
    region: str = ""


class Grant(Struct, frozen=True):
    """Step 3, judge. The tree with every forced value set and every exemption from the scan typed.

    Attributes:
        call: what was judged.
        document: a new tree; plain `str` in it is content still to be scanned.
        headers: the wire's own headers to send.
        route: where it goes.
        forced: what was set, in document order.
        granted: names of the conditional verdicts that this call used.
        unscanned: kind of inline content that passed without a scan -> how many.
        stream: whether the answer is to be a stream.
        hide_usage_event: the caller did not ask for the usage event that was forced, so it is
            not delivered.
        plain: so many of the first items of the growing list used no grant, set nothing, named no model and passed no
            scan, so that they are judged alike whatever stands beside them.
    """

    call: Call
    document: Document
    headers: Mapping[str, str]
    route: Route
    forced: tuple[Forced, ...]
    granted: tuple[str, ...]
    unscanned: Mapping[str, int]
    stream: bool
    hide_usage_event: bool = False
    plain: int = 0

    __repr__ = _kind_alone


class CleanCall(Struct, frozen=True):
    """Step 4, clean. The bytes that will leave, and how many findings were taken out of them.

    `values` are the ordinary personal data to be put back in the answer, by placeholder; mostly there are none.
    """

    grant: Grant
    body: bytes
    content_type: str
    redactions: Mapping[Category | Personal, int]
    values: Mapping[str, str] = {}

    __repr__ = _kind_alone


class Admission(Struct, frozen=True):
    """Step 5, admit. The intent of this attempt is durable under (call id, attempt)."""

    call_id: str
    attempt: int
