"""Child processes that never outlive the test run: each in its own process group, each stopped by its id.

A test run can be killed at any instant. On Linux the kernel is asked to kill a child when its parent dies
(``PR_SET_PDEATHSIG``); that request is made by a tiny Python program that then becomes the real one, because
running Python between fork and exec (``preexec_fn``) can deadlock in a process with threads.

What is ignored here is inherited: in a script's background (``&``) a test run ignores SIGINT, under ``nohup`` SIGHUP.
The tiny program ends that too, so that a child obeys as it would if somebody had started it in a terminal.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from workbench.process.template import Fork, fork_of
from workbench.process.waiting import wait_until

__all__ = ["ChildProcess", "ProcessDied"]

_LAUNCHER = """\
import ctypes, os, signal, sys
parent, program = int(sys.argv[1]), sys.argv[2]
ctypes.CDLL(None).prctl(1, int(signal.SIGKILL), 0, 0, 0)
if os.getppid() != parent:  # it died before the kernel was asked
    sys.exit(1)
for number in signal.valid_signals():
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)
os.execv(program, sys.argv[2:])
"""


class ProcessDied(RuntimeError):
    """A child process ended by itself; the message has the end of its log."""


@cache
def _launching_thread() -> ThreadPoolExecutor:
    # The kernel means "the thread that forked" by parent. This one lives as long as the process does, so a child
    # that was started from a short-lived thread does not vanish with that thread.
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="launch-processes")


def _launch(
    command: Sequence[str], environment: Mapping[str, str] | None, *descriptors: int, **more: Any
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, so that Ctrl-C in the terminal is ours to handle."""
    if sys.platform == "linux":
        command = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), *command]
    more |= {"stdin": subprocess.DEVNULL, "start_new_session": True, "pass_fds": descriptors}

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, env=None if environment is None else dict(environment), **more)

    return _launching_thread().submit(start).result()


class _Started:
    """A process that was started by loading its program, with what a `Fork` offers too."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid

    @property
    def returncode(self) -> int | None:
        """Exit code once it was collected."""
        return self._process.returncode

    def look(self) -> int | None:
        """The exit code, negative for a signal, or None while it runs; its id stays its own."""
        if self._process.returncode is not None:
            return self._process.returncode
        # Only a look: as long as nobody collects the dead process, the kernel gives its id to no other one.
        state = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if state is None:
            return None
        return state.si_status if state.si_code == os.CLD_EXITED else -state.si_status

    def wait(self) -> int:
        """Wait for its end, collect it and return the exit code."""
        return self._process.wait()


class ChildProcess:
    """A running program with its output in a file; leaving the ``with`` block stops it."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        log: Path,
        errors: Path | None = None,
        name: str = "",
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        """Start ``command``; what it prints is appended to files.

        Args:
            command: program and arguments; the program as a path.
            log: gets its standard output.
            errors: gets its standard error; ``log`` if not given.
            name: what to call it in messages; the program's name if not given.
            env: the whole environment, or that of this process if not given.
            cwd: directory to start in.
        """
        self.command = [str(part) for part in command]
        self.name = name or Path(self.command[0]).name
        self.log = log
        with log.open("ab") as output, (errors or log).open("ab") as complaints:
            files = output.fileno(), complaints.fileno()
            self._process: _Started | Fork = fork_of(self.command, env, cwd, files, _launch) or _Started(
                _launch(self.command, env, stdout=output, stderr=complaints, cwd=cwd)
            )

    @property
    def pid(self) -> int:
        """Process id, which is the id of its process group too."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        return self._process.look()

    def send_signal(self, number: int) -> None:
        """Send a signal to the process alone, not to its group; nothing happens if it has ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def wait(self, within: float) -> int:
        """Wait for the end of the process and return its exit code.

        Raises:
            TimeoutError: it still runs.
        """
        wait_until(lambda: self.returncode is not None, within=within, what=f"end of {self.name}", every=0.02)
        code = self.returncode
        assert code is not None
        return code

    def check_alive(self) -> None:
        """Raise `ProcessDied`, with the end of the log, if the process has ended."""
        if (code := self.returncode) is not None:
            raise ProcessDied(f"{self.name} ended with code {code}; the end of {self.log}:\n{self.log_tail()}")

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def wait_for_log(self, text: str, *, within: float) -> str:
        """Wait until a line of the log contains ``text``, and return that line."""

        def find() -> str | None:
            content = self.log.read_text(errors="replace")
            if line := next((line for line in content.splitlines() if text in line), None):
                return line
            self.check_alive()
            return None

        return wait_until(find, within=within, what=lambda: f"{text!r} in the log of {self.name}:\n{self.log_tail()}")

    def stop(self, *, grace: float = 5.0) -> int:
        """Ask the process to end, kill its whole group after ``grace`` seconds, and return the exit code."""
        if self.returncode is None:
            self.send_signal(signal.SIGCONT)  # a process that a test froze could not answer
            self.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                self.wait(grace)
        return self.kill()

    def kill(self) -> int:
        """Kill the process and all that it started, and return the exit code."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        return self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
