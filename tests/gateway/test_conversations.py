"""Conversations that are known: what leaves, is recorded and is refused is what it would be if nothing were known."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from multidict import CIMultiDict

from gateway.beginnings import Edit, up_to
from gateway.categories import Category, Scope
from gateway.config import Bundle, load
from gateway.conversations import Conversations
from gateway.errors import Code, GatewayError
from gateway.exchange import Beginning, Call, CleanCall, Entry
from gateway.keys import Keyring
from gateway.policy.judge import judge
from gateway.redaction.engine import Engine
from gateway.redaction.findings import Finding, Settled, Window
from gateway.redaction.home import folder
from gateway.redaction.inprocess import InProcess
from gateway.redaction.redactor import Cleaned, Finds, Redactor, typed, untyped
from gateway.redaction.treatment import Treatment
from gateway.steps import Asked, Opened, ask, clean_call, open_call, read_call
from gateway.targets import Targets
from providers import PROVIDERS
from providers.document import MAX_NODES
from tests.configuration import ALL_GRANTS, CALLER, ROOT, write_configuration

_WORDS = re.compile(r"sclerosis|diabetes|the synod")
_CATEGORIES = {"the synod": Category.RELIGION_BELIEF}
FILLER = "We went through the renewal, the rollout and who owns it on their side. "


class Words:
    """Finds three words."""

    def __init__(self) -> None:
        self.characters = 0

    async def find(self, texts: Sequence[str]) -> list[list[Finding]]:
        self.characters += sum(map(len, texts))
        return [
            [
                Finding(*match.span(), _CATEGORIES.get(match.group(), Category.HEALTH), 0.9)
                for match in _WORDS.finditer(text)
            ]
            for text in texts
        ]

    async def settle(self, windows: Sequence[Window]) -> list[Settled]:
        raise NotImplementedError


@dataclass
class Steps:
    """Steps 1 to 4 for one operation and caller, with the conversations that they met."""

    bundle: Bundle
    keyring: Keyring
    path: str
    caller: str = CALLER
    known: Conversations = field(default_factory=lambda: Conversations(1000))
    words: Words = field(default_factory=Words)
    rules: Finds | None = None
    scope: Scope = Scope.SPAN

    @property
    def asked(self) -> Asked:
        headers = CIMultiDict({"content-type": "application/json", "x-gateway-purpose": "call_summary"})
        if self.path.endswith("messages"):
            headers["anthropic-version"] = "2023-06-01"
        target = Targets(PROVIDERS).find("POST", self.path, headers)
        return ask(self.bundle, self.keyring, target, self.bundle.callers.named(self.caller), headers)

    @property
    def opened(self) -> Opened:
        return open_call(self.asked, self.keyring, call_id="0" * 26, now=datetime.now(UTC))

    def take(self, body: bytes, known: Conversations | None = None, made: Any = untyped) -> tuple[Call, CleanCall]:
        """One call, as it leaves."""
        asked = self.asked
        keys = frozenset[str]().union(*(surface.vocabulary for surface in self.bundle.surfaces.values()))
        redactor = Redactor(self.rules or self.words, keys, made, Treatment(self.scope))
        conversation = None if known is None else known.meet(asked.scope, body)
        call = read_call(self.opened, body, conversation)
        return call, asyncio.run(clean_call(judge(call, asked.policy), redactor, conversation))

    def outcome(self, body: bytes, known: Conversations | None) -> tuple[Any, ...]:
        """All that is told of a call: what leaves and is recorded, or what it is refused for."""
        try:
            _call, clean = self.take(body, known)
        except GatewayError as error:
            return error.code, error.where, error.reason, error.rule
        grant = clean.grant
        entry = (grant.headers, grant.route, grant.forced, grant.granted, grant.unscanned, grant.stream)
        return clean.body, clean.content_type, dict(clean.redactions), entry, grant.call.size, grant.hide_usage_event

    def begins(self, body: bytes) -> Beginning | None:
        """What of a body is known, which is learnt by the way."""
        return self.take(body, self.known)[0].beginning


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Keyring]:
    """A configuration as it is served."""
    folder = tmp_path_factory.mktemp("conversations")
    bundle = load(write_configuration(folder, 1, "secret"), {}, wires=PROVIDERS)
    return bundle, Keyring.open(folder / "keys", create=True)


@pytest.fixture
def chat(made: tuple[Bundle, Keyring]) -> Steps:
    """Chat completions of a caller without grants."""
    return Steps(*made, "/v1/chat/completions")


def written(document: Mapping[str, Any]) -> bytes:
    """As SDKs write it."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def turn(text: str, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": text}


def asked(*turns: dict[str, Any], **more: Any) -> bytes:
    return written({"model": "gpt-simulated", "messages": list(turns), **more})


LONG = [turn("You coach sales people.", "system"), turn(FILLER * 40), turn(FILLER * 20, "assistant")]


# What is known again


def test_a_conversation_with_a_new_turn_is_read_from_there_on(chat: Steps) -> None:
    assert chat.begins(asked(*LONG)) is None
    chat.words.characters = 0
    known = chat.begins(asked(*LONG, turn("And the budget?")))
    assert known is not None
    assert (known.count, known.member) == (3, "messages")
    assert chat.words.characters < 100


def test_each_new_turn_is_known_in_turn(chat: Steps) -> None:
    for count in range(10):
        known = chat.begins(asked(*LONG, *[turn(f"And then {number}?") for number in range(count)]))
        assert (0 if known is None else known.count) == (3 + count - 1 if count else 0)


def test_another_question_to_the_same_talk_is_known_without_the_last(chat: Steps) -> None:
    chat.begins(asked(*LONG, turn("What went well?")))
    for question in ("What was missed?", "Who decides?", "What would you say next?", "Is it won?", "When?"):
        known = chat.begins(asked(*LONG, turn(question)))
        assert known is not None
        assert known.count == 3


def test_what_was_taken_out_is_taken_out_and_counted_again(chat: Steps) -> None:
    ill = [*LONG, turn("My rep has sclerosis, and so the synod."), turn("I see. [REDACTED]? Diabetes and diabetes.")]
    first = chat.take(asked(*ill, turn("sclerosis")), chat.known)[1]
    call, second = chat.take(asked(*ill, turn("More of diabetes. And the synod.")), chat.known)
    assert call.beginning is not None
    assert call.beginning.count == 5
    assert first.redactions == {Category.HEALTH: 3, Category.RELIGION_BELIEF: 1}
    assert second.redactions == {Category.HEALTH: 3, Category.RELIGION_BELIEF: 2}
    assert second.body.count(b"[REDACTED]") == 6
    assert not re.search(_WORDS.pattern.encode(), second.body)


def test_findings_outside_the_list_are_counted_once_a_call(chat: Steps) -> None:
    more = {"response_format": {"type": "text"}, "stop": ["sclerosis"]}
    for count in range(3):
        clean = chat.take(asked(*LONG, *[turn("diabetes")] * count, **more), chat.known)[1]
        assert clean.redactions == {Category.HEALTH: 1 + count}


@pytest.mark.parametrize("made_of", [untyped, typed])
@pytest.mark.parametrize("scope", [Scope.SPAN, Scope.SENTENCE])
def test_placeholders_of_each_kind_are_put_in_again(chat: Steps, made_of: Any, scope: Scope) -> None:
    chat.scope = scope
    said = [*LONG, turn("He has diabetes. The synod sits. In the synod, she said."), turn("Yes.", "assistant")]
    chat.take(asked(*said), chat.known, made_of)
    call, clean = chat.take(asked(*said, turn("And he has diabetes?")), chat.known, made_of)
    assert call.beginning is not None
    assert clean.body == chat.take(asked(*said, turn("And he has diabetes?")), None, made_of)[1].body


@pytest.mark.parametrize(
    ("path", "member", "model"),
    [("/v1/responses", "input", "gpt-simulated"), ("/v1/messages", "messages", "claude-simulated")],
)
def test_other_operations_list_conversations_too(
    made: tuple[Bundle, Keyring], path: str, member: str, model: str
) -> None:
    steps = Steps(*made, path)
    more = {"max_tokens": 5} if member == "messages" else {"instructions": FILLER}
    document = {"model": model, member: LONG[1:], **more}
    steps.begins(written(document))
    known = steps.begins(written({**document, member: [*LONG[1:], turn("And?")]}))
    assert known is not None
    assert known.count == 2


def test_a_text_that_grows_is_read_from_near_its_old_end_on(chat: Steps) -> None:
    """A talk that is coached while it goes on: each call sends all of it in one message."""
    talk = FILLER * 80
    for number in range(20):
        chat.words.characters = 0
        known = chat.begins(asked(turn("Coach.", "system"), turn(talk)))
        assert (known is None) is (number == 0)
        if known is not None:
            assert known.part is not None
            assert known.count == 1
            assert chat.words.characters < 4 * 384 + 512
        talk += f"\nTurn {number}: " + FILLER * 2


def test_of_a_text_that_grows_findings_are_taken_out_and_counted_once(chat: Steps) -> None:
    talk = "He has sclerosis. " + FILLER * 80 + "She sits in the synod. " + FILLER * 60
    for number in range(1, 20):
        body = asked(turn(talk))
        clean = chat.take(body, chat.known)[1]
        assert clean.body == chat.take(body, None)[1].body
        assert clean.redactions == {Category.HEALTH: number, Category.RELIGION_BELIEF: 1}
        talk += "And diabetes. " + FILLER * 3


@pytest.mark.parametrize("order", [("name", "content"), ("content", "name")])
@pytest.mark.parametrize("name", ["diabetes", "Ann"])
def test_of_an_item_with_other_texts_all_are_cleaned(chat: Steps, name: str, order: tuple[str, str]) -> None:
    """Also where another grows meanwhile, and is the longest then."""
    texts = {"content": FILLER * 80, "name": name}
    for grows, more in (("content", "And "), ("content", FILLER * 60), ("name", FILLER * 150), ("name", FILLER * 60)):
        texts[grows] += more
        item = {"role": "user", **{key: texts[key] for key in order}}
        assert chat.outcome(asked(item), chat.known) == chat.outcome(asked(item), None)


def test_where_a_finding_runs_over_a_place_nothing_goes_on_from_there(chat: Steps) -> None:
    text = FILLER * 80
    place = text.rindex(" ", 0, len(text) - 384) + 1
    for start, end, kept in ((place - 9, place + 9, 1), (place - 9, place, 2), (place, place + 9, 2)):
        chat.known = Conversations(100)
        conversation = chat.known.meet(chat.asked.scope, asked(turn(text)))
        assert conversation is not None
        grant = judge(read_call(chat.opened, asked(turn(text)), conversation), chat.asked.policy)
        path = ("messages", 0, "content")
        taken = (path, [Finding(start, end, Category.HEALTH, 0.9)])
        conversation.keep(grant, Cleaned(grant.document, {}, taken=[taken]), reads_on=True)
        assert len(chat.known) == kept


def test_edits_end_at_a_place_or_before_it() -> None:
    made = (Edit(2, 4, b""), Edit(6, 8, b""))
    assert [up_to(end, made) for end in (2, 3, 4, 6, 7, 8)] == [(), None, made[:1], made[:1], None, made]


@pytest.mark.parametrize(
    "talk",
    ["[" + FILLER * 40, FILLER * 20 + "[" + "x" * 382 + " " + "y" * 384, FILLER * 20 + "x" * 1000, FILLER * 4],
    ids=["like JSON", "like JSON from there on", "without a word's end", "short"],
)
def test_a_text_without_a_place_to_go_on_from_is_known_whole_or_not_at_all(chat: Steps, talk: str) -> None:
    said = [turn(FILLER * 40, "system"), turn(talk)]
    chat.begins(asked(*said))
    known = chat.begins(asked(*said[:1], turn(talk + FILLER)))
    assert known is not None
    assert known.part is None
    known = chat.begins(asked(*said, turn("And?")))
    assert known is not None
    assert known.count == 2


def test_whole_sentences_are_taken_out_of_whole_texts(chat: Steps) -> None:
    """Where a sentence begins may be farther off than any context: such a text is read whole."""
    chat.scope = Scope.SENTENCE
    talk = FILLER.replace(".", ",") * 40
    for more in ("", " and so on,", " until he had diabetes. Then", " we went on."):
        talk += more
        body = asked(turn(talk))
        call, clean = chat.take(body, chat.known)
        assert call.beginning is None or call.beginning.part is None
        assert clean.body == chat.take(body, None)[1].body


# What is not


def test_short_bodies_are_sooner_read_than_remembered(chat: Steps) -> None:
    for _ in range(2):
        assert chat.begins(asked(turn("How did it go?"), turn("Well.", "assistant"), turn("Why?"))) is None
    assert len(chat.known) == 0


def test_each_byte_of_what_is_known_counts(chat: Steps) -> None:
    body = asked(*LONG, turn("And the budget?"))
    chat.begins(asked(*LONG))
    end = len(asked(*LONG)) - 2
    for at in [*range(0, end, 7), end - 2, end - 1]:
        other = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        conversation = chat.known.meet(chat.asked.scope, other)
        assert conversation is not None
        assert conversation._known is None or conversation._known.end <= at


def test_nothing_is_shared_between_tenants_grants_operations_and_treatments(made: tuple[Bundle, Keyring]) -> None:
    steps = [
        Steps(*made, "/v1/chat/completions"),
        Steps(*made, "/v1/chat/completions", ALL_GRANTS),
        Steps(*made, "/v1/responses"),
        Steps(*made, "/v1/messages"),
        Steps(*made, "/v1/messages/count_tokens"),
    ]
    scopes = [one.asked.scope for one in steps]
    assert None not in scopes
    assert len(set(scopes)) == len(scopes)
    shared = Conversations(1000)
    body = asked(*LONG)
    steps[0].take(body, shared)
    assert steps[0].take(body, shared)[0].beginning is not None
    assert steps[1].take(body, shared)[0].beginning is None


def test_with_pseudonyms_nothing_is_known_again(made: tuple[Bundle, Keyring], tmp_path: Path) -> None:
    chosen: dict[str, object] = {"personal_data": {"kinds": ["EMAIL"]}}
    bundle = load(write_configuration(tmp_path, 1, "secret", settings=chosen), {}, wires=PROVIDERS)
    steps = Steps(bundle, made[1], "/v1/chat/completions")
    assert steps.asked.scope is None
    assert steps.known.meet(steps.asked.scope, asked(*LONG)) is None


def test_nothing_is_remembered_where_that_is_switched_off(chat: Steps) -> None:
    chat.known = Conversations(0)
    assert [chat.begins(asked(*LONG)) for _ in range(2)] == [None, None]
    assert len(chat.known) == 0


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"model": "gpt-simulated", "messages": LONG}).encode(),
        asked(*LONG).replace(b"coach", b"\\u0063oach"),
        asked({"content": "x", "role": "user", "name": None}, *LONG).replace(b"null", b"null "),
    ],
    ids=["spaces", "escapes", "one space"],
)
def test_what_is_written_otherwise_than_by_us_is_not_known(chat: Steps, body: bytes) -> None:
    assert chat.begins(body) is None
    assert chat.begins(body) is None
    assert chat.take(body, chat.known)[1].body == chat.take(body, None)[1].body


@pytest.mark.parametrize(("item", "kept"), [({"text": FILLER * 40}, 0), ({"content": FILLER * 40}, 1)])
def test_parts_that_read_on_are_not_parted(chat: Steps, item: dict[str, str], kept: int) -> None:
    """An item that is text itself reads on from the one before: what is found may run over both."""
    body = written({"model": "gpt-simulated", "messages": [item]})
    conversation = chat.known.meet(chat.asked.scope, body)
    assert conversation is not None
    document, _known = conversation.read("messages")
    grant = judge(read_call(chat.opened, asked(*LONG)), chat.asked.policy)
    conversation.keep(replace(grant, call=replace(grant.call, document=document)), Cleaned(document, {}), reads_on=True)
    assert len(chat.known) == kept


def test_items_that_use_a_grant_or_pass_unscanned_are_not_known(made: tuple[Bundle, Keyring]) -> None:
    steps = Steps(*made, "/v1/chat/completions", ALL_GRANTS)
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgoAAAAN"}}
    seen = [*LONG, {"role": "user", "content": [image]}]
    first = steps.outcome(asked(*seen), steps.known)
    assert first[3][4] == {"image": 1}
    known = steps.begins(asked(*seen, turn("What is it?")))
    assert known is not None
    assert known.count == len(LONG)
    assert steps.outcome(asked(*seen, turn("What is it?")), steps.known)[3][4] == {"image": 1}


@pytest.mark.parametrize(
    "after",
    ['{"role":"user","content":"x"}]', ' {"role":"user","content":"x"}]', "[]]", "5]", '"x"]', "]", ",{}]", "{}}", ""],
)
@pytest.mark.parametrize("between", [",", " ,", "", " ", "}", "\\", '"'])
def test_whatever_follows_on_it_is_read_as_it_stands(chat: Steps, between: str, after: str) -> None:
    body = asked(*LONG)
    chat.begins(body)
    for end in (b'],"model":"x"}', b',"model":"gpt-simulated"}', b"}"):
        other = body[: body.rindex(b"]")] + (between + after).encode() + end
        assert chat.outcome(other, chat.known) == chat.outcome(other, None)


def test_another_list_that_holds_the_same_is_not_taken_for_it(chat: Steps) -> None:
    shape = {"type": "object", "default": {"messages": LONG}}
    tools = [{"type": "function", "function": {"name": "f", "parameters": shape}}]
    for more in ([], [turn("And?")], [turn("And?"), turn("Then?")]):
        body = written({"tools": tools, "model": "gpt-simulated", "messages": [*LONG, *more]})
        assert isinstance(chat.outcome(body, None)[0], bytes)
        assert chat.outcome(body, chat.known) == chat.outcome(body, None)


def test_where_the_provider_may_cache_it_is_known_up_to_the_turn_that_says_so(made: tuple[Bundle, Keyring]) -> None:
    """As services write it: the breakpoint moves on to the last turn each time."""
    steps = Steps(*made, "/v1/messages", ALL_GRANTS)
    said = [turn(FILLER * 40), turn("I see.", "assistant")]
    for number in range(4):
        marked = {"type": "text", "text": f"And {number}?", "cache_control": {"type": "ephemeral"}}
        body = written(
            {"max_tokens": 5, "messages": [*said, {"role": "user", "content": [marked]}], "model": "claude-simulated"}
        )
        assert steps.outcome(body, steps.known) == (plain := steps.outcome(body, None))
        assert "prompt_cache" in plain[3][3]
        known = steps.begins(body)
        assert known is not None
        assert known.count == len(said)
        said += [turn(f"And {number}?"), turn("Well.", "assistant")]


def test_a_refusal_tells_the_place_as_the_caller_counts(chat: Steps) -> None:
    chat.begins(asked(*LONG))
    for new, where in (
        ({"role": "user", "content": "x", "mood": "fine"}, "messages[4].?2"),
        ({"role": "user", "content": [{"type": "input_video"}]}, "messages[4].content[0].type"),
        ({"role": "tool", "content": "x", "tool_call_id": "the-sclerosis"}, "messages[4].tool_call_id"),
    ):
        body = asked(*LONG, turn("x"), new)
        told = chat.outcome(body, chat.known)
        assert told == chat.outcome(body, None)
        assert told[1] == where


def test_more_values_than_may_be_are_refused_all_the_same(chat: Steps) -> None:
    many = [turn("x")] * ((MAX_NODES - 20) // 3)
    assert chat.begins(asked(*many)) is None
    for more in (1, 2, 3, 10):
        body = asked(*many, *[turn("y")] * more)
        assert chat.outcome(body, chat.known) == chat.outcome(body, None)
    assert chat.outcome(body, chat.known)[0] is Code.BODY_INVALID


# What is kept


def test_it_is_forgotten_in_time(chat: Steps) -> None:
    now = [0.0]
    chat.known = Conversations(100, 60.0, lambda: now[0])
    chat.begins(asked(*LONG))
    now[0] = 59.0
    assert chat.begins(asked(*LONG, turn("And?"))) is not None
    now[0] = 60.0  # what was learnt of it since goes with it
    assert chat.begins(asked(*LONG, turn("And?"), turn("Then?"))) is None


def test_the_one_unused_for_longest_goes_first(chat: Steps) -> None:
    chat.known = Conversations(16)
    talks = [[turn(f"Talk {number}. " + FILLER * 40), turn("And?")] for number in range(9)]
    for talk in talks[:8]:
        chat.begins(asked(*talk))
    assert chat.begins(asked(*talks[0])) is not None
    chat.begins(asked(*talks[8]))
    assert len(chat.known) == 16
    assert chat.begins(asked(*talks[0])) is not None
    assert chat.begins(asked(*talks[1])) is None


def test_nothing_of_a_text_is_kept(chat: Steps) -> None:
    chat.begins(asked(*LONG, turn("My rep has sclerosis."), turn("I see.", "assistant")))
    kept = [one for _weight, forks in chat.known._known.values() for one in forks]
    assert kept
    for one in kept:
        assert len(one.digest) == 32
        assert {edit.mark for edit in one.edits} <= {b"[REDACTED]"}
        assert {
            type(value)
            for value in one.__struct_fields__
            and orjson.loads(
                orjson.dumps([one.start, one.end, one.count, one.values, one.until, [edit[:2] for edit in one.edits]])
            )
        } <= {int, float, list}
    assert all(len(name) == 32 for name in chat.known._known)
    assert [
        repr(value) for value in (chat.known.meet(chat.asked.scope, asked(*LONG)), Beginning("m", 1, b"x", {}))
    ] == [
        "<Conversation>",
        "<Beginning>",
    ]


# All of it at once


def _texts() -> st.SearchStrategy[str]:
    words = st.sampled_from(
        ["sclerosis", "the synod", "[REDACTED]", "diabetes", "d\u00e9j\u00e0 vu", '"', "\\", ",{", "}]"]
    )
    return st.lists(st.one_of(words, st.text(max_size=6)), max_size=6).map(" ".join)


def _items() -> st.SearchStrategy[dict[str, Any]]:
    text = _texts()
    part = st.one_of(
        st.builds(lambda said: {"type": "text", "text": said}, text),
        st.just({"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgoAAAAN"}}),
    )
    call = st.builds(
        lambda said: {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": json.dumps({"q": said})}}
            ],
        },
        text,
    )
    return st.one_of(
        st.builds(turn, text),
        st.builds(lambda said: turn(FILLER * 15 + said + FILLER * 3, "assistant"), text),
        st.builds(lambda parts: {"role": "user", "content": parts}, st.lists(part, max_size=3)),
        call,
        st.builds(lambda said: {"role": "tool", "tool_call_id": "call_1", "content": said}, text),
        st.sampled_from(
            [{"role": "user"}, {"role": "king", "content": "x"}, {"role": "user", "content": 5}, {"text": "x"}]
        ),
    )


_MORE: list[dict[str, Any]] = [
    {},
    {"stream": True},
    {"store": True},
    {"stop": ["the synod"], "temperature": 0.5},
    {"metadata": {"a": "b"}},
    {"model": "no-such-model"},
]


@given(data=st.data())
@settings(max_examples=120, deadline=None)
def test_with_and_without_memory_all_calls_are_alike(made: tuple[Bundle, Keyring], data: st.DataObject) -> None:
    """Conversations that grow, fork, shrink and are broken: each call becomes the same, whatever is known."""
    steps = Steps(*made, "/v1/chat/completions", data.draw(st.sampled_from([CALLER, ALL_GRANTS])))
    items = [turn(FILLER * 30), *data.draw(st.lists(_items(), max_size=4))]
    more = data.draw(st.sampled_from(_MORE))
    for _ in range(data.draw(st.integers(2, 6))):
        first = data.draw(st.booleans())
        document = {"messages": items, "model": "gpt-simulated", **more}
        body = written(document if first else dict(reversed(document.items())))
        match data.draw(st.integers(0, 7)):
            case 0:
                at = data.draw(st.integers(0, len(body) - 1))
                body = body[:at] + data.draw(st.binary(max_size=2)) + body[at + data.draw(st.integers(0, 2)) :]
            case 1:
                body = body[:-1] + b',"messages":' + written({"a": items})[5:-1] + b"}"
            case 2:
                body = body.replace(
                    b"}]", data.draw(st.sampled_from([b"} ]", b"},]", b"},{}]", b"},5]", b"}}", b"},"]))
                )
            case _:
                pass
        assert steps.outcome(body, steps.known) == steps.outcome(body, None)
        match data.draw(st.integers(0, 4)):
            case 0:
                items = items[: data.draw(st.integers(1, len(items)))]
            case 1:
                items = [*items[:-1], data.draw(_items())]
            case 2:
                more = data.draw(st.sampled_from(_MORE))
            case _:
                items = [*items, *data.draw(st.lists(_items(), max_size=2))]


@given(data=st.data())
@settings(max_examples=120, deadline=None)
def test_with_and_without_memory_texts_that_grow_are_alike(made: tuple[Bundle, Keyring], data: st.DataObject) -> None:
    steps = Steps(*made, "/v1/chat/completions", scope=data.draw(st.sampled_from(list(Scope))))
    words = st.sampled_from(
        ["sclerosis", "the synod", "diabetes", "[REDACTED]", "[", '"', "\\n", "d\u00e9j\u00e0", "\n", " "]
    )
    piece = st.one_of(words, st.integers(1, 20).map(lambda count: FILLER * count), st.text(max_size=4))
    item: dict[str, Any] = {
        "role": "user",
        "content": FILLER * 60,
        **data.draw(st.sampled_from([{}, {"name": "diabetes"}])),
    }
    before = data.draw(st.lists(_items(), max_size=2))
    for _ in range(data.draw(st.integers(2, 6))):
        between = data.draw(st.sampled_from(["", " ", "\n"]))
        item = {**item, "content": item["content"] + between.join(data.draw(st.lists(piece, min_size=1, max_size=12)))}
        after = data.draw(st.lists(_items(), max_size=1))
        body = asked(*before, item, *after)
        assert steps.outcome(body, steps.known) == steps.outcome(body, None)


@pytest.mark.parametrize("talks", [8, pytest.param(1000, marks=pytest.mark.soak)])
def test_the_shipped_rules_find_the_same_in_talk_that_grows(made: tuple[Bundle, Keyring], talks: int) -> None:
    """Whatever they find near a place at which it is gone on from."""
    steps = Steps(*made, "/v1/chat/completions", rules=InProcess(Engine(made[0].recognizers, where=folder())))
    source = random.Random(1)
    said = [json.loads(line)["text"] for line in (ROOT / "tests/data/sales_dev.jsonl").read_text("utf-8").splitlines()]
    parts = 0
    for _ in range(talks):
        text = ""
        for _ in range(source.randrange(4, 24)):
            text += source.choice(("", " ", "\n")) + source.choice(said)[: source.choice((40, 300, 2000))]
            body = asked(turn("Coach.", "system"), turn(text))
            call, clean = steps.take(body, steps.known)
            parts += call.beginning is not None and call.beginning.part is not None
            whole = steps.take(body, None)[1]
            assert (clean.body, clean.redactions) == (whole.body, whole.redactions)
    assert parts > talks


def test_a_place_is_told_as_the_caller_counts(made: tuple[Bundle, Keyring]) -> None:
    call = Call(_entry(), {}, {}, 0, Beginning("messages", 7, b"", {}))
    places = {
        "messages[2].content": "messages[9].content",
        "messages": "messages",
        "tools[1]": "tools[1]",
        "model": "model",
    }
    assert {place: call.place(place) for place in places} == places
    assert call.place(None) is None


def _entry() -> Entry:
    wire = PROVIDERS["openai"]
    return Entry("0" * 26, datetime.now(UTC), wire, wire.operation("chat.completions"), "c", "k", "t", "p")
