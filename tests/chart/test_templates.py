"""What the templates make of the values."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import helm_python
import pytest

from tests.chart import helm
from tests.chart.helm import CHART, CLIENT_ID, NAMESPACE, TENANT_ID, VALUE_SETS, container, environment, render
from tests.chart.kubernetes_schemas import MINORS, problems
from vault_autoupdate.arm.identity.process import make_credential
from vault_autoupdate.cluster.shard_presence import lease_name
from vault_autoupdate.decide.tenancy import parse_vault_scopes
from vault_autoupdate.settings import PREFIX, Settings, load_settings

WEBHOOK: Final = {
    "AZURE_CLIENT_ID": CLIENT_ID,
    "AZURE_TENANT_ID": TENANT_ID,
    "AZURE_FEDERATED_TOKEN_FILE": "/var/run/secrets/azure/tokens/azure-identity-token",
}
"""What the workload identity webhook adds."""
SECRET: Final = {"AZURE_CLIENT_ID": CLIENT_ID, "AZURE_TENANT_ID": TENANT_ID, "AZURE_CLIENT_SECRET": "secret"}
"""What the Secret of the value sets may add."""


def deployment(values: dict[str, Any] | None = None) -> dict[str, Any]:
    return render(values).one("Deployment")


def pod(values: dict[str, Any] | None = None) -> dict[str, Any]:
    spec: dict[str, Any] = deployment(values)["spec"]["template"]["spec"]
    return spec


def auth(mode: str, **changes: Any) -> dict[str, Any]:
    return {"azure": {"auth": {"mode": mode, "tenantId": TENANT_ID, **changes}}}


@pytest.mark.parametrize("minor", MINORS)
@pytest.mark.parametrize("name", VALUE_SETS)
def test_objects_are_as_kubernetes_describes_them(name: str, minor: str) -> None:
    rendered = render(helm.value_set(name))
    assert [problem for item in [*rendered, *rendered.hooks] for problem in problems(item, minor)] == []


@pytest.mark.parametrize("name", VALUE_SETS)
def test_every_object_of_a_namespace_says_which(name: str) -> None:
    cluster_wide = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}
    rendered = render(helm.value_set(name))
    for item in [*rendered, *rendered.hooks]:
        metadata = item["metadata"]
        if metadata["name"] in {"vau-map", "dr-updates-text"}:
            continue  # extraObjects are the user's own
        assert ("namespace" in metadata) != (item["kind"] in cluster_wide), metadata["name"]
        assert metadata["labels"]["app.kubernetes.io/instance"] == "vau"


_MONITORED: Final[dict[str, Any]] = {
    "metrics": {
        "serviceMonitor": {"enabled": True, "renderMode": "alwaysRender"},
        "prometheusRule": {"enabled": True, "renderMode": "alwaysRender"},
        "dashboard": {"enabled": True},
    },
    "podDisruptionBudget": {"enabled": True},
    "networkPolicy": {"enabled": True},
}
_NOT_WORDS: Final = ["123", "1e3", "0x10", "0755", "true", "null", "off", "1.5"]
"""Names that Kubernetes takes, and that YAML takes for something else."""
_SERVICE: Final = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_LABEL: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


@pytest.mark.parametrize(
    ("release", "values"),
    [
        *((name, {}) for name in _NOT_WORDS),
        *(("vau", {"fullnameOverride": name, "nameOverride": name}) for name in _NOT_WORDS),
        ("a.b", {}),
        ("x" * 53, {"nameOverride": "n" * 63}),
        ("vau", {"nameOverride": f"{'n' * 62}.b"}),
        ("vau", {"fullnameOverride": f"{'n' * 51}.b"}),
        ("vau", {"serviceAccount": {"name": "123"}, "priorityClassName": "1e3", "watchNamespaces": ["123", "true"]}),
        ("vau", auth("clientSecret", secret={"name": "123", "clientSecretKey": "1", "clientIdKey": "true"})),
        ("vau", auth("clientCertificate", secret={"name": "null", "certificateKey": "1e3"})),
        ("vau", {"tls": {"caBundle": {"configMap": "123", "key": "1"}}, "imagePullSecrets": [{"name": "1"}]}),
        (
            "vau",
            {"metrics": {"tls": {"secret": "1"}, "auth": {"secret": "2", "key": "3"}, "dashboard": {"namespace": "1"}}},
        ),
        ("vau", {"shard": "1", "leaderElection": {"leaseName": "123"}}),
    ],
)
def test_names_that_kubernetes_takes_come_out_as_such_whatever_they_look_like(
    release: str, values: dict[str, Any]
) -> None:
    rendered = render(helm.merged(_MONITORED, values), release=release)
    items = [*rendered, *rendered.hooks]
    assert [problem for item in items for problem in problems(item, MINORS[-1])] == []
    for item in items:
        metadata = item["metadata"]
        assert isinstance(metadata["name"], str)
        assert all(isinstance(label, str) and _LABEL.fullmatch(label) for label in metadata["labels"].values())
        assert item["kind"] != "Service" or _SERVICE.fullmatch(metadata["name"])
    template = rendered.one("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert template["app.kubernetes.io/instance"] == release
    for service in [*rendered.of("Service"), *rendered.hooks.of("Service")]:
        assert service["spec"]["selector"].items() <= template.items()


def test_alerts_of_a_release_whose_service_cannot_have_its_name_ask_for_both() -> None:
    rules = render(_MONITORED, release="1.5").one("PrometheusRule")["spec"]["groups"]
    expressions = " ".join(rule["expr"] for group in rules for rule in group["rules"])
    name = "1.5-vault-autoupdate"
    assert f'job=~"({NAMESPACE}/)?({name}|vau-1-5-vault-autoupdate)(-metrics)?"' in expressions


class TestSettings:
    @pytest.mark.parametrize("name", VALUE_SETS)
    def test_operator_accepts_them(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        given = environment(render(helm.value_set(name)).one("Deployment"))
        settings = load_settings({}, given)
        if settings.credential == "client-certificate":
            return  # it wants to see the file
        added = WEBHOOK if settings.credential == "workload-identity" else SECRET
        for variable, value in (login := {**added, **given}).items():
            monkeypatch.setenv(variable, value)
        make_credential(settings, login)

    def test_defaults_are_those_of_the_operator(self) -> None:
        settings = load_settings({}, environment(deployment({"leaderElection": {"enabled": False}})))
        assert settings.model_copy(update={"credential": "default", "log_format": "console"}) == Settings()

    def test_every_setting_has_a_value(self) -> None:
        everything = environment(render(helm.value_set("everything")).one("Deployment"))
        namespaced = environment(render(helm.value_set("namespaced")).one("Deployment"))
        leading = environment(render(helm.value_set("two-replicas")).one("Deployment"))
        monitored = environment(render(helm.value_set("monitored")).one("Deployment"))
        shard = environment(render(helm.value_set("shard")).one("Deployment"))
        there = {
            name.removeprefix(PREFIX).lower()
            for name in (*everything, *namespaced, *leading, *monitored, *shard)
            if name.startswith(PREFIX)
        }
        assert set(Settings.model_fields) - there == set()

    def test_they_arrive(self) -> None:
        settings = load_settings({}, environment(render(helm.value_set("everything")).one("Deployment")))
        assert settings.job_poll_max == timedelta(minutes=1)
        assert settings.retry_pause == timedelta(milliseconds=500)
        assert [limit.count for limit in settings.write_limit] == [100, 600]
        assert settings.budget_scope == "subscription"
        assert settings.max_connections == 8
        assert str(settings.health_address) == "[::]:8081"
        assert settings.arm_endpoint == "https://management.example.com"

    @pytest.mark.parametrize(
        ("given", "arrives"), [("off", "off"), ("auto", "auto"), ("on", "on"), (False, "off"), (True, "on")]
    )
    def test_hints_are_what_is_meant_with_quotes_and_without(self, given: object, arrives: str) -> None:
        assert environment(deployment({"polling": {"hints": given}}))["VAULT_AUTOUPDATE_HINTS"] == arrives

    def test_a_service_of_the_same_name_does_no_harm(self) -> None:
        assert pod()["enableServiceLinks"] is False


class TestLogin:
    def test_workload_identity_by_webhook(self) -> None:
        rendered = render(auth("workloadIdentity"))
        template = rendered.one("Deployment")["spec"]["template"]
        assert template["metadata"]["labels"]["azure.workload.identity/use"] == "true"
        account = rendered.one("ServiceAccount")["metadata"]
        assert account["annotations"] == {
            "azure.workload.identity/client-id": CLIENT_ID,
            "azure.workload.identity/tenant-id": TENANT_ID,
            "azure.workload.identity/service-account-token-expiration": "3600",
        }
        assert "azure.workload.identity/use" not in account["labels"]
        given = environment(rendered.one("Deployment"))
        assert given["VAULT_AUTOUPDATE_CREDENTIAL"] == "workload-identity"
        assert not [name for name in given if name.startswith("AZURE_")]

    def test_workload_identity_by_projected_token(self) -> None:
        rendered = render(auth("workloadIdentity", workloadIdentity={"projectedToken": True}))
        template = rendered.one("Deployment")["spec"]["template"]
        assert "azure.workload.identity/use" not in template["metadata"]["labels"]
        assert "annotations" not in rendered.one("ServiceAccount")["metadata"]
        assert WEBHOOK.items() <= environment(rendered.one("Deployment")).items()
        (volume,) = (entry for entry in template["spec"]["volumes"] if entry["name"] == "azure-identity-token")
        assert volume["projected"]["sources"] == [
            {
                "serviceAccountToken": {
                    "path": "azure-identity-token",
                    "audience": "api://AzureADTokenExchange",
                    "expirationSeconds": 3600,
                }
            }
        ]
        assert _mounts(rendered.one("Deployment"))["azure-identity-token"] == "/var/run/secrets/azure/tokens"

    def test_own_annotations_win(self) -> None:
        changed = {"serviceAccount": {"annotations": {"azure.workload.identity/tenant-id": "other", "own": "1"}}}
        annotations = render(changed | auth("workloadIdentity")).one("ServiceAccount")["metadata"]["annotations"]
        assert annotations["azure.workload.identity/tenant-id"] == "other"
        assert annotations["own"] == "1"

    def test_managed_identity_needs_no_client_id(self) -> None:
        assert environment(deployment(auth("managedIdentity")))["AZURE_CLIENT_ID"] == CLIENT_ID
        without = environment(deployment(auth("managedIdentity", clientId="")))
        assert without["VAULT_AUTOUPDATE_CREDENTIAL"] == "managed-identity"
        assert not [name for name in without if name.startswith("AZURE_")]

    def test_client_secret(self) -> None:
        rendered = deployment(auth("clientSecret", secret={"name": "login"}))
        assert _references(rendered) == {"AZURE_CLIENT_SECRET": ("login", "client-secret")}
        given = environment(rendered)
        assert (given["AZURE_CLIENT_ID"], given["AZURE_TENANT_ID"]) == (CLIENT_ID, TENANT_ID)

    def test_client_secret_with_ids_in_the_secret(self) -> None:
        secret = {"name": "login", "clientIdKey": "id", "tenantIdKey": "tenant"}
        assert _references(deployment(auth("clientSecret", secret=secret))) == {
            "AZURE_CLIENT_ID": ("login", "id"),
            "AZURE_TENANT_ID": ("login", "tenant"),
            "AZURE_CLIENT_SECRET": ("login", "client-secret"),
        }

    def test_client_certificate(self) -> None:
        secret = {"name": "login", "certificatePasswordKey": "password"}
        rendered = deployment(auth("clientCertificate", secret=secret))
        assert _references(rendered) == {"AZURE_CLIENT_CERTIFICATE_PASSWORD": ("login", "password")}
        path = Path(environment(rendered)["AZURE_CLIENT_CERTIFICATE_PATH"])
        assert _mounts(rendered)["azure-certificate"] == str(path.parent)
        (volume,) = (entry for entry in _volumes(rendered) if entry["name"] == "azure-certificate")
        assert volume["secret"]["secretName"] == "login"
        assert volume["secret"]["items"] == [{"key": "client.pem", "path": path.name}]

    @pytest.mark.parametrize("name", VALUE_SETS)
    def test_no_secret_is_in_any_object(self, name: str) -> None:
        assert "Secret" not in render(helm.value_set(name)).kinds


class TestShard:
    """A release more, beside that of the main shard in the same namespace."""

    def test_its_operator_works_for_the_shard_with_a_lease_that_the_others_find(self) -> None:
        rendered = render({"shard": "emea"}, release="vault-autoupdate-emea")
        settings = load_settings({}, environment(rendered.one("Deployment")))
        role = rendered.one("Role", "vault-autoupdate-emea-lease")
        assert (settings.shard, settings.leader_elect, settings.lease_name) == ("emea", True, "vault-autoupdate")
        assert role["rules"][1]["resourceNames"] == [lease_name("vault-autoupdate", "emea")]
        named = environment(deployment({"shard": "emea", "leaderElection": {"leaseName": "dr"}}))
        assert named["VAULT_AUTOUPDATE_LEASE_NAME"] == "dr"

    def test_it_has_no_object_in_common_with_the_main_one_and_selects_none_of_its_pods(self) -> None:
        values = {
            "metrics": {"service": {"enabled": True}},
            "podDisruptionBudget": {"enabled": True},
            "networkPolicy": {"enabled": True},
        }
        main, other = render(values), render(values | {"shard": "emea"}, release="vau-emea")

        def names(rendered: helm.Rendered) -> set[tuple[str, str]]:
            return {(item["kind"], item["metadata"]["name"]) for item in [*rendered, *rendered.hooks]}

        assert names(main) & names(other) == set()
        assert "CustomResourceDefinition" not in other.kinds
        labels = main.one("Deployment")["spec"]["template"]["metadata"]["labels"]
        spec = {
            kind: other.one(kind)["spec"] for kind in ("Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy")
        }
        for selector in (
            spec["Deployment"]["selector"]["matchLabels"],
            spec["Service"]["selector"],
            spec["PodDisruptionBudget"]["selector"]["matchLabels"],
            spec["NetworkPolicy"]["podSelector"]["matchLabels"],
        ):
            assert not selector.items() <= labels.items()
            assert selector.items() <= spec["Deployment"]["template"]["metadata"]["labels"].items()

    def test_its_pods_say_which_it_is(self) -> None:
        pods = deployment({"shard": "emea"})["spec"]["template"]["metadata"]["labels"]
        assert pods["asr.vault-autoupdate.io/shard"] == "emea"
        assert "asr.vault-autoupdate.io/shard" not in deployment()["spec"]["template"]["metadata"]["labels"]

    @pytest.mark.parametrize("shard", ["EMEA", "emea_", "-emea", "e" * 41])
    def test_what_is_no_name_of_a_shard_is_refused(self, shard: str) -> None:
        with pytest.raises(helm_python.HelmError, match="shard"):
            render({"shard": shard})


class TestPod:
    @pytest.mark.parametrize(("replicas", "more"), [(1, {}), (1, {"leaderElection": {"enabled": False}}), (2, {})])
    def test_pods_are_replaced_by_stopping_them_first(self, replicas: int, more: dict[str, Any]) -> None:
        spec = deployment({"replicas": replicas} | more)["spec"]
        assert (spec["replicas"], spec["strategy"]) == (replicas, {"type": "Recreate"})

    @pytest.mark.parametrize("values", [{}, helm.value_set("two-replicas")], ids=["one replica", "two replicas"])
    def test_works_only_while_it_holds_a_lease(self, values: dict[str, Any]) -> None:
        given = environment(deployment(values))
        assert given["VAULT_AUTOUPDATE_LEADER_ELECT"] == "true"
        assert given["VAULT_AUTOUPDATE_LEASE_NAMESPACE"] == NAMESPACE
        assert given["VAULT_AUTOUPDATE_LEASE_NAME"] == "vau-vault-autoupdate"

    def test_the_right_to_the_lease_stays_when_replicas_come_and_go(self) -> None:
        """So that a pod that ends in an upgrade from two to one can still give the Lease back."""
        one, two = (render({"replicas": replicas}) for replicas in (1, 2))
        for kind in ("Role", "RoleBinding", "ServiceAccount"):
            assert one.of(kind) == two.of(kind)

    def test_why_it_ended_is_told_by_its_last_lines(self) -> None:
        assert container(deployment())["terminationMessagePolicy"] == "FallbackToLogsOnError"

    def test_runs_what_the_image_has(self) -> None:
        assert container(deployment())["command"] == ["vault-autoupdate", "run"]
        assert container(deployment())["image"] == "ghcr.io/vault-autoupdate/vault-autoupdate:0.1.0"

    @pytest.mark.parametrize(
        ("image", "expected"),
        [
            ({"tag": "0.2.0"}, ":0.2.0"),
            ({"digest": "sha256:" + "a" * 64}, "@sha256:" + "a" * 64),
            ({"tag": "0.2.0", "digest": "sha256:" + "a" * 64}, ":0.2.0@sha256:" + "a" * 64),
        ],
    )
    def test_image(self, image: dict[str, str], expected: str) -> None:
        full = container(deployment({"image": image}))["image"]
        assert full == "ghcr.io/vault-autoupdate/vault-autoupdate" + expected

    def test_probes_ask_the_right_port(self) -> None:
        of = container(deployment({"health": {"port": 8181}}))
        assert {entry["name"]: entry["containerPort"] for entry in of["ports"]} == {"health": 8181, "metrics": 9090}
        assert of["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "health"}
        for probe in ("startupProbe", "livenessProbe"):
            assert of[probe]["httpGet"] == {"path": "/healthz", "port": "health"}

    def test_proxy_spares_the_cluster_and_the_metadata_service(self) -> None:
        rendered = render(helm.value_set("client-certificate"))
        given = environment(rendered.one("Deployment"))
        assert given["HTTPS_PROXY"] == given["HTTP_PROXY"] == "http://proxy.example.com:3128"
        spared = given["NO_PROXY"].split(",")
        assert {".example.com", "169.254.169.254", ".svc", "$(KUBERNETES_SERVICE_HOST)"} <= set(spared)
        assert "NO_PROXY" not in environment(deployment())

    @pytest.mark.parametrize("kind", ["configMap", "secret"])
    def test_own_certificates(self, kind: str) -> None:
        rendered = deployment({"tls": {"caBundle": {kind: "company-ca", "key": "bundle.pem"}}})
        given = environment(rendered)
        assert given["REQUESTS_CA_BUNDLE"] == given["SSL_CERT_FILE"] == "/etc/vault-autoupdate/ca/ca.crt"
        assert _mounts(rendered)["ca-bundle"] == "/etc/vault-autoupdate/ca"
        (volume,) = (entry for entry in _volumes(rendered) if entry["name"] == "ca-bundle")
        assert volume[kind]["items"] == [{"key": "bundle.pem", "path": "ca.crt"}]

    def test_everything_arrives(self) -> None:
        rendered = render(helm.value_set("everything"))
        of = rendered.one("Deployment")
        spec = of["spec"]["template"]["spec"]
        assert of["metadata"]["name"] == "dr-updates"
        assert spec["serviceAccountName"] == "existing"
        assert spec["imagePullSecrets"] == [{"name": "registry"}]
        assert spec["priorityClassName"] == "system-cluster-critical"
        assert spec["nodeSelector"] == {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
        assert spec["tolerations"] == [{"key": "CriticalAddonsOnly", "operator": "Exists"}]
        assert "nodeAffinity" in spec["affinity"]
        assert spec["terminationGracePeriodSeconds"] == 60
        assert [entry["name"] for entry in spec["containers"]] == ["vault-autoupdate", "sidecar"]
        assert "startupProbe" not in container(of)
        assert {"name": "TZ", "value": "UTC"} in container(of)["env"]
        assert _mounts(of)["scratch"] == "/scratch"
        assert of["metadata"]["annotations"] == {"example.com/owner": "recovery"}
        assert of["spec"]["template"]["metadata"]["annotations"]["example.com/note"] == "pods"
        assert of["spec"]["template"]["metadata"]["labels"]["example.com/tier"] == "control"
        assert of["metadata"]["labels"]["cost-centre"] == "4711"
        assert {item["metadata"]["name"] for item in rendered.of("ConfigMap")} == {"vau-map", "dr-updates-text"}
        definitions = rendered.of("CustomResourceDefinition")
        assert {each["spec"]["names"]["kind"] for each in definitions} == {"VaultAutoUpdate", "VaultAutoUpdatePolicy"}
        for each in definitions:
            assert each["metadata"]["annotations"] == {"argocd.argoproj.io/sync-options": "Prune=false,Delete=false"}
        assert "ServiceAccount" not in rendered.kinds


class TestAccess:
    OWN: Final = [
        (["vaultautoupdates"], ["list", "watch"]),
        (["vaultautoupdates"], ["patch"]),
        (["vaultautoupdates/status"], ["patch"]),
        (["events"], ["create"]),
    ]

    def test_cluster_wide(self) -> None:
        rendered = render()
        assert _rules(rendered.one("ClusterRole", "vau-vault-autoupdate")) == self.OWN
        assert [role["metadata"]["namespace"] for role in rendered.of("Role")] == [NAMESPACE]  # for the Lease
        (binding,) = rendered.of("ClusterRoleBinding")
        assert binding["subjects"] == [
            {"kind": "ServiceAccount", "name": "vau-vault-autoupdate", "namespace": NAMESPACE}
        ]

    def test_namespaced(self) -> None:
        rendered = render({"watchNamespaces": ["team-a", "team-b"]})
        assert {"ClusterRoleBinding"} & rendered.kinds == set()
        roles = [role for role in rendered.of("Role") if not role["metadata"]["name"].endswith("-lease")]
        assert [role["metadata"]["namespace"] for role in roles] == ["team-a", "team-b"]
        assert all(_rules(role) == self.OWN for role in roles)
        for binding in rendered.of("RoleBinding"):
            assert binding["subjects"][0]["namespace"] == NAMESPACE
            assert binding["roleRef"]["kind"] == "Role"

    def test_without_the_finalizer(self) -> None:
        rules = _rules(render({"rbac": {"finalizers": False}}).one("ClusterRole", "vau-vault-autoupdate"))
        assert rules == [rule for rule in self.OWN if rule != (["vaultautoupdates"], ["patch"])]

    @pytest.mark.parametrize("values", [{}, {"watchNamespaces": ["team-a"]}], ids=["cluster-wide", "namespaced"])
    @pytest.mark.parametrize(
        ("grant", "more"),
        [
            ([], []),
            (["secrets"], [(["secrets"], ["get"])]),
            (["serviceAccounts"], [(["serviceaccounts"], ["get"]), (["serviceaccounts/token"], ["create"])]),
        ],
        ids=["nothing", "secrets", "serviceAccounts"],
    )
    def test_credentials_of_resources_are_read_only_where_that_is_granted(
        self, values: dict[str, Any], grant: list[str], more: list[tuple[list[str], list[str]]]
    ) -> None:
        rendered = render(values | {"resourceCredentials": {"mode": "allowed", "grant": grant}})
        kind = "Role" if values else "ClusterRole"
        assert _rules(rendered.one(kind, "vau-vault-autoupdate")) == self.OWN + more
        assert environment(rendered.one("Deployment"))["VAULT_AUTOUPDATE_RESOURCE_CREDENTIALS"] == "allowed"

    def test_the_scopes_of_namespaces_arrive_as_the_operator_reads_them(self) -> None:
        scopes = {"team-*": [f"/subscriptions/{CLIENT_ID}/resourceGroups/rg", "/"], "nobody": []}
        given = environment(deployment({"vaultScopes": scopes}))
        text = given["VAULT_AUTOUPDATE_VAULT_SCOPES"]
        assert json.loads(text) == scopes
        assert parse_vault_scopes(text).allows("team-a", "/anything")
        assert "VAULT_AUTOUPDATE_VAULT_SCOPES" not in environment(deployment())

    def test_lease(self) -> None:
        rendered = render(helm.value_set("two-replicas"))
        role = rendered.one("Role")
        assert role["metadata"]["namespace"] == NAMESPACE
        assert role["rules"] == [
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
            {
                "apiGroups": ["coordination.k8s.io"],
                "resources": ["leases"],
                "resourceNames": ["vau-vault-autoupdate"],
                "verbs": ["update"],
            },
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get"]},
        ]

    def test_namespaced_value_set_needs_no_right_on_the_cluster(self) -> None:
        kinds = render(helm.value_set("namespaced")).kinds
        assert kinds & {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"} == set()

    def test_roles_of_people(self) -> None:
        rendered = render()
        view = rendered.one("ClusterRole", "vau-vault-autoupdate-view")
        edit = rendered.one("ClusterRole", "vau-vault-autoupdate-edit")
        assert _aggregates(view) == {"view", "edit", "admin"}
        assert _aggregates(edit) == {"edit", "admin"}
        assert all(resource != "vaultautoupdates/status" for rule in edit["rules"] for resource in rule["resources"])

    @pytest.mark.parametrize(
        ("access", "kinds"),
        [
            ({"aggregateEdit": False}, {"view"}),
            ({"aggregateView": False}, {"edit"}),
            ({"aggregate": False}, set()),
            ({}, {"view", "edit"}),
        ],
    )
    def test_viewers_and_editors_are_let_in_apart(self, access: dict[str, bool], kinds: set[str]) -> None:
        names = {role["metadata"]["name"] for role in render({"rbac": access}).of("ClusterRole")}
        assert names - {"vau-vault-autoupdate"} == {f"vau-vault-autoupdate-{kind}" for kind in kinds}

    def test_rights_that_outlive_a_namespace_are_the_same_ones_in_the_whole_cluster(self) -> None:
        rendered = render({"watchNamespaces": ["team-a"], "rbac": {"clusterWide": True}})
        assert _rules(rendered.one("ClusterRole", "vau-vault-autoupdate")) == self.OWN
        assert [role["metadata"]["name"] for role in rendered.of("Role")] == ["vau-vault-autoupdate-lease"]
        assert environment(rendered.one("Deployment"))["VAULT_AUTOUPDATE_WATCH_NAMESPACES"] == "team-a"
        assert "Before one of the namespaces is deleted" not in rendered.notes

    def test_nothing_at_all(self) -> None:
        kinds = render({"rbac": {"create": False}}).kinds
        assert kinds == {"CustomResourceDefinition", "Deployment", "ServiceAccount"}

    def test_account_hands_no_token_to_other_pods(self) -> None:
        assert render().one("ServiceAccount")["automountServiceAccountToken"] is False
        assert pod()["automountServiceAccountToken"] is True


class TestMonitoring:
    KINDS: Final = {
        "serviceMonitor": "ServiceMonitor",
        "podMonitor": "PodMonitor",
        "prometheusRule": "PrometheusRule",
    }

    @pytest.mark.parametrize("name", KINDS)
    def test_left_out_where_the_cluster_does_not_know_it(self, name: str) -> None:
        rendered = render({"metrics": {name: {"enabled": True}}})
        assert self.KINDS[name] not in rendered.kinds
        assert f"there is no {self.KINDS[name]}" in rendered.notes

    @pytest.mark.parametrize("name", KINDS)
    def test_refused_if_so_wished(self, name: str) -> None:
        with pytest.raises(helm_python.HelmRenderError, match=f"metrics.{name}: the cluster has no monitoring"):
            render({"metrics": {name: {"enabled": True, "renderMode": "failIfMissing"}}})

    def test_monitors_find_what_they_scrape(self) -> None:
        rendered = render(helm.value_set("monitored"))
        service = rendered.one("Service")
        assert _selects(rendered.one("ServiceMonitor")["spec"]["selector"]["matchLabels"], service["metadata"])
        template = rendered.one("Deployment")["spec"]["template"]["metadata"]
        assert _selects(service["spec"]["selector"], template)
        other = render(helm.value_set("pod-monitored"))
        assert _selects(
            other.one("PodMonitor")["spec"]["selector"]["matchLabels"],
            other.one("Deployment")["spec"]["template"]["metadata"],
        )
        assert not _selects(service["spec"]["selector"], rendered.hooks.one("Pod")["metadata"])
        (endpoint,) = rendered.one("ServiceMonitor")["spec"]["endpoints"]
        assert endpoint["port"] == service["spec"]["ports"][0]["name"] == "metrics"
        assert endpoint["honorLabels"] is True
        assert endpoint["relabelings"] == [{"action": "labeldrop", "regex": "pod"}]
        assert rendered.one("ServiceMonitor")["metadata"]["labels"]["release"] == "prometheus"

    def test_service_comes_with_the_service_monitor(self) -> None:
        assert "Service" not in render().kinds
        assert "Service" in render({"metrics": {"serviceMonitor": {"enabled": True}}}).kinds

    def test_alerts(self) -> None:
        alerts = {alert["alert"]: alert for alert in _alerts(helm.value_set("monitored")) if "alert" in alert}
        assert "VaultAutoUpdateThrottled" not in alerts
        for alert in alerts.values():
            assert {"summary", "description"} <= alert["annotations"].keys()
            assert alert["labels"]["team"] == "recovery"
            assert alert["labels"]["severity"] in {"critical", "warning", "info"}

    def test_alerts_are_about_the_series_of_the_release_alone(self) -> None:
        values = {"metrics": {"prometheusRule": {"enabled": True, "renderMode": "alwaysRender"}}}
        for alert in _alerts(values):
            names = re.findall(r"vault_autoupdate_\w+", alert["expr"])
            own = re.findall(
                r'vault_autoupdate_\w+\{job=~"\(\w+/\)\?vau-vault-autoupdate\(-metrics\)\?"', alert["expr"]
            )
            assert len(names) == len(own), alert["expr"]
            recorded = re.findall(r"vault_autoupdate:[\w:]+\{[^}]*", alert["expr"])
            assert all('{release="vau-vault-autoupdate",' in each for each in recorded), alert["expr"]
            assert "record" not in alert or alert["labels"] == {"release": "vau-vault-autoupdate"}
        values["metrics"]["prometheusRule"]["selector"] = 'cluster="b"'
        assert not any(re.search(r'vault_autoupdate_\w+\{(?!cluster="b",)', alert["expr"]) for alert in _alerts(values))

    def test_rules_about_weeks_are_evaluated_rarely(self) -> None:
        values = {"metrics": {"prometheusRule": {"enabled": True, "renderMode": "alwaysRender"}}}
        groups = render(values).one("PrometheusRule")["spec"]["groups"]
        assert {group["name"]: group.get("interval") for group in groups}["vault-autoupdate.agents"] == "3m"

    @pytest.mark.parametrize(("replicas", "told"), [(0, False), (1, True)])
    def test_a_release_that_is_to_have_no_pod_is_not_told_to_be_absent(self, replicas: int, told: bool) -> None:
        rule = {"enabled": True, "renderMode": "alwaysRender", "disabledAlerts": ["VaultAutoUpdateThrottled"]}
        found = {each.get("alert") for each in _alerts({"replicas": replicas, "metrics": {"prometheusRule": rule}})}
        assert ("VaultAutoUpdateAbsent" in found) is told
        assert "VaultAutoUpdateThrottled" not in found
        assert "VaultAutoUpdateNotLeading" in found

    def test_alerts_about_resources_go_on_for_a_while_where_so_wished(self) -> None:
        rule = {"enabled": True, "renderMode": "alwaysRender", "keepFiringFor": "15m"}
        kept = {
            each["alert"]: each.get("keep_firing_for")
            for each in _alerts({"metrics": {"prometheusRule": rule}})
            if "alert" in each
        }
        assert kept["VaultAutoUpdateNotReady"] == "15m"
        assert kept["VaultAutoUpdateAbsent"] is None

    def test_each_release_has_a_dashboard_of_its_own_and_its_alerts_lead_there(self) -> None:
        rule = {"enabled": True, "renderMode": "alwaysRender", "grafanaUrl": "https://grafana.example.com/"}
        rendered = render({"metrics": {"prometheusRule": rule, "dashboard": {"enabled": True}}})
        (text,) = rendered.one("ConfigMap")["data"].values()
        uid = json.loads(text)["uid"]
        assert re.fullmatch("vau-[0-9a-f]{12}", uid)
        groups = rendered.one("PrometheusRule")["spec"]["groups"]
        urls = [each["annotations"]["dashboard_url"] for group in groups for each in group["rules"] if "alert" in each]
        assert all(url.startswith(f"https://grafana.example.com/d/{uid}/vault-autoupdate") for url in urls)

    def test_a_dashboard_fits_into_the_annotation_by_which_kubectl_applies_it(self) -> None:
        found = render({"metrics": {"dashboard": {"enabled": True}}}).one("ConfigMap")
        assert len(json.dumps(found)) < 256 * 1024

    def test_monitors_come_with_what_the_metrics_ask_for(self) -> None:
        rendered = render(helm.value_set("monitored"))
        given = environment(rendered.one("Deployment"))
        mounts = _mounts(rendered.one("Deployment"))
        assert given["VAULT_AUTOUPDATE_METRICS_CERT_FILE"] == f"{mounts['metrics-tls']}/tls.crt"
        assert given["VAULT_AUTOUPDATE_METRICS_KEY_FILE"] == f"{mounts['metrics-tls']}/tls.key"
        assert given["VAULT_AUTOUPDATE_METRICS_TOKEN_FILE"] == f"{mounts['metrics-auth']}/token"
        pods = helm.merged(
            helm.value_set("monitored"),
            {
                "metrics": {
                    "serviceMonitor": {"enabled": False},
                    "podMonitor": {"enabled": True, "renderMode": "alwaysRender"},
                }
            },
        )
        endpoints = rendered.one("ServiceMonitor")["spec"]["endpoints"]
        endpoints += render(pods).one("PodMonitor")["spec"]["podMetricsEndpoints"]
        for endpoint in endpoints:
            assert endpoint["scheme"] == "https"
            assert endpoint["tlsConfig"]["serverName"] == "metrics.example.com"
            assert endpoint["authorization"] == {"credentials": {"name": "metrics-token", "key": "token"}}

    def test_dashboards_are_shipped_as_they_are(self, tmp_path: Path) -> None:
        shutil.copytree(CHART, tmp_path / "chart")
        dashboards = tmp_path / "chart" / "files" / "dashboards"
        shutil.rmtree(dashboards, ignore_errors=True)
        dashboards.mkdir()
        text = '{\n  "uid": "vault-autoupdate",\n  "title": "{{ not a template }}: <\\"ü\\">",\n  "step": 0.5\n}\n'
        (dashboards / "fleet.json").write_text(text)
        values = {"metrics": {"dashboard": {"enabled": True, "namespace": "grafana"}}}
        found = render(values, chart=tmp_path / "chart").one("ConfigMap")
        shipped = {name: json.loads(dashboard) for name, dashboard in found["data"].items()}
        assert shipped == {"fleet.json": json.loads(text) | {"uid": shipped["fleet.json"]["uid"]}}
        assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert found["metadata"]["namespace"] == "grafana"


class TestNetwork:
    def test_policy(self) -> None:
        policy = render(helm.value_set("everything")).one("NetworkPolicy")["spec"]
        assert policy["policyTypes"] == ["Ingress", "Egress"]
        assert policy["ingress"][0]["from"] == [
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
        ]
        assert policy["egress"][0]["ports"] == [{"port": 443, "protocol": "TCP"}]

    def test_policy_lets_managed_identity_to_the_metadata_service(self) -> None:
        policy = render(helm.value_set("managed-identity")).one("NetworkPolicy")["spec"]
        assert {"ipBlock": {"cidr": "169.254.169.254/32"}} in [
            peer for rule in policy["egress"] for peer in rule.get("to", [])
        ]

    def test_policy_lets_the_test_in(self) -> None:
        rendered = render(helm.value_set("managed-identity"))
        (peer,) = rendered.one("NetworkPolicy")["spec"]["ingress"][1]["from"]
        assert _selects(peer["podSelector"]["matchLabels"], rendered.hooks.one("Pod")["metadata"])

    def test_disruption_budget_never_blocks_a_drain(self) -> None:
        assert render(helm.value_set("two-replicas")).one("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1

    @pytest.mark.parametrize(
        ("values", "ports"),
        [
            ({"proxy": {"https": "http://proxy.corp.example:3128"}}, [443, 6443, 3128]),
            ({"proxy": {"https": "https://proxy.corp.example", "http": "http://proxy.corp.example/"}}, [443, 6443, 80]),
            ({"proxy": {"https": "http://user@[fd00::1]:3128/"}}, [443, 6443, 3128]),
            ({"azure": {"armEndpoint": "https://arm.example.com:8443"}}, [443, 6443, 8443]),
            ({"azure": {"armEndpoint": "http://127.0.0.1:8081"}}, [443, 6443]),
            ({"azure": {"authorityHost": "login.example.com:9443"}}, [443, 6443, 9443]),
        ],
    )
    def test_policy_lets_the_pods_to_where_other_values_lead(self, values: dict[str, Any], ports: list[int]) -> None:
        policy = render(values | {"networkPolicy": {"enabled": True}}).one("NetworkPolicy")["spec"]
        assert [each["port"] for each in policy["egress"][0]["ports"]] == ports

    @pytest.mark.parametrize(
        ("values", "ports"),
        [
            ({}, {53}),
            ({"networkPolicy": {"dnsPorts": [53, 5353]}}, {53, 5353}),
            ({"openshift": True}, {53, 5353}),
            ({"openshift": True, "networkPolicy": {"dnsPorts": [5353]}}, {5353}),
        ],
    )
    def test_policy_lets_the_pods_to_dns_as_its_pods_have_it(self, values: dict[str, Any], ports: set[int]) -> None:
        policy = render(helm.merged(values, {"networkPolicy": {"enabled": True}})).one("NetworkPolicy")["spec"]
        entries = [(each["port"], each["protocol"]) for each in policy["egress"][1]["ports"]]
        assert len(entries) == len(set(entries))
        assert set(entries) == {(port, protocol) for port in ports for protocol in ("UDP", "TCP")}

    @pytest.mark.parametrize(("given", "expected"), [(1, 1), (2, 2), ("50%", "50%"), ("100%", "100%")])
    def test_disruption_budget_takes_percentages(self, given: int | str, expected: int | str) -> None:
        budget = render({"podDisruptionBudget": {"enabled": True, "maxUnavailable": given}}).one("PodDisruptionBudget")
        assert budget["spec"]["maxUnavailable"] == expected

    @pytest.mark.parametrize("given", ["::", "[::]", "fd00::7"])
    def test_an_ipv6_address_to_listen_on_is_read_as_one(self, given: str) -> None:
        settings = load_settings({}, environment(deployment({"bindAddress": given})))
        assert settings.health_address.host == settings.metrics_address.host == given.strip("[]")


class TestPlatforms:
    def test_openshift_gives_the_ids_itself(self) -> None:
        rendered = render({"openshift": True, "securityContext": {"runAsUser": 1000, "privileged": False}})
        for spec in (rendered.one("Deployment")["spec"]["template"]["spec"], rendered.hooks.one("Pod")["spec"]):
            assert spec["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
            context = spec["containers"][0]["securityContext"]
            assert "runAsUser" not in context
            assert context["privileged"] is False

    @pytest.mark.parametrize(
        ("repository", "expected"),
        [
            ("ghcr.io/vault-autoupdate/vault-autoupdate", "mirror.example/vault-autoupdate/vault-autoupdate:0.1.0"),
            ("registry:5000/vau", "mirror.example/vau:0.1.0"),
            ("localhost/vau", "mirror.example/vau:0.1.0"),
            ("team/vau", "mirror.example/team/vau:0.1.0"),
            ("vau", "mirror.example/vau:0.1.0"),
        ],
    )
    def test_global_registry_takes_the_place_of_the_images_own(self, repository: str, expected: str) -> None:
        rendered = render({"global": {"imageRegistry": "mirror.example"}, "image": {"repository": repository}})
        assert container(rendered.one("Deployment"))["image"] == expected
        assert rendered.hooks.one("Pod")["spec"]["containers"][0]["image"] == expected

    def test_pull_secrets_of_the_parent_are_added_to_the_own_ones(self) -> None:
        values = {"imagePullSecrets": [{"name": "own"}], "global": {"imagePullSecrets": ["corp", {"name": "own"}]}}
        rendered = render(values)
        for spec in (rendered.one("Deployment")["spec"]["template"]["spec"], rendered.hooks.one("Pod")["spec"]):
            assert spec["imagePullSecrets"] == [{"name": "own"}, {"name": "corp"}]

    def test_what_a_pod_may_have_arrives(self) -> None:
        spec = pod(helm.value_set("platform"))
        assert spec["hostAliases"] == [{"ip": "10.0.0.7", "hostnames": ["login.corp.example"]}]
        assert (spec["dnsPolicy"], spec["dnsConfig"]) == ("None", {"nameservers": ["10.0.0.53"]})
        assert spec["containers"][0]["envFrom"] == [{"secretRef": {"name": "proxy-login"}}]

    def test_spread_is_about_the_pods_of_the_release_unless_it_says_otherwise(self) -> None:
        own = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule"}
        selector = {"matchLabels": {"a": "b"}}
        first, second = pod({"topologySpreadConstraints": [own, own | {"labelSelector": selector}]})[
            "topologySpreadConstraints"
        ]
        template = deployment()["spec"]["template"]["metadata"]
        assert _selects(first["labelSelector"]["matchLabels"], template)
        assert second["labelSelector"] == selector

    def test_the_test_pod_has_resources_labels_and_annotations_and_can_be_left_out(self) -> None:
        quota = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"cpu": "500m", "memory": "512Mi"}}
        own = {"requests": {"cpu": "1m"}}

        def test_pod(values: dict[str, Any]) -> Any:
            return render(values).hooks.one("Pod")

        assert test_pod({"resources": quota})["spec"]["containers"][0]["resources"] == quota
        found = test_pod({"tests": {"resources": own, "labels": {"a": "b"}, "annotations": {"c": "d"}}})
        assert found["spec"]["containers"][0]["resources"] == own
        assert found["metadata"]["labels"]["a"] == "b"
        assert found["metadata"]["annotations"]["c"] == "d"
        assert found["metadata"]["annotations"]["helm.sh/hook"] == "test"
        assert render({"tests": {"enabled": False}}).hooks.all == []

    def test_objects_of_the_user_are_left_as_they_are_unless_they_are_text(self) -> None:
        text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Release.Name }}-text'}\n"
        own = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "own"}, "data": {"x": "{{ $labels.job }}"}}
        rendered = render({"extraObjects": [own, text]})
        assert rendered.one("ConfigMap", "own") == own
        assert rendered.one("ConfigMap", "vau-text")


class TestNotes:
    @pytest.mark.parametrize(
        ("values", "lines"),
        [
            (
                auth("workloadIdentity"),
                [
                    "az identity federated-credential create",
                    "--subject system:serviceaccount:operators:vau-vault-autoupdate",
                    "--audiences api://AzureADTokenExchange",
                    "--assignee-principal-type ServicePrincipal",
                ],
            ),
            (
                {"serviceAccount": {"create": False, "name": "mine"}},
                [f"annotate serviceaccount mine --overwrite \\\n     azure.workload.identity/client-id={CLIENT_ID}"],
            ),
            (
                auth("workloadIdentity", workloadIdentity={"projectedToken": True}),
                ["the workload identity webhook is not needed"],
            ),
            (auth("managedIdentity", clientId=""), ["az vmss identity assign", "system-assigned identity"]),
            (
                helm.value_set("client-secret"),
                [
                    "create secret generic azure-login \\\n     --from-literal=client-secret=<client secret> \\\n",
                    "     --from-literal=client-id=<client id> \\\n     --from-literal=tenant-id=<tenant id>\n",
                ],
            ),
            (helm.value_set("client-certificate"), ["--from-file=client.pem=<file with certificate and private key>"]),
            (helm.value_set("namespaced"), ["It watches blue, green.", "namespace: blue", "crds.enabled=false"]),
            (helm.value_set("namespaced") | {"rbac": {}}, ["Before one of the namespaces is deleted"]),
            ({"crds": {"keep": False}}, ["WARNING: crds.keep is false"]),
            ({"replicas": 0}, ["Paused"]),
        ],
    )
    def test_say_what_to_do_next(self, values: dict[str, Any], lines: list[str]) -> None:
        notes = render(values).notes
        for line in [*lines, "az role assignment create", "kubectl apply -f -", "helm --namespace operators test vau"]:
            assert line in notes


def _mounts(of: Mapping[str, Any]) -> dict[str, str]:
    return {
        entry["name"]: entry["mountPath"] for entry in of["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    }


def _volumes(of: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = of["spec"]["template"]["spec"]["volumes"]
    return found


def _references(of: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """The variables that come from Secrets."""
    found = {}
    for entry in container(of)["env"]:
        if reference := entry.get("valueFrom", {}).get("secretKeyRef"):
            found[entry["name"]] = (reference["name"], reference["key"])
    return found


def _rules(role: Mapping[str, Any]) -> list[tuple[list[str], list[str]]]:
    return [(rule["resources"], rule["verbs"]) for rule in role["rules"]]


def _aggregates(role: Mapping[str, Any]) -> set[str]:
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    return {name.removeprefix(prefix) for name in role["metadata"]["labels"] if name.startswith(prefix)}


def _selects(selector: Mapping[str, str], metadata: Mapping[str, Any]) -> bool:
    return bool(selector) and selector.items() <= metadata["labels"].items()


def _alerts(values: dict[str, Any]) -> list[dict[str, Any]]:
    groups = render(values).one("PrometheusRule")["spec"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


class TestPolicies:
    def test_without_them_nothing_of_them_is_there(self) -> None:
        rendered = render()

        assert "vaultautoupdatepolicies" not in json.dumps(rendered.all)
        assert "VAULT_AUTOUPDATE_POLICIES" not in json.dumps(rendered.all)

    @pytest.mark.parametrize(
        ("values", "verbs"),
        [
            ({}, ["create", "patch", "shard"]),  # it takes back what comes back to the main shard
            ({"policies": {"release": True}}, ["create", "patch", "delete", "shard"]),
            ({"shard": "emea"}, ["create", "patch", "shard"]),
        ],
    )
    def test_resources_can_be_labelled_and_deleted_only_where_that_is_wanted(
        self, values: dict[str, Any], verbs: list[str]
    ) -> None:
        rendered = render(helm.merged({"policies": {"enabled": True}}, values))

        rules = [rule for role in rendered.of("ClusterRole") for rule in role["rules"] if "create" in rule["verbs"]]
        own = [rule["verbs"] for rule in rules if rule["resources"] == ["vaultautoupdates"]]
        assert verbs in own
        assert '"VAULT_AUTOUPDATE_POLICIES"' in json.dumps(rendered.all)
