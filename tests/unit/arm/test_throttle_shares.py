"""Shares of a budget: what one namespace asks for, however much, does not keep another one waiting."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.arm.test_budget import Server
from tests.unit.callers import caller_of, scope_of
from tests.unit.strategies import SLOW
from tests.unit.virtual_time import in_virtual_time
from vault_autoupdate.arm.throttle import CallKind, Throttle
from vault_autoupdate.arm.turns import TURN
from vault_autoupdate.model.limits import Limit

READ, WRITE = CallKind.READ, CallKind.WRITE
ASR_WRITES = Limit(200, 60)
ASR_READS, ARM_READS = Limit(10_000, 3600), Limit(250, 10)


class _Calls:
    """Calls of namespaces that note when each was let through, and when the server saw it."""

    def __init__(self, throttle: Throttle, kind: CallKind = WRITE, *, latency: float = 0.0) -> None:
        self.throttle = throttle
        self.kind = kind
        self.latency = latency
        self.left: dict[str, list[float]] = defaultdict(list)
        self.order: list[str] = []
        self.server = Server([], [])
        self.tasks: list[asyncio.Task[None]] = []

    async def one(self, namespace: str, key: str = "vault", scope: str = "sub/west") -> None:
        async with self.throttle.call(caller_of(key, scope, namespace), self.kind):
            self.left[namespace].append(now())
            self.order.append(namespace)
            self.server.seen.append(now())
            await asyncio.sleep(self.latency)

    def begin(self, namespace: str, calls: int, *, vaults: int = 1, scope: str = "sub/west") -> None:
        """Ask for ``calls`` at once, spread over ``vaults``."""
        for number in range(calls):
            work = self.one(namespace, f"{namespace}-{number % vaults}", scope)
            self.tasks.append(asyncio.create_task(work))

    async def waits_of(self, namespace: str, calls: int, *, scope: str = "sub/west") -> list[float]:
        """Ask for ``calls`` at once and wait for them; returns how long each waited, the first one first."""
        asked, before = now(), len(self.left[namespace])
        await asyncio.gather(*(self.one(namespace, scope=scope) for _ in range(calls)))
        return [at - asked for at in self.left[namespace][before:]]

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


def now() -> float:
    return asyncio.get_running_loop().time()


def _writes(*limits: Limit) -> Throttle:
    return Throttle({WRITE: limits or [ASR_WRITES], READ: [ASR_READS, ARM_READS]})


# Turns.


@in_virtual_time
async def test_one_vault_of_a_namespace_is_not_behind_the_fifteen_hundred_of_another() -> None:
    calls = _Calls(_writes())
    calls.begin("many", 3_000, vaults=1_500)
    await asyncio.sleep(90)

    assert max(await calls.waits_of("newcomer", 5)) <= 2.0
    await calls.end()


@in_virtual_time
async def test_namespaces_that_have_had_as_much_take_turns_of_a_bounded_length_whatever_they_have_waiting() -> None:
    calls = _Calls(_writes(Limit(1, 1)))
    await calls.one("before")
    calls.begin("a", 300, vaults=100)
    calls.begin("b", 100)
    await asyncio.gather(*calls.tasks)

    turns = [(name, len(list(group))) for name, group in itertools.groupby(calls.order[1:201])]
    assert turns == [("a", TURN), ("b", TURN)] * 5


@in_virtual_time
async def test_who_has_had_least_of_a_window_goes_first() -> None:
    calls = _Calls(_writes(Limit(100, 60)))
    calls.begin("large", 60)
    await asyncio.sleep(30)
    calls.begin("large", 300)
    await asyncio.sleep(1)
    calls.begin("small", 30)
    await asyncio.sleep(120)

    first = calls.order.index("small")
    assert calls.order[first : first + 30] == ["small"] * 30
    await calls.end()


@in_virtual_time
async def test_a_namespace_that_waits_is_not_passed_over_for_what_it_had_once() -> None:
    """Two that have little each take all there is: the third has had more, but that was long ago."""
    calls = _Calls(_writes(Limit(10, 10)))
    calls.begin("past", 10)
    await asyncio.sleep(1)
    for name in ("past", "a", "b"):
        calls.begin(name, 100)
    await asyncio.sleep(70)

    assert len(calls.left["past"]) >= 10 + TURN
    await calls.end()


@in_virtual_time
async def test_a_vault_that_is_not_located_yet_is_not_kept_waiting_by_another_namespaces_located_ones() -> None:
    calls = _Calls(_writes(), READ)
    calls.begin("many", 3_000, vaults=500)
    await asyncio.sleep(21)

    assert max(await calls.waits_of("newcomer", 3, scope="sub")) <= 10.1
    await calls.end()


# What is kept back.


@pytest.mark.parametrize("earlier", [0, 9])
def test_ten_thousand_reads_of_one_namespace_leave_another_one_its_look_at_any_time(earlier: int) -> None:
    @in_virtual_time
    async def play() -> None:
        calls = _Calls(_writes(), READ, latency=0.1)
        for number in range(earlier):
            calls.begin(f"other-{number}", TURN)
        calls.begin("many", 11_000, vaults=1_500)
        waits = []
        for number in range(8):
            await asyncio.sleep(490)
            waits += await calls.waits_of(f"newcomer-{number}", 3)

        assert max(waits) <= 10.2, "the bucket of ten seconds, and nothing else"
        assert calls.server.most_in_any(3600) <= 10_000
        await calls.end()

    play()


@in_virtual_time
async def test_who_reads_on_for_hours_gets_the_whole_pace_of_the_limit() -> None:
    calls = _Calls(_writes(), READ, latency=0.1)
    calls.begin("alone", 21_000)
    began = now()
    await asyncio.gather(*calls.tasks)

    least = 2 * 3600 + 1_000 / 25
    assert max(calls.left["alone"]) - began <= least * 1.01
    assert calls.server.most_in_any(3600) <= 10_000
    assert calls.left["alone"][7_499] - began <= 600, "nothing is spaced of three quarters"


@in_virtual_time
async def test_a_namespace_alone_uses_all_of_a_minute_at_once() -> None:
    calls, began = _Calls(_writes()), now()
    calls.begin("alone", 200)
    await asyncio.gather(*calls.tasks)

    assert set(calls.left["alone"]) == {began}


@in_virtual_time
async def test_somebody_unknown_waits_for_the_end_of_a_minute_at_most() -> None:
    calls = _Calls(_writes(), latency=0.3)
    calls.begin("alone", 200)
    await asyncio.sleep(1)

    assert max(await calls.waits_of("newcomer", 5)) <= 60.5


@in_virtual_time
async def test_somebody_who_was_there_within_the_minute_finds_a_part_left() -> None:
    calls = _Calls(_writes(), latency=0.3)
    await calls.waits_of("little", 1)
    calls.begin("large", 200)
    await asyncio.sleep(30)

    assert await calls.waits_of("little", 10) == [0.0] * 10
    assert len(calls.left["large"]) == pytest.approx(150 + 30 / 1.2, abs=2)
    await calls.end()


@in_virtual_time
async def test_who_has_had_a_turn_of_what_is_kept_back_gets_the_rest_spaced_too() -> None:
    calls = _Calls(_writes())
    await calls.waits_of("other", 1)
    await calls.waits_of("third", 1)
    calls.begin("large", 190)
    await asyncio.sleep(1)
    waits = await calls.waits_of("other", 30)

    assert max(waits[:11]) <= 1.0, "a quarter of what is kept back, with the one of before"
    assert waits[-1] == pytest.approx(19 * 1.2, abs=1.3)
    await calls.end()


@in_virtual_time
async def test_namespaces_that_all_wait_keep_nothing_back_from_each_other() -> None:
    calls, began = _Calls(_writes()), now()
    calls.begin("a", 500)
    calls.begin("b", 500)
    await asyncio.gather(*calls.tasks)

    assert max(at for times in calls.left.values() for at in times) - began <= 240 * 1.07


@dataclass(frozen=True)
class Demand:
    """Calls that a namespace asks for at an instant."""

    namespace: str
    at: int
    calls: int
    vaults: int
    latency: float
    refused: float | None
    """The answer to the first of them is a 429 with this Retry-After."""
    expects: bool


_DEMANDS = st.lists(
    st.builds(
        Demand,
        st.sampled_from(["a", "b", "c"]),
        st.integers(0, 300),
        st.integers(1, 60),
        st.integers(1, 4),
        st.sampled_from([0.0, 0.2, 5.0]),
        st.sampled_from([None, None, None, 0.0, 3.0, 90.0]),
        st.booleans(),
    ),
    max_size=8,
)
_LIMITS = st.tuples(st.integers(1, 60), st.sampled_from([10.0, 60.0, 200.0])).map(lambda pair: Limit(*pair))
_FURTHER = st.lists(st.tuples(st.integers(2, 60), st.sampled_from([5.0, 90.0])).map(lambda p: Limit(*p)), max_size=1)


async def _demand(throttle: Throttle, demand: Demand, server: Server, *, refusals: bool) -> int:
    """Make the calls of a demand; returns how many were let through."""
    await asyncio.sleep(demand.at)
    loop, served = asyncio.get_running_loop(), 0

    async def one(number: int) -> None:
        nonlocal served
        caller = caller_of(f"{demand.namespace}-{number % demand.vaults}", "sub/west", demand.namespace)
        async with throttle.call(caller, WRITE):
            server.seen.append(loop.time())
            served += 1
            await asyncio.sleep(demand.latency)
            if refusals and demand.refused is not None and number == 0:
                throttle.refused(scope_of("sub/west"), WRITE, demand.refused)

    for number in range(demand.vaults if demand.expects else 0):
        caller = caller_of(f"{demand.namespace}-{number}", "sub/west", demand.namespace)
        throttle.expect_calls(caller, WRITE, demand.calls // demand.vaults)
    await asyncio.gather(*(one(number) for number in range(demand.calls)))
    for number in range(demand.vaults if demand.expects else 0):
        throttle.expect_calls(caller_of(f"{demand.namespace}-{number}", "sub/west", demand.namespace), WRITE, 0)
    return served


@SLOW
@given(_LIMITS, _FURTHER, _DEMANDS)
def test_whatever_namespaces_want_no_limit_is_broken_and_everybody_gets_it(
    limit: Limit, further: list[Limit], demands: list[Demand]
) -> None:
    @in_virtual_time
    async def play() -> None:
        throttle, server = _writes(limit, *further), Server([], [])
        served = await asyncio.gather(*(_demand(throttle, each, server, refusals=True) for each in demands))

        assert list(served) == [each.calls for each in demands]
        for each in (limit, *further):
            assert server.most_in_any(each.window) <= each.count
        await asyncio.sleep(1)
        assert not any(state.waiting for state in throttle.states())

    play()


@SLOW
@given(
    st.builds(Limit, st.integers(8, 80), st.sampled_from([61.0, 200.0, 3600.0])),
    st.lists(st.tuples(st.integers(0, 900), st.integers(1, 120), st.sampled_from([0.0, 0.2, 5.0])), max_size=4),
    st.integers(0, 1500),
    st.integers(1, TURN),
)
@example(Limit(40, 3600.0), [(0, 120, 0.0)], 100, 3)
@example(Limit(20, 3600.0), [(36, 52, 0.0), (36, 52, 0.0), (892, 57, 0.0)], 37, 11)
@example(Limit(16, 3600.0), [(294, 74, 0.0), (294, 89, 0.0), (287, 40, 0.0)], 295, 17)
@example(Limit(21, 3600.0), [(0, 1, 0.0), (0, 100, 0.0), (0, 120, 0.0)], 1, 20)
@example(Limit(31, 3600.0), [(72, 84, 0.0), (673, 107, 0.2), (391, 42, 0.2), (153, 120, 5.0)], 601, 12)
@example(Limit(26, 3600.0), [(900, 108, 0.2), (155, 81, 0.2), (384, 35, 0.2), (95, 116, 5.0)], 1057, 20)
def test_a_newcomer_waits_for_each_of_its_calls_at_most_for_one_spaced_call_of_a_namespace_that_has_all(
    limit: Limit, bursts: list[tuple[int, int, float]], comes_at: int, calls: int
) -> None:
    """The bound of the module `budget`: k + 1 steps of a window / quarter, a gap of the pace, and an answer's time.

    It holds up to an eighth of the limit. Who has had about a quarter has used up what is kept back, and waits on.
    """

    @in_virtual_time
    async def play() -> None:
        calls_of, slowest = _Calls(_writes(limit)), max((latency for *_, latency in bursts), default=0.0)

        async def burst(at: int, number: int, latency: float) -> None:
            await asyncio.sleep(at)
            calls_of.latency = latency
            calls_of.begin("large", number, vaults=3)

        tasks = [asyncio.create_task(burst(*each)) for each in bursts]
        await asyncio.sleep(comes_at)
        waits = await calls_of.waits_of("newcomer", calls)

        quarter, gap = limit.count // 4, limit.window / limit.count
        for place, wait in enumerate(waits[: limit.count // 8], start=1):
            assert wait <= (place + 1) * limit.window / quarter + gap + slowest + 0.01 * place
        for task in tasks:
            task.cancel()
        await calls_of.end()

    play()


@SLOW
@given(
    st.builds(Limit, st.integers(1, 60), st.sampled_from([10.0, 60.0])),
    _DEMANDS.map(lambda demands: [each for each in demands if each.refused is None]),
)
def test_one_namespace_alone_loses_nothing_of_the_pace(limit: Limit, demands: list[Demand]) -> None:
    """A call leaves as soon as the limit has room for it, but for the spread of what needs several windows anyway."""

    @in_virtual_time
    async def play() -> None:
        throttle, calls = _writes(limit), _Calls(_writes(limit))
        for each in demands:
            calls.begin("alone", each.calls, vaults=each.vaults)
        began = now()
        await asyncio.gather(*calls.tasks)

        total = sum(each.calls for each in demands)
        least = limit.window * (max(0, -(-total // limit.count) - 1))
        last = max(calls.server.seen, default=began) - began
        assert least <= last <= least * 1.07 + 0.002 * total
        assert throttle.states() == []

    play()


# Looks that come again and again.


@in_virtual_time
async def test_one_vault_need_not_look_as_seldom_as_the_many_of_another_namespace() -> None:
    throttle = _writes()
    few = caller_of("vault", namespace="few")
    alone = throttle.poll_interval(few, READ, 1)
    for number in range(1_000):
        many = throttle.poll_interval(caller_of(f"vault-{number}", namespace="many"), READ, 1)

    assert many == pytest.approx(1_001 * alone)
    assert throttle.poll_interval(few, READ, 1) == pytest.approx(2 * alone)


# What nobody uses any more.


@in_virtual_time
async def test_lanes_go_when_nobody_has_used_them_for_longer_than_their_longest_window() -> None:
    throttle = _writes()
    for number in range(300):
        for kind in CallKind:
            async with throttle.call(caller_of("vault", f"sub-{number}/west"), kind):
                pass
    assert len(throttle.states()) == 600
    await asyncio.sleep(120)
    assert {state.kind for state in throttle.states()} == {READ}
    await asyncio.sleep(3600)
    async with throttle.call(caller_of("vault", "sub-7/west"), READ):
        pass

    assert [(state.scope, state.remaining) for state in throttle.states()] == [(scope_of("sub-7/west"), 249)]
    assert throttle._families.keys() == throttle._shared.keys() == {("sub-7", READ)}


@pytest.mark.parametrize("use", ["waits", "is under way", "is expected", "comes again", "is refused"])
def test_a_lane_that_is_in_use_stays(use: str) -> None:
    @in_virtual_time
    async def play() -> None:
        throttle, caller, calls = _writes(Limit(1, 10)), caller_of("vault", "sub/west"), list[asyncio.Task[None]]()

        async def call() -> None:
            async with throttle.call(caller, WRITE):
                await asyncio.sleep(10_000)

        match use:
            case "waits":
                calls = [asyncio.create_task(call()) for _ in range(2)]
            case "is under way":
                calls = [asyncio.create_task(call())]
            case "is expected":
                throttle.expect_calls(caller, WRITE, 1)
            case "comes again":
                throttle.poll_interval(caller, WRITE, 1)
            case "is refused":
                throttle.refused(caller.scope, WRITE, 3600.0)
        await asyncio.sleep(1000)
        assert [state.scope for state in throttle.states()] == [caller.scope]
        for task in calls:
            task.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    play()


@in_virtual_time
async def test_a_lane_that_nobody_uses_any_more_goes() -> None:
    throttle = _writes()

    async def use(region: str) -> None:
        async with throttle.call(caller_of("vault", f"sub/{region}"), WRITE):
            pass

    for region in ("west", "east", "north"):
        await use(region)
    await asyncio.sleep(50)
    await use("east")
    await asyncio.sleep(50)
    assert [state.scope.region for state in throttle.states()] == ["east"]


@in_virtual_time
async def test_to_ask_about_a_pause_makes_no_lane() -> None:
    throttle = _writes()
    throttle.refused(scope_of("sub/west"), READ, 5.0)

    assert throttle.paused_for(scope_of("sub/east"), READ) == 5.0, "the bucket is the subscription's"
    assert throttle.paused_for(scope_of("other/east"), READ) == 0.0
    assert [state.scope for state in throttle.states()] == [scope_of("sub/west")]
