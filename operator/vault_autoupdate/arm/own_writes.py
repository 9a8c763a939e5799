"""What this process itself has written to Azure lately, to recognise it in the activity log.

By the client request id, which the log shows as it was sent. Whether that goes for one that is no GUID is not known, as
ours are none: so the correlation id counts as well, which Azure's answer names.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from vault_autoupdate.model.activity import ActivityEntry
from vault_autoupdate.model.arm_id import fold

_MOST: Final = 20_000
"""Ids. Writes of the last 50 minutes at the pace of one subscription and region that Site Recovery allows."""

__all__ = ["OwnWrites"]


class OwnWrites:
    """The ids of the last writes."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()

    def note(self, call_id: str) -> None:
        """Remember a client request id or a correlation id of a write; nothing for an empty one."""
        if not call_id:
            return
        self._ids[fold(call_id)] = None
        while len(self._ids) > _MOST:
            self._ids.popitem(last=False)

    def made(self, entry: ActivityEntry) -> bool:
        """Whether an entry is about one of them."""
        return fold(entry.request_id) in self._ids or fold(entry.correlation_id) in self._ids
