"""The throttle under arbitrary schedules: late answers, refusals, cancellations, expectations, keys and regions."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.arm.test_budget import Server
from tests.unit.callers import caller_of, scope_of
from tests.unit.strategies import SLOW
from tests.unit.virtual_time import in_virtual_time
from vault_autoupdate.arm.throttle import CallKind, Throttle
from vault_autoupdate.arm.turns import TURN
from vault_autoupdate.model.limits import Limit

WRITE = CallKind.WRITE


@dataclass(frozen=True)
class Caller:
    """One call of a schedule, and what becomes of it."""

    scope: str
    key: str
    wanted_at: float
    outward: float
    back: float
    cancelled_after: float | None = None
    refused: bool = False
    """The answer is 429 with ``retry_after``."""
    retry_after: float | None = None
    expected: int | None = None
    """Calls that its key says to come at that instant."""


@dataclass
class Seen:
    """What the server sees of one scope, and when it asked for silence."""

    left: list[float] = field(default_factory=list)
    arrived: list[float] = field(default_factory=list)
    silences: list[tuple[float, float]] = field(default_factory=list)


_DELAYS = st.one_of(st.just(0.0), st.floats(0, 3), st.sampled_from([9.99, 60.0]))
_INSTANTS = st.sampled_from([0.0, 0.5, 10.0, 10.001, 10.002, 20.002])
_CALLERS = st.builds(
    Caller,
    scope=st.sampled_from(["sub/west", "sub/east", "sub", "other/west"]),
    key=st.sampled_from("abc"),
    wanted_at=st.floats(0, 30) | _INSTANTS,
    outward=_DELAYS,
    back=_DELAYS,
    cancelled_after=st.none() | st.none() | _INSTANTS,
    refused=st.sampled_from([False, False, False, True]),
    retry_after=st.none() | st.sampled_from([0.0, 0.5, 9.0, 45.0, 600.0]),
    expected=st.none() | st.none() | st.integers(0, 50),
)
_LIMITS = st.lists(st.builds(Limit, st.integers(1, 5), st.sampled_from([1.0, 10.0, 60.0])), min_size=1, max_size=3)


async def _act(throttle: Throttle, caller: Caller, seen: Seen, finished: Counter[str]) -> None:
    await asyncio.sleep(caller.wanted_at)
    now = asyncio.get_running_loop().time
    if caller.expected is not None:
        throttle.expect_calls(caller_of(caller.key, caller.scope), WRITE, caller.expected)
    async with throttle.call(caller_of(caller.key, caller.scope), WRITE):
        seen.left.append(now())
        await asyncio.sleep(caller.outward)
        seen.arrived.append(now())
        await asyncio.sleep(caller.back)
        if caller.refused:
            throttle.refused(scope_of(caller.scope), WRITE, caller.retry_after)
            seen.silences.append((now(), now() + (caller.retry_after or 0.0)))
    finished[caller.scope] += 1


async def _play(throttle: Throttle, callers: list[Caller]) -> tuple[dict[str, Seen], Counter[str]]:
    scopes, finished = defaultdict[str, Seen](Seen), Counter[str]()
    tasks = []
    for caller in callers:
        task = asyncio.create_task(_act(throttle, caller, scopes[caller.scope], finished))
        tasks.append(task)
        if caller.cancelled_after is not None:
            asyncio.get_running_loop().call_later(caller.cancelled_after, task.cancel)
    await asyncio.gather(*tasks, return_exceptions=True)
    assert all(task.cancelled() or not task.exception() for task in tasks)
    return scopes, finished


@SLOW
@given(_LIMITS, st.lists(_CALLERS, max_size=25))
def test_no_limit_is_broken_no_silence_is_disturbed_and_nobody_is_forgotten(
    limits: list[Limit], callers: list[Caller]
) -> None:
    @in_virtual_time
    async def play() -> None:
        throttle = Throttle({WRITE: limits})
        scopes, finished = await _play(throttle, callers)

        for scope, seen in scopes.items():
            never_cancelled = [c for c in callers if c.scope == scope and c.cancelled_after is None]
            assert finished[scope] >= len(never_cancelled), "nobody who goes on waiting waits for ever"
            assert Server([], seen.arrived).most_in_any(limits[0].window) <= limits[0].count
            for begins, ends in seen.silences:
                assert not [at for at in seen.left if begins < at < ends - 1e-6]
        for limit in limits[1:]:
            for subscription in ("sub", "other"):
                whole = [at for scope in scopes if scope.startswith(subscription) for at in scopes[scope].arrived]
                assert Server([], whole).most_in_any(limit.window) <= limit.count
        for state in throttle.states():
            assert state.waiting == 0
            assert state.remaining >= 0

    play()


@dataclass(frozen=True)
class Arrival:
    """All calls of one key, which come at once."""

    key: str
    at: int
    calls: int
    expected: bool


_ARRIVALS = st.lists(
    st.builds(
        Arrival,
        st.sampled_from("abcdef"),
        st.integers(0, 400),
        st.integers(1, 3) | st.integers(1, 3 * TURN + 5),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
    unique_by=(lambda arrival: arrival.key, lambda arrival: arrival.at),
)


@SLOW
@given(_ARRIVALS, st.builds(Limit, st.integers(1, 4), st.sampled_from([4.0, 10.0])))
def test_a_newcomer_waits_for_the_rest_of_other_first_turns_and_nothing_else_and_then_has_its_own_in_one_piece(
    arrivals: list[Arrival], limit: Limit
) -> None:
    @in_virtual_time
    async def play() -> None:
        throttle, order = Throttle({WRITE: [limit]}), list[tuple[str, float]]()
        loop = asyncio.get_running_loop()
        began = loop.time()

        async def call(key: str) -> None:
            async with throttle.call(caller_of(key), WRITE):
                order.append((key, loop.time() - began))

        async def arrive(arrival: Arrival) -> None:
            await asyncio.sleep(arrival.at)
            if arrival.expected:
                throttle.expect_calls(caller_of(arrival.key), WRITE, arrival.calls)
            await asyncio.gather(*(call(arrival.key) for _ in range(arrival.calls)))

        in_order = sorted(arrivals, key=lambda arrival: arrival.at)
        await asyncio.gather(*map(arrive, in_order))

        keys = [key for key, _ in order]
        assert Counter(keys) == {arrival.key: arrival.calls for arrival in arrivals}
        for place, newcomer in enumerate(in_order):
            first = keys.index(newcomer.key)
            turn = min(TURN, newcomer.calls)
            assert keys[first : first + turn] == [newcomer.key] * turn
            for other in in_order:
                left = [at for key, at in order[:first] if key == other.key]
                # Calls that find no queue leave at once; those that nobody expected are no part of a turn.
                turn_began = other.at if other.expected else other.at + 1e-6
                had = sum(turn_began <= at < newcomer.at for at in left)
                owed = max(0, TURN - had) if other in in_order[:place] else 0
                assert sum(at >= newcomer.at for at in left) <= owed, f"{other} before {newcomer}"

    play()
