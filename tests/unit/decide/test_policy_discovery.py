"""Whether what was read can be all that there is: what is said where it cannot."""

from __future__ import annotations

import pytest

from vault_autoupdate.decide.policy_discovery import GraphPage, doubts_about
from vault_autoupdate.model.estate import Trouble

_AGAIN = "Nothing is removed on it; the next discovery asks again."
_SHIFTED = Trouble("PagesShifted", f"Rows came or went while they were read. {_AGAIN}")


@pytest.mark.parametrize(
    ("pages", "doubts"),
    [
        ([GraphPage(0, ())], []),
        ([GraphPage(3, ("a", "b")), GraphPage(3, ("c",))], []),
        ([], [Trouble("NoPages", _AGAIN)]),
        ([GraphPage(1, ("a",), is_truncated=True)], [Trouble("ResultTruncated", _AGAIN)]),
        (
            [GraphPage(1, ("a",), is_limited=True)],
            [Trouble("SubscriptionLimitHit", "Narrow spec.scope, or set spec.discovery.source to List.")],
        ),
        ([GraphPage(2, ("a",)), GraphPage(3, ("b",))], [_SHIFTED]),
        ([GraphPage(2, ("a",)), GraphPage(2, ("A",))], [_SHIFTED]),
        ([GraphPage(3, ("a",)), GraphPage(3, ("b",))], [Trouble("RowsMissing", _AGAIN)]),
        ([GraphPage(1, ("a",)), GraphPage(1, ("b",))], [Trouble("RowsMissing", _AGAIN)]),
        (
            [GraphPage(1, (), is_truncated=True), GraphPage(1, (), is_limited=True)],
            [
                Trouble("ResultTruncated", _AGAIN),
                Trouble("SubscriptionLimitHit", "Narrow spec.scope, or set spec.discovery.source to List."),
                Trouble("RowsMissing", _AGAIN),
            ],
        ),
    ],
)
def test_pages_are_believed_only_if_they_add_up(pages: list[GraphPage], doubts: list[Trouble]) -> None:
    assert list(doubts_about(pages)) == doubts
