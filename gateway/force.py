"""The configuration in force, as calls are judged and cleaned by it: made of what was read, whole, before it serves."""

from __future__ import annotations

from gateway.audit.language import Sha
from gateway.config import Bundle
from gateway.conversations import Conversations
from gateway.options import listener_options
from gateway.passage import InForce
from gateway.redaction.detector import Detector
from gateway.redaction.fields import FIELDS, Fields
from gateway.redaction.patience import Patience
from gateway.redaction.redactor import Redactor, typed, untyped
from gateway.targets import Targets
from gateway.vocabulary import vocabulary_of
from providers import PROVIDERS


def in_force(bundle: Bundle, detector: Detector | None) -> InForce:
    """A configuration and its detector (None: nothing is looked for), ready for calls."""
    surfaces = tuple(bundle.surfaces.values())
    known_keys = frozenset[str]().union(*(surface.vocabulary for surface in surfaces))
    placeholder = typed if bundle.settings.redaction.typed_placeholder else untyped
    return InForce(
        bundle=bundle,
        vocabulary=vocabulary_of(
            wires=PROVIDERS.values(),
            surfaces=surfaces,
            registry=bundle.registry,
            tenants=bundle.tenants,
            callers=bundle.callers.services,
            purposes=bundle.settings.purposes,
        ),
        digest=Sha(bundle.digest),
        redactor=None
        if detector is None
        else Redactor(detector, known_keys, placeholder, fields=Fields(bundle.recognizers.get(FIELDS))),
        targets=Targets(PROVIDERS),
        host_names=listener_options(bundle).allowed_names,
        conversations=Conversations(0 if detector is None else bundle.settings.redaction.remembered // 4),
        book=bundle.settings.limits.book(),
    )


def patience_of(bundle: Bundle) -> Patience:
    """How long one look may take, as the settings say."""
    redaction = bundle.settings.redaction
    return Patience(redaction.patience_seconds, redaction.patience_seconds_per_mebibyte / 1024)
