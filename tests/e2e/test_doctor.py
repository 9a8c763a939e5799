"""``vault-autoupdate doctor``: each thing that can be wrong between here and a vault is named, with what to do."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from asr_simulator import SimulatorThread, Tls, parse_scenario
from vault_autoupdate.cli.main import main
from workbench.core import ACCOUNT, VAULT, scenario_document
from workbench.kube.certificates import Authority
from workbench.process.command_line import environment, write_manifest
from workbench.process.command_line import run as run_process

CLIENT = "0f9d3c51-2b54-4f5e-8a0c-93c1f5a7e111"
TENANT = "3f1f7c4e-2b7d-4b1e-9d2a-7c6a1e5b9f00"
OTHER_TENANT = "11111111-2b7d-4b1e-9d2a-7c6a1e5b9f00"
BOTH = ("--vault", VAULT, "--automation-account", ACCOUNT)
WRITE = (
    "Microsoft.RecoveryServices/vaults/replicationFabrics/replicationProtectionContainers"
    "/replicationProtectionContainerMappings/write"
)

Serve = Callable[..., SimulatorThread]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts an Azure in which one identity is known, with what is said of it."""
    with ExitStack() as stack:

        def start(*, tls: Tls | None = None, **identity: Any) -> SimulatorThread:
            document = scenario_document(
                identity={"tenant_id": TENANT, "identities": [{"client_id": CLIENT, **identity}]}
            )
            return stack.enter_context(SimulatorThread(parse_scenario(document), tls=tls))

        yield start


def _run(*arguments: str, sim: SimulatorThread | None = None, **more: str) -> Result:
    """The command in this process; its environment is that of a command of its own."""
    clean: dict[str, str | None] = {name: None for name in os.environ if name.startswith(("AZURE_", "REQUESTS_"))}
    return CliRunner().invoke(main, ["doctor", *arguments], env=clean | environment(sim, **more))


def _checks(result: Result) -> dict[str, dict[str, Any]]:
    """The findings of ``-o json`` by name."""
    assert isinstance(result.exception, SystemExit | None), result.exception
    return {each["check"]: each for each in json.loads(result.stdout)}


def _wrong(result: Result) -> set[str]:
    return {name for name, each in _checks(result).items() if each["standing"] == "NotOk"}


def test_where_all_is_well_each_line_says_ok_and_it_exits_0(serve: Serve) -> None:
    sim = serve()
    result = run_process("doctor", *BOTH, sim=sim, AZURE_CLIENT_ID=CLIENT)

    assert (result.returncode, result.stderr) == (0, "")
    lines = [line for line in result.stdout.splitlines()[:-1] if not line.startswith("/")]
    assert [line for line in lines if not line.startswith("ok ")] == []
    assert [line[10:27].strip() for line in lines] == [
        *("identity", "connection", "clock", "token", "tenant"),
        *("vault", "mappings", "jobs", "replicated items", "change mappings", "update agents"),
        *("account", "schedules", "job schedules", "runs", "usages", "account role", "quota"),
    ]
    assert result.stdout.splitlines()[-1] == "18 checks, 0 not ok, 0 not known."


def test_it_says_which_identity_it_is_and_how_it_was_found_but_never_shows_the_token(serve: Serve) -> None:
    result = _run(*BOTH, "-o", "json", sim=serve(), AZURE_CLIENT_ID=CLIENT)
    checks = _checks(result)

    assert checks["identity"]["message"] == (
        f"managed-identity (VAULT_AUTOUPDATE_CREDENTIAL), client {CLIENT} (AZURE_CLIENT_ID)."
    )
    assert checks["token"]["message"].startswith(f"From ManagedIdentityCredential, application {CLIENT}, object ")
    assert f"tenant {TENANT}, audience https://management.azure.com, good until 20" in checks["token"]["message"]
    assert "eyJ" not in result.stdout + result.stderr


def test_it_changes_nothing_and_asks_each_thing_once(serve: Serve) -> None:
    sim = serve()
    _run(*BOTH, sim=sim)
    requests = sim.control.requests()

    assert {request["method"] for request in requests} == {"GET"}
    assert len({request["path"] for request in requests}) == len(requests)


def test_a_manifest_names_vault_and_account_too(serve: Serve, tmp_path: Path) -> None:
    result = _run(str(write_manifest(tmp_path / "vault.yaml")), "-o", "json", sim=serve())
    assert result.exit_code == 0
    assert {each["about"] for each in _checks(result).values() if "about" in each} == {VAULT, ACCOUNT}


def test_without_a_vault_it_checks_what_concerns_none(serve: Serve) -> None:
    result = _run("-o", "json", sim=serve())
    assert result.exit_code == 0
    assert list(_checks(result)) == ["identity", "connection", "clock", "token"]


def test_an_identity_whose_variables_are_missing_is_told_with_all_their_names() -> None:
    result = _run(*BOTH, "-o", "json", VAULT_AUTOUPDATE_CREDENTIAL="workload-identity")
    assert (result.exit_code, _wrong(result)) == (1, {"identity"})
    assert "AZURE_TENANT_ID: required by" in _checks(result)["identity"]["message"]
    assert "AZURE_FEDERATED_TOKEN_FILE" in _checks(result)["identity"]["message"]
    assert "azure.auth" in _checks(result)["identity"]["recommendedAction"]


def test_without_a_token_rights_are_not_checked_and_nothing_is_said_of_them(serve: Serve) -> None:
    sim = serve()
    sim.control.add_fault("token_down", forever=True)
    result = _run(*BOTH, "-o", "json", sim=sim)
    checks = _checks(result)

    assert (result.exit_code, _wrong(result)) == (1, {"token"})
    assert checks["token"]["message"].startswith("AuthenticationFailed: No token from the credential")
    assert checks["vault"]["standing"] == checks["account"]["standing"] == "NotKnown"


def test_a_token_of_another_tenant_is_told_with_the_tenant_to_take(serve: Serve) -> None:
    result = _run(*BOTH, "-o", "json", sim=serve(tenant_id=OTHER_TENANT))
    tenant = _checks(result)["tenant"]

    assert (result.exit_code, tenant["standing"]) == (1, "NotOk")
    assert OTHER_TENANT in tenant["message"]
    assert f"Set AZURE_TENANT_ID to {TENANT}" in tenant["recommendedAction"]


@pytest.mark.parametrize(
    ("action", "check"),
    [
        ("Microsoft.RecoveryServices/vaults/read", "vault"),
        ("*/replicationProtectionContainerMappings/read", "mappings"),
        ("*/replicationJobs/read", "jobs"),
        ("*/replicationProtectedItems/read", "replicated items"),
        ("Microsoft.Automation/automationAccounts/read", "account"),
        ("Microsoft.Automation/automationAccounts/jobSchedules/read", "job schedules"),
        ("Microsoft.Automation/automationAccounts/usages/read", "usages"),
    ],
)
def test_a_right_to_read_that_is_missing_is_named_with_its_action(serve: Serve, action: str, check: str) -> None:
    result = _run(*BOTH, "-o", "json", sim=serve(denied=[{"action": action}]))
    assert (result.exit_code, _wrong(result)) == (1, {check})
    advice = _checks(result)[check]["recommendedAction"]
    assert advice.startswith("Grant the calling identity the action Microsoft.")
    assert action.lstrip("*").lower() in advice.lower()


def test_a_right_to_write_that_is_missing_is_told_without_writing(serve: Serve) -> None:
    result = _run(*BOTH, "-o", "json", sim=serve(denied=[{"action": WRITE}]))
    assert (result.exit_code, _wrong(result)) == (1, {"change mappings"})
    assert _checks(result)["change mappings"]["message"] == f"No role allows {WRITE}."


def test_who_may_not_list_permissions_is_told_that_the_rest_is_not_known_and_nothing_is_wrong(serve: Serve) -> None:
    sim = serve(denied=[{"action": "Microsoft.Authorization/permissions/read"}])
    result = _run(*BOTH, "-o", "json", sim=sim)
    assert (result.exit_code, _wrong(result)) == (0, set())
    assert _checks(result)["change mappings"]["standing"] == "NotKnown"
    assert "without changing something it cannot be told" in _checks(result)["change mappings"]["message"]


@pytest.mark.parametrize(
    ("updates", "wrong"),
    [(None, set()), ({"schedule": "0 22 * * *", "duration": "4h", "timeZone": "UTC"}, {"update agents"})],
)
def test_the_right_to_update_agents_is_needed_where_updates_are_declared(
    serve: Serve, tmp_path: Path, updates: dict[str, str] | None, wrong: set[str]
) -> None:
    sim = serve(denied=[{"action": "*/updateMobilityService/action"}])
    manifest = write_manifest(tmp_path / "vault.yaml", autoUpdate="Disabled", agentUpdates=updates)
    result = _run(str(manifest), "-o", "json", sim=sim)
    assert (result.exit_code, _wrong(result)) == (1 if wrong else 0, wrong)


def test_a_vault_that_is_not_there_is_told_once(serve: Serve) -> None:
    result = _run("--vault", f"{VAULT}-gone", "-o", "json", sim=serve())
    assert (result.exit_code, _wrong(result)) == (1, {"vault"})
    assert "ResourceNotFound" in _checks(result)["vault"]["message"]
    assert _checks(result)["mappings"]["standing"] == "NotKnown"


def test_an_account_that_is_not_there_is_told(serve: Serve) -> None:
    result = _run(*BOTH[:-1], f"{ACCOUNT}-gone", "-o", "json", sim=serve())
    assert (result.exit_code, _wrong(result)) == (1, {"account"})


def test_a_vault_with_which_nothing_is_replicated_is_well(serve: Serve) -> None:
    sim = serve()
    said = {"error": {"code": "SubscriptionIdNotRegisteredWithSrs", "message": "Not registered."}}
    sim.control.add_fault("status", status=400, route="mappings", body=said)
    result = _run(*BOTH, "-o", "json", sim=sim)
    assert result.exit_code == 0
    assert _checks(result)["mappings"]["message"] == "Nothing is replicated with this vault yet."


@pytest.mark.parametrize(("hours", "word"), [(-2, "ahead of"), (2, "behind")])
def test_a_clock_that_is_off_is_told_with_how_far(serve: Serve, hours: int, word: str) -> None:
    sim = serve()
    date = f"{datetime.now(UTC) + timedelta(hours=hours):%a, %d %b %Y %H:%M:%S GMT}"
    sim.control.add_fault("status", status=401, route="subscription", headers={"Date": date})
    result = _run(*BOTH, "-o", "json", sim=sim)

    assert (result.exit_code, _wrong(result)) == (1, {"clock"})
    seconds, rest = _checks(result)["clock"]["message"].split(" s ", 1)
    assert abs(int(seconds.replace(",", "")) - 7200) < 60
    assert rest.startswith(word)


def test_a_proxy_that_refuses_is_named_without_its_password() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: whoever connects is refused
        proxy = f"127.0.0.1:{taken.getsockname()[1]}"
        result = _run(
            *BOTH,
            "-o",
            "json",
            HTTPS_PROXY=f"http://user:hunter2@{proxy}",
            VAULT_AUTOUPDATE_ARM_ENDPOINT="https://arm.example",
            **_client_secret("https://login.example"),
        )
    connection = _checks(result)["connection"]
    assert (result.exit_code, connection["standing"]) == (1, "NotOk")
    assert f"https://arm.example, through the proxy {proxy}" in connection["message"]
    assert ": ArmUnreachable: No answer from arm.example: ConnectionRefusedError: " in connection["message"]
    assert result.stderr == ""
    assert "HTTPS_PROXY" in connection["recommendedAction"]
    assert "hunter2" not in result.stdout + result.stderr


def test_what_answers_in_the_place_of_arm_is_told(serve: Serve) -> None:
    sim = serve()
    sim.control.add_fault("html", status=200, route="subscription")
    result = _run(*BOTH, "-o", "json", sim=sim)
    assert "answered 200 to a call without a token, where ARM answers 401" in _checks(result)["connection"]["message"]
    assert "connection" in _wrong(result)


def test_tls_is_shown_with_who_issued_the_certificate_and_what_is_trusted(serve: Serve, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.server("azure", ["127.0.0.1"])
    sim = serve(tls=Tls(pair.certificate, pair.key))
    login = _client_secret(sim.url)

    trusted = _run("-o", "json", sim=sim, REQUESTS_CA_BUNDLE=str(authority.certificate), **login)
    assert trusted.exit_code == 0, trusted.stdout
    said = _checks(trusted)["connection"]["message"]
    assert "answers without a proxy (TLSv1.3, certificate issued by " in said
    assert f"trusting {authority.certificate}" in said

    strange = _run("-o", "json", sim=sim, **login)
    assert (strange.exit_code, _wrong(strange)) == (1, {"connection", "token"})
    assert "certificate verify failed" in _checks(strange)["connection"]["message"]
    assert "REQUESTS_CA_BUNDLE" in _checks(strange)["connection"]["recommendedAction"]


def test_what_cannot_be_meant_is_refused_before_anything_is_called(serve: Serve, tmp_path: Path) -> None:
    sim = serve()
    for arguments, said in (
        (("--vault", "dr"), "must start with /subscriptions"),
        (("--automation-account", ACCOUNT), "goes together with --vault"),
        ((str(write_manifest(tmp_path / "vault.yaml")), "--vault", VAULT), "not both"),
    ):
        result = _run(*arguments, sim=sim)
        assert (result.exit_code, result.stdout) == (2, "")
        assert said in result.stderr
    assert sim.control.requests() == []


def _client_secret(authority: str) -> dict[str, Any]:
    return {
        "VAULT_AUTOUPDATE_CREDENTIAL": "client-secret",
        "VAULT_AUTOUPDATE_AUTHORITY_HOST": authority,
        "AZURE_TENANT_ID": TENANT,
        "AZURE_CLIENT_ID": CLIENT,
        "AZURE_CLIENT_SECRET": "hunter2",
    }


def test_an_account_whose_identity_has_no_role_is_told_with_the_command_but_not_called_wrong_at_once(
    serve: Serve,
) -> None:
    sim = serve()
    sim.control.remove_roles("aa-dr")
    sim.control.advance(600)
    found = _checks(_run(*BOTH, "-o", "json", sim=sim, AZURE_CLIENT_ID=CLIENT))["account role"]
    assert found["standing"] == "NotKnown"
    assert "az role assignment create --assignee-object-id" in found["message"]


@pytest.mark.parametrize(
    ("role", "standing", "says"),
    [
        ("Owner", "Ok", "Owner on the vault"),
        ("Reader", "NotOk", "may only read the vault (Reader on the vault)"),
        ("Site Recovery Contributor", "Ok", "nobody says whether that is enough"),
    ],
)
def test_the_role_of_the_accounts_identity_is_named(serve: Serve, role: str, standing: str, says: str) -> None:
    sim = serve()
    sim.control.remove_roles("aa-dr")
    sim.control.assign_role("aa-dr", role, VAULT)
    sim.control.advance(600)
    found = _checks(_run(*BOTH, "-o", "json", sim=sim, AZURE_CLIENT_ID=CLIENT))["account role"]
    assert found["standing"] == standing
    assert says in found["message"]


def test_without_the_right_to_read_roles_that_is_not_known_and_nothing_is_wrong(serve: Serve) -> None:
    denied = [{"action": "Microsoft.Authorization/roleAssignments/read"}]
    result = _run(*BOTH, "-o", "json", sim=serve(denied=denied), AZURE_CLIENT_ID=CLIENT)
    assert result.exit_code == 0
    assert _checks(result)["account role"]["standing"] == "NotKnown"


def test_an_account_without_an_identity_is_told(serve: Serve) -> None:
    sim = serve()
    sim.control.set_account("aa-dr", identity="None")
    assert _wrong(_run(*BOTH, "-o", "json", sim=sim, AZURE_CLIENT_ID=CLIENT)) == {"account role"}
