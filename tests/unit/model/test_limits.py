"""Limits on calls as text."""

from __future__ import annotations

import re

import pytest

from vault_autoupdate.model.limits import Limit, parse_limits

_NO_LIMIT = "is not a limit: write count/window, for example 200/60s"


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("200/60s", (Limit(200, 60),)),
        ("10000/1h,250/10s", (Limit(10_000, 3600), Limit(250, 10))),
        (" 1/1m , 2/0.15s ", (Limit(1, 60), Limit(2, 0.15))),
    ],
)
def test_limits_are_read(text: str, limits: tuple[Limit, ...]) -> None:
    assert parse_limits(text) == limits


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", f"'' {_NO_LIMIT}"),
        ("200", f"'200' {_NO_LIMIT}"),
        ("0/60s", f"'0/60s' {_NO_LIMIT}"),
        ("-1/60s", f"'-1/60s' {_NO_LIMIT}"),
        ("1.5/60s", f"'1.5/60s' {_NO_LIMIT}"),
        ("200/60s, ", f"'' {_NO_LIMIT}"),
        ("1/1s, x ", f"'x' {_NO_LIMIT}"),
        ("1234567890/1s", f"'1234567890/1s' {_NO_LIMIT}"),
        ("200/60", "'60' is not a duration: write it like 90s, 0.5s, 15m or 1h30m"),
        (" 200/0s", "the window of '200/0s' must be longer than nothing"),
    ],
)
def test_what_is_no_limit_is_refused_with_an_example(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        parse_limits(text)


@pytest.mark.parametrize("text", ["200/1m", "10000/1h", "2/0.15s", "1/1h30m"])
def test_a_limit_prints_as_it_is_written(text: str) -> None:
    assert str(parse_limits(text)[0]) == text
