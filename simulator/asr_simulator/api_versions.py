"""API versions that exist, as far as they were seen in published specifications, SDKs and recordings."""

from __future__ import annotations

SITE_RECOVERY_VERSIONS = (
    "2016-08-10",
    "2018-01-10",
    "2018-07-10",
    "2021-02-10",
    "2021-03-01",
    "2021-04-01",
    "2021-06-01",
    "2021-07-01",
    "2021-08-01",
    "2021-10-01",
    "2021-11-01",
    "2021-12-01",
    "2022-01-01",
    "2022-02-01",
    "2022-03-01",
    "2022-08-01",
    "2022-10-01",
    "2023-06-01",
    "2023-08-01",
    "2024-04-01",
    "2025-01-01",
    "2025-08-01",
    "2026-01-01",
    "2026-03-31-preview",
)
_VAULT_ONLY = ("2023-02-01", "2026-11-01")
VAULT_VERSIONS = tuple(sorted((*SITE_RECOVERY_VERSIONS, *_VAULT_ONLY)))
"""Versions of the vault itself: two were seen; that it knows all of Site Recovery's as well is inferred."""

AUTOMATION_VERSIONS = (
    "2015-10-31",
    "2017-05-15-preview",
    "2018-06-30",
    "2019-06-01",
    "2020-01-13-preview",
    "2023-11-01",
    "2024-10-23",
)
"""Versions of Automation; what is sent has the form of the newest."""

AUTHORIZATION_VERSIONS = (
    "2015-07-01",
    "2018-01-01-preview",
    "2018-07-01-preview",
    "2020-04-01-preview",
    "2020-10-01-preview",
    "2022-04-01",
)
"""Versions of access control; what is sent has the form of the newest."""

MANAGEMENT_GROUP_VERSIONS = ("2020-02-01", "2020-05-01", "2020-10-01", "2021-04-01", "2023-04-01")
SUBSCRIPTION_VERSIONS = ("2016-06-01", "2019-06-01", "2020-01-01", "2021-01-01", "2022-12-01")
PERMISSION_VERSIONS = ("2015-07-01", "2018-01-01-preview", "2022-04-01")
GRAPH_VERSIONS = ("2019-04-01", "2021-03-01", "2022-10-01", "2024-04-01")
"""Stable versions of Resource Graph; what is sent has the form of the newest."""
ACTIVITY_LOG_VERSIONS = ("2015-04-01",)
"""The only one seen."""

__all__ = [
    "ACTIVITY_LOG_VERSIONS",
    "AUTHORIZATION_VERSIONS",
    "AUTOMATION_VERSIONS",
    "GRAPH_VERSIONS",
    "MANAGEMENT_GROUP_VERSIONS",
    "PERMISSION_VERSIONS",
    "SITE_RECOVERY_VERSIONS",
    "SUBSCRIPTION_VERSIONS",
    "VAULT_VERSIONS",
]
