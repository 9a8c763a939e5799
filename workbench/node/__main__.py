"""``make node``: build what a node needs; with ``--keep``, also run one until it is interrupted."""

from __future__ import annotations

import argparse
import signal
import sys

from workbench.kube import build_control_plane
from workbench.kube.go_build import BuildFailed
from workbench.kube.kubectl import find_kubectl
from workbench.node.binaries import build_enforcer, build_node
from workbench.node.images import build_images
from workbench.node.node import Node
from workbench.node.requirements import missing


def main() -> int:
    """Do that; the exit code is 1 if something is missing or could not be built."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", action="store_true", help="build the images alone")
    parser.add_argument("--keep", action="store_true", help="run a node until Ctrl-C")
    given = parser.parse_args()
    if reason := missing():
        print(f"node: {reason}", file=sys.stderr)  # noqa: T201
        return 1
    try:
        programs = build_node()
        images = build_images(programs["pause"])
        if not given.images:
            build_enforcer()
            build_control_plane.build()
    except (BuildFailed, FileNotFoundError) as error:
        print(f"node: {error}", file=sys.stderr)  # noqa: T201
        return 1
    print(f"node: programs in {programs.directory}, images in {images.operator.parent}", flush=True)  # noqa: T201
    if given.keep:
        _keep()
    return 0


def _keep() -> None:
    with Node() as node:
        command = f"nsenter --target {node.first_process} --net {find_kubectl()} --kubeconfig {node.admin_kubeconfig}"
        print(f"node: it runs, Ctrl-C ends it. In its network:\n  {command} get nodes", flush=True)  # noqa: T201
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    sys.exit(main())
