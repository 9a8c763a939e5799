"""What a run of mutmut has found out: the verdict on each mutant, and what the survivors changed."""

from __future__ import annotations

import ast
import hashlib
import json
import signal
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

_AROUND: Final = 30
"""Characters that are shown on either side of what was changed."""

# Verdicts, in the numbers that mutmut has for them: what the tests of a mutant ended with.
PASSED: Final = 0
FAILED: Final = 1
UNTESTED: Final = 33
_ENDLESS: Final = (-signal.SIGXCPU, -signal.SIGKILL)
UNNOTICED: Final = frozenset({PASSED, UNTESTED})
"""Verdicts that a better test may change."""

__all__ = [
    "FAILED",
    "PASSED",
    "UNNOTICED",
    "UNTESTED",
    "count",
    "form",
    "forms",
    "meta",
    "survivors",
    "verdicts",
    "write_verdict",
]


def meta(mutated: Path) -> Path:
    """Where mutmut keeps the verdicts on the mutants of a module."""
    return mutated.with_name(f"{mutated.name}.meta")


def verdicts(mutated: Path) -> dict[str, int | None]:
    """By name of the mutant: what its test run ended with, None before it."""
    found: dict[str, int | None] = json.loads(meta(mutated).read_text())["exit_code_by_key"]
    return found


def write_verdict(mutant: str, verdict: int) -> None:
    """Keep the verdict on a mutant, in the folder where mutmut made it."""
    path = meta(Path("src", *mutant.split(".")[:-1]).with_suffix(".py"))
    document = json.loads(path.read_text())
    document["exit_code_by_key"][mutant] = verdict
    path.write_text(json.dumps(document, indent=4))


def count(found: Iterable[int | None]) -> dict[str, int]:
    """How many mutants were killed, endless, survived or untested.

    Raises:
        SystemExit: some have no verdict yet, or one that says nothing.
    """
    known = list(found)
    if pending := known.count(None):
        raise SystemExit(f"{pending} mutants have no verdict yet: run it again, it goes on where it stopped")
    return {**dict.fromkeys(("killed", "endless", "survived", "untested"), 0), **Counter(map(_kind, known))}


def _kind(verdict: int | None) -> str:
    kinds = {FAILED: "killed", PASSED: "survived", UNTESTED: "untested", **dict.fromkeys(_ENDLESS, "endless")}
    if verdict not in kinds:
        raise SystemExit(f"the tests of a mutant ended with {verdict}, which says nothing: look into .mutants")
    return kinds[verdict]


def survivors(module: str, mutated: Path, found: Mapping[str, int | None]) -> Iterator[dict[str, str]]:
    """What each mutant that no test noticed has changed."""
    functions = _functions(mutated)
    for key, verdict in found.items():
        if verdict in UNNOTICED:
            yield {"module": module, **_difference(functions, key.rpartition(".")[2])}


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


def form(source: str) -> str:
    """A digest of what a module does: a change of comments, layout or imports leaves it as it is."""
    tree = ast.parse(source)
    tree.body = [node for node in tree.body if not isinstance(node, ast.Import | ast.ImportFrom)]
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()[:16]


def forms(sources: Mapping[str, Path]) -> dict[str, str]:
    """The form of each module."""
    return {name: form(path.read_text()) for name, path in sources.items()}
