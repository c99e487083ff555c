"""What a change means, fact by fact, and how many people must approve it.

One approver suffices only for what is on a list here: narrowing, an approved schema, a further zero-retention model
under an agreement in force. Everything else needs two, and so does what nobody thought of.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gateway.categories import Scope
from gateway.change.snapshot import Snapshot
from gateway.change.surfaces import moves
from gateway.config.settings import Settings
from gateway.policy.countries import shown
from gateway.policy.entries import Entry, Model
from gateway.policy.forms import Form
from gateway.policy.notices import Notice

ONE: Final = 1
TWO: Final = 2


class Kind(enum.StrEnum):
    """What sort of change it is; the words of the statement that approvers sign."""

    FIRST = "first"
    UNREADABLE = "unreadable"
    PROCESSOR_ADDED = "processor_added"
    PROCESSOR_REMOVED = "processor_removed"
    PROCESSOR_FACTS = "processor_facts"
    AGREEMENT = "agreement"
    COUNTRY = "country"
    MODEL_ADDED = "model_added"
    MODEL_NARROWED = "model_narrowed"
    MODEL_WIDENED = "model_widened"
    SUSPENSION = "suspension"
    SURFACE_LOOSENED = "surface_loosened"
    SURFACE_TIGHTENED = "surface_tightened"
    SCHEMA = "schema"
    REDACTION = "redaction"
    PURPOSE = "purpose"
    GRANT = "grant"
    NOTICE = "notice"
    CHANGE_CONTROL = "change_control"
    SETTING = "setting"
    WORDS = "words"


@dataclass(frozen=True, slots=True)
class Change:
    """One fact that changed: its sort, how many must approve it, and the words for people."""

    kind: Kind
    needs: int
    what: str


def difference(old: Snapshot, new: Snapshot, now: datetime) -> list[Change]:
    """Everything that differs between two bundles; `now` decides which agreements are in force."""
    found = [*_processors(old, new, now), *_surfaces(old, new), *_schemas(old, new), *_recognizers(old, new),
             *_settings(old.settings, new.settings)]  # fmt: skip
    if not found and old.digest != new.digest:
        found.append(Change(Kind.WORDS, ONE, "only words and the way of writing differ"))
    return found


def needed(changes: list[Change]) -> int:
    """How many must approve all of it."""
    return max((change.needs for change in changes), default=0)


# --- processors ---------------------------------------------------------------------------------------


def _processors(old: Snapshot, new: Snapshot, now: datetime) -> Iterator[Change]:
    for name in sorted(old.entries.keys() | new.entries.keys()):
        before, after = old.entries.get(name), new.entries.get(name)
        was, will = _takes_traffic(before), _takes_traffic(after)
        if before is not None and after is not None and was and will:
            yield from _facts(before, after, now)
        elif after is not None and will:
            countries = shown(after.countries)
            entity = after.form.legal_entity.name
            yield Change(Kind.PROCESSOR_ADDED, TWO, f"processor {name} is added: {entity}, in {countries}")
        elif before is not None and was:
            said = "is removed" if after is None else "becomes an example, which takes no traffic"
            yield Change(Kind.PROCESSOR_REMOVED, ONE, f"processor {name} {said}")
        elif _tree(before) != _tree(after):
            yield Change(Kind.WORDS, ONE, f"processor {name}, a draft or example that takes no traffic, differs")


def _takes_traffic(entry: Entry | None) -> bool:
    return entry is not None and not entry.is_example


def _tree(entry: Entry | None) -> Form | None:
    return None if entry is None else entry.form


_PROSE: Final = frozenset({"sources", "french", "service", "upstream_subprocessors"})
_JUDGED: Final = frozenset({"countries", "models", "operations", "agreements", "transfers", "exemptions", "suspended",
                            "retired", "review_by", "notice"})  # fmt: skip


def _facts(old: Entry, new: Entry, now: datetime) -> Iterator[Change]:
    name, was, will = new.id, old.form, new.form
    if was.countries != will.countries:
        # Fewer countries widen, too: an entry fits a tenant if all of its countries lie inside the residency.
        what = f"{name}: countries from {shown(old.countries)} to {shown(new.countries)}"
        yield Change(Kind.COUNTRY, TWO, what)
    yield from _models(old, new, now)
    yield from _operations(name, frozenset(was.operations), frozenset(will.operations))
    for key, kind in (("agreements", Kind.AGREEMENT), ("transfers", Kind.AGREEMENT), ("exemptions", Kind.NOTICE)):
        yield from _windows(name, key, kind, getattr(was, key), getattr(will, key))
    yield from _earlier(name, "suspended", Kind.SUSPENSION, was.suspended, will.suspended)
    yield from _earlier(name, "retired", Kind.SUSPENSION, was.retired, will.retired)
    yield from _earlier(name, "review_by", Kind.AGREEMENT, was.review_by, will.review_by)
    if was.notice != will.notice:
        longer = _longer(was.notice, will.notice)
        yield Change(Kind.NOTICE, ONE if longer else TWO, f"{name}: its notice {'is longer' if longer else 'differs'}")
    for key in type(will).model_fields:
        if key not in _JUDGED and getattr(was, key) != getattr(will, key):
            if key in _PROSE:
                yield Change(Kind.WORDS, ONE, f"{name}: {key} is worded otherwise")
            else:
                yield Change(Kind.PROCESSOR_FACTS, TWO, f"{name}: {key} differs")


def _longer(was: Notice, will: Notice) -> bool:
    """Whether it only lets the entry begin later; the document stays."""
    if None in {was.announced, was.effective, will.announced, will.effective}:
        return False
    pairs = ((was.announced, will.announced), (was.effective, will.effective))
    later = all(before <= after for before, after in pairs if before is not None and after is not None)
    return later and was.days <= will.days and was.document_sha256 == will.document_sha256


def _models(old: Entry, new: Entry, now: datetime) -> Iterator[Change]:
    was = {model.id: model for model in old.form.models}
    will = {model.id: model for model in new.form.models}
    for model in sorted(was.keys() | will.keys()):
        before, after = was.get(model), will.get(model)
        if before == after:
            continue
        at = f"{new.id}: model {model}"
        if after is None or after.retention_class != "zero":
            if before is not None and before.retention_class == "zero":
                yield Change(Kind.MODEL_NARROWED, ONE, f"{at} is no longer used")
            else:
                yield Change(Kind.WORDS, ONE, f"{at}, which is refused for its retention class, differs")
        elif before is None:
            in_force = old.agreement(now) is not None and new.agreement(now) is not None
            said = "is added under the agreement in force" if in_force else "is added, and no agreement is in force"
            yield Change(Kind.MODEL_ADDED, ONE if in_force else TWO, f"{at} {said}")
        elif before.retention_class != "zero":
            yield Change(Kind.MODEL_WIDENED, TWO, f"{at} was refused as `{before.retention_class}`, and is zero now")
        elif _narrower(before, after, old, new):
            yield Change(Kind.MODEL_NARROWED, ONE, f"{at} is used for less")
        else:
            yield Change(Kind.MODEL_WIDENED, TWO, f"{at} differs")


def _narrower(before: Model, after: Model, old: Entry, new: Entry) -> bool:
    """Whether only operations, names or served models went, and everything else stayed."""
    same = all(getattr(before, key) == getattr(after, key) for key in ("traits", "deployment", "retention_class"))
    less_names = set(after.aliases) <= set(before.aliases)
    less_served = set(after.served_models or (after.id,)) <= set(before.served_models or (before.id,))
    less_asked = set(after.operations or new.form.operations) <= set(before.operations or old.form.operations)
    return same and less_names and less_served and less_asked


def _operations(name: str, was: frozenset[str], will: frozenset[str]) -> Iterator[Change]:
    for operation in sorted(will - was):
        yield Change(Kind.PROCESSOR_FACTS, TWO, f"{name}: may be asked {operation}, too")
    for operation in sorted(was - will):
        yield Change(Kind.PROCESSOR_FACTS, ONE, f"{name}: is no longer asked {operation}")


def _windows(name: str, key: str, kind: Kind, was: tuple[Form, ...], will: tuple[Form, ...]) -> Iterator[Change]:
    one = key.removesuffix("s")
    for item in will:
        if item not in was:
            yield Change(kind, TWO, f"{name}: a new or changed {one}{_named(item)}")
    for item in was:
        if item not in will and not any(_named(other) == _named(item) for other in will):
            yield Change(kind, ONE, f"{name}: the {one}{_named(item)} is gone")


def _named(item: Form) -> str:
    for key in ("id", "reference", "contract"):
        value = getattr(item, key, None)
        if value is not None:
            return f" {value}"
    return ""


def _earlier(name: str, key: str, kind: Kind, was: datetime | None, will: datetime | None) -> Iterator[Change]:
    """A date at which traffic ends: sooner is narrower, later or never is wider."""
    if was == will:
        return
    sooner = will is not None and (was is None or will < was)
    when = "never" if will is None else "always" if will.year == 1 else f"{will:%Y-%m-%d %H:%M} UTC"
    yield Change(
        kind, ONE if sooner else TWO, f"{name}: {key} is {when} now, which is {'sooner' if sooner else 'later'}"
    )


# --- surfaces, schemas, recognisers -------------------------------------------------------------------


def _surfaces(old: Snapshot, new: Snapshot) -> Iterator[Change]:
    for wire in sorted(old.surfaces.keys() | new.surfaces.keys()):
        name = f"surfaces/{wire}.yaml"
        before, after = old.trees.get(name), new.trees.get(name)
        if before == after:
            continue
        if before is None or after is None:
            kind, needs = (Kind.SURFACE_LOOSENED, TWO) if before is None else (Kind.SURFACE_TIGHTENED, ONE)
            yield Change(kind, needs, f"surface {wire} is {'new' if before is None else 'gone'}")
            continue
        found = moves(before, after)
        for move in found:
            kind, needs = (Kind.SURFACE_LOOSENED, TWO) if move.loosened else (Kind.SURFACE_TIGHTENED, ONE)
            yield Change(kind, needs, f"surface {wire}: {'loosened' if move.loosened else 'tightened'}: {move.where}")
        if not found:
            yield Change(Kind.WORDS, ONE, f"surface {wire}: only sources and words differ")


def _schemas(old: Snapshot, new: Snapshot) -> Iterator[Change]:
    for digest in sorted(new.schemas - old.schemas):
        yield Change(Kind.SCHEMA, ONE, f"schema {digest[:16]} may leave")
    for digest in sorted(old.schemas - new.schemas):
        yield Change(Kind.SCHEMA, ONE, f"schema {digest[:16]} may no longer leave")


def _recognizers(old: Snapshot, new: Snapshot) -> Iterator[Change]:
    # Whether a rule finds less than before cannot be read off it, so none is taken for narrower.
    was, will = old.recognizers, new.recognizers
    for name in sorted(was.keys() | will.keys()):
        if was.get(name) != will.get(name):
            yield Change(Kind.REDACTION, TWO, f"{name} differs: what is taken out may be less")


# --- settings -----------------------------------------------------------------------------------------

_HARMLESS: Final = frozenset({"limits", "journal"})
_PACE: Final = frozenset({"workers", "remembered", "patience_seconds", "patience_seconds_per_mebibyte",
                          "held_characters", "held_seconds"})  # fmt: skip
"""Keys of `redaction` that decide how fast it looks and not what it takes out."""


def _settings(old: Settings, new: Settings) -> Iterator[Change]:
    for key in type(new).model_fields:
        was, will = getattr(old, key), getattr(new, key)
        if was == will:
            continue
        if key == "purposes":
            yield from _purposes(old, new)
        elif key == "grants":
            yield from _grants(old, new)
        elif key == "redaction":
            yield from _redaction(old, new)
        elif key == "personal_data":
            yield from _personal(old, new)
        elif key == "notice_days":
            needs = ONE if new.notice_days > old.notice_days else TWO
            yield Change(Kind.NOTICE, needs, f"notice of {old.notice_days} days becomes {new.notice_days}")
        elif key == "change":
            yield Change(Kind.CHANGE_CONTROL, TWO, "who approves changes, or which residency needs no approval")
        elif key in _HARMLESS:
            yield Change(Kind.SETTING, ONE, f"{key} differs")
        else:
            yield Change(Kind.SETTING, TWO, f"{key} differs")


def _purposes(old: Settings, new: Settings) -> Iterator[Change]:
    for name in sorted(old.purposes.keys() | new.purposes.keys()):
        if name not in new.purposes:
            yield Change(Kind.PURPOSE, ONE, f"purpose {name} is removed")
        elif old.purposes.get(name) != new.purposes[name]:
            yield Change(Kind.PURPOSE, TWO, f"purpose {name} is {'changed' if name in old.purposes else 'added'}")


def _grants(old: Settings, new: Settings) -> Iterator[Change]:
    was, will = ({(item.grant, caller, purpose) for item in settings.grants for caller in item.callers
                  for purpose in item.purposes} for settings in (old, new))  # fmt: skip
    for grant, caller, purpose in sorted(will - was):
        yield Change(Kind.GRANT, TWO, f"{grant} is granted to {caller} for {purpose}")
    for grant, caller, purpose in sorted(was - will):
        yield Change(Kind.GRANT, ONE, f"{grant} is no longer granted to {caller} for {purpose}")


def _redaction(old: Settings, new: Settings) -> Iterator[Change]:
    was, will = old.redaction, new.redaction
    if was.scope != will.scope:
        stricter = Scope(will.scope).rank > Scope(was.scope).rank
        yield Change(
            Kind.REDACTION, ONE if stricter else TWO, f"redaction.scope is {will.scope} instead of {was.scope}"
        )
    for key, safe in (("unsafe_redaction_off", False), ("typed_placeholder", False), ("answers", True)):
        if getattr(was, key) != getattr(will, key):
            now = getattr(will, key)
            what = f"redaction.{key} is {'on' if now else 'off'} now"
            yield Change(Kind.REDACTION, ONE if now is safe else TWO, what)
    judged = {"scope", "unsafe_redaction_off", "typed_placeholder", "answers"}
    for key in type(will).model_fields:
        if key not in judged and getattr(was, key) != getattr(will, key):
            yield Change(Kind.REDACTION, ONE if key in _PACE else TWO, f"redaction.{key} differs")


def _personal(old: Settings, new: Settings) -> Iterator[Change]:
    was, will = old.personal_data, new.personal_data
    narrower = set(was.kinds) <= set(will.kinds) and (was.restore == will.restore or not will.restore)
    kinds = ", ".join(will.kinds) or "none"
    yield Change(Kind.REDACTION, ONE if narrower else TWO, f"personal data that is taken out: {kinds}")
