"""The operator as a process, through its normal entry point, on a machine without a kube-apiserver: on the emulator.

What only a real API server shows (schema, CEL, RBAC, outages) is in ``tests/cluster``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asr_simulator import SimulatorThread, load_scenario
from vault_autoupdate.model.resource import REQUESTED_AT
from workbench.kube.embedded_api import EmbeddedApi, open_embedded_api
from workbench.kube.resources import EXAMPLE_FILE
from workbench.process.operator import OperatorProcess
from workbench.process.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "examples/scenarios/demo.yaml"
NAME = "dr-weu"
TO_CHANGE = 140 + 40 + 30 + 20
"""Disabled, with another account, with a Run As account, unhealthy: see the scenario."""


@pytest.fixture
def api(tmp_path: Path) -> Iterator[EmbeddedApi]:
    with open_embedded_api(tmp_path, emulate=True) as running:
        yield running


@pytest.fixture
def sim() -> Iterator[SimulatorThread]:
    with SimulatorThread(load_scenario(DEMO)) as running:
        yield running


@pytest.fixture
def operator(tmp_path: Path, api: EmbeddedApi, sim: SimulatorThread) -> Iterator[OperatorProcess]:
    scale = sim.scenario.time_scale
    process = OperatorProcess(
        tmp_path, kubeconfig=api.kubeconfig, arm_url=sim.url, identity=sim.identity_env, scale=scale
    )
    yield process
    process.close()
    log = process.log.read_text()
    assert "Traceback" not in log
    for secret in ("Bearer", "eyJ", "&s=", "&c="):
        assert secret not in log


def status(api: EmbeddedApi) -> dict[str, Any]:
    document: dict[str, Any] = api.get(NAME).get("status") or {}
    return document


def is_ready(api: EmbeddedApi) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in status(api).get("conditions", ()))


def test_the_example_makes_the_vault_what_it_says_and_each_mapping_that_differs_is_patched_once(
    api: EmbeddedApi, sim: SimulatorThread, operator: OperatorProcess
) -> None:
    operator.start().wait_ready()
    api.apply(EXAMPLE_FILE)
    wait_until(lambda: is_ready(api), within=60, what="Ready")
    patched = sim.control.patches().values()
    assert len(patched) == TO_CHANGE
    assert {record["accepted"] for record in patched} == {1}
    final = status(api)
    assert final["mappings"] == {
        "total": 400, "inScope": 360, "compliant": 360, "drifted": 0, "updating": 0, "failed": 0, "ignored": 40,
    }  # fmt: skip
    assert final["compliantSummary"] == "360/360"
    assert "operations" not in final
    metadata = api.get(NAME)["metadata"]
    assert "finalizers" not in metadata
    assert set(metadata.get("annotations", {})) <= {"kubectl.kubernetes.io/last-applied-configuration"}
    metrics = operator.metrics()
    assert metrics['vault_autoupdate_jobs_total{outcome="succeeded"}'] == TO_CHANGE
    assert metrics['vault_autoupdate_arm_requests_total{code="202",operation="update_mapping"}'] == TO_CHANGE
    assert operator.stop() == 0


@pytest.mark.parametrize("after", [1, 90])
def test_kill_9_in_mid_run_and_a_restart_patch_nothing_twice_and_end_compliant(
    api: EmbeddedApi, sim: SimulatorThread, operator: OperatorProcess, after: int
) -> None:
    operator.start().wait_ready()
    api.apply(EXAMPLE_FILE)
    wait_until(lambda: len(sim.control.patches()) >= after, within=30, what=f"{after} PATCHes", every=0.005)
    operator.kill()
    operator.start()
    wait_until(lambda: is_ready(api), within=60, what="Ready after the restart")
    patched = sim.control.patches().values()
    assert len(patched) == TO_CHANGE
    assert {record["accepted"] for record in patched} == {1}
    assert {m["status"] for m in sim.control.mappings() if m["provider"] == "A2A" and m["state"] == "Paired"} == {
        "Enabled"
    }


def test_an_annotation_asks_for_a_look_now_and_what_was_undone_is_mended(
    api: EmbeddedApi, sim: SimulatorThread, operator: OperatorProcess
) -> None:
    operator.start().wait_ready()
    api.apply(EXAMPLE_FILE)
    wait_until(lambda: is_ready(api), within=60, what="Ready")
    sim.control.reset_stats()
    sim.control.drift("disable", count=4)
    sim.control.drift("run_as", count=2)
    api.patch(NAME, {"metadata": {"annotations": {REQUESTED_AT: "please"}}})
    wait_until(lambda: status(api).get("lastHandledReconcileAt") == "please", within=30, what="an answer")
    assert is_ready(api)
    assert sum(record["accepted"] for record in sim.control.patches().values()) == len(sim.control.patches())
    assert 4 <= len(sim.control.patches()) <= 6  # the two may hit one mapping
    assert status(api)["lastRun"]["succeeded"] == len(sim.control.patches())


def test_deletion_policy_disable_switches_the_vault_off_before_the_resource_goes(
    api: EmbeddedApi, sim: SimulatorThread, operator: OperatorProcess
) -> None:
    operator.start().wait_ready()
    api.apply(EXAMPLE_FILE)
    api.patch(NAME, {"spec": {"deletionPolicy": "Disable"}})
    wait_until(lambda: is_ready(api) and api.get(NAME)["metadata"].get("finalizers"), within=60, what="Ready and held")
    api.delete(NAME)
    wait_until(lambda: api.list() == [], within=60, what="the resource to go")
    assert {m["status"] for m in sim.control.mappings() if m["provider"] == "A2A" and m["state"] == "Paired"} == {
        "Disabled"
    }
