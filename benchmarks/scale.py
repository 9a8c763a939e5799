"""Fleets of several sizes on a real API server: time, memory, and what goes on when there is nothing to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from benchmarks.fleet import TO_PATCH
from benchmarks.scale_run import MAPPINGS, ScaleResult, run_size
from benchmarks.table import format_table
from workbench.kube.binaries import HOW_TO_ENABLE, find_binaries

_MOST_MIB: Final = 400.0
_MOST_REST_CPU: Final = 0.02
_LATENCY_AT: Final = 1000
_APPLIES: Final = 100
_SCALES: Final = {500: 3.0, 1000: 2.0, 5000: 1.0, 20_000: 1.0}

__all__ = ["run_scale"]


def run_scale(sizes: Sequence[int], *, to_patch: int = TO_PATCH) -> tuple[list[dict[str, Any]], list[str]]:
    """Measure all sizes and print the table; without a control plane's binaries nothing is measured."""
    if find_binaries() is None:
        print(f"\nscale: not measured, there is no kube-apiserver: {HOW_TO_ENABLE}")
        return [], []
    results: list[ScaleResult] = []
    for size in sizes:
        print(f"{size:,} resources of {MAPPINGS} mappings ...", end=" ", flush=True)
        applies = _APPLIES if size == _LATENCY_AT and to_patch else 0
        result = run_size(size, _SCALES.get(size, 4.0), to_patch=to_patch, applies=applies)
        print(f"all as declared after {result.compliant:.0f} s, all Ready after {result.all_ready:.0f} s", flush=True)
        results.append(result)
    print(f"\n{_table(results)}\n")
    for result in results:
        print(
            f"- {result.resources:,} resources: {result.status_writes / result.resources:.1f} Kubernetes writes and "
            f"{1000 * result.cpu / result.resources:.1f} ms of processor time for each until all were Ready, "
            f"{result.cpu / result.resources / result.yardstick:.1f} yardsticks of {1000 * result.yardstick:.1f} ms; "
            f"{1000 * result.restart_cpu / result.resources:.1f} ms to read it again after a restart"
        )
        if latency := result.latency:
            print(
                f"- kubectl apply to the first PATCH, {result.resources:,} others at rest: p50 {latency.p50:.0f} ms, "
                f"p99 {latency.p99:.0f} ms, most {latency.most:.0f} ms of {latency.count} (kubectl itself takes "
                f"{latency.kubectl_p50:.0f} ms)"
            )
    return [asdict(result) | {"ratio": result.ratio} for result in results], [
        problem for result in results for problem in _violations(result)
    ]


def _violations(result: ScaleResult) -> list[str]:
    """Counts only, and memory: times here depend on the machine."""
    found = []
    for what, count in {
        "Kubernetes writes at rest": result.rest_writes,
        "Kubernetes writes after a restart": result.restart_status_writes,
        "PATCHes after a restart": result.restart_patches,
        "answers 429": result.writes_429,
    }.items():
        if count:
            found.append(f"{result.resources} resources: {count} {what}")
    if result.resources <= 5000 and max(result.peak_mib, result.restart_peak_mib) > _MOST_MIB:
        found.append(f"{result.resources} resources: more than {_MOST_MIB:.0f} MiB of memory")
    if result.resources <= 1000 and result.rest_cpu > _MOST_REST_CPU:
        found.append(f"{result.resources} resources: {result.rest_cpu:.1%} of a core at rest")
    return found


def _table(results: Sequence[ScaleResult]) -> str:
    head = (
        "resources", "T* s", "all observed s", "compliant s", "over T*", "all Ready s", "scale", "CPU s",
        "Kubernetes writes", "memory MiB, most / rest", "CPU at rest", "writes at rest",
        "restart: read again (real s)", "CPU s", "memory MiB", "Kubernetes writes", "PATCHes",
    )  # fmt: skip
    rows = [
        (
            f"{r.resources:,}",
            f"{r.shortest:.0f}",
            f"{r.observed:.0f}",
            f"{r.compliant:.0f}",
            f"{r.ratio:.2f}",
            f"{r.all_ready:.0f}",
            f"{r.scale:g}",
            f"{r.cpu:.0f}",
            f"{r.status_writes:,}",
            f"{r.peak_mib:.0f} / {r.rest_mib:.0f}",
            f"{r.rest_cpu:.1%}",
            f"{r.rest_writes}",
            f"{r.restart_observed:.0f}",
            f"{r.restart_cpu:.0f}",
            f"{r.restart_peak_mib:.0f}",
            f"{r.restart_status_writes}",
            f"{r.restart_patches}",
        )
        for r in results
    ]
    return format_table(head, rows)
