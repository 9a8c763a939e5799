"""The audit log of the API server: who asked for what, and whether it was allowed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

POLICY: Final = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
"""

__all__ = ["POLICY", "AuditEvent", "read_audit_log"]


@dataclass(frozen=True)
class AuditEvent:
    """One entry of the audit log. A watch makes two: one when it starts, one when it ends."""

    audit_id: str
    stage: str
    """``ResponseComplete``, or ``ResponseStarted`` for a watch that goes on, or ``Panic``."""
    verb: str
    """Verb as RBAC knows it: get, list, watch, create, update, patch, delete, deletecollection."""
    user: str
    user_agent: str
    uri: str
    group: str
    """API group; empty for the core group and for requests that name no resource."""
    resource: str
    """Plural name of the resource; empty for other requests, such as discovery."""
    subresource: str
    namespace: str
    name: str
    code: int
    """HTTP status of the answer."""
    allowed: bool
    """Whether the authorizer let it pass."""
    raw: dict[str, Any]

    @classmethod
    def parse(cls, line: str) -> AuditEvent:
        """Read one line of the log."""
        raw = json.loads(line)
        target = raw.get("objectRef", {})
        return cls(
            audit_id=raw["auditID"],
            stage=raw["stage"],
            verb=raw["verb"],
            user=raw.get("user", {}).get("username", ""),
            user_agent=raw.get("userAgent", ""),
            uri=raw["requestURI"],
            group=target.get("apiGroup", ""),
            resource=target.get("resource", ""),
            subresource=target.get("subresource", ""),
            namespace=target.get("namespace", ""),
            name=target.get("name", ""),
            code=raw.get("responseStatus", {}).get("code", 0),
            allowed=raw.get("annotations", {}).get("authorization.k8s.io/decision") == "allow",
            raw=raw,
        )


def read_audit_log(path: Path, *, user: str | None = None) -> Iterator[AuditEvent]:
    """Yield the complete entries of the log so far, oldest first; of one user only, if one is named."""
    if not path.exists():
        return
    with path.open() as lines:
        for line in lines:
            # The API server may be in the middle of a line.
            if not line.endswith("\n"):
                return
            event = AuditEvent.parse(line)
            if user in {None, event.user}:
                yield event
