"""The operator's own login ends in mid-run, and namespaces that it is to watch are not there."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.cluster.operator.conftest import SiteFactory
from workbench.kube.control_plane import ControlPlane
from workbench.process.waiting import wait_until
from workbench.site import Site

_RULES = [
    {"apiGroups": ["asr.vault-autoupdate.io"], "resources": ["*"], "verbs": ["list", "watch", "patch"]},
    {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]},
]


class Account:
    """A ServiceAccount whose token stands in a file; its tokens end with it, and then it is made anew."""

    def __init__(self, plane: ControlPlane, namespace: str, directory: Path) -> None:
        self.plane, self.namespace, self.file = plane, namespace, directory / "token"
        self._path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        self.renew()

    def renew(self) -> None:
        self.token = self.plane.service_account_token(self.namespace, "operator")
        self.file.write_text(self.token)

    def end(self) -> None:
        """Return when the API server answers 401 to the token that there was; it remembers one for ten seconds."""
        self.plane.rest.request("DELETE", f"{self._path}/operator")
        wait_until(lambda: self._status() == 401, within=60, what="the end of the token", every=0.5)

    def _status(self) -> int:
        answer = requests.get(
            f"{self.plane.url}/apis",
            headers={"Authorization": f"Bearer {self.token}"},
            verify=str(self.plane.authority),
            timeout=10,
        )
        return answer.status_code

    def may_work_in(self, namespace: str) -> None:
        """Bind a Role for the operator in a namespace."""
        path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
        self.plane.rest.create(f"{path}/roles", {"metadata": {"name": "operator"}, "rules": _RULES})
        subject = {"kind": "ServiceAccount", "name": "operator", "namespace": self.namespace}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "operator"}
        self.plane.rest.create(
            f"{path}/rolebindings", {"metadata": {"name": "operator"}, "subjects": [subject], "roleRef": role}
        )


@pytest.fixture
def account(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Account:
    made = Account(control_plane, namespace, tmp_path)
    made.may_work_in(namespace)
    return made


def _log_in(site: Site, account: Account, directory: Path, way: str = "tokenFile") -> None:
    """Give the site's operator a kubeconfig that logs in by a token that may end."""
    user: dict[str, Any] = {"tokenFile": str(account.file)}
    if way == "exec":
        plugin = directory / "plugin"
        credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}
        plugin.write_text(
            f"#!{sys.executable}\nimport json\ntoken = open({str(account.file)!r}).read()\n"
            f"print(json.dumps({json.dumps(credential)} | {{'status': {{'token': token}}}}))\n"
        )
        plugin.chmod(plugin.stat().st_mode | stat.S_IXUSR)
        user = {"exec": {"apiVersion": credential["apiVersion"], "command": str(plugin)}}
    kubeconfig = Path(site.operator.environment["KUBECONFIG"])
    document = yaml.safe_load(kubeconfig.read_text())
    document["users"][0]["user"] = user
    kubeconfig.write_text(yaml.safe_dump(document))


@pytest.mark.parametrize("way", ["tokenFile", "exec"])
def test_after_the_token_has_ended_changes_are_seen_and_drift_is_repaired_with_the_next_one(
    own_site: SiteFactory, account: Account, tmp_path: Path, way: str
) -> None:
    site = own_site({"disabled": 3})
    _log_in(site, account, tmp_path, way)
    site.operator.start().wait_ready(within=60)
    site.create()
    site.wait_ready()

    account.end()
    account.renew()
    site.sim.control.drift("disable", vault=site.vault.name, count=2)
    site.request()

    wait_until(lambda: not site.differing(), within=60, what=lambda: f"the repair: {site.operator.child.log_tail()}")
    site.wait_at_rest()
    assert "logging in again" in site.operator.log.read_text()
    assert site.operator.child.returncode is None, "no restart was needed"
    assert site.operator.metrics()["vault_autoupdate_cluster_writes_failing_seconds"] == 0


def test_while_there_is_no_other_token_writes_are_told_to_fail_and_the_operator_goes_on_with_the_next_one(
    own_site: SiteFactory, account: Account, tmp_path: Path
) -> None:
    site = own_site({"disabled": 3})
    _log_in(site, account, tmp_path)
    site.operator.start().wait_ready(within=60)
    site.create()
    site.wait_ready()

    account.end()
    site.sim.control.drift("disable", vault=site.vault.name, count=2)
    site.request()
    wait_until(
        lambda: site.operator.metrics()["vault_autoupdate_cluster_writes_failing_seconds"] > 1,
        within=30,
        what="writes that fail to be told",
    )
    account.renew()

    wait_until(lambda: not site.differing(), within=60, what=lambda: f"the repair: {site.operator.child.log_tail()}")


@pytest.mark.parametrize("position", ["first", "last"])
def test_a_namespace_that_is_missing_is_named_the_others_are_served_and_it_is_once_it_is_there(
    own_site: SiteFactory, account: Account, tmp_path: Path, position: str
) -> None:
    missing = f"{account.namespace[:40]}-later-{position}"
    names = [missing, account.namespace] if position == "first" else [account.namespace, missing]
    site = own_site({"disabled": 3}, settings={"VAULT_AUTOUPDATE_WATCH_NAMESPACES": ",".join(names)})
    _log_in(site, account, tmp_path)
    operator = site.operator.start().wait_ready(within=60)
    line = operator.child.wait_for_log("cannot be watched", within=20)
    assert missing in line
    site.create()
    site.wait_ready()
    watching = 'vault_autoupdate_watching{{watched_namespace="{}"}}'
    assert operator.metrics()[watching.format(missing)] == 0
    assert operator.metrics()[watching.format(account.namespace)] == 1

    site.plane.create_namespace(missing)
    account.may_work_in(missing)

    wait_until(
        lambda: operator.metrics()[watching.format(missing)] == 1,
        within=60,
        what=lambda: f"the namespace to be watched: {operator.child.log_tail()}",
    )
