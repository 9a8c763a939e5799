"""The alerts: complete, explained, tested by promtool, and on fire in a real Prometheus when they should be."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from workbench.prometheus.monitored import ALERTS, EXPECTED, ROOT, Monitored
from workbench.prometheus.promql import problems_of
from workbench.prometheus.rule_cases import Case, read_cases, rule_file_of
from workbench.prometheus.server import without_waiting

RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"] if "alert" in rule
]
SHRUNK_RULES = [rule for group in without_waiting(ALERTS)["groups"] for rule in group["rules"] if "alert" in rule]
"""The same for a scenario that is over in two minutes."""
NAMES = [rule["alert"] for rule in RULES]
ALERT_NAMES = sorted(set(NAMES))
NOT_VARIED = {
    ("VaultAutoUpdateTwoLeaders", "restarted"),
    ("VaultAutoUpdateMostlyDown", "scraped every 300 s"),
    ("VaultAutoUpdateSuspendedForLong", "suspended"),
}
"""What does not happen to an alert, or means nothing for it: of two leaders that are replaced, none is left; to who
scrapes every five minutes, what is up for half a minute in six is absent; and one is about what is suspended."""
ALWAYS = {"in a cluster of its own", "beside another release", "restarted"}
OF_RESOURCES = {"deleted", "suspended", "with labels that are not honoured"}
SLOW = 300
"""Seconds between two samples of a case that is scraped slowly as it is."""
CASES = ROOT / "tests/monitoring/rules"
RUNBOOKS = ROOT / "docs/runbooks"


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_every_alert_says_what_it_means_and_where_to_read_on(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert {"summary", "description", "value", "runbook_url", "dashboard_url"} <= rule["annotations"].keys()
    assert "{{" not in rule["annotations"]["summary"]
    path = rule["annotations"]["runbook_url"].split("/blob/main/")[1]
    assert path == f"docs/runbooks/{rule['alert']}.md"


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_has_a_page_that_says_how_to_see_it_why_it_happens_and_what_to_do(name: str) -> None:
    page = (RUNBOOKS / f"{name}.md").read_text()
    assert page.startswith(f"# {name}\n")
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == [
        "Meaning", "How bad is it", "How to see it", "Why it happens", "What to do",
    ]  # fmt: skip


@pytest.mark.parametrize("path", sorted(RUNBOOKS.glob("*.md")), ids=lambda path: path.stem)
def test_the_commands_of_a_page_need_nothing_filled_in_by_hand(path: Path) -> None:
    page = path.read_text()
    lines = [line for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) for line in block.splitlines()]
    commands = [*lines, *re.findall(r"`(kubectl [^`]+)`", page)]
    for command in commands:
        bare = re.sub(r"""'[^']*'|"[^"]*"|\$\w+""", "", command.partition(" # ")[0])
        assert not re.search(r"\b(NAMESPACE|NAME|POD|RELEASE|SECRET)\b(?!=)", bare), command
        assert not bare.startswith("kubectl") or re.search(r"-n|-A|--raw", bare), f"{command}: of which namespace?"
    checked = subprocess.run(["bash", "-n"], input="\n".join(commands), capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


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


def run_cases(promtool: str, folder: Path, name: str, cases: Sequence[Case]) -> str:
    """What promtool says about cases of an alert; empty when all is as it should be."""
    rules = rule_file_of(ALERTS, name, folder)
    files = []
    for number, case in enumerate(cases):
        files.append(folder / f"{number}.yaml")
        files[-1].write_text(yaml.safe_dump(case.document(rules)))
    rarely = {**os.environ, "GOGC": "400"}  # collects garbage: a quarter less of processor time
    ended = subprocess.run([promtool, "test", "rules", *files], capture_output=True, text=True, check=False, env=rarely)
    return "" if ended.returncode == 0 else ended.stdout + ended.stderr


@pytest.mark.parametrize("name", ALERT_NAMES)
def test_promtool_sees_every_alert_fire_and_not_fire(promtool: str, tmp_path: Path, name: str) -> None:
    cases = read_cases(CASES / f"{name}.yaml")
    assert any(case.firing for case in cases)
    assert any(case.silent for case in cases)
    assert run_cases(promtool, tmp_path, name, cases) == ""


@pytest.mark.parametrize("name", ALERT_NAMES)
def test_an_alert_fires_beside_others_at_slow_scrapes_and_after_a_restart_and_goes_with_its_resource_or_its_suspension(
    promtool: str, tmp_path: Path, name: str
) -> None:
    first = next(case for case in read_cases(CASES / f"{name}.yaml") if case.firing)
    varied = [each for each in first.variations() if (name, each.words) not in NOT_VARIED]
    assert run_cases(promtool, tmp_path, name, varied) == ""


@pytest.mark.parametrize("name", ALERT_NAMES)
def test_no_alert_is_left_out_of_what_may_happen_to_any(name: str) -> None:
    first = next(case for case in read_cases(CASES / f"{name}.yaml") if case.firing)
    words = {each.words for each in first.variations()}
    names_a_resource = any(
        "$labels.name }}" in rule["annotations"]["description"] for rule in RULES if rule["alert"] == name
    )
    assert ALWAYS | (OF_RESOURCES if names_a_resource else set()) <= words
    assert first.every >= SLOW or {"scraped every 300 s"} < {each for each in words if each.startswith("scraped")}


def test_a_rolling_update_of_two_replicas_sets_nothing_off(promtool: str, tmp_path: Path) -> None:
    document = yaml.safe_load((CASES.parent / "rolling_update.yaml").read_text())
    document["rule_files"] = [str(ALERTS)]
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(document))
    subprocess.run([promtool, "test", "rules", tmp_path / "case.yaml"], check=True, capture_output=True)


def test_groups_are_small_enough_for_hosted_rulers() -> None:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    assert all(len(group["rules"]) <= 10 for group in groups)


def test_what_is_asked_of_a_record_was_recorded_before_in_the_same_group() -> None:
    """Groups are not evaluated in any order, and one that comes later has nothing yet of this moment."""
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        recorded: set[str] = set()
        for rule in group["rules"]:
            recorded |= {rule.get("record", "")}
            assert set(re.findall(r"vault_autoupdate:[\w:]+(?=\{)", rule["expr"])) <= recorded


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_every_selector_has_braces_for_the_release_to_put_its_own_into(rule: dict[str, Any]) -> None:
    names = re.findall(r"vault_autoupdate_\w+", rule["expr"])
    assert len(names) == len(re.findall(r"vault_autoupdate_\w+\{", rule["expr"]))


def test_the_file_is_a_rule_file_as_it_is(promtool: str) -> None:
    subprocess.run([promtool, "check", "rules", ALERTS], check=True, capture_output=True)


def test_the_command_at_its_head_puts_a_selector_into_every_expression(promtool: str, tmp_path: Path) -> None:
    (command,) = re.findall(r"^#   (sed .+) alerts.yaml$", ALERTS.read_text(), re.MULTILINE)
    (tmp_path / "rules.yaml").write_bytes(subprocess.check_output(["bash", "-c", f'{command} "$0"', ALERTS]))
    subprocess.run([promtool, "check", "rules", tmp_path / "rules.yaml"], check=True, capture_output=True)
    groups = yaml.safe_load((tmp_path / "rules.yaml").read_text())["groups"]
    bare = re.compile(r'vault_autoupdate[a-z_:]+\{(?!job="vault-autoupdate-metrics",)')
    assert not [rule["expr"] for group in groups for rule in group["rules"] if bare.search(rule["expr"])]


@pytest.mark.parametrize("rule", SHRUNK_RULES, ids=NAMES)
def test_every_expression_is_answered_and_gives_something_exactly_if_the_scenario_has_it(
    scenario: Monitored, rule: dict[str, Any]
) -> None:
    scraped = (
        f"({rule['expr']}) unless on () (up == 0)"  # a busy machine may take longer than the half second that it has
    )
    found = scenario.prometheus.query_range(scraped, scenario.began + 1, scenario.ended, 0.5)
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
    assert labels["VaultAutoUpdateJobsFailing"]["name"] in {"unwell", "left-behind"}  # of the latter, none is begun
    assert labels["VaultAutoUpdateRepairNotCuring"]["name"] == "unwell"
    assert labels["VaultAutoUpdateDriftReturns"]["name"] == "dr-weu"
    assert labels["VaultAutoUpdateAccessDenied"]["operation"] == "update_mapping"
    assert labels["VaultAutoUpdateStalled"]["name"] == "forbidden"
    assert labels["VaultAutoUpdateStalled"]["reason"] == "AuthorizationFailed"
    assert labels["VaultAutoUpdateAgentRolloutStopped"]["name"] == "in-windows"
    assert labels["VaultAutoUpdateAgentsFarBehind"]["name"] == "in-windows"
    assert labels["VaultAutoUpdateAutomationAccountUnhealthy"]["name"] == "unwell"
