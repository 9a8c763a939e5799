"""Mutation testing of what decides: ``python -m tools.checks.mutants``, with names of modules: of these alone.

mutmut changes one small thing at a time in the modules below, and `tools.checks.mutant_plugin` runs the unit tests of
their rooms that come by it. mutmut expects the package beside the tests, so both work on a copy in ``.mutants``; what
was found out stays there, and the next run goes on where this one stopped. The results go to docs/mutation.json, from
which `tools.docs_build.mutation` writes its part of docs/reliability.md; of modules that were not named, those of an
earlier run stay there.

All mutants take hours. ``--sample N --seed S`` tests N of those of the rooms without I/O, each drawn with the same
chance, and says how near the score of the sample is to that of all. A larger N with the same seed adds to it, and one
that was stopped has tested a smaller N.
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tools.checks.mutant_results import UNNOTICED, count, forms, meta, survivors, verdicts
from tools.checks.mutant_sample import draw, interval
from tools.docs_build.mutation import RESULTS, score

ROOT: Final = Path(__file__).resolve().parents[2]
WORK: Final = ROOT / ".mutants"
PACKAGE: Final = "vault_autoupdate"
_ORIGINAL: Final = ROOT / "operator" / PACKAGE
_SOURCE: Final = WORK / "src" / PACKAGE
_KNOWN: Final = WORK / "known.json"
_COPIED: Final = ("charts", "crds", "docs", "examples", "simulator", "tests", "tools", "workbench", "pyproject.toml")
_ELSEWHERE: Final = ("arm.budget", "arm.identity.service_principal", "arm.throttle", "arm.turns")
"""Modules of other rooms that decide, without I/O but for the clock of the throttle."""
_CHANGED: Final = "changed since the whole run"
_NEVER: Final = "in no whole run"
_PYTEST: Final = (
    *("-q", "-o", "addopts=--import-mode=importlib", "--timeout=0"),
    *("-p", "no:xdist", "-p", "no:cacheprovider", "-p", "tools.checks.mutant_plugin"),
)
"""Endless is who takes too much processor time: by the clock, a test at the lowest priority takes any time."""

__all__ = ["main", "make", "modules", "prepare", "pure_modules", "run_all", "run_sample", "test", "verdicts_of"]


def pure_modules() -> list[str]:
    """The modules of the rooms without I/O, as the import contract lists them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    rooms = next(contract for contract in contracts if contract["id"] == "pure")["source_modules"]
    files = (file for room in rooms for file in (ROOT / "operator" / room.replace(".", "/")).rglob("*.py"))
    names = (".".join(file.relative_to(_ORIGINAL).with_suffix("").parts) for file in files)
    return sorted(name for name in names if not name.endswith("__init__"))


def modules() -> list[str]:
    """The modules of the rooms without I/O, and what else decides without I/O."""
    return sorted({*pure_modules(), *_ELSEWHERE})


def prepare(names: Iterable[str]) -> None:
    """Bring the copy up to date and forget the verdicts that no longer hold."""
    _SOURCE.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(_ORIGINAL, _SOURCE, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in _COPIED:
        for copy in (WORK / name, WORK / "mutants" / name):
            if copy.is_dir():
                shutil.rmtree(copy)
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, WORK / name, ignore=shutil.ignore_patterns("__pycache__", "bin"))
        else:
            shutil.copy2(source, WORK / name)
    lines = [
        "[mutmut]",
        "source_paths=src",
        *_option("only_mutate", (f"src/{PACKAGE}/{_path(name)}" for name in names)),
        *_option("also_copy", _COPIED),
    ]
    (WORK / "setup.cfg").write_text("\n".join(lines) + "\n")
    _forget(names, _tests(names))


def _tests(names: Iterable[str]) -> list[str]:
    """The folders of tests that may notice a mutant: those of all rooms without I/O, which use one another."""
    rooms = {name.partition(".")[0] for name in names}
    pure = {name.partition(".")[0] for name in pure_modules()}
    return [f"tests/unit/{room}" for room in sorted(rooms | pure if rooms & pure else rooms)]


def _path(name: str) -> Path:
    """The file of a module, below the package."""
    return Path(*name.split(".")).with_suffix(".py")


def _option(name: str, values: Iterable[str]) -> list[str]:
    return [f"{name}=", *(f"    {value}" for value in values)]


def _forget(names: Iterable[str], folders: Iterable[str]) -> None:
    """mutmut sees that a function changed, but neither tables beside functions nor tests that got better."""
    before = json.loads(_KNOWN.read_text()) if _KNOWN.exists() else {}
    now = {name: _digest([_SOURCE / _path(name)]) for name in names}
    now["tests"] = _digest(sorted(file for folder in folders for file in (WORK / folder).rglob("*.py")))
    for name in names:
        if not (path := meta(_mutated(name))).exists():
            continue
        document = json.loads(path.read_text())
        stale = set(document["exit_code_by_key"].values()) if before.get(name) != now[name] else set()
        if before.get("tests") != now["tests"]:
            stale |= UNNOTICED
        document["exit_code_by_key"] = {
            key: None if verdict in stale else verdict for key, verdict in document["exit_code_by_key"].items()
        }
        path.write_text(json.dumps(document, indent=4))
    _KNOWN.write_text(json.dumps(before | now))


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _mutated(name: str) -> Path:
    """The module with all its mutants, which mutmut has written."""
    return WORK / "mutants/src" / PACKAGE / _path(name)


def make() -> None:
    """Have all mutants made, and none tested: mutmut's command does both."""
    steps = ("copy_src_dir()", "copy_also_copy_files()", "setup_source_paths()", "create_mutants(1)")
    script = f"from mutmut.__main__ import *; from mutmut.__main__ import create_mutants; {'; '.join(steps)}"
    subprocess.run([sys.executable, "-c", script], cwd=WORK, check=True, stdout=subprocess.DEVNULL)  # noqa: S603


def test(names: Iterable[str], mutants: Mapping[str, int | None]) -> None:
    """Test those of the mutants that have no verdict yet, with the tests that may notice a mutant of the modules."""
    pending = [mutant for mutant, verdict in mutants.items() if verdict is None]
    if not pending:
        return
    (file := WORK / "pending.txt").write_text("\n".join(pending) + "\n")
    command = [sys.executable, "-m", "pytest", *_PYTEST, f"--mutants={file}", *_tests(names)]
    environment = {**os.environ, "HYPOTHESIS_PROFILE": "mutants", "PYTHONPATH": "src:."}
    ended = subprocess.run(command, cwd=WORK / "mutants", env=environment, check=False).returncode  # noqa: S603
    if ended != 0:
        raise SystemExit(f"pytest ended with {ended}; started again, it goes on where it stopped")


def verdicts_of(names: Iterable[str]) -> dict[str, int | None]:
    """The verdict on every mutant of the modules."""
    return {mutant: verdict for name in names for mutant, verdict in verdicts(_mutated(name)).items()}


def _today() -> str:
    return dt.datetime.now(dt.UTC).date().isoformat()


def _sorted(survivors: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    return sorted(survivors, key=lambda entry: (entry["module"], entry["function"], entry["mutant"]))


def run_all(names: list[str]) -> dict[str, Any]:
    """Test all mutants of the modules. Returns what docs/mutation.json is to say, with the earlier runs of others."""
    make()
    test(names, verdicts_of(names))
    results: dict[str, Any] = json.loads(RESULTS.read_text())
    found, known = {name: verdicts(_mutated(name)) for name in names}, modules()
    for name, measured in forms({name: _SOURCE / _path(name) for name in names}).items():
        counts = count(found[name].values())
        results["modules"][name] = {"measured": _today(), "form": measured, "mutants": counts}
        print(f"{name:32} {len(found[name]):5} mutants {score(counts):6.1f} %")  # noqa: T201
    results["modules"] = {name: results["modules"][name] for name in known if name in results["modules"]}
    kept = [each for each in results["survivors"] if each["module"] in set(known) - set(names)]
    results["survivors"] = _sorted([*kept, *_survivors(found)])
    if sample := results.get("sample"):
        for which in (_CHANGED, _NEVER):
            sample[which] = [name for name in sample[which] if name not in names]
    return results


def run_sample(size: int, seed: int) -> dict[str, Any]:
    """Test a sample of the mutants of the rooms without I/O. Returns what docs/mutation.json is to say."""
    make()
    names = pure_modules()
    every = verdicts_of(names)
    drawn = {mutant: every[mutant] for mutant in draw(every, size, seed)}
    test(names, drawn)
    found = {name: {k: v for k, v in verdicts(_mutated(name)).items() if k in drawn} for name in names}
    _print_score(found, seed, len(every))
    results: dict[str, Any] = json.loads(RESULTS.read_text())
    whole = {name: each["form"] for name, each in results["modules"].items()}
    now = forms({name: _SOURCE / _path(name) for name in whole})
    results["sample"] = {
        "measured": _today(),
        "seed": seed,
        "of": len(every),
        "rooms": _by_room({name: count(each.values()) for name, each in found.items()}),
        "survivors": _sorted(_survivors(found)),
        _CHANGED: [name for name in whole if whole[name] != now[name]],
        _NEVER: [name for name in names if name not in whole],
    }
    return results


def _survivors(found: Mapping[str, Mapping[str, int | None]]) -> Iterator[dict[str, str]]:
    for name, each in found.items():
        yield from survivors(name, _mutated(name), each)


def _print_score(found: Mapping[str, Mapping[str, int | None]], seed: int, total: int) -> None:
    counts = count(verdict for each in found.values() for verdict in each.values())
    drawn = sum(counts.values())
    low, high = interval(counts["killed"] + counts["endless"], drawn)
    print(f"a sample of {drawn} of {total} mutants (seed {seed}): {score(counts):.1f} % were noticed;")  # noqa: T201
    print(f"95 % interval for all: {low:.1f} % to {high:.1f} %")  # noqa: T201


def _by_room(counts: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    rooms: dict[str, Counter[str]] = {}
    for name, each in counts.items():
        rooms.setdefault(name.partition(".")[0], Counter()).update(each)
    return {room: dict(total) for room, total in rooms.items()}


def main() -> int:
    """Test the mutants of the modules or a sample, print the score, and write the results down."""
    parser = argparse.ArgumentParser(prog="python -m tools.checks.mutants")
    parser.add_argument("modules", nargs="*", help="without the name of the package: decide.plan")
    parser.add_argument(
        "--sample", type=int, metavar="N", help="test N mutants, drawn from all of the rooms without I/O"
    )
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if unknown := set(arguments.modules) - set(modules()):
        parser.error(f"no module without I/O: {', '.join(sorted(unknown))}")
    if arguments.sample is not None and arguments.modules:
        parser.error("a sample is drawn from all modules")
    names = pure_modules() if arguments.sample is not None else arguments.modules or modules()
    prepare(names)
    results = run_all(names) if arguments.sample is None else run_sample(arguments.sample, arguments.seed)
    results["machine"] = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()}
    results["mutmut"] = importlib.metadata.version("mutmut")
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
