"""The operator logs in with workload identity, over TLS with a private authority, and says why it cannot."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from asr_simulator import SimulatorThread, Tls, parse_scenario
from workbench.core import ACCOUNT, VAULT, scenario_document
from workbench.kube.certificates import Authority
from workbench.process.command_line import run_with

CLIENT = "0f9d3c51-2b54-4f5e-8a0c-93c1f5a7e111"
TENANT = "3f1f7c4e-2b7d-4b1e-9d2a-7c6a1e5b9f00"
SUBJECT = "system:serviceaccount:vault-autoupdate:vault-autoupdate"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "certificates")


@pytest.fixture
def sim(authority: Authority) -> Iterator[SimulatorThread]:
    pair = authority.server("azure", ["127.0.0.1"])
    identities = [{"client_id": CLIENT, "federated_subject": SUBJECT}]
    document = scenario_document(mix={"disabled": 3, "enabled_compliant": 2})
    document["identity"] = {"tenant_id": TENANT, "identities": identities}
    with SimulatorThread(parse_scenario(document), tls=Tls(pair.certificate, pair.key)) as running:
        yield running


def _token(subject: str) -> str:
    claims = {"iss": "https://cluster", "sub": subject, "aud": ["api://AzureADTokenExchange"], "exp": time.time() + 600}
    parts = ({"alg": "RS256"}, claims, "signature")
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)


def _plan(
    tmp_path: Path, sim: SimulatorThread, authority: Authority, *, subject: str = SUBJECT, **changes: str
) -> subprocess.CompletedProcess[str]:
    token, manifest = tmp_path / "token", tmp_path / "vault.yaml"
    token.write_text(_token(subject))
    spec: dict[str, Any] = {
        "vaultResourceId": VAULT,
        "autoUpdate": "Enabled",
        "automationAccountResourceId": ACCOUNT,
    }
    document = {
        "apiVersion": "asr.vault-autoupdate.io/v1alpha1",
        "kind": "VaultAutoUpdate",
        "metadata": {"name": "dr"},
        "spec": spec,
    }
    manifest.write_text(yaml.safe_dump(document))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "VAULT_AUTOUPDATE_ARM_ENDPOINT": sim.url,
        "VAULT_AUTOUPDATE_AUTHORITY_HOST": sim.url,
        "VAULT_AUTOUPDATE_CREDENTIAL": "workload-identity",
        "VAULT_AUTOUPDATE_RETRY_PAUSE": "0.05s",
        "AZURE_CLIENT_ID": CLIENT,
        "AZURE_TENANT_ID": TENANT,
        "AZURE_FEDERATED_TOKEN_FILE": str(token),
        "REQUESTS_CA_BUNDLE": str(authority.certificate),
    }
    return run_with(environment | changes, "plan", manifest)


def test_a_vault_is_read_with_the_pods_own_token(tmp_path: Path, sim: SimulatorThread, authority: Authority) -> None:
    result = _plan(tmp_path, sim, authority)
    assert result.returncode == 2, result.stderr
    assert result.stdout.splitlines()[-1].startswith("Plan: 3 to change, 0 to repair, 0 under way, 2 as declared")
    assert [entry["status"] for entry in sim.control.requests(kind="oauth_token")] == [200]


def test_a_refused_service_account_is_told_in_azures_words(
    tmp_path: Path, sim: SimulatorThread, authority: Authority
) -> None:
    result = _plan(tmp_path, sim, authority, subject="system:serviceaccount:other:other")
    assert result.returncode == 1
    assert "AADSTS700213" in result.stderr + result.stdout
    assert "system:serviceaccount:other:other" in result.stderr + result.stdout
    assert "Traceback" not in result.stderr


def test_an_authority_that_nobody_vouches_for_gets_no_token(
    tmp_path: Path, sim: SimulatorThread, authority: Authority
) -> None:
    stranger = Authority(tmp_path / "stranger")
    result = _plan(tmp_path, sim, authority, REQUESTS_CA_BUNDLE=str(stranger.certificate))
    assert result.returncode == 1
    assert "CERTIFICATE_VERIFY_FAILED" in result.stderr + result.stdout
    assert sim.control.requests(kind="oauth_token") == []
