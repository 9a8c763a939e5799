"""What the chart refuses, and in which words."""

from __future__ import annotations

import re
from typing import Any

import helm_python
import pytest

from tests.chart.helm import CLIENT_ID, TENANT_ID, VALUE_SETS, render, value_set

NO_IDENTITY: dict[str, Any] = {"azure": {"auth": {"clientId": ""}}}


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"replica": 1}, "replica"),
        ({"azure": {"auth": {"clientID": CLIENT_ID}}}, "clientID"),
        ({"azure": {"cloud": "AzureGermanCloud"}}, "/azure/cloud"),
        ({"azure": {"auth": {"mode": "azure-cli"}}}, "/azure/auth/mode"),
        ({"azure": {"auth": {"clientId": "my-identity"}}}, "/azure/auth/clientId"),
        ({"azure": {"armEndpoint": "http://arm.example.com"}}, "/azure/armEndpoint"),
        ({"azure": {"armEndpoint": "https://arm.example.com/path"}}, "/azure/armEndpoint"),
        ({"azure": {"apiVersion": "latest"}}, "/azure/apiVersion"),
        ({"azure": {"auth": {"workloadIdentity": {"tokenExpirationSeconds": 60}}}}, "tokenExpirationSeconds"),
        ({"polling": {"jobMin": "3"}}, "/polling/jobMin"),
        ({"polling": {"jobMin": 3}}, "/polling/jobMin"),
        ({"polling": {"jobMax": "0s"}}, "/polling/jobMax"),
        ({"polling": {"hints": "sometimes"}}, "/polling/hints"),
        ({"retry": {"max": "one day"}}, "/retry/max"),
        ({"limits": {"write": "200 per minute"}}, "/limits/write"),
        ({"limits": {"scope": "tenant"}}, "/limits/scope"),
        ({"requests": {"maxConnections": 0}}, "/requests/maxConnections"),
        ({"logging": {"level": "trace"}}, "/logging/level"),
        ({"watchNamespaces": "team-a"}, "/watchNamespaces"),
        ({"watchNamespaces": ["Team_A"]}, "/watchNamespaces"),
        ({"vaultScopes": {"Team_A": ["/"]}}, "Team_A"),
        ({"vaultScopes": {"team-a": "/"}}, "/vaultScopes/team-a"),
        ({"vaultScopes": {"team-a": ["rg-dr"]}}, "/vaultScopes/team-a"),
        ({"resourceCredentials": {"mode": "maybe"}}, "/resourceCredentials/mode"),
        ({"resourceCredentials": {"grant": ["configMaps"]}}, "/resourceCredentials/grant"),
        ({"replicas": 2, "leaderElection": {"enabled": False}}, "/leaderElection"),
        ({"replicas": 3, "leaderElection": {"enabled": True}}, "/replicas"),
        ({"image": {"digest": "sha256:abc"}}, "/image/digest"),
        ({"image": {"repository": "example.com/image:tag"}}, "/image/repository"),
        ({"image": {"pullPolicy": "Sometimes"}}, "/image/pullPolicy"),
        ({"imagePullSecrets": ["registry"]}, "/imagePullSecrets"),
        ({"podLabels": {"tier": 1}}, "/podLabels"),
        ({"terminationGracePeriodSeconds": 10}, "/terminationGracePeriodSeconds"),
        ({"health": {"port": 70000}}, "/health/port"),
        ({"proxy": {"https": "proxy:3128"}}, "/proxy/https"),
        ({"metrics": {"serviceMonitor": {"interval": "often"}}}, "/metrics/serviceMonitor/interval"),
        ({"metrics": {"podMonitor": {"renderMode": "maybe"}}}, "/metrics/podMonitor/renderMode"),
        ({"podDisruptionBudget": {"minAvailable": 1}}, "minAvailable"),
        ({"podDisruptionBudget": {"maxUnavailable": "0%"}}, "/podDisruptionBudget/maxUnavailable"),
        ({"podDisruptionBudget": {"maxUnavailable": 0}}, "/podDisruptionBudget/maxUnavailable"),
        ({"metrics": {"podMonitor": {"interval": "30s1m"}}}, "/metrics/podMonitor/interval"),
        ({"metrics": {"podMonitor": {"scrapeTimeout": "0s"}}}, "/metrics/podMonitor/scrapeTimeout"),
        ({"networkPolicy": {"dnsPorts": []}}, "/networkPolicy/dnsPorts"),
        ({"networkPolicy": {"dnsPorts": [0]}}, "/networkPolicy/dnsPorts"),
        ({"dnsPolicy": "Cluster"}, "/dnsPolicy"),
        ({"openshift": "auto"}, "/openshift"),
        ({"extraEnv": [{"value": "x"}]}, "/extraEnv"),
        ({"extraEnv": [{"name": "X", "value": 5}]}, "/extraEnv/0/value"),
        ({"extraEnv": [{"name": "X", "value": True}]}, "/extraEnv/0/value"),
        ({"tests": {"image": "busybox"}}, "image"),
        ({"metrics": None}, "missing property 'metrics'"),
        ({"azure": {"auth": {"secret": None}}}, "at '/azure/auth': missing property 'secret'"),
        ({"polling": {"jobMin": None}}, "at '/polling': missing property 'jobMin'"),
        ({"imagePullSecrets": None}, "missing property 'imagePullSecrets'"),
    ],
)
def test_schema_refuses(values: dict[str, Any], where: str) -> None:
    with pytest.raises(helm_python.HelmValuesError, match=re.escape(where)):
        render(values)


@pytest.mark.parametrize(
    ("values", "problems"),
    [
        (NO_IDENTITY, ["azure.auth.clientId: required by azure.auth.mode=workloadIdentity"]),
        (
            {"azure": {"auth": {"clientId": "", "workloadIdentity": {"projectedToken": True}}}},
            ["azure.auth.clientId: required by azure.auth.workloadIdentity.projectedToken", "azure.auth.tenantId:"],
        ),
        (
            {"azure": {"auth": {"clientId": "", "mode": "clientSecret"}}},
            [
                "azure.auth.secret.name: required by azure.auth.mode=clientSecret",
                "azure.auth.clientId (or azure.auth.secret.clientIdKey)",
                "azure.auth.tenantId (or azure.auth.secret.tenantIdKey)",
            ],
        ),
        ({"azure": {"auth": {"mode": "clientCertificate"}}}, ["azure.auth.secret.name", "azure.auth.tenantId"]),
        ({"serviceAccount": {"create": False}}, ["serviceAccount.name: required when serviceAccount.create is false"]),
        ({"resourceCredentials": {"grant": ["secrets"]}}, ["resourceCredentials.grant: nothing is read with"]),
        ({"tls": {"caBundle": {"configMap": "a", "secret": "b"}}}, ["tls.caBundle: give a configMap or a secret"]),
        (
            {"metrics": {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}}},
            ["metrics.serviceMonitor, metrics.podMonitor: one of them"],
        ),
        (
            {"metrics": {"serviceMonitor": {"interval": "30s", "scrapeTimeout": "1m"}}},
            ["metrics.serviceMonitor.scrapeTimeout: 1m is longer than the interval, 30s"],
        ),
        (
            {"metrics": {"podMonitor": {"interval": "1m30s", "scrapeTimeout": "91000ms"}}},
            ["metrics.podMonitor.scrapeTimeout: 91000ms is longer than the interval, 1m30s"],
        ),
        (
            {"metrics": {"prometheusRule": {"disabledAlerts": ["VaultAutoUpdateAbsnt", "VaultAutoUpdateAbsent"]}}},
            ["metrics.prometheusRule.disabledAlerts: there is no alert VaultAutoUpdateAbsnt; there are VaultAuto"],
        ),
        ({"polling": {"jobMin": "2m"}}, ["polling.jobMin: 2m is longer than polling.jobMax, which is 30s"]),
        ({"retry": {"min": "25h", "max": "1h30m"}}, ["retry.min: 25h is longer than retry.max, which is 1h30m"]),
        ({"health": {"port": 9090}}, ["metrics.port: 9090 is health.port already"]),
        ({"enabled": False}, ["enabled: false is for the condition of a parent chart"]),
    ],
)
def test_templates_say_what_is_missing_all_at_once(values: dict[str, Any], problems: list[str]) -> None:
    with pytest.raises(helm_python.HelmRenderError) as caught:
        render(values)
    listed = str(caught.value).split("The values cannot be used:")[1]
    assert listed.count("\n  - ") == len(problems)
    for problem in problems:
        assert problem in listed


@pytest.mark.parametrize("name", VALUE_SETS)
def test_value_sets_are_accepted(name: str) -> None:
    render(value_set(name))


@pytest.mark.parametrize(
    "values",
    [
        {"azure": {"auth": {"clientId": "", "mode": "managedIdentity"}}},
        {"azure": {"armEndpoint": "http://127.0.0.1:8081", "auth": {"tenantId": TENANT_ID}}},
        NO_IDENTITY | {"serviceAccount": {"create": False, "name": "annotated-by-somebody-else"}},
        NO_IDENTITY | {"serviceAccount": {"annotations": {"azure.workload.identity/client-id": CLIENT_ID}}},
        {"replicas": 0},
        {"metrics": {"serviceMonitor": {"interval": "1m", "scrapeTimeout": "60s"}}},
        {"polling": {"jobMin": "1500ms", "jobMax": "1.5s"}},
        {"enabled": True},
        {"global": {"anything": "of a parent chart"}},
    ],
)
def test_accepted_too(values: dict[str, Any]) -> None:
    render(values)
