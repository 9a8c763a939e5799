"""The operator without a cluster: controller, queue and hints in this process; what it would write, it keeps."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from vault_autoupdate.controller.controller import Controller
from vault_autoupdate.controller.hints import HintPoll, HintWatch
from vault_autoupdate.controller.queue import WorkQueue
from vault_autoupdate.core import Core, utc_now
from vault_autoupdate.decide.hints import Meaning
from vault_autoupdate.model.resource import API_VERSION, KIND, ObjectRef, ResourceKey
from vault_autoupdate.reconcile.reconciler import Outcome
from vault_autoupdate.report.readiness import Readiness
from vault_autoupdate.runtime import watch_for_hints

_GRACE: Final = 5.0
_SETTLE_TRIES: Final = 1200

__all__ = ["Kept", "LocalOperator", "local_operator", "object_of"]


@dataclass
class Kept:
    """What the operator would have written and counted. Implements `Writer`, `PassObserver` and `HintObserver`."""

    statuses: dict[ResourceKey, Mapping[str, Any]] = field(default_factory=dict)
    events: list[tuple[ResourceKey, Readiness]] = field(default_factory=list)
    readings: Counter[HintPoll] = field(default_factory=Counter)
    meanings: Counter[Meaning] = field(default_factory=Counter)
    woken: int = 0
    postponed: int = 0
    passes: int = 0

    async def write_status(self, ref: ObjectRef, status: Mapping[str, Any], *, patient: bool) -> None:
        self.statuses[ref.key] = status

    async def hand_over(self, ref: ObjectRef, shard: str, to: str) -> None:
        return

    async def check_present(self, ref: ObjectRef) -> None:
        return

    async def add_finalizer(self, ref: ObjectRef, finalizers: tuple[str, ...]) -> None:
        return

    async def remove_finalizer(self, ref: ObjectRef, finalizers: tuple[str, ...]) -> None:
        return

    async def emit_event(self, ref: ObjectRef, readiness: Readiness, *, count: int) -> None:
        self.events.append((ref.key, readiness))

    def pass_ended(self, outcome: Outcome, seconds: float) -> None:
        self.passes += 1

    def pass_not_written(self) -> None:
        return

    def pass_crashed(self) -> None:
        raise AssertionError("a pass crashed")

    def interim_status_skipped(self) -> None:
        return

    def hints_read(self, result: HintPoll, meanings: Mapping[Meaning, int]) -> None:
        self.readings[result] += 1
        self.meanings.update(meanings)

    def hinted(self, *, woken: int, postponed: int) -> None:
        self.woken += woken
        self.postponed += postponed


@dataclass
class LocalOperator:
    """A running one."""

    controller: Controller
    kept: Kept
    hints: HintWatch

    def is_ready(self, key: ResourceKey) -> bool:
        """Whether the last status of a resource says so."""
        conditions = self.kept.statuses.get(key, {}).get("conditions", ())
        return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)

    async def settle(self) -> None:
        """Wait until all resources are Ready."""
        for _ in range(_SETTLE_TRIES):
            if all(map(self.is_ready, self.controller.resources)):
                return
            await asyncio.sleep(0.05)
        raise TimeoutError("not all resources are Ready")


def object_of(name: str, *, namespace: str = "default", **spec: Any) -> dict[str, Any]:
    """A resource as the API server has it."""
    metadata: dict[str, Any] = {"name": name, "namespace": namespace, "uid": f"uid-{namespace}-{name}", "generation": 1}
    metadata["creationTimestamp"] = "2026-01-01T00:00:00Z"
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec}


@asynccontextmanager
async def local_operator(core: Core, objects: Iterable[dict[str, Any]]) -> AsyncIterator[LocalOperator]:
    """Work on resources, as the settings of ``core`` say, until the context ends."""
    kept, queue = Kept(), WorkQueue[ResourceKey]()
    controller = Controller(
        reconciler=core.reconciler,
        writer=kept,
        timing=core.timing,
        observer=kept,
        wake=queue.add,
        startup_spread=timedelta(),
        paused_for=core.paused_for,
        now=utc_now,
    )
    for each in objects:
        controller.on_change(each)
    working = asyncio.create_task(queue.run(controller.work))
    try:
        async with watch_for_hints(core, controller, kept) as hints:
            yield LocalOperator(controller, kept, hints)
    finally:
        controller.stop()
        await queue.stop(_GRACE)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
