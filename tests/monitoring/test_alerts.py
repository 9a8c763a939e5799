"""The alerts: complete, explained, tested by promtool, and on fire in a real Prometheus when they should be."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from workbench.prometheus.monitored import ALERTS, EXPECTED, ROOT, Monitored
from workbench.prometheus.promql import problems_of

RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
]
NAMES = [rule["alert"] for rule in RULES]
CASES = ROOT / "tests/monitoring/rules"
RUNBOOKS = ROOT / "docs/runbooks"


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_every_alert_says_what_it_means_and_where_to_read_on(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert {"summary", "description", "runbook_url"} <= rule["annotations"].keys()
    assert "{{" not in rule["annotations"]["summary"]
    path = rule["annotations"]["runbook_url"].split("/blob/main/")[1]
    assert path == f"docs/runbooks/{rule['alert']}.md"


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_has_a_page_that_says_how_to_see_it_why_it_happens_and_what_to_do(name: str) -> None:
    page = (RUNBOOKS / f"{name}.md").read_text()
    assert page.startswith(f"# {name}\n")
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == ["Meaning", "How to see it", "Why it happens", "What to do"]


def test_there_is_no_page_or_case_of_an_alert_that_does_not_exist() -> None:
    assert {page.stem for page in RUNBOOKS.glob("*.md")} == {*NAMES, "README"}
    assert {page.stem for page in CASES.glob("*.yaml")} == set(NAMES)


def test_the_list_of_runbooks_has_every_alert_with_its_severities() -> None:
    severities: dict[str, list[str]] = {}
    for rule in RULES:
        severities.setdefault(rule["alert"], []).append(rule["labels"]["severity"])
    listed = re.findall(
        r"^\| \[(\w+)\]\((\w+)\.md\) \| ([\w, ]+) \|", (RUNBOOKS / "README.md").read_text(), re.MULTILINE
    )
    assert listed == [(name, name, ", ".join(found)) for name, found in severities.items()]


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_every_alert_is_about_metrics_and_labels_that_exist(rule: dict[str, Any]) -> None:
    assert problems_of(rule["expr"]) == []


@pytest.mark.parametrize("name", NAMES)
def test_promtool_sees_every_alert_fire_and_not_fire(promtool: str, name: str) -> None:
    path = CASES / f"{name}.yaml"
    expected = [test for case in yaml.safe_load(path.read_text())["tests"] for test in case["alert_rule_test"]]
    assert all(test["alertname"] == name for test in expected)
    assert any(test["exp_alerts"] for test in expected)
    assert any(not test["exp_alerts"] for test in expected)
    ended = subprocess.run([promtool, "test", "rules", path], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_file_is_a_rule_file_as_it_is(promtool: str) -> None:
    subprocess.run([promtool, "check", "rules", ALERTS], check=True, capture_output=True)


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_every_expression_is_answered_and_gives_something_exactly_if_the_scenario_has_it(
    scenario: Monitored, rule: dict[str, Any]
) -> None:
    found = scenario.prometheus.query_range(rule["expr"], scenario.began + 1, scenario.ended, 0.5)
    assert bool(found) == (rule["alert"] in EXPECTED), found


def test_the_alerts_that_should_fire_do_and_no_others(scenario: Monitored) -> None:
    assert set(scenario.fired) == EXPECTED


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_what_an_alert_says_can_be_read(scenario: Monitored, name: str) -> None:
    annotations = scenario.fired[name]["annotations"]
    for text in annotations.values():
        assert not re.search(r"<no value>|<error|\{\{|NaN|%!", text), text


def test_alerts_about_a_resource_name_it(scenario: Monitored) -> None:
    labels = {name: alert["labels"] for name, alert in scenario.fired.items()}
    assert (labels["VaultAutoUpdateNotReady"]["name"], labels["VaultAutoUpdateNotReady"]["namespace"]) == (
        "left-behind", "default",
    )  # fmt: skip
    assert labels["VaultAutoUpdateJobsFailing"]["name"] == "unwell"
    assert labels["VaultAutoUpdateRepairNotCuring"]["name"] == "unwell"
    assert labels["VaultAutoUpdateDriftReturns"]["name"] == "dr-weu"
    assert labels["VaultAutoUpdateAccessDenied"]["code"] == "403"
    assert labels["VaultAutoUpdateAgentRolloutStopped"]["name"] == "in-windows"
    assert labels["VaultAutoUpdateAgentUpdatesFailing"]["name"] == "in-windows"
    assert labels["VaultAutoUpdateAgentsFarBehind"]["name"] == "in-windows"
    assert labels["VaultAutoUpdateAutomationAccountUnhealthy"]["name"] == "unwell"


def test_no_rule_refers_to_a_file_outside_of_the_repository() -> None:
    for case in CASES.glob("*.yaml"):
        for file in yaml.safe_load(case.read_text())["rule_files"]:
            assert (case.parent / file).resolve() == ALERTS.resolve(), Path(file)
