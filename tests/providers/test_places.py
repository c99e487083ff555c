"""Where host, model id and deployment kind together say that a call computes."""

from __future__ import annotations

import pytest

from providers.places import ANYWHERE, Nowhere, place

BEDROCK = "bedrock-runtime.{}.amazonaws.com"


@pytest.mark.parametrize(
    ("host", "model", "kind", "region", "countries"),
    [
        pytest.param(BEDROCK.format("eu-central-1"), "vendor.model-v1:0", None, None, {"DE"}, id="a region"),
        pytest.param(BEDROCK.format("eu-west-2"), "vendor.model-v1:0", None, None, {"GB"}, id="London is not the EU"),
        pytest.param(BEDROCK.format("eu-central-2"), "vendor.model-v1:0", None, None, {"CH"}, id="nor is Zürich"),
        pytest.param("bedrock-mantle.ca-central-1.api.aws", "vendor.model", None, None, {"CA"}, id="Canada"),
        pytest.param(BEDROCK.format("eu-west-1"), "eu.vendor.model", None, None, {"DE", "SE", "IT", "ES", "IE", "FR"}, id="a profile of the EU moves in it"),
        pytest.param(BEDROCK.format("us-east-1"), "us.vendor.model", None, None, {"US"}, id="a profile of the US"),
        pytest.param("x.openai.azure.com", "any", "Standard", "canadaeast", {"CA"}, id="a standard deployment"),
        pytest.param("x.openai.azure.com", "any", "DataZoneStandard", "westeurope", {"FR", "DE", "IT", "NL", "NO", "PL", "ES", "SE", "CH"}, id="the EU zone has Norway and Switzerland"),
        pytest.param("x.services.ai.azure.com", "any", "GlobalStandard", "westeurope", ANYWHERE, id="a global deployment is anywhere"),
        pytest.param("europe-west4-aiplatform.googleapis.com", "any", None, None, {"NL"}, id="a region in the host"),
        pytest.param("aiplatform.googleapis.com", "any", None, None, ANYWHERE, id="a host without one"),
        pytest.param("ca.api.openai.com", "any", None, None, ANYWHERE, id="only storage is regional there"),
        pytest.param("api.example.com", "any", None, None, None, id="a door that nobody listed"),
        pytest.param("bedrock-runtime.eu-central-1.amazonaws.com.evil.example", "any", None, None, None, id="a look-alike"),
    ],
)  # fmt: skip
def test_where_it_computes(
    host: str, model: str, kind: str | None, region: str | None, countries: set[str] | None
) -> None:
    """The countries are those that the three together promise, none for nowhere in particular."""
    assert place(host, model, kind=kind, region=region) == countries


@pytest.mark.parametrize(
    ("host", "model", "kind", "region"),
    [
        pytest.param(BEDROCK.format("eu-central-1"), "global.vendor.model", None, None, id="a global profile"),
        pytest.param(BEDROCK.format("eu-central-1"), "us.vendor.model", None, None, id="a profile of elsewhere"),
        pytest.param(BEDROCK.format("eu-west-2"), "eu.vendor.model", None, None, id="a profile of the EU in London"),
        pytest.param(BEDROCK.format("eu-central-1"), "arn:aws:bedrock:eu-central-1:1:application-inference-profile/x", None, None, id="a profile that hides its target"),
        pytest.param(BEDROCK.format("eu-middle-1"), "vendor.model", None, None, id="an unknown region"),
        pytest.param("x.openai.azure.com", "any", None, None, id="no deployment"),
        pytest.param("x.openai.azure.com", "any", "Standard", "atlantis", id="an unknown region of a deployment"),
        pytest.param("x.openai.azure.com", "any", "Sparkling", "westeurope", id="an unknown kind"),
        pytest.param("x.openai.azure.com", "any", "DataZoneStandard", "canadaeast", id="a zone that there is not"),
        pytest.param("moon-base1-aiplatform.googleapis.com", "any", None, None, id="an unknown region in a host"),
    ],
)  # fmt: skip
def test_what_leads_nowhere(host: str, model: str, kind: str | None, region: str | None) -> None:
    """What is missing, unknown or contradictory is an error, never a guess."""
    with pytest.raises(Nowhere):
        place(host, model, kind=kind, region=region)
