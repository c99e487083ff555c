"""Where a model computes, as host, model id and deployment kind tell together: the escapes that a host alone hides.

Pure tables. A door that is not listed tells nothing, and the entry's own evidence stands alone. A vendor's label is no
country set: an "EU" zone may hold Norway and Switzerland, and London is in no EU region.

Sources, read 2026-11-23: AWS, Amazon Bedrock endpoints and cross-Region inference; Microsoft, Foundry deployment types
(EU data zone of May 2026, which may grow without notice); Google Cloud, Vertex AI locations; OpenAI, your data.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias
from urllib.parse import urlsplit

ANYWHERE: Final[frozenset[str]] = frozenset()
"""The empty set stands for "no place is promised"."""

_AWS: Final[Mapping[str, str]] = {
    "us-east-1": "US", "us-east-2": "US", "us-west-1": "US", "us-west-2": "US", "us-gov-west-1": "US",
    "us-gov-east-1": "US", "ca-central-1": "CA", "ca-west-1": "CA", "mx-central-1": "MX", "sa-east-1": "BR",
    "eu-central-1": "DE", "eu-central-2": "CH", "eu-north-1": "SE", "eu-south-1": "IT", "eu-south-2": "ES",
    "eu-west-1": "IE", "eu-west-2": "GB", "eu-west-3": "FR", "eusc-de-east-1": "DE", "il-central-1": "IL",
    "ap-northeast-1": "JP", "ap-northeast-3": "JP", "ap-northeast-2": "KR", "ap-south-1": "IN", "ap-south-2": "IN",
    "ap-southeast-1": "SG", "ap-southeast-2": "AU", "ap-southeast-4": "AU", "ap-southeast-3": "ID",
    "me-central-1": "AE", "me-south-1": "BH", "af-south-1": "ZA",
}  # fmt: skip
_AWS_PROFILES: Final[Mapping[str, frozenset[str]]] = {
    # A geographic profile moves between the Regions of its geography. The EU's has neither London nor Zürich.
    "eu": frozenset({"DE", "SE", "IT", "ES", "IE", "FR"}),
    "us": frozenset({"US"}),
    "us-gov": frozenset({"US"}),
    "ca": frozenset({"CA"}),
    "jp": frozenset({"JP"}),
    "au": frozenset({"AU"}),
    "apac": frozenset({"JP", "KR", "IN", "SG", "AU", "ID"}),
}
_AZURE: Final[Mapping[str, str]] = {
    "canadacentral": "CA", "canadaeast": "CA", "eastus": "US", "eastus2": "US", "centralus": "US",
    "northcentralus": "US", "southcentralus": "US", "westus": "US", "westus2": "US", "westus3": "US",
    "francecentral": "FR", "germanywestcentral": "DE", "italynorth": "IT", "westeurope": "NL", "northeurope": "IE",
    "norwayeast": "NO", "polandcentral": "PL", "spaincentral": "ES", "swedencentral": "SE", "switzerlandnorth": "CH",
    "switzerlandwest": "CH", "uksouth": "GB", "ukwest": "GB", "japaneast": "JP", "australiaeast": "AU",
}  # fmt: skip
_AZURE_EU_ZONE: Final = frozenset({"FR", "DE", "IT", "NL", "NO", "PL", "ES", "SE", "CH"})
_GOOGLE: Final[Mapping[str, str]] = {
    "northamerica-northeast1": "CA", "northamerica-northeast2": "CA", "us-central1": "US", "us-east1": "US",
    "us-east4": "US", "us-east5": "US", "us-south1": "US", "us-west1": "US", "us-west4": "US", "europe-central2": "PL",
    "europe-north1": "FI", "europe-southwest1": "ES", "europe-west1": "BE", "europe-west2": "GB", "europe-west3": "DE",
    "europe-west4": "NL", "europe-west6": "CH", "europe-west8": "IT", "europe-west9": "FR", "europe-west12": "IT",
}  # fmt: skip


_BEDROCK: Final = re.compile(
    r"bedrock-(?:runtime|runtime-fips|mantle)\.(?P<region>[a-z0-9-]+)\.(?:amazonaws\.com|amazonaws\.eu|api\.aws)"
).fullmatch
_Find: TypeAlias = Callable[[re.Match[str], str, "str | None", "str | None"], frozenset[str]]


class Nowhere(ValueError):
    """Host, model and deployment do not go together, or lead where nothing is promised. The message is ours."""


def place(host: str, model: str, *, kind: str | None = None, region: str | None = None) -> frozenset[str] | None:
    """The countries in which this may compute.

    Args:
        host: in lower case, without port.
        model: the id that is sent.
        kind: the deployment's kind, where the door has any.
        region: the deployment's region.

    Returns:
        ISO 3166-1 codes; the empty set where the door promises no place; None for a door that is not listed here.

    Raises:
        Nowhere: a fact is missing or unknown, or the model id leaves every region.
    """
    for matches, find in _DOORS:
        found = matches(host)
        if found:
            return find(found, model, kind, region)
    return None


def cloud_region(host: str) -> str | None:
    """The region that a cloud's host names where its settings belong to account and region; None at another door."""
    found = _BEDROCK(host)
    return None if found is None else found["region"]


def control_url(base_url: str) -> str:
    """Where the settings of the account behind an endpoint are read: at the same host, or that of its control plane."""
    split = urlsplit(base_url)
    region = cloud_region(split.hostname or "")
    if region is None:
        return f"{split.scheme}://{split.netloc}"
    suffix = "amazonaws.eu" if region.startswith("eusc-") else "amazonaws.com"
    return f"https://bedrock.{region}.{suffix}"


def _bedrock(found: re.Match[str], model: str, _kind: str | None, _region: str | None) -> frozenset[str]:
    country = _AWS.get(found["region"])
    if country is None:
        raise Nowhere("the region in this host is not known")
    if model.startswith(("arn:", "global.")) or ":inference-profile/" in model:
        raise Nowhere("this inference profile may compute in any region; write a model id or a geographic profile")
    prefix = model.split(".", 1)[0]
    zone = _AWS_PROFILES.get(prefix)
    if zone is None:
        return frozenset({country})
    if country not in zone:
        raise Nowhere("the profile in the model id is of another geography than the host")
    return zone


def _azure(_found: re.Match[str], _model: str, kind: str | None, region: str | None) -> frozenset[str]:
    if kind is None or region is None:
        raise Nowhere("this host names no region: write deployment: {kind, region} as the deployment has them")
    country = _AZURE.get(region)
    if country is None:
        raise Nowhere("the region of the deployment is not known")
    if kind in {"Standard", "ProvisionedManaged"}:
        return frozenset({country})
    if kind.startswith("DataZone"):
        if country == "US":
            return frozenset({"US"})
        if country in _AZURE_EU_ZONE or country == "IE":
            return _AZURE_EU_ZONE | {country}
        raise Nowhere("there is no data zone around this region")
    if kind.startswith("Global") or kind == "DeveloperTier":
        return ANYWHERE
    raise Nowhere("this kind of deployment is not known")


def _vertex(found: re.Match[str], _model: str, _kind: str | None, _region: str | None) -> frozenset[str]:
    country = _GOOGLE.get(found["region"])
    if country is None:
        raise Nowhere("the region in this host is not known")
    return frozenset({country})


def _anywhere(_found: re.Match[str], _model: str, _kind: str | None, _region: str | None) -> frozenset[str]:
    return ANYWHERE


def _in(countries: frozenset[str]) -> _Find:
    return lambda _found, _model, _kind, _region: countries


_EEA_CH: Final = frozenset({
    "AT", "BE", "BG", "CH", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IS", "IT", "LI",
    "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK",
})  # fmt: skip
_DOORS: Final[tuple[tuple[Callable[[str], re.Match[str] | None], _Find], ...]] = (
    (_BEDROCK, _bedrock),
    (re.compile(r"[a-z0-9-]+\.(?:openai|services\.ai|cognitiveservices)\.azure\.com").fullmatch, _azure),
    (re.compile(r"(?P<region>[a-z0-9-]+)-aiplatform\.googleapis\.com").fullmatch, _vertex),
    (re.compile(r"aiplatform\.googleapis\.com").fullmatch, _anywhere),
    (re.compile(r"us\.api\.openai\.com").fullmatch, _in(frozenset({"US"}))),
    (re.compile(r"eu\.api\.openai\.com").fullmatch, _in(_EEA_CH)),
    (re.compile(r"(?:ae|au|ca|jp|in|sg|kr|gb)\.api\.openai\.com").fullmatch, _anywhere),  # storage alone is regional
    (re.compile(r"api\.openai\.com").fullmatch, _anywhere),
)
