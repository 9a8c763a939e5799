"""Who waits for a connection has not had a turn yet: what that gives a fleet, and its neighbours."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.callers import caller_of
from tests.unit.virtual_time import in_virtual_time
from vault_autoupdate.arm.throttle import CallKind, Throttle
from vault_autoupdate.model.limits import Limit

READ, WRITE = CallKind.READ, CallKind.WRITE


def _throttle(at_once: int, *limits: Limit) -> Throttle:
    limits = limits or (Limit(1000, 60),)
    return Throttle({READ: limits, WRITE: limits}, at_once=at_once)


@pytest.mark.parametrize("at_once", [1, 3, 24])
async def test_no_more_are_under_way_than_there_are_connections_for(at_once: int) -> None:
    throttle, under_way, most = _throttle(at_once), 0, 0

    async def call(key: str) -> None:
        nonlocal under_way, most
        async with throttle.call(caller_of(key), READ):
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0)
            under_way -= 1

    await asyncio.gather(*(call(f"vault-{number}") for number in range(100)))

    assert most == at_once


@in_virtual_time
async def test_a_vault_that_was_begun_is_read_to_the_end_before_first_reads_use_the_window_up() -> None:
    throttle, done = _throttle(10, Limit(100, 60)), list[float]()
    began = asyncio.get_running_loop().time()

    async def look(key: str) -> None:
        caller = caller_of(key)
        throttle.expect_calls(caller, READ, 2)
        for _ in range(2):
            async with throttle.call(caller, READ):
                await asyncio.sleep(0.1)
        throttle.expect_calls(caller, READ, 0)
        done.append(asyncio.get_running_loop().time() - began)

    await asyncio.gather(*(look(f"vault-{number}") for number in range(200)))

    assert sum(at < 60 for at in done) >= 45  # of 50 that the window's 100 reads are enough for


async def test_one_whose_answers_hang_does_not_keep_other_subscriptions_or_the_other_kind_waiting() -> None:
    throttle, never = _throttle(2), asyncio.Event()

    async def hang() -> None:
        async with throttle.call(caller_of("hangs", "one"), READ):
            await never.wait()

    hanging = [asyncio.create_task(hang()) for _ in range(5)]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        async with throttle.call(caller_of("other", "two"), READ):
            pass
        async with throttle.call(caller_of("hangs", "one"), WRITE):
            pass
    assert [state.waiting for state in throttle.states() if state.kind is READ] == [3, 0]
    never.set()
    await asyncio.gather(*hanging)


async def test_who_gives_up_while_it_waits_for_a_connection_or_has_one_leaves_it_to_the_next() -> None:
    throttle, never = _throttle(1), asyncio.Event()

    async def hang() -> None:
        async with throttle.call(caller_of("hangs"), READ):
            await never.wait()

    first, second = asyncio.create_task(hang()), asyncio.create_task(hang())
    await asyncio.sleep(0)
    second.cancel()
    first.cancel()
    async with asyncio.timeout(5), throttle.call(caller_of("next"), READ):
        pass
    assert throttle.states()[0].waiting == 0


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 5), st.floats(0, 20)), min_size=1, max_size=30),
    st.integers(1, 4),
)
@in_virtual_time
async def test_every_call_gets_its_turn_however_few_connections_there_are(
    calls: list[tuple[str, float, float]], at_once: int
) -> None:
    throttle, left = _throttle(at_once, Limit(5, 10)), list[str]()

    async def call(key: str, wanted_at: float, takes: float) -> None:
        await asyncio.sleep(wanted_at)
        async with throttle.call(caller_of(key), READ):
            left.append(key)
            await asyncio.sleep(takes)

    await asyncio.gather(*(call(*each) for each in calls))

    assert sorted(left) == sorted(key for key, _, _ in calls)
