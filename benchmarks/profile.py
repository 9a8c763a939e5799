"""``make profile``: where the processor time of a fleet goes, from the first sight of a resource to Ready.

The operator runs as its own process on a real API server; py-spy looks at it from outside, a hundred times a second,
and counts only the thread that holds the interpreter's lock. So the shares are of processor time in Python; what the
kernel and OpenSSL do beside it is in the processor seconds, not in the shares.
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.cost import Cost, measure_cost
from benchmarks.fleet import MAPPINGS, Fleet, open_fleet
from benchmarks.table import format_table
from benchmarks.usage import cpu_seconds, peak_resident_bytes
from workbench.kube.binaries import HOW_TO_ENABLE, find_binaries
from workbench.process.children import ChildProcess
from workbench.process.waiting import wait_until

_SAMPLES_PER_SECOND: Final = 100
_SCALE: Final = 4.0
_RESTART_SCALE: Final = 60.0
_WITHIN: Final = 900.0

_PARTS: Final = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("imports", r"<frozen importlib"),
        ("writing to Kubernetes", r"vault_autoupdate/cluster/(writer|connection|lease|child_writer)\.py"),
        ("building and comparing statuses", r"vault_autoupdate/report/|publisher\.py"),
        ("reading ARM's documents", r"vault_autoupdate/arm/wire/"),
        ("requests, urllib3", r"\b(requests|urllib3)/"),
        ("calls to ARM: the rest of them", r"vault_autoupdate/arm/"),
        ("news of resources, once kopf has them", r"cluster/watch\.py|on_change \(vault_autoupdate/controller"),
        ("kopf", r"\bkopf/"),
        ("passes: observe, plan, apply, track", r"vault_autoupdate/(reconcile|decide|controller)/"),
        ("metrics", r"vault_autoupdate/metrics/|prometheus_client"),
        ("aiohttp", r"\baiohttp/"),
        ("the event loop, TLS included", r"\basyncio/|\bssl\.py"),
        ("threads", r"\bconcurrent/|threading\.py"),
    )
)
"""The first that fits a stack has it."""

__all__ = ["main", "table_of"]


def main() -> int:
    """Profile what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("--resources", type=int, default=300)
    parser.add_argument("--out", type=Path, help="where the samples go, in the form that flame graphs are made from")
    parser.add_argument("--leaves", type=int, default=0, metavar="N", help="also the N functions with the most samples")
    chosen = parser.parse_args()
    if find_binaries() is None:
        print(f"not measured, there is no kube-apiserver: {HOW_TO_ENABLE}", file=sys.stderr)
        return 1
    with open_fleet(chosen.resources, _SCALE) as fleet:
        with fleet.operator("first") as operator, _sampling(fleet, operator.child, "first") as stacks:
            cost = measure_cost(fleet, operator)
        restart, stacks_again = _restart(fleet)
    print(f"\n{chosen.resources:,} resources of {MAPPINGS} mappings, one to patch in each, until all are Ready\n")
    print(_figures(cost, restart))
    print(f"\nwhere the time goes ({stacks.total():,} samples)\n\n{table_of(stacks)}")
    print(f"\nafter a restart, until all were read again ({stacks_again.total():,})\n\n{table_of(stacks_again)}")
    if chosen.leaves:
        print(f"\n{_leaves(stacks, chosen.leaves)}")
    if chosen.out:
        chosen.out.write_text("".join(f"{stack} {count}\n" for stack, count in stacks.items()))
    return 0


def table_of(stacks: Counter[str]) -> str:
    """How many of the samples are in which part of the work."""
    parts: Counter[str] = Counter()
    for stack, count in stacks.items():
        parts[next((name for name, pattern in _PARTS if pattern.search(stack)), "all else")] += count
    rows = [(name, f"{count / stacks.total():.1%}") for name, count in parts.most_common()]
    return format_table(("where", "share"), rows)


def _figures(cost: Cost, restart: Mapping[str, str]) -> str:
    kinds = ", ".join(f"{kind} {count / cost.resources:.2f}" for kind, count in cost.writes.most_common())
    rows = {
        "processor time a resource, the start aside": f"{1000 * cost.cpu_each:.1f} ms",
        "the same in yardsticks (benchmarks/yardstick.py)": (
            f"{cost.yardsticks_each:.1f} of {1000 * cost.yardstick:.1f} ms"
        ),
        "processor time until the first call to ARM": f"{cost.start_cpu:.2f} s",
        "Kubernetes writes a resource": f"{cost.writes_each:.2f} ({kinds})",
        "time over the shortest, from the first call": f"{cost.ratio:.2f}",
        "most memory": f"{cost.mib:.0f} MiB",
        **restart,
    }
    return format_table(("what", "how much"), list(rows.items()))


def _restart(fleet: Fleet) -> tuple[Mapping[str, str], Counter[str]]:
    """From the start of another process to the last vault that it reads: figures, and samples."""
    control = fleet.simulator.control
    control.settings(time_scale=_RESTART_SCALE)
    control.reset_stats()
    before = fleet.writes()

    def all_read() -> bool:
        return bool(control.stats()["calls"].get("GET mappings", 0) >= len(fleet.vaults))

    again = fleet.operator("second", scale=_RESTART_SCALE)
    with again as operator, _sampling(fleet, operator.child, "second") as stacks:
        pid = operator.child.pid
        wait_until(all_read, within=_WITHIN, what="all vaults to be read again", every=0.2)
        figures = {
            "restart: processor time until all were read again": f"{cpu_seconds(pid):.1f} s",
            "restart: Kubernetes writes": f"{(fleet.writes() - before).total()}",
            "restart: most memory": f"{peak_resident_bytes(pid) / 2**20:.0f} MiB",
        }
    return figures, stacks


@contextmanager
def _sampling(fleet: Fleet, process: ChildProcess, name: str) -> Iterator[Counter[str]]:
    """Look at a process while the block runs; what was found is there after it."""
    stacks: Counter[str] = Counter()
    samples = fleet.directory / f"{name}.stacks"
    command: list[str | Path] = [
        Path(sys.executable).with_name("py-spy"),
        *("record", "--gil", "--format", "raw", "--rate", str(_SAMPLES_PER_SECOND)),
        *("--pid", str(process.pid), "--output", samples),
    ]
    with ChildProcess(command, log=fleet.directory / f"{name}.py-spy.log", name="py-spy") as sampler:
        yield stacks
        sampler.send_signal(signal.SIGINT)  # it writes down what it has, and ends
        sampler.wait(60)
    for line in samples.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        stacks[stack] += int(count)


def _leaves(stacks: Counter[str], most: int) -> str:
    leaves: Counter[str] = Counter()
    for stack, count in stacks.items():
        leaves[stack.rpartition(";")[2]] += count
    rows = [(name, f"{count / stacks.total():.1%}") for name, count in leaves.most_common(most)]
    return format_table(("function", "share"), rows)


if __name__ == "__main__":
    sys.exit(main())
