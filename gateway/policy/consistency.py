"""Reading an entry: its form, and whether its facts agree with each other, with its wire and with its surface."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from gateway.policy.countries import ANYWHERE, expand
from gateway.policy.countries import shown as spelled_countries
from gateway.policy.entries import Entry
from gateway.policy.facts import NEEDED, EntryForm
from gateway.policy.forms import TO_BE_FILLED, Counted, Path, Report, read, unfilled
from gateway.policy.hosts import is_loopback, url_fault
from gateway.policy.notices import USUAL_DAYS, check_notice
from gateway.policy.surface import Surface
from gateway.policy.transfers import MECHANISMS
from providers.places import Nowhere, cloud_region, control_url, place
from providers.provider import Provider
from providers.read_back import METHODS, STORING

MAX_COUNTRIES = 40  # the most that a call's record names
LONGEST_EMERGENCY_DAYS = 92
_SCOPE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,119}").fullmatch


def parse_entry(
    tree: object, stem: str, wires: Mapping[str, Provider], report: Report, notice_days: int = USUAL_DAYS
) -> Entry | None:
    """Read `config/processors/STEM.yaml`, or report every fault and give None.

    Args:
        tree: the file as a plain tree.
        stem: its name without `.yaml`.
        wires: those that there are.
        report: told of each fault.
        notice_days: the least notice that the operator promises customers.
    """
    fault = Counted(report)
    form = read(EntryForm, tree, fault)
    if form is None:
        return None
    if form.id != stem:
        fault(("id",), "the id must be the file's name without .yaml")
    reason = url_fault(form.base_url, unsafe_plaintext=form.unsafe_plaintext)
    if reason is not None:
        fault(("base_url",), reason)
    else:
        _check_places(form, fault)
    if (form.credential.file is None) == (form.credential.environment is None):
        fault(("credential",), "write either file: PATH or environment: NAME")
    _check_countries(form, fault)
    _check_wire(form, wires, fault)
    _check_models(form, fault)
    _check_agreements(form, fault)
    _check_transfers(form, fault)
    _check_read_back(form, fault)
    _check_cloud(form, fault)
    _check_dates(form, 0 if _is_here(form) else notice_days, fault)
    _check_exemptions(form, fault)
    if form.french is not None and len(form.french.carve_outs) != len(form.carve_outs):
        fault(("french", "carve_outs"), "write each carve-out in French, too, one for one")
    return None if fault.faults else Entry(form, tuple(unfilled(tree)))


def check_against(entry: Entry, surface: Surface, report: Report) -> None:
    """Report where an entry and its wire's surface do not meet: operations, traits."""
    for index, name in enumerate(entry.form.operations):
        if name not in surface.operations:
            report(("operations", index), "the surface of this wire does not grant this operation")
    for index, model in enumerate(entry.form.models):
        for trait, value in model.traits.items():
            where = ("models", index, "traits", trait)
            if trait not in surface.traits:
                report(where, f"the surface of this wire has no such trait: write {_choice(surface.traits)}")
            elif value not in surface.traits[trait]:
                report(where, f"the surface has no such value: write {_choice(surface.traits[trait])}")
        if model.retention_class != "zero":
            continue
        needing: dict[str, list[str]] = {}
        for operation in model.operations or entry.form.operations:
            for trait in surface.traits_needed.get(operation, frozenset()) - set(model.traits):
                needing.setdefault(trait, []).append(operation)
        for trait, operations in sorted(needing.items()):
            wanted = f"traits: {{{trait}: ...}}, {_choice(surface.traits[trait])}"
            report(("models", index), f"say by which rules {', '.join(operations)} may be asked of it: {wanted}")


def _choice(values: Iterable[str]) -> str:
    return " or ".join(sorted(values))


def _is_here(form: EntryForm) -> bool:
    """Whether it is this computer, of which nobody need be told."""
    return is_loopback(urlsplit(form.base_url).hostname or "")


def _check_countries(form: EntryForm, fault: Report) -> None:
    added = [name for item in form.countries.added for name in item.countries]
    countries = expand((*form.countries.processing, *form.countries.storage, *added))
    if len(countries) > MAX_COUNTRIES and ANYWHERE not in countries:
        fault(("countries",), f"name at most {MAX_COUNTRIES} countries, or WORLD")


def _check_places(form: EntryForm, fault: Report) -> None:
    """Where host, model id and deployment kind together tell a place, the entry must name all of its countries."""
    host = urlsplit(form.base_url).hostname or ""
    declared = expand(form.countries.processing)
    for index, model in enumerate(form.models):
        deployment = model.deployment
        try:
            known = place(
                host,
                model.id,
                kind=None if deployment is None else deployment.kind,
                region=None if deployment is None else deployment.region,
            )
        except Nowhere as nowhere:
            fault(("models", index), str(nowhere))
            continue
        if known is None:
            if deployment is not None:
                fault(("models", index, "deployment"), "at this host nothing is deployed by kind; leave it out")
            continue
        outside = (known or frozenset({ANYWHERE})) - declared
        if outside:
            words = "anywhere: write WORLD" if ANYWHERE in outside else f"in {spelled_countries(outside)}, too"
            fault(("countries", "processing"), f"host and model {index + 1} together may compute {words}")


def _check_wire(form: EntryForm, wires: Mapping[str, Provider], fault: Report) -> None:
    wire = wires.get(form.wire)
    if wire is None:
        fault(("wire",), f"no wire has this name; there are {', '.join(sorted(wires))}")
        return
    leaving = {operation.name for operation in wire.operations if not operation.answered_here}
    for index, name in enumerate(form.operations):
        if name not in leaving:
            fault(("operations", index), f"the wire has {', '.join(sorted(leaving))}")
        if name in form.operations[:index]:
            fault(("operations", index), "this operation is named twice")


def _check_models(form: EntryForm, fault: Report) -> None:
    seen: set[str] = set()
    for index, model in enumerate(form.models):
        for key, names in (("id", (model.id,)), ("aliases", model.aliases)):
            for name in names:
                if name in seen:
                    fault(("models", index, key), "this model id stands in the entry twice")
                seen.add(name)
        for at, name in enumerate(model.operations or ()):
            if name not in form.operations:
                fault(("models", index, "operations", at), "the entry itself does not have this operation")


def _check_agreements(form: EntryForm, fault: Report) -> None:
    held: list[tuple[str, datetime, datetime]] = []
    names: set[str] = set()
    for index, item in enumerate(form.agreements):
        at = ("agreements", index)
        if item.id in names:
            fault((*at, "id"), "another agreement of this entry has this id")
        names.add(item.id)
        _check_approvers(item.approvers, at, fault)
        if item.valid_from is None or item.valid_until is None:
            continue
        if item.valid_until <= item.valid_from:
            fault((*at, "valid_until"), "it must end after it begins")
            continue
        for kind in sorted(set(item.kinds)):
            if any(kind == other and item.valid_from < end and begin < item.valid_until for other, begin, end in held):
                fault(at, f"two agreements on {kind} overlap; end the first where the second begins")
            held.append((kind, item.valid_from, item.valid_until))
    for kind in NEEDED:
        if not any(kind in item.kinds for item in form.agreements):
            fault(("agreements",), f"no agreement is on {kind}")


def _check_transfers(form: EntryForm, fault: Report) -> None:
    for index, item in enumerate(form.transfers):
        at = ("transfers", index)
        if item.mechanism not in MECHANISMS[item.law]:
            fault((*at, "mechanism"), f"under {item.law} write one of {', '.join(sorted(MECHANISMS[item.law]))}")
        if item.valid_from is not None and item.valid_until is not None and item.valid_until <= item.valid_from:
            fault((*at, "valid_until"), "it must end after it begins")


def _check_read_back(form: EntryForm, fault: Report) -> None:
    asked = form.read_back
    if asked is None:
        return
    method = METHODS.get(asked.method)
    if method is None or form.wire not in method.wires:
        there = ", ".join(sorted(name for name, item in METHODS.items() if form.wire in item.wires))
        fault(("read_back", "method"), f"on this wire settings are read back by {there or 'nothing'}")
        return
    _check_scope(form, method.scope, fault)
    if asked.base_url is not None:
        reason = url_fault(asked.base_url, unsafe_plaintext=asked.base_url.startswith("http:"))
        if reason is not None:
            fault(("read_back", "base_url"), reason)
    if asked.credential is None and not method.own_credential:
        fault(("read_back",), "name the credential of a key that may read the settings")
    control = None if asked.probe is None else asked.probe.control
    for at, item in ((("credential",), asked.credential), (("probe", "control"), control)):
        if item is not None and (item.file is None) == (item.environment is None):
            fault(("read_back", *at), "write either file: PATH or environment: NAME")
    if (asked.model is not None) != method.needs_model:
        needed = "name a covered model, which must be refused" if method.needs_model else "this method asks no model"
        fault(("read_back", "model"), needed)
    if asked.probe is not None and form.wire not in STORING:
        fault(("read_back", "probe"), "on this wire no answer can be asked for again, so there is nothing to try")
    if asked.stale_after_seconds < asked.every_seconds:
        fault(("read_back", "stale_after_seconds"), "it would be stale before it is read again")


def _check_cloud(form: EntryForm, fault: Report) -> None:
    """Where retention is a setting of an account in a region: it is read back there, and all names of it agree."""
    region, named = cloud_region(urlsplit(form.base_url).hostname or ""), form.account_scope.get("region")
    if form.credential.scheme == "aws_sigv4" and named is None:
        fault(("account_scope",), "to sign its calls, this entry must name its region")
    if region is None:
        return
    if named is not None and named not in {region, TO_BE_FILLED}:
        fault(("account_scope", "region"), "it is not the region that the host names")
    if form.credential.scheme == "wire":
        fault(("credential", "scheme"), "write bearer or aws_sigv4: this door knows no key of the wire's own")
    if form.read_back is None:
        fault(("read_back",), "retention is a setting of this account in this region: it must be read back")
    elif form.read_back.base_url not in {None, control_url(form.base_url)}:
        fault(("read_back", "base_url"), "its settings are read in the region of its calls; leave this out")


def _check_scope(form: EntryForm, keys: Sequence[str], fault: Report) -> None:
    for key in keys:
        value = form.account_scope.get(key)
        if value is None:
            fault(("account_scope",), f"to read its settings back, this entry must name its {key}")
        elif not _SCOPE(value):
            fault(("account_scope", key), "write the id alone, as the provider spells it: it is part of a path")


def _check_dates(form: EntryForm, notice_days: int, fault: Report) -> None:
    announced = form.notice.announced
    if form.notice.days < notice_days:
        fault(
            ("notice", "days"),
            f"customers were promised {notice_days} days (notice_days of gateway.yaml); write no fewer",
        )
    else:
        check_notice(form.notice, ("notice",), form.notice.days, fault)
    for index, item in enumerate(form.countries.added):
        check_notice(item, ("countries", "added", index), max(form.notice.days, notice_days), fault)
    if announced is not None and form.review_by is not None and form.review_by <= announced:
        fault(("review_by",), "the review is due before the entry was announced")
    if announced is not None and form.retired is not None and form.retired < announced:
        fault(("retired",), "it was retired before it was announced")


def _check_exemptions(form: EntryForm, fault: Report) -> None:
    announced = form.notice.announced
    for index, item in enumerate(form.exemptions):
        at = ("exemptions", index)
        _check_approvers(item.approvers, at, fault)
        if item.valid_from is None or item.valid_until is None:
            continue
        if item.valid_until <= item.valid_from:
            fault((*at, "valid_until"), "it must end after it begins")
        if announced is not None and item.valid_from < announced:
            fault((*at, "valid_from"), "an emergency, too, is announced first; begin no sooner than `announced`")
        if item.valid_until > item.valid_from + timedelta(days=LONGEST_EMERGENCY_DAYS):
            fault((*at, "valid_until"), f"an emergency ends within {LONGEST_EMERGENCY_DAYS} days")


def _check_approvers(approvers: Sequence[str], at: Path, fault: Report) -> None:
    if TO_BE_FILLED not in approvers and len({name.casefold().strip() for name in approvers}) < 2:
        fault((*at, "approvers"), "two different people must approve")
