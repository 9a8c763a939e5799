"""Durations as Go writes them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault_autoupdate.model.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("0.15s", 0.15),
        ("1h30m", 5400),
        ("1h30m15.5s", 5415.5),
        ("1.5h", 5400),
        ("160m", 9600),
        ("250ms", 0.25),
        ("1m1ms", 60.001),
        ("5us", 5e-6),
        ("5µs", 5e-6),
        ("1000000ns", 0.001),
        ("0s", 0),
        ("30m1h", 5400),
        ("1s1s", 2),
        ("87600h", 315_360_000),
        ("0" * 61 + "90s", 90),
    ],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text).total_seconds() == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "90", "s", "1 h", " 1h", "1h ", "1h\n", "-1h", "+1h", ".5h", "1.h", "1,5h", "1d", "1w", "1H", "1e3s",
        "inf", "nans", "0x1s", "\u0661s", "1h30", "h1", "1hm", "1..5s", "1s" * 40,
    ],
)  # fmt: skip
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration: write it like 90s, 0\.5s, 15m or 1h30m"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["87601h", "9" * 60 + "h", "9" * 60 + "ns", "5256001m"])
def test_what_is_longer_than_ten_years_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is longer than ten years"):
        parse_duration(text)


@given(st.text(max_size=80))
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    try:
        duration = parse_duration(text)
    except ValueError as error:
        assert len(str(error)) < 600  # noqa: PT017 - there is more to say than its message
    else:
        assert timedelta() <= duration <= timedelta(days=3650)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"), (0.15, "0.15s"), (0.000001, "0.000001s"), (1, "1s"), (1.5, "1.5s"), (1.2346, "1.235s"),
        (1.0003, "1s"), (45, "45s"), (59.25, "59.25s"), (60.5, "1m"), (60, "1m"),
        (59.9994, "59.999s"), (59.9996, "1m"), (1.0004, "1s"),
        (90, "1m30s"), (3600, "1h"), (5400, "1h30m"), (3601, "1h1s"), (9600, "2h40m"), (86_400, "24h"),
    ],
)  # fmt: skip
def test_durations_are_written_short(seconds: float, text: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == text


@given(st.timedeltas(timedelta(), timedelta(days=3650)))
def test_what_is_written_reads_back_as_nearly_the_same(duration: timedelta) -> None:
    again = parse_duration(format_duration(duration))

    tolerance = 1e-6 if duration < timedelta(seconds=1) else 6e-4 if duration < timedelta(minutes=1) else 0.51
    assert abs((again - duration).total_seconds()) <= tolerance


_PARTS = st.lists(
    st.tuples(st.integers(0, 999), st.sampled_from(["h", "m", "s", "ms", "us", "µs", "ns"])), min_size=1, max_size=5
).map(lambda parts: "".join(f"{number}{unit}" for number, unit in parts))


@given(_PARTS, _PARTS)
def test_a_duration_is_as_long_as_its_parts_together(one: str, other: str) -> None:
    together = parse_duration(one) + parse_duration(other)

    assert abs(parse_duration(one + other) - together) <= timedelta(microseconds=1)


@given(st.integers(0, 87_600 * 3600))
def test_whole_seconds_read_back_exactly(seconds: int) -> None:
    assert parse_duration(format_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)
