"""Makes NetworkPolicies count on a node: without, its pods reach whatever they want."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from workbench.node.binaries import find_enforcer
from workbench.node.configuration import SERVICES
from workbench.node.node import HOW_TO_BUILD, Node
from workbench.process.children import ChildProcess
from workbench.process.waiting import wait_until

_NAME: Final = "network-policy"
_CHAIN: Final = "KUBE-POD-FW-"
"""Begins the name of the chain that kube-router makes for each pod that a policy selects."""

__all__ = ["network_policies"]


@contextmanager
def network_policies(node: Node, pods: int) -> Iterator[None]:
    """Have policies enforced until the block ends. To be entered in the node's network.

    Args:
        node: a running node.
        pods: how many pods have a policy by now; it is waited for until theirs are enforced.

    Raises:
        FileNotFoundError: what enforces them is not built.
    """
    if (program := find_enforcer()) is None:
        raise FileNotFoundError(f"what enforces network policies is not built: {HOW_TO_BUILD}")
    inside = [str(shutil.which("nsenter")), f"--target={node.first_process}", "--mount", "--net"]
    command = [*inside, str(program), f"--kubeconfig={node.admin_kubeconfig}", "--node=node", f"--services={SERVICES}"]
    log = node.directory / "logs" / f"{_NAME}.log"
    with ChildProcess(command, log=log, name=_NAME, env={"PATH": os.environ["PATH"]}) as enforcing:

        def enforced() -> bool:
            enforcing.check_alive()
            return _chains() >= pods

        wait_until(enforced, within=60, what=lambda: f"policies to be enforced:\n{enforcing.log_tail()}")
        yield
        enforcing.stop(grace=20.0)  # so that it takes its rules away
    if left := _chains():
        raise RuntimeError(f"{left} pods are still cut off:\n{enforcing.log_tail()}")


def _chains() -> int:
    listed = subprocess.run(["iptables", "-S"], capture_output=True, text=True, check=True).stdout
    return sum(line.startswith(f"-N {_CHAIN}") for line in listed.splitlines())
