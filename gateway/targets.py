"""Which operation a request line names: an exact look-up of the raw target, byte for byte.

No decoding, no normalising, no prefix match: `/v1%2fmessages`, `/v1//messages` and `/v1/messages/` name
nothing. The wire is decided by the alias, else by the path, else (two wires may list models) by a
header that only one wire's clients send; it is known even where the path is not, so that
every refusal has the shape of a wire.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

from gateway.errors import Code, Refused
from gateway.policy.surface import Surface
from providers.provider import Operation, Provider

_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}").fullmatch
_PAIR = re.compile(r"([a-z_]{1,32})=([A-Za-z0-9._:-]{1,128})").fullmatch


class Target(Struct, frozen=True):
    """What a request line names.

    `operation` is None where it names nothing that this gateway knows; `argument` is the last path
    segment where the operation takes one; `path` is the wire's own path; `query` is the raw query.
    """

    wire: Provider
    method: str
    path: str
    operation: Operation | None
    argument: str | None = None
    query: str | None = None


class Targets:
    """Every request target of every wire."""

    def __init__(self, wires: Mapping[str, Provider]) -> None:
        self._wires = wires
        self._exact: dict[tuple[str, str, str], Operation] = {}
        self._plain: dict[tuple[str, str], Target] = {}
        self._stems: dict[tuple[str, str, str], Operation] = {}
        self._owners: dict[str, list[Provider]] = {}
        for wire in wires.values():
            for operation in wire.operations:
                stem, brace, _rest = operation.path.partition("{")
                table = self._stems if brace else self._exact
                table[wire.name, operation.method, stem] = operation
                self._owners.setdefault(stem, []).append(wire)
        for wire_name, method, path in self._exact:
            wire = wires[wire_name]
            named = [wire.alias + path, path] if len(self._owners[path]) == 1 else [wire.alias + path]
            self._plain.update({(method, one): self._look(method, one, {}) for one in named})

    def find(self, method: str, raw_target: str, headers: Mapping[str, str]) -> Target:
        """Look a request line up. Never fails: an unknown one has no operation."""
        return self._plain.get((method, raw_target)) or self._look(method, raw_target, headers)

    def _look(self, method: str, raw_target: str, headers: Mapping[str, str]) -> Target:
        raw_path, mark, query = raw_target.partition("?")
        wire, path = self._wire(raw_path, headers)
        question = query if mark else None
        operation = self._exact.get((wire.name, method, path))
        if operation is not None:
            return Target(wire, method, path, operation, None, question)
        stem, _slash, last = path.rpartition("/")
        operation = self._stems.get((wire.name, method, f"{stem}/"))
        if operation is not None and _SEGMENT(last):
            return Target(wire, method, path, operation, last, question)
        return Target(wire, method, path, None, None, question)

    def wire_of(self, raw_target: str, headers: Mapping[str, str]) -> Provider:
        """The wire that a request line is of, whose form its errors have."""
        return self._wire(raw_target.partition("?")[0], headers)[0]

    def _wire(self, raw_path: str, headers: Mapping[str, str]) -> tuple[Provider, str]:
        for wire in self._wires.values():
            if raw_path.startswith(wire.alias + "/"):
                return wire, raw_path[len(wire.alias) :]
        owners = self._owners.get(raw_path) or self._owners.get(raw_path.rpartition("/")[0] + "/") or []
        if len(owners) == 1:
            return owners[0], raw_path
        told = [wire for wire in owners or self._wires.values() if wire.telltale_header in headers]
        untold = [wire for wire in self._wires.values() if wire.telltale_header is None]
        return (told or untold)[0], raw_path


def read_query(target: Target, surface: Surface) -> dict[str, str]:
    """The query of a request, as the surface names it; only what the gateway answers itself has one.

    Raises:
        Refused: a parameter that the surface does not name or refuses, here or at all.
    """
    if target.query is None:
        return {}
    out: dict[str, str] = {}
    for index, pair in enumerate(target.query.split("&")):
        found = _PAIR(pair)
        name = found.group(1) if found else ""
        verdict = surface.query.get(name)
        if verdict is None or found is None or name in out:
            raise Refused(
                Code.PARAMETER_UNKNOWN, "the surface does not name this query parameter", where=f"query.?{index}"
            )
        if not target.operation or target.operation.body != "none" or hasattr(verdict, "code"):
            raise Refused(
                Code.PARAMETER_UNKNOWN,
                "this query parameter is not used here",
                where=f"query.{name}",
                rule=verdict.rule,
            )
        out[name] = found.group(2)
    return out
