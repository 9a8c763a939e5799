"""Where each mapping of a vault stands, kept small. Pure.

Thousands of vaults are remembered for as long as the process runs, and the ids of their mappings would be most of that.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, MutableMapping, ValuesView
from typing import Final

from vault_autoupdate.decide.plan import Action

_BELOW_VAULT: Final = "/replicationfabrics/"
"""With that the key of a mapping goes on after the vault's."""

__all__ = ["Standings"]


class Standings(MutableMapping[str, Action]):
    """By mapping key, what was decided about each mapping of one vault.

    What the keys begin with, the vault's own, is kept once; the rest of a key once for all vaults that have a mapping
    of that name: Azure names fabrics, containers and mappings after regions.
    """

    __slots__ = ("_actions", "_common")

    def __init__(self, actions: Iterable[tuple[str, Action]] = ()) -> None:
        self._common = ""
        self._actions: dict[str, Action] = {}
        """By the rest of the key."""
        for key, action in actions:
            self[key] = action

    def __getitem__(self, key: str) -> Action:
        if not key.startswith(self._common):
            raise KeyError(key)
        return self._actions[key.removeprefix(self._common)]

    def __setitem__(self, key: str, action: Action) -> None:
        if not self._actions:
            self._common = key[: max(0, key.find(_BELOW_VAULT))]
        elif not key.startswith(self._common):
            self._actions = dict(self.items())
            self._common = ""
        self._actions[sys.intern(key.removeprefix(self._common))] = action

    def __delitem__(self, key: str) -> None:
        if not key.startswith(self._common):
            raise KeyError(key)
        del self._actions[key.removeprefix(self._common)]

    def __iter__(self) -> Iterator[str]:
        return (f"{self._common}{rest}" for rest in self._actions)

    def __len__(self) -> int:
        return len(self._actions)

    def values(self) -> ValuesView[Action]:
        """What was decided; the keys need not be put together for that."""
        return self._actions.values()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self.items())!r})"
