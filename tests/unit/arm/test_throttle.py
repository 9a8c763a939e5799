"""The throttle: the budget's promise kept for many callers at once, fairly, and whatever is cancelled."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.unit.arm.test_budget import Server
from tests.unit.callers import caller_of, scope_of
from tests.unit.virtual_time import in_virtual_time
from vault_autoupdate.arm.throttle import CallKind, Throttle, ThrottleState
from vault_autoupdate.arm.turns import TURN
from vault_autoupdate.model.limits import Limit

WRITE, READ = CallKind.WRITE, CallKind.READ
ASR_WRITES = Limit(200, 60)


MANY_READS = Limit(1000, 1)


def _throttle(*writes: Limit, reads: Limit = MANY_READS) -> Throttle:
    return Throttle({WRITE: writes, READ: [reads]})


def _now() -> float:
    return asyncio.get_running_loop().time()


def _state(throttle: Throttle, scope: str = "s", kind: CallKind = WRITE) -> ThrottleState:
    return next(state for state in throttle.states() if (state.scope, state.kind) == (scope_of(scope), kind))


async def _call(throttle: Throttle, key: str = "k", *, takes: float = 0.0, scope: str = "s") -> float:
    """Make one call; returns when it left."""
    async with throttle.call(caller_of(key, scope), WRITE):
        left = _now()
        await asyncio.sleep(takes)
        return left


@dataclass(frozen=True)
class Caller:
    """One call of a schedule, and what happens to it."""

    key: str
    wanted_at: float
    outward: float
    back: float
    cancelled_after: float | None = None


_DELAYS = st.one_of(st.just(0.0), st.floats(0, 3), st.sampled_from([9.99, 60.0]))
_CALLERS = st.builds(Caller, st.sampled_from("abc"), st.floats(0, 30), _DELAYS, _DELAYS)
_CANCELLED = st.builds(
    Caller,
    st.sampled_from("abc"),
    st.sampled_from([0.0, 1.0, 10.001]),
    st.just(0.0),
    st.floats(0, 3),
    st.one_of(st.none(), st.sampled_from([0.0, 0.5, 10.0, 10.001, 10.002, 20.002])),
)
_LIMITS = st.lists(st.builds(Limit, st.integers(1, 5), st.sampled_from([1.0, 10.0, 60.0])), min_size=1, max_size=2)


async def _act(throttle: Throttle, caller: Caller, server: Server, *, scope: str = "s") -> None:
    await asyncio.sleep(caller.wanted_at)
    async with throttle.call(caller_of(caller.key, scope), WRITE):
        server.left.append(_now())
        await asyncio.sleep(caller.outward)
        server.seen.append(_now())
        await asyncio.sleep(caller.back)


async def _cancel(task: asyncio.Task[None], after: float) -> None:
    await asyncio.sleep(after)
    task.cancel()


async def _play(throttle: Throttle, callers: list[Caller]) -> Server:
    server = Server([], [])
    async with asyncio.TaskGroup() as group:
        for caller in callers:
            task = group.create_task(_act(throttle, caller, server))
            if caller.cancelled_after is not None:
                group.create_task(_cancel(task, caller.cancelled_after))
    return server


@hypothesis_settings(max_examples=40)
@given(_LIMITS, st.lists(_CALLERS, max_size=25), st.integers(0, 100))
@example([Limit(1, 10.0)], [Caller("a", 0, 9.99, 0), Caller("b", 0, 0, 0)], 0)
def test_the_server_never_counts_more_than_any_limit_however_many_call_at_once(
    limits: list[Limit], callers: list[Caller], expected: int
) -> None:
    @in_virtual_time
    async def play() -> None:
        throttle = _throttle(*limits)
        throttle.expect_calls(caller_of("a"), WRITE, expected)
        server = await _play(throttle, callers)

        assert len(server.seen) == len(callers)
        for limit in limits:
            assert server.most_in_any(limit.window) <= limit.count

    play()


_LANES = st.sampled_from(["sub/west", "sub/east", "sub", "other/west"])


@hypothesis_settings(max_examples=40)
@given(_LIMITS, st.lists(st.tuples(_LANES, _CALLERS), max_size=25))
def test_the_first_limit_holds_for_each_region_and_the_others_for_a_subscription_with_all_its_regions(
    limits: list[Limit], callers: list[tuple[str, Caller]]
) -> None:
    @in_virtual_time
    async def play() -> None:
        throttle, regions = _throttle(*limits), defaultdict[str, Server](lambda: Server([], []))
        async with asyncio.TaskGroup() as group:
            for scope, caller in callers:
                group.create_task(_act(throttle, caller, regions[scope], scope=scope))
        seen = {scope: server.seen for scope, server in regions.items()}

        assert sum(map(len, seen.values())) == len(callers)
        for server in regions.values():
            assert server.most_in_any(limits[0].window) <= limits[0].count
        for limit in limits[1:]:
            for subscription in ("sub", "other"):
                whole = [at for scope, times in seen.items() if scope.startswith(subscription) for at in times]
                assert Server([], whole).most_in_any(limit.window) <= limit.count

    play()


@hypothesis_settings(max_examples=40)
@given(_LIMITS, st.lists(_CANCELLED, max_size=20))
def test_whatever_is_cancelled_at_whatever_instant_nothing_leaks_and_the_limit_holds(
    limits: list[Limit], callers: list[Caller]
) -> None:
    @in_virtual_time
    async def play() -> None:
        throttle = _throttle(*limits)
        server = await _play(throttle, callers)
        for limit in limits:
            assert server.most_in_any(limit.window) <= limit.count
        if not throttle.states():
            return
        assert _state(throttle).waiting == 0
        assert throttle._lane(scope_of("s"), WRITE).turns.backlog == 0
        await asyncio.sleep(max(limit.window for limit in limits) + 1)
        for state in throttle.states():  # none where the lane is forgotten by now
            assert state.remaining == min(limit.count for limit in limits)
        before = _now()
        assert await _call(throttle) == before

    play()


@in_virtual_time
async def test_a_thousand_writes_take_hardly_longer_than_the_limit_requires() -> None:
    throttle, began = _throttle(ASR_WRITES), _now()
    throttle.expect_calls(caller_of("k"), WRITE, 1000)

    left = await asyncio.gather(*(_call(throttle, takes=0.2) for _ in range(1000)))

    assert 240 <= max(left) - began <= 240 * 1.08 + 5
    assert Server([], list(left)).most_in_any(60) <= 200


@in_virtual_time
async def test_calls_that_fit_into_the_limit_leave_at_once() -> None:
    throttle, began = _throttle(ASR_WRITES), _now()
    throttle.expect_calls(caller_of("k"), WRITE, 200)

    assert set(await asyncio.gather(*(_call(throttle) for _ in range(200)))) == {began}


@pytest.mark.parametrize("expected", [True, False])
def test_a_key_with_five_calls_is_not_behind_one_with_five_thousand(expected: bool) -> None:
    @in_virtual_time
    async def play() -> None:
        throttle = _throttle(ASR_WRITES)
        if expected:
            throttle.expect_calls(caller_of("large"), WRITE, 5000)
        large = [asyncio.create_task(_call(throttle, "large")) for _ in range(5000)]
        await asyncio.sleep(90)
        asked = _now()
        small = await asyncio.gather(*(_call(throttle, "small") for _ in range(5)))

        assert max(small) - asked <= 5
        for task in large:
            task.cancel()
        await asyncio.gather(*large, return_exceptions=True)

    play()


def _turns(order: list[str]) -> list[tuple[str, int]]:
    """The keys in the order in which they were served, with the length of each turn."""
    return [(key, len(list(calls))) for key, calls in itertools.groupby(order)]


async def _queue_up(throttle: Throttle, order: list[str], **calls: int) -> list[asyncio.Task[None]]:
    async def call(key: str) -> None:
        async with throttle.call(caller_of(key), WRITE):
            order.append(key)

    for key, number in calls.items():
        throttle.expect_calls(caller_of(key), WRITE, number)
    tasks = [asyncio.create_task(call(key)) for key, number in calls.items() for _ in range(number)]
    await asyncio.sleep(0)
    return tasks


@in_virtual_time
async def test_keys_take_turns_of_a_bounded_length() -> None:
    throttle, order = _throttle(Limit(1, 10)), list[str]()
    await _call(throttle, "before")

    await asyncio.gather(*await _queue_up(throttle, order, a=2 * TURN + 5, b=TURN, c=TURN + 1))

    assert _turns(order) == [("a", TURN), ("b", TURN), ("c", TURN), ("a", TURN), ("c", 1), ("a", 5)]


@in_virtual_time
async def test_who_comes_anew_has_a_turn_before_those_who_have_had_one() -> None:
    throttle, order = _throttle(Limit(1, 10)), list[str]()
    await _call(throttle, "before")
    earlier = await _queue_up(throttle, order, a=3 * TURN, b=3 * TURN)
    await asyncio.sleep(10 * 2.5 * TURN)
    served = len(order)
    later = await _queue_up(throttle, order, c=TURN + 5)
    await asyncio.gather(*earlier, *later)

    assert _turns(order[served:])[0] == ("c", TURN)
    assert order[-1] != "c", "its second turn comes in order"


@in_virtual_time
async def test_each_key_keeps_its_own_order() -> None:
    throttle, order = _throttle(Limit(1, 10)), list[int]()

    async def call(number: int) -> None:
        async with throttle.call(caller_of("k"), WRITE):
            order.append(number)

    await asyncio.gather(*(call(number) for number in range(3 * TURN)))

    assert order == list(range(3 * TURN))


@in_virtual_time
async def test_a_waiting_call_that_is_cancelled_makes_room_for_the_next() -> None:
    throttle, began = _throttle(Limit(1, 10)), _now()
    await _call(throttle)
    first, second = (asyncio.create_task(_call(throttle)) for _ in range(2))
    await asyncio.sleep(1)
    assert _state(throttle).waiting == 2

    first.cancel()

    assert await second - began == pytest.approx(10, abs=0.01)
    assert first.cancelled()


@in_virtual_time
async def test_a_call_cancelled_in_the_instant_of_being_let_through_gives_its_place_back() -> None:
    now = 0.0
    throttle = Throttle({WRITE: [Limit(1, 10)]}, clock=lambda: now)
    await _call(throttle)
    waiting = asyncio.create_task(_call(throttle))
    await asyncio.sleep(0)
    now = 11.0
    throttle.refused(scope_of("s"), WRITE, 0.0)  # the lane looks again: the waiting call is let through
    assert _state(throttle).waiting == 0

    waiting.cancel()  # before it has noticed
    await asyncio.gather(waiting, return_exceptions=True)

    assert waiting.cancelled()
    now = 22.0
    assert _state(throttle).remaining == 1


@in_virtual_time
async def test_a_call_that_fails_is_counted_like_one_that_succeeds() -> None:
    throttle = _throttle(Limit(1, 10))
    with pytest.raises(ZeroDivisionError):
        async with throttle.call(caller_of("k"), WRITE):
            raise ZeroDivisionError

    assert _state(throttle).remaining == 0
    began = _now()
    assert await _call(throttle) - began == pytest.approx(10, abs=0.01)


@in_virtual_time
async def test_a_429_pauses_the_whole_scope_for_as_long_as_the_server_says() -> None:
    throttle, began = _throttle(ASR_WRITES), _now()
    async with throttle.call(caller_of("a"), WRITE):
        throttle.refused(scope_of("s"), WRITE, 25.0)

    left = await asyncio.gather(_call(throttle, "a"), _call(throttle, "b"))

    assert [at - began for at in left] == [pytest.approx(25, abs=0.01)] * 2
    assert throttle.paused_for(scope_of("s"), WRITE) == 0


@pytest.mark.parametrize(("limit", "pause"), [(Limit(200, 60), 10), (Limit(10_000, 3600), 60), (Limit(1, 0.6), 0.1)])
def test_a_429_without_retry_after_pauses_for_a_sixth_of_the_window_at_most_a_minute(
    limit: Limit, pause: float
) -> None:
    @in_virtual_time
    async def play() -> None:
        throttle = _throttle(limit)
        throttle.refused(scope_of("s"), WRITE, None)

        assert throttle.paused_for(scope_of("s"), WRITE) == pytest.approx(pause)
        assert _state(throttle).paused_for == pytest.approx(pause)
        assert _state(throttle).share == pytest.approx(0.7)

    play()


@in_virtual_time
async def test_scopes_and_kinds_do_not_know_of_each_other() -> None:
    throttle, began = _throttle(Limit(1, 10), reads=Limit(1, 5)), _now()
    await _call(throttle, scope="one")
    throttle.refused(scope_of("one"), WRITE, 100.0)

    assert await _call(throttle, scope="other") == began
    async with throttle.call(caller_of("k", "one"), READ):
        assert _now() == began
    assert [(s.scope, s.kind, s.remaining, s.paused_for) for s in throttle.states()] == [
        (scope_of("one"), WRITE, 0, 100),
        (scope_of("other"), WRITE, 0, 0),
        (scope_of("one"), READ, 0, 0),
    ]


@in_virtual_time
async def test_what_a_key_expects_replaces_what_it_said_before_and_nothing_is_left_of_zero() -> None:
    throttle, began = _throttle(Limit(1, 10)), _now()
    throttle.expect_calls(caller_of("k"), WRITE, 10_000)
    throttle.expect_calls(caller_of("k"), WRITE, 0)

    assert await _call(throttle) == began
    assert await _call(throttle) - began == pytest.approx(10, abs=0.01)


@in_virtual_time
async def test_calls_of_an_earlier_process_hold_the_first_ones_back() -> None:
    throttle, began = _throttle(Limit(2, 60)), _now()
    throttle.spent(caller_of("k"), WRITE, [50.0, 10.0])

    left = await asyncio.gather(_call(throttle), _call(throttle))

    assert [at - began for at in left] == [pytest.approx(10, abs=0.01), pytest.approx(50, abs=0.01)]


@in_virtual_time
async def test_waiting_costs_no_polling() -> None:
    throttle = _throttle(Limit(1, 1000))
    await _call(throttle)
    waiting = asyncio.create_task(_call(throttle))
    await asyncio.sleep(0)
    scheduled = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]  # the loop's own list of timers

    assert len([timer for timer in scheduled if not timer.cancelled()]) == 1
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


# What an earlier process may have left in the server's windows.


@in_virtual_time
async def test_nothing_leaves_before_all_that_an_earlier_process_has_called_is_told() -> None:
    throttle, began = _throttle(Limit(10, 60)), _now()
    for key in ("told", "told later"):
        throttle.await_spent(caller_of(key), WRITE)
    call = asyncio.create_task(_call(throttle, "another"))
    throttle.spent(caller_of("told"), WRITE, [5.0] * 4)
    await asyncio.sleep(3)
    assert not call.done()

    throttle.spent(caller_of("told later"), WRITE, [20.0] * 5)

    assert await call - began == 3
    assert await _call(throttle) - began == pytest.approx(43, abs=0.01), "with that one, ten had been used"


@in_virtual_time
async def test_what_is_never_told_is_waited_for_as_long_as_it_can_matter() -> None:
    throttle, began = _throttle(Limit(10, 60)), _now()
    throttle.await_spent(caller_of("silent"), WRITE)
    await asyncio.sleep(20)
    throttle.await_spent(caller_of("silent too"), WRITE)

    assert await _call(throttle, scope="other") - began == 20, "another scope is not concerned"
    assert await _call(throttle) - began == 80
    assert await _call(throttle) - began == 80


def test_the_longest_window_is_how_long_a_call_may_count() -> None:
    assert _throttle(Limit(200, 60), Limit(1200, 3600)).longest_window(WRITE) == 3600
