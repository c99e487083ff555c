"""The drift alarm of the Anthropic wire: what the installed client can say, the surface must name.

Each test walks types of the installed `anthropic` package beside the compiled surface and fails with
the name of everything that the surface does not classify. Allowed, conditional, forced and refused all
count; absent does not. What is refused is not looked into; what is allowed is, to its last key.
"""

from __future__ import annotations

import copy
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import anthropic
import pytest
import yaml
from anthropic import types as ga
from anthropic._constants import ANTHROPIC_API_VERSION
from anthropic.types import beta, message_count_tokens_params, message_create_params, model_list_params
from anthropic.types.anthropic_beta_param import AnthropicBetaParam
from anthropic.types.beta import message_count_tokens_params as beta_count_params
from anthropic.types.beta import message_create_params as beta_create_params
from anthropic.types.beta.beta_message import BetaMessage
from anthropic.types.beta.beta_raw_message_delta_event import Delta as BetaDelta
from anthropic.types.raw_message_delta_event import Delta
from anthropic.types.shared.error_type import ErrorType
from pydantic import BaseModel
from typing_extensions import is_typeddict

from gateway.policy import rules
from gateway.policy.grammar import parse
from gateway.policy.surface import Surface
from providers.anthropic import ANTHROPIC, COUNT_TOKENS, MESSAGES

SURFACE_FILE = Path(__file__).parents[1] / "config" / "surfaces" / "anthropic.yaml"

# Parameters that the client turns into headers; the gateway drops those headers or judges them itself.
HEADER_PARAMETERS = {"betas", "workspace_id"}


def load(tree: object) -> Surface:
    """Compile a surface; a fault fails the test."""
    faults: list[str] = []
    surface = parse(tree, ANTHROPIC, lambda path, reason: faults.append(f"{path}: {reason}"))
    assert not faults, "\n".join(faults)
    return surface


WRITTEN: dict[str, typing.Any] = yaml.safe_load(SURFACE_FILE.read_text("utf-8"))


def written() -> dict[str, typing.Any]:
    """A copy of the surface file as YAML reads it."""
    return copy.deepcopy(WRITTEN)


@pytest.fixture(scope="module")
def surface() -> Surface:
    """The committed surface."""
    return load(written())


# --- the walk -----------------------------------------------------------------------------------


def members(kind: object) -> Iterator[object]:
    """The members of a union, through annotations; `None` is absence and left out."""
    origin = typing.get_origin(kind)
    if origin is typing.Union or origin is types.UnionType:
        for member in typing.get_args(kind):
            yield from members(member)
    elif origin is typing.Annotated or str(origin).endswith(("Required", "NotRequired")):
        yield from members(typing.get_args(kind)[0])
    elif kind is not type(None):
        yield kind


def is_record(kind: object) -> bool:
    """Whether a type is an object with named keys."""
    return is_typeddict(kind) or (isinstance(kind, type) and issubclass(kind, BaseModel))


def keys(record: object) -> dict[str, object]:
    """The keys of an object type as they stand on the wire."""
    if is_typeddict(record):
        return dict(typing.get_type_hints(record))
    assert isinstance(record, type)
    assert issubclass(record, BaseModel)
    return {field.alias or name: field.annotation for name, field in record.model_fields.items()}


def literals(kind: object) -> list[str]:
    """Every constant that a type may be."""
    found: list[str] = []
    for member in members(kind):
        if typing.get_origin(member) is typing.Literal:
            found.extend(str(value) for value in typing.get_args(member) if value is not None)
    return found


def spell(kind: object) -> str:
    """The name of a type in a report."""
    return getattr(kind, "__name__", str(kind))


def json_type(kind: object) -> str:
    """The JSON type that a value of this type has."""
    if is_record(kind) or typing.get_origin(kind) in (dict, Mapping):
        return "object"
    if typing.get_origin(kind) is typing.Literal or kind is str:
        return "string"
    if kind is bool:
        return "boolean"
    if kind in (int, float):
        return "number"
    return "list"


class Alarm:
    """Walks types and rules side by side and gathers what the rules do not name."""

    def __init__(self) -> None:
        self.missing: list[str] = []
        self._seen: set[tuple[str, int, tuple[str, ...]]] = set()

    def verdict(self, kind: object, verdict: rules.Verdict, where: str, told_by: tuple[str, ...] = ()) -> None:
        """A named thing: look inside only where it may be there.

        `told_by` are the keys by which the case was chosen: their constants were judged with it.
        """
        if isinstance(verdict, rules.Allow | rules.Conditional):
            self.shape(kind, verdict.shape, where, told_by)

    def shape(self, kind: object, shape: rules.Shape, where: str, told_by: tuple[str, ...]) -> None:
        """Every member of a type against one shape; of a bare `object` the client says nothing."""
        if isinstance(shape, rules.Json | rules.Schema | rules.Model):
            return
        for member in members(kind):
            if member is not object and (str(member), id(shape), told_by) not in self._seen:
                self._seen.add((str(member), id(shape), told_by))
                self.member(member, shape, where, told_by)

    def member(self, kind: object, shape: rules.Shape, where: str, told_by: tuple[str, ...]) -> None:
        """One type against one shape."""
        if isinstance(shape, rules.ByType):
            case = shape.cases.get(json_type(kind))
            if case is None:
                self.missing.append(f"{where}: a {json_type(kind)} ({spell(kind)})")
            else:
                self.verdict(kind, case, where)
        elif isinstance(shape, rules.Union):
            self.union(kind, shape, where, told_by)
        elif isinstance(shape, rules.Object):
            self.record(kind, shape, where, told_by)
        elif isinstance(shape, rules.ListOf):
            arguments = typing.get_args(kind)
            if json_type(kind) == "list" and arguments:
                self.verdict(arguments[0], shape.item, f"{where}[]")
            else:
                self.missing.append(f"{where}: {spell(kind)} where the surface has a list")
        elif isinstance(shape, rules.Constants):
            self.missing.extend(f"{where}: the value {value}" for value in literals(kind) if value not in shape.values)
        elif json_type(kind) in ("object", "list") and kind not in FILE_TYPES:
            self.missing.append(f"{where}: {spell(kind)} where the surface has one value")

    def union(self, kind: object, shape: rules.Union, where: str, told_by: tuple[str, ...]) -> None:
        """Each name that tells the cases apart."""
        if not is_record(kind):
            self.missing.append(f"{where}: {spell(kind)} where the surface has objects")
            return
        names = literals(keys(kind).get(shape.by)) or ([shape.absent] if shape.absent else [])
        if not names:
            self.missing.append(f"{where}: {spell(kind)} has no {shape.by}")
        for name in names:
            case = shape.cases.get(name)
            if case is None:
                self.missing.append(f"{where}: {shape.by} {name} ({spell(kind)})")
            else:
                self.verdict(kind, case, f"{where}<{name}>", (*told_by, shape.by))

    def record(self, kind: object, shape: rules.Object, where: str, told_by: tuple[str, ...]) -> None:
        """Each key of an object."""
        if not is_record(kind):
            self.missing.append(f"{where}: {spell(kind)} where the surface has an object")
            return
        for key, inner in keys(kind).items():
            verdict = shape.fields.get(key)
            if verdict is None:
                self.missing.append(f"{where}.{key} ({spell(kind)})")
            elif key not in told_by:
                self.verdict(inner, verdict, f"{where}.{key}")


# An image's data may be given to the client as an open file; on the wire it is a string.
FILE_TYPES = tuple(members(keys(ga.Base64ImageSourceParam)["data"]))


def drift(surface: Surface, operation: str, parameters: object) -> list[str]:
    """What the parameters of an operation hold that the surface does not name."""
    alarm = Alarm()
    verdict = surface.operations[operation]
    for member in members(parameters):
        alarm.verdict(member, verdict, operation)
    return alarm.missing


def unnamed(surface: Surface, namespace: str, names: list[str]) -> list[str]:
    """The names that a namespace of the answers lacks."""
    return [f"{namespace} {name}" for name in names if name not in surface.answers[namespace]]


def type_names(union: object, key: str = "type") -> list[str]:
    """The constants of a key over all members of a union of models."""
    return [name for member in members(union) for name in literals(keys(member)[key])]


def element(kind: object) -> object:
    """The item type of an optional list."""
    return typing.get_args(next(iter(members(kind))))[0]


# --- requests -----------------------------------------------------------------------------------

REQUESTS = [
    ("messages", message_create_params.MessageCreateParamsNonStreaming),
    ("messages", message_create_params.MessageCreateParamsStreaming),
    ("messages", beta_create_params.MessageCreateParamsNonStreaming),
    ("messages", beta_create_params.MessageCreateParamsStreaming),
    ("messages.count_tokens", message_count_tokens_params.MessageCountTokensParams),
    ("messages.count_tokens", beta_count_params.MessageCountTokensParams),
]


@pytest.mark.parametrize(("operation", "parameters"), REQUESTS, ids=lambda value: getattr(value, "__module__", value))
def test_surface_names_every_parameter_of_the_client(surface: Surface, operation: str, parameters: object) -> None:
    """Every parameter, message, block, source, citation, tool and nested key of a request is classified."""
    missing = drift(surface, operation, parameters)

    assert not missing, "the surface does not classify:\n" + "\n".join(sorted(set(missing)))


def test_surface_names_every_header_value_of_the_client(surface: Surface) -> None:
    """Every beta and the version that the client sends are classified."""
    betas = [beta for beta in literals(AnthropicBetaParam) if beta not in surface.headers["anthropic-beta"].values]

    assert not betas, f"the surface does not classify the betas {betas}"
    assert ANTHROPIC_API_VERSION in surface.headers["anthropic-version"].values


def test_surface_names_every_query_of_the_models_list(surface: Surface) -> None:
    """Every query parameter of the list of models is classified."""
    queries = set(keys(model_list_params.ModelListParams)) - HEADER_PARAMETERS - set(surface.query)

    assert not queries, f"the surface does not classify the queries {queries}"


def test_surface_names_every_path_of_the_client(surface: Surface) -> None:
    """Every path and method of the client is an operation or refused with a reason."""
    known = {f"{operation.method} {re.sub('{.*}', '{}', operation.path)}" for operation in ANTHROPIC.operations}
    known |= {re.sub(r"\{\w+\}", "{}", path) for path in surface.refused_paths}
    call = re.compile(r'self\._(post|put|patch|get|delete|get_api_list)\(\s*(?:path_template\(\s*)?f?"(/v1/[^"?]*)')
    missing = []
    for file in (Path(anthropic.__file__).parent / "resources").rglob("*.py"):
        for verb, path in call.findall(file.read_text("utf-8")):
            method = {"get_api_list": "GET"}.get(verb, verb.upper())
            name = f"{method} {re.sub(r'{[^}]*}', '{}', path)}"
            if name not in known and not path.startswith("/v1/organizations"):
                missing.append(f"{method} {path}")

    assert not missing, "the surface does not classify:\n" + "\n".join(sorted(set(missing)))
    assert any(path.endswith(" /v1/organizations") for path in surface.refused_paths)


# --- answers ------------------------------------------------------------------------------------

STREAMED = [
    ("event", type_names(ga.RawMessageStreamEvent)),
    ("event", type_names(beta.BetaRawMessageStreamEvent)),
    ("delta", type_names(ga.RawContentBlockDelta)),
    ("delta", type_names(beta.BetaRawContentBlockDelta)),
    ("block", type_names(ga.ContentBlock)),
    ("block", type_names(beta.BetaContentBlock)),
    ("tool", literals(keys(ga.ServerToolUseBlock)["name"])),
    ("tool", literals(keys(beta.BetaServerToolUseBlock)["name"])),
    ("caller", type_names(keys(ga.ToolUseBlock)["caller"])),
    ("caller", type_names(keys(beta.BetaServerToolUseBlock)["caller"])),
    ("citation", type_names(keys(ga.CitationsDelta)["citation"])),
    ("citation", type_names(keys(beta.BetaCitationsDelta)["citation"])),
    ("citation", type_names(element(keys(beta.BetaTextBlock)["citations"]))),
    ("iteration", type_names(element(keys(beta.BetaUsage)["iterations"]))),
]


@pytest.mark.parametrize(("namespace", "names"), STREAMED, ids=lambda value: value if isinstance(value, str) else "")
def test_surface_names_everything_an_answer_may_show(surface: Surface, namespace: str, names: list[str]) -> None:
    """Every event, delta, block, hosted tool, caller, citation and iteration is classified."""
    missing = unnamed(surface, namespace, names)

    assert names
    assert not missing, f"the surface does not classify {missing}"


COUNTERS = "input_tokens output_tokens output_tokens_details cache_creation cache_creation_input_tokens "
COUNTERS += "cache_read_input_tokens server_tool_use iterations inference_geo"
ENVELOPE = "id type role content model usage stop_reason container diagnostics"
# Fields that were looked at and show no kept state: what they say is about this one answer.
HARMLESS = "stop_sequence stop_details context_management input_transformations service_tier speed fallback_credit"
READ_FIELDS = set(f"{COUNTERS} {ENVELOPE} {HARMLESS}".split())
ENVELOPES = (ga.Message, BetaMessage, ga.Usage, beta.BetaUsage, ga.MessageDeltaUsage, beta.BetaMessageDeltaUsage)


@pytest.mark.parametrize("record", [*ENVELOPES, Delta, BetaDelta], ids=spell)
def test_every_field_of_an_answer_was_looked_at(record: object) -> None:
    """A new field of a message or of its usage is read by the wire, or was found to betray no kept state."""
    new = set(keys(record)) - READ_FIELDS

    assert not new, f"decide whether these fields of {spell(record)} show kept state: {new}"


def test_wire_knows_every_stop_reason_and_error_type() -> None:
    """Every stop reason and error type of the client is a word of the wire's own lists."""
    reasons = {*literals(keys(BetaMessage)["stop_reason"]), *literals(ga.StopReason)}
    observed = {
        reason: ANTHROPIC.observe(MESSAGES, {"type": "message", "content": [], "stop_reason": reason}).finishes
        for reason in reasons
    }
    errors = {kind: ANTHROPIC.error_code({"error": {"type": kind}})[0] for kind in literals(ErrorType)}

    assert {reason: (reason,) for reason in reasons} == observed
    assert {kind: kind for kind in errors} == errors


def test_every_counter_of_a_count_was_looked_at() -> None:
    """The answer to a count of tokens has no field that was not looked at."""
    assert set(keys(beta.BetaMessageTokensCount)) | set(keys(ga.MessageTokensCount)) == {
        "input_tokens",
        "context_management",
    }
    assert ANTHROPIC.observe(COUNT_TOKENS, {"input_tokens": 7}).usage


# --- the alarm itself -----------------------------------------------------------------------------


def drop(*path: str) -> Callable[[dict[str, typing.Any]], None]:
    """An edit that takes one entry out of the surface."""

    def edit(tree: dict[str, typing.Any]) -> None:
        for step in path[:-1]:
            tree = tree[step]
        del tree[path[-1]]

    return edit


EDITS = {
    "parameter": (drop("shapes", "message_request", "fields", "speed"), "messages.speed"),
    "refused parameter": (drop("shapes", "message_request", "fields", "thread"), "messages.thread"),
    "nested parameter": (drop("shapes", "block_binding", "fields", "prefix_mismatch_behavior"), "mismatch_behavior"),
    "tool": (drop("shapes", "tool", "cases", "bash_20250124"), "type bash_20250124"),
    "key of a tool": (drop("shapes", "web_search_filtering", "fields", "user_location"), "user_location"),
    "hosted tool": (drop("shapes", "server_tool_use_block", "cases", "advisor"), "name advisor"),
    "block": (drop("shapes", "block", "cases", "container_upload"), "type container_upload"),
    "source": (drop("shapes", "document_source", "cases", "file"), "type file"),
    "citation": (drop("shapes", "citation", "cases", "page_location"), "type page_location"),
    "key of a citation": (drop("shapes", "char_location", "fields", "file_id"), "file_id"),
    "JSON type": (drop("shapes", "message_request", "fields", "fallbacks", "types", "string"), "fallbacks: a string"),
    "constant": (lambda tree: tree["shapes"]["effort"].remove("max"), "the value max"),
    "member of a toolset": (drop("shapes", "browser_members", "fields", "zoom"), "zoom"),
}


@pytest.mark.parametrize(("edit", "name"), EDITS.values(), ids=EDITS)
def test_alarm_names_what_a_surface_lacks(edit: Callable[[dict[str, typing.Any]], None], name: str) -> None:
    """Taking one entry out of the surface makes the alarm name it."""
    tree = written()
    edit(tree)

    missing = drift(load(tree), "messages", beta_create_params.MessageCreateParamsNonStreaming)

    assert missing
    assert all(name in line for line in missing), missing


def test_alarm_names_what_the_answers_lack() -> None:
    """Taking a block out of the answers makes the alarm name it."""
    tree = written()
    del tree["answers"]["block"]["fallback"]

    assert unnamed(load(tree), "block", type_names(beta.BetaContentBlock)) == ["block fallback"]
