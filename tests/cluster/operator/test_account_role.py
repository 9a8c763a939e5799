"""A vault whose account has no role, on a real API server with the operator as a process: told, mended, healthy."""

from __future__ import annotations

from typing import Any, Final

from tests.cluster.operator.conftest import SiteFactory
from workbench.site import condition

_HEALTH: Final = "AutomationAccountHealthy"
_FASTER: Final = {"VAULT_AUTOUPDATE_ROLE_CONFIRMATION": "2s"}
"""Nine times as fast as Azure's clock here; what was just given is there after twelve seconds all the same."""


def _said(status: dict[str, Any]) -> tuple[str, str]:
    found = condition(status, _HEALTH)
    return found.get("status", ""), found.get("reason", "")


def test_no_role_is_told_at_the_second_look_and_once_it_is_given_the_account_turns_healthy_by_itself(
    own_site: SiteFactory,
) -> None:
    site = own_site({"enabled_compliant": 2}, settings=_FASTER, roles={"account_role": None, "delay": 5})
    account = site.vault.account.rpartition("/")[2]
    (principal,) = (each["principal"] for each in site.sim.control.accounts() if each["name"] == account)
    site.operator.start()
    site.create()

    site.wait(lambda status: _said(status) == ("Unknown", "RoleNotSeen"), within=30)
    status = site.wait(lambda status: _said(status) == ("False", "RoleMissing"), within=30)

    looks = site.sim.control.requests(kind="role_assignments")
    assert len(looks) >= 2, "not told at the first look"
    assert looks[1]["real"] - looks[0]["real"] >= 1.9, "from where a look begins, a moment before its call"
    command = (
        f"az role assignment create --assignee-object-id {principal} --assignee-principal-type ServicePrincipal "
        f"--role Owner --scope {site.vault.id}"
    )
    assert command in condition(status, _HEALTH)["message"]
    assert condition(status)["status"] == "True", "the setting is as declared all the same"
    assert 'automation_account_problem{namespace="' in "".join(site.operator.metrics())

    site.sim.control.assign_role(account, "Owner", site.vault.id)
    status = site.wait(lambda status: _said(status) == ("True", "Healthy"), within=60)

    assert status["automationAccount"]["role"]["standing"] == "Enough"
    assert {each["method"] for each in site.sim.control.requests()} == {"GET"}, "nothing is granted, nothing changed"
