"""Azure clouds: where ARM is, what its tokens are for, who issues them.

Values as azure-mgmt-core (``get_arm_endpoints``) and azure-identity (``AzureAuthorityHosts``) have them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["CLOUDS", "Cloud"]


@dataclass(frozen=True)
class Cloud:
    """One Azure cloud."""

    arm_endpoint: str
    """Base URL of Azure Resource Manager, without a trailing slash."""
    arm_audience: str
    """What a token must be for; ``/.default`` makes it a scope."""
    authority_host: str
    """Host that issues tokens."""
    write_limit: str
    """Limits on writes: Site Recovery's, and what ARM adds in this cloud."""
    read_limit: str
    """Limits on reads, likewise."""


# Site Recovery: 200 writes in any minute, 10,000 reads in any hour (Microsoft's runbook). ARM in the public
# cloud: a bucket of 250 reads that fills at 25 a second; 250 in any 10 s stays inside it at every instant. Its
# bucket of 200 writes and 10 a second never binds before Site Recovery's own limit does. ARM in the other
# clouds: 12,000 reads and 1,200 writes an hour (request-limits-and-throttling, "non-public clouds").
_PUBLIC: Final = {"write_limit": "200/60s", "read_limit": "10000/3600s,250/10s"}
_NON_PUBLIC: Final = {"write_limit": "200/60s,1200/3600s", "read_limit": "10000/3600s"}

CLOUDS: Final[dict[str, Cloud]] = {
    "AzurePublic": Cloud(
        "https://management.azure.com", "https://management.azure.com", "login.microsoftonline.com", **_PUBLIC
    ),
    "AzureUSGovernment": Cloud(
        "https://management.usgovcloudapi.net",
        "https://management.core.usgovcloudapi.net",
        "login.microsoftonline.us",
        **_NON_PUBLIC,
    ),
    "AzureChina": Cloud(
        "https://management.chinacloudapi.cn",
        "https://management.chinacloudapi.cn",
        "login.chinacloudapi.cn",
        **_NON_PUBLIC,
    ),
}
