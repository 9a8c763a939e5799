"""What a checkup says: from what was asked to findings, each with what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from vault_autoupdate.decide.role_report import RoleReport, RoleStanding
from vault_autoupdate.model.arm_id import ArmId, fold
from vault_autoupdate.model.checkup import (
    Finding,
    Greeting,
    Login,
    Permission,
    Read,
    Standing,
    TokenClaims,
    Way,
    is_allowed,
)
from vault_autoupdate.model.errors import ArmError, AzureError
from vault_autoupdate.model.text import plural

CLOCK_BOUND: Final = 300.0
"""Seconds by which clocks may differ: what Microsoft's libraries allow by default when they check a token."""
_OF_ARM: Final = (401, 404)
"""Its answers to a stranger; the second about a subscription that there is not."""
_CONTAINER: Final = "Microsoft.RecoveryServices/vaults/replicationFabrics/replicationProtectionContainers"
CHANGE_MAPPINGS: Final = f"{_CONTAINER}/replicationProtectionContainerMappings/write"
UPDATE_AGENTS: Final = f"{_CONTAINER}/replicationProtectedItems/updateMobilityService/action"
_ASK_FOR_ROLE: Final = (
    "Give the identity the role of docs/azure-role.json on the vault; a new assignment takes minutes."
)

__all__ = [
    "CHANGE_MAPPINGS",
    "CLOCK_BOUND",
    "UPDATE_AGENTS",
    "account_role",
    "clock",
    "connection",
    "count",
    "federated_token",
    "identity",
    "no_identity",
    "not_checked",
    "quota",
    "read",
    "right",
    "tenant",
    "token",
]


def identity(mode: str, client: str) -> Finding:
    """Which identity is configured, and by what."""
    named = f", client {client} (AZURE_CLIENT_ID)" if client else ""
    return Finding("identity", Standing.OK, f"{mode} (VAULT_AUTOUPDATE_CREDENTIAL){named}.")


def no_identity(problems: Iterable[str]) -> Finding:
    """That the configuration of the identity cannot be used."""
    return Finding(
        "identity",
        Standing.NOT_OK,
        f"{'; '.join(problems)}.",
        "Set these variables; in a cluster the chart does so (azure.auth), and the webhook of workload identity.",
    )


def not_checked(check: str, about: str = "", *, because: str) -> Finding:
    """That something was not asked, since it would only have failed for a reason that is told elsewhere."""
    return Finding(check, Standing.UNKNOWN, f"Not checked: {because}.", about=about)


def connection(endpoint: str, way: Way, outcome: Greeting | AzureError) -> Finding:
    """Whether ARM answers, and what lies between."""
    through = f"through the proxy {way.proxy}" if way.proxy else "without a proxy"
    trust = f", trusting {way.trust}" if way.trust else ""
    if isinstance(outcome, AzureError):
        return _failed("connection", outcome, prefix=f"{endpoint}, {through}{trust}: ")
    tls = f"{outcome.tls}, certificate issued by {outcome.issuer}" if outcome.tls else "plain HTTP"
    if outcome.status not in _OF_ARM:
        # Whatever else answers a call without a token: a log-in page, a proxy's refusal, a gateway out of order.
        return Finding(
            "connection",
            Standing.NOT_OK,
            f"{endpoint}, {through}{trust}: answered {outcome.status} to a call without a token, where ARM answers "
            f"401 ({tls}).",
            "Look for a proxy or firewall that answers in ARM's place, and check VAULT_AUTOUPDATE_ARM_ENDPOINT.",
        )
    return Finding("connection", Standing.OK, f"{endpoint} answers {through} ({tls}{trust}).")


def clock(greeting: Greeting) -> Finding:
    """Whether this machine's clock is right."""
    if greeting.date is None:
        return Finding("clock", Standing.UNKNOWN, "The answer has no Date.")
    # Date has whole seconds, so that on average it is half a second behind.
    ahead = (greeting.received_at - greeting.date).total_seconds() - 0.5
    if abs(ahead) <= CLOCK_BOUND:
        return Finding("clock", Standing.OK, f"Within {max(2, round(abs(ahead)) + 1)} s of ARM's.")
    word = "ahead of" if ahead > 0 else "behind"
    return Finding(
        "clock",
        Standing.NOT_OK,
        f"{abs(ahead):,.0f} s {word} ARM's: tokens seem expired, or not good yet.",
        "Set the clock of the machine, or of the node that the pod runs on (NTP).",
    )


def federated_token(claims: TokenClaims | None) -> Finding:
    """What the federated credential of the identity has to name."""
    if claims is None:
        return Finding(
            "federated token",
            Standing.NOT_OK,
            "AZURE_FEDERATED_TOKEN_FILE cannot be read.",
            "Look whether the webhook of workload identity has changed the pod (label azure.workload.identity/use), or "
            "set azure.auth.workloadIdentity.projectedToken=true.",
        )
    return Finding(
        "federated token",
        Standing.OK,
        f"Issuer {claims.issuer}, subject {claims.subject}, audience {claims.audience}: the identity's federated "
        "credential has to have exactly these.",
    )


def token(outcome: Login | AzureError) -> Finding:
    """Whether there is a token, whose, what for and until when. Never the token."""
    if isinstance(outcome, AzureError):
        return _failed("token", outcome)
    claims = outcome.claims
    named = {
        "application": claims.application,
        "object": claims.object,
        "name": claims.name,
        "tenant": claims.tenant,
        "audience": claims.audience,
    }
    parts = [f"{name} {value}" for name, value in named.items() if value]
    ends = f"good until {outcome.expires_at:%Y-%m-%dT%H:%M:%SZ}" if outcome.expires_at else ""
    said = ", ".join(filter(None, [f"From {outcome.source}", *parts, ends]))
    return Finding("token", Standing.OK, f"{said}.")


def tenant(login: Login, greeting: Greeting, subscription: str) -> Finding:
    """Whether the token is of the tenant that the subscription belongs to."""
    ours, theirs = login.claims.tenant, greeting.tenant
    if not ours or not theirs:
        return Finding("tenant", Standing.UNKNOWN, f"Neither token nor ARM say it of subscription {subscription}.")
    if fold(ours) == fold(theirs):
        return Finding("tenant", Standing.OK, f"Token and subscription {subscription} are of tenant {theirs}.")
    return Finding(
        "tenant",
        Standing.NOT_OK,
        f"The token is of tenant {ours}, subscription {subscription} of {theirs}.",
        f"Set AZURE_TENANT_ID to {theirs}, with an identity of that tenant; or az login --tenant {theirs}.",
    )


def read(check: str, resource: ArmId, outcome: Read | AzureError) -> Finding:
    """Whether something can be read."""
    if isinstance(outcome, AzureError):
        return _failed(check, outcome, about=resource.text)
    if not outcome.replicates:
        return Finding(check, Standing.OK, "Nothing is replicated with this vault yet.", about=resource.text)
    entries = "" if outcome.entries is None else f": {outcome.entries:,} on the first page"
    return Finding(check, Standing.OK, f"Can be read{entries}.", about=resource.text)


def right(
    check: str, resource: ArmId, action: str, outcome: Sequence[Permission] | AzureError, *, needed: bool = True
) -> Finding:
    """Whether the identity may do ``action``, as far as Azure tells it without it being done.

    Args:
        check: what it is for, in words.
        resource: the vault.
        action: as roles name it.
        outcome: the permissions, or why they cannot be read.
        needed: whether what is declared needs it.
    """
    if isinstance(outcome, AzureError):
        denied = isinstance(outcome, ArmError) and outcome.status == 403
        why = "This identity may not list its own permissions" if denied else outcome.message.rstrip(".")
        told = f"{why}; without changing something it cannot be told."
        action_text = "It shows at the first change; or grant Microsoft.Authorization/permissions/read as well."
        return Finding(check, Standing.UNKNOWN, told, action_text, resource.text)
    if is_allowed(outcome, action):
        return Finding(check, Standing.OK, f"A role allows {action}.", about=resource.text)
    if not needed:
        return Finding(
            check, Standing.OK, "No role allows it, and nothing is declared that needs it.", about=resource.text
        )
    return Finding(check, Standing.NOT_OK, f"No role allows {action}.", _ASK_FOR_ROLE, resource.text)


def account_role(vault: ArmId, outcome: RoleReport | AzureError | None) -> Finding:
    """Whether the identity of the Automation account may change the vault.

    Args:
        vault: the vault.
        outcome: what was found, or why nothing was; None where the account has no identity of its own.
    """
    check = "account role"
    if outcome is None:
        action = "Switch it on: Automation account > Identity > System assigned."
        return Finding(check, Standing.NOT_OK, "The account has no system-assigned identity.", action, vault.text)
    if isinstance(outcome, AzureError):
        return replace(_failed(check, outcome, about=vault.text), standing=Standing.UNKNOWN)
    if outcome.wrong:
        return Finding(check, Standing.NOT_OK, outcome.wrong.message, about=vault.text)
    if outcome.unclear:
        return Finding(check, Standing.UNKNOWN, outcome.unclear.message, about=vault.text)
    enough = outcome.standing is RoleStanding.ENOUGH
    doubt = "" if enough else "; nobody says whether that is enough"
    return Finding(
        check, Standing.OK, f"The account's identity is {', '.join(outcome.roles)}{doubt}.", about=vault.text
    )


def quota(reads: Iterable[Read]) -> Finding:
    """What Azure says is left to read, by the last answer that says it."""
    left = {name: value for each in reads for name, value in each.quotas}
    if not left:
        return Finding("quota", Standing.UNKNOWN, "No answer says how many calls are left.")
    return Finding("quota", Standing.OK, f"{', '.join(f'{name}: {value}' for name, value in left.items())}.")


def count(findings: Sequence[Finding]) -> str:
    """One line about all of them."""
    wrong = sum(finding.standing is Standing.NOT_OK for finding in findings)
    unknown = sum(finding.standing is Standing.UNKNOWN for finding in findings)
    parts = [f"{plural(len(findings), 'check')}", f"{wrong:,} not ok", f"{unknown:,} not known"]
    return f"{', '.join(parts)}."


def _failed(check: str, error: AzureError, *, prefix: str = "", about: str = "") -> Finding:
    message = f"{prefix}{error.reason}: {error.message}"
    return Finding(check, Standing.NOT_OK, message, error.recommended_action, about)
