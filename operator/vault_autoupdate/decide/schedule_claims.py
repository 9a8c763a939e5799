"""Which vaults name a schedule, and what each declares: two that declare differently must not take turns. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

_GOOD_FOR: Final = timedelta(hours=24)
"""What a vault has claimed and not claimed again since is not claimed any more: its resource may be gone."""
_MOST_VAULTS: Final = 20_000

__all__ = ["ScheduleClaims"]


@dataclass(frozen=True)
class _Claim:
    declared: str
    schedules: frozenset[str]
    at: datetime


class ScheduleClaims:
    """What this process has seen of all vaults. Keys are those of the vault, and of account and schedule together."""

    def __init__(self) -> None:
        self._claims: OrderedDict[str, _Claim] = OrderedDict()

    def claim(self, vault: str, declared: str, schedules: frozenset[str], now: datetime) -> Mapping[str, str]:
        """Take note of the schedules of a vault.

        Args:
            vault: key of the vault.
            declared: when its schedules should run, in words.
            schedules: keys of those that its mappings name.
            now: the present.

        Returns:
            Of those that another vault claims too, for another time: when that is, in words.
        """
        self._claims[vault] = _Claim(declared, schedules, now)
        self._claims.move_to_end(vault)
        while len(self._claims) > _MOST_VAULTS:
            self._claims.popitem(last=False)
        others = [
            each
            for key, each in self._claims.items()
            if key != vault and each.declared != declared and now - each.at < _GOOD_FOR
        ]
        return {name: each.declared for each in others for name in each.schedules & schedules}

    def forget(self, vault: str) -> None:
        """A vault claims none."""
        self._claims.pop(vault, None)
