"""Our own way: the operator's core as it is, with memory in Kubernetes' place."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from asr_simulator.control_client import ControlClient
from benchmarks.scenarios import Vault
from benchmarks.task import Answer, SimulatedClock, Task
from vault_autoupdate.arm.client import CallContext
from vault_autoupdate.arm.site_recovery import SiteRecovery
from vault_autoupdate.controller.controller import Controller
from vault_autoupdate.controller.queue import WorkQueue
from vault_autoupdate.core import open_core, utc_now
from vault_autoupdate.metrics.counters import Metrics
from vault_autoupdate.model.arm_id import parse_vault_id
from vault_autoupdate.model.quota import QuotaScope
from vault_autoupdate.model.resource import ObjectRef, ResourceKey
from vault_autoupdate.report.readiness import Readiness
from vault_autoupdate.settings import load_settings
from workbench.process.operator import scaled_settings

_INTERVAL = timedelta(hours=1)
_JOB_TIMEOUT = timedelta(minutes=160)
_NAMESPACE = "default"

__all__ = ["run"]


class MemoryWriter:
    """Takes what would be written to Kubernetes. Implements `Writer`."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self.ready: dict[str, float] = {}
        """By name of the resource: since when its status says Ready."""
        self.writes = 0
        self.changed = asyncio.Event()

    async def write_status(self, ref: ObjectRef, status: Mapping[str, Any], *, patient: bool = False) -> None:  # noqa: ARG002
        """Note when a resource becomes ready."""
        self.writes += 1
        name = ref.key.name
        if any(c["type"] == "Ready" and c["status"] == "True" for c in status["conditions"]):
            self.ready.setdefault(name, self._clock.now())
            self.changed.set()
        else:
            self.ready.pop(name, None)

    async def hand_over(self, ref: ObjectRef, shard: str, to: str) -> None:
        """There is one shard."""

    async def check_present(self, ref: ObjectRef) -> None:
        """Nothing here is ever deleted."""

    async def add_finalizer(self, ref: ObjectRef, finalizers: tuple[str, ...]) -> None:
        """No resource here needs a finalizer."""

    async def remove_finalizer(self, ref: ObjectRef, finalizers: tuple[str, ...]) -> None:
        """No resource here has a finalizer."""

    async def emit_event(self, ref: ObjectRef, readiness: Readiness, *, count: int) -> None:
        """Events are not looked at."""


def run(task: Task) -> Answer:
    """Make all vaults as declared."""
    return asyncio.run(_run(task))


async def _run(task: Task) -> Answer:
    control = ControlClient(task.url)
    environment = {
        **scaled_settings(task.scale),
        "VAULT_AUTOUPDATE_ARM_ENDPOINT": task.url,
        "VAULT_AUTOUPDATE_CREDENTIAL": "managed-identity",
    }
    metrics = Metrics()
    with open_core(load_settings({}, environment), os.environ, calls=metrics, runs=metrics) as core:
        clock = SimulatedClock(control, task.scale)
        writer = MemoryWriter(clock)
        queue: WorkQueue[ResourceKey] = WorkQueue()
        controller = Controller(
            reconciler=core.reconciler,
            writer=writer,
            timing=core.timing,
            observer=metrics,
            wake=queue.add,
            startup_spread=core.settings.startup_spread,
            paused_for=core.paused_for,
            now=utc_now,
        )
        await _get_token(core.site_recovery, task.vaults[0])
        answer = Answer(began=clock.now())
        working = asyncio.create_task(queue.run(controller.work))
        for vault in task.vaults:
            controller.on_change(_body(vault, task.scale))
        aside = [asyncio.create_task(_apply_late(task, controller, clock, answer))] if task.late else []
        if task.undisturbed_from is not None:
            aside.append(asyncio.create_task(_leave_alone(control, clock.real(task.undisturbed_from))))
        awaited = {task.late.name} if task.late else {vault.name for vault in task.vaults}
        answer.finished = await _wait_for(writer, awaited, clock.real(task.limit))
        if answer.finished and task.hold:
            await _first_looks(controller, clock)
            await _hold(task, control, writer, clock, answer)
        answer.ended, answer.ready, answer.status_writes = clock.now(), writer.ready, writer.writes
        for waiting in (*aside, working):
            waiting.cancel()
        controller.stop()
        await queue.stop(5.0)
        return answer


async def _get_token(site_recovery: SiteRecovery, vault: Vault) -> None:
    """Make one call: what a process needs for its first token is real time, and no part of what is measured."""
    await site_recovery.vault(CallContext(QuotaScope("start"), "", "start", "start"), parse_vault_id(vault.id))


async def _wait_for(writer: MemoryWriter, names: set[str], seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            while not names <= writer.ready.keys():
                writer.changed.clear()
                await writer.changed.wait()
    except TimeoutError:
        return False
    return True


async def _apply_late(task: Task, controller: Controller, clock: SimulatedClock, answer: Answer) -> None:
    await asyncio.sleep(clock.real(task.late_at))
    if task.late:
        answer.late_applied = clock.now()
        controller.on_change(_body(task.late, task.scale))


async def _leave_alone(control: ControlClient, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await asyncio.to_thread(control.settings, throttle={"other_client_writes_per_minute": 0})


async def _first_looks(controller: Controller, clock: SimulatedClock) -> None:
    """Wait until all agents and accounts were looked at: that is done when there are reads to spare."""
    states = [entry.state for entry in controller.resources.values()]
    while not all(state.agents.seen and state.account.seen for state in states):  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(clock.real(10.0))


async def _hold(
    task: Task, control: ControlClient, writer: MemoryWriter, clock: SimulatedClock, answer: Answer
) -> None:
    """Watch for a while what happens when there is nothing to do."""
    writes, cpu = writer.writes, time.process_time()
    await asyncio.to_thread(control.reset_stats)
    await asyncio.sleep(clock.real(task.hold))
    stats = await asyncio.to_thread(control.stats)
    answer.reads_on_hold = sum(scope["reads"]["served"] for scope in stats["scopes"])
    answer.status_writes_on_hold = writer.writes - writes
    answer.cpu_on_hold = time.process_time() - cpu


def _body(vault: Vault, scale: float) -> dict[str, Any]:
    """The resource for a vault, as the API server would have it. Its durations are scaled like everything else."""
    return {
        "apiVersion": "asr.vault-autoupdate.io/v1alpha1",
        "kind": "VaultAutoUpdate",
        "metadata": {
            "name": vault.name,
            "namespace": _NAMESPACE,
            "uid": f"uid-of-{vault.name}",
            "generation": 1,
            "creationTimestamp": datetime.now(UTC).isoformat(),
        },
        "spec": {
            "vaultResourceId": vault.id,
            "autoUpdate": "Enabled",
            "automationAccountResourceId": vault.account,
            "interval": _INTERVAL / scale,
            "jobTimeout": _JOB_TIMEOUT / scale,
        },
    }
