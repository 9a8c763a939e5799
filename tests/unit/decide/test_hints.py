"""Hints: what an entry of the log means, each counts once, and nobody is woken more often than he may be."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import ACCOUNT, ACCOUNT_ID, NOW, VAULT, VAULT_ID, mapping_id_of
from vault_autoupdate.decide.hints import (
    Hint,
    HintMode,
    Meaning,
    SeenEntries,
    WakeTimes,
    hint_of,
    is_watched,
    sort_entries,
    within_share,
)
from vault_autoupdate.model.activity import ActivityEntry

CONTAINERS = "Microsoft.RecoveryServices/vaults/replicationFabrics/replicationProtectionContainers"
MAPPING_WRITE = f"{CONTAINERS}/replicationProtectionContainerMappings/write"
A_VAULT, AN_ACCOUNT = Hint(VAULT.key), Hint(ACCOUNT.key, is_account=True)
SECOND = timedelta(seconds=1)


def entry(
    operation: str = MAPPING_WRITE, resource_id: str = mapping_id_of("alpha"), status: str = "Succeeded", **fields: Any
) -> ActivityEntry:
    given: dict[str, Any] = {"id": f"{operation} {resource_id} {status}", "at": NOW, "request_id": "theirs"}
    return ActivityEntry(operation=operation, resource_id=resource_id, status=status, **(given | fields))


@pytest.mark.parametrize(
    "change",
    [
        entry(),
        entry(status="Accepted"),
        entry(MAPPING_WRITE.upper(), mapping_id_of("alpha").upper(), "SUCCEEDED"),
        entry(f"{CONTAINERS}/replicationProtectionContainerMappings/delete"),
        entry(f"{CONTAINERS}/replicationProtectionContainerMappings/remove/action"),
        entry(f"{CONTAINERS}/replicationProtectedItems/write", f"{VAULT_ID}/replicationFabrics/f/x/y"),
    ],
)
def test_what_was_changed_below_a_container_is_a_reason_to_look_at_the_vault(change: ActivityEntry) -> None:
    assert hint_of(change) == A_VAULT


@pytest.mark.parametrize(
    "change",
    [
        entry(f"Microsoft.Automation/automationAccounts{kind}/{what}", f"{ACCOUNT_ID}{below}")
        for kind, below in (("", ""), ("/schedules", "/schedules/s"), ("/jobSchedules", "/jobSchedules/j"))
        for what in ("write", "delete")
    ],
)
def test_identity_and_schedules_of_an_account_are_a_reason_to_look_at_it(change: ActivityEntry) -> None:
    assert hint_of(change) == AN_ACCOUNT


@pytest.mark.parametrize(
    "other",
    [
        entry(status="Started"),
        entry(status="Failed"),
        entry(status=""),
        entry(f"{CONTAINERS}/replicationProtectionContainerMappings/read"),
        entry("Microsoft.RecoveryServices/vaults/backupFabrics/protectionContainers/protectedItems/write"),
        entry("Microsoft.RecoveryServices/vaults/write", VAULT_ID),
        entry("Microsoft.Automation/automationAccounts/jobs/write", f"{ACCOUNT_ID}/jobs/j"),
        entry("Microsoft.Automation/automationAccounts/write", VAULT_ID),
        entry(resource_id="/subscriptions/s"),
        entry(resource_id=f"/tenants/t{VAULT_ID}"),
        entry(resource_id=""),
    ],
)
def test_nothing_else_is(other: ActivityEntry) -> None:
    assert hint_of(other) is None


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=12))
def test_whatever_the_log_says_it_is_a_hint_or_none(operation: str, resource_id: str, status: str) -> None:
    hint_of(entry(operation, resource_id, status))
    hint_of(entry(MAPPING_WRITE, VAULT_ID + resource_id))


def own(each: ActivityEntry) -> bool:
    return each.request_id == "ours"


ENTRIES = st.builds(
    entry,
    st.sampled_from([MAPPING_WRITE, "Microsoft.RecoveryServices/vaults/backupconfig/write"]),
    st.sampled_from([mapping_id_of("alpha"), mapping_id_of("beta"), f"{VAULT_ID}-2/replicationFabrics/f"]),
    st.sampled_from(["Started", "Accepted", "Succeeded", "Failed"]),
    request_id=st.sampled_from(["ours", "theirs"]),
    id=st.integers(0, 12).map(str),
)


@given(st.lists(st.lists(ENTRIES, max_size=12), max_size=4))
def test_each_entry_counts_once_however_often_and_in_whatever_order_it_comes(
    readings: list[list[ActivityEntry]],
) -> None:
    seen, counted = SeenEntries(), []
    for reading in readings:
        hints, meanings = sort_entries(reading, seen, own)
        assert sum(meanings.values()) == len(reading)
        for entries in hints.values():
            counted += [each.id for each in entries]
            for each in entries:
                seen.add(each)
    assert len(counted) == len(set(counted))
    again, meanings = sort_entries([each for reading in readings for each in reading], seen, own)
    assert again == {}
    assert set(meanings) <= {Meaning.REPEATED}


@given(st.lists(ENTRIES, max_size=12))
def test_our_own_changes_and_those_that_failed_wake_nobody(entries: list[ActivityEntry]) -> None:
    hints, _ = sort_entries(entries, SeenEntries(), own)
    told = [each for found in hints.values() for each in found]
    assert all(each.request_id == "theirs" and each.status in {"Accepted", "Succeeded"} for each in told)


def test_an_entry_that_nobody_was_woken_for_counts_the_next_time() -> None:
    seen = SeenEntries()
    assert set(sort_entries([entry()], seen, own)[0]) == {A_VAULT}
    assert set(sort_entries([entry()], seen, own)[0]) == {A_VAULT}


def test_what_was_seen_is_forgotten_the_oldest_first() -> None:
    seen = SeenEntries(most=2)
    entries = [entry(id=str(number)) for number in range(3)]
    for each in entries:
        seen.add(each)
    assert [each in seen for each in entries] == [False, True, True]


@given(st.lists(st.tuples(st.integers(-120, 300), st.integers(0, 5)), max_size=20))
def test_a_vault_is_woken_at_most_once_a_minute_and_never_before_now(steps: list[tuple[int, int]]) -> None:
    wakes, now, woken = WakeTimes(), NOW, []
    for step, at_random in steps:
        now += max(0, step) * SECOND
        delay = wakes.delay("v", now, at_random * SECOND)
        assert delay >= timedelta()
        woken.append(now + delay)
    times = sorted(set(woken))
    assert all(later - earlier >= timedelta(minutes=1) for earlier, later in pairwise(times))
    assert all(at - now <= timedelta(minutes=1, seconds=5) for at in woken[-1:]), "nor is anybody kept waiting"


def test_a_clock_that_went_back_delays_nobody_for_long() -> None:
    wakes = WakeTimes()
    wakes.delay("v", NOW + timedelta(days=1), timedelta())
    assert wakes.delay("v", NOW, timedelta()) <= timedelta(minutes=1)


def test_vaults_do_not_wait_for_each_other() -> None:
    wakes = WakeTimes()
    assert [wakes.delay(key, NOW, timedelta()) for key in "abc"] == [timedelta()] * 3


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=30), st.integers(0, 5))
def test_no_namespace_has_more_than_its_share_and_none_goes_without(namespaces: list[str], most: int) -> None:
    wanted = list(enumerate(namespaces))
    chosen = within_share(wanted, lambda each: each[1], most)
    for namespace in set(namespaces):
        mine = [each for each in wanted if each[1] == namespace]
        assert [each for each in chosen if each[1] == namespace] == mine[:most], "the first come first"


@pytest.mark.parametrize(
    ("mode", "vaults", "watched"),
    [("off", 200, False), ("on", 1, True), ("auto", 2, False), ("auto", 3, True)],
)
def test_a_log_is_read_where_it_costs_less_than_it_gives(mode: str, vaults: int, watched: bool) -> None:
    assert is_watched(HintMode(mode), vaults) is watched


def test_it_is_counted_what_the_entries_meant_and_told_which_of_them_gave_reason_to_look() -> None:
    seen = SeenEntries()
    seen.add(entry(id="before"))
    change, later = entry(id="1"), entry(id="2", at=NOW + SECOND)
    of_account = entry("Microsoft.Automation/automationAccounts/write", ACCOUNT_ID, id="3")
    ours, failed = entry(id="4", request_id="ours"), entry(id="5", status="Failed")
    begun = entry(id="6", status="Started")
    entries = [entry(id="before"), change, ours, change, failed, of_account, later, ours, begun]

    hints, meanings = sort_entries(entries, seen, own)

    assert hints == {A_VAULT: [change, later], AN_ACCOUNT: [of_account]}
    assert meanings == {Meaning.CHANGE: 3, Meaning.OWN: 1, Meaning.OTHER: 2, Meaning.REPEATED: 3}
    assert [each in seen for each in (change, later, of_account, ours, failed)] == [False, False, False, True, True]


def test_what_is_seen_again_is_forgotten_later() -> None:
    seen = SeenEntries(most=2)
    first, second, third = (entry(id=str(number)) for number in range(3))
    for each in (first, second, first, third):
        seen.add(each)
    assert [each in seen for each in (first, second, third)] == [True, False, True]


@pytest.mark.parametrize(
    ("steps", "delays"),
    [
        ([(0, 5)], [5]),
        ([(0, 5), (0, 0), (3, 0), (5, 0)], [5, 5, 2, 60]),  # it is about to be woken, and then just was
        ([(0, 5), (6, 9)], [5, 59]),
        ([(0, 0), (59, 9), (70, 3)], [0, 9, 58]),
        ([(0, 0), (60, 0)], [0, 0]),
        ([(0, 0), (61, 7)], [0, 7]),
        ([(900, 0), (0, 0)], [0, 900]),  # a clock that went back
        ([(901, 0), (0, 0)], [0, 0]),
    ],
)
def test_who_is_about_to_be_woken_waits_for_that_and_who_just_was_for_a_minute(
    steps: list[tuple[int, int]], delays: list[int]
) -> None:
    wakes = WakeTimes()
    given = [wakes.delay("v", NOW + at * SECOND, at_random * SECOND) for at, at_random in steps]
    assert given == [delay * SECOND for delay in delays]


def test_vaults_that_were_woken_long_ago_are_forgotten_when_there_are_many() -> None:
    wakes, later = WakeTimes(), NOW + 30 * SECOND
    for number in range(20_000):
        wakes.delay(f"v-{number}", NOW, timedelta())
    wakes.delay("late", later, timedelta())
    assert [wakes.delay(key, later, timedelta()) for key in ("v-0", "late")] == [30 * SECOND, 60 * SECOND]


def test_by_default_sixty_vaults_of_a_namespace_are_woken_at_a_time() -> None:
    assert within_share(range(100), lambda _: "team") == list(range(60))
