"""Attributes as OpenTelemetry's protocol has them in JSON: a list of keys, each with a value that names its type.

https://github.com/open-telemetry/opentelemetry-proto/blob/main/docs/specification.md, "JSON Protobuf Encoding".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

Value: TypeAlias = "str | int | float | bool | Sequence[object]"

SERVICE = "zero-retention-gateway"


def attribute(key: str, value: Value) -> dict[str, object]:
    """A `KeyValue`."""
    return {"key": key, "value": _any(value)}


def attributes(of: Mapping[str, Value | None]) -> list[dict[str, object]]:
    """Those that are known; None is not."""
    return [attribute(key, value) for key, value in of.items() if value is not None]


def _any(value: object) -> dict[str, object]:
    """An `AnyValue`. 64-bit integers are decimal strings in this encoding."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list | tuple):
        return {"arrayValue": {"values": [_any(each) for each in value]}}
    return {"stringValue": str(value)}
