"""The sample of mutants: drawn evenly, and honest about being one."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.checks import mutants
from tools.checks.mutant_results import FAILED, PASSED, UNTESTED, count, form
from tools.checks.mutant_sample import draw, interval
from tools.docs_build import mutation

_MUTANTS: Final = [f"module.x_function__mutmut_{number}" for number in range(50)]


@given(st.integers(), st.integers(0, 50), st.integers(0, 50))
def test_a_larger_sample_of_a_seed_begins_with_the_smaller_whatever_order_the_mutants_come_in(
    seed: int, small: int, more: int
) -> None:
    assert draw(_MUTANTS, small + more, seed)[:small] == draw(reversed(_MUTANTS), small, seed)


def test_every_mutant_is_drawn_as_often_as_any_other() -> None:
    often = Counter(mutant for seed in range(2000) for mutant in draw(_MUTANTS, 10, seed))

    assert set(often) == set(_MUTANTS)
    assert all(300 < each < 500 for each in often.values())  # 400 each; the standard deviation is 18


@pytest.mark.parametrize(
    ("noticed", "drawn", "low", "high"),
    [(50, 100, 40.4, 59.6), (81, 263, 25.5, 36.6), (98, 100, 93.0, 99.4), (0, 10, 0.0, 27.8), (10, 10, 72.2, 100.0)],
)  # 81 of 263: Newcombe, Two-sided confidence intervals for the single proportion, 1998, table I
def test_the_interval_is_that_of_wilson(noticed: int, drawn: int, low: float, high: float) -> None:
    assert list(interval(noticed, drawn)) == pytest.approx([low, high], abs=0.05)


def test_a_sample_is_drawn_from_every_module_of_the_rooms_without_io() -> None:
    package = Path(__file__).parents[3] / "operator" / mutants.PACKAGE
    files = {f"{room}.{file.stem}" for room in ("model", "decide", "report") for file in (package / room).glob("*.py")}

    assert set(mutants.pure_modules()) == {name for name in files if not name.endswith("__init__")}


def test_nothing_is_said_of_mutants_that_were_not_tested() -> None:
    with pytest.raises(SystemExit, match="2 mutants have no verdict yet"):
        count([1, None, 0, None])
    with pytest.raises(SystemExit, match="-11, which says nothing"):
        count([1, -11])
    assert count([1, 1, 0, 33, -24]) == {"killed": 2, "endless": 1, "survived": 1, "untested": 1}


_SUMS: Final = """
def doubled(number):
    return number * 2

def halved(number):
    return number / 2

def limit():
    return 7

def tripled(number):
    return number * 3

LIMIT = limit()
"""
_TESTS: Final = """
from vault_autoupdate.model.sums import LIMIT, doubled, halved

def test_four_is_twice_two():
    assert doubled(2) == 4

def test_half_of_nothing_is_nothing():
    assert halved(0) == 0

def test_no_more_than_seven():
    assert LIMIT == 7
"""


def test_a_mutant_gets_its_verdict_from_the_tests_that_come_by_it_and_from_all_if_it_is_at_work_at_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mutants, "WORK", tmp_path)
    for folder in ("src/vault_autoupdate/model", *(f"tests/unit/{room}" for room in ("decide", "model", "report"))):
        (tmp_path / folder).mkdir(parents=True)
    for package in ("", "model/"):
        (tmp_path / f"src/vault_autoupdate/{package}__init__.py").touch()
    (tmp_path / "src/vault_autoupdate/model/sums.py").write_text(_SUMS)
    (tmp_path / "tests/unit/model/test_sums.py").write_text(_TESTS)
    shutil.copytree(mutants.ROOT / "tools", tmp_path / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "setup.cfg").write_text("[mutmut]\nsource_paths=src\nalso_copy=\n    tests\n    tools\n")

    mutants.make()
    mutants.test(["model.sums"], mutants.verdicts_of(["model.sums"]))

    sums = "vault_autoupdate.model.sums.x_"
    assert mutants.verdicts_of(["model.sums"]) == {
        f"{sums}doubled__mutmut_1": FAILED,  # number / 2
        f"{sums}doubled__mutmut_2": FAILED,  # number * 3
        f"{sums}halved__mutmut_1": PASSED,
        f"{sums}halved__mutmut_2": PASSED,
        f"{sums}limit__mutmut_1": FAILED,
        f"{sums}tripled__mutmut_1": UNTESTED,
        f"{sums}tripled__mutmut_2": UNTESTED,
    }


def test_a_module_has_another_form_once_it_does_something_else() -> None:
    same = form("from a import b\n\ndef f(x):\n    return x + 1\n")

    assert same == form("from b import b\n\n\ndef f(x):\n    # one more\n    return (x + 1)\n")
    assert same != form("from a import b\n\ndef f(x):\n    return x + 2\n")


def test_the_page_tells_a_sample_from_a_whole_run_and_names_what_no_whole_run_has_had() -> None:
    killed = {"killed": 97, "endless": 0, "survived": 2, "untested": 1}
    entry = {"measured": "2026-11-24", "form": "f", "mutants": killed}
    sample = {
        "measured": "2026-11-28",
        "seed": 3,
        "of": 9000,
        "rooms": {"decide": killed},
        "survivors": [],
        "changed since the whole run": ["decide.plan"],
        "in no whole run": ["decide.hints"],
    }
    text = mutation.text(
        {
            "machine": {"python": "3", "cores": 2},
            "mutmut": "3",
            "survivors": [],
            "sample": sample,
            "modules": {"decide.plan": entry, "decide.jobs": entry},
        }
    )

    said = " ".join(text.split())
    assert "On 2026-11-28, `python -m tools.checks.mutants --sample 100 --seed 3` drew 100 of the 9,000 mutants" in said
    assert "97.0 % were noticed; so the score of all of them lies between 91.5 % and 99.0 %" in said
    assert "| decide.plan | 100 | 97 | 0 | 3 | 0 | 97.0 % | 2026-11-24 | yes |" in text
    assert "| decide.jobs | 100 | 97 | 0 | 3 | 0 | 97.0 % | 2026-11-24 | no |" in text
    assert "No whole run has had these; only the sample speaks of them: decide.hints." in text
