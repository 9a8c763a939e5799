"""Alerts about Azure: limits, rights, logins."""

from __future__ import annotations

from tools.docs_build.alerts_promql import (
    MOVE,
    OPERATOR,
    PROCESS,
    Alert,
    grown,
    last_grown,
    refused_since,
    series,
)

_OPTIONAL = (
    "get_vault|locate_vaults|list_items|get_account|list_schedules|list_job_schedules|list_account_jobs|list_usages"
    "|list_role_assignments|get_role_definition|list_deny_assignments"
)
_REFUSED = f'code="403",operation!~"{_OPTIONAL}"'
_UNREAD = 'state=~"forbidden|failing"'
_POSTPONED, _WOKEN = 'outcome="postponed"', 'outcome="woken"'
_BY = f"{PROCESS}, operation"
_EXPIRES = f"min by ({OPERATOR}) ({series('credential_expiry_timestamp_seconds')}) - time()"


def _token(result: str) -> str:
    return f'result="{result}",identity!="resource"'


_ERROR, _SUCCESS = _token("error"), _token("success")
_CALLS, _TOKENS = "arm_requests_total", "arm_token_requests_total"
_REFUSALS = ('code="401"', _REFUSED)
_NO_TOKENS = refused_since(
    _TOKENS, PROCESS, "token_refused:timestamp_seconds", "token_answered:timestamp_seconds", _ERROR
)
_EACH = f"{PROCESS}, instance"
_NEVER = f"max by ({_EACH}) ({series(_TOKENS, _ERROR)}) > 0 unless max by ({_EACH}) ({series(_TOKENS, _SUCCESS)}) > 0"

__all__ = ["AZURE_ALERTS", "REFUSAL_RULES"]

REFUSAL_RULES = (
    last_grown("refused:timestamp_seconds", _CALLS, _BY, 'code=~"401|403"'),
    last_grown("answered:timestamp_seconds", _CALLS, _BY, 'code=~"2.."'),
    last_grown("token_refused:timestamp_seconds", _TOKENS, PROCESS, _ERROR),
    last_grown("token_answered:timestamp_seconds", _TOKENS, PROCESS, _SUCCESS),
    Alert(
        "AccessDenied",
        f"max by ({OPERATOR}, operation) ("
        + refused_since(_CALLS, _BY, "refused:timestamp_seconds", "answered:timestamp_seconds", *_REFUSALS)
        + ")",
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
        f"max by ({OPERATOR}) ({_NO_TOKENS} and on ({PROCESS}) "
        f"(max by ({PROCESS}) (changes({series(_TOKENS, _ERROR, '[49h]')})) > 1 or {_NEVER}))",
        "5m",
        "critical",
        "The operator gets no new tokens for Azure.",
        '{{ $value | printf "%.0f" }} requests for a token have failed, and none has gone well since. When the present '
        "one ends, nothing works any more.",
        why="Tries become rare while it lasts, down to one an interval, which may be a day; and a hiccup that does not "
        "come again is none. A process that has never got a token need not fail twice.",
    ),
)

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
