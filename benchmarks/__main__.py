"""``python -m benchmarks``: measure against the limits; ``large``: what takes longer; ``--smoke``: a minute, for CI."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from benchmarks.bounds import violations
from benchmarks.catalogue import FULL, SMOKE
from benchmarks.fair import measure_fairly
from benchmarks.fleet import TO_PATCH
from benchmarks.fleet_smoke import run_fleet_smoke
from benchmarks.machine import describe_machine
from benchmarks.measure import Result
from benchmarks.plot import draw
from benchmarks.scenarios import Contender, Scenario
from benchmarks.scrapes import run_scrapes
from benchmarks.sooner import run_sooner
from benchmarks.table import results_table

_POINTS: Final = 50
"""About as many points of each curve go into the file."""
DOCS: Final = Path(__file__).resolve().parent.parent / "docs"
GROUPS: Final = {"usual": ("limits", "scrapes", "scale"), "large": ("sooner", "crowd", "most", "shards", "estate")}
"""What is measured together: within a quarter of an hour, and what takes another half."""


def main() -> int:
    """Run what the command line asks for; 1 if something is out of bounds."""
    chosen = _parser().parse_args()
    began = time.monotonic()
    parts = GROUPS.get(chosen.part, (chosen.part,))
    out = chosen.out or (None if chosen.smoke or chosen.only or chosen.resources else DOCS)
    document: dict[str, Any] = {"machine": describe_machine()}
    if chosen.smoke or chosen.only:
        document["limits"], problems = _limits(SMOKE if chosen.smoke else FULL, chosen.only, None)
        problems += run_fleet_smoke() if chosen.smoke and not chosen.only else []
    else:
        problems = []
        for part in parts:
            document[part], found = _measure(part, chosen, out)
            problems += found
    if out:
        out.mkdir(parents=True, exist_ok=True)
        _write(out / "performance.json", document)
    print(f"\n{time.monotonic() - began:.0f} s")
    for problem in problems:
        print(f"OUT OF BOUNDS  {problem}", file=sys.stderr)
    return 1 if problems else 0


def _measure(part: str, chosen: argparse.Namespace, out: Path | None) -> tuple[Any, list[str]]:
    """Measure one part: what was found, and what of it is out of bounds."""
    if part == "limits":
        return _limits(FULL, [], out)
    if part == "scrapes":
        return run_scrapes()
    if part == "sooner":
        return run_sooner()
    return _on_a_cluster(part, chosen)


def _limits(scenarios: Sequence[Scenario], names: Sequence[str], out: Path | None) -> tuple[Any, list[str]]:
    results, problems = run_scenarios(_choose(scenarios, names))
    if out:
        out.mkdir(parents=True, exist_ok=True)
        draw(results, out / "performance.png")
    return [_document(result) for result in results], problems


def _on_a_cluster(part: str, chosen: argparse.Namespace) -> tuple[Any, list[str]]:
    # These need a control plane, and the rest does not.
    from benchmarks.crowd import CROWD, run_crowd  # noqa: PLC0415 - see above
    from benchmarks.estate import run_policies  # noqa: PLC0415 - see above
    from benchmarks.scale import run_scale  # noqa: PLC0415 - see above
    from benchmarks.shards import run_shards  # noqa: PLC0415 - see above

    match part:
        case "crowd":
            return run_crowd((chosen.resources or [CROWD])[-1])
        case "scale":
            return run_scale(chosen.resources or [500, 1000, 5000], to_patch=0 if chosen.compliant else TO_PATCH)
        case "most":
            return run_scale(chosen.resources or [20_000], to_patch=0)
        case "shards":
            is_compliant = chosen.compliant or not chosen.resources
            return run_shards(
                (chosen.resources or [10_000])[-1], chosen.shards, to_patch=0 if is_compliant else TO_PATCH
            )
        case _:
            return run_policies()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "part",
        nargs="?",
        choices=[*(part for group in GROUPS.values() for part in group), *GROUPS],
        default="usual",
        help="one part, or a group of them: %(default)s without a word",
    )
    parser.add_argument("--smoke", action="store_true", help="a few short scenarios, ours alone")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="only this scenario (repeatable)")
    parser.add_argument("--out", type=Path, default=None, metavar="DIRECTORY", help="where the files go (docs/)")
    parser.add_argument("--resources", type=int, action="append", help="of crowd, scale, most, shards: how many")
    parser.add_argument(
        "--compliant", action="store_true", help="of scale, shards: all mappings are as declared already"
    )
    parser.add_argument("--shards", type=int, default=2, help="of shards: how many, each with so many resources")
    return parser


def run_scenarios(scenarios: Sequence[Scenario]) -> tuple[list[Result], list[str]]:
    """Measure each scenario with each of its contenders, and print the table."""
    runs = [(scenario, contender) for scenario in scenarios for contender in scenario.contenders]
    measured: dict[tuple[str, Contender], Result] = {}
    for group in _groups(runs):
        print("; ".join(f"{scenario.title}: {contender}" for scenario, contender in group), end=" ... ", flush=True)
        began = time.monotonic()
        with ThreadPoolExecutor(len(group)) as pool:
            found = list(pool.map(lambda run: measure_fairly(*run), group))
        took = (f"{result.seconds:.1f} s" if result.seconds is not None else "held" for result in found)
        print(f"{', '.join(took)} ({time.monotonic() - began:.0f} s here)", flush=True)
        measured.update(
            ((scenario.name, contender), result) for (scenario, contender), result in zip(group, found, strict=True)
        )
    results = [measured[scenario.name, contender] for scenario, contender in runs]
    problems = [
        line
        for (scenario, contender), result in zip(runs, results, strict=True)
        if contender is Contender.OURS
        for line in violations(result, scenario.bounds)
    ]
    print(f"\n{results_table(results)}\n")
    for line in _remarks(results):
        print(f"- {line}")
    return results, problems


def _groups(runs: Sequence[tuple[Scenario, Contender]]) -> Iterable[Sequence[tuple[Scenario, Contender]]]:
    """What is measured at the same time: what takes much of the machine alone, what takes little two at a time.

    The runbook and the SDK spend their time asleep, so all of them run together.
    """
    ours = [run for run in runs if run[1] is Contender.OURS]
    yield from ([run] for run in ours if not run[0].is_light)
    light = [run for run in ours if run[0].is_light]
    yield from (light[at : at + 2] for at in range(0, len(light), 2))
    if others := [run for run in runs if run[1] is not Contender.OURS]:
        yield others


def _remarks(results: Sequence[Result]) -> Iterable[str]:
    """What does not fit into the table."""
    for result in results:
        name = f"{result.title}, {result.contender}"
        if result.late_seconds is not None:
            yield f"{name}: the vault of 5 was done {result.late_seconds:.1f} s after it was applied"
        if result.left_used is not None:
            back = "never" if result.recovered is None else f"{result.recovered:.0f} s after it had gone"
            yield f"{name}: used {result.left_used:.0%} of what the other client left; full rate again {back}"
        if result.reads_on_hold is not None and result.cpu_on_hold is not None:
            yield (
                f"{name}: {result.reads_on_hold:,} reads and {result.status_writes_on_hold} status writes in the hour, "
                f"{result.cpu_on_hold:.1f} s of processor time ({result.cpu_on_hold / 3600:.2%} of a core)"
            )
        if result.notes:
            yield f"{name}: {result.notes}"
        if not result.is_valid:
            yield f"{name}: NOT VALID, the machine was the limit: repeat with a lower time scale"


def _choose(scenarios: Sequence[Scenario], names: Sequence[str]) -> Sequence[Scenario]:
    known = [scenario.name for scenario in scenarios]
    if unknown := set(names) - set(known):
        sys.exit(f"no such scenario: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return [scenario for scenario in scenarios if not names or scenario.name in names]


def _document(result: Result) -> dict[str, Any]:
    fields = {**asdict(result), "ratio": result.ratio, "valid": result.is_valid}
    fields["progress"] = result.progress[:: max(1, len(result.progress) // _POINTS)]
    return fields


def _write(path: Path, document: dict[str, Any]) -> None:
    """Write what was measured now; a part that was not stays as it was."""
    if path.exists():
        document = json.loads(path.read_text()) | document
    path.write_text(json.dumps(document) + "\n")


if __name__ == "__main__":
    sys.exit(main())
