"""The example of Alertmanager's configuration, read by its own tool: valid, and each alert gets where it should."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from workbench.prometheus.alertmanager import require_amtool, run_amtool
from workbench.prometheus.monitored import ALERTS, ROOT

EXAMPLE = ROOT / "examples/monitoring/alertmanager.yaml"
CONFIGURATION: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
SEVERITIES = sorted(
    {
        (rule["alert"], rule["labels"]["severity"])
        for group in yaml.safe_load(ALERTS.read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
)
RECEIVERS = {"critical": "recovery-on-call", "warning": "recovery", "info": "recovery-digest"}


@pytest.fixture(scope="module")
def amtool() -> str:
    return require_amtool()


def routed(amtool: str, *labels: str) -> str:
    return run_amtool(amtool, "config", "routes", "test", f"--config.file={EXAMPLE}", *labels).strip()


def test_it_is_a_configuration(amtool: str) -> None:
    said = run_amtool(amtool, "check-config", EXAMPLE)
    assert "SUCCESS" in said
    assert f"{len(CONFIGURATION['inhibit_rules'])} inhibit rules" in said


def test_every_alert_gets_to_those_whom_its_severity_concerns(amtool: str) -> None:
    assert {severity for _, severity in SEVERITIES} == RECEIVERS.keys()
    for alert, severity in SEVERITIES:
        found = routed(amtool, f"alertname={alert}", f"severity={severity}", "cluster=a", "namespace=dr", "name=weu")
        assert found == RECEIVERS[severity], alert


def test_alerts_of_others_are_left_to_the_configuration_around_it(amtool: str) -> None:
    assert routed(amtool, "alertname=KubePodCrashLooping", "severity=critical") == "default"


@pytest.mark.parametrize("rule", CONFIGURATION["inhibit_rules"])
def test_what_holds_others_back_and_what_is_held_back_are_alerts_that_there_are(rule: dict[str, Any]) -> None:
    names = {alert for alert, _ in SEVERITIES}
    for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
        (parts,) = re.findall(r'^(\w+)(=~|=)"(.+)"$', matcher)
        label, operator, pattern = parts
        assert label == "alertname"
        matched = {name for name in names if re.fullmatch(pattern, name)}
        assert len(matched) == (pattern.count("|") + 1 if operator == "=~" else 1), f"{matcher}: {matched}"
    sources, targets = (
        {name for name in names if re.fullmatch(re.sub(r'^\w+=~?"|"$', "", matcher), name)}
        for matcher in (rule["source_matchers"][0], rule["target_matchers"][0])
    )
    assert not sources & targets, "an alert would hold itself back"
    assert "cluster" in rule["equal"]
