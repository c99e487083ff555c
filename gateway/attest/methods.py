"""Reading one entry's settings back, by whichever method its file names. Never raises for what a provider does."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import orjson
from msgspec.structs import replace

from gateway.attest.verdicts import Reading, reading
from gateway.audit.words import Said, Setting
from gateway.errors import UpstreamError
from gateway.outside import Outside, Unreached
from gateway.policy.entries import Entry
from gateway.policy.facts import Credential
from providers.credentials import NotAKeyPair, Scheme, Signed, bearer, signature
from providers.document import Document
from providers.read_back import METHODS, STORED_ROOT, Method, Question, said_of_refusal

if TYPE_CHECKING:
    from gateway.attest.clients import Stored

_NO_KEY: Final = 401
_DENIED: Final = frozenset({_NO_KEY, 403})
_WAITS: Final = (0.0, 5.0, 55.0)
"""Seconds before each look for what may have been stored: it may take a moment to appear."""

Secret = Callable[[str], str]
"""A credential reference -> the secret. Raises `UpstreamError`."""

Show = Callable[[Signed], Mapping[str, str]]
"""A request -> the headers that show the credential."""


@dataclass(frozen=True, slots=True)
class Means:
    """What readings need beside the entry: credentials, trusted roots, and how to wait."""

    secret: Secret
    authorities: Path | None = None
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep


def addresses(entry: Entry) -> list[str]:
    """The base URLs that reading this entry's settings back goes to."""
    return [_place(entry), entry.form.base_url]


def _place(entry: Entry) -> str:
    asked = entry.form.read_back
    assert asked is not None  # noqa: S101  # whoever asks has looked
    return asked.base_url or METHODS[asked.method].place(entry.form.base_url)


async def prepare(entries: Mapping[str, Entry]) -> None:
    """Import what the entries' methods need, away from the event loop: it takes seconds."""
    methods = {METHODS[item.form.read_back.method].client for item in entries.values() if item.form.read_back}
    probes = any(item.form.read_back and item.form.read_back.probe for item in entries.values())
    if probes or methods - {"plain"}:
        await _load_clients()


async def read_settings(entry: Entry, means: Means) -> Reading:
    """Read an entry's settings back now. It must have a `read_back`."""
    asked = entry.form.read_back
    assert asked is not None  # noqa: S101  # whoever asks has looked
    method = METHODS[asked.method]
    at = time_ns() // 1000
    try:
        key = means.secret(_reference(entry, asked.credential))
    except UpstreamError:
        return reading(entry.id, at, method.settings, dict.fromkeys(method.settings, Said.DENIED.value))
    outside = Outside(addresses(entry), means.authorities)
    try:
        said = await _settings(method, entry, outside, _place(entry) + method.root, key)
    finally:
        await outside.close()
    return reading(entry.id, at, method.settings, said)


async def probe_storage(entry: Entry, means: Means) -> Reading:
    """Try whether the project keeps what it must not. The entry must have `read_back.probe`."""
    asked = entry.form.read_back
    assert asked is not None and asked.probe is not None  # noqa: S101  # whoever asks has looked
    at = time_ns() // 1000
    said = {Setting.STORED_BY_DEFAULT: Said.UNREACHABLE, Setting.STORED_IF_ASKED: Said.UNREACHABLE}
    base_url, model = entry.form.base_url + STORED_ROOT, asked.probe.model
    outside = Outside([base_url], means.authorities)
    await _load_clients()
    from gateway.attest.clients import Stored  # noqa: PLC0415  # loaded away from the event loop

    try:
        client = Stored(outside, base_url, means.secret(entry.form.credential.reference))
        by_default = said[Setting.STORED_BY_DEFAULT] = await _looked_for(client, model, None, means)
        if by_default in {Said.ABSENT, Said.PRESENT}:  # or a refusal of the next would be no answer to `store`
            said[Setting.STORED_IF_ASKED] = await _looked_for(client, model, True, means)
        control = asked.probe.control
        if control is not None and Said.ABSENT in said.values():
            found = await _looked_for(Stored(outside, base_url, means.secret(control.reference)), model, True, means)
            if found is not Said.PRESENT:
                said = _proved_nothing(said)
        elif control is None:
            said = _proved_nothing(said)
    except UpstreamError:
        said = _proved_nothing(said)
    finally:
        await outside.close()
    return Reading(entry.id, at, said)


def _proved_nothing(said: Mapping[Setting, Said]) -> dict[Setting, Said]:
    """A 404 also comes of a wrong key, host or path: without the control it says nothing. A find is a find."""
    return {setting: Said.UNREACHABLE if word is Said.ABSENT else word for setting, word in said.items()}


async def _looked_for(client: Stored, model: str, store: bool | None, means: Means) -> Said:
    """Leave the constant text and look for it again."""
    status, response_id = await client.leave(model, store=store)
    if status == 400 and store:
        return Said.REFUSED  # the project does not let anything be stored, and says so
    if status != 200 or not response_id:
        return Said.DENIED if status in _DENIED else Said.UNREACHABLE
    seen = 0
    for seconds in _WAITS:
        await means.pause(seconds)
        seen = await client.find(response_id)
        if seen == 200:
            return Said.PRESENT
        if seen != 404:
            return Said.DENIED if seen in _DENIED else Said.UNREACHABLE
    return Said.ABSENT


async def _settings(method: Method, entry: Entry, outside: Outside, base_url: str, key: str) -> dict[str, str]:
    asked = entry.form.read_back
    assert asked is not None  # noqa: S101  # whoever asks has looked
    scope = dict(entry.form.account_scope)
    if method.client == "covered_model":
        assert asked.model is not None  # noqa: S101  # the loader checks
        await _load_clients()
        from gateway.attest.clients import Messages  # noqa: PLC0415  # loaded away from the event loop

        status, document = await Messages(outside, base_url, key).try_model(asked.model)
        return said_of_refusal(status, document) or dict.fromkeys(method.settings, _unknown(status))
    said: dict[str, str] = {}
    named = entry.form.credential if asked.credential is None else asked.credential
    ask = await _asker(method, outside, base_url, key, scope, _shown(named.scheme, key, scope.get("region", "")))
    for question in method.questions:
        status, document = await ask(question)
        said |= question.said(document) if status == 200 else _none_of(question, status)
    return said


async def _asker(
    method: Method, outside: Outside, base_url: str, key: str, scope: Mapping[str, str], show: Show
) -> Callable[[Question], Awaitable[tuple[int, Document]]]:
    if method.client == "plain":
        return lambda question: _plain(outside, base_url, question.path.format_map(scope), show)
    await _load_clients()
    from gateway.attest.clients import Organization  # noqa: PLC0415  # loaded away from the event loop

    organization = Organization(outside, base_url, key)
    return lambda question: organization.ask(question.name, scope)


def _shown(scheme: Scheme, key: str, region: str) -> Show:
    if scheme == "aws_sigv4":
        return lambda request: signature(replace(request, region=region), key, datetime.now(UTC))
    return lambda _request: bearer(key)


async def _plain(outside: Outside, base_url: str, path: str, show: Show) -> tuple[int, Document]:
    try:
        headers = {"Accept": "application/json"}
        shown = show(Signed("GET", urlsplit(base_url).netloc, path, b"", "", headers=headers))
        answer = await outside.ask("GET", base_url + path, headers={**headers, **shown})
        document = orjson.loads(answer.body)
    except NotAKeyPair:
        return _NO_KEY, {}
    except Unreached:
        return 0, {}
    except orjson.JSONDecodeError:
        return answer.status if answer.status != 200 else 0, {}
    return answer.status, document if isinstance(document, dict) else {}


def _none_of(question: Question, status: int) -> dict[str, str]:
    """The settings that this question would have told, as not known."""
    return dict.fromkeys(question.settings, _unknown(status))


def _unknown(status: int) -> str:
    return (Said.DENIED if status in _DENIED else Said.UNREACHABLE).value


def _reference(entry: Entry, named: Credential | None) -> str:
    return (entry.form.credential if named is None else named).reference


async def _load_clients() -> None:
    await asyncio.to_thread(importlib.import_module, "gateway.attest.clients")
