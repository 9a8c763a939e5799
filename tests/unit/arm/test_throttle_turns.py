"""What the throttle remembers: who has had a turn, what is expected, who takes turns, and what the pace makes good."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.callers import caller_of, scope_of
from tests.unit.strategies import SLOW
from tests.unit.virtual_time import in_virtual_time
from vault_autoupdate.arm.throttle import CallKind, Throttle
from vault_autoupdate.arm.turns import TURN, Turns
from vault_autoupdate.model.limits import Limit

READ, WRITE = CallKind.READ, CallKind.WRITE
ASR_WRITES = Limit(200, 60)


class _Story:
    """Calls that note the order in which they are let through, on a throttle that lets one through each second."""

    def __init__(self, *limits: Limit) -> None:
        self.throttle = Throttle({WRITE: limits or [Limit(1, 1)]})
        self.order: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def one(self, key: str, scope: str = "s") -> None:
        async with self.throttle.call(caller_of(key, scope), WRITE):
            self.order.append(key)

    async def come(self, *keys: str) -> None:
        """Calls of these keys come, one after the other."""
        for key in keys:
            self.tasks.append(asyncio.create_task(self.one(key)))
            await asyncio.sleep(0)

    async def done(self) -> list[str]:
        """Wait for all; returns the order of those that were let through since the last time."""
        await asyncio.gather(*self.tasks)
        order, self.order = self.order, []
        return order


async def _after_turns(*keys: str) -> _Story:
    """Each of ``keys`` has had one turn of what it expected, call by call, and one call of another has just left."""
    story = _Story()
    for key in keys:
        story.throttle.expect_calls(caller_of(key), WRITE, 5 * TURN)
        for _ in range(TURN):
            await story.one(key)
    await story.one("last")
    story.order.clear()
    return story


@in_virtual_time
async def test_who_has_had_a_turn_of_what_it_expected_comes_behind_a_newcomer() -> None:
    story = await _after_turns("large")
    await story.come("large", "new")

    assert await story.done() == ["new", "large"]


@in_virtual_time
async def test_those_who_have_had_a_turn_are_served_as_they_come() -> None:
    story = await _after_turns("a", "b")
    await story.come("b", "a")

    assert await story.done() == ["b", "a"]


@in_virtual_time
async def test_who_expects_nothing_more_and_has_nothing_queued_is_a_newcomer_next_time() -> None:
    story = await _after_turns("a", "b")
    story.throttle.expect_calls(caller_of("b"), WRITE, 0)
    await story.come("a", "b")

    assert await story.done() == ["b", "a"]


@in_virtual_time
async def test_who_expects_nothing_is_a_newcomer_once_its_queue_is_empty() -> None:
    story = await _after_turns("a")
    await story.come(*["b"] * (TURN + 1))
    await story.done()
    await story.one("last")
    story.order.clear()
    await story.come("a", "b")

    assert await story.done() == ["b", "a"]


@in_virtual_time
async def test_a_call_of_one_that_has_had_a_turn_can_be_cancelled_too() -> None:
    story = await _after_turns("a")
    await story.come("a", "a")
    story.tasks.pop().cancel()
    await asyncio.sleep(0)

    assert [state.waiting for state in story.throttle.states()] == [1]
    assert await story.done() == ["a"]


@in_virtual_time
async def test_a_call_that_is_cancelled_in_the_instant_of_its_turn_leaves_those_behind_it_in_the_queue() -> None:
    now = 0.0
    throttle = Throttle({WRITE: [Limit(1, 10)]}, clock=lambda: now)

    async def call() -> None:
        async with throttle.call(caller_of("k"), WRITE):
            return

    await call()
    first, second, third = (asyncio.create_task(call()) for _ in range(3))
    await asyncio.sleep(0)
    now = 11.0
    first.cancel()
    throttle.refused(scope_of("s"), WRITE, 0.0)  # the lane looks again, before the cancelled call has noticed
    await second

    assert first.cancelled()
    assert [state.waiting for state in throttle.states()] == [1]
    third.cancel()
    await asyncio.gather(third, return_exceptions=True)


# What is expected.


def _calls_to_come(turns: Turns[Any]) -> int:
    """What `backlog` is to count, from what it is made of."""
    calls = 0
    for namespace in turns._namespaces.values():
        queues = (*namespace._fresh.items(), *namespace._queues.items())
        calls += sum(namespace.expected.values())
        calls += sum(len(queue) for key, queue in queues if key not in namespace.expected)
    return calls


def _expected(turns: Turns[Any], key: str) -> int | None:
    namespace = turns._namespaces.get("")
    return namespace.expected.get(key) if namespace else None


@SLOW
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("come"), st.sampled_from("abc"), st.integers(1, 4)),
            st.tuples(st.just("expect"), st.sampled_from("abc"), st.integers(0, 6)),
            st.tuples(st.just("cancel"), st.just(""), st.integers(0, 8)),
            st.tuples(st.just("wait"), st.just(""), st.integers(1, 4)),
        ),
        max_size=25,
    )
)
def test_the_calls_to_come_are_those_expected_and_those_queued_by_others_after_each_step(
    steps: list[tuple[str, str, int]],
) -> None:
    @in_virtual_time
    async def play() -> None:
        story = _Story()
        turns = story.throttle._lane(scope_of("s"), WRITE).turns
        for step, key, number in steps:
            match step:
                case "come":
                    await story.come(*[key] * number)
                case "expect":
                    story.throttle.expect_calls(caller_of(key), WRITE, number)
                    assert _expected(turns, key) == (number or None)
                case "cancel" if number < len(story.tasks):
                    story.tasks[number].cancel()
                    await asyncio.sleep(0)
                case "wait":
                    await asyncio.sleep(number)
            assert turns.backlog == _calls_to_come(turns)
            assert all((_expected(turns, each) or 0) >= 0 for each in "abc")
        await asyncio.gather(*story.tasks, return_exceptions=True)
        for key in "abc":
            story.throttle.expect_calls(caller_of(key), WRITE, 0)
        assert turns.backlog == 0
        assert turns._namespaces == {}, "nobody who has gone is remembered"

    play()


@in_virtual_time
async def test_each_call_that_leaves_is_one_less_to_come() -> None:
    story = _Story()
    story.throttle.expect_calls(caller_of("a"), WRITE, 3)
    turns, left = story.throttle._lane(scope_of("s"), WRITE).turns, []
    for _ in range(5):
        left.append(turns.backlog)
        await story.one("a")

    assert left == [3, 2, 1, 0, 0]


# Who waits for the subscription's limits.


@in_virtual_time
async def test_regions_that_wait_for_the_limit_of_their_subscription_take_turns() -> None:
    story = _Story(Limit(1000, 1), Limit(1, 10))
    await story.one("first", "sub/west")
    story.order.clear()
    await asyncio.gather(*(story.one(region, f"sub/{region}") for region in ("west", "east") for _ in range(6)))

    pairs = [set(story.order[place : place + 2]) for place in range(0, 12, 2)]
    assert pairs == [{"west", "east"}] * 6


@in_virtual_time
async def test_vaults_whose_region_is_not_known_yet_come_after_all_others() -> None:
    story = _Story(Limit(1000, 1), Limit(1, 10))
    await story.one("first", "sub/west")
    story.order.clear()
    scopes = {"unknown": "sub", "west": "sub/west", "east": "sub/east"}
    await asyncio.gather(*(story.one(key, scope) for key, scope in scopes.items() for _ in range(3)))

    assert story.order[-3:] == ["unknown"] * 3


@in_virtual_time
async def test_a_pause_of_a_whole_window_can_be_that_of_the_limit_with_this_window() -> None:
    throttle = Throttle({WRITE: [Limit(10, 60), Limit(5, 10)]})
    throttle.refused(scope_of("sub/west"), WRITE, 10.0)

    assert throttle.paused_for(scope_of("sub/east"), WRITE) == 10.0, "the subscription's, which is the shorter one"


# How often calls may come that come again and again.


@in_virtual_time
async def test_when_only_the_reserve_is_left_routine_calls_may_use_a_quarter_of_the_limit() -> None:
    throttle = Throttle({READ: [Limit(8, 60)]})
    throttle.spent(caller_of("k"), READ, [0.0] * 8)

    assert throttle.poll_interval(caller_of("vault"), READ, 1) == pytest.approx(60 / 2)


@in_virtual_time
async def test_routine_calls_use_no_more_than_half_of_any_further_limit() -> None:
    throttle = Throttle({READ: [Limit(100_000, 3600), Limit(10, 100)]})

    assert throttle.poll_interval(caller_of("vault"), READ, 1) == pytest.approx(100 / 5)


@in_virtual_time
async def test_there_is_plenty_while_nobody_waits_and_more_than_half_of_each_limit_is_left() -> None:
    throttle = Throttle({READ: [Limit(8, 60), Limit(4, 10)]})
    plenty = []
    for _ in range(3):
        plenty.append(throttle.has_plenty(scope_of("sub/west"), READ))
        async with throttle.call(caller_of("k", "sub/west"), READ):
            pass

    assert plenty == [True, True, False]
    assert not throttle.has_plenty(scope_of("sub/east"), READ), "the second limit is the subscription's"
    await asyncio.sleep(61)
    assert throttle.has_plenty(scope_of("sub/west"), READ)
    throttle.refused(scope_of("sub/west"), READ, 30.0)
    assert not throttle.has_plenty(scope_of("sub/west"), READ), "the server wants silence"
    assert throttle.has_plenty(scope_of("other/west"), READ)


@in_virtual_time
async def test_there_is_no_plenty_for_calls_that_can_wait_while_others_do() -> None:
    throttle = Throttle({READ: [Limit(8, 60)]})
    throttle.refused(scope_of("s"), READ, 1.0)

    async def call() -> None:
        async with throttle.call(caller_of("k"), READ):
            return

    throttle.expect_calls(caller_of("k"), READ, 10_000)
    waiting = [asyncio.create_task(call()) for _ in range(3)]
    await asyncio.sleep(1.001)
    assert [state.waiting for state in throttle.states()] != [0]
    assert not throttle.has_plenty(scope_of("s"), READ)
    await asyncio.gather(*waiting)


# What late timers lose.


@pytest.mark.parametrize(("refused", "at_once"), [(False, range(5, 7)), (True, range(1, 2))])
def test_the_pace_makes_a_few_calls_good_that_a_late_timer_lost_but_not_where_somebody_else_uses_the_limit(
    refused: bool, at_once: range
) -> None:
    @in_virtual_time
    async def play() -> None:
        now, left = 0.0, 0
        throttle = Throttle({WRITE: [ASR_WRITES]}, clock=lambda: now)
        throttle.expect_calls(caller_of("k"), WRITE, 1000)
        go_on = asyncio.Event()

        async def call() -> None:
            nonlocal left
            async with throttle.call(caller_of("k"), WRITE):
                left += 1
                await go_on.wait()

        tasks = [asyncio.create_task(call()) for _ in range(50)]
        for _ in range(3):
            await asyncio.sleep(0)
        if refused:
            throttle.refused(scope_of("s"), WRITE, 0.0)
        before, now = left, 10.0  # the event loop was busy with other things, and then an answer comes
        go_on.set()
        await tasks[0]
        for _ in range(3):
            await asyncio.sleep(0)
        assert left - before in at_once
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    play()
