"""How a provider's own retention settings are read back: which requests, and how their answers read.

Pure tables, as true in a program that let everything through: what a setting must say is decided elsewhere. A method
is of one wire and account; a vendor's word that stands in no table here is passed on as it came, so that whoever
judges it sees that it is unknown.

Sources, read 2026-11-23: OpenAI, admin reference of data retention (mirror of 2026-11-13), hosted tool permissions and
external storage as `openai` 3.57 types them; Anthropic, API and data retention (2026-08-21); AWS, Amazon Bedrock data
retention, and `GetAccountDataRetention` and `GetModelInvocationLoggingConfiguration` of botocore 1.44; Fireworks,
policy settings; Microsoft, data privacy of Foundry (2025-10-03); Google, `cacheConfig` of the aiplatform discovery.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from providers.document import Document, Value
from providers.places import control_url

Settings: TypeAlias = "dict[str, str]"
"""Setting -> how it reads, in one word."""

ABSENT: Final = "absent"
PRESENT: Final = "present"


class Question(Struct, frozen=True):
    """One thing to ask. `path` stands below the base URL, with `{key}` for a key of the account scope.

    `settings` is what it tells. `said` reads a good answer; it never raises, and gives no setting where the answer is
    not of the form expected.
    """

    name: str
    path: str
    settings: tuple[str, ...]
    said: Callable[[Document], Settings]


class Method(Struct, frozen=True):
    """One way of reading back.

    Attributes:
        name: as an entry writes it under `read_back`.
        wires: those whose entries may use it.
        client: which official client asks, or `plain` for a request with a bearer.
        scope: the keys of the entry's account scope that it needs.
        settings: everything that it reads; what an answer leaves out is not known.
        questions: in order; empty where the client knows what to ask.
        signs: whether a credential may be an AWS key pair that signs, instead of a bearer.
        needs_model: whether it needs `read_back.model`.
        own_credential: whether it asks with the credential of calls, where no other is named.
        root: what stands between an entry's base URL and the paths of the method.
        place: an entry's base URL -> where its settings are read, unless the entry says where.
    """

    name: str
    wires: tuple[str, ...]
    client: Literal["organization", "covered_model", "plain"]
    scope: tuple[str, ...]
    settings: tuple[str, ...]
    questions: tuple[Question, ...] = ()
    signs: bool = False
    needs_model: bool = False
    own_credential: bool = False
    root: str = ""
    place: Callable[[str], str] = str


def _type_as(setting: str) -> Callable[[Document], Settings]:
    return lambda document: _word(setting, document.get("type"))


def _tools(document: Document) -> Settings:
    out: Settings = {}
    for name in _HOSTED_TOOLS:
        tool = document.get(name)
        enabled = tool.get("enabled") if isinstance(tool, dict) else None
        if isinstance(enabled, bool):
            out[name] = "enabled" if enabled else "disabled"
    return out


def _storage(document: Document) -> Settings:
    """A copy of all content in a bucket of the customer's is a copy: whatever its status, it is there."""
    listed, more = document.get("data"), document.get("has_more")
    if not isinstance(listed, list) or more not in (False, None):
        return {}
    return {"external_storage": PRESENT if listed else ABSENT}


def _mode(document: Document) -> Settings:
    return _word("account_retention", document.get("mode"))


def _logging(document: Document) -> Settings:
    """Absent, empty or null: nothing is configured (botocore: the member is left out where there is none)."""
    return {"invocation_logging": PRESENT if document.get("loggingConfig") else ABSENT}


def _policy(document: Document) -> Settings:
    zero = document.get("zeroDataRetention")
    if isinstance(zero, bool):
        return {"policy": "enabled" if zero else "disabled"}
    return _word("policy", zero)


def _content_logging(document: Document) -> Settings:
    """The capability is there, and false, only where logging is off; it is absent otherwise."""
    properties = document.get("properties")
    listed = properties.get("capabilities") if isinstance(properties, dict) else None
    if not isinstance(listed, list):
        return {}
    values = [item.get("value") for item in listed if isinstance(item, dict) and item.get("name") == "ContentLogging"]
    return {"content_logging": "disabled" if values == ["false"] else ABSENT if not values else "enabled"}


def _cache(document: Document) -> Settings:
    return {"cache": "disabled" if document.get("disableCache") is True else "enabled"}


def _word(setting: str, value: Value) -> Settings:
    return {setting: value} if isinstance(value, str) and value else {}


_HOSTED_TOOLS: Final = ("code_interpreter", "file_search", "image_generation", "mcp", "web_search")

ORGANIZATION: Final = Method(
    name="openai_organization",
    wires=("openai",),
    client="organization",
    root="/v1",
    scope=("project",),
    settings=("project_retention", "organization_retention", *_HOSTED_TOOLS, "external_storage"),
    questions=(
        Question(
            "project_retention",
            "/organization/projects/{project}/data_retention",
            ("project_retention",),
            _type_as("project_retention"),
        ),
        Question(
            "organization_retention",
            "/organization/data_retention",
            ("organization_retention",),
            _type_as("organization_retention"),
        ),
        Question("hosted_tools", "/organization/projects/{project}/hosted_tool_permissions", _HOSTED_TOOLS, _tools),
        Question("external_storage", "/organization/external_storage", ("external_storage",), _storage),
    ),
)
COVERED_MODEL: Final = Method(
    name="anthropic_covered_model",
    wires=("anthropic",),
    client="covered_model",
    scope=(),
    settings=("covered_model",),
    needs_model=True,
    own_credential=True,
)
BEDROCK: Final = Method(
    name="bedrock_account",
    wires=("anthropic", "openai"),
    client="plain",
    scope=("account", "region"),
    settings=("account_retention", "invocation_logging"),
    questions=(
        Question("account_retention", "/data-retention", ("account_retention",), _mode),
        Question("invocation_logging", "/logging/modelinvocations", ("invocation_logging",), _logging),
    ),
    signs=True,
    own_credential=True,
    place=control_url,
)
FIREWORKS: Final = Method(
    name="fireworks_policy",
    wires=("openai", "anthropic"),
    client="plain",
    scope=("account",),
    settings=("policy",),
    questions=(Question("policy", "/v1/accounts/{account}/policySettings", ("policy",), _policy),),
    own_credential=True,
)

AZURE: Final = Method(
    name="azure_resource",
    wires=("openai",),
    client="plain",
    scope=("subscription", "resource_group", "resource"),
    settings=("content_logging",),
    questions=(
        Question(
            "content_logging",
            "/subscriptions/{subscription}/resourceGroups/{resource_group}/providers/Microsoft.CognitiveServices"
            "/accounts/{resource}?api-version=2024-10-01",
            ("content_logging",),
            _content_logging,
        ),
    ),
    place=lambda _base_url: "https://management.azure.com",
)
VERTEX: Final = Method(
    name="vertex_project",
    wires=("anthropic", "openai"),
    client="plain",
    scope=("project",),
    settings=("cache",),
    questions=(Question("cache", "/v1/projects/{project}/cacheConfig", ("cache",), _cache),),
    own_credential=True,
    place=control_url,
)

METHODS: Final[Mapping[str, Method]] = {
    method.name: method for method in (ORGANIZATION, COVERED_MODEL, BEDROCK, FIREWORKS, AZURE, VERTEX)
}
"""The explicit table: every method of reading back that there is."""

COVERED_REFUSAL: Final = ("invalid_request_error", "retention")
"""How a covered model is refused where nothing is kept: the error's type, and a word of its message (status 400)."""

STORED_ROOT: Final = "/v1"
"""What stands between a base URL and the stored answers of the wire that has any."""

STORING: Final = frozenset({"openai"})
"""The wires on which an answer can be asked for again."""

SENT: Final = ("accept", "authorization", "content-type", "x-api-key", "anthropic-version")
"""The headers of the official clients that matter; what else they send tells of this machine, or of its environment."""

TRIAL_TEXT: Final = "Say OK."
"""All that a probe ever sends: constant, about nobody."""


def said_of_refusal(status: int, document: Document) -> Settings:
    """How the answer to a request for a covered model reads: `served` is the alarm, `refused` is as agreed."""
    if status == 200:
        return {"covered_model": "served"}
    error = document.get("error")
    kind, message = (error.get("type"), error.get("message")) if isinstance(error, dict) else (None, None)
    expected, word = COVERED_REFUSAL
    if status == 400 and kind == expected and isinstance(message, str) and word in message.lower():
        return {"covered_model": "refused"}
    return {}
