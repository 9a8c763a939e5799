"""How long the server wants to be left alone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from vault_autoupdate.arm.wire.pause import pause_asked_for, retry_after


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "17"}, 17),
        ({"retry-after": " 17 "}, 17),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"x-ms-retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "250", "x-ms-retry-after-ms": "1", "retry-after": "9"}, 0.25),
        ({"x-ms-retry-after-ms": "1000", "retry-after": "9"}, 1),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9),
        ({"retry-after": "3600"}, 3600),
        ({"retry-after": "86400"}, 3600),
        ({"retry-after": "999999999999"}, 3600),
        ({"retry-after": "9999999999999"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "20000ms"}, 20),
        ({"retry-after": "20 s"}, 20),
        ({"retry-after": "20 Seconds"}, 20),
        ({"retry-after": "+20"}, 20),
        ({"retry-after": "00:01:20"}, 80),
        ({"x-ms-retry-after-ms": "500 MS"}, 0.5),
        ({"retry-after": "5, 20"}, 20),
        ({"retry-after": "20,5"}, 20),
        ({"retry-after": "20, soon"}, 20),
        ({"x-ms-user-quota-resets-after": "00:00:05"}, 5),
        ({"x-ms-user-quota-resets-after": "00:00:05.5", "retry-after": "soon"}, 5.5),
        ({"retry-after": "Sun, 31 Feb 2026 12:00:00 GMT"}, None),
        ({"retry-after": "Sun, 01 Mar 2026 12:00:00 GMT"}, 0),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds
    assert pause_asked_for(headers, "Too many.") == seconds


_DATES = [
    "Sat, 28 Nov 2026 01:30:20 GMT",
    "Saturday, 28-Nov-26 01:30:20 GMT",
    "Sat Nov 28 01:30:20 2026",
    "Sat, 28 Nov 2026 02:30:20 +0100",
    "2026-11-28T01:30:20Z",
]


@pytest.mark.parametrize("until", _DATES)
@pytest.mark.parametrize("now", _DATES)
def test_a_date_is_so_long_after_the_date_of_the_answer_whatever_the_clock_here_says(until: str, now: str) -> None:
    """RFC 9110, 5.6.7 and 10.2.3; ARM was seen to send one (azure-sdk-for-python#31004)."""
    assert retry_after({"retry-after": until, "date": now}) == 0
    assert retry_after({"retry-after": until.replace("30:20", "31:05"), "date": now}) == 45
    assert retry_after({"retry-after": until.replace("30:20", "29:00"), "date": now}) == 0
    assert retry_after({"retry-after": until.replace("2026", "2027"), "date": now}) in {0, 3600}


def test_where_the_answer_has_no_date_the_clock_here_is_as_good_as_any() -> None:
    now = datetime(2026, 11, 28, 1, 30, 0, tzinfo=UTC)

    assert retry_after({"retry-after": _DATES[0]}, now) == 20
    assert retry_after({"retry-after": _DATES[0], "date": "yesterday"}, now) == 20


@pytest.mark.parametrize("asked", ["Please try again after '10' seconds.", "Try again in 10 seconds, please."])
def test_a_pause_that_is_asked_for_in_words_counts_where_no_header_says_it(asked: str) -> None:
    assert pause_asked_for({}, asked) == 10
    assert pause_asked_for({"retry-after": "3"}, asked) == 3
