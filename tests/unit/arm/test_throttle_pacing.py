"""Who goes first in a scope, how the pace makes good what was lost, and how often routine calls may come."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from tests.unit.callers import caller_of, scope_of
from tests.unit.virtual_time import in_virtual_time
from vault_autoupdate.arm.throttle import CallKind, Throttle
from vault_autoupdate.arm.turns import TURN
from vault_autoupdate.model.limits import Limit

READ, WRITE = CallKind.READ, CallKind.WRITE


def _throttle(count: int = 1, window: float = 1.0) -> Throttle:
    return Throttle({WRITE: [Limit(count, window)], READ: [Limit(10_000, 3600), Limit(250, 10)]})


class _Calls:
    """Calls that note in which order, and when, they were let through."""

    def __init__(self, throttle: Throttle) -> None:
        self.throttle = throttle
        self.order: list[str] = []
        self.times: list[float] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def queue(self, key: str, number: int) -> None:
        self.tasks += [asyncio.create_task(self.one(key)) for _ in range(number)]
        await asyncio.sleep(0)

    async def done(self) -> None:
        await asyncio.gather(*self.tasks)

    async def one(self, key: str) -> None:
        async with self.throttle.call(caller_of(key), WRITE):
            self.order.append(key)
            self.times.append(asyncio.get_running_loop().time())


async def _read(throttle: Throttle, scope: str, key: str, seen: list[float]) -> None:
    async with throttle.call(caller_of(key, scope), READ):
        seen.append(asyncio.get_running_loop().time())


def _runs(order: Iterable[str]) -> list[tuple[str, int]]:
    """``aaab`` as ``[("a", 3), ("b", 1)]``."""
    runs: list[tuple[str, int]] = []
    for key in order:
        if runs and runs[-1][0] == key:
            runs[-1] = (key, runs[-1][1] + 1)
        else:
            runs.append((key, 1))
    return runs


@in_virtual_time
async def test_keys_take_turns_of_several_calls() -> None:
    calls = _Calls(_throttle())
    await calls.queue("first", 1)
    await calls.queue("a", 50)
    await calls.queue("b", 30)
    await calls.done()

    assert _runs(calls.order) == [("first", 1), ("a", TURN), ("b", TURN), ("a", TURN), ("b", 10), ("a", 10)]


@in_virtual_time
async def test_a_newcomer_goes_before_those_that_have_had_their_turn() -> None:
    calls = _Calls(_throttle())
    await calls.queue("large", 200)
    await calls.queue("other", 200)
    await asyncio.sleep(2.5 * TURN)
    await calls.queue("small", 5)
    behind = len(calls.order)
    await calls.done()

    assert calls.order[behind : behind + 5] == ["small"] * 5


@in_virtual_time
async def test_many_small_ones_get_done_one_after_the_other() -> None:
    calls = _Calls(_throttle())
    for number in range(10):
        await calls.queue(f"vault-{number}", TURN)
    await calls.done()

    assert [run for _, run in _runs(calls.order)] == [TURN] * 10  # and none of them comes twice


@in_virtual_time
async def test_one_that_comes_back_within_what_it_expected_is_no_newcomer() -> None:
    throttle = _throttle()
    calls = _Calls(throttle)
    throttle.expect_calls(caller_of("large"), WRITE, 100)
    await calls.queue("large", TURN + 1)  # its queue runs empty now and then: the answers have to come back first
    await calls.done()
    await calls.queue("first", 1)
    await calls.queue("waits", 2 * TURN)
    await calls.queue("large", 5)
    await calls.done()

    assert _runs(calls.order[TURN + 1 :]) == [("first", 1), ("waits", TURN), ("large", 5), ("waits", TURN)]


@in_virtual_time
async def test_one_that_has_nothing_left_to_do_is_a_newcomer_again() -> None:
    throttle = _throttle()
    calls = _Calls(throttle)
    throttle.expect_calls(caller_of("again"), WRITE, 2 * TURN)
    await calls.queue("again", 2 * TURN)
    await calls.done()
    throttle.expect_calls(caller_of("again"), WRITE, 0)
    await calls.queue("large", 2 * TURN)
    await asyncio.sleep(TURN + 5.5)
    await calls.queue("again", 1)
    await calls.done()

    assert _runs(calls.order[3 * TURN :])[1] == ("again", 1)


@in_virtual_time
async def test_the_pace_follows_what_is_expected_and_what_is_queued_by_others() -> None:
    throttle = _throttle(200, 60.0)
    calls = _Calls(throttle)
    throttle.expect_calls(caller_of("large"), WRITE, 100_000)
    await calls.queue("large", 100)
    await calls.done()

    assert calls.times[-1] - calls.times[0] == pytest.approx(99 * 0.3, abs=6 * 0.3)


@in_virtual_time
async def test_what_is_taken_back_no_longer_counts() -> None:
    throttle = _throttle(200, 60.0)
    calls = _Calls(throttle)
    throttle.expect_calls(caller_of("large"), WRITE, 100_000)
    await calls.queue("large", 20)
    for task in calls.tasks[5:]:
        task.cancel()
    throttle.expect_calls(caller_of("large"), WRITE, 0)
    await asyncio.gather(*calls.tasks, return_exceptions=True)
    began = asyncio.get_running_loop().time()
    await calls.queue("small", 100)
    await asyncio.gather(*calls.tasks, return_exceptions=True)

    assert calls.times[-1] - began < 1.0


@in_virtual_time
async def test_a_late_timer_does_not_slow_the_pace() -> None:
    """The pace goes by a plan: what left late does not push back everything after it."""
    throttle = _throttle(200, 60.0)
    calls = _Calls(throttle)
    throttle.expect_calls(caller_of("large"), WRITE, 100_000)
    for _ in range(60):
        await calls.queue("large", 1)
        await asyncio.sleep(0.31)  # each call comes a little later than it might
    await calls.queue("large", 40)
    await calls.done()

    assert calls.times[-1] - calls.times[0] < 60 * 0.31 + 40 * 0.3 - 0.2


@in_virtual_time
async def test_routine_calls_come_often_while_little_is_used() -> None:
    throttle = _throttle()

    assert throttle.poll_interval(caller_of("vault"), READ, 1) == pytest.approx(0.16)
    assert throttle.poll_interval(caller_of("another"), READ, 9) == pytest.approx(1.6)


@in_virtual_time
async def test_however_many_make_routine_calls_for_however_long_a_fifth_is_left_for_others() -> None:
    throttle = Throttle({WRITE: [Limit(1, 1)], READ: [Limit(1000, 3600)]})
    lowest = 1000

    async def look(key: str) -> None:
        nonlocal lowest
        while asyncio.get_running_loop().time() < ends:
            await asyncio.sleep(throttle.poll_interval(caller_of(key), READ, 1))
            await _read(throttle, "s", key, seen)
            lowest = min(lowest, throttle.states()[0].remaining)

    seen: list[float] = []
    ends = asyncio.get_running_loop().time() + 3 * 3600
    for number in range(50):
        throttle.poll_interval(caller_of(f"vault-{number}"), READ, 1)
    await asyncio.gather(*(look(f"vault-{number}") for number in range(50)))

    assert lowest >= 200
    assert len(seen) > 3 * 500


@in_virtual_time
async def test_who_needs_more_calls_or_ends_changes_the_interval_of_the_others() -> None:
    throttle = _throttle()
    alone = throttle.poll_interval(caller_of("a"), READ, 1)

    assert throttle.poll_interval(caller_of("b"), READ, 3) == pytest.approx(4 * alone)
    assert throttle.poll_interval(caller_of("b"), READ, 0) == pytest.approx(alone)
    assert throttle.poll_interval(caller_of("a"), READ, 0) == 0


@in_virtual_time
async def test_one_that_has_expected_more_goes_on_before_those_that_have_not_begun() -> None:
    """Reads of many vaults: the first ones are read to the end, instead of all of them a little."""
    throttle = _throttle()
    calls = _Calls(throttle)

    async def look(key: str) -> None:
        throttle.expect_calls(caller_of(key), WRITE, 3)
        for _ in range(3):
            await calls.one(key)

    await asyncio.gather(*(look(f"vault-{number}") for number in range(20)))

    assert [run for _, run in _runs(calls.order)] == [3] * 20


@in_virtual_time
async def test_the_further_limits_are_those_of_the_subscription_whatever_the_region() -> None:
    throttle = _throttle()
    seen: list[float] = []
    scopes = ("sub", "sub/westeurope", "sub/northeurope")
    await asyncio.gather(*(_read(throttle, scopes[n % 3], f"vault-{n}", seen) for n in range(500)))
    assert max(sum(at <= other < at + 10 for other in seen) for at in seen) == 250

    began = asyncio.get_running_loop().time()
    other: list[float] = []
    await asyncio.gather(*(_read(throttle, "another/westeurope", f"vault-{n}", other) for n in range(250)))
    assert other[-1] == began


@in_virtual_time
async def test_after_a_short_429_reads_are_back_within_a_minute() -> None:
    """What refuses for seconds is Resource Manager's bucket: the limit on an hour is not lowered for hours."""
    throttle = _throttle()
    for _ in range(10):
        throttle.refused(scope_of("sub/westeurope"), READ, 2.0)
        await asyncio.sleep(2.0)
    assert min(state.share for state in throttle.states()) < 0.2
    await asyncio.sleep(100)
    assert {state.share for state in throttle.states()} == {1.0}


@in_virtual_time
async def test_a_429_of_the_bucket_pauses_the_whole_subscription_and_a_long_one_its_scope_alone() -> None:
    throttle = _throttle()
    seen: list[float] = []
    await _read(throttle, "sub/westeurope", "a", seen)
    await _read(throttle, "sub/northeurope", "b", seen)
    throttle.refused(scope_of("sub/westeurope"), READ, 5.0)
    assert throttle.paused_for(scope_of("sub/northeurope"), READ) == 5.0
    await asyncio.sleep(6)
    throttle.refused(scope_of("sub/westeurope"), READ, 600.0)
    assert throttle.paused_for(scope_of("sub/westeurope"), READ) == 600.0
    assert throttle.paused_for(scope_of("sub/northeurope"), READ) == 0.0


@in_virtual_time
async def test_a_429_for_writes_is_not_taken_for_the_limit_on_an_hour() -> None:
    """Other clouds than the public one have a second limit on writes, with a longer window than the first."""
    throttle = Throttle({WRITE: [Limit(200, 60), Limit(1200, 3600)], READ: [Limit(10_000, 3600)]})
    throttle.refused(scope_of("sub/usgovvirginia"), WRITE, 20.0)
    throttle.refused(scope_of("sub/usgovtexas"), READ, 20.0)

    assert throttle.paused_for(scope_of("sub/usgovvirginia"), WRITE) == 20.0
    assert throttle.paused_for(scope_of("sub/usgovtexas"), WRITE) == 0.0
    assert throttle.paused_for(scope_of("sub/usgovtexas"), READ) == 20.0
    await asyncio.sleep(20 + 3 * 60)
    assert {state.share for state in throttle.states() if state.kind is WRITE} == {1.0}
