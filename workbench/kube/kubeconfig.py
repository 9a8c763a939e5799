"""Writes kubeconfig files that carry everything they need in themselves."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import yaml

from workbench.kube.certificates import KeyPair

__all__ = ["write_kubeconfig"]


def write_kubeconfig(
    path: Path,
    server: str,
    *,
    authority: Path | None = None,
    client: KeyPair | None = None,
    token: str | None = None,
    namespace: str = "default",
) -> Path:
    """Write a kubeconfig with one cluster and one user, readable by its owner alone, and return its path.

    Args:
        path: where to write it.
        server: URL of the API server.
        authority: certificate that the server's one is signed with; not needed for plain http.
        client: client certificate of the user.
        token: bearer token of the user.
        namespace: what commands without ``--namespace`` work on.
    """
    cluster: dict[str, Any] = {"server": server}
    if authority is not None:
        cluster["certificate-authority-data"] = _inline(authority)
    user: dict[str, Any] = {}
    if client is not None:
        user |= {"client-certificate-data": _inline(client.certificate), "client-key-data": _inline(client.key)}
    if token is not None:
        user["token"] = token
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}],
        "current-context": "test",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def _inline(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
