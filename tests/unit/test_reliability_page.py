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


def test_results_are_of_modules_that_there_are_and_nine_of_ten_mutants_were_noticed() -> None:
    results = json.loads(mutation_docs.RESULTS.read_text())
    counts = [entry["mutants"] for entry in results["modules"].values()]

    assert set(results["modules"]) <= set(mutants.modules())
    assert {"decide.plan", "arm.throttle", "report.document"} <= set(mutants.modules())
    assert mutation_docs.score({kind: sum(each[kind] for each in counts) for kind in counts[0]}) >= 90


def test_nothing_is_called_equivalent_that_did_not_survive() -> None:
    results = json.loads(mutation_docs.RESULTS.read_text())
    survivors = results["survivors"] + results.get("sample", {}).get("survivors", [])
    excused = {
        f"{entry['module']}.{entry['function']}: {entry['mutant']}"
        for entries in mutation_docs.equivalents(survivors).values()
        for entry in entries
    }

    assert excused == {entry for entries in mutation_docs.known_equivalents().values() for entry in entries}
