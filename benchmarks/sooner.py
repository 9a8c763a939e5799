"""What it costs to see changes of others soon: 200 vaults of one subscription, and a change an hour in each."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import statistics
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from asr_simulator.control_types import RequestRecord
from benchmarks.scenarios import HOUR, Vault, vaults
from benchmarks.simulator import SimulatorProcess
from vault_autoupdate.core import open_core
from vault_autoupdate.settings import load_settings
from workbench.core import Recorder
from workbench.local_operator import local_operator, object_of
from workbench.process.operator import scaled_settings

VAULTS: Final = 200
_SCALE: Final = 60.0
_LONGEST: Final = 2.5 * HOUR
"""Simulated seconds after which a change that was not mended counts as forgotten."""
_STEP: Final = 0.1
_MOST_LOG_READS: Final = 200
"""An hour, for all vaults of the subscription: 36, and more where 30 minutes have more entries than a page, as here."""

__all__ = ["Sooner", "run_sooner"]


@dataclass(frozen=True)
class _Way:
    """One way to look."""

    name: str
    interval: float
    """Simulated seconds."""
    hints: str


_WAYS: Final = (
    _Way("interval: 5m", 300.0, "off"),
    _Way("hints, interval: 1h", HOUR, "on"),
    _Way("interval: 1h", HOUR, "off"),
)


@dataclass(frozen=True)
class Sooner:
    """What one way comes to. Times are simulated seconds from a change to the PATCH that mends it."""

    way: str
    changes: int
    mended: int
    reads: float
    """An hour, of Site Recovery: looks at the vaults, and what goes with mending."""
    log_reads: float
    """An hour, of the activity log."""
    p50: float
    p95: float
    most: float


def run_sooner() -> tuple[list[dict[str, Any]], list[str]]:
    """Measure each way; returns the results, and what is out of bounds."""
    # Side by side, since each sleeps most of the time; in processes, since each has an environment of its own.
    with ProcessPoolExecutor(len(_WAYS), mp_context=multiprocessing.get_context("spawn")) as pool:
        results = list(pool.map(_measure, _WAYS))
    for result in results:
        print(_row(result), flush=True)
    problems = [
        f"{each.way}: {each.changes - each.mended} changes not mended" for each in results if each.changes > each.mended
    ]
    by_hints = results[1]
    if by_hints.log_reads > _MOST_LOG_READS:
        problems.append(f"{by_hints.way}: {by_hints.log_reads:.0f} reads of the log an hour")
    return [asdict(each) for each in results], problems


def _row(result: Sooner) -> str:
    return (
        f"{result.way:>20}: {result.reads:,.0f} reads an hour of Site Recovery, {result.log_reads:.0f} of the log; "
        f"change to PATCH {result.p50:.0f} s, 95 % {result.p95:.0f} s, most {result.most:.0f} s "
        f"({result.mended} of {result.changes})"
    )


def _measure(way: _Way) -> Sooner:
    fleet = vaults(VAULTS, 0, compliant=2)
    document = {
        "time_scale": _SCALE,
        "seed": 1,
        "jobs": {"duration": {"min": 20, "max": 20}},
        "request_log_size": 200_000,
        "vaults": [vault.document() for vault in fleet],
    }
    with (
        tempfile.TemporaryDirectory() as directory,
        SimulatorProcess(document, Path(directory)) as simulator,
    ):
        os.environ.update(simulator.identity)  # azure-identity finds the token endpoint by that alone
        return asyncio.run(_run(way, fleet, simulator))


async def _run(way: _Way, fleet: tuple[Vault, ...], simulator: SimulatorProcess) -> Sooner:
    values = {
        **scaled_settings(_SCALE),
        "VAULT_AUTOUPDATE_ARM_ENDPOINT": simulator.url,
        "VAULT_AUTOUPDATE_CREDENTIAL": "managed-identity",
        "VAULT_AUTOUPDATE_AGENT_INTERVAL": "0s",
        "VAULT_AUTOUPDATE_HINTS": way.hints,
    }
    interval = timedelta(seconds=way.interval / _SCALE)
    objects = [
        object_of(
            each.name,
            vaultResourceId=each.id,
            autoUpdate="Enabled",
            automationAccountResourceId=each.account,
            interval=interval,
        )
        for each in fleet
    ]
    recorder = Recorder()
    with open_core(load_settings({}, values), simulator.identity, calls=recorder, runs=recorder) as core:
        async with local_operator(core, objects) as running:
            await running.settle()
            return await _change_and_wait(way, fleet, simulator)


async def _change_and_wait(way: _Way, fleet: tuple[Vault, ...], simulator: SimulatorProcess) -> Sooner:
    """Change one mapping of each vault at some time within an hour, and go on until all are mended."""
    control, rng = simulator.control, random.Random(2)
    state = await asyncio.to_thread(control.state)
    began, first = state["simulated"], state["requests"]
    plan = sorted((began + rng.uniform(0, HOUR), vault.name) for vault in fleet)
    changed: dict[str, float] = {}
    mended: dict[str, float] = {}
    now = began
    while now < began + _LONGEST and (len(mended) < len(plan) or now < began + HOUR):
        while plan[len(changed) :] and plan[len(changed)][0] <= now:
            name = plan[len(changed)][1]
            changed[name] = now
            await asyncio.to_thread(control.drift, "disable", vault=name, count=1, caller="somebody@example.com")
        for record in await asyncio.to_thread(_patches, simulator, first):
            mended.setdefault(record["vault"], record["simulated"])
        await asyncio.sleep(_STEP)
        now = (await asyncio.to_thread(control.state))["simulated"]
    calls = await asyncio.to_thread(control.requests, since=first, limit=10**6, method="GET")
    within = [each for each in calls if began <= each["simulated"] < began + HOUR]
    log_reads = sum(each["kind"] == "activity_log" for each in within)
    took = sorted(at - changed[name] for name, at in mended.items())
    return Sooner(
        way=way.name,
        changes=len(changed),
        mended=len(mended),
        reads=sum(each["kind"] not in {"activity_log", "token"} for each in within),
        log_reads=log_reads,
        p50=statistics.median(took),
        p95=took[min(len(took) - 1, round(0.95 * len(took)))],
        most=took[-1],
    )


def _patches(simulator: SimulatorProcess, since: int) -> list[RequestRecord]:
    return simulator.control.requests(since=since, limit=10**6, method="PATCH")
