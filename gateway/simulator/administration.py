"""What the simulated provider keeps, and how its own settings read: the administration endpoints of several vendors.

Everything is an attribute that a test sets: what is agreed by default, any drift on demand.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import orjson

from gateway.simulator.answer import Answer, Received, encode, read_document
from providers.credentials import Signed, signature
from providers.document import Document, Value

ADMINISTRATOR = "simulated-administration-credential"
"""Reads settings, and opens nothing else."""

CONTROL = "simulated-control-credential"
"""Of a project that does keep what it is sent."""

KEY_PAIR = "AKIDSIMULATED0000000:simulated+secret/access+key:simulated//session+token=="
REGION = "eu-central-1"
"""Signs requests to the simulated cloud, in its one region."""

COVERED = "claude-covered"
"""A model that is served only where the workspace keeps things."""

_TOOLS = ("code_interpreter", "file_search", "image_generation", "mcp", "web_search")


class Administration:
    """The settings, and the few paths at which they are read.

    Attributes:
        status: answer every question of settings with this status instead; 200 for none.
        raw: answer with this body instead; None for none.
        project: the retention setting of project `proj_simulated`; likewise `organization`.
        tools: hosted tools that are enabled.
        storage: whether the organization has a bucket for copies.
        keeps: whether answers that may be stored are.
        retains: whether covered models are served, since everything is kept.
        mode: the retention mode of the cloud account; likewise `logging`, a configuration of its invocation log.
        policy: what the account policy says of zero retention.
        capabilities: of a cloud resource.
        cache_is_off: whether a cloud project caches nothing.
        asked: the questions that came, as "METHOD path".
    """

    def __init__(self) -> None:
        self.status = 200
        self.raw: bytes | None = None
        self.project: Value = "zero_data_retention"
        self.organization: Value = "zero_data_retention"
        self.tools: set[str] = set()
        self.storage = False
        self.keeps = False
        self.retains = False
        self.mode: Value = "none"
        self.logging: Document = {}
        self.policy: Value = True
        self.capabilities: Value = [{"name": "ContentLogging", "value": "false"}]
        self.cache_is_off: Value = True
        self.asked: list[str] = []
        self._stored: dict[str, bytes] = {}

    def answer(self, received: Received) -> Answer | None:
        """The answer to a question of settings or to a read-back; None where it is neither."""
        method, path = received.request.method, received.path
        if path.startswith("/v1/responses/") and method in {"GET", "DELETE"}:
            return self._kept(method, path.removeprefix("/v1/responses/"))
        if path == "/v1/messages" and received.document.get("model") == COVERED and not self.retains:
            message = "This model needs data retention to be enabled for your workspace."
            error: Document = {"type": "invalid_request_error", "message": message}
            return Answer(body=encode({"type": "error", "error": error}), status=400)
        setting = self._setting(path) if method == "GET" else None
        if setting is None:
            return None
        self.asked.append(f"{method} {path}")
        if bearer(received) != ADMINISTRATOR and not signed(received):
            return Answer(body=encode({"error": {"message": "no", "type": "invalid_request_error"}}), status=401)
        if self.status != 200:
            return Answer(body=encode({"error": {"message": "no", "type": "server_error"}}), status=self.status)
        return Answer(body=encode(setting) if self.raw is None else self.raw)

    def remember(self, received: Received, answer: Answer) -> None:
        """Keep an answer for read-back, where this project keeps what may be stored."""
        if received.path != "/v1/responses" or answer.status != 200 or not answer.body:
            return
        if received.document.get("store") is not False and (self.keeps or bearer(received) == CONTROL):
            self._stored[str(read_document(answer.body).get("id"))] = answer.body

    def _kept(self, method: str, name: str) -> Answer:
        body = self._stored.pop(name, None) if method == "DELETE" else self._stored.get(name)
        if body is None:
            error: Document = {"message": "Response not found.", "type": "invalid_request_error"}
            return Answer(body=encode({"error": error}), status=404)
        return Answer(body=body)

    def _setting(self, path: str) -> Document | None:
        project = "/v1/organization/projects/proj_simulated"
        tools: Document = {name: {"enabled": name in self.tools} for name in _TOOLS}
        buckets: list[Value] = [_bucket()] if self.storage else []
        mode: Document = {"mode": self.mode, "updatedAt": "2026-06-20T00:00:00Z"}
        resource = "/subscriptions/s-1/resourceGroups/g.1/providers/Microsoft.CognitiveServices/accounts/r-1"
        answers: dict[str, Document] = {
            resource: {"properties": {"capabilities": self.capabilities}},
            "/v1/projects/proj_simulated/cacheConfig": {"disableCache": self.cache_is_off},
            f"{project}/data_retention": {"object": "project.data_retention", "type": self.project},
            "/v1/organization/data_retention": {"object": "organization.data_retention", "type": self.organization},
            f"{project}/hosted_tool_permissions": tools,
            "/v1/organization/external_storage": {"object": "list", "data": buckets, "has_more": False},
            "/data-retention": mode,
            "/logging/modelinvocations": self.logging,
            "/v1/accounts/simulated/policySettings": {"zeroDataRetention": self.policy},
        }
        return answers.get(path)


def bearer(received: Received) -> str:
    """The bearer of a request, or empty."""
    return received.request.headers.get("authorization", "").removeprefix("Bearer ")


def admits(received: Received) -> bool:
    """Whether this is another credential than the provider's usual one, and good."""
    return bearer(received) == CONTROL or signed(received)


def signed(received: Received) -> bool:
    """Whether the request is signed by `KEY_PAIR`, for `REGION`, over what arrived, within the last minutes."""
    headers = received.request.headers
    said = headers.get("authorization", "")
    found = re.search(r"SignedHeaders=([a-z0-9;-]+),", said)
    try:
        at = datetime.strptime(headers.get("x-amz-date", ""), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return False
    if found is None or abs(datetime.now(UTC) - at) > timedelta(minutes=5):
        return False
    own = {"host", "x-amz-date", "x-amz-security-token"}
    named = {name: headers.get(name, "") for name in found[1].split(";") if name not in own}
    path = received.request.raw_path
    request = Signed(received.request.method, headers.get("host", ""), path, received.body, REGION, headers=named)
    return signature(request, KEY_PAIR, at)["Authorization"] == said


def _bucket() -> Value:
    bucket = orjson.loads(
        b'{"id":"extstore_1","object":"organization.external_storage","created_at":1790000000,"geography":"EU",'
        b'"project_id":"proj_simulated","status":"pending","provider":{"type":"gcp","audience":"a","bucket":"b",'
        b'"region":"eu","workload_identity_pool_id":"p","workload_identity_project_number":"1",'
        b'"workload_identity_provider_id":"i"}}'
    )
    assert isinstance(bucket, dict)  # noqa: S101  # it stands above
    return bucket
