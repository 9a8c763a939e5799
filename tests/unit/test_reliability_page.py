"""The page about reliability: what it says of tests and mutants is what there is."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tools.checks import mutants
from tools.docs_build import mutation as mutation_docs

PAGE = mutation_docs.PAGE.read_text()


def test_every_test_that_the_page_names_is_in_the_file_that_it_names() -> None:
    named = re.findall(r"\[(test_\w+)\]\(\.\./(tests/unit/[\w/]*test_\w+\.py)\)", PAGE)

    assert len(named) > 30
    for test, path in named:
        assert f"def {test}(" in Path(mutation_docs.PAGE.parents[1], path).read_text(), f"{path} has no {test}"


def test_mutants_were_made_of_all_modules_that_decide_and_nine_of_ten_were_noticed() -> None:
    results = json.loads(mutation_docs.RESULTS.read_text())

    assert set(results["modules"]) <= set(mutants.modules())
    assert {"decide.plan", "arm.throttle", "report.document"} <= set(mutants.modules())
    whole = {
        kind: sum(counts[kind] for counts in results["modules"].values()) for kind in results["modules"]["decide.plan"]
    }
    assert mutation_docs.score(whole) >= 90


def test_nothing_is_called_equivalent_that_did_not_survive() -> None:
    survivors = json.loads(mutation_docs.RESULTS.read_text())["survivors"]
    excused = [entry for entries in mutation_docs.equivalents(survivors).values() for entry in entries]

    assert len(excused) == sum(len(entries) for entries in mutation_docs.known_equivalents().values())
