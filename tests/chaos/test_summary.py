"""What is printed and written about many seeds."""

from __future__ import annotations

import json

from tests.chaos.__main__ import describe, summary
from tests.chaos.run import Result
from tests.chaos.verdict import JobAccounts
from tools.docs_build import chaos as chaos_docs


def test_the_numbers_on_the_page_are_those_of_many_seeds_of_which_none_failed() -> None:
    document = json.loads(chaos_docs.NUMBERS.read_text())
    assert len(document["seeds"]) >= 50
    assert document["failed"] == []


def test_a_summary_adds_up_the_seeds_and_names_those_that_failed() -> None:
    one = Result(1, seconds=20, counts={"Kill": 2, "PATCHes": 40}, jobs=JobAccounts(30, 10), memory_kib=(1024, 3072))
    two = Result(2, ["a job was lost"], counts={"Kill": 1, "PATCHes": 2}, jobs=JobAccounts(2), account="the plan")

    document = summary([one, two], 40.4)

    assert document["seeds"] == [1, 2]
    assert document["failed"] == [2]
    assert (document["counts"]["Kill"], document["jobs_concluded"], document["jobs_observed"]) == (3, 32, 10)
    assert describe(document).startswith("2 seeds, failed: 2. ")
    assert "| seeds; of these failed | 2; 2 |" in chaos_docs.table(document)
    assert "FAILED" in str(two)
    explained = two.explain()
    assert all(said in explained for said in ("a job was lost", "the plan", "make chaos SEED=2"))
