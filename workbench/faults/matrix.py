"""The fault matrix: what must happen when any call of the operator meets any fault.

The tests run every cell, and docs/reliability.md is rendered from here. A fault strikes at exactly one kind of call;
all others work. A cell that makes no sense says why.
"""

from __future__ import annotations

from typing import Any, Final

from workbench.faults.model import (
    AgentCall,
    Call,
    Cell,
    Elsewhere,
    Expected,
    Fault,
    Group,
    ScheduleCall,
    SentElsewhere,
    Simulated,
    SkewedClock,
    TokenTrouble,
)

__all__ = ["AGENT_CELLS", "CELLS", "FAULTS", "LISTENER", "SCHEDULE_CELLS", "excuse", "told"]

LISTENER: Final = "{listener}"
"""Stands for the address of another host, which notes what it is asked."""
_WORDS: Final = "Words of Azure."
_NO_TOKEN: Final = Expected("AuthenticationFailed", "Unknown", "No token from the credential", absorbed=True)
_UNNOTICED: Final = Expected("Compliant", "True", "Auto-update is Enabled in all 3 mappings", absorbed=True)
_SHAPELESS: Final = {"status": 200, "body": {"unexpected": True}}


def _passing(reason: str, says: str, *, in_place: bool = True) -> dict[Group, Expected]:
    """A fault that may pass by itself. ``in_place``: the call is sent again, before the whole look comes back."""
    return {
        Group.OBSERVE: Expected(reason, "Unknown", says, absorbed=in_place),
        Group.TRACK: Expected("Progressing", "False", f"Jobs cannot be looked at now: {says}", absorbed=True),
        Group.APPLY: Expected("MappingsFailed", "False", says, absorbed=True),
        Group.MAKE_SURE: Expected("Progressing", "False", f"got through cannot be seen now: {says}", absorbed=True),
        Group.LOGIN: _NO_TOKEN,
    }


def _to_mend(reason: str, says: str) -> dict[Group, Expected]:
    """A fault that somebody has to mend: the vault is looked at again at the interval."""
    shown = Expected(reason, "False", says, absorbed=False)
    return {**dict.fromkeys(Group, shown), Group.LOGIN: _NO_TOKEN}


def _throttled() -> dict[Group, Expected]:
    """Azure wants to be left alone for so long that it can be waited for."""
    return {
        **_passing("Throttled", _WORDS),
        Group.APPLY: Expected("Progressing", "False", "Azure wants to be left alone until", absorbed=True),
    }


def _status(status: int, code: str, *, hits: int = 1) -> Simulated:
    return Simulated("status", {"status": status, "code": code, "message": _WORDS}, hits)


def _unreachable(name: str, title: str, injection: Simulated | SentElsewhere, **more: Any) -> Fault:
    return Fault(name, title, injection, _passing("ArmUnreachable", "No answer from"), **more)


def _refused(status: int, code: str) -> Fault:
    return Fault(str(status), f"{status} `{code}`", _status(status, code), _passing(code, _WORDS))


FAULTS: Final = (
    _unreachable("connection-refused", "connection refused", SentElsewhere(Elsewhere.CLOSED_PORT)),
    _unreachable("dns-failure", "the name does not resolve", SentElsewhere(Elsewhere.UNKNOWN_NAME)),
    _unreachable("tls-failure", "untrusted certificate", SentElsewhere(Elsewhere.UNTRUSTED_CERTIFICATE)),
    _unreachable("reset-before", "connection reset, request not processed", Simulated("reset_before")),
    _unreachable(
        "reset-after",
        "connection reset, request processed",
        Simulated("reset_after"),
        exceptions={Call.UPDATE_MAPPING: _UNNOTICED},
    ),
    _unreachable("time-out", "no answer in time", Simulated("hang")),
    _unreachable(
        "slow-head",
        "headers arrive drop by drop",
        Simulated("slow_head", {"seconds": 3600}),
        exceptions={Call.UPDATE_MAPPING: _UNNOTICED},
    ),
    _unreachable("slow-body", "body arrives drop by drop", Simulated("slow_body", {"seconds": 2})),
    _refused(408, "RequestTimeout"),
    _refused(409, "ConflictingOperation"),
    Fault(
        "429-with-retry-after",
        "429 with `Retry-After`",
        Simulated("throttle", {"retry_after": 0.05, "message": _WORDS}),
        _throttled(),
    ),
    Fault(
        "429-without-retry-after", "429 without `Retry-After`", Simulated("throttle", {"message": _WORDS}), _throttled()
    ),
    Fault(
        "429-with-a-date",
        "429 with a date as `Retry-After`",
        Simulated(
            "status",
            {"status": 429, "message": _WORDS, "headers": {"Retry-After": "Fri, 31 Dec 2100 23:59:59 GMT"}},
        ),
        {
            **_throttled(),
            Group.OBSERVE: Expected("Throttled", "Unknown", _WORDS, absorbed=False),
        },
    ),
    Fault(
        "429-with-an-absurd-retry-after",
        "429 with a `Retry-After` of 31 years",
        Simulated("throttle", {"retry_after": 1e9, "message": _WORDS}),
        {
            **_throttled(),
            Group.OBSERVE: Expected("Throttled", "Unknown", _WORDS, absorbed=False),
        },
    ),
    _refused(500, "InternalServerError"),
    Fault("502", "502 with an HTML page", Simulated("html"), _passing("Http502", "Bad Gateway")),
    _refused(503, "ServiceUnavailable"),
    _refused(504, "GatewayTimeout"),
    Fault(
        "html",
        "200 with an HTML page",
        Simulated("html", {"status": 200}),
        _passing("MalformedReply", "ARM answered 200 with"),
    ),
    Fault(
        "truncated-json",
        "JSON that stops half-way",
        Simulated("truncated_json"),
        _passing("MalformedReply", "ARM answered 200 with"),
    ),
    Fault(
        "wrong-shape",
        "JSON of another shape",
        Simulated("wrong_shape"),
        _passing("MalformedReply", "ARM's answer is not a"),
        injections={Call.UPDATE_MAPPING: Simulated("status", _SHAPELESS)},
    ),
    Fault(
        "401-once",
        "401, the fresh token is taken",
        Simulated("unauthorized"),
        {**dict.fromkeys(Group, _UNNOTICED), Group.LOGIN: _NO_TOKEN},
    ),
    Fault(
        "401-forever",
        "401, the fresh token is refused too",
        Simulated("unauthorized", hits=2),
        _to_mend("InvalidAuthenticationToken", "ARM refused the token, also a fresh one"),
    ),
    Fault(
        "403",
        "403 `AuthorizationFailed`",
        _status(403, "AuthorizationFailed"),
        _to_mend("AuthorizationFailed", "Grant the calling identity"),
        exceptions={Call.GET_VAULT: _UNNOTICED},
    ),
    Fault(
        "404",
        "404 `ResourceNotFound`",
        _status(404, "ResourceNotFound"),
        {
            **_to_mend("ResourceNotFound", "Check spec.vaultResourceId"),
            Group.APPLY: Expected("MappingsFailed", "False", "ResourceNotFound", absorbed=False),
            Group.MAKE_SURE: _UNNOTICED,
        },
        exceptions={
            Call.GET_JOB: _UNNOTICED,
            Call.GET_MAPPING: Expected("Progressing", "False", "1 failed", absorbed=True),
        },
    ),
    Fault(
        "token-endpoint-down",
        "the token has run out and the token endpoint is down",
        TokenTrouble(endpoint_is_down=True),
        {
            **_passing("AuthenticationFailed", "No token from the credential"),
            Group.APPLY: Expected("AuthenticationFailed", "Unknown", "No token from the credential", absorbed=False),
            Group.MAKE_SURE: _NO_TOKEN,
        },
    ),
    Fault(
        "token-expired",
        "the token runs out in mid-run",
        TokenTrouble(endpoint_is_down=False),
        {
            **dict.fromkeys(Group, _UNNOTICED),
            Group.LOGIN: Expected("ExpiredAuthenticationToken", "False", "tokens that have ended", absorbed=True),
        },
    ),
    Fault("azure-clock-ahead", "Azure's clock is 4 minutes ahead", SkewedClock(240), dict.fromkeys(Group, _UNNOTICED)),
    Fault(
        "azure-clock-behind", "Azure's clock is 4 minutes behind", SkewedClock(-240), dict.fromkeys(Group, _UNNOTICED)
    ),
    Fault(
        "redirect",
        "redirect to another host",
        Simulated("redirect", {"url": f"{LISTENER}/elsewhere"}),
        _to_mend("Http307", "ARM answered with a redirect, which is never followed"),
    ),
    Fault(
        "next-link-elsewhere",
        "`nextLink` to another host",
        Simulated("next_link_host", {"url": LISTENER}),
        _to_mend("UntrustedLink", "is not followed"),
    ),
    Fault(
        "next-link-loop",
        "`nextLink` to its own page",
        Simulated("next_link_loop"),
        _passing("MalformedReply", "The pages of list_", in_place=False),
        # The first page is read once more by its link, and then leads on.
        exceptions=dict.fromkeys(
            (Call.LIST_MAPPINGS, Call.LIST_JOBS),
            Expected("MalformedReply", "Unknown", "The pages of list_", absorbed=True),
        ),
    ),
)

_HAS_TIMES: Final = {Call.LIST_JOBS, Call.LIST_JOBS_POLL, Call.GET_JOB, Call.LIST_JOBS_LOST_ANSWER, Call.GET_TOKEN}


def excuse(call: Call | AgentCall | ScheduleCall, fault: Fault) -> str:
    """Why a cell makes no sense; empty when it makes sense."""
    if fault.name.startswith("next-link") and not call.is_list:
        return "the answer has no pages"
    if call in {Call.UPDATE_MAPPING, AgentCall.UPDATE_AGENT} and fault.name in {"slow-body", "truncated-json"}:
        return "an accepted change is answered without a body"
    if isinstance(fault.injection, SkewedClock) and call not in _HAS_TIMES:
        return "the answer has no time in it"
    if call is Call.GET_TOKEN and fault.name == "token-endpoint-down":
        return "that is what this column is about"
    return ""


CELLS: Final = tuple(Cell(call, fault) for fault in FAULTS for call in Call if not excuse(call, fault))
AGENT_CELLS: Final = tuple(Cell(call, fault) for fault in FAULTS for call in AgentCall if not excuse(call, fault))
"""The same for the calls about agents and the account."""
SCHEDULE_CELLS: Final = tuple(Cell(call, fault) for fault in FAULTS for call in ScheduleCall if not excuse(call, fault))
"""The same for the calls about the time of schedules."""


_NO_MATTER: Final = {(AgentCall.GET_ROLE_DEFINITION, "404"), (AgentCall.LIST_DENY_ASSIGNMENTS, "403")}
"""A role that does not exist any more says nothing, and whether something is denied may stay unknown."""


def told(call: AgentCall, fault: Fault) -> Expected | None:
    """What the condition of the agents, or that of the account, says while ``fault`` keeps ``call`` from its result.

    None: it says what it said before. What may pass by itself is looked at again at the next look.
    """
    expected = Cell(call, fault).expected
    if fault.name == "404" and call is AgentCall.GET_ACCOUNT:
        return Expected("AccountNotFound", "False", "", absorbed=False)
    if (call, fault.name) in _NO_MATTER:
        return Expected("Healthy", "True", "", absorbed=True)
    if fault.name == "404" and call.is_about_account and not call.is_about_role:
        return Expected("ResourceNotFound", "Unknown", "Check spec.automationAccountResourceId", absorbed=False)
    if expected.ready == "Unknown":
        return None
    if expected.ready == "True":
        good = "Healthy" if call.is_about_account else "AgentsCurrent"
        return Expected(good, "True", "", absorbed=True)
    return Expected(expected.reason, "Unknown", expected.says, absorbed=False)
