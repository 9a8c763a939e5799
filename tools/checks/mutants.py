"""Mutation testing of what decides: ``python -m tools.checks.mutants``, or with names of modules: of these alone.

mutmut changes one small thing at a time in the modules below and runs the unit tests that come by it. It expects the
package beside the tests, so it works on a copy in ``.mutants``; what it has found out stays there, and the next
run goes on where this one stopped. The results go to docs/mutation.json, from which `tools.docs_build.mutation` writes
its part of docs/reliability.md; of modules that were not named, those of an earlier run stay there.
"""

from __future__ import annotations

import ast
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
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from tools.docs_build.mutation import RESULTS, score

ROOT: Final = Path(__file__).resolve().parents[2]
WORK: Final = ROOT / ".mutants"
PACKAGE: Final = "vault_autoupdate"
_SOURCE: Final = WORK / "src" / PACKAGE
_KNOWN: Final = WORK / "known.json"
_COPIED: Final = ("tests", "crds", "examples", "simulator", "pyproject.toml")
_ELSEWHERE: Final = ("arm.budget", "arm.identity.service_principal", "arm.throttle", "arm.turns")
"""Modules of other rooms that decide, without I/O but for the clock of the throttle."""
_CONFTEST: Final = '''"""How the tests of a mutant are run."""

import json
import os
import pathlib
import sys

MUTATED = os.environ.get("MUTANT_UNDER_TEST", "").rpartition("__mutmut_")[0]
# mutmut starts the tests of a mutant in a process that has imported everything, and has done what these functions do.
# It does not know either which tests depend on them.
AT_IMPORT = MUTATED.endswith((".x__rule", ".x__duration"))
if AT_IMPORT:
    for name in [name for name in sys.modules if name.startswith(("vault_autoupdate", "tests"))]:
        del sys.modules[name]


def pytest_configure(config):
    """Run all tests of the module where mutmut cannot tell."""
    if AT_IMPORT:
        config.args[:] = ["tests/unit"]


def pytest_collection_modifyitems(items):
    """Most mutants are noticed by a fast test: these go first."""
    stats = pathlib.Path("mutmut-stats.json")
    durations = json.loads(stats.read_text())["duration_by_test"] if stats.exists() else {}
    items.sort(key=lambda item: durations.get(item.nodeid, 0.0))


def pytest_sessionfinish(session):
    """A module that cannot be imported any more is noticed too."""
    if session.testsfailed:
        session.exitstatus = 1
'''
_AROUND: Final = 30
"""Characters that are shown on either side of what was changed."""

# mutmut's verdicts: what a test run in the mutated copy ended with.
_KILLED: Final = frozenset({1, 3})
_SURVIVED: Final = frozenset({0})
_UNTESTED: Final = frozenset({5, 33})
_ENDLESS: Final = frozenset({36, -24, 24, 152, 255, -9})

__all__ = ["main", "modules", "prepare", "read_results"]


def modules() -> list[str]:
    """The modules of the rooms without I/O, as the import contract lists them, and what else decides without I/O."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    rooms = next(contract for contract in contracts if contract["id"] == "pure")["source_modules"]
    files = (file for room in rooms for file in (ROOT / "operator" / room.replace(".", "/")).rglob("*.py"))
    names = (".".join(file.relative_to(ROOT / "operator" / PACKAGE).with_suffix("").parts) for file in files)
    return sorted({*(name for name in names if not name.endswith("__init__")), *_ELSEWHERE})


def prepare(names: Iterable[str]) -> None:
    """Bring the copy up to date and forget the verdicts that no longer hold."""
    _SOURCE.parent.mkdir(parents=True, exist_ok=True)
    original = ROOT / "operator" / PACKAGE
    shutil.copytree(original, _SOURCE, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in _COPIED:
        for copy in (WORK / name, WORK / "mutants" / name):
            if copy.is_dir():
                shutil.rmtree(copy)
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, WORK / name, ignore=shutil.ignore_patterns("__pycache__", "bin"))
        else:
            shutil.copy2(source, WORK / name)
    wanted = tuple(f"{'/'.join(rooms)}/test_{module}" for *rooms, module in (name.split(".") for name in names))
    for path in (WORK / "tests/unit").rglob("test_*.py"):
        if not str(path.relative_to(WORK / "tests/unit")).startswith(wanted):
            path.unlink()
    lines = [
        "[mutmut]",
        "source_paths=src",
        *_option("only_mutate", (f"src/{PACKAGE}/{_path(name)}" for name in names)),
        *_option("also_copy", [*_COPIED, "conftest.py"]),
        *_option("pytest_add_cli_args_test_selection", ["tests/unit"]),
        *_option("pytest_add_cli_args", ["-p", "no:xdist", "-o", "addopts=--import-mode=importlib"]),
    ]
    (WORK / "conftest.py").write_text(_CONFTEST)
    (WORK / "setup.cfg").write_text("\n".join(lines) + "\n")
    _forget(names)


def _path(name: str) -> Path:
    """The file of a module, below the package."""
    return Path(*name.split(".")).with_suffix(".py")


def _option(name: str, values: Iterable[str]) -> list[str]:
    return [f"{name}=", *(f"    {value}" for value in values)]


def _forget(names: Iterable[str]) -> None:
    """mutmut sees that a function changed, but neither tables beside functions nor tests that got better."""
    before = json.loads(_KNOWN.read_text()) if _KNOWN.exists() else {}
    now = {name: _digest([_SOURCE / _path(name)]) for name in names}
    now["tests"] = _digest(sorted((WORK / "tests/unit").rglob("*.py")))
    for name in names:
        if not (meta := _meta(name)).exists():
            continue
        document = json.loads(meta.read_text())
        stale = set(document["exit_code_by_key"].values()) if before.get(name) != now[name] else set()
        if before.get("tests") != now["tests"]:
            stale |= _SURVIVED | _UNTESTED
        document["exit_code_by_key"] = {
            key: None if verdict in stale else verdict for key, verdict in document["exit_code_by_key"].items()
        }
        meta.write_text(json.dumps(document, indent=4))
    if before.get("tests") != now["tests"]:
        (WORK / "mutants/mutmut-stats.json").unlink(missing_ok=True)
    _KNOWN.write_text(json.dumps(now))


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _meta(name: str) -> Path:
    return WORK / "mutants/src" / PACKAGE / f"{_path(name)}.meta"


def read_results(names: Iterable[str]) -> dict[str, Any]:
    """What the runs so far have found out, and on which machine."""
    counts, survivors, pending = {}, [], 0
    for name in names:
        document = json.loads(_meta(name).read_text())
        verdicts: dict[str, int | None] = document["exit_code_by_key"]
        counts[name] = dict(Counter({"killed": 0, "endless": 0, "survived": 0, "untested": 0}))
        functions = _functions(WORK / "mutants/src" / PACKAGE / _path(name))
        for key, verdict in verdicts.items():
            if verdict is None:
                pending += 1
                continue
            kind = _kind(verdict)
            counts[name][kind] += 1
            if kind in {"survived", "untested"}:
                survivors.append({"module": name, **_difference(functions, key.rpartition(".")[2])})
    if pending:
        raise SystemExit(f"{pending} mutants have no verdict yet: run it again, it goes on where it stopped")
    return {
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()},
        "mutmut": importlib.metadata.version("mutmut"),
        "modules": counts,
        "survivors": sorted(survivors, key=lambda entry: (entry["module"], entry["function"], entry["mutant"])),
    }


def _kind(verdict: int) -> str:
    for kind, codes in (("killed", _KILLED), ("survived", _SURVIVED), ("untested", _UNTESTED), ("endless", _ENDLESS)):
        if verdict in codes:
            return kind
    raise SystemExit(f"a test run ended with {verdict}, which says nothing: look into {WORK}")


def _functions(path: Path) -> dict[str, list[str]]:
    """The lines of each function and method of a mutated module, as `ast` writes them: without comments and layout."""
    tree = ast.parse(path.read_text())
    return {
        node.name: ast.unparse(node).partition("(")[2].splitlines()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def _difference(functions: dict[str, list[str]], mutant: str) -> dict[str, str]:
    """Where a mutant is, what stood there and what stands there now, with some text around."""
    mangled = mutant.partition("__mutmut_")[0]
    original, changed = functions[f"{mangled}__mutmut_orig"], functions[mutant]
    before, after = next(((a, b) for a, b in zip(original, changed, strict=False) if a != b), ("", ""))
    same_start = _same_start(before, after)
    same_end = _same_start(before[same_start:][::-1], after[same_start:][::-1])
    start, end = max(0, same_start - _AROUND), max(0, same_end - _AROUND)
    return {
        "function": mangled.removeprefix("x_").removeprefix("xǁ").replace("ǁ", "."),
        "original": before[start : len(before) - end],
        "mutant": after[start : len(after) - end],
    }


def _same_start(one: str, other: str) -> int:
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _with_earlier(results: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The results, with those of an earlier run for modules that were left out now."""
    left_out = set(modules()) - set(names)
    earlier = json.loads(RESULTS.read_text()) if left_out else {"modules": {}, "survivors": []}
    counts = results["modules"] | {name: each for name, each in earlier["modules"].items() if name in left_out}
    survivors = results["survivors"] + [each for each in earlier["survivors"] if each["module"] in left_out]
    return results | {
        "modules": dict(sorted(counts.items())),
        "survivors": sorted(survivors, key=lambda entry: (entry["module"], entry["function"], entry["mutant"])),
    }


def main() -> int:
    """Run mutmut over the modules, print the score of each, and write the results down."""
    names = sys.argv[1:] or modules()
    if unknown := set(names) - set(modules()):
        raise SystemExit(f"no module without I/O: {', '.join(sorted(unknown))}")
    prepare(names)
    ended = subprocess.run(  # noqa: S603
        [Path(sys.executable).with_name("mutmut"), "run", "--max-children=1"],
        cwd=WORK,
        env={**os.environ, "HYPOTHESIS_PROFILE": "mutants"},
        check=False,
    ).returncode
    if ended != 0:
        raise SystemExit(f"mutmut ended with {ended}; started again, it goes on where it stopped")
    results = _with_earlier(read_results(names), names)
    total = Counter[str]()
    for name, counts in results["modules"].items():
        total.update(counts)
        print(f"{name:32} {sum(counts.values()):5} mutants {score(counts):6.1f} %")  # noqa: T201
    print(f"{'all':32} {total.total():5} mutants {score(dict(total)):6.1f} %")  # noqa: T201
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
