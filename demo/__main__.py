"""From a resource to a vault that is as declared, and back again after somebody undoes it.

Starts a simulated Azure, a Kubernetes API and the operator, each as in production but for the addresses, applies
the example, follows its status, reports on the agents, breaks something and follows the repair. Then one policy covers
the vaults of three more subscriptions.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import yaml
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from asr_simulator.control_client import ControlClient
from demo.policy import show_policy
from demo.screen import console, note, say
from vault_autoupdate.model.resource import REQUESTED_AT
from workbench.kube.embedded_api import EmbeddedApi, open_embedded_api
from workbench.kube.resources import POLICY_CRD_FILE, install_definition
from workbench.process.children import ChildProcess
from workbench.process.operator import OperatorProcess
from workbench.process.ports import free_ports
from workbench.process.waiting import wait_until

ROOT: Final = Path(__file__).resolve().parent.parent
EXAMPLE: Final = ROOT / "examples/vault-autoupdate.yaml"
SCENARIO: Final = ROOT / "examples/scenarios/demo.yaml"
NAME: Final = "dr-weu"
DRIFT: Final = 5
SHOWN: Final = 5
"""Machines with an outdated agent that are shown one by one."""
SOME_ARE_BEHIND: Final = 2
"""Exit code of ``vault-autoupdate agents``."""
METRICS: Final = tuple(
    f"vault_autoupdate_{name}"
    for name in ("jobs_total", "mappings{", "agents{", "drift_detected_total", "repairs_total")
)


def main() -> int:
    """Run the demo; the exit code is 0 if everything came out as it should."""
    began = time.monotonic()
    work_dir = Path(tempfile.mkdtemp(prefix="vault-autoupdate-demo-"))
    scenario = yaml.safe_load(SCENARIO.read_text())
    try:
        with ExitStack() as stack:
            arm_url = start_simulator(stack, work_dir)
            control = ControlClient(arm_url)
            say("Kubernetes API")
            api = stack.enter_context(open_embedded_api(work_dir))
            install_definition(api.rest, POLICY_CRD_FILE)
            note(f"{api.kind}, with crds/ applied" + ("" if api.is_real else f" ({WHY_EMULATED})"))
            operator = start_operator(stack, work_dir, api, arm_url, scale=scenario["time_scale"])
            converge(api, control)
            check_each_patched_once(control)
            report_on_agents(api, operator)
            repair(api, control)
            show(api, operator)
            show_policy(api, control)
            note(f"finished after {time.monotonic() - began:.0f} s")
            if os.environ.get("KEEP"):
                keep_running(work_dir, api, operator, arm_url)
    finally:
        shutil.rmtree(work_dir, ignore_errors=True)
    return 0


WHY_EMULATED: Final = "no kube-apiserver found; `make control-plane` builds one, KUBEBUILDER_ASSETS names one"


def start_simulator(stack: ExitStack, work_dir: Path) -> str:
    """Start Azure's stand-in as a process and return its URL."""
    say("Simulated Azure (Resource Manager, Site Recovery, managed identity)")
    (port,) = free_ports(1)
    command: list[str | Path] = [
        Path(sys.executable).with_name("asr-simulator"),
        "serve",
        "--scenario",
        SCENARIO,
        "--port",
        str(port),
    ]
    process = stack.enter_context(ChildProcess(command, log=work_dir / "simulator.log"))
    url = process.wait_for_log("http://", within=15).split()[-1]
    vault = ControlClient(url).state()["vaults"][0]
    note(f"{url}: vault {vault['name']} with {vault['total']} container mappings; time runs 20 times as fast")
    return url


def start_operator(
    stack: ExitStack, work_dir: Path, api: EmbeddedApi, arm_url: str, *, scale: float
) -> OperatorProcess:
    """Start the operator as a process and wait until it watches."""
    say("Operator")
    operator = OperatorProcess(
        work_dir,
        kubeconfig=api.kubeconfig,
        arm_url=arm_url,
        identity={"IDENTITY_ENDPOINT": f"{arm_url}/msi/token", "IDENTITY_HEADER": "asr-simulator"},
        scale=scale,
        settings={"VAULT_AUTOUPDATE_POLICIES": "true"},
    )
    stack.enter_context(operator)
    operator.wait_ready()
    note(f"vault-autoupdate run (pid {operator.child.pid}), metrics at {operator.metrics_url}")
    return operator


def converge(api: EmbeddedApi, control: ControlClient) -> None:
    """Apply the example and show how the vault becomes what it says."""
    say(f"kubectl apply -f {EXAMPLE.relative_to(ROOT)}")
    for line in api.apply(EXAMPLE).splitlines():
        note(line)
    status = follow(api, is_ready)
    stats = control.stats()["scopes"][0]["writes"]
    patched, peak, refused = status["lastRun"]["patched"], stats["peak_in_window"], stats["throttled"]
    note(f"{patched} PATCHes, at most {peak} in any 60 s, {refused} refused")


def check_each_patched_once(control: ControlClient) -> None:
    """Compare with what the simulator counted: every mapping that had to be changed, once, and no other."""
    counts = [record["accepted"] for record in control.patches().values()]
    if any(count != 1 for count in counts):
        raise SystemExit(f"some mappings were patched more than once: {sorted(counts, reverse=True)[:5]}")
    note(f"{len(counts)} different mappings were patched, each once")


def report_on_agents(api: EmbeddedApi, operator: OperatorProcess) -> None:
    """Show the agents of the machines, which is what auto-update is for, and what the operator says of them."""
    say(f"vault-autoupdate agents {EXAMPLE.relative_to(ROOT)}")
    done = subprocess.run(
        [*operator.program, "agents", EXAMPLE],
        env=operator.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode not in {0, SOME_ARE_BEHIND}:
        raise SystemExit(f"the agents could not be read: {done.stderr}")
    vault, *machines, summary = done.stdout.splitlines()
    omitted = [f"... and {len(machines) - SHOWN} more"] if len(machines) > SHOWN else []
    for line in (vault, *machines[:SHOWN], *omitted, summary):
        note(line)
    status = api.get(NAME)["status"]
    for kind in ("AgentsCurrent", "AutomationAccountHealthy"):
        if found := condition(status, kind):
            note(f"{kind}: {found['status']}, {found['reason']}: {found['message']}")


def repair(api: EmbeddedApi, control: ControlClient) -> None:
    """Undo some mappings behind the operator's back and ask it to look."""
    say(f"Somebody switches auto-update off in {DRIFT} mappings, behind our back")
    control.reset_stats()
    for name in control.drift("disable", count=DRIFT):
        note(name)
    before = api.get(NAME)["status"]["lastRun"]["id"]
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    say(f"kubectl annotate vau/{NAME} --overwrite {REQUESTED_AT}={stamp}")
    api.kubectl("annotate", f"vau/{NAME}", "--overwrite", f"{REQUESTED_AT}={stamp}")
    follow(api, lambda status: is_ready(status) and status["lastRun"]["id"] != before)
    check_each_patched_once(control)


def show(api: EmbeddedApi, operator: OperatorProcess) -> None:
    """Print what a user would look at."""
    say("kubectl get vau")
    for line in api.kubectl("get", "vau").splitlines():
        note(line)
    say(f"kubectl get vau {NAME} -o yaml  (status)")
    for line in yaml.safe_dump(api.get(NAME)["status"], sort_keys=False, width=100).splitlines():
        note(line)
    say("Metrics")
    for series, value in operator.metrics().items():
        if series.startswith(METRICS) and not series.endswith("_created"):
            note(f"{series} {value:g}")


def follow(api: EmbeddedApi, finished: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Show the status as it changes until it is ``finished``, and return it."""
    seen: dict[str, Any] = {}

    def look() -> dict[str, Any] | None:
        status: dict[str, Any] = api.get(NAME).get("status") or {}
        ready = condition(status)
        if ready and ready.get("message") != seen.get("message"):
            seen["message"] = ready["message"]
            show_progress(status, ready["message"])
        return status if finished(status) else None

    if not console.is_terminal:
        show_progress: Callable[[dict[str, Any], str], None] = lambda status, message: note(message)  # noqa: ARG005, E731
        return wait_until(look, within=120, what="the resource to be Ready", every=0.1)
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=None)

        def show_progress(status: dict[str, Any], message: str) -> None:  # noqa: ARG001 - the numbers are enough here
            counts = status.get("mappings", {})
            words = f"{counts.get('updating', 0)} jobs in flight"
            progress.update(task, description=words, total=counts.get("inScope"), completed=counts.get("compliant", 0))

        return wait_until(look, within=120, what="the resource to be Ready", every=0.1)


def keep_running(work_dir: Path, api: EmbeddedApi, operator: OperatorProcess, arm_url: str) -> None:
    """Print how to look around, and wait for Ctrl-C."""
    say("Left running (KEEP=1). In another terminal:")
    kubectl = Path(sys.executable).with_name("kubectl").relative_to(ROOT)
    for line in (
        f"export KUBECONFIG={api.kubeconfig}",
        f"{kubectl} get vau -w",
        f"{kubectl} describe vau {NAME}",
        f"{kubectl} get events",
        f"curl -s {operator.metrics_url} | grep vault_autoupdate_",
        f"curl -s {arm_url}/_simulator/stats",
        f'curl -s {arm_url}/_simulator/drift -d \'{{"change": "disable", "count": 3}}\'',
        f"{kubectl} annotate vau/{NAME} --overwrite {REQUESTED_AT}=$(date +%s)",
        f"tail -f {operator.log}",
    ):
        note(line)
    say("Ctrl-C stops everything")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()
    note(f"removing {work_dir}")


def is_ready(status: dict[str, Any]) -> bool:
    """Whether the status says Ready."""
    return condition(status).get("status") == "True"


def condition(status: dict[str, Any], kind: str = "Ready") -> dict[str, Any]:
    """The condition of a type, or nothing."""
    return next((c for c in status.get("conditions", ()) if c["type"] == kind), {})


if __name__ == "__main__":
    sys.exit(main())
