"""The files that people deploy with: each is parsed, checked by its own tool where there is one, and held to the program."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config.settings import Limits
from gateway.metrics import Metrics
from tests.test_house import ROOT

DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "gateway"


def served() -> set[str]:
    """Every series that `/metrics` has."""
    made = Metrics([("w", "o")], ["p"])
    made.set_processors({"p": 1.0})
    names = {sample.name for family in made.registry.collect() for sample in family.samples}
    counters = {family.name for family in made.registry.collect() if family.type == "counter"}
    return names | {f"{name}_total" for name in counters}


def named(expression: str) -> set[str]:
    """The series of ours that a query names."""
    return set(re.findall(r"\bgateway_\w+", expression))


def test_alerts_ask_for_what_is_served() -> None:
    """Every rule names series that exist, how grave it is, and what it means."""
    (group,) = yaml.safe_load((DEPLOY / "rules.yaml").read_text())["groups"]

    for rule in group["rules"]:
        assert named(rule["expr"]), rule["alert"]
        assert named(rule["expr"]) <= served(), rule["alert"]
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["summary"].endswith(".")


def test_the_dashboard_asks_for_what_is_served() -> None:
    """Every panel names series that exist, and none stands where another does."""
    dashboard = json.loads((DEPLOY / "dashboard.json").read_text())
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard["panels"]]

    assert len(set(places)) == len(places)
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            assert named(target["expr"]), panel["title"]
            assert named(target["expr"]) <= served(), panel["title"]


def test_haproxy_takes_its_configuration(tmp_path: Path) -> None:
    """As it stands, but for the certificates, which are made here."""
    program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if program is None:
        pytest.fail("haproxy is not installed: `make test` installs it from the distribution as root")
    text = (DEPLOY / "haproxy.cfg").read_text()
    text = re.sub(r"bind :8443 ssl .*", "bind 127.0.0.1:8443", text)
    text = text.replace("ca-file /run/secrets/gateway-ca.pem", "ca-file @system-ca")
    (tmp_path / "haproxy.cfg").write_text(text)

    checked = subprocess.run(
        [program, "-c", "-f", str(tmp_path / "haproxy.cfg")], capture_output=True, text=True, check=False, timeout=30
    )

    assert checked.returncode == 0, checked.stderr
    assert "retry-on conn-failure\n" in text  # anything more would make a call twice


def test_the_compose_file_is_three_gateways_and_what_they_need() -> None:
    """Each as closed as the others, on a network that leads out only where it must; one is given time to end."""
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services: dict[str, dict[str, Any]] = compose["services"]
    gateways = [service for name, service in services.items() if name.startswith("gateway-")]
    limits = Limits()

    assert len(gateways) == 3
    assert len({service["volumes"][2] for service in gateways}) == 3
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "outside" not in service["networks"] or name.startswith("gateway-"), name
    for service in gateways:
        assert int(service["stop_grace_period"].rstrip("s")) >= limits.drain_seconds + 5 + 30
    assert compose["networks"]["inside"]["internal"] is True
    assert "noeviction" in services["redis"]["command"]


def test_the_unit_is_one_that_systemd_takes() -> None:
    """Where systemd is there to ask; it signals the parent alone and waits for longer than calls take to end."""
    unit = DEPLOY / "gateway.service"
    text = unit.read_text()
    program = shutil.which("systemd-analyze")

    assert "KillMode=mixed\n" in text
    stop = re.search(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
    assert stop is not None
    assert int(stop[1]) >= Limits().drain_seconds + 30
    if program is not None:
        asked = subprocess.run([program, "verify", str(unit)], capture_output=True, text=True, check=False, timeout=60)
        assert "gateway.service" not in asked.stderr, asked.stderr


def rendered(template: str, values: dict[str, Any]) -> str:
    """A template of the chart as Helm would write it; the chart uses no more of the language than this."""
    lines = template.splitlines()
    text = "\n".join(_expanded(lines, values, None))
    assert "{{" not in text
    return text


def _expanded(lines: list[str], values: dict[str, Any], dot: object) -> list[str]:
    found: list[str] = []
    at = 0
    while at < len(lines):
        loop = re.fullmatch(r"\s*\{\{- range \$?\.Values\.(\w+) \}\}", lines[at])
        if loop is None:
            found.append(re.sub(r"\{\{ (\.[\w.]*) \}\}", lambda found: _value(found[1], values, dot), lines[at]))
            at += 1
            continue
        depth, end = 1, at
        while depth:
            end += 1
            depth += "range" in lines[end] and "{{-" in lines[end]
            depth -= lines[end].strip() == "{{- end }}"
        for item in values[loop[1]]:
            found += _expanded(lines[at + 1 : end], values, item)
        at = end + 1
    return found


def _value(path: str, values: dict[str, Any], dot: object) -> str:
    if path == ".":
        return str(dot)
    value: Any = values
    for name in path.removeprefix(".Values.").split("."):
        value = value[name]
    return str(value)


def chart(**values_too: object) -> dict[str, dict[str, Any]]:
    """Every object of the chart, by its file."""
    values = {**yaml.safe_load((CHART / "values.yaml").read_text()), **values_too}
    return {
        path.stem: yaml.safe_load(rendered(path.read_text(), values)) for path in (CHART / "templates").glob("*.yaml")
    }


@pytest.mark.parametrize("name", ["keeper", "outpost"])
def test_a_pod_of_the_chart_can_do_nothing_but_serve(name: str) -> None:
    """No privilege, no writable root, secrets by file, probes that know ready from alive, and time to end."""
    pod = chart()[name]["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert "--ready" in container["readinessProbe"]["exec"]["command"]
    assert "--ready" not in container["livenessProbe"]["exec"]["command"]
    assert "env" not in container
    assert "envFrom" not in container
    assert pod["terminationGracePeriodSeconds"] >= Limits().drain_seconds + 30
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"] for volume in pod["volumes"]} | {"state"}
    assert mounts == volumes


def test_the_charts_network_lets_out_to_providers_redis_and_names_alone() -> None:
    """Nothing inside the cluster, and nobody in but who is labelled for it."""
    policy = chart()["network"]["spec"]

    assert policy["policyTypes"] == ["Ingress", "Egress"]
    names, redis, providers = policy["egress"]
    assert {port["port"] for port in names["ports"]} == {53}
    assert [port["port"] for port in redis["ports"]] == [6379]
    assert [port["port"] for port in providers["ports"]] == [443]
    assert "169.254.0.0/16" in providers["to"][0]["ipBlock"]["except"]
    assert all("namespaceSelector" in source for rule in policy["ingress"] for source in rule["from"])


def test_the_charts_network_lets_nobody_out_to_a_list_that_is_empty() -> None:
    """A rule without addresses would let out to all there are."""
    collectors = ["10.0.0.20/32"]
    open_to = [rule["to"] for rule in chart(providers=[], collectors=collectors)["network"]["spec"]["egress"]]

    assert all(open_to)
    assert open_to[-1] == [{"ipBlock": {"cidr": "10.0.0.20/32"}}]
    assert len(chart(providers=[])["network"]["spec"]["egress"]) == len(open_to) - 1


def test_the_chart_keeps_one_host_of_the_log_and_never_loses_two() -> None:
    """Exactly one replica keeps the log; a voluntary disruption takes one at most."""
    objects = chart()

    assert objects["keeper"]["spec"]["replicas"] == 1
    assert objects["outpost"]["spec"]["replicas"] == 2
    assert objects["disruption"]["spec"]["maxUnavailable"] == 1
    assert objects["disruption"]["spec"]["selector"]["matchLabels"] == {"app": "gateway"}
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["name"] == "gateway"
