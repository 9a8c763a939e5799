"""The project's own resource, for tests: its definition, manifests, and paths of the REST API."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from workbench import documents
from workbench.kube.rest import MERGE_PATCH, ApiError, RestClient
from workbench.process.waiting import wait_until

ROOT: Final = Path(__file__).resolve().parents[2]
CRD_FILE: Final = ROOT / "crds" / "asr.vault-autoupdate.io_vaultautoupdates.yaml"
POLICY_CRD_FILE: Final = ROOT / "crds" / "asr.vault-autoupdate.io_vaultautoupdatepolicies.yaml"
EXAMPLE_FILE: Final = ROOT / "examples" / "vault-autoupdate.yaml"

SUBSCRIPTION: Final = "6f3b9f5e-8a3c-4c7e-9a53-0d1f6b2c7a10"
GROUP: Final = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-dr-weu"
VAULT: Final = f"{GROUP}/providers/Microsoft.RecoveryServices/vaults/dr-weu"
ACCOUNT: Final = f"{GROUP}/providers/Microsoft.Automation/automationAccounts/aa-dr-weu"

__all__ = [
    "ACCOUNT", "CRD_FILE", "EXAMPLE_FILE", "GROUP", "POLICY_CRD_FILE", "SUBSCRIPTION", "VAULT", "collection_path",
    "install_definition", "load_definition", "manifest", "policy_manifest", "resource_path",
]  # fmt: skip


def load_definition(path: Path = CRD_FILE) -> dict[str, Any]:
    """Read a CustomResourceDefinition from its file."""
    document: dict[str, Any] = documents.read(path.read_text())
    return document


def install_definition(rest: RestClient, path: Path = CRD_FILE) -> None:
    """Create or update a CustomResourceDefinition, and wait until the API server serves its resource."""
    definition = load_definition(path)
    collection = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    own = f"{collection}/{definition['metadata']['name']}"
    try:
        rest.create(collection, definition)
    except ApiError as error:
        if error.code != 409:
            raise
        rest.request("PATCH", own, {"spec": definition["spec"]}, content_type=MERGE_PATCH)
    group, version = definition["spec"]["group"], definition["spec"]["versions"][0]["name"]
    served = f"/apis/{group}/{version}/{definition['spec']['names']['plural']}"

    def established() -> bool:
        conditions = (rest.get_or_none(own) or {}).get("status", {}).get("conditions") or []
        if not any(c["type"] == "Established" and c["status"] == "True" for c in conditions):
            return False
        try:  # it comes a moment before the first request is answered
            return rest.get_or_none(served) is not None
        except ApiError as error:
            if error.code == 429:  # "storage is (re)initializing"
                return False
            raise

    wait_until(established, within=30, what=f"{definition['metadata']['name']} established")


def manifest(name: str = "dr-weu", *, namespace: str | None = None, **spec: Any) -> dict[str, Any]:
    """Return a valid manifest; ``spec`` adds to its fields, and a value of None takes one away."""
    fields = {"vaultResourceId": VAULT, "autoUpdate": "Enabled", "automationAccountResourceId": ACCOUNT} | spec
    return {
        "apiVersion": "asr.vault-autoupdate.io/v1alpha1",
        "kind": "VaultAutoUpdate",
        "metadata": {"name": name} | ({"namespace": namespace} if namespace else {}),
        "spec": {key: value for key, value in fields.items() if value is not None},
    }


def policy_manifest(name: str = "estate", *, namespace: str | None = None, **spec: Any) -> dict[str, Any]:
    """Return a valid manifest of a policy; ``spec`` adds to its fields, and a value of None takes one away."""
    fields: dict[str, Any] = {
        "scope": {"subscriptions": [SUBSCRIPTION]},
        "template": {"autoUpdate": "Enabled"},
        "automationAccount": [{"current": True}],
    } | spec
    return {
        "apiVersion": "asr.vault-autoupdate.io/v1alpha1",
        "kind": "VaultAutoUpdatePolicy",
        "metadata": {"name": name} | ({"namespace": namespace} if namespace else {}),
        "spec": {key: value for key, value in fields.items() if value is not None},
    }


def collection_path(namespace: str, plural: str = "vaultautoupdates") -> str:
    """Return the REST path of a namespace's resources."""
    return f"/apis/asr.vault-autoupdate.io/v1alpha1/namespaces/{namespace}/{plural}"


def resource_path(
    namespace: str, name: str = "dr-weu", *, subresource: str = "", plural: str = "vaultautoupdates"
) -> str:
    """Return the REST path of one resource, or of its subresource."""
    return f"{collection_path(namespace, plural)}/{name}" + (f"/{subresource}" if subresource else "")
