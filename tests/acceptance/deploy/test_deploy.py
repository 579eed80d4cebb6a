"""The ways to run it elsewhere are sound as far as a machine without a cluster and without a container engine can tell."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import helm_python
import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[3]
CHART = ROOT / "deploy/helm/vivavoce"
LEAST: dict[str, Any] = {"secret": {"existing": "keys"}, "agents": {"image": "agents:1"}}
EVERYTHING: dict[str, Any] = {
    **LEAST,
    "agents": {"existingClaim": "agents", "folders": ["one", "two"]},
    "settings": {"VIVAVOCE_RECORDINGS": "s3://bucket/calls", "VIVAVOCE_KEY_RATE": "0", "VIVAVOCE_REQUESTS": "1000000"},
    "imagePullSecrets": [{"name": "registry"}],
    "podAnnotations": {"a.example/b": "c"},
    "ingress": {
        "enabled": True,
        "host": "voice.example",
        "tlsSecret": "tls",
        "className": "nginx",
        "annotations": {"a": "b"},
    },
    "autoscaling": {"enabled": True},
    "monitor": {"enabled": True, "keySecret": {"name": "keys", "key": "metrics"}},
    "networkPolicy": {"enabled": True},
}


def rendered(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """kind -> manifest."""
    with helm_python.Chart.load(CHART) as chart:
        found = chart.render(values=values, name="demo")
    text = found if isinstance(found, str) else "\n---\n".join(v for k, v in found.items() if k.endswith(".yaml"))
    documents = [d for d in YAML(typ="safe", pure=True).load_all(text) if isinstance(d, dict)]
    return {document["kind"]: document for document in documents if "kind" in document}


def test_the_chart_lints() -> None:
    assert not [m for m in str(helm_python.lint(CHART, values=LEAST)).splitlines() if "[ERROR]" in m]


def test_what_is_rendered_runs_as_nobody_and_keeps_its_keys_in_a_secret() -> None:
    pod = rendered(LEAST)["Deployment"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] and not pod["automountServiceAccountToken"]
    for container in (*pod["containers"], *pod["initContainers"]):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"]
        assert context["capabilities"]["drop"] == ["ALL"]
    server = pod["containers"][0]
    assert server["envFrom"] == [{"secretRef": {"name": "keys"}}] and "/agents" in server["args"]
    assert server["readinessProbe"]["httpGet"]["path"] == "/readyz"
    waits = {e["name"]: int(e["value"]) for e in server["env"] if e["name"].startswith("VIVAVOCE_DRAIN")}
    assert pod["terminationGracePeriodSeconds"] > sum(waits.values())  # nobody is killed who is still on the phone


def test_all_that_can_be_switched_on_renders() -> None:
    found = rendered(EVERYTHING)
    assert set(found) >= {
        "Ingress",
        "HorizontalPodAutoscaler",
        "ServiceMonitor",
        "NetworkPolicy",
        "PodDisruptionBudget",
    }
    assert "replicas" not in found["Deployment"]["spec"]
    server = found["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    assert server["args"][1:3] == ["/agents/one", "/agents/two"]
    for name, value in EVERYTHING["settings"].items():
        assert {"name": name, "value": value} in server["env"]
    assert found["Deployment"]["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    assert found["Ingress"]["metadata"]["annotations"] == {"a": "b"}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"secret": {"existing": "keys"}},
        {**LEAST, "replicas": -1},
        {**LEAST, "replica": 3},
        {**LEAST, "settings": {"VIVAVOCE_REQUESTS": 1000000}},
    ],
)
def test_values_that_cannot_work_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(helm_python.HelmError):
        rendered(values)


def test_every_setting_that_these_files_name_is_one() -> None:
    known = set(re.findall(r"\b(?:VIVAVOCE|OPENAI|AWS|OTEL)_[A-Z_]+", (ROOT / "docs/configuration.md").read_text()))
    known |= {"AWS_ENDPOINT", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"}
    for path in (ROOT / "deploy").rglob("*"):
        if path.is_file():
            used = set(re.findall(r"\b(?:VIVAVOCE|OPENAI|AWS|OTEL)_[A-Z_]+\b", path.read_text()))
            assert used <= known, (path, used - known)


def test_the_unit_is_sound_and_well_kept_apart(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    assert program, "systemd-analyze is needed: apt-get install systemd"
    unit = tmp_path / "vivavoce.service"
    text = (ROOT / "deploy/systemd/vivavoce.service").read_text()
    unit.write_text(text.replace("/opt/vivavoce/bin/vivavoce", sys.executable))
    checked = subprocess.run([program, "verify", "--man=no", str(unit)], capture_output=True, text=True)
    own = [line for line in checked.stderr.splitlines() if "vivavoce.service" in line]
    assert not own, own
    rated = subprocess.run(
        [program, "security", "--offline=yes", "--no-pager", "--json=short", str(unit)], capture_output=True, text=True
    )
    exposure = sum(float(item["exposure"] or 0) for item in json.loads(rated.stdout) if item["exposure"])
    assert exposure < 3.5, rated.stdout


def test_the_unit_lets_author_code_be_confined() -> None:
    """systemd 252, of Debian 12, has the calls of Landlock in no group, and kills who makes a call that it does not allow."""
    text = (ROOT / "deploy/systemd/vivavoce.service").read_text()
    allowed = " ".join(re.findall(r"^SystemCallFilter=(.*)$", text, re.MULTILINE)).split()
    assert {"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"} <= set(allowed)
    assert "SystemCallErrorNumber=EPERM" in text


def test_the_proxy_takes_no_server_for_dead_that_has_too_much_to_do() -> None:
    text = (ROOT / "deploy/compose/nginx.conf").read_text()
    assert all("max_fails=0" in line for line in re.findall(r"^\s*server \w+:8080.*$", text, re.MULTILINE))
    assert "non_idempotent" not in text


def test_the_compose_file_is_two_servers_of_one_record() -> None:
    with (ROOT / "deploy/compose/compose.yaml").open() as file:
        services = YAML(typ="safe", pure=True).load(file)["services"]
    one, two = services["one"], services["two"]
    assert one["environment"] == two["environment"] and one["volumes"][1] != two["volumes"][1]
    assert "64 hexadecimal digits" in one["environment"]["VIVAVOCE_SEAL_KEY"]
    assert one["read_only"] and one["cap_drop"] == ["ALL"] and "ports" not in one  # nothing but the proxy is reached
    for service in services.values():
        for needed in service.get("depends_on", {}):
            assert needed in services


def test_what_the_image_is_made_of_is_there_and_locked() -> None:
    text = (ROOT / "deploy/Dockerfile").read_text()
    for source in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        for name in source.replace("${REQUIREMENTS}", "server").split():
            assert (ROOT / name).exists(), name
    assert "--require-hashes" in text and re.search(r"^USER 10001", text, re.MULTILINE)
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert ignored[0] == "*"  # nothing but what is named gets in: no key, no data folder


def test_the_dashboard_asks_for_what_a_server_tells() -> None:
    from vivavoce.telemetry.prometheus import PrometheusTelemetry

    gauges = (
        "requests_in_work",
        "requests_waiting",
        "requests_room",
        "requests_refused",
        "late_seconds",
        "workers_warm",
    )
    told = PrometheusTelemetry({f"vivavoce_{name}": ("", lambda: 0.0) for name in gauges})
    known = set(re.findall(r"^# TYPE (\w+)", told.expose().decode(), re.MULTILINE))
    asked = set(re.findall(r"vivavoce_\w+", (ROOT / "deploy/grafana/vivavoce.json").read_text()))
    assert {re.sub("_bucket$", "", name) for name in asked} <= known
