"""The drift alarm: everything the installed `openai` client can say or hear has a verdict in the surface.

The walk goes over the client's types and the surface's rules side by side. What the surface refuses,
forces or grants on condition is classified as much as what it allows; only what it does not name is
drift. Inside what may pass, every key of every object is walked too.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import openai
import pytest
import typing_extensions
from openai import BaseModel
from openai.types import (
    chat,
    completion_usage,
    create_embedding_response,
    embedding_create_params,
    moderation_create_params,
    moderation_create_response,
    responses,
)
from openai.types.audio import transcription_create_params, transcription_stream_event
from openai.types.audio.transcription import UsageTokens
from openai.types.beta import response_create_params as beta_create_params
from openai.types.chat import chat_completion, chat_completion_chunk, completion_create_params
from openai.types.responses import response_content_part_added_event, response_create_params, response_output_text
from openai.types.responses.response_usage import ResponseUsage

from gateway.policy import rules
from gateway.policy.surface import Surface
from providers.openai import CHAT, OPENAI, RESPONSES
from tests import surfaces

_WRAPPERS = (typing.Annotated, typing_extensions.Required, typing_extensions.NotRequired)
_LISTS = (list, tuple, Sequence, Iterable)


@pytest.fixture(scope="module")
def surface() -> Surface:
    """The surface of this repository."""
    return surfaces.load(surfaces.written(OPENAI), OPENAI)


# --- reading the client's types -------------------------------------------------------------------


def branches(kind: object) -> list[object]:
    """The members of a union, without None; of any other type, itself."""
    origin = typing.get_origin(kind)
    if origin in _WRAPPERS:
        return branches(typing.get_args(kind)[0])
    if origin in (typing.Union, types.UnionType):
        return [branch for member in typing.get_args(kind) for branch in branches(member)]
    return [] if kind is type(None) else [kind]


def is_object(kind: object) -> bool:
    """Whether a type has named keys."""
    return typing_extensions.is_typeddict(kind) or (isinstance(kind, type) and issubclass(kind, BaseModel))


def keys(kind: object) -> dict[str, object]:
    """The keys of an object type, as they stand on the wire."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {field.alias or name: field.annotation for name, field in kind.model_fields.items()}
    return typing_extensions.get_type_hints(kind)


def constants(kind: object) -> list[str]:
    """Every constant that a type lists."""
    return [
        str(value).lower() if isinstance(value, bool) else str(value)
        for branch in branches(kind)
        if typing.get_origin(branch) is typing.Literal
        for value in typing.get_args(branch)
    ]


def json_word(kind: object) -> str:
    """The surface's word for the JSON type of a value of this type."""
    origin = typing.get_origin(kind)
    if is_object(kind) or origin in (dict, Mapping):
        return "object"
    if kind is str or origin is typing.Literal:
        return "string"
    if kind is bool:
        return "boolean"
    return "number" if kind in (int, float) else "list"


def named(union: object) -> list[str]:
    """The constants of `type` over the members of a union."""
    return [word for branch in branches(union) if is_object(branch) for word in constants(keys(branch)["type"])]


def element(kind: object) -> object:
    """The item type of a list, which may be optional."""
    return typing.get_args(branches(kind)[0])[0]


def spell(kind: object) -> str:
    """A type's name, for a report."""
    return getattr(kind, "__name__", str(kind))


_FORMS: dict[type, str] = {
    rules.ListOf: "list",
    rules.Union: "object",
    rules.Object: "object",
    rules.MapOf: "object",
}


# --- walking types and rules side by side -----------------------------------------------------------


class Drift:
    """Gathers, as places in a request, what the surface does not name."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._walked: set[tuple[str, int, frozenset[str]]] = set()

    def verdict(self, kind: object, verdict: rules.Verdict, where: str, settled: frozenset[str] = frozenset()) -> None:
        """Look inside what may pass. `settled` are the keys that already chose this case."""
        shape = getattr(verdict, "shape", None)
        if isinstance(verdict, rules.Allow | rules.Conditional | rules.ForceBy) and shape is not None:
            self.shape(kind, shape, where, settled)

    def shape(self, kind: object, shape: rules.Shape, where: str, settled: frozenset[str]) -> None:
        """Every branch of a type against one shape."""
        if isinstance(shape, rules.Json | rules.Schema | rules.Model):
            return  # content of any form
        for branch in branches(kind):
            mark = (str(branch), id(shape), settled)
            if branch is not object and mark not in self._walked:
                self._walked.add(mark)
                self.branch(branch, shape, where, settled)

    def branch(self, kind: object, shape: rules.Shape, where: str, settled: frozenset[str]) -> None:
        """One branch against one shape."""
        word = json_word(kind)
        if isinstance(shape, rules.ByType):
            if (case := shape.cases.get(word)) is None:
                self.found.append(f"{where}: a {word} ({spell(kind)})")
            else:
                self.verdict(kind, case, where, settled)
        elif isinstance(shape, rules.Constants):
            self.found.extend(f"{where}: the value {value}" for value in constants(kind) if value not in shape.values)
        elif (needed := _FORMS.get(type(shape), "string")) != word and {needed, word} & {"object", "list"}:
            self.found.append(f"{where}: {spell(kind)} where the surface has one {needed}")
        elif isinstance(shape, rules.ListOf) and typing.get_args(kind):
            self.verdict(element(kind), shape.item, f"{where}[]")
        elif isinstance(shape, rules.Union) and is_object(kind):
            self.union(kind, shape, where, settled)
        elif isinstance(shape, rules.Object) and is_object(kind):
            self.object(kind, shape, where, settled)

    def union(self, kind: object, shape: rules.Union, where: str, settled: frozenset[str]) -> None:
        """Each value of the key that tells the cases apart."""
        values = constants(keys(kind).get(shape.by)) or ([shape.absent] if shape.absent else [])
        if not values:
            self.found.append(f"{where}: {spell(kind)} has no {shape.by}")
        for value in values:
            if (case := shape.cases.get(value)) is None:
                self.found.append(f"{where}: {shape.by} {value} ({spell(kind)})")
            else:
                self.verdict(kind, case, f"{where}<{value}>", settled | {shape.by})

    def object(self, kind: object, shape: rules.Object, where: str, settled: frozenset[str]) -> None:
        """Each key of an object."""
        for key, inner in keys(kind).items():
            if (verdict := shape.fields.get(key)) is None:
                self.found.append(f"{where}.{key} ({spell(kind)})")
            elif key not in settled and (where, key) != ("audio.transcriptions", "file"):
                self.verdict(inner, verdict, f"{where}.{key}")  # a form's file is no JSON; the client opens it


def drift(surface: Surface, operation: str, parameters: object) -> list[str]:
    """What the parameters of an operation hold that the surface does not name."""
    walk = Drift()
    for branch in branches(parameters):
        walk.verdict(branch, surface.operations[operation], operation)
    return sorted(set(walk.found))


def unnamed(surface: Surface, namespace: str, names: list[str]) -> list[str]:
    """The names that a namespace of the answers lacks; `name:variant` stands for its name."""
    known = {name.partition(":")[0] for name in surface.answers[namespace]} | set(surface.answers[namespace])
    return sorted({name for name in names if name not in known})


# --- requests -----------------------------------------------------------------------------------

REQUESTS = {
    "chat": ("chat.completions", completion_create_params.CompletionCreateParams),
    "responses": ("responses", response_create_params.ResponseCreateParams),
    "embeddings": ("embeddings", embedding_create_params.EmbeddingCreateParams),
    "moderations": ("moderations", moderation_create_params.ModerationCreateParams),
    "transcriptions": ("audio.transcriptions", transcription_create_params.TranscriptionCreateParams),
}


@pytest.mark.parametrize(("operation", "parameters"), REQUESTS.values(), ids=REQUESTS)
def test_surface_names_every_parameter_of_the_client(surface: Surface, operation: str, parameters: object) -> None:
    """Every parameter, message, part, item, tool, constant and nested key of a request is classified."""
    missing = drift(surface, operation, parameters)

    assert not missing, "the surface does not classify:\n" + "\n".join(missing)


def test_surface_names_the_parameters_and_items_of_the_beta(surface: Surface) -> None:
    """What the beta of the Responses API adds has a verdict by name, so that its refusal says what to do."""
    parameters = set(keys(beta_create_params.ResponseCreateParamsNonStreaming)) - {"betas"}
    items = named(
        element(
            next(
                kind
                for kind in branches(keys(beta_create_params.ResponseCreateParamsNonStreaming)["input"])
                if kind is not str
            )
        )
    )
    request, item = surface.shapes["responses_request"], surface.shapes["input_item"]
    assert isinstance(request, rules.Object)
    assert isinstance(item, rules.Union)

    assert not parameters - set(request.fields)
    assert not set(items) - set(item.cases)


def test_surface_names_every_beta_header_of_the_client(surface: Surface) -> None:
    """Every value of the beta header that the client can send is classified."""
    pattern = re.compile(r'"(?:OpenAI-Beta|openai-beta)": "([^"]+=[^"]+)"')
    sources = (Path(openai.__file__).parent / "resources").rglob("*.py")
    sent = {value for path in sources for value in pattern.findall(path.read_text("utf-8"))}
    sent |= set(constants(element(keys(beta_create_params.ResponseCreateParamsNonStreaming)["betas"])))

    assert len(sent) > 3
    assert not sent - set(surface.headers["openai-beta"].values)


def test_surface_names_every_path_of_the_client(surface: Surface) -> None:
    """Every path and method of the client is an operation, or is refused with a reason."""
    known = {f"{operation.method} {bare(operation.path)}" for operation in OPENAI.operations}
    known |= {bare(path) for path in surface.refused_paths}
    call = re.compile(r'self\._(post|put|patch|get|delete|get_api_list)\(\s*(?:path_template\(\s*)?f?"(/[^"?]*)')
    missing = set()
    for file in (Path(openai.__file__).parent / "resources").rglob("*.py"):
        for verb, path in call.findall(file.read_text("utf-8")):
            methods = ("GET", "POST") if verb == "get_api_list" else (verb.upper(),)  # a list may be asked by POST
            named_here = any(f"{method} /v1{bare(path)}" in known for method in methods)
            if not path.startswith(("/organization", "/projects")) and not named_here:
                missing.add(f"{verb} {path}")

    assert not missing, f"the surface does not classify {sorted(missing)}"
    assert surface.refusal_of("GET", "/v1/organization/projects") is not None


def bare(path: str) -> str:
    """A path whose parameters have no names."""
    return re.sub(r"\{\w+\}", "{}", path)


# --- answers ------------------------------------------------------------------------------------

SHOWN = {
    "stream events": ("event", named(responses.ResponseStreamEvent)),
    "events of a socket": ("event", named(responses.ResponsesServerEvent)),
    "transcript events": ("event", named(transcription_stream_event.TranscriptionStreamEvent)),
    "chat chunks": ("event", constants(keys(chat.ChatCompletionChunk)["object"])),
    "output items": ("item", named(responses.ResponseOutputItem)),
    "listed items": ("item", named(responses.ResponseItem)),
    "message parts": ("part", named(element(keys(responses.ResponseOutputMessage)["content"]))),
    "parts of events": ("part", named(keys(response_content_part_added_event.ResponseContentPartAddedEvent)["part"])),
    "reasoning": ("part", named(element(keys(responses.ResponseReasoningItem)["content"]))),
    "summaries": ("part", named(element(keys(responses.ResponseReasoningItem)["summary"]))),
    "annotations": ("annotation", named(element(keys(response_output_text.ResponseOutputText)["annotations"]))),
    "chat annotations": (
        "annotation",
        constants(keys(element(keys(chat.ChatCompletionMessage)["annotations"]))["type"]),
    ),
    "tools": ("tool", named(element(keys(responses.Response)["tools"]))),
}


@pytest.mark.parametrize(("namespace", "names"), SHOWN.values(), ids=SHOWN)
def test_surface_names_everything_an_answer_may_show(surface: Surface, namespace: str, names: list[str]) -> None:
    """Every event, output item, content part, annotation and tool of an answer is classified."""
    assert names
    assert not unnamed(surface, namespace, names)


CHAT_TOOL_CALLS = named(element(keys(chat.ChatCompletionMessage)["tool_calls"]))

# For each object of an answer: the keys that the wire reads, and those that were found to show nothing kept.
LOOKED_AT: dict[type, tuple[str, str]] = {
    responses.Response: (
        "id model object output status incomplete_details usage tools metadata error store background conversation "
        "previous_response_id prompt access_programs prompt_cache_diagnostics prompt_cache_options "
        "prompt_cache_retention moderation tool_usage",
        "created_at completed_at instructions parallel_tool_calls temperature tool_choice top_p image "
        "input_transformations max_output_tokens max_tool_calls prompt_cache_key reasoning safety_identifier "
        "service_tier text top_logprobs truncation user",
    ),
    ResponseUsage: ("input_tokens output_tokens input_tokens_details output_tokens_details", "total_tokens"),
    chat.ChatCompletion: (
        "id model object choices usage metadata moderation",
        "created service_tier system_fingerprint",
    ),
    chat.ChatCompletionChunk: (
        "id model object choices usage moderation",
        "created service_tier system_fingerprint obfuscation",
    ),
    chat_completion.Choice: ("message finish_reason", "index logprobs"),
    chat_completion_chunk.Choice: ("delta finish_reason", "index logprobs"),
    chat.ChatCompletionMessage: ("tool_calls function_call audio annotations content", "role refusal"),
    chat_completion_chunk.ChoiceDelta: ("tool_calls function_call audio content", "role refusal"),
    completion_usage.CompletionUsage: (
        "prompt_tokens completion_tokens prompt_tokens_details completion_tokens_details",
        "total_tokens",
    ),
    completion_usage.PromptTokensDetails: (
        "cached_tokens cache_write_tokens",
        "audio_tokens image_tokens text_tokens",
    ),
    create_embedding_response.CreateEmbeddingResponse: ("model usage object", "data"),
    moderation_create_response.ModerationCreateResponse: ("id model", "results"),
    UsageTokens: ("input_tokens output_tokens", "type total_tokens input_token_details"),
}


@pytest.mark.parametrize("kind", LOOKED_AT, ids=spell)
def test_every_field_of_an_answer_was_looked_at(kind: type) -> None:
    """A new field of an answer is read by the wire, or was found to betray no kept state."""
    new = set(keys(kind)) - set(" ".join(LOOKED_AT[kind]).split())

    assert not new, f"decide whether these fields of {spell(kind)} show kept state: {sorted(new)}"


def test_wire_knows_every_finish_and_error_code_of_the_client() -> None:
    """Every finish reason, status and error code of the client is a word of the wire's closed lists."""
    reasons = constants(keys(chat_completion.Choice)["finish_reason"])
    causes = constants(keys(branches(keys(responses.Response)["incomplete_details"])[0])["reason"])
    codes = constants(keys(responses.ResponseError)["code"])

    assert all(_chat_finish(reason) == (reason,) for reason in reasons)
    assert {_response_finish(cause) for cause in causes} <= {(cause,) for cause in causes} | {("other",)}
    assert ("max_output_tokens",) in {_response_finish(cause) for cause in causes}
    assert not [code for code in codes if OPENAI.error_code({"error": {"code": code}})[1] != code]


def _chat_finish(reason: str) -> tuple[str, ...]:
    return OPENAI.observe(CHAT, {"choices": [{"finish_reason": reason, "message": {}}]}).finishes


def _response_finish(cause: str) -> tuple[str, ...]:
    answer = {"status": "incomplete", "incomplete_details": {"reason": cause}, "output": []}
    return OPENAI.observe(RESPONSES, typing.cast("dict[str, typing.Any]", answer)).finishes


# --- the alarm itself -----------------------------------------------------------------------------


def drop(*path: str) -> Callable[[dict[str, typing.Any]], None]:
    """An edit that takes one entry out of the surface."""

    def edit(tree: dict[str, typing.Any]) -> None:
        for step in path[:-1]:
            tree = tree[step]
        del tree[path[-1]]

    return edit


EDITS = {
    "parameter": (drop("shapes", "responses_request", "fields", "truncation"), "responses.truncation"),
    "refused parameter": (drop("shapes", "responses_request", "fields", "prompt"), "responses.prompt"),
    "forced parameter": (drop("shapes", "responses_request", "fields", "metadata"), "responses.metadata"),
    "nested parameter": (drop("shapes", "reasoning", "fields", "context"), "responses.reasoning.context"),
    "key under a grant": (drop("shapes", "prompt_cache_options", "fields", "prewarm"), "prompt_cache_options.prewarm"),
    "tool": (drop("shapes", "tool", "cases", "apply_patch"), "type apply_patch"),
    "refused tool": (drop("shapes", "tool", "cases", "mcp"), "type mcp"),
    "key of a tool": (drop("shapes", "image_svg", "fields", "model"), "svg.model"),
    "input item": (drop("shapes", "input_item", "cases", "program"), "type program"),
    "key of an item": (drop("shapes", "shell_action", "fields", "timeout_ms"), "action.timeout_ms"),
    "content part": (drop("shapes", "input_part", "cases", "input_file"), "type input_file"),
    "key of a part": (drop("shapes", "input_file", "fields", "file_url"), "file_url"),
    "JSON type": (
        drop("shapes", "responses_request", "fields", "tool_choice", "types", "string"),
        "tool_choice: a str",
    ),
    "constant": (lambda tree: tree["shapes"]["effort"]["is"].remove("max"), "effort: the value max"),
}


@pytest.mark.parametrize(("edit", "name"), EDITS.values(), ids=EDITS)
def test_alarm_names_what_a_surface_lacks(edit: Callable[[dict[str, typing.Any]], None], name: str) -> None:
    """Taking one entry out of the surface makes the alarm name it, and nothing else."""
    tree = surfaces.written(OPENAI)
    edit(tree)

    missing = drift(surfaces.load(tree, OPENAI), "responses", response_create_params.ResponseCreateParams)

    assert missing
    assert all(name in line for line in missing), missing


def test_alarm_names_what_the_answers_lack() -> None:
    """Taking an output item out of the answers makes the alarm name it."""
    tree = surfaces.written(OPENAI)
    del tree["answers"]["item"]["compaction"]

    assert unnamed(surfaces.load(tree, OPENAI), "item", named(responses.ResponseOutputItem)) == ["compaction"]
    assert CHAT_TOOL_CALLS == ["function", "custom"]
