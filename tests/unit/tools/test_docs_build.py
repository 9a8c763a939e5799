"""Pages that are made from the code are what the code says, and one command writes or checks all of them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.docs_build.pages import PageError, Writer, between, write_or_check, writers

ROOT = Path(__file__).resolve().parents[3]
WRITERS = writers()


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_a_page_is_what_the_code_says(writer: Writer) -> None:
    assert write_or_check(writer.PAGE, writer.render, check=True), f"{writer.PAGE} is not up to date: run make docs"


def test_every_page_that_says_what_wrote_it_names_one_of_the_writers() -> None:
    pages = [*(ROOT / "docs").glob("**/*.md"), *(ROOT / "charts").glob("**/*.md")]
    named = {
        name
        for page in pages
        for name in (path.stem for path in (ROOT / "tools/docs_build").glob("*.py"))
        if f"tools/docs_build/{name}.py" in page.read_text()
    }
    assert len(named) > 4
    assert named <= WRITERS.keys()


def test_checking_leaves_a_page_that_differs_and_writing_makes_it_new(tmp_path: Path) -> None:
    page = tmp_path / "below" / "page.md"

    assert not write_or_check(page, lambda: "new", check=True)
    assert not page.exists()
    assert not write_or_check(page, lambda: "new", check=False)
    assert page.read_text() == "new"
    assert write_or_check(page, lambda: "new", check=True)


def test_a_page_that_is_as_it_should_be_is_not_touched(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("as it was")
    page.chmod(0o444)
    before = page.stat().st_mtime_ns

    assert write_or_check(page, lambda: "as it was", check=False)
    assert page.stat().st_mtime_ns == before


def test_only_what_is_between_the_marks_is_made_anew() -> None:
    page = "# Before\n\n<!-- a -->\nold\n<!-- b -->\n\n## After\n"

    assert between(page, "<!-- a -->", "<!-- b -->", "new") == "# Before\n\n<!-- a -->\nnew\n<!-- b -->\n\n## After\n"


@pytest.mark.parametrize("page", ["# No marks\n", "<!-- a -->\n", "<!-- b -->\n", "<!-- b -->\n<!-- a -->\n"])
def test_a_page_without_both_marks_in_their_order_is_refused(page: str) -> None:
    with pytest.raises(PageError, match="needs the lines"):
        between(page, "<!-- a -->", "<!-- b -->", "new")


def test_the_command_names_what_is_not_up_to_date_and_then_mends_it(tmp_path: Path) -> None:
    for name in ("charts", "crds", "docs", "operator", "tools", "workbench"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"), symlinks=True)
    page = tmp_path / "docs/metrics.md"
    page.write_text("of yesterday")

    checked = _command(tmp_path, "--check")
    assert (checked.returncode, checked.stderr) == (1, "docs/metrics.md is not up to date: run make docs\n")
    assert page.read_text() == "of yesterday"

    written = _command(tmp_path)
    assert (written.returncode, written.stderr) == (0, "wrote docs/metrics.md\n")
    assert page.read_text() == (ROOT / "docs/metrics.md").read_text()
    assert _command(tmp_path, "--check").returncode == 0


def test_the_command_says_which_page_cannot_be_made_and_why(tmp_path: Path) -> None:
    for name in ("charts", "crds", "docs", "operator", "tools", "workbench"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"), symlinks=True)
    (tmp_path / "charts/vault-autoupdate/README.md").write_text("# No marks\n")

    refused = _command(tmp_path)

    assert refused.returncode == 1
    assert "charts/vault-autoupdate/README.md: chart_values: the page needs the lines" in refused.stderr


def _command(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.docs_build", *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
