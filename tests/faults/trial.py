"""One resource in the real controller, with a dictionary in Kubernetes' place, and time that can be skipped."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from vault_autoupdate.controller.controller import Controller
from vault_autoupdate.controller.queue import WorkQueue
from vault_autoupdate.model.resource import API_VERSION, KIND, ObjectRef, ResourceKey
from vault_autoupdate.reconcile.reconciler import Outcome
from vault_autoupdate.report.readiness import Readiness
from workbench.core import ACCOUNT, VAULT, Azure

KEY: Final = ResourceKey("team", "dr")
_PATIENCE: Final = 30.0
"""Seconds to wait for what must come; a slow machine needs a part of them."""

__all__ = ["Clock", "Trial", "open_trial", "skippable_clock"]


class Clock:
    """Our clock: that of the machine, and what was skipped."""

    def __init__(self) -> None:
        self.skipped = 0.0

    def now(self) -> datetime:
        """The present."""
        return datetime.now(UTC) + timedelta(seconds=self.skipped)


@contextmanager
def skippable_clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """Let the event loop and the core go by a clock that can be skipped; for a core that is opened inside."""
    clock, loop = Clock(), asyncio.get_running_loop()
    real = loop.time
    with monkeypatch.context() as patch:
        patch.setattr(loop, "time", lambda: real() + clock.skipped)
        patch.setattr("vault_autoupdate.core.utc_now", clock.now)
        yield clock


class Trial:
    """A resource that is being worked on, and all statuses that it has had. Implements `Writer`."""

    def __init__(self, azure: Azure, clock: Clock) -> None:
        self._clock = clock
        self._core = azure.core
        self._changed = asyncio.Event()
        self.statuses: list[dict[str, Any]] = []
        self.queue: WorkQueue[ResourceKey] = WorkQueue()
        self.controller = Controller(
            reconciler=azure.core.reconciler,
            writer=self,
            timing=azure.core.timing,
            observer=self,
            wake=self.queue.add,
            startup_spread=timedelta(seconds=1),
            paused_for=azure.core.paused_for,
            now=clock.now,
        )

    async def write_status(self, ref: ObjectRef, status: Mapping[str, Any], *, patient: bool) -> None:
        self.statuses.append(dict(status))
        self._changed.set()

    async def hand_over(self, ref: ObjectRef, shard: str, to: str) -> None:
        raise AssertionError("there is one shard")

    async def check_present(self, ref: ObjectRef) -> None:
        return

    async def add_finalizer(self, ref: ObjectRef, finalizers: tuple[str, ...]) -> None:
        raise AssertionError("the resource has no policy that needs a finalizer")

    async def remove_finalizer(self, ref: ObjectRef, finalizers: tuple[str, ...]) -> None:
        raise AssertionError("there is no finalizer to take off")

    async def emit_event(self, ref: ObjectRef, readiness: Readiness, *, count: int) -> None:
        return

    def pass_ended(self, outcome: Outcome, seconds: float) -> None:
        self._changed.set()

    def pass_not_written(self) -> None:
        raise AssertionError("every status is taken here")

    def pass_crashed(self) -> None:
        self._changed.set()

    def interim_status_skipped(self) -> None:
        raise AssertionError("every status is taken here")

    @property
    def ready(self) -> dict[str, Any]:
        """The condition Ready as it is now."""
        return ready(self.statuses[-1]) if self.statuses else {}

    @property
    def reasons(self) -> set[str]:
        """All reasons of Ready that were shown."""
        return {ready(status)["reason"] for status in self.statuses}

    async def until(self, seen: Callable[[dict[str, Any]], bool]) -> None:
        """Wait until any condition Ready was such; none of those shown is missed."""
        with self._explained():
            async with asyncio.timeout_at(self._deadline()):
                while not any(seen(ready(status)) for status in self.statuses):
                    self._changed.clear()
                    await self._changed.wait()

    async def recover(self) -> None:
        """Let the schedule do its work, without waiting for it, until the resource is ready."""
        deadline = self._deadline() - self._clock.skipped
        while self.ready.get("status") != "True":
            if (idle := self._idle_for()) > 0.5:
                self._clock.skipped += idle
                self.queue._changed.set()
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), 0.02)
            with self._explained():
                if self._deadline() - self._clock.skipped > deadline + _PATIENCE:
                    raise TimeoutError

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + _PATIENCE

    def _idle_for(self) -> float:
        """Seconds for which nothing is going to happen."""
        silence = max((lane.paused_for for lane in self._core.throttle.states()), default=0.0)
        if self.queue.running:
            return silence
        now = asyncio.get_running_loop().time()
        return max(silence, min((at - now for at in self.queue._due.values()), default=0.0))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError:
            shown = "\n".join(f"  {c['status']} {c['reason']}: {c['message']}" for c in map(ready, self.statuses))
            pytest.fail(f"what was waited for did not come; Ready was\n{shown}")


def ready(status: Mapping[str, Any]) -> dict[str, Any]:
    """The condition Ready of a status."""
    (condition,) = (condition for condition in status["conditions"] if condition["type"] == "Ready")
    return dict(condition)


@asynccontextmanager
async def open_trial(azure: Azure, clock: Clock) -> AsyncIterator[Trial]:
    """Apply the resource and work on it until the end of the block."""
    trial = Trial(azure, clock)
    working = asyncio.create_task(trial.queue.run(trial.controller.work))
    try:
        trial.controller.on_change(_body())
        yield trial
    finally:
        trial.controller.stop()
        await trial.queue.stop(5.0)
        await working


def _body() -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": KEY.name, "namespace": KEY.namespace, "uid": "uid-of-dr", "generation": 1},
        "spec": {"vaultResourceId": VAULT, "autoUpdate": "Enabled", "automationAccountResourceId": ACCOUNT},
    }
