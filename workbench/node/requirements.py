"""Whether a node can run here, and if not, why."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from typing import Final

_PROGRAMS: Final = ("unshare", "ip", "mount", "nft", "iptables", "ipset", "buildah", "mmdebstrap")
NAMESPACES: Final = (
    "unshare", "--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--kill-child", "--mount-proc",
    "--propagation=private",
)  # fmt: skip
"""Runs a command as the first process of namespaces of its own, which end with it."""

__all__ = ["NAMESPACES", "missing"]


@cache
def missing() -> str:
    """What the machine lacks for a node, as a sentence with what to do; empty if nothing is missing."""
    if sys.platform != "linux":
        return "a node needs Linux"
    if os.geteuid() != 0:
        return "a node needs root, for its namespaces: run make test-node as root"
    if lacking := [name for name in _PROGRAMS if shutil.which(name) is None]:
        return f"there is no {', '.join(lacking)} here: run tools/install-system-packages node"
    script = "mount -t tmpfs tmpfs /run && ip link add probe type veth peer name probed"
    done = subprocess.run([*NAMESPACES, "sh", "-c", script], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return f"this machine gives no namespaces to its root: {done.stderr.strip()}"
    return ""
