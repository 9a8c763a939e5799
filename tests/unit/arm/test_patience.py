"""A pause that was not long enough grows; one that nobody could have kept does not."""

from __future__ import annotations

import pytest

from vault_autoupdate.arm.patience import Patience


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def patience(clock: Clock) -> Patience:
    return Patience(clock)


def test_a_first_pause_is_as_long_as_is_asked_for(patience: Patience, clock: Clock) -> None:
    assert patience.pause("a", 20, sent_at=clock.now) == 20
    assert patience.pause("b", None, sent_at=clock.now) is None


def test_the_first_call_after_a_pause_that_is_refused_again_doubles_it_up_to_an_hour(
    patience: Patience, clock: Clock
) -> None:
    pauses, pause = [], patience.pause("a", 20, sent_at=clock.now)
    for _ in range(9):
        clock.now += pause or 0
        pause = patience.pause("a", 20, sent_at=clock.now)
        pauses.append(pause)

    assert pauses == [40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]


def test_what_azure_asks_for_counts_if_it_is_longer(patience: Patience, clock: Clock) -> None:
    patience.pause("a", 20, sent_at=clock.now)
    clock.now += 20

    assert patience.pause("a", 300, sent_at=clock.now) == 300


def test_calls_that_left_before_the_pause_was_over_prove_nothing(patience: Patience, clock: Clock) -> None:
    sent_at = clock.now
    patience.pause("a", 20, sent_at=sent_at)
    clock.now += 1

    assert [patience.pause("a", 19, sent_at=sent_at) for _ in range(30)] == [19] * 30


def test_nor_do_those_of_other_scopes(patience: Patience, clock: Clock) -> None:
    patience.pause("a", 20, sent_at=clock.now)
    clock.now += 20

    assert patience.pause("b", 20, sent_at=clock.now) == 20


def test_a_pause_that_was_long_enough_is_forgotten(patience: Patience, clock: Clock) -> None:
    patience.pause("a", 20, sent_at=clock.now)
    patience.served("a", sent_at=clock.now)
    clock.now += 20
    assert patience.pause("a", 20, sent_at=clock.now) == 40, "a call from before the pause says nothing"

    clock.now += 40
    patience.served("a", sent_at=clock.now)
    assert patience.pause("a", 20, sent_at=clock.now) == 20


def test_without_a_time_from_azure_the_pause_grows_too(patience: Patience, clock: Clock) -> None:
    patience.pause("a", None, sent_at=clock.now)
    clock.now += 10

    assert patience.pause("a", None, sent_at=clock.now) == 20


def test_what_is_remembered_is_bounded(patience: Patience, clock: Clock) -> None:
    for number in range(5000):
        patience.pause(number, 20, sent_at=clock.now)
    clock.now += 20

    assert patience.pause(0, 20, sent_at=clock.now) == 20
    assert patience.pause(4999, 20, sent_at=clock.now) == 40
