"""Whether what a discovery has read can be all that there is. Pure.

Resource Graph pages by offset: a row that appears or vanishes meanwhile shifts the others, which then come twice or
never. It answers with a part of the truth where the caller may read only a part, and with a header alone where a tenant
is too large. So pages are believed only if they add up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vault_autoupdate.model.arm_id import fold
from vault_autoupdate.model.estate import Trouble

__all__ = ["GraphPage", "doubts_about", "unseen_subscriptions"]

_AGAIN = "Nothing is removed on it; the next discovery asks again."


@dataclass(frozen=True)
class GraphPage:
    """What one page of an answer of Resource Graph says about the whole of it."""

    total: int
    """``totalRecords``."""
    ids: tuple[str, ...]
    is_truncated: bool = False
    """``resultTruncated`` is ``"true"``: there is more, and no way to page on."""
    is_limited: bool = False
    """``x-ms-tenant-subscription-limit-hit``: more subscriptions are in scope than were asked."""


def doubts_about(pages: Sequence[GraphPage]) -> tuple[Trouble, ...]:
    """Say why a list of pages may not be the whole list; nothing if it is."""
    ids = [fold(each) for page in pages for each in page.ids]
    doubts = []
    if not pages:
        doubts.append(Trouble("NoPages", _AGAIN))
    if any(page.is_truncated for page in pages):
        doubts.append(Trouble("ResultTruncated", _AGAIN))
    if any(page.is_limited for page in pages):
        doubts.append(Trouble("SubscriptionLimitHit", "Narrow spec.scope, or set spec.discovery.source to List."))
    if len({page.total for page in pages}) > 1 or len(set(ids)) != len(ids):
        doubts.append(Trouble("PagesShifted", f"Rows came or went while they were read. {_AGAIN}"))
    elif any(page.total != len(ids) for page in pages):
        doubts.append(Trouble("RowsMissing", _AGAIN))
    return tuple(doubts)


def unseen_subscriptions(expected: Iterable[str], visible: Mapping[str, str]) -> dict[str, Trouble]:
    """Subscriptions that are in scope, and that the identity cannot see now.

    Args:
        expected: in scope.
        visible: those that the identity can see, with their states.
    """
    return {
        key: Trouble("SubscriptionNotVisible", "Check that it exists, and that the identity has a role in it.")
        for key in expected
        if key not in visible
    }
