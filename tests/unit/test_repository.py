"""Things about the repository as a whole that would be easy to break and hard to notice."""

from __future__ import annotations

import ast
import operator
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("**/*.md"))]


def test_the_source_root_never_shadows_the_standard_librarys_operator() -> None:
    assert not (ROOT / "operator/__init__.py").exists()
    assert not (ROOT / "operator/operator.py").exists()
    assert operator.itemgetter(1)("ab") == "b"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_of_the_repository_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_operators_wheel_holds_the_operator_and_not_the_simulator(tmp_path: Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    subprocess.run(
        [uv, "build", "--wheel", "--quiet", "--no-build-isolation", "--out-dir", tmp_path, ROOT], check=True, timeout=60
    )
    (wheel,) = tmp_path.glob("vault_autoupdate-*.whl")
    listing = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", wheel], capture_output=True, text=True, check=True
    ).stdout
    assert "vault_autoupdate/reconcile/reconciler.py" in listing
    assert "asr_simulator" not in listing


def test_every_test_that_the_security_page_names_is_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", (ROOT / "docs/security.md").read_text())
    assert len(named) > 20
    for path, test in named:
        assert f"def {test}(" in (ROOT / path).read_text() if test else (ROOT / path).exists(), f"{path}::{test}"


def test_functions_of_the_core_can_be_seen_whole() -> None:
    """The longest fits on a screen, and nine of ten into a third of it; signatures and docstrings count."""
    lengths = sorted(
        (node.end_lineno or 0) - node.lineno + 1
        for path in (ROOT / "operator").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    assert lengths[-1] <= 58
    assert lengths[len(lengths) * 9 // 10] <= 19


def test_no_module_of_the_core_is_over_400_lines() -> None:
    for path in (ROOT / "operator").rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 400, path
