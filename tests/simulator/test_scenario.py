"""Scenarios: reading them, and the same cloud for the same seed."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from asr_simulator import ScenarioError, load_scenario, parse_scenario
from asr_simulator.clock import Clock, ManualTime, seven_digits, trimmed, whole_second
from asr_simulator.mapping import ContainerMapping
from asr_simulator.scenario import Limit, Scenario
from asr_simulator.world import World
from tests.simulator.helpers import scenario, vault

_EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "scenarios").glob("*.yaml"))


def _mappings(of: Scenario) -> list[ContainerMapping]:
    (only,) = World(of, Clock.manual(ManualTime())).vaults.values()
    return only.ordered


@pytest.mark.parametrize("path", _EXAMPLES, ids=lambda path: path.name)
def test_every_example_is_valid(path: Path) -> None:
    assert World(load_scenario(path)).vaults


def test_the_demo_is_as_announced() -> None:
    demo = load_scenario(next(path for path in _EXAMPLES if path.name == "demo.yaml"))
    assert (demo.time_scale, demo.mappings_page_size) == (20, 50)
    assert len(_mappings(demo)) == 400


def test_the_same_seed_makes_the_same_vault() -> None:
    of = scenario(vault(mappings=[], mix={"disabled": 50, "enabled_unhealthy": 50}), seed=7)
    assert [item.document() for item in _mappings(of)] == [item.document() for item in _mappings(of)]
    other = of.model_copy(update={"seed": 8})
    assert [item.document() for item in _mappings(of)] != [item.document() for item in _mappings(other)]


def test_kinds_are_mixed_and_names_are_real() -> None:
    made = _mappings(scenario(vault(mappings=[], mix={"disabled": 100, "enabled_compliant": 100})))
    states = [item.auto_update.status for item in made]
    assert 60 < sum(one != other for one, other in pairwise(states)) < 140
    first = made[0]
    assert first.name == f"{first.source}-{first.target}-24-hour-retention-policy"
    assert first.fabric == f"asr-a2a-default-{first.source}"
    assert first.container == f"asr-a2a-default-{first.source}-container"


def test_many_mappings_have_distinct_names() -> None:
    made = _mappings(scenario(vault(mappings=[], mix={"disabled": 9_000})))
    assert len({item.key for item in made}) == 9_000


@pytest.mark.parametrize(("share", "curable"), [(0, {True}), (1, {False}), (0.5, {True, False})])
def test_a_share_of_the_unhealthy_is_incurable(share: float, curable: set[bool]) -> None:
    made = _mappings(scenario(vault(mappings=[], mix={"enabled_unhealthy": 40}, incurable_share=share)))
    assert set(Counter(item.ailment.curable for item in made if item.ailment)) == curable


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(
            {
                "time_scale": 0,
                "colour": "red",
                "throttle": {"writes": "200 per minute"},
                "jobs": {"failed_share": 0.7, "suspended_share": 0.7},
                "vaults": [vault(automation_account="aa-dr")],
            }
        )
    places = {problem.partition(":")[0] for problem in caught.value.problems}
    assert places == {"time_scale", "colour", "throttle.writes", "jobs", "vaults.0.automation_account"}


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ([], "must be a mapping"),
        ({}, "vaults: Field required"),
        ({"vaults": [vault(), vault(resource_group="RG-DR")]}, "listed twice"),
        ({"vaults": [vault(mappings=[{"name": "a"}, {"name": "A"}])]}, "listed twice in one container"),
        ({"vaults": [vault(mappings=[{"name": "a/b"}])]}, "without slashes"),
        ({"vaults": [vault()], "latency": {"min": 2, "max": 1}}, "max must not be less than min"),
    ],
)
def test_what_makes_no_sense_is_refused(document: Any, problem: str) -> None:
    with pytest.raises(ScenarioError, match=problem):
        parse_scenario(document)


def test_a_file_that_cannot_be_read_is_a_problem_of_the_scenario(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="No such file"):
        load_scenario(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [", encoding="utf-8")
    with pytest.raises(ScenarioError, match="is not YAML"):
        load_scenario(tmp_path / "bad.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ScenarioError, match="not UTF-8"):
        load_scenario(tmp_path / "binary.yaml")


def test_a_limit_is_written_as_count_and_window() -> None:
    read = scenario(throttle={"writes": "20/1.5s"}).throttle.writes
    assert read == Limit(count=20, window=1.5)
    assert str(read) == "20/1.5s"


def test_every_field_is_described() -> None:
    schema = Scenario.model_json_schema()
    for section in (schema, *schema["$defs"].values()):
        for name, field in section.get("properties", {}).items():
            assert field.get("description"), name


def test_simulated_time_runs_at_its_scale_and_can_change() -> None:
    manual = ManualTime(epoch=1000.0)
    clock = Clock.manual(manual, 10)
    manual.advance(2)
    clock.set_time_scale(1)
    manual.advance(2)
    assert clock.now() == 22
    clock.skip(100)
    manual.advance(1)
    assert (clock.now(), clock.real()) == (123, 5)


def test_wall_time_of_a_simulated_moment_fits_the_clients_clock() -> None:
    manual = ManualTime(epoch=1000.0)
    clock = Clock.manual(manual, 10)
    manual.advance(2)
    clock.skip(100)
    manual.advance(1)
    assert [clock.wall_at(moment) for moment in (0, 10, 20, 70, 120, 125)] == [1000, 1001, 1002, 1002, 1002, 1002.5]
    assert clock.wall_at(clock.now() + 10) == clock.wall() + 1


@pytest.mark.parametrize(
    ("wall", "digits", "short"),
    [
        (0.5, "1970-01-01T00:00:00.5000000Z", "1970-01-01T00:00:00.5Z"),
        (1.0, "1970-01-01T00:00:01.0000000Z", "1970-01-01T00:00:01Z"),
        (20.000001, "1970-01-01T00:00:20.0000010Z", "1970-01-01T00:00:20.000001Z"),
    ],
)
def test_times_are_printed_as_the_service_does(wall: float, digits: str, short: str) -> None:
    assert seven_digits(wall) == digits
    assert trimmed(wall) == short
    assert whole_second(0.55) == 1.0
