"""``python -m tests.chaos``: run seeds one after the other on one control plane, and say what came of each."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine
from tests.chaos.run import Result, run_seed
from workbench.kube.binaries import HOW_TO_ENABLE, find_binaries
from workbench.kube.control_plane import ControlPlane
from workbench.kube.resources import CRD_FILE, POLICY_CRD_FILE, install_definition


def main() -> int:
    """Run what the command line asks for; 1 if a seed failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=50, help="run the seeds from 1 to this one")
    parser.add_argument("--seed", type=int, help="run this seed only, and show all of its journal")
    parser.add_argument("--out", type=Path, help="file for the numbers")
    parser.add_argument("--keep", type=Path, help="directory for the logs, which stays")
    chosen = parser.parse_args()
    if find_binaries() is None:
        print(f"needs a real kube-apiserver: {HOW_TO_ENABLE}", file=sys.stderr)
        return 2
    seeds = range(1, chosen.seeds + 1) if chosen.seed is None else [chosen.seed]
    began = time.monotonic()
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="chaos-") as scratch, ControlPlane() as plane:
        install_definition(plane.rest, CRD_FILE)
        install_definition(plane.rest, POLICY_CRD_FILE)
        with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C: the numbers of those that were finished are kept
            for seed in seeds:
                result = run_seed(seed, plane, (chosen.keep or Path(scratch)) / f"seed-{seed}")
                results.append(result)
                print(result.explain() if result.problems or chosen.seed is not None else result, flush=True)
    document = summary(results, time.monotonic() - began)
    print(f"\n{describe(document)}")
    if chosen.out:
        chosen.out.write_text(json.dumps(document) + "\n")
        print(f"the numbers are in {chosen.out}; make docs puts them into docs/reliability.md")
    return 1 if document["failed"] else 0


def summary(results: list[Result], seconds: float) -> dict[str, Any]:
    """The numbers of all seeds together."""
    counts: Counter[str] = Counter()
    for result in results:
        counts.update(result.counts)
    return {
        "seeds": [result.seed for result in results],
        "failed": [result.seed for result in results if result.problems],
        "seconds": round(seconds),
        "settled_seconds": sorted(round(result.settled_seconds, 1) for result in results),
        "counts": dict(sorted(counts.items())),
        "jobs_concluded": sum(result.jobs.concluded for result in results),
        "jobs_observed": sum(result.jobs.observed for result in results),
        "machine": describe_machine(),
        "memory_kib": [result.memory_kib for result in results],
    }


def describe(document: dict[str, Any]) -> str:
    """One paragraph about all seeds."""
    counts = Counter(document["counts"])
    failed = f"failed: {', '.join(map(str, document['failed']))}" if document["failed"] else "all passed"
    return (
        f"{len(document['seeds'])} seeds, {failed}. {counts['faults']:,} faults in {counts['requests']:,} calls, "
        f"{counts['Kill']} kills, {counts['Terminate']} SIGTERMs, {counts['Freeze']} freezes, {counts['Outage']} API "
        f"outages, {counts['PATCHes']:,} PATCHes, {counts['drifted mappings']} mappings drifted, "
        f"{counts['updates of agents']:,} updates of agents, {counts['aged machines']} machines behind again, "
        f"{counts['versions']:,} versions of statuses; {document['seconds']} s."
    )


if __name__ == "__main__":
    sys.exit(main())
