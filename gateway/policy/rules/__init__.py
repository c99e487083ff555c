"""The kinds of rule that a surface is made of.

Two families. A *shape* says what a value may be; reading a value by its shape gives the value
that may leave, typed for the redactor (see `providers.document`). A *verdict* says whether a
named thing may be there at all: allow, conditional, refuse, force. What no shape names is
refused. The rules hold no opinion of their own: each comes from a line of a surface file, with
its source.

A refusal travels as `Misfit`, which gathers the path on its way up, so that the happy path never
builds one. Paths hold only names that the surface knows and indices.
"""

from __future__ import annotations

from gateway.policy.rules.containers import ByType, Json, ListOf, MapOf, Object, Schema, Strictness, Union
from gateway.policy.rules.scalars import (
    Blob,
    Constant,
    Constants,
    EncodedJson,
    Inline,
    Model,
    Name,
    Number,
    SealedText,
    Text,
    Url,
)
from gateway.policy.rules.values import decode_base64, freeze, looks_like_text, same, spell
from gateway.policy.rules.verdicts import Allow, Conditional, Force, ForceBy, Refuse
from gateway.policy.rules.walk import DROPPED, Dropped, Misfit, Shape, Verdict, Walk

__all__ = (
    "DROPPED",
    "Allow",
    "Blob",
    "ByType",
    "Conditional",
    "Constant",
    "Constants",
    "Dropped",
    "EncodedJson",
    "Force",
    "ForceBy",
    "Inline",
    "Json",
    "ListOf",
    "MapOf",
    "Misfit",
    "Model",
    "Name",
    "Number",
    "Object",
    "Refuse",
    "Schema",
    "SealedText",
    "Shape",
    "Strictness",
    "Text",
    "Union",
    "Url",
    "Verdict",
    "Walk",
    "decode_base64",
    "freeze",
    "looks_like_text",
    "same",
    "spell",
)
