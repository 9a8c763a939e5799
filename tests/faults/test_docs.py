"""The page about reliability shows the matrix that is tested."""

from __future__ import annotations

import pytest

from tests.faults.matrix import CELLS
from tools.docs_build import fault_matrix as reliability_docs


def test_the_page_shows_the_matrix_that_is_tested() -> None:
    page = reliability_docs.PAGE.read_text()
    assert reliability_docs.rewrite(page) == page, "run make docs"
    assert f": {len(CELLS)} cells" in page


def test_the_other_sections_of_the_page_stay_as_they_are() -> None:
    begin, end = reliability_docs.BEGIN, reliability_docs.END
    page = reliability_docs.rewrite(f"# Before\n\n{begin}\nold\n{end}\n\n## After\n")
    assert page.startswith(f"# Before\n\n{begin}\n")
    assert page.endswith(f"\n{end}\n\n## After\n")
    assert "\nold\n" not in page


def test_a_page_without_the_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="needs the lines"):
        reliability_docs.rewrite("# Reliability\n")
