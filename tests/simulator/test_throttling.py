"""Limits, as a client meets them and as they count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import requests
from hypothesis import given
from hypothesis import strategies as st

from asr_simulator import Scenario
from asr_simulator.scenario import ArmBuckets, Limit, Throttling
from asr_simulator.throttle import ScopeLimits, SlidingWindow, TokenBucket
from tests.simulator.helpers import MAPPINGS, SUBSCRIPTION, VAULT, VAULT_PATH, Arm, scenario, update, vault

Serve = Callable[[Scenario], Arm]
_NO_ARM = {"enabled": False}


def _throttle(**changes: Any) -> dict[str, Any]:
    return {"writes": "3/60s", "reads": "5/60s", "arm": _NO_ARM} | changes


def _many(count: int, **changes: Any) -> dict[str, Any]:
    return vault(mappings=[{"name": f"m{number}"} for number in range(count)], **changes)


def _patch_all(arm: Arm) -> list[requests.Response]:
    return [arm.call("PATCH", item["id"], json=update()) for item in arm.sim.control.mappings()]


def test_a_write_too_many_is_refused_until_the_window_has_moved(serve: Serve) -> None:
    arm = serve(scenario(_many(5), throttle=_throttle()))
    answers = _patch_all(arm)
    assert [answer.status_code for answer in answers] == [202, 202, 202, 429, 429]
    refused = answers[-1]
    assert refused.headers["Retry-After"] == "60"
    assert refused.headers["retry-after-ms"] == refused.headers["x-ms-retry-after-ms"] == "60000"
    assert refused.json()["error"]["code"] == "TooManyRequests"
    arm.time.advance(59.999)
    assert arm.patch("m4").status_code == 429
    arm.time.advance(0.001)
    assert arm.patch("m4").status_code == 202


def test_retry_after_is_in_seconds_of_the_client(serve: Serve) -> None:
    arm = serve(scenario(_many(4), throttle=_throttle(), time_scale=25))
    refused = _patch_all(arm)[-1]
    assert refused.headers["Retry-After"] == "3"
    assert refused.headers["retry-after-ms"] == "2400"
    arm.time.advance(3)
    assert arm.patch("m3").status_code == 202


def test_reads_and_writes_are_counted_apart(serve: Serve) -> None:
    arm = serve(scenario(throttle=_throttle()))
    assert [arm.below(MAPPINGS).status_code for _ in range(6)] == [200] * 5 + [429]
    assert arm.patch("alpha").status_code == 202


def test_the_vault_itself_is_no_call_to_site_recovery(serve: Serve) -> None:
    arm = serve(scenario(throttle=_throttle()))
    assert {arm.get(VAULT_PATH).status_code for _ in range(10)} == {200}


def test_vaults_of_one_region_share_a_scope(serve: Serve) -> None:
    vaults = [
        _many(1, name="one"),
        _many(1, name="two"),
        _many(1, name="far", location="japaneast"),
        _many(1, name="foreign", subscription="22222222-2222-4333-8444-555555555555"),
    ]
    arm = serve(scenario(*vaults, throttle=_throttle(reads="1/60s")))
    paths = [VAULT_PATH.replace(SUBSCRIPTION, item["subscription"]).replace(VAULT, item["name"]) for item in vaults]
    answers = [arm.get(path + MAPPINGS) for path in paths]
    assert [answer.status_code for answer in answers] == [200, 429, 200, 200]


def test_limits_can_be_off_and_still_count(serve: Serve) -> None:
    arm = serve(scenario(_many(5), throttle=_throttle(enabled=False)))
    assert {answer.status_code for answer in _patch_all(arm)} == {202}
    writes = arm.sim.control.stats()["scopes"][0]["writes"]
    assert (writes["served"], writes["peak_in_window"]) == (5, 5)


def test_refused_calls_are_counted_but_do_not_fill_the_window(serve: Serve) -> None:
    arm = serve(scenario(_many(5), throttle=_throttle()))
    _patch_all(arm)
    arm.time.advance(60)
    _patch_all(arm)
    writes = arm.sim.control.stats()["scopes"][0]["writes"]
    assert (writes["served"], writes["throttled"], writes["peak_in_window"]) == (6, 4, 3)


def test_resource_manager_has_a_bucket_in_front(serve: Serve) -> None:
    bucket = {"writes": 2, "writes_per_second": 0.5}
    arm = serve(scenario(_many(4), throttle={"arm": bucket}))
    answers = _patch_all(arm)
    assert [answer.status_code for answer in answers] == [202, 202, 429, 429]
    assert answers[0].headers["x-ms-ratelimit-remaining-subscription-writes"] == "1"
    refused = answers[-1]
    assert refused.json()["error"]["code"] == "SubscriptionRequestsThrottled"
    assert "Please try again after '2' seconds." in refused.json()["error"]["message"]
    assert refused.headers["Retry-After"] == "2"
    arm.time.advance(2)
    assert arm.patch("m3").status_code == 202
    assert arm.sim.control.stats()["scopes"][0]["writes"]["throttled_by_arm"] == 2


def test_another_client_takes_its_part(serve: Serve) -> None:
    arm = serve(scenario(_many(10), throttle=_throttle(writes="10/60s", other_client_writes_per_minute=6)))
    assert arm.patch("m0").status_code == 202  # the first call opens the scope
    arm.time.advance(600)
    assert sum(answer.status_code == 202 for answer in _patch_all(arm)) == 4
    stats = arm.sim.control.stats()["scopes"][0]
    assert stats["writes"]["peak_in_window"] == 10
    assert stats["own_peak_writes_in_window"] == 4


@given(
    count=st.integers(1, 6),
    gaps=st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0, 4.0]), max_size=60),
)
def test_a_window_lets_through_exactly_its_limit(count: int, gaps: list[float]) -> None:
    """Against the definition: an arrival goes through if fewer than ``count`` lie in the window that ends with it."""
    window = SlidingWindow(Limit(count=count, window=4.0))
    now, peak = 0.0, 0
    served: list[float] = []
    for gap in gaps:
        now += gap
        held = [arrival for arrival in served if now - 4.0 < arrival <= now]
        wait = window.wait(now)
        assert window.count(now) == len(held)
        assert (wait == 0) == (len(held) < count)
        if wait > 0:  # and the wait is exact: then, and not before, one fits
            later = now + wait
            assert sum(later - 4.0 < arrival for arrival in served) < count
            assert sum(later - 0.125 - 4.0 < arrival for arrival in served) >= count
            continue
        window.add(now)
        served.append(now)
        peak = max(peak, len(held) + 1)
    assert window.peak == peak


@given(gaps=st.lists(st.floats(0, 5), min_size=1, max_size=60))
def test_a_bucket_never_gives_more_than_size_and_refill(gaps: list[float]) -> None:
    bucket = TokenBucket(3, 0.5)
    now = 0.0
    taken: list[float] = []
    for gap in gaps:
        now += gap
        if bucket.take(now) == 0:
            taken.append(now)
    for first, start in enumerate(taken):
        for last in range(first, len(taken)):
            assert last - first + 1 <= 3 + (taken[last] - start) * 0.5 + 1e-6


def test_a_long_pause_costs_no_work_for_the_other_client() -> None:
    settings = Throttling(arm=ArmBuckets(enabled=False), other_client_writes_per_minute=60)
    limits = ScopeLimits(settings, 0.0)
    limits.admit(1e9, write=True, site_recovery=True)
    assert limits.write_window.count(1e9) == 61
