"""One policy over thousands of vaults on a real API server: a look, waves, a new vault, and every fault."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from benchmarks.estate_run import EstateResult, run_estate
from benchmarks.table import format_table
from workbench.kube.binaries import HOW_TO_ENABLE, find_binaries

SUBSCRIPTIONS: Final = 200
VAULTS: Final = 25
"""In each of them."""
_MOST_MIB: Final = 500.0
_MOST_CALLS: Final = 30
"""Of an hourly discovery."""

__all__ = ["SUBSCRIPTIONS", "VAULTS", "run_policies", "violations"]


def run_policies(subscriptions: int = SUBSCRIPTIONS) -> tuple[list[dict[str, Any]], list[str]]:
    """Measure it and print the tables; without a control plane's binaries nothing is measured."""
    if find_binaries() is None:
        print(f"\nestate: not measured, there is no kube-apiserver: {HOW_TO_ENABLE}")
        return [], []
    print(f"a policy over {subscriptions * VAULTS:,} vaults in {subscriptions} subscriptions ...", flush=True)
    result = run_estate(subscriptions, VAULTS)
    print(f"\n{_table(result)}\n\n{_faults(result)}\n")
    return [asdict(result)], violations(result)


def violations(result: EstateResult) -> list[str]:
    """Counts only, and memory: times here depend on the machine."""
    found = [f"fault {each.name}: {each.removed} resources went" for each in result.faults if each.removed]
    found += [f"fault {each.name}: {each.patches} PATCHes" for each in result.faults if each.patches]
    if not result.waves_in_order:
        found.append("a vault got its resource before the wave before it was Ready")
    if result.subscriptions >= SUBSCRIPTIONS and result.graph_calls > _MOST_CALLS:
        found.append(f"{result.graph_calls} calls for a discovery by Resource Graph")
    if result.list_calls > 2 * result.subscriptions + 2:
        found.append(f"{result.list_calls} calls for a discovery by lists")
    if result.peak_mib > _MOST_MIB:
        found.append(f"{result.peak_mib:.0f} MiB of memory")
    return found


def _table(result: EstateResult) -> str:
    head = ("step", "s", "calls to Azure", "CPU s")
    rows = [(each.name, f"{each.seconds:.1f}", f"{each.calls:,}", f"{each.cpu:.1f}") for each in result.steps]
    memory = f"Memory: at most {result.peak_mib:.0f} MiB, {result.rest_mib:.0f} at the end."
    return f"{format_table(head, rows)}\n\n{memory}"


def _faults(result: EstateResult) -> str:
    head = ("fault", "resources removed", "PATCHes", "what the policy says")
    rows = [(each.name, str(each.removed), str(each.patches), each.said) for each in result.faults]
    return format_table(head, rows)
