"""What Azure's activity log says: who has asked Resource Manager for what, and when. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final

from vault_autoupdate.model.arm_id import fold

DONE: Final = frozenset({"accepted", "succeeded"})
"""Statuses (folded) of a call that was let through."""
FAILED: Final = "failed"

__all__ = ["DONE", "FAILED", "ActivityEntry"]


@dataclass(frozen=True)
class ActivityEntry:
    """One entry. A call has several, which share its correlation id. Texts are empty where the log has none."""

    id: str
    """Of the entry alone."""
    operation: str
    """As Azure's access control names it, for example ``Microsoft.Automation/automationAccounts/write``."""
    status: str
    resource_id: str
    at: datetime
    """When it happened; when it began to show is later."""
    correlation_id: str = ""
    request_id: str = ""
    """The client request id of the call."""
    caller: str = ""
    """A user's name, or an application's id. Personal data."""
    object_id: str = ""
    """Of the user or service principal in Entra ID."""
    application_id: str = ""
    """Of the application by which they called: the portal's, Terraform's."""

    @cached_property
    def resource_key(self) -> str:
        """The resource's id, for comparing."""
        return fold(self.resource_id)

    @property
    def is_done(self) -> bool:
        """Whether the call was let through, as far as this entry tells."""
        return fold(self.status) in DONE

    @property
    def is_failed(self) -> bool:
        """Whether the call, or what it began, has failed."""
        return fold(self.status) == FAILED
