"""A small made-up wire and its surface, with every kind of rule, for the tests of this room."""

from __future__ import annotations

from providers.provider import Observation, Operation, Provider
from providers.speech import Speech

ASK = Operation("ask", "POST", "/v1/ask")

TOY = Provider(
    name="toy",
    alias="/toy",
    operations=(ASK, Operation("hear", "POST", "/v1/hear", body="multipart")),
    forwarded_request_headers=("toy-beta",),
    forwarded_response_headers=(),
    request_id_header="x-request-id",
    credential=lambda secret: {"authorization": f"Bearer {secret}"},
    shape_error=lambda refusal: refusal.code.encode(),
    shape_stream_error=lambda operation, refusal: refusal.code.encode(),
    observe=lambda operation, document: Observation(),
    observe_event=lambda operation, name, document: Observation(event=name),
    error_code=lambda document: ("", ""),
    scrub_error=lambda document, replace: document,
    list_models=lambda models, query: b"[]",
    show_model=lambda model: b"{}",
    asks_stream=lambda document: document.get("stream") is True,
    ask_usage=lambda operation, document: False,
    is_usage_event=lambda operation, document: False,
    said=lambda _operation, _document, _known: [],
    show_rates=lambda _rates, _now: {},
    said_in_event=lambda _operation, _data, _known: Speech(),
)

SURFACE: dict[str, object] = {
    "wire": "toy",
    "read": "2026-11-23",
    "sources": {"T1": {"page": "https://toy.example/retention"}},
    "grants": {"inline_images": "images", "cache": "the provider's cache", "hearing": "audio"},
    "traits": {"cache": ["explicit", "none"]},
    "operations": {
        "ask": {"allow": "request", "source": "T1"},
        "hear": {"conditional": "hearing", "shape": "request", "source": "T1", "instead": "Ask for the grant."},
    },
    "paths": {
        "/v1/files": {
            "methods": ["GET", "POST"],
            "refuse": "operation_not_allowed",
            "source": "T1",
            "instead": "Send text.",
        }
    },
    "headers": {
        "toy-beta": {
            "source": "T1",
            "values": {
                "good-1": "allow",
                "files-1": {"refuse": "parameter_retains_data", "instead": "Send text."},
                "cache-1": {"conditional": "cache", "instead": "Leave it out."},
            },
        }
    },
    "query": {"limit": {"allow": "text", "source": "T1"}},
    "answers": {
        "event": {"source": "T1", "delta": "json"},
        "item": {
            "source": "T1",
            "message": "json",
            "search": {"conditional": "cache", "instead": "-"},
            "container": {"refuse": "response_not_allowed", "instead": "-"},
        },
        "echo": {"source": "T1", "stored": {"refuse": "response_not_allowed", "instead": "-"}},
    },
    "shapes": {
        "request": {
            "source": "T1",
            "required": ["model"],
            "fields": {
                "model": "model",
                "stream": "boolean",
                "temperature": "number",
                "count": "integer",
                "note": "text",
                "call_id": "id",
                "secret": "blob",
                "thought": "sealed",
                "arguments": "encoded",
                "bias": {"map": "number"},
                "effort": ["low", "high"],
                "include": {
                    "list": {
                        "values": {
                            "plain": "allow",
                            "stored": {"refuse": "parameter_retains_data", "instead": "Leave it out."},
                        }
                    }
                },
                "input": {
                    "types": {
                        "string": "text",
                        "list": {"list": "part"},
                        "number": {"refuse": "content_not_scannable", "instead": "Send strings."},
                    }
                },
                "store": {"force": False, "instead": "Leave it out."},
                "tier": {"force": "default", "contrary": "replace", "tolerated": ["slow"]},
                "labels": {"force": "absent", "contrary": "replace", "when_absent": "leave", "tolerated": [[]]},
                "user": {"force": "pseudonym"},
                "cache_options": {
                    "force_by": "cache",
                    "cases": {"explicit": {"mode": "explicit"}, "none": "absent"},
                    "unless": "cache",
                    "shape": {"map": "number"},
                    "instead": "Leave it out.",
                },
                "previous": {"refuse": "parameter_retains_data", "instead": "Resend the items."},
                "background": {"refuse": "parameter_retains_data", "harmless": [False], "instead": "Poll yourself."},
                "format": {"types": {"object": "schema"}},
                "tools": {"list": "tool"},
            },
        },
        "part": {
            "by": "type",
            "source": "T1",
            "absent": "reference",
            "absent_with": {"text": "text"},
            "cases": {
                "text": "text_part",
                "image": {
                    "conditional": "inline_images",
                    "shape": "image_part",
                    "code": "content_not_scannable",
                    "instead": "Describe it in words.",
                },
                "reference": {"refuse": "parameter_retains_data", "instead": "Resend the item."},
            },
        },
        "text_part": {"source": "T1", "fields": {"text": "text", "parts": {"list": "part"}}},
        "image_part": {
            "source": "T1",
            "fields": {"data": {"inline": "image", "form": "data_url", "types": ["image/png"]}},
        },
        "tool": {
            "source": "T1",
            "fields": {
                "name": "name",
                "strict": "boolean",
                "parameters": "json",
                "helper": "model",
            },
            "strictness": {
                "flag": "strict",
                "schema": "parameters",
                "absent_is_strict": True,
                "label": "tools.strict",
                "instead": "Have the schema approved.",
            },
        },
    },
}
