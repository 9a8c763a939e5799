"""The budget of calls: never more than the limit in any window as the server sees it, and hardly less."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from vault_autoupdate.arm.budget import Budget, Taken, pacing_gap
from vault_autoupdate.model.limits import Limit, parse_limits

GRAIN = 1e-3
"""What a window is longer for us than for the server."""


@dataclass(frozen=True)
class Call:
    """One call of a schedule."""

    idle: float = 0.0
    """Seconds after the call before it when this one is wanted."""
    outward: float = 0.0
    """Seconds on the way to the server."""
    back: float = 0.0
    """Seconds until its answer, or its time-out, is noticed."""
    refused: float | None = None
    """The server answers 429 with this Retry-After."""


@dataclass
class Server:
    """When calls left, when the server saw them, and how it counts."""

    left: list[float]
    seen: list[float]

    def most_in_any(self, window: float) -> int:
        """The largest number of calls in a window of this length, wherever it begins and whichever end it has."""
        seen, most, first = sorted(self.seen), 0, 0
        for last, at in enumerate(seen):
            while at - seen[first] >= window:
                first += 1
            most = max(most, last - first + 1)
        return most


def simulate(budget: Budget, calls: Sequence[Call], *, start: float = 0.0) -> Server:
    """Send ``calls`` one after the other, each as soon as it is wanted and the budget lets it."""
    now, answers, server = start, list[tuple[float, int, Taken]](), Server([], [])

    def settle_until(time: float) -> None:
        while answers and answers[0][0] <= time:
            at, number, taken = heapq.heappop(answers)
            budget.settle(taken, at)
            if (pause := calls[number].refused) is not None:
                budget.refused(at, pause)

    for number, call in enumerate(calls):
        now += call.idle
        settle_until(now)
        while (wait := budget.wait(now)) > 0:
            upcoming = answers[0][0] if answers else math.inf
            assert min(now + wait, upcoming) < math.inf, "a call that can never leave"
            assert wait > 0
            now = min(now + wait, upcoming) if now + wait > now else math.nextafter(now, math.inf)
            settle_until(now)
        taken = budget.take(now)
        server.left.append(now)
        server.seen.append(now + call.outward)
        heapq.heappush(answers, (now + call.outward + call.back, number, taken))
    settle_until(math.inf)
    return server


_LIMITS = st.lists(
    st.builds(Limit, st.integers(1, 6), st.sampled_from([0.15, 1.0, 5.0, 10.0, 60.0])), min_size=1, max_size=3
)
_DELAYS = st.one_of(st.just(0.0), st.floats(0, 2), st.sampled_from([9.99, 59.999, 60.0, 200.0]))
_CALLS = st.lists(st.builds(Call, idle=_DELAYS, outward=_DELAYS, back=_DELAYS), max_size=40)
_REFUSALS = st.one_of(st.none(), st.sampled_from([0.0, 0.5, 10.0, 100.0]))


@given(_LIMITS, _CALLS, st.sampled_from([0.0, 1e6]))
@example([Limit(1, 1.0)], [Call(outward=0.9), Call()], 0.0)
@example([Limit(1, 1.0)], [Call(outward=0.9, back=60.0), Call()], 0.0)
@example([Limit(2, 60.0), Limit(1, 1.0)], [Call(), Call(), Call(outward=5), Call()], 0.0)
def test_the_server_never_counts_more_than_any_limit_whatever_the_network_does(
    limits: list[Limit], calls: list[Call], start: float
) -> None:
    server = simulate(Budget(limits), calls, start=start)

    for limit in limits:
        assert server.most_in_any(limit.window) <= limit.count


@given(
    _LIMITS,
    st.lists(st.builds(Call, idle=_DELAYS, outward=_DELAYS, back=_DELAYS, refused=_REFUSALS), max_size=30),
)
def test_nor_while_it_refuses_some_and_the_rate_goes_down_and_comes_back(
    limits: list[Limit], calls: list[Call]
) -> None:
    server = simulate(Budget(limits), calls)

    for limit in limits:
        assert server.most_in_any(limit.window) <= limit.count


@given(
    st.builds(Limit, st.integers(1, 5), st.sampled_from([1.0, 60.0])),
    st.lists(st.floats(0, 100), max_size=12),
    st.integers(0, 20),
)
def test_calls_of_an_earlier_process_count_as_long_as_the_server_counts_them(
    limit: Limit, ages: list[float], fresh: int
) -> None:
    budget, earlier = Budget([limit]), Server([], [-age for age in ages])
    assume(earlier.most_in_any(limit.window) <= limit.count)
    budget.spent(ages, 0.0)

    server = simulate(budget, [Call() for _ in range(fresh)])

    assert Server([], [*earlier.seen, *server.seen]).most_in_any(limit.window) <= limit.count


def test_an_earlier_call_counts_less_than_a_window_and_in_whatever_order_they_are_told() -> None:
    exact = Budget([Limit(3, 10)])
    exact.spent([10, 2, 7], 100)
    assert exact.remaining(100) == 1
    budget = Budget([Limit(2, 10)])
    budget.spent([10, 2, 7, 20], 100)

    assert budget.wait(100) == pytest.approx(3 + GRAIN)
    assert budget.wait(103.5) == 0


def test_what_is_spare_is_the_part_left_of_the_limit_of_which_least_is_left() -> None:
    budget = Budget([Limit(8, 60), Limit(4, 10)])
    assert budget.spare(0) == 1
    taken = budget.take(0)
    assert budget.spare(0) == 0.75
    budget.settle(taken, 0)
    assert budget.spare(11) == 0.875
    budget.refused(20, 0)  # five and two calls are let through now
    assert budget.spare(20) == pytest.approx(0.8)


def _ideal(limits: Iterable[Limit], number: int) -> list[float]:
    """When calls without latency leave at the earliest."""
    leaves: list[float] = []
    for place in range(number):
        bounds = [leaves[place - limit.count] + limit.window for limit in limits if place >= limit.count]
        leaves.append(max([leaves[-1] if leaves else 0.0, *bounds]))
    return leaves


@given(_LIMITS, st.integers(1, 60))
def test_without_latency_no_call_leaves_later_than_the_limits_require(limits: list[Limit], number: int) -> None:
    server = simulate(Budget(limits), [Call() for _ in range(number)])

    for at, ideal in zip(server.left, _ideal(limits, number), strict=True):
        assert ideal <= at <= ideal + GRAIN * number


def test_a_thousand_writes_at_200_a_minute_take_four_minutes() -> None:
    server = simulate(Budget(parse_limits("200/60s")), [Call() for _ in range(1000)])

    assert server.left[-1] == pytest.approx(240, abs=0.05)
    assert server.most_in_any(60) == 200


def test_latency_costs_its_own_length_per_window_and_no_more() -> None:
    server = simulate(Budget([Limit(10, 60)]), [Call(outward=0.2, back=0.3) for _ in range(100)])

    assert server.left[-1] == pytest.approx(9 * 60.5, abs=0.1)


def test_a_call_counts_while_its_answer_is_on_its_way_and_a_window_longer() -> None:
    budget = Budget([Limit(1, 10)])
    taken = budget.take(0)

    assert budget.wait(1e6) == math.inf
    budget.settle(taken, 100)
    assert budget.wait(100) == pytest.approx(10 + GRAIN)
    assert budget.wait(109.9) > 0
    assert budget.remaining(100) == 0
    assert budget.remaining(100 + 10 + GRAIN) == 1
    assert budget.wait(110 + 2 * GRAIN) == 0


def test_the_tightest_of_several_limits_decides() -> None:
    budget = Budget([Limit(100, 60), Limit(1, 10)])

    assert budget.remaining(0) == 1
    budget.settle(budget.take(0), 0)
    assert budget.remaining(0) == 0
    assert budget.wait(0) == pytest.approx(10 + GRAIN)
    assert budget.limits == (Limit(100, 60), Limit(1, 10))


# After the server has said "too many".


def test_a_refusal_pauses_everything_for_as_long_as_the_server_says() -> None:
    budget = Budget([Limit(100, 60)])
    budget.refused(10, 25)

    assert budget.wait(10) == 25
    assert budget.wait(34) == 1
    assert budget.wait(35) == 0
    assert budget.paused_until() == 35


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    budget = Budget([Limit(100, 60)])
    budget.refused(0, 30)
    budget.refused(1, 2)

    assert budget.paused_until() == 30


def test_one_pause_lowers_the_rate_once_however_many_calls_were_under_way() -> None:
    budget = Budget([Limit(100, 60)])
    for second in range(5):
        budget.refused(second, 30)

    assert budget.share(30) == pytest.approx(0.7)
    budget.refused(40, 30)
    assert budget.share(70) == pytest.approx(0.49)


def test_refusals_without_a_pause_lower_the_rate_once_for_each_sixtieth_of_the_window() -> None:
    budget = Budget([Limit(100, 60)])
    budget.refused(0, 0)
    budget.refused(0.99, 0)
    assert budget.share(0.99) == pytest.approx(0.7)

    budget.refused(1, 0)
    assert budget.share(1) == pytest.approx(0.49)


def test_a_lowered_rate_lets_fewer_calls_through_in_a_window() -> None:
    budget = Budget([Limit(100, 60)])
    budget.refused(0, 0)

    assert budget.allowed(Limit(100, 60), 0) == 70
    assert simulate(budget, [Call() for _ in range(71)], start=1).left[69:] == [1, pytest.approx(61 + GRAIN)]


def test_the_rate_comes_back_by_a_tenth_for_each_window_without_refusal_after_the_pause() -> None:
    budget = Budget([Limit(100, 60)])
    budget.refused(0, 30)

    assert [round(budget.share(30 + at), 3) for at in (0, 59, 60, 120, 179, 180, 1e9)] == [
        0.7, 0.7, 0.8, 0.9, 0.9, 1.0, 1.0,
    ]  # fmt: skip
    assert budget.allowed(Limit(100, 60), 30 + 180) == 100


def test_a_refusal_after_a_recovery_lowers_what_has_come_back() -> None:
    budget = Budget([Limit(100, 60)])
    budget.refused(0, 0)
    budget.refused(120, 0)

    assert budget.share(120) == pytest.approx(0.63)


@given(st.lists(st.tuples(st.floats(0, 1000), st.floats(0, 3600)), max_size=50), st.integers(1, 500))
def test_however_often_it_is_refused_some_calls_still_get_through(
    refusals: list[tuple[float, float]], count: int
) -> None:
    budget, now = Budget([Limit(count, 60)]), 0.0
    for gap, pause in refusals:
        now += gap
        before = budget.share(now)
        budget.refused(now, pause)
        assert budget.share(now) <= before
        assert Budget.LOWEST_SHARE <= budget.share(now) <= 1.0
        assert 1 <= budget.allowed(Limit(count, 60), now) <= count
    assert budget.wait(budget.paused_until() if refusals else now) == 0


@given(st.integers(1, 30))
def test_the_rate_never_falls_while_the_server_is_content(refusals: int) -> None:
    budget = Budget([Limit(100, 60)])
    for at in range(refusals):
        budget.refused(at * 100, 0)
    shares = [budget.share(refusals * 100 + at * 7) for at in range(200)]

    assert shares == sorted(shares)
    assert shares[-1] == 1.0


# The pace.


def test_a_backlog_that_fits_into_one_window_goes_out_at_once() -> None:
    assert [pacing_gap(backlog, Limit(200, 60)) for backlog in (0, 1, 199, 200)] == [0, 0, 0, 0]


def test_a_longer_backlog_is_spread_out() -> None:
    assert pacing_gap(201, Limit(200, 60)) == pytest.approx(0.06 * 60 / 200)
    assert pacing_gap(100_000, Limit(200, 60)) == pytest.approx(60 / 200)


_ANY_LIMIT = st.builds(Limit, st.integers(1, 10_000), st.floats(0.01, 3600))


@given(st.integers(0, 10**6), _ANY_LIMIT)
def test_the_pace_alone_never_takes_longer_than_a_window_for_a_windows_worth_of_calls(
    backlog: int, limit: Limit
) -> None:
    assert 0 <= pacing_gap(backlog, limit) * limit.count <= limit.window * (1 + 1e-9)


@given(st.integers(0, 10**5), st.integers(1, 10**5), _ANY_LIMIT)
def test_a_longer_backlog_is_never_spread_less(backlog: int, more: int, limit: Limit) -> None:
    assert pacing_gap(backlog, limit) <= pacing_gap(backlog + more, limit)


@given(st.integers(1, 10**5), _ANY_LIMIT)
def test_spreading_delays_the_whole_by_no_more_than_a_sixteenth(backlog: int, limit: Limit) -> None:
    windows = math.ceil(backlog / limit.count)

    assert pacing_gap(backlog, limit) * limit.count <= 0.06 * limit.window * (windows - 1) * (1 + 1e-9)
