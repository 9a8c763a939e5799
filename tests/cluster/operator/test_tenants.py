"""A cluster that several teams share: what a namespace may name, and whose identity calls Azure."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from asr_simulator import SimulatorThread
from asr_simulator.control_types import RequestRecord
from tests.cluster.operator.conftest import MIX
from workbench.azure.entra import TENANT, Entra, open_entra
from workbench.kube.control_plane import ControlPlane
from workbench.kube.kubeconfig import write_kubeconfig
from workbench.kube.resources import ROOT, collection_path
from workbench.process.operator import OperatorProcess
from workbench.process.waiting import wait_until
from workbench.site import FINALIZER, SCALE, Site, check_log, condition, is_ready, make_simulator, scenario, vault

BLUE_CLIENT: Final = "b1ceb1ce-0000-4000-8000-00000000000b"
GREEN_CLIENT: Final = "9eee9eee-0000-4000-8000-000000000009"
OWN_CLIENT: Final = "00000000-0000-4000-8000-00000000c11e"
"""The simulator's identity for who asks without a client id: the operator."""
PAGE: Final = ROOT / "docs" / "security.md"
CORE: Final = "/api/v1/namespaces"
RBAC: Final = "/apis/rbac.authorization.k8s.io/v1"


@dataclass
class Tenants:
    """Two namespaces with a vault each, one operator, one Azure, one Entra ID."""

    plane: ControlPlane
    sim: SimulatorThread
    entra: Entra
    blue: Site
    green: Site
    operator: OperatorProcess
    account: str
    """Name of the operator's ServiceAccount, in blue's namespace."""

    def start(self, **settings: str) -> None:
        self.operator.environment.update({f"VAULT_AUTOUPDATE_{name.upper()}": text for name, text in settings.items()})
        self.operator.start().wait_ready()

    def start_with_scopes(self, scopes: dict[str, list[str]], **settings: str) -> None:
        self.start(vault_scopes=json.dumps(scopes), **settings)

    def arm_requests(self, vault_name: str = "") -> list[RequestRecord]:
        """What Azure was asked, tokens apart."""
        found = self.sim.control.requests(limit=20_000, vault=vault_name or None)
        return [record for record in found if record["kind"] != "token"]

    def callers(self, site: Site) -> set[str]:
        """Client ids of those who called the vault of a site."""
        return {record["application"] for record in self.arm_requests(site.vault.name)}

    def put_secret(self, namespace: str, name: str, **data: str) -> None:
        path = f"{CORE}/{namespace}/secrets"
        self.plane.rest.create(path, {"metadata": {"name": name}, "stringData": data})

    def put_login(self, site: Site, client: str, secret: str, name: str = "azure-login") -> None:
        self.entra.secrets[client] = secret
        self.put_secret(
            site.namespace, name, AZURE_TENANT_ID=TENANT, AZURE_CLIENT_ID=client, AZURE_CLIENT_SECRET=secret
        )

    def grant(self, site: Site, resource: str, verb: str, name: str) -> None:
        """What a team writes that lends an identity to the operator."""
        role = f"vault-autoupdate-{resource.replace('/', '-')}-{verb}"
        rest, path = self.plane.rest, f"{RBAC}/namespaces/{site.namespace}"
        rule = {"apiGroups": [""], "resources": [resource], "resourceNames": [name], "verbs": [verb]}
        rest.create(f"{path}/roles", {"metadata": {"name": role}, "rules": [rule]})
        rest.create(
            f"{path}/rolebindings",
            {
                "metadata": {"name": role},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role},
                "subjects": [{"kind": "ServiceAccount", "name": self.account, "namespace": self.blue.namespace}],
            },
        )

    def outputs(self) -> str:
        """Everything that people and machines get to see of the operator."""
        texts = [self.operator.log.read_text(errors="replace")]
        with urllib.request.urlopen(self.operator.metrics_url, timeout=5) as answer:
            texts.append(answer.read().decode())
        for site in (self.blue, self.green):
            events = f"/apis/events.k8s.io/v1/namespaces/{site.namespace}/events"
            texts += [
                json.dumps(self.plane.rest.request("GET", path)) for path in (collection_path(site.namespace), events)
            ]
        return "\n".join(texts)


@pytest.fixture
def tenants(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[Tenants]:
    """The operator runs as a ServiceAccount with the chart's rights and no others; it is not started yet."""
    other = control_plane.create_namespace(f"{namespace}-g")
    rest, account = control_plane.rest, f"operator-{namespace}"
    control_plane.create_service_account(namespace, account)
    rules = [
        {
            "apiGroups": ["asr.vault-autoupdate.io"],
            "resources": ["vaultautoupdates"],
            "verbs": ["list", "watch", "patch"],
        },
        {"apiGroups": ["asr.vault-autoupdate.io"], "resources": ["vaultautoupdates/status"], "verbs": ["patch"]},
        {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]},
    ]
    for each in (namespace, other):
        rest.create(f"{RBAC}/namespaces/{each}/roles", {"metadata": {"name": account}, "rules": rules})
        rest.create(
            f"{RBAC}/namespaces/{each}/rolebindings",
            {
                "metadata": {"name": account},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account},
                "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
            },
        )
    with make_simulator(scenario(MIX, vault_count=2)) as sim, open_entra(tmp_path / "entra", sim.identity_env) as entra:
        kubeconfig = write_kubeconfig(
            tmp_path / "operator.kubeconfig",
            control_plane.url,
            authority=control_plane.authority,
            token=control_plane.service_account_token(namespace, account),
        )
        operator = OperatorProcess(
            tmp_path,
            kubeconfig=kubeconfig,
            arm_url=sim.url,
            identity=sim.identity_env,
            scale=SCALE,
            settings={
                "VAULT_AUTOUPDATE_WATCH_NAMESPACES": f"{namespace},{other}",
                "VAULT_AUTOUPDATE_STATUS_INTERVAL": "0.2s",
                "VAULT_AUTOUPDATE_REQUEST_INTERVAL": "0s",
                "VAULT_AUTOUPDATE_AUTHORITY_HOST": entra.host,
                **entra.environment,
            },
        )
        sites = [
            Site(control_plane, sim, each, vault(number), operator) for number, each in enumerate((namespace, other))
        ]
        try:
            yield Tenants(control_plane, sim, entra, sites[0], sites[1], operator, account)
        finally:
            operator.close()
            for site in sites:
                site.delete_all()
            check_log(operator.log)


# What a namespace may name.


def test_a_namespace_that_may_not_name_a_vault_gets_no_call_to_azure_at_all_also_on_deletion(tenants: Tenants) -> None:
    blue, green = tenants.blue, tenants.green
    group = blue.vault.id.split("/providers/")[0]
    green.create(finalizers=(FINALIZER,), vaultResourceId=blue.vault.id, automationAccountResourceId=blue.vault.account)
    green.patch(deletionPolicy="Disable")
    tenants.start_with_scopes({blue.namespace: [group.upper().replace("/SUBSCRIPTIONS", "/Subscriptions")]})

    status = green.wait_reason("ScopeNotAllowed")

    ready, stalled = condition(status), condition(status, "Stalled")
    assert (ready["status"], stalled["status"], stalled["reason"]) == ("False", "True", "ScopeNotAllowed")
    assert (
        f"spec.vaultResourceId and spec.automationAccountResourceId outside of what namespace {green.namespace}"
        in (ready["message"])
    )
    assert "vaultScopes" in ready["message"]
    assert FINALIZER not in (green.get()["metadata"].get("finalizers") or [])
    stamp = green.request()
    assert green.status().get("lastHandledReconcileAt") != stamp
    green.delete()
    green.wait_gone()
    assert tenants.sim.control.requests(limit=20_000) == []
    green.wait_events("ScopeNotAllowed")

    blue.create()
    blue.wait_ready()
    assert blue.statuses() == {"Enabled": 8}


def test_another_teams_vault_cannot_be_squatted_and_is_handed_over_when_the_rules_change(tenants: Tenants) -> None:
    blue, green = tenants.blue, tenants.green
    tenants.start()
    green.create(autoUpdate="Disabled", vaultResourceId=blue.vault.id, automationAccountResourceId=blue.vault.account)
    green.wait_ready()  # nobody is restricted: it came first, so it has the vault
    created = datetime.fromisoformat(green.get()["metadata"]["creationTimestamp"])
    wait_until(lambda: datetime.now(UTC) - created >= timedelta(seconds=1), within=5, what="a later second")
    blue.create()
    blue.wait_reason("VaultAlreadyManaged")
    patches = blue.patch_count()

    tenants.operator.stop()
    tenants.start_with_scopes({blue.namespace: [blue.vault.id, blue.vault.account], green.namespace: [green.vault.id]})

    blue.wait_ready()
    green.wait_reason("ScopeNotAllowed")
    assert blue.statuses() == {"Enabled": 8}
    assert blue.patch_count() == patches + 8


def test_another_teams_automation_account_cannot_be_attached_and_the_vault_goes_on_to_the_next(
    tenants: Tenants,
) -> None:
    blue = tenants.blue
    foreign = blue.vault.account.replace("rg-dr", "rg-other")
    tenants.start_with_scopes({f"{blue.namespace[:4]}*": [blue.vault.id.split("/providers/")[0]]})
    blue.create("first")
    blue.wait_ready("first")
    blue.create("second", autoUpdate="Disabled", automationAccountResourceId=None)
    blue.wait_reason("VaultAlreadyManaged", "second")

    blue.patch("first", automationAccountResourceId=foreign)

    message = condition(blue.wait_reason("ScopeNotAllowed", "first"))["message"]
    assert "spec.automationAccountResourceId outside of" in message
    assert "spec.vaultResourceId" not in message
    blue.wait_ready("second")
    assert blue.statuses() == {"Disabled": 8}

    blue.patch("first", automationAccountResourceId=blue.vault.account)
    blue.wait_ready("first")
    blue.wait_reason("VaultAlreadyManaged", "second")
    assert blue.statuses() == {"Enabled": 8}


# Whose identity calls.


def test_each_namespace_calls_azure_as_its_own_identity_and_nothing_secret_is_seen_anywhere(tenants: Tenants) -> None:
    blue, green = tenants.blue, tenants.green
    tenants.put_login(blue, BLUE_CLIENT, "blue-S3cret~1")
    tenants.put_login(green, GREEN_CLIENT, "green-S3cret~1")
    for site in (blue, green):
        tenants.grant(site, "secrets", "get", "azure-login")
        site.create(credential={"secretName": "azure-login"})
    tenants.start(resource_credentials="required", log_level="debug")

    for site, client in ((blue, BLUE_CLIENT), (green, GREEN_CLIENT)):
        site.wait_ready()
        assert site.statuses() == {"Enabled": 8}
        assert tenants.callers(site) == {client}
    blue.create("own", vaultResourceId=vault(1).id, automationAccountResourceId=vault(1).account)
    blue.wait_reason("CredentialRequired", "own")
    assert tenants.callers(green) == {GREEN_CLIENT}

    # The secret is changed in Entra ID before it is in the Secret: refused, then taken up without a restart.
    tenants.entra.secrets[BLUE_CLIENT] = "blue-S3cret~2"
    tenants.plane.rest.request("DELETE", f"{CORE}/{blue.namespace}/secrets/azure-login")
    tenants.put_secret(
        blue.namespace,
        "azure-login",
        AZURE_TENANT_ID=TENANT,
        AZURE_CLIENT_ID=BLUE_CLIENT,
        AZURE_CLIENT_SECRET="wr0ng~S3cret",
    )
    blue.request()
    message = condition(blue.wait_reason("AuthenticationFailed"))["message"]
    assert "AADSTS7000215" in message
    assert f"Check Secret {blue.namespace}/azure-login" in message
    blue.kubectl(
        "patch",
        "secret",
        "azure-login",
        "--type=merge",
        "-p",
        json.dumps({"stringData": {"AZURE_CLIENT_SECRET": "blue-S3cret~2"}}),
    ).check()
    blue.wait_ready()
    assert tenants.entra.requests[-1].secret == "blue-S3cret~2"

    assert not re.search(r"S3cret|eyJ[\w-]{8}", tenants.outputs())


def test_a_secret_that_is_missing_not_granted_or_incomplete_is_told_and_mended_without_a_restart(
    tenants: Tenants,
) -> None:
    blue = tenants.blue
    blue.create(credential={"secretName": "azure-login"})
    tenants.start(resource_credentials="allowed")

    message = condition(blue.wait_reason("CredentialForbidden"))["message"]
    assert (
        f'Role in namespace {blue.namespace} with the rule apiGroups: [""], resources: [secrets], '
        "resourceNames: [azure-login], verbs: [get]"
    ) in message
    tenants.grant(blue, "secrets", "get", "azure-login")
    blue.request()
    assert f"no Secret {blue.namespace}/azure-login" in condition(blue.wait_reason("CredentialNotFound"))["message"]

    tenants.put_secret(blue.namespace, "azure-login", AZURE_CLIENT_ID="", AZURE_TENANT_ID="common/../x")
    blue.request()
    status = blue.wait_reason("CredentialInvalid")
    message = condition(status)["message"]
    assert "AZURE_TENANT_ID must be the GUID or the domain of the tenant" in message
    assert "AZURE_CLIENT_ID is missing" in message
    assert "exactly one of AZURE_CLIENT_SECRET and AZURE_CLIENT_CERTIFICATE is needed: neither is there" in message
    assert condition(status, "Stalled")["status"] == "True"
    assert tenants.arm_requests() == []

    tenants.plane.rest.request("DELETE", f"{CORE}/{blue.namespace}/secrets/azure-login")
    tenants.put_login(blue, BLUE_CLIENT, "s3cret-of-blue")
    blue.request()
    blue.wait_at_rest()
    assert tenants.callers(blue) == {BLUE_CLIENT}

    tenants.plane.rest.request("DELETE", f"{CORE}/{blue.namespace}/secrets/azure-login")
    count = len(tenants.arm_requests())
    blue.request_and_wait()
    assert condition(blue.status())["reason"] == "CredentialNotFound"
    assert len(tenants.arm_requests()) == count

    blue.patch(credential=None)
    blue.wait_ready()
    assert tenants.callers(blue) == {BLUE_CLIENT, OWN_CLIENT}


def test_a_service_accounts_token_is_exchanged_and_asked_for_anew_when_azures_token_has_to_be_replaced(
    tenants: Tenants,
) -> None:
    blue = tenants.blue
    audience = "api://AzureADTokenExchange"

    def review(token: str) -> str:
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview"}
        spec = {"token": token, "audiences": [audience]}
        answer = tenants.plane.rest.create("/apis/authentication.k8s.io/v1/tokenreviews", {**body, "spec": spec})
        status: dict[str, Any] = answer["status"]
        return str(status["user"]["username"]) if status.get("authenticated") else ""

    tenants.entra.review = review
    tenants.entra.subjects[BLUE_CLIENT] = f"system:serviceaccount:{blue.namespace}:dr"
    tenants.entra.lifetime = 2
    annotations = {"azure.workload.identity/client-id": BLUE_CLIENT}
    path = f"{CORE}/{blue.namespace}/serviceaccounts"
    tenants.plane.rest.create(path, {"metadata": {"name": "dr", "annotations": annotations}})
    blue.create(credential={"serviceAccountName": "dr"})
    tenants.start(resource_credentials="allowed")

    assert "resources: [serviceaccounts]" in condition(blue.wait_reason("CredentialForbidden"))["message"]
    tenants.grant(blue, "serviceaccounts", "get", "dr")
    blue.request()
    message = condition(blue.wait_reason("CredentialInvalid"))["message"]
    assert "annotation azure.workload.identity/tenant-id is missing" in message
    blue.kubectl("annotate", "serviceaccount", "dr", f"azure.workload.identity/tenant-id={TENANT}").check()
    blue.request()
    message = condition(blue.wait_reason("CredentialForbidden"))["message"]
    assert "resources: [serviceaccounts/token], resourceNames: [dr], verbs: [create]" in message
    assert tenants.arm_requests() == []

    tenants.grant(blue, "serviceaccounts/token", "create", "dr")
    blue.request()
    blue.wait_ready()

    def granted_anew() -> bool:
        blue.request_and_wait()
        return sum(request.granted for request in tenants.entra.requests) > 1

    wait_until(granted_anew, within=30, what="another token of Azure, as the first has ended")
    assert is_ready(blue.status())
    assert tenants.callers(blue) == {BLUE_CLIENT}
    granted = [request for request in tenants.entra.requests if request.granted]
    assert len({request.assertion for request in granted}) == len(granted), "an assertion was used twice"
    assert "eyJ" not in tenants.outputs()


def test_an_operator_that_takes_no_credentials_says_so_and_asks_nobody(tenants: Tenants) -> None:
    blue = tenants.blue
    tenants.put_login(blue, BLUE_CLIENT, "s3cret")
    tenants.grant(blue, "secrets", "get", "azure-login")
    blue.create(credential={"secretName": "azure-login"})
    tenants.start()

    status = blue.wait_reason("CredentialNotAllowed")

    assert condition(status, "Stalled")["status"] == "True"
    assert "resourceCredentials.mode" in condition(status)["message"]
    assert tenants.sim.control.requests() == []
    assert tenants.entra.requests == []
    user = f"system:serviceaccount:{blue.namespace}:{tenants.account}"
    asked = {event.resource for event in tenants.plane.audit_events(user=user)}
    assert "secrets" not in asked
    wait_until(
        lambda: "events" in {e.resource for e in tenants.plane.audit_events(user=user)}, within=10, what="an Event"
    )


def test_the_grant_of_the_security_page_is_what_the_operator_needs_and_no_more(control_plane: ControlPlane) -> None:
    kubectl = control_plane.kubectl
    (block,) = re.findall(r"<!-- grant -->\n```yaml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    control_plane.create_namespace("team-a")
    kubectl("apply", "-f", "-", stdin=block).check()

    def may(verb: str, what: str) -> bool:
        user = "system:serviceaccount:vault-autoupdate:vault-autoupdate"
        return kubectl("-n", "team-a", "auth", "can-i", verb, what, f"--as={user}").stdout.strip() == "yes"

    assert may("get", "secrets/azure-login")
    assert may("get", "serviceaccounts/dr")
    assert (
        kubectl(
            "-n",
            "team-a",
            "auth",
            "can-i",
            "create",
            "serviceaccounts/dr",
            "--subresource=token",
            "--as=system:serviceaccount:vault-autoupdate:vault-autoupdate",
        ).stdout.strip()
        == "yes"
    )
    assert not may("get", "secrets/other")
    assert not may("list", "secrets")
    assert not may("get", "serviceaccounts/other")
