"""A benchmark is about the limits and the product, not about the machine."""

from __future__ import annotations

import pytest

from benchmarks.bounds import violations
from benchmarks.fair import measure_fairly
from benchmarks.measure import Result
from benchmarks.scenarios import Bounds, Contender, Late, Scenario, Vault, vaults

SCENARIO = Scenario("vault-600", "one vault, 600 to patch", 9, vaults(1, 600), Bounds(ratio=1.1))
LATE = Scenario(
    "late",
    "late",
    9,
    vaults(1, 600),
    Bounds(late_seconds=40),
    late=Late(Vault("small", 5), 1.0),
    scales={Contender.SDK: 2},
)


def result_of(scenario: Scenario, seconds: float, *, throttled: int = 0, late_seconds: float | None = None) -> Result:
    return Result(
        scenario=scenario.name,
        title=scenario.title,
        contender=Contender.OURS,
        scale=scenario.scale,
        to_patch=600,
        shortest=scenario.shortest,
        compliant=600,
        seconds=seconds,
        known=seconds,
        writes=600,
        reads=10,
        throttled=throttled,
        peak_writes=200,
        peak_reads=10,
        late_seconds=late_seconds,
        left_used=None,
        recovered=None,
        cpu=1.0,
        cpu_share=0.1,
        cpu_busiest=0.1,
        simulator_cpu_share=0.1,
        real_seconds=1.0,
        status_writes=1,
        reads_on_hold=None,
        status_writes_on_hold=None,
        cpu_on_hold=None,
        finished=True,
        notes="",
    )


class Machine:
    """Adds so many real seconds to what the product takes."""

    def __init__(self, product: float, machine: float, throttled: tuple[int, ...] = (0, 0)) -> None:
        self.product, self.machine, self.throttled = product, machine, list(throttled)
        self.scales: list[float] = []

    def __call__(self, scenario: Scenario, contender: Contender) -> Result:
        scale = scenario.scale_for(contender)
        self.scales.append(scale)
        seconds = self.product + self.machine * scale
        late = seconds if scenario.late else None
        return result_of(scenario, seconds, throttled=self.throttled.pop(0), late_seconds=late)


def test_who_is_in_time_is_measured_once() -> None:
    machine = Machine(145, 0.5)
    assert measure_fairly(SCENARIO, Contender.OURS, measure=machine).seconds == 149.5
    assert machine.scales == [9]


@pytest.mark.parametrize(("scenario", "product"), [(SCENARIO, 145), (LATE, 30)])
def test_lateness_of_a_slow_machine_goes_with_a_slower_clock_and_is_told(scenario: Scenario, product: float) -> None:
    machine = Machine(product, 2)
    result = measure_fairly(scenario, Contender.OURS, measure=machine)
    assert machine.scales == [9, 3]
    assert violations(result, scenario.bounds) == []
    assert "late at a time scale of 9" in result.notes
    assert "measured again at 3" in result.notes


def test_lateness_of_the_product_stays() -> None:
    result = measure_fairly(SCENARIO, Contender.OURS, measure=Machine(160, 0.5))
    assert violations(result, SCENARIO.bounds) == ["vault-600: time over the shortest is 1.154, over 1.1"]


def test_a_429_of_the_first_time_is_not_forgotten_when_lateness_is_measured_again() -> None:
    result = measure_fairly(SCENARIO, Contender.OURS, measure=Machine(145, 2, throttled=(1, 0)))
    assert violations(result, SCENARIO.bounds) == ["vault-600: answers 429 is 1, over 0"]


def test_others_are_measured_once_however_late() -> None:
    machine = Machine(1000, 0)
    measure_fairly(LATE, Contender.SDK, measure=machine)
    assert machine.scales == [2]
