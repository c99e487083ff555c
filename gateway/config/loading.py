"""Reads a configuration directory: all files, every fault, then one bundle or none.

Nothing is half in force: one fault anywhere and `load` raises, so a reload keeps what it had.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import TypeAlias

import orjson

from gateway.caller_keys import KeyFile
from gateway.callers import CallerForm, Callers, parse_callers
from gateway.categories import PERSONAL_DATA, Scope
from gateway.config.bundle import Bundle
from gateway.config.documents import Complain, Document, Plain, read_text, shown
from gateway.config.secrets import Secrets
from gateway.config.settings import Settings, parse_settings
from gateway.config.shelf import Shelf
from gateway.errors import ConfigurationError, Fault
from gateway.failover import Trouble
from gateway.keys import sha256_hex
from gateway.limits import Allowance
from gateway.policy import grammar
from gateway.policy.consistency import check_against, parse_entry
from gateway.policy.entries import Entry
from gateway.policy.forms import Path as Keys
from gateway.policy.forms import Report
from gateway.policy.halts import Halts
from gateway.policy.notices import USUAL_DAYS
from gateway.policy.processors import Registry
from gateway.policy.purposes import ready
from gateway.policy.schemas import NotASchema, Schemas, extract
from gateway.policy.surface import Surface
from gateway.policy.tenants import Known, Tenant, parse_tenants
from providers.document import Document as Json
from providers.document import NotStrict, parse
from providers.provider import Provider

CheckRecognizers: TypeAlias = Callable[[Mapping[str, Plain], Report], None]
"""Told the recogniser files by stem; reports each fault by a path that begins with the stem."""


def environment() -> Mapping[str, str]:
    """The process's environment."""
    return os.environ  # noqa: TID251  # this is its door


def load(
    directory: Path,
    environment: Mapping[str, str],
    *,
    wires: Mapping[str, Provider],
    check_recognizers: CheckRecognizers | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    monotonic: Callable[[], float] = time.monotonic,
    state: Path | None = None,
    halts: Halts | None = None,
    shelf: Shelf | None = None,
) -> Bundle:
    """Read a whole configuration.

    Args:
        directory: holds gateway.yaml, callers.yaml, tenants.yaml and the folders beside them.
        environment: looked into only for the names that credentials give.
        wires: the wires that there are, `providers.PROVIDERS`.
        check_recognizers: compiles the recognisers and reports their faults; without it they are read but not
            compiled, which is for verbs that redact nothing.
        clock: aware instants.
        state: where issued caller keys are, instead of the state that the settings name.
        halts: the entries that are halted in this process, which outlive a reload.
        shelf: what is kept of the files from one reading to the next; without it everything is read anew.

    Raises:
        ConfigurationError: with every fault that was found.
    """
    return _Loading(directory, environment, wires, shelf or Shelf()).bundle(
        check_recognizers, clock, monotonic, state, halts
    )


def schemas_mark(directory: Path) -> tuple[tuple[str, int, int], ...]:
    """What changes whenever an approved schema comes or goes: cheap enough to compare every second."""
    folder = directory / "schemas"
    try:
        entries = [(entry.name, entry.stat()) for entry in os.scandir(folder)]
    except OSError:
        return ()
    return tuple(sorted((name, status.st_mtime_ns, status.st_ino) for name, status in entries))


def _looked_for(recognizers: Mapping[str, Plain], settings: Settings) -> dict[str, Plain]:
    """Everything that a detector is made from: the files, and what `gateway.yaml` asks for beside them."""
    kinds: list[Plain] = list(settings.personal_data.kinds)
    return {**recognizers, PERSONAL_DATA: kinds} if kinds else dict(recognizers)


def _failover(settings: Settings) -> dict[tuple[str, str | None], frozenset[Trouble]]:
    """By purpose and tenant (None: every tenant), what leads to another entry."""
    found: dict[tuple[str, str | None], frozenset[Trouble]] = {}
    for item in settings.failover:
        for key in product(item.purposes, item.tenants or (None,)):
            found[key] = found.get(key, frozenset()) | frozenset(item.after)
    return found


class _Loading:
    def __init__(
        self, directory: Path, environment: Mapping[str, str], wires: Mapping[str, Provider], shelf: Shelf
    ) -> None:
        self._directory = directory
        self._shelf = shelf
        self._environment = environment
        self._wires = wires
        self._faults: list[Fault] = []
        self._documents: dict[str, Document] = {}

    def bundle(
        self,
        check_recognizers: CheckRecognizers | None,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
        state: Path | None,
        halts: Halts | None,
    ) -> Bundle:
        settings = self._settings()
        surfaces = self._surfaces()
        stems = self._stems("processors")
        notice_days = USUAL_DAYS if settings is None else settings.notice_days
        entries = self._entries(stems, surfaces, notice_days)
        whole = surfaces.keys() == self._wires.keys()
        grants = {name for surface in surfaces.values() for name in surface.grants} if whole else None
        purposes = None if settings is None else settings.purposes
        scope = Scope.SPAN if settings is None else Scope(settings.redaction.scope)
        tenants = self._tenants(Known(stems, purposes, grants, scope))
        if tenants is not None:
            self._check_exemptions(entries, tenants)
        services = self._services(tenants, purposes)
        schemas = self._schemas()
        recognizers = self._recognizers(check_recognizers)
        granted = {} if settings is None else self._grants(settings, grants, services)
        if settings is not None:
            self._check_quotas(settings, stems, tenants)
            self._check_usage(settings, stems)
            self._check_failover(settings, tenants)
        if settings is None or tenants is None or services is None or self._faults:
            raise ConfigurationError(self._faults)
        self._shelf.keep_only({self._directory / name for name in self._documents})
        limits = settings.limits
        preimage = self._preimage(schemas)
        callers = Callers(
            services,
            Allowance(limits.caller_in_flight, limits.caller_per_minute),
            KeyFile((self._directory / settings.state).resolve() if state is None else state),
            clock=clock,
            monotonic=monotonic,
            quota=limits.caller_quota(),
            shared=settings.replicas is not None,
        )
        return Bundle(
            directory=self._directory,
            settings=settings,
            callers=callers,
            tenants=tenants,
            registry=Registry(entries, halts),
            purposes=ready(settings.purposes),
            surfaces=surfaces,
            schemas=schemas,
            recognizers=_looked_for(recognizers, settings),
            grants=granted,
            failover=_failover(settings),
            secrets=Secrets(self._directory, self._environment),
            digest=sha256_hex(preimage),
            packed=zlib.compress(preimage, 1),
        )

    # the files, one kind after the other

    def _settings(self) -> Settings | None:
        document = self._read("gateway.yaml")
        return None if document is None else parse_settings(document.tree, self._report(document))

    def _surfaces(self) -> dict[str, Surface]:
        for stem in self._stems("surfaces"):
            if stem not in self._wires:
                self._fault(f"surfaces/{stem}.yaml", 0, "", "no wire has this name, so nothing reads this file")
        surfaces: dict[str, Surface] = {}
        for name, wire in self._wires.items():
            document = self._read(f"surfaces/{name}.yaml")
            if document is not None:
                surfaces[name] = self._surface(document, wire)
        return surfaces

    def _surface(self, document: Document, wire: Provider) -> Surface:
        """A surface is most of the work of a reading, and the file that changes least."""
        parsed: list[Surface] = []

        def make() -> Surface | None:
            before = len(self._faults)
            parsed.append(grammar.parse(document.tree, wire, self._report(document)))
            return parsed[0] if len(self._faults) == before else None

        return self._shelf.made("surface", document, None, make) or parsed[0]

    def _entries(self, stems: Collection[str], surfaces: Mapping[str, Surface], notice_days: int) -> list[Entry]:
        if not stems:
            self._fault("processors", 0, "", "there is no entry, so no call could leave; add processors/ID.yaml")
        entries: list[Entry] = []
        for stem in stems:
            document = self._read(f"processors/{stem}.yaml")
            if document is None:
                continue
            entry = self._entry(document, stem, notice_days)
            if entry is None:
                continue
            entries.append(entry)
            if entry.form.wire in surfaces:
                check_against(entry, surfaces[entry.form.wire], self._report(document))
        return entries

    def _entry(self, document: Document, stem: str, notice_days: int) -> Entry | None:
        def make() -> Entry | None:
            return parse_entry(document.tree, stem, self._wires, self._report(document), notice_days)

        return self._shelf.made("entry", document, notice_days, make)

    def _check_exemptions(self, entries: Collection[Entry], tenants: Collection[str]) -> None:
        for entry in entries:
            report = self._report(self._documents[f"processors/{entry.id}.yaml"])
            for index, item in enumerate(entry.form.exemptions):
                if item.tenant not in tenants:
                    report(("exemptions", index, "tenant"), "tenants.yaml has no such tenant")

    def _tenants(self, known: Known) -> dict[str, Tenant] | None:
        document = self._read("tenants.yaml")
        if document is None:
            return None
        there = (known.processors, known.purposes, known.grants)
        beside = tuple(None if words is None else frozenset(words) for words in there)

        def make() -> dict[str, Tenant] | None:
            return parse_tenants(document.tree, known, self._report(document))

        return self._shelf.made("tenants", document, (beside, known.redaction), make)

    def _services(
        self, tenants: Collection[str] | None, purposes: Collection[str] | None
    ) -> dict[str, CallerForm] | None:
        document = self._read("callers.yaml")
        return None if document is None else parse_callers(document.tree, tenants, purposes, self._report(document))

    def _schemas(self) -> Schemas:
        documents: list[Json] = []
        for stem in self._stems("schemas", "json"):
            name = f"schemas/{stem}.json"
            text = read_text(self._directory / name, self._complain(name))
            if text is None:
                continue
            try:
                documents.append(extract(parse(text.encode())))
            except (NotStrict, NotASchema) as fault:
                self._fault(name, 0, "", str(fault))
        return Schemas(documents)

    def _recognizers(self, check: CheckRecognizers | None) -> dict[str, Plain]:
        read: dict[str, Document] = {}
        for stem in self._stems("recognizers"):
            document = self._read(f"recognizers/{stem}.yaml")
            if document is not None:
                read[stem] = document
        trees = {stem: document.tree for stem, document in read.items()}

        def report(path: Keys, reason: str) -> None:
            stem, *rest = path
            document = read.get(str(stem))
            if document is None:
                self._fault(f"recognizers/{stem}.yaml", 0, "", reason)
            else:
                self._report(document)(tuple(rest), reason)

        if check is not None:
            check(trees, report)
        return trees

    def _grants(
        self, settings: Settings, known: Collection[str] | None, services: Collection[str] | None
    ) -> dict[tuple[str, str], frozenset[str]]:
        report = self._report(self._documents["gateway.yaml"])
        granted: dict[tuple[str, str], frozenset[str]] = {}
        for index, item in enumerate(settings.grants):
            if known is not None and item.grant not in known:
                report(("grants", index, "grant"), "no surface lists this conditional verdict under `grants:`")
            for at, caller in enumerate(item.callers):
                if services is not None and caller not in services:
                    report(("grants", index, "callers", at), "callers.yaml has no such service")
                for purpose in item.purposes:
                    granted[caller, purpose] = granted.get((caller, purpose), frozenset()) | {item.grant}
        return granted

    def _check_quotas(self, settings: Settings, processors: Collection[str], tenants: Collection[str] | None) -> None:
        report = self._report(self._documents["gateway.yaml"])
        for name in settings.limits.processors:
            if name not in processors:
                report(("limits", "processors", name), "processors/ has no entry of this name")
        for name in settings.limits.tenants:
            if tenants is not None and name not in tenants:
                report(("limits", "tenants", name), "tenants.yaml has no such tenant")

    def _check_usage(self, settings: Settings, processors: Collection[str]) -> None:
        report = self._report(self._documents["gateway.yaml"])
        for index, item in enumerate(settings.usage):
            if item.processor not in processors:
                report(("usage", index, "processor"), "processors/ has no entry of this name")

    def _check_failover(self, settings: Settings, tenants: Collection[str] | None) -> None:
        report = self._report(self._documents["gateway.yaml"])
        for index, item in enumerate(settings.failover):
            for at, name in enumerate(item.tenants or ()):
                if tenants is not None and name not in tenants:
                    report(("failover", index, "tenants", at), "tenants.yaml has no such tenant")

    def _preimage(self, schemas: Schemas) -> bytes:
        trees = {
            name: document.tree
            for name, document in self._documents.items()
            if name not in {"tenants.yaml", "callers.yaml"}
        }
        return orjson.dumps([trees, sorted(schemas.documents)], option=orjson.OPT_SORT_KEYS)

    # reading and reporting

    def _read(self, name: str) -> Document | None:
        document = self._shelf.document(self._directory / name, name, self._complain(name))
        if document is not None:
            self._documents[name] = document
        return document

    def _stems(self, folder: str, ending: str = "yaml") -> list[str]:
        """The files of a folder by stem. A file that looks like one but is named otherwise is a fault, not ignored."""
        try:
            names = sorted(entry.name for entry in os.scandir(self._directory / folder))
        except OSError:
            return []
        stems: list[str] = []
        for name in names:
            stem, _dot, found = name.rpartition(".")
            if found == ending and stem and not stem.startswith("."):
                stems.append(stem)
            elif found.lower() in {"yaml", "yml", "json"} and stem and not stem.startswith("."):
                self._fault(f"{folder}/{name}", 0, "", f"nothing reads a file of this name; call it NAME.{ending}")
        return stems

    def _complain(self, name: str) -> Complain:
        return lambda line, key, reason: self._fault(name, line, key, reason)

    def _report(self, document: Document) -> Report:
        def report(path: Keys, reason: str) -> None:
            self._fault(document.name, document.line(path), shown(path), reason)

        return report

    def _fault(self, name: str, line: int, key: str, reason: str) -> None:
        self._faults.append(Fault(str(self._directory / name), line, key or "(file)", reason))
