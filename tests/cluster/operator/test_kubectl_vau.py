"""``kubectl vau``: the real kubectl finds and runs it, against the real API server and a simulated Azure."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from vault_autoupdate.model.resource import REQUESTED_AT
from workbench.kube.kubectl import find_kubectl
from workbench.process.operator import scaled_settings
from workbench.process.waiting import wait_until
from workbench.site import SCALE, Site

_BESIDE: Final = Path(sys.executable).parent


def _kubectl(site: Site, *arguments: str, kubeconfig: bool = True, **more: str) -> subprocess.CompletedProcess[str]:
    """kubectl as somebody runs it who has the plugin on the PATH, a kubeconfig, and a login to Azure."""
    environment = {
        "PATH": f"{_BESIDE}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(site.plane.admin_kubeconfig.parent),
        "COLUMNS": "200",
        **({"KUBECONFIG": str(site.plane.admin_kubeconfig)} if kubeconfig else {}),
        **site.sim.identity_env,
        **scaled_settings(SCALE),
        "VAULT_AUTOUPDATE_ARM_ENDPOINT": site.sim.url,
        "VAULT_AUTOUPDATE_CREDENTIAL": "managed-identity",
        **more,
    }
    command = [str(find_kubectl()), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90, check=False)


def _vau(site: Site, command: str, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return _kubectl(site, "vau", command, *arguments, "--namespace", site.namespace, **more)


def test_kubectl_lists_it_among_its_plugins_without_a_warning(site: Site) -> None:
    result = _kubectl(site, "plugin", "list")
    assert str(_BESIDE / "kubectl-vau") in result.stdout
    assert "warning" not in (result.stdout + result.stderr).lower()


def test_kubectl_completes_its_commands_and_flags(site: Site) -> None:
    commands = _kubectl(site, "__complete", "vau", "").stdout.splitlines()
    assert [line.partition("\t")[0] for line in commands[:-1]] == ["now", "plan", "resume", "status", "suspend", "why"]
    assert commands[-1] == ":4"
    assert "--no-azure" in _kubectl(site, "__complete", "vau", "why", "--no").stdout


def test_status_shows_the_resources_of_the_namespace(site: Site) -> None:
    site.create(mode="Audit")
    site.wait_reason("DriftDetected")
    result = _vau(site, "status")
    assert result.returncode == 0, result.stderr
    assert site.name() in result.stdout
    assert "DriftDetected" in result.stdout


def test_plan_plans_what_is_declared_in_the_cluster_against_azure(site: Site) -> None:
    site.create(mode="Audit")
    before = site.sequence()
    one = _vau(site, "plan", site.name())
    assert one.returncode == 2, one.stderr
    assert "Plan: 6 to change" in one.stdout
    every = _vau(site, "plan")
    assert f"{site.namespace}/{site.name()}: vault {site.vault.id}" in every.stdout
    assert site.requests(since=before, method="PATCH") == []


def test_why_has_conditions_failures_events_and_drift_on_one_screen(site: Site) -> None:
    site.sim.control.add_fault(
        "fail_job",
        vault=site.vault.name,
        code="150999",
        message="It broke.",
        recommended_action="Mend it.",
        forever=True,
    )
    site.create()
    site.wait_reason("MappingsFailed")

    def shown() -> str:
        result = _vau(site, "why", site.name())
        assert result.returncode == 0, result.stderr
        return result.stdout

    text = wait_until(lambda: told if "Events\n" in (told := shown()) else "", within=30, what="an Event", every=1)
    assert text.startswith(f"{site.namespace}/{site.name()}: {site.vault.id}\n")
    for part in (
        "Conditions",
        "Ready False",
        "Failures",
        "150999",
        "It broke.",
        "to do: Mend it.",
        "Events",
        "Warning",
    ):
        assert part in text, text
    drift = text.partition("Drift, as Azure has it now\n")[2]
    assert "auto-update is Disabled, declared Enabled" in drift.partition("\n\n")[0]


def test_why_shows_all_else_where_azure_does_not_answer(site: Site) -> None:
    site.create()
    site.wait_ready()
    result = _vau(
        site, "why", site.name(), VAULT_AUTOUPDATE_ARM_ENDPOINT="http://127.0.0.1:9", VAULT_AUTOUPDATE_RETRY_PAUSE="1ms"
    )
    assert result.returncode == 0, result.stderr
    assert "Ready True" in result.stdout
    assert "not known: ArmUnreachable" in result.stdout
    assert "Drift" not in _vau(site, "why", site.name(), "--no-azure").stdout


def test_now_has_the_operator_look_and_waits_for_the_answer(site: Site) -> None:
    site.create()
    site.wait_ready()
    site.sim.control.drift("disable", vault=site.vault.name, count=1)
    result = _vau(site, "now", f"vau/{site.name()}", "--wait")
    assert result.returncode == 0, result.stderr
    assert "Compliant: " in result.stdout
    assert site.status()["lastHandledReconcileAt"] == site.get()["metadata"]["annotations"][REQUESTED_AT]
    assert site.statuses() == {"Enabled": 8}


def test_suspend_and_resume_change_the_spec_and_say_if_there_was_nothing_to_do(site: Site) -> None:
    site.create()
    site.wait_ready()
    name = site.name()
    assert _vau(site, "suspend", name).stdout == f"vaultautoupdate/{name} suspended\n"
    site.wait_reason("Suspended")
    assert _vau(site, "suspend", name).stdout == f"vaultautoupdate/{name} was suspended already\n"
    assert _vau(site, "resume", name).stdout == f"vaultautoupdate/{name} resumed\n"
    site.wait_ready()
    assert site.get()["spec"]["suspend"] is False


@pytest.mark.parametrize("command", ["plan", "why", "now", "suspend", "resume"])
def test_a_name_that_is_not_there_is_told_and_exits_1(site: Site, command: str) -> None:
    result = _vau(site, command, "nobody")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"error: there is no VaultAutoUpdate {site.namespace}/nobody\n"


def test_the_flags_of_kubectl_choose_cluster_and_context_and_the_context_the_namespace(
    site: Site, tmp_path: Path
) -> None:
    site.create()
    site.wait_ready()
    own = tmp_path / "kubeconfig"
    own.write_bytes(site.plane.admin_kubeconfig.read_bytes())
    edit = ("config", "--kubeconfig", str(own))
    current = _kubectl(site, *edit, "current-context").stdout.strip()
    cluster = _kubectl(site, *edit, "view", "-o", "jsonpath={.contexts[0].context.cluster}").stdout
    user = _kubectl(site, *edit, "view", "-o", "jsonpath={.contexts[0].context.user}").stdout
    made = _kubectl(
        site, *edit, "set-context", "team", f"--cluster={cluster}", f"--user={user}", f"--namespace={site.namespace}"
    )
    assert made.returncode == 0, made.stderr

    arguments = ("vau", "status", "-o", "json", "--kubeconfig", str(own))
    assert site.name() in _kubectl(site, *arguments, "--context", "team", kubeconfig=False).stdout
    assert site.name() not in _kubectl(site, *arguments, "--context", current, kubeconfig=False).stdout
    assert "no cluster to talk to" in _kubectl(site, *arguments, "--context", "gone", kubeconfig=False).stderr
