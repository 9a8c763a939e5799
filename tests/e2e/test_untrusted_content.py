"""ARM, or what answers in its place, says hostile things: no call leaves the vault, and no terminal obeys."""

from __future__ import annotations

import io
import logging
from typing import Any

import pytest
from rich.console import Console

from tests.e2e.conftest import AzureFactory
from tests.unit.builders import disabled
from vault_autoupdate.arm.wire import site_recovery as wire
from vault_autoupdate.cli import view as terminal
from vault_autoupdate.decide.plan import make_plan
from vault_autoupdate.logs import configure_logging
from vault_autoupdate.model.azure import ContainerMapping
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.resource import Goal
from vault_autoupdate.report.restore import restore
from vault_autoupdate.settings import load_settings
from workbench.core import ACCOUNT, VAULT, resource

OTHER = VAULT.replace("/vaults/dr", "/vaults/other-teams")
CONTAINER = "replicationFabrics/f/replicationProtectionContainers/c/replicationProtectionContainerMappings"
HOSTILE = "\x1b[2J\x1b]0;owned\x07\x9b31m[red]red[/red] :skull:\r\nsecond line"


@pytest.mark.parametrize(
    "mapping_id",
    [
        f"{OTHER}/{CONTAINER}/m",
        f"{VAULT}/{CONTAINER}/../../../../../../other-teams/{CONTAINER}/m",
        f"{VAULT}/{CONTAINER}/m?x=",
        f"{VAULT}/{CONTAINER}/{HOSTILE}",
        f"https://evil.example{VAULT}/{CONTAINER}/m",
    ],
)
async def test_a_mapping_that_is_not_in_the_vault_is_neither_read_nor_changed(
    azure: AzureFactory, mapping_id: str
) -> None:
    arm = azure(mix={"disabled": 1})
    details = {"instanceType": "A2A", "agentAutoUpdateStatus": "Disabled"}
    item = {"id": mapping_id, "name": "m", "properties": {"state": "Paired", "providerSpecificDetails": details}}
    arm.control.add_fault(kind="wrong_shape", method="GET", route="mappings", body={"value": [item]}, forever=True)

    outcome = await arm.reconcile(resource())

    assert outcome.readiness.reason == "MalformedReply"
    assert "which is not one of this vault" in outcome.readiness.message
    assert outcome.readiness.message.isprintable()
    assert arm.requests("PATCH") == []
    of_the_account = f"{ACCOUNT.lower()}/"
    others = [
        record
        for record in arm.requests()
        if record["kind"] != "token" and not f"{record['path'].lower()}/".startswith(of_the_account)
    ]
    assert {record["vault"] for record in others} == {"dr"}


@pytest.mark.parametrize("job", ["..", "../../../vaults/other-teams/replicationJobs/x", "x?y", "x/y"])
async def test_a_job_that_a_status_names_is_looked_for_in_the_vault_alone(azure: AzureFactory, job: str) -> None:
    arm = azure(mix={"disabled": 1})
    (mapping,) = arm.control.mappings("dr")
    path = "/".join(mapping["id"].split("/")[-5::2])
    status = {"operations": [{"mapping": path, "jobId": job, "startedAt": "2026-01-01T00:00:00Z"}]}
    state = restore(status, resource().spec.vault_resource_id, arm.core.reconciler._now())
    assert len(state.operations) == 1

    await arm.reconcile(resource(), state)

    assert [record["path"] for record in arm.requests() if record["kind"] == "job" and job in record["path"]] == []
    of_the_account = f"{ACCOUNT.lower()}/"
    others = [
        record
        for record in arm.requests()
        if record["kind"] != "token" and not f"{record['path'].lower()}/".startswith(of_the_account)
    ]
    assert {record["vault"] for record in others} == {"dr"}


def _hostile_mapping() -> ContainerMapping:
    details = {"instanceType": "A2A", "agentAutoUpdateStatus": HOSTILE, "automationAccountArmId": HOSTILE}
    properties = {"state": "Paired", "providerSpecificDetails": details}
    return wire.mapping({"id": disabled("m").id, "name": HOSTILE, "properties": properties})


def test_what_is_shown_holds_no_control_characters_and_no_markup_is_obeyed() -> None:
    wanted = resource()
    goal = Goal(wanted.spec.auto_update, wanted.spec.automation_account_resource_id)
    plan = make_plan(goal, [_hostile_mapping()], running={}, attempts={}, now=wanted.created_at)
    explanation = wire.job(
        {"name": "j", "properties": {"errors": [{"serviceErrorDetails": {"code": HOSTILE, "message": HOSTILE}}]}}
    ).errors[0]
    shown = io.StringIO()
    for is_terminal in (True, False):
        console = Console(file=shown, force_terminal=is_terminal, color_system=None, width=400)
        terminal.show_plan(console, wanted, plan, everything=True)
        with terminal.open_view(console) as view:
            view.outcome("f/c/m", "failed", Explanation(explanation.code, explanation.message))
    printed = shown.getvalue().replace("\x1b[?25l", "").replace("\x1b[?25h", "").replace("\x1b[2K", "")

    assert "\x07" not in printed
    assert "\x9b" not in printed
    assert "\x1b]" not in printed
    assert "\x1b[2J" not in printed
    assert printed.count("[red]red[/red]") >= 4


def test_a_log_line_is_one_line_whatever_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    try:
        configure_logging(load_settings({}, {}))
        fields: dict[str, Any] = {"mapping": HOSTILE}
        logging.getLogger("vault_autoupdate.test").info("changing %s", HOSTILE, extra=fields)
    finally:
        root.handlers[:], root.level = before

    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable()
    assert "second line" in line
