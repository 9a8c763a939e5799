"""Alerts about Azure: limits, rights, logins."""

from __future__ import annotations

from tools.docs_build.alerts_promql import MOVE, OPERATOR, Alert, grown, matching, refused_since, series

_OPTIONAL = (
    "get_vault|locate_vaults|list_items|get_account|list_schedules|list_job_schedules|list_account_jobs|list_usages"
    "|list_role_assignments|get_role_definition|list_deny_assignments"
)
_REFUSED = f'code="403",operation!~"{_OPTIONAL}"'
_UNREAD = 'state=~"forbidden|failing"'
_POSTPONED, _WOKEN = 'outcome="postponed"', 'outcome="woken"'
_BY = f"{OPERATOR}, operation"
_EXPIRES = f"min by ({OPERATOR}) ({series('credential_expiry_timestamp_seconds')}) - time()"


def _token(result: str) -> str:
    return f'result="{result}",identity!="resource"'


__all__ = ["AZURE_ALERTS"]

AZURE_ALERTS = (
    Alert(
        "Throttled",
        f"min by ({OPERATOR}, scope, region, kind) ({series('arm_throttle_share_ratio')}) < 0.9",
        "30m",
        "info",
        "Azure refuses calls because there are too many.",
        "For half an hour Azure has kept refusing {{ $labels.kind }} calls (429){{ with $labels.region }} about vaults in "
        "{{ . }}{{ end }}, so that the operator makes no more than {{ $value | humanizePercentage }} of those that the "
        "limits allow. Something else uses them up.",
        why="A refused call lowers the share by a third; it is back within some minutes without another one.",
    ),
    Alert(
        "AccessDenied",
        " or ".join(
            refused_since("arm_requests_total", refused, matching("code", "2.."), _BY)
            for refused in (matching("code", "401"), _REFUSED)
        ),
        "5m",
        "warning",
        "Azure refuses the operator's identity.",
        "{{ $labels.operation }} was refused (401 or 403), and has not been answered well since. The status of the "
        "resources names the action and scope that are missing.",
        why="An identity may do without the rights to read the vault itself, its replicated items, the Automation "
        "account and its role: what is not known for that is Unknown in the conditions. A refusal of a single vault among others "
        "that go well is VaultAutoUpdateStalled, which names it.",
    ),
    Alert(
        "CredentialFailing",
        refused_since("arm_token_requests_total", _token("error"), _token("success"), OPERATOR)
        + f" and on ({OPERATOR}) max by ({OPERATOR}) "
        + f"(changes({series('arm_token_requests_total', _token('error'), '[2h]')})) > 1",
        "5m",
        "critical",
        "The operator gets no new tokens for Azure.",
        '{{ $value | printf "%.0f" }} requests for a token have failed, and none has gone well since. When the present '
        "one ends, nothing works any more.",
        why="Tries become rare while it lasts, down to one an interval; and a hiccup that does not come again is none.",
    ),
    Alert(
        "CredentialExpiring",
        f"{_EXPIRES} < 14 * 86400 >= 2 * 86400",
        "5m",
        "warning",
        "The certificate that the operator logs in to Azure with is about to end.",
        "It ends in {{ $value | humanizeDuration }}.",
    ),
    Alert(
        "CredentialExpiring",
        f"{_EXPIRES} < 2 * 86400",
        "5m",
        "critical",
        "The certificate that the operator logs in to Azure with ends within two days, or has ended.",
        "It ends in {{ $value | humanizeDuration }}; then nothing works any more.",
    ),
    Alert(
        "HintsNotRead",
        f"max by ({OPERATOR}, state) (max_over_time({series('hint_logs', _UNREAD, MOVE)})) > 0",
        "2h",
        "info",
        "Activity logs that are read for hints cannot be read.",
        "{{ $value | humanize }} activity logs are {{ $labels.state }}. Vaults of these subscriptions are looked at at "
        "their interval, as without hints.",
        why="A state: a refused log is read once an hour only.",
    ),
    Alert(
        "HintsPostponed",
        f"{grown('hint_wakes_total', '[1h]', _POSTPONED)} > 0 unless on ({OPERATOR}) "
        f"{grown('hint_wakes_total', '[1h]', _WOKEN)} > 0",
        "1h",
        "info",
        "Changes are seen in the activity log, and no vault is looked at for them.",
        "For two hours no hint of the operator in namespace {{ $labels.namespace }} has woken a vault, though there were "
        "some: there are no reads to spare, or looks at these vaults fail.",
        why="One that waits is counted at each reading until it has had its look.",
    ),
)
