"""By what right data goes to the countries of an entry: a legal basis for each law that protects it.

Residency says where a customer lets its data go; this says whether the law of the people in it does. Where all
countries of an entry lie inside the law's own area nothing is transferred. Everywhere else a basis must be in
force, or who is under that law is not served. Sources: GDPR Art. 44-46 and Implementing Decision (EU) 2021/914; UK
GDPR Art. 46 with the addendum or agreement of the Information Commissioner (2022); Swiss FADP Art. 16; Québec,
P-39.1, s. 17.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import Field

from gateway.policy.countries import EEA
from gateway.policy.forms import Prose, Sha256, Window

Law = Literal["EEA", "UK", "CH", "QC"]
"""Whose law protects the data: the GDPR, the UK's, the Swiss, Québec's Law 25."""

Mechanism = Literal[
    "adequacy", "scc", "uk_addendum", "uk_idta", "uk_bridge", "swiss_scc", "swiss_framework", "assessment"
]

AREAS: Final[Mapping[Law, frozenset[str]]] = {
    "EEA": EEA,
    "UK": frozenset({"GB"}),
    "CH": frozenset({"CH"}),
    # The border is Québec's: Ontario is already outside (s. 17), and a country code cannot tell them apart.
    "QC": frozenset(),
}
"""Countries within which a law sees no transfer."""

MECHANISMS: Final[Mapping[Law, frozenset[Mechanism]]] = {
    "EEA": frozenset({"adequacy", "scc"}),
    "UK": frozenset({"adequacy", "uk_addendum", "uk_idta", "uk_bridge"}),
    "CH": frozenset({"adequacy", "swiss_scc", "swiss_framework"}),
    "QC": frozenset({"assessment"}),
}
"""What each law accepts. Consent and the other derogations are for single cases, so no entry can rest on them."""


class Transfer(Window):
    """The basis on which data under one law goes to this entry's countries, and the document that shows it."""

    law: Law
    mechanism: Mechanism
    reference: Prose
    document_sha256: Sha256


Laws = Annotated[tuple[Law, ...], Field(min_length=1)]
