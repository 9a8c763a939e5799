"""What a template runs: it loads a program once, and forks a process of it whenever it is asked to.

A script that imports nothing of ours, so that what a fork has loaded is the program, and nothing of the workbench.
See `workbench.process.template`, which starts it and says what it is for.

Each request is one JSON document in one packet, and so is each answer:

- ``{"start": {"command", "environment", "directory"}}``, with the descriptors of standard output and standard error:
  ``{"pid"}``, or ``{"error", "number"}`` where the directory cannot be entered.
- ``{"look": pid}``: ``{"code"}``, null while it runs; negative for a signal.
- ``{"reap": pid}``: the same, once it has ended; from then on the kernel may give its id to somebody else.

It ends when nobody holds the other end of its socket any more, and the kernel kills its forks when it ends.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import pkgutil
import runpy
import signal
import socket
import sys
import time
from importlib import import_module, reload
from typing import Any, Final

_LIBC: Final = ctypes.CDLL(None)
_DIE_WITH_PARENT: Final = 1  # PR_SET_PDEATHSIG
_LARGEST: Final = 1 << 20
KEEPS_VARIABLES: Final = "kubernetes.aio.config.kube_config"
"""Of what our program loads, what takes from the environment, while it is loaded, that which every process has its own
of: where a kubeconfig is. A fork runs this module once more."""


def load(name: str) -> None:
    """Import all modules of a package but its ``__main__``: a command loads only those that it needs, one of these."""
    package = import_module(name)
    for module in pkgutil.walk_packages(package.__path__, f"{name}."):
        if not module.name.endswith(".__main__"):
            import_module(module.name)


def serve(connection: socket.socket) -> list[str] | None:
    """Answer requests until nobody asks any more; in a fork, return the command that it is to run."""
    while True:
        packet, descriptors, _, _ = socket.recv_fds(connection, _LARGEST, 2)
        if not packet:
            return None
        request: dict[str, Any] = json.loads(packet)
        if start := request.get("start"):
            answer = _fork(connection, start, descriptors)
            if answer is None:
                return list(start["command"])
        elif "look" in request:
            answer = {"code": _ended(request["look"], os.WNOHANG | os.WNOWAIT)}
        else:
            answer = {"code": _ended(request["reap"], 0)}
        connection.send(json.dumps(answer).encode())


def _ended(pid: int, options: int) -> int | None:
    state = os.waitid(os.P_PID, pid, os.WEXITED | options)
    if state is None:
        return None
    return state.si_status if state.si_code == os.CLD_EXITED else -state.si_status


def _fork(connection: socket.socket, start: dict[str, Any], descriptors: list[int]) -> dict[str, Any] | None:
    """Fork; the answer once the fork is what a started process is, or None in the fork itself."""
    told, tells = os.pipe()
    template = os.getpid()
    pid = os.fork()
    if pid == 0:
        os.close(told)
        try:
            os.setsid()
            _LIBC.prctl(_DIE_WITH_PARENT, int(signal.SIGKILL), 0, 0, 0)
            if os.getppid() != template:  # it died before the kernel was asked
                os._exit(1)
            _become(start, descriptors)
        except OSError as error:
            os.write(tells, json.dumps({"error": str(error), "number": error.errno}).encode())
            os._exit(1)
        os.close(tells)
        os.close(connection.detach())
        return None
    for each in (tells, *descriptors):
        os.close(each)
    failure = os.read(told, 65_536)  # nothing, once the fork has closed its end
    os.close(told)
    if failure:
        os.waitpid(pid, 0)
        return dict(json.loads(failure))
    return {"pid": pid}


def _become(start: dict[str, Any], descriptors: list[int]) -> None:
    """Take what a new process would have got: output, directory, environment."""
    for descriptor, standard in zip(descriptors, (1, 2), strict=True):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    if start["directory"] is not None:
        os.chdir(start["directory"])
    by_interpreter = {name: os.environ[name] for name in ("LC_CTYPE",) if name in os.environ}
    os.environ.clear()
    os.environ.update(by_interpreter | start["environment"])
    time.tzset()
    if KEEPS_VARIABLES in sys.modules:
        reload(sys.modules[KEEPS_VARIABLES])


def main() -> None:
    """Load, answer, and in a fork run the program as ``python -m`` does: how it ends is left to the interpreter."""
    name = sys.argv[1]
    connection = socket.socket(fileno=int(sys.argv[2]))
    load(name)
    gc.collect()
    gc.freeze()  # else the first collection of a fork would copy every page of what was loaded
    connection.send(b"{}")
    command = serve(connection)
    if command is not None:
        sys.orig_argv[:] = command
        sys.argv[:] = command[command.index(name) :]
        runpy.run_module(name, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
