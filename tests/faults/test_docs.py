"""The page about reliability shows the matrix that is tested."""

from __future__ import annotations

from tools.docs_build import fault_matrix as reliability_docs
from workbench.faults.discovery import DISCOVERY_CELLS
from workbench.faults.matrix import CELLS


def test_the_page_says_how_many_cells_are_tested() -> None:
    page = reliability_docs.PAGE.read_text()

    assert f": {len(CELLS)} cells" in page
    assert f": {len(DISCOVERY_CELLS)} cells" in page
