"""Five thousand resources that name one vault: whatever one of them does, the event loop answers within a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.unit.builders import ACCOUNT_ID, VAULT_ID
from tests.unit.controller.test_controller import Counts, RefusingWriter
from vault_autoupdate.controller.controller import Controller
from vault_autoupdate.controller.queue import WorkQueue
from vault_autoupdate.model.resource import API_VERSION, KIND, ResourceKey
from vault_autoupdate.reconcile.context import Timing

CROWD = 5_000
LONGEST = 1.0
"""Seconds of processor time between two turns of the event loop, in one of which a health probe is answered."""


class Loop:
    """Measures the processor time of this thread between two turns of the event loop."""

    def __init__(self) -> None:
        self.longest = self.total = 0.0

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._turn())
        try:
            yield
        finally:
            task.cancel()

    async def _turn(self) -> None:
        last = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            self.longest = max(self.longest, now - last)
            self.total += now - last
            last = now


def _resource(number: int, **spec: Any) -> dict[str, Any]:
    begin = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": f"r{number:04}",
            "namespace": f"team-{number % 7}",
            "uid": f"uid-{number}",
            "generation": 1,
            "creationTimestamp": f"{begin:%Y-%m-%dT%H:%M:%SZ}",
        },
        "spec": {
            "vaultResourceId": VAULT_ID,
            "autoUpdate": "Enabled",
            "automationAccountResourceId": ACCOUNT_ID,
            "suspend": True,
            **spec,
        },
    }


def _key(number: int) -> ResourceKey:
    return ResourceKey(f"team-{number % 7}", f"r{number:04}")


def _controller(wake: Callable[[ResourceKey, float], None]) -> Controller:
    second = timedelta(seconds=1)
    return Controller(
        reconciler=None,  # type: ignore[arg-type]  # nobody looks: the owner is suspended, all others wait for it
        writer=RefusingWriter(),
        timing=Timing(second, second, second, second, second, second, second, timedelta(), 1),
        observer=Counts(),
        wake=wake,
        startup_spread=timedelta(),
        paused_for=lambda *_: timedelta(),
        now=lambda: datetime.now(UTC),
    )


async def _until_idle(queue: WorkQueue[ResourceKey]) -> None:
    while queue.depth or queue.running:  # noqa: ASYNC110 - the queue tells nobody that it is idle
        await asyncio.sleep(0)


async def test_the_owner_of_a_crowd_goes_and_a_probe_is_answered_within_a_second_all_the_time() -> None:
    queue: WorkQueue[ResourceKey] = WorkQueue()
    controller = _controller(lambda key, _: queue.add(key))
    loop = Loop()
    async with loop.watched():
        working = asyncio.create_task(queue.run(controller.work))
        for number in range(CROWD):
            controller.on_change(_resource(number))
            await asyncio.sleep(0)  # as the watch does between two events
        await _until_idle(queue)
        for number in range(3):
            controller.on_delete(_key(number), f"uid-{number}")
            await _until_idle(queue)
        await queue.stop(0.0)
        await working

    assert loop.longest < LONGEST
    assert _key(3) in controller.resources


async def test_five_thousand_owners_that_go_one_after_the_other_cost_as_much_as_five_thousand_resources() -> None:
    """Twice as many must cost about twice, not four times: the measure is the processor's, not the clock's."""

    async def cost(count: int) -> float:
        queue: WorkQueue[ResourceKey] = WorkQueue()
        controller = _controller(lambda *_: None)
        for number in range(count):
            controller.on_change(_resource(number))
        begin = time.thread_time()
        for number in range(count):
            controller.on_delete(_key(number), f"uid-{number}")
        assert not queue.depth
        return time.thread_time() - begin

    few, many = await cost(CROWD // 4), await cost(CROWD)
    assert many < 4 * 2.5 * few
