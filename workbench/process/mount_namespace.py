"""Mount namespaces: what makes a process see other file systems than the rest of the machine does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from typing import Final

PRIVATE: Final = "/run"
"""What can be hidden without harm to make room for mount points: /var/run is a link to it."""

__all__ = ["PRIVATE", "mount_command"]


@cache
def mount_command() -> tuple[str, ...]:
    """What runs a shell script in a mount namespace of its own; empty where there is no such thing.

    Linux gives one to root, and to others where unprivileged user namespaces are allowed.
    """
    if sys.platform != "linux" or not (shutil.which("unshare") and shutil.which("setpriv")):
        return ()
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    command = (str(shutil.which("unshare")), *user, "--mount", "sh", "-c")
    probe = f"mount -t tmpfs tmpfs {PRIVATE} && mount -o remount,bind,ro / && setpriv --bounding-set=-all true"
    return command if subprocess.run([*command, probe], capture_output=True, check=False).returncode == 0 else ()
