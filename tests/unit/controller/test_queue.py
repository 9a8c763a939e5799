"""The queue: each key when it is due, never twice at a time, whatever the work does."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.unit.virtual_time import in_virtual_time
from vault_autoupdate.controller.queue import WorkQueue


def _now() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def _running(work: Callable[[str], Awaitable[float | None]]) -> AsyncIterator[WorkQueue[str]]:
    queue: WorkQueue[str] = WorkQueue()
    task = asyncio.create_task(queue.run(work))
    try:
        yield queue
    finally:
        await queue.stop(0.0)
        await task


class Log:
    """Work that notes when it was done, takes its time and says when it is due again."""

    def __init__(self, *, takes: float = 0.0, again: float | None = None) -> None:
        self.began = _now()
        self.starts: list[tuple[float, str]] = []
        self.at_work: set[str] = set()
        self._takes = takes
        self._again = again

    async def __call__(self, key: str) -> float | None:
        assert key not in self.at_work, "two workers for one key"
        self.at_work.add(key)
        self.starts.append((round(_now() - self.began, 3), key))
        try:
            await asyncio.sleep(self._takes)
        finally:
            self.at_work.discard(key)
        return self._again


@in_virtual_time
async def test_keys_are_worked_on_when_they_are_due() -> None:
    log = Log()
    async with _running(log) as queue:
        queue.add("b", 20)
        queue.add("a", 10)
        queue.add("now")
        await asyncio.sleep(100)

    assert log.starts == [(0, "now"), (10, "a"), (20, "b")]


@in_virtual_time
async def test_work_says_when_it_is_due_again() -> None:
    log = Log(takes=1, again=30)
    async with _running(log) as queue:
        queue.add("a")
        await asyncio.sleep(70)

    assert log.starts == [(0, "a"), (31, "a"), (62, "a")]


@in_virtual_time
async def test_a_key_may_be_made_due_earlier_but_not_later() -> None:
    log = Log()
    async with _running(log) as queue:
        queue.add("a", 50)
        queue.add("a", 10)
        queue.add("a", 90)
        await asyncio.sleep(200)

    assert log.starts == [(10, "a")]


@in_virtual_time
async def test_a_key_that_is_woken_while_at_work_is_worked_on_once_more_right_after() -> None:
    log = Log(takes=5)
    async with _running(log) as queue:
        queue.add("a")
        for _ in range(3):
            await asyncio.sleep(1)
            queue.add("a", 60)
        await asyncio.sleep(50)

    assert log.starts == [(0, "a"), (5, "a")]


@in_virtual_time
async def test_slow_work_on_one_key_does_not_hold_up_another() -> None:
    log = Log(takes=1000)
    async with _running(log) as queue:
        queue.add("slow")
        await asyncio.sleep(1)
        queue.add("other")
        await asyncio.sleep(1)

        assert log.starts == [(0, "slow"), (1, "other")]
        assert queue.running == 2


@in_virtual_time
async def test_a_crash_is_logged_and_tried_again_ever_later_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log, crashes = Log(again=10), list[float]()

    async def work(key: str) -> float | None:
        if key == "bad":
            crashes.append(_now() - log.began)
            raise ZeroDivisionError("a defect")
        return await log(key)

    with caplog.at_level(logging.ERROR):
        async with _running(work) as queue:
            queue.add("bad")
            queue.add("good")
            await asyncio.sleep(1100)

    waits = [round(later - before) for before, later in itertools.pairwise(crashes)]
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
    assert len(log.starts) == 110
    assert "handling bad failed, again in 1 s" in caplog.text
    assert "ZeroDivisionError: a defect" in caplog.text


@in_virtual_time
async def test_success_ends_the_row_of_crashes(caplog: pytest.LogCaptureFixture) -> None:
    began, starts = _now(), list[float]()

    async def work(key: str) -> float | None:
        starts.append(round(_now() - began))
        if len(starts) != 3:
            raise ZeroDivisionError
        return 100.0

    async with _running(work) as queue:
        queue.add("a")
        await asyncio.sleep(105)

    assert starts == [0, 1, 3, 103, 104]
    caplog.clear()


@in_virtual_time
async def test_a_key_that_is_woken_while_it_crashes_is_tried_again_at_once(caplog: pytest.LogCaptureFixture) -> None:
    began, starts = _now(), list[float]()

    async def work(key: str) -> float | None:
        starts.append(round(_now() - began))
        await asyncio.sleep(10)
        if len(starts) == 1:
            raise ZeroDivisionError
        return None

    async with _running(work) as queue:
        queue.add("a")
        await asyncio.sleep(5)
        queue.add("a")
        await asyncio.sleep(50)

    assert starts == [0, 10]
    caplog.clear()


@in_virtual_time
async def test_depth_and_age_tell_of_keys_that_are_due_and_not_taken() -> None:
    log = Log(takes=10)
    queue: WorkQueue[str] = WorkQueue()  # nobody hands out keys yet
    queue.add("a")
    queue.add("b", 5)
    queue.add("c", 500)
    assert (queue.depth, queue.oldest_overdue, queue.running) == (1, 0, 0)
    await asyncio.sleep(20)

    assert (queue.depth, queue.oldest_overdue) == (2, 20)
    task = asyncio.create_task(queue.run(log))
    await asyncio.sleep(1)
    assert (queue.depth, queue.oldest_overdue, queue.running) == (0, 0, 2)
    assert queue.running_for() == {"a": 1, "b": 1}
    await queue.stop(60)
    assert queue.running_for() == {}
    await task


@in_virtual_time
async def test_stopping_waits_for_work_under_way_and_starts_nothing_more() -> None:
    log = Log(takes=10)
    async with _running(log) as queue:
        queue.add("a")
        queue.add("later", 3)
        await asyncio.sleep(1)
        stopped = _now()
        await queue.stop(60)

        assert _now() - stopped == 9
        assert queue.running == 0
        await asyncio.sleep(100)
    assert log.starts == [(0, "a")]


@in_virtual_time
async def test_stopping_cancels_work_that_takes_longer_than_the_grace() -> None:
    ended = list[str]()

    async def work(key: str) -> float | None:
        try:
            await asyncio.sleep(1000)
        finally:
            ended.append(key)
        return None

    async with _running(work) as queue:
        queue.add("a")
        await asyncio.sleep(1)
        before = _now()
        await queue.stop(15)

        assert _now() - before == 15
        assert ended == ["a"]
        assert queue.running == 0


@in_virtual_time
async def test_stopping_ends_in_spite_of_work_that_does_not_let_itself_be_cancelled() -> None:
    """A write waits for its answer come what may: what it waits for is cut, and if that does not help, it is left."""
    release, cut = asyncio.Event(), []

    async def work(key: str) -> float | None:
        while not release.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await release.wait()
        return None

    async with _running(work) as queue:
        queue.add("a")
        await asyncio.sleep(1)
        stopped = _now()
        await queue.stop(15, give_up=lambda: cut.append(_now() - stopped))
        assert cut == [15]
        assert 15 < _now() - stopped < 20
        release.set()


@in_virtual_time
async def test_stopping_an_idle_queue_takes_no_time() -> None:
    queue: WorkQueue[str] = WorkQueue()
    task = asyncio.create_task(queue.run(Log()))
    await asyncio.sleep(0)
    before = _now()
    await queue.stop(60)
    await task

    assert _now() == before


@in_virtual_time
async def test_a_fleet_that_is_due_as_a_whole_lets_others_in_between() -> None:
    """A stand-in for the answer to a probe: a callback that has to wait for every key that begins before it."""
    began_before_the_answer: list[int] = []
    log = Log()
    async with _running(log) as queue:
        for number in range(1000):
            queue.add(f"key {number}")
        while len(log.starts) < 1000:
            before = len(log.starts)
            await asyncio.sleep(0)
            began_before_the_answer.append(len(log.starts) - before)

    assert max(began_before_the_answer) <= 40
    assert len(log.starts) == 1000


_STEPS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from([0.0, 1.0, 5.0]), st.floats(0, 6)),
    max_size=25,
)


@hypothesis_settings(max_examples=40)
@example(steps=[("a", 1.0, 1 - 1e-10), ("b", 5.0, 0.0)], takes=0.0, again=None)  # due in no time
@given(_STEPS, st.sampled_from([0.0, 2.0]), st.sampled_from([None, 0.0, 3.0]))
def test_whatever_happens_no_key_is_at_work_twice_and_none_that_was_woken_is_missed(
    steps: list[tuple[str, float, float]], takes: float, again: float | None
) -> None:
    @in_virtual_time
    async def play() -> None:
        log = Log(takes=max(takes, 0.5), again=again)
        async with _running(log) as queue:
            for key, delay, pause in steps:
                queue.add(key, delay)
                await asyncio.sleep(pause)
            began = len(log.starts)
            for key in "abc":
                queue.add(key)
            await asyncio.sleep(10)
            assert {key for _, key in log.starts[began:]} == set("abc")

    with contextlib.suppress(asyncio.CancelledError):
        play()


@in_virtual_time
async def test_while_it_goes_slow_few_keys_begin_and_then_all() -> None:
    log = Log()
    async with _running(log) as queue:
        queue.go_slow(2.0)
        for number in range(1000):
            queue.add(f"key-{number}")
        await asyncio.sleep(1.95)
        assert 90 <= len(log.starts) <= 110, "fifty a second"
        await asyncio.sleep(0.5)
        assert len(log.starts) == 1000


@in_virtual_time
async def test_a_key_that_comes_while_it_goes_slow_does_not_wait_where_none_is_before_it() -> None:
    log = Log()
    async with _running(log) as queue:
        queue.go_slow(60.0)
        await asyncio.sleep(1.0)
        queue.add("key")
        await asyncio.sleep(0.2)
        assert [at for at, _ in log.starts] == [1.0]
