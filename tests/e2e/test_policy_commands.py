"""``vault-autoupdate discover`` and ``policy`` as people run them: a process, a manifest, a simulated tenant."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from asr_simulator import SimulatorThread
from vault_autoupdate.model.resource import parse_resource
from workbench.kube.resources import policy_manifest
from workbench.policy_site import SUBSCRIPTIONS, tenant, vault_spec
from workbench.process.command_line import run


@pytest.fixture
def sim() -> Iterator[SimulatorThread]:
    """Five vaults in three subscriptions: off, on, half and half, and two without a mapping or a tag."""
    vaults = [
        vault_spec(0, 0, tags={"dr": "gold"}),
        vault_spec(0, 1, tags={"dr": "gold"}, mix={"enabled_compliant": 2}),
        vault_spec(1, 0, tags={"dr": "gold"}, mix={"enabled_compliant": 1, "disabled": 1}),
        vault_spec(1, 1, tags={"dr": "gold"}, mix={"other_provider": 1}),
        vault_spec(2, 0),
    ]
    with SimulatorThread(tenant(specs=vaults)) as running:
        yield running


def _policy(path: Path, *more: dict[str, Any], **spec: Any) -> Path:
    fields = {"scope": {"managementGroups": ["mg"]}, "automationAccount": [{"namePattern": "aa-*"}]} | spec
    path.write_text(yaml.safe_dump_all([policy_manifest(**fields), *more]))
    return path


def test_discover_shows_each_vault_with_the_setting_that_it_has(sim: SimulatorThread) -> None:
    result = run("discover", "-m", "mg", "-o", "csv", sim=sim)

    assert result.returncode == 0, result.stderr
    rows = list(csv.DictReader(result.stdout.splitlines()))
    assert [(row["vault"].rpartition("/")[2], row["setting"], row["mappings"]) for row in rows] == [
        ("dr-0-0", "Disabled", "1"),
        ("dr-0-1", "Enabled", "2"),
        ("dr-1-0", "Mixed", "2"),
        ("dr-1-1", "None", "0"),
        ("dr-2-0", "Disabled", "1"),
    ]
    assert rows[1]["automation_account"].endswith("/aa-0")
    assert run("discover", "-m", "mg", sim=sim).stdout.splitlines()[-1] == (
        "5 vaults: 2 Disabled, 1 Enabled, 1 Mixed, 1 None."
    )


def test_discover_writes_manifests_that_change_nothing(sim: SimulatorThread) -> None:
    result = run("discover", "-s", SUBSCRIPTIONS[0], "-s", SUBSCRIPTIONS[1], "--tag", "DR=gold", "-o", "yaml", sim=sim)

    resources = [parse_resource(document) for document in yaml.safe_load_all(result.stdout)]
    assert [(each.spec.vault_resource_id.name, each.spec.auto_update, each.spec.mode) for each in resources] == [
        ("dr-0-0", "Disabled", "Audit"),
        ("dr-0-1", "Enabled", "Audit"),
    ]
    left_out = [line for line in result.stdout.splitlines() if line.startswith("# left out: ")]
    assert [line.rpartition(": ")[2] for line in left_out] == [
        "its setting is Mixed (2 mappings)",
        "its setting is None (0 mappings)",
    ]


def test_discover_says_what_it_could_not_see_and_exits_1(sim: SimulatorThread) -> None:
    sim.control.add_fault(
        "status", route="vaults", subscription=SUBSCRIPTIONS[1], status=403, code="AuthorizationFailed", forever=True
    )

    result = run("discover", "-m", "mg", "-o", "json", sim=sim)

    assert result.returncode == 1
    assert len(json.loads(result.stdout)) == 3
    assert f"warning: subscription {SUBSCRIPTIONS[1]}: AuthorizationFailed" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "scope: must name exactly one of managementGroups and subscriptions"),
        (("-s", "production"), "'production' is not the GUID of a subscription"),
        (("-m", "mg", "--tag", "gold"), "--tag gold: write NAME=VALUE"),
    ],
)
def test_discover_refuses_a_scope_that_is_none(sim: SimulatorThread, arguments: tuple[str, ...], problem: str) -> None:
    result = run("discover", *arguments, sim=sim)

    assert result.returncode == 2
    assert problem in result.stderr


def test_policy_plan_shows_what_would_be_made_and_exits_2(sim: SimulatorThread, tmp_path: Path) -> None:
    file = _policy(tmp_path / "policy.yaml", vaultSelector={"matchTags": {"dr": ["gold"]}})

    result = run("policy", "plan", file, sim=sim)

    assert result.returncode == 2, result.stderr
    lines = result.stdout.splitlines()
    assert sum(line.startswith("+ ") and line.endswith(" Enabled: it has no resource yet") for line in lines) == 4
    assert lines[-1] == "Plan: 4 Missing, 1 NotSelected."
    assert sim.control.patches() == {}


def test_policy_plan_counts_the_resources_that_there_are(sim: SimulatorThread, tmp_path: Path) -> None:
    by_hand = yaml.safe_load_all(run("discover", "-m", "mg", "-o", "yaml", sim=sim).stdout)
    file = _policy(tmp_path / "policy.yaml", *by_hand)

    document = json.loads(run("policy", "plan", "-o", "json", file, sim=sim).stdout)

    standings = [vault["standing"] for vault in document["vaults"]]
    assert standings == ["Foreign", "Foreign", "Missing", "Missing", "Foreign"]
    assert document["counts"]["foreign"] == 3


def test_policy_report_lists_every_vault_and_why(sim: SimulatorThread, tmp_path: Path) -> None:
    file = _policy(tmp_path / "policy.yaml", exclude={"names": ["dr-2-*"]}, automationAccount=[{"namePattern": "zz"}])

    result = run("policy", "report", file, sim=sim)

    assert result.returncode == 0, result.stderr
    rows = list(csv.DictReader(result.stdout.splitlines()))
    assert [row["standing"] for row in rows] == 4 * ["WithoutAccount"] + ["Excluded"]
    assert rows[0]["why"] == "namePattern: leads to none"
    assert rows[4]["why"] == "excluded by its name, which matches dr-2-*"


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("since: 2026-13-45", "must hold exactly one VaultAutoUpdatePolicy, not 0"),
        ("kind: List\nitems: [1, null]", "must hold exactly one VaultAutoUpdatePolicy, not 0"),
        ("a: 1\na: 2", "the field 'a' is there twice"),
        ("a: &a [x, *a]", "an alias is a part of what it stands for"),
    ],
)
def test_a_file_that_is_none_is_refused_and_says_why(
    sim: SimulatorThread, tmp_path: Path, document: str, problem: str
) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(document)

    result = run("policy", "plan", file, sim=sim)

    assert (result.returncode, "Traceback" in result.stderr) == (2, False)
    assert problem in result.stderr


def test_a_file_without_a_policy_is_refused(sim: SimulatorThread, tmp_path: Path) -> None:
    file = tmp_path / "empty.yaml"
    file.write_text("kind: List\nitems: []\n")

    result = run("policy", "plan", file, sim=sim)

    assert (result.returncode, "must hold exactly one VaultAutoUpdatePolicy, not 0" in result.stderr) == (2, True)
