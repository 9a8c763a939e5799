"""The role of the account's identity: told with the command that gives it one, and seen to be there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

import pytest

from asr_simulator import SimulatorThread, parse_scenario
from tests.faults.trial import Clock, skippable_clock
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.model.arm_id import parse_vault_id
from vault_autoupdate.report.document import build_status
from vault_autoupdate.report.restore import restore
from workbench.core import ACCOUNT, SUBSCRIPTION, VAULT, Azure, open_azure, resource, scenario_document

CONFIRMATION: Final = 900.0
"""Seconds for which no role must have been seen; the clock is skipped, not scaled, in these tests."""
GROUP: Final = VAULT.partition("/providers")[0]
HEALTHY: Final[dict[str, Any]] = {"vault": {"mix": {"enabled_compliant": 2}}}


class Site:
    """One vault, and our clock and Azure's, which are skipped together."""

    def __init__(self, azure: Azure, clock: Clock) -> None:
        self.azure = azure
        self.control = azure.control
        self.clock = clock
        self.state = VaultState()
        self.status: dict[str, Any] = {}

    @property
    def principal(self) -> str:
        """Of the account's identity as it is now."""
        return next(each["principal"] for each in self.control.accounts() if each["id"] == ACCOUNT)

    async def look(self, *, after: float = 0.0, **changes: Any) -> dict[str, Any]:
        """Let time pass and look at the account; returns the condition."""
        if after:
            self.clock.skipped += after
            self.control.advance(after)
            self.state.account.due = min(self.state.account.due or self.clock.now(), self.clock.now())
        outcome = await self.azure.reconcile(resource(**changes), self.state)
        assert (outcome.error, outcome.readiness.ready) == (None, "True"), "whatever the role, the setting is right"
        self.requeue_after = outcome.requeue_after
        self.status = build_status(resource(**changes), self.state, outcome.readiness, self.status, self.clock.now())
        return next((each for each in self.status["conditions"] if each["type"] == "AutomationAccountHealthy"), {})

    def restart(self) -> None:
        """Forget all that the status does not say."""
        self.state = restore(self.status, parse_vault_id(VAULT), self.clock.now())

    def calls(self) -> list[str]:
        """What was asked of Azure's access control."""
        kinds = {"role_assignments", "role_definition", "deny_assignments"}
        return [each["kind"] for each in self.azure.requests() if each["kind"] in kinds]

    @property
    def role(self) -> dict[str, Any]:
        """What the status says of it."""
        found: dict[str, Any] = self.status["automationAccount"]["role"]
        return found


Begin = Callable[..., AbstractContextManager[Site]]


@pytest.fixture
def begin(monkeypatch: pytest.MonkeyPatch) -> Begin:
    """Starts an Azure with one vault; roles are those of the scenario's section of that name."""

    @contextmanager
    def site(**roles: Any) -> Iterator[Site]:
        document = scenario_document(**HEALTHY, roles=roles)
        with SimulatorThread(parse_scenario(document)) as sim:
            for name, value in sim.identity_env.items():
                monkeypatch.setenv(name, value)
            settings = {"role_confirmation": "15m", "agent_interval": "6h"}
            with skippable_clock(monkeypatch) as clock, open_azure(sim, **settings) as azure:
                yield Site(azure, clock)

    return site


async def test_no_role_is_told_at_the_second_look_with_the_command_and_mended_it_turns_healthy(begin: Begin) -> None:
    with begin(account_role=None) as site:
        said = await site.look()
        assert (said["status"], said["reason"]) == ("Unknown", "RoleNotSeen")
        assert site.requeue_after is not None
        assert 0 < site.requeue_after.total_seconds() <= CONFIRMATION, "the second look does not wait for six hours"
        said = await site.look(after=CONFIRMATION)
        assert (said["status"], said["reason"]) == ("False", "RoleMissing")
        command = (
            f"az role assignment create --assignee-object-id {site.principal} --assignee-principal-type "
            f"ServicePrincipal --role Owner --scope {VAULT}"
        )
        assert command in said["message"]
        assert command in site.status["automationAccount"]["problems"][0]["message"]
        site.control.assign_role("aa-dr", "Owner", VAULT)
        assert site.requeue_after is not None
        assert site.requeue_after.total_seconds() <= 3600, "nor does the look after it was mended"
        said = await site.look(after=3600)
        assert (said["status"], said["reason"]) == ("True", "Healthy")
        assert "Owner on the vault" in said["message"]
        assert set(site.calls()) == {"role_assignments", "deny_assignments"}


async def test_a_second_look_too_soon_claims_nothing(begin: Begin) -> None:
    with begin(account_role=None) as site:
        await site.look()
        said = await site.look(after=CONFIRMATION - 60)
        assert said["reason"] == "RoleNotSeen"


async def test_a_role_that_was_given_a_moment_ago_is_never_called_missing(begin: Begin) -> None:
    with begin(account_role=None, delay=600) as site:
        site.control.assign_role("aa-dr", "Contributor", VAULT)
        assert (await site.look())["reason"] == "RoleNotSeen"
        assert (await site.look(after=CONFIRMATION))["reason"] == "Healthy"


async def test_since_when_there_is_no_role_outlives_the_process(begin: Begin) -> None:
    with begin(account_role=None) as site:
        await site.look()
        site.restart()
        said = await site.look(after=CONFIRMATION)
        assert said["reason"] == "RoleMissing"


async def test_a_process_that_was_started_anew_looks_for_a_missing_role_as_soon_as_the_one_before(begin: Begin) -> None:
    with begin(account_role=None) as site:
        await site.look()
        site.restart()
        await site.look()
        assert site.state.account.due is not None
        assert (site.state.account.due - site.clock.now()).total_seconds() <= CONFIRMATION


@pytest.mark.parametrize(
    ("scope", "where"),
    [
        (VAULT, "the vault"),
        (VAULT.upper(), "the vault"),
        (GROUP, "resource group rg-dr"),
        (f"/subscriptions/{SUBSCRIPTION}", "the subscription"),
        ("/providers/Microsoft.Management/managementGroups/root", "management group root"),
        ("/", "the whole tenant"),
    ],
)
async def test_a_role_on_anything_above_the_vault_counts(begin: Begin, scope: str, where: str) -> None:
    given = {"principal": "aa-dr", "role": "Contributor", "scope": scope}
    with begin(assignments=[given]) as site:
        said = await site.look()
        assert (said["status"], said["reason"]) == ("True", "Healthy")
        assert site.role["roles"] == [f"Contributor on {where}"]


@pytest.mark.parametrize(
    "scope",
    [
        f"{VAULT}2",
        f"{GROUP}-other",
        f"{VAULT}/replicationFabrics/f",
        ACCOUNT,
        "/subscriptions/6f3b9f5e-8a3c-4c7e-9a53-0d1f6b2c7a11",
    ],
)
async def test_a_role_on_anything_else_does_not(begin: Begin, scope: str) -> None:
    given = {"principal": "aa-dr", "role": "Contributor", "scope": scope}
    with begin(assignments=[given]) as site:
        assert (await site.look())["reason"] == "RoleNotSeen"
        assert (await site.look(after=CONFIRMATION))["reason"] == "RoleMissing"


async def test_a_role_by_way_of_a_group_counts_however_deep(begin: Begin) -> None:
    groups = [{"name": "inner", "members": ["aa-dr"]}, {"name": "outer", "members": ["inner"]}]
    given = {"principal": "outer", "role": "Contributor", "scope": VAULT}
    with begin(account_role=None, groups=groups, assignments=[given]) as site:
        said = await site.look()
        assert said["reason"] == "Healthy"
        assert "by a group" in said["message"]


async def test_what_the_identity_before_had_does_not_count_and_that_is_said(begin: Begin) -> None:
    with begin() as site:
        assert (await site.look())["reason"] == "Healthy"
        former = site.principal
        for identity in ("None", "SystemAssigned"):
            site.control.set_account("aa-dr", identity=identity)
        assert site.principal != former
        assert (await site.look(after=60))["reason"] == "RoleNotSeen"
        said = await site.look(after=CONFIRMATION)
        assert said["reason"] == "RoleMissing"
        assert former in said["message"]
        assert site.role["formerPrincipalId"] == former
        assert site.role["principalId"] == site.principal


async def test_a_role_that_only_reads_is_too_weak(begin: Begin) -> None:
    given = {"principal": "aa-dr", "role": "Reader", "scope": VAULT}
    with begin(assignments=[given]) as site:
        said = await site.look()
        assert (said["status"], said["reason"]) == ("False", "RoleTooWeak")
        assert "Reader on the vault" in said["message"]
        assert "az role assignment create" in said["message"]


async def test_of_any_other_role_its_name_is_told_and_nothing_is_claimed(begin: Begin) -> None:
    own = {"name": "Updater of ours", "actions": ["Microsoft.RecoveryServices/*"], "not_actions": ["*/delete"]}
    given = {"principal": "aa-dr", "role": "Updater of ours", "scope": GROUP}
    with begin(definitions=[own], assignments=[given]) as site:
        said = await site.look()
        assert (said["status"], said["reason"]) == ("True", "Healthy")
        assert "Updater of ours on resource group rg-dr; nobody says whether that is enough" in said["message"]
        for _ in range(3):
            await site.look(after=21_600)
        assert site.calls().count("role_definition") == 1, "a definition does for a day"
        await site.look(after=21_600)
        assert site.calls().count("role_definition") == 2


async def test_who_is_denied_it_can_do_nothing_with_its_role(begin: Begin) -> None:
    with begin() as site:
        site.control.deny("stack of the platform", GROUP)
        said = await site.look()
        assert (said["status"], said["reason"]) == ("False", "RoleDenied")
        assert "stack of the platform" in said["message"]
        assert site.principal in said["message"]


@pytest.mark.parametrize(
    "denied",
    [
        {"exclude": ["aa-dr"]},
        {"principals": ["5c0d3f0e-0000-4000-8000-000000000009"]},
        {"scope": GROUP, "only_there": True},
        {"actions": ["*/delete"]},
        {"actions": ["Microsoft.Compute/*"]},
    ],
    ids=["excluded", "somebody else", "only the group itself", "deleting", "machines"],
)
async def test_what_is_denied_to_others_or_is_something_else_does_not_matter(
    begin: Begin, denied: dict[str, Any]
) -> None:
    with begin() as site:
        site.control.deny(**{"name": "d", "scope": VAULT, **denied})
        assert (await site.look())["reason"] == "Healthy"


async def test_without_the_right_to_read_roles_the_condition_says_what_to_grant(begin: Begin) -> None:
    with begin(account_role=None) as site:
        message = (
            "The client 'c' with object id 'o' does not have authorization to perform action "
            "'Microsoft.Authorization/roleAssignments/read' over scope '/subscriptions/s' or the scope is invalid."
        )
        fault = site.control.add_fault(
            "status", route="role_assignments", status=403, code="AuthorizationFailed", message=message, forever=True
        )
        said = await site.look()
        assert (said["status"], said["reason"]) == ("Unknown", "AuthorizationFailed")
        assert "Microsoft.Authorization/roleAssignments/read" in said["message"]
        site.control.set_account("aa-dr", state="Suspended")
        said = await site.look(after=21_600)
        assert (said["status"], said["reason"]) == ("False", "AccountNotOk"), "what is wrong beside it is told"
        site.control.remove_fault(fault)
        site.control.set_account("aa-dr", state="Ok")
        assert (await site.look(after=21_600))["reason"] == "RoleNotSeen"


async def test_deny_assignments_that_may_not_be_read_are_no_reason_to_doubt_the_role(begin: Begin) -> None:
    with begin() as site:
        site.control.add_fault(
            "status", route="deny_assignments", status=403, code="AuthorizationFailed", message="No.", forever=True
        )
        said = await site.look()
        assert (said["status"], said["reason"]) == ("True", "Healthy")
        assert "Microsoft.Authorization/denyAssignments/read" in said["message"]


@pytest.mark.parametrize("changes", [{"automationAccountChecks": False}, {"autoUpdate": "Disabled"}])
async def test_where_it_does_not_matter_nobody_asks_for_roles(begin: Begin, changes: dict[str, Any]) -> None:
    with begin(account_role=None) as site:
        outcome = await site.azure.reconcile(resource(**changes), site.state)
        assert outcome.error is None
        assert site.calls() == []


async def test_without_an_identity_there_is_no_role_to_ask_for(begin: Begin) -> None:
    with begin(account_role=None) as site:
        site.control.set_account("aa-dr", identity="None")
        assert (await site.look())["reason"] == "NoSystemAssignedIdentity"
        assert site.calls() == []
