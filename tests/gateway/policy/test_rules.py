"""The kinds of rule, each on a document that reaches it."""

from __future__ import annotations

import base64

import pytest

from gateway.errors import Code, Rule
from gateway.policy.grammar import parse
from gateway.policy.rules import Allow, Misfit, Object, Refuse, Text, Url, Walk
from providers.document import Approved, Document, Encoded, Identifier, Opaque, Sealed, Value
from tests.gateway.policy.surfaces import SURFACE, TOY

FAULTS: list[tuple[object, str]] = []
TOY_SURFACE = parse(SURFACE, TOY, lambda path, reason: FAULTS.append((path, reason)))
PNG = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(40))).decode()
CIPHER = base64.b64encode(bytes((i * 97 + 31) % 251 for i in range(96))).decode()


def walk(*granted: str) -> Walk:
    def approved(schema: Value) -> Value:
        return Approved(schema) if schema == {"type": "object"} else None

    return Walk(frozenset(granted), approved, lambda value: "0f" * 16)


def read(document: Document, used: Walk) -> Document:
    shape = TOY_SURFACE.operations["ask"]
    out = shape.read({"model": "m", "store": False, "tier": "default", **document}, used)
    assert isinstance(out, dict)
    return out


def test_the_surface_of_these_tests_has_no_fault() -> None:
    """What the tests below judge by is itself sound."""
    assert FAULTS == []


@pytest.mark.parametrize(
    ("document", "code", "where"),
    [
        pytest.param({"nope": 1}, Code.PARAMETER_UNKNOWN, "?3", id="a field that is not named"),
        pytest.param({"temperature": "hot"}, Code.PARAMETER_UNKNOWN, "temperature", id="a word for a number"),
        pytest.param({"temperature": True}, Code.PARAMETER_UNKNOWN, "temperature", id="true for a number"),
        pytest.param({"count": 1.5}, Code.PARAMETER_UNKNOWN, "count", id="a fraction for a whole number"),
        pytest.param({"stream": 1}, Code.PARAMETER_UNKNOWN, "stream", id="1 for true"),
        pytest.param({"call_id": "a b"}, Code.PARAMETER_UNKNOWN, "call_id", id="a space in an identifier"),
        pytest.param({"call_id": "a" * 65}, Code.PARAMETER_UNKNOWN, "call_id", id="an identifier too long"),
        pytest.param({"effort": "extreme"}, Code.PARAMETER_UNKNOWN, "effort", id="a constant that is not named"),
        pytest.param({"bias": {"word": 1}}, Code.PARAMETER_UNKNOWN, "bias", id="a bias for a word"),
        pytest.param({"store": True}, Code.PARAMETER_RETAINS_DATA, "store", id="storing asked for"),
        pytest.param({"store": 0}, Code.PARAMETER_RETAINS_DATA, "store", id="0 for false"),
        pytest.param({"previous": "r1"}, Code.PARAMETER_RETAINS_DATA, "previous", id="stored state"),
        pytest.param({"background": True}, Code.PARAMETER_RETAINS_DATA, "background", id="background mode"),
        pytest.param({"background": 0}, Code.PARAMETER_RETAINS_DATA, "background", id="0 for a harmless false"),
        pytest.param({"include": ["stored"]}, Code.PARAMETER_RETAINS_DATA, "include[0]", id="a refused constant"),
        pytest.param({"input": 7}, Code.CONTENT_NOT_SCANNABLE, "input", id="a token"),
        pytest.param({"input": True}, Code.PARAMETER_UNKNOWN, "input", id="a JSON type that has no case"),
        pytest.param(
            {"input": [{"type": "text", "text": "a"}, {"type": "sound"}]},
            Code.PARAMETER_UNKNOWN,
            "input[1].type",
            id="a part that is not named",
        ),
        pytest.param({"input": [{"id": "i1"}]}, Code.PARAMETER_RETAINS_DATA, "input[0]", id="a part by its id only"),
        pytest.param(
            {"input": [{"type": "image", "data": PNG}]},
            Code.CONTENT_NOT_SCANNABLE,
            "input[0]",
            id="an image without the grant",
        ),
        pytest.param(
            {"input": [{"text": "a", "parts": [{"text": "b", "x": 1}]}]},
            Code.PARAMETER_UNKNOWN,
            "input[0].parts[0].?1",
            id="an unnamed field deep inside",
        ),
        pytest.param(
            {"secret": base64.b64encode(b"my patient has diabetes").decode()},
            Code.CONTENT_NOT_SCANNABLE,
            "secret",
            id="text dressed as a blob",
        ),
        pytest.param(
            {"secret": base64.b64encode("diabète et épilepsie".encode("utf-16")).decode()},
            Code.CONTENT_NOT_SCANNABLE,
            "secret",
            id="UTF-16 dressed as a blob",
        ),
        pytest.param(
            {"secret": base64.b64encode("糖尿病と診断されました".encode()).decode()},
            Code.CONTENT_NOT_SCANNABLE,
            "secret",
            id="UTF-8 of another script dressed as a blob",
        ),
        pytest.param({"secret": "not base64!"}, Code.CONTENT_NOT_SCANNABLE, "secret", id="a blob that is not base64"),
        pytest.param({"format": {"type": "array"}}, Code.SCHEMA_NOT_APPROVED, "format", id="a schema not approved"),
        pytest.param(
            {"tools": [{"name": "t", "strict": True, "parameters": {"type": "array"}}]},
            Code.SCHEMA_NOT_APPROVED,
            "tools[0].parameters",
            id="a strict tool not approved",
        ),
        pytest.param({"model": None}, Code.BODY_INVALID, "model", id="a required field missing"),
        pytest.param({"user": 7}, Code.PARAMETER_UNKNOWN, "user", id="a user that is no string"),
    ],
)
def test_refuses_with_code_and_path(document: Document, code: Code, where: str) -> None:
    """A value that may not leave is refused by a code, and by a path without the caller's words."""
    with pytest.raises(Misfit) as caught:
        read(document, walk())

    assert (caught.value.code, caught.value.where()) == (code, where)


@pytest.mark.parametrize(
    ("field", "value", "kept"),
    [
        pytest.param("temperature", None, None, id="null is absence"),
        pytest.param("note", "hello", str, id="content stays plain, to be scanned"),
        pytest.param("call_id", "call_1-a", Identifier, id="an identifier"),
        pytest.param("secret", CIPHER, Opaque, id="ciphertext"),
        pytest.param("secret", CIPHER.replace("+", "-").replace("/", "_"), Opaque, id="ciphertext in the URL alphabet"),
        pytest.param("thought", "hm", Sealed, id="a signed thought"),
        pytest.param("arguments", "{}", Encoded, id="JSON inside a string"),
        pytest.param("effort", "low", Opaque, id="a constant becomes ours"),
        pytest.param("tier", "slow", Opaque, id="a tolerated value"),
    ],
)
def test_types_each_string_for_the_redactor(field: str, value: Value, kept: type | None) -> None:
    """What leaves is typed by what may happen to it; only what was judged is exempt from the scan."""
    out = read({field: value}, walk())

    assert type(out[field]) is kept if kept else out[field] is None


@pytest.mark.parametrize(("labels", "kept"), [([], True), (["a"], False), ({}, False), (0, False), ("", False)])
def test_a_tolerated_value_is_one_of_its_own_type(labels: Value, kept: bool) -> None:
    """An empty list holds nothing; what only compares alike is not it."""
    gathered = walk()
    assert read({"labels": labels}, gathered).get("labels") == ([] if kept else None)
    assert ("labels" in {one.where for one in gathered.forced}) is not kept


def test_every_refused_name_passes_as_null() -> None:
    """SDKs send null for what was not set; that is absence, and the field does not leave."""
    out = read({"previous": None, "background": False}, walk())

    assert "previous" not in out
    assert "background" not in out


def test_forces_what_is_absent_and_says_so() -> None:
    """A parameter whose absence retains data is set, and listed for the header."""
    used = walk()

    out = TOY_SURFACE.operations["ask"].read({"model": "m", "labels": {"a": "b"}, "user": "u-1", "tier": "fast"}, used)

    assert isinstance(out, dict)
    assert out["store"] is False
    assert out["tier"] == "default"
    assert out["user"] == "0f" * 16
    assert "labels" not in out
    assert [str(force) for force in used.forced] == ["labels=absent", "user=pseudonym", "tier=default", "store=false"]


def test_leaves_nothing_forced_unsaid() -> None:
    """A caller that sends the safe values itself sees no forced header."""
    used = walk()

    read({}, used)

    assert used.forced == []


def test_strictness_that_nobody_asked_for_is_forced_off() -> None:
    """Where absence means strict, an unapproved schema leaves without strictness; an approved one keeps it."""
    used = walk()

    out = read(
        {"tools": [{"name": "a", "parameters": {"type": "array"}}, {"name": "b", "parameters": {"type": "object"}}]},
        used,
    )

    tools = out["tools"]
    assert isinstance(tools, list)
    assert tools[0] == {"name": "a", "parameters": {"type": "array"}, "strict": False}
    assert tools[1] == {"name": "b", "parameters": {"type": "object"}}
    assert isinstance(tools[1], dict)
    assert type(tools[1]["parameters"]) is Approved
    assert [str(force) for force in used.forced] == ["tools.strict=false"]


def test_granted_images_pass_and_are_counted() -> None:
    """Inline bytes pass where granted, and what went unscanned is counted by kind."""
    used = walk("inline_images")

    read({"input": [{"type": "image", "data": PNG}, {"type": "image", "data": PNG}]}, used)

    assert used.unscanned == {"image": 2}
    assert list(used.used) == ["inline_images"]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param("https://elsewhere.example/a.png", Code.PARAMETER_RETAINS_DATA, id="a remote image"),
        pytest.param(PNG.replace("image/png", "image/svg+xml"), Code.CONTENT_NOT_SCANNABLE, id="a type not listed"),
        pytest.param(
            "data:image/png;base64," + base64.b64encode(b"plain words").decode(),
            Code.CONTENT_NOT_SCANNABLE,
            id="a false type",
        ),
        pytest.param("data:image/png,abc", Code.CONTENT_NOT_SCANNABLE, id="not base64"),
    ],
)
def test_a_grant_for_images_is_for_inline_images_only(data: str, code: Code) -> None:
    """The grant opens neither references nor other bytes."""
    with pytest.raises(Misfit) as caught:
        read({"input": [{"type": "image", "data": data}]}, walk("inline_images"))

    assert caught.value.code is code


def test_collects_models_wherever_they_hide() -> None:
    """Every model's name is gathered, the call's own first."""
    used = walk()

    read({"tools": [{"name": "a", "strict": False, "helper": "other"}]}, used)

    assert used.models == ["m", "other"]


def test_what_depends_on_the_model_is_deferred() -> None:
    """A force by trait waits for the route; with the grant the caller's own value passes."""
    used, freed = walk(), walk("cache")

    read({}, used)
    out = read({"cache_options": {"1": 2}}, freed)

    assert [(force.field, value) for force, value in used.deferred] == [("cache_options", None)]
    assert freed.deferred == []
    assert out["cache_options"] == {"1": 2}


def test_headers_leave_as_our_constants() -> None:
    """A named beta passes; a refused one, an ungranted one and an unknown one do not."""
    kept = TOY_SURFACE.read_headers({"toy-beta": "good-1, good-1", "x-other": "y"}, walk())
    codes = {}
    for value in ("files-1", "cache-1", "good-1,what-9"):
        with pytest.raises(Misfit) as caught:
            TOY_SURFACE.read_headers({"toy-beta": value}, walk())
        codes[value] = (caught.value.code, caught.value.where())

    assert kept == {"toy-beta": "good-1,good-1"}
    assert codes == {
        "files-1": (Code.PARAMETER_RETAINS_DATA, "toy-beta"),
        "cache-1": (Code.PARAMETER_RETAINS_DATA, "toy-beta"),
        "good-1,what-9": (Code.PARAMETER_UNKNOWN, "toy-beta"),
    }


def test_a_url_is_told_apart_by_holding_its_data() -> None:
    """A data URL and a reference have a verdict each; what is no string has none."""
    rule = Rule("T1 2026-11-23")
    shape = Url(rule, data=Allow(rule, Text(rule)), other=Refuse(rule, Code.PARAMETER_RETAINS_DATA))
    codes = {}
    for value in ("https://third.party/x", "DATA:image/png", "", 7):
        with pytest.raises(Misfit) as caught:
            shape.read(value, walk())
        codes[value] = caught.value.code

    assert shape.read("data:,x", walk()) == "data:,x"
    assert codes == {
        "https://third.party/x": Code.PARAMETER_RETAINS_DATA,
        "DATA:image/png": Code.PARAMETER_RETAINS_DATA,
        "": Code.PARAMETER_RETAINS_DATA,
        7: Code.PARAMETER_UNKNOWN,
    }


@pytest.mark.parametrize("document", [{}, {"place": None}], ids=["absent", "null"])
def test_a_needed_field_is_missed_with_its_own_code_and_advice(document: Document) -> None:
    """Where the provider's default would keep data, leaving the field out is refused as that, not as bad form."""
    rule = Rule("T1 2026-11-23", "Name the place.")
    shape = Object(rule, "tool", {"place": Allow(rule, Text(rule))}, needed={"place": Code.PARAMETER_RETAINS_DATA})
    with pytest.raises(Misfit) as caught:
        shape.read(document, walk())

    assert (caught.value.code, caught.value.where()) == (Code.PARAMETER_RETAINS_DATA, "place")
    assert caught.value.rule.instead == "Name the place."
    assert shape.read({"place": "here"}, walk()) == {"place": "here"}
