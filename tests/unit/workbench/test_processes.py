"""Child processes of the harness: stopped by their id, with all that they started, whatever happens to the parent."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from workbench.kube.resources import ROOT
from workbench.process.children import ChildProcess, ProcessDied
from workbench.process.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs the process control of Linux")

_SLEEPER = "import time; print('up', flush=True); time.sleep(60)"
_STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {_SLEEPER}"
_PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("child", child.pid, flush=True)
time.sleep(60)
"""
_DYING = """
import os, signal, sys
from pathlib import Path
from workbench.process.children import ChildProcess
child = ChildProcess([sys.executable, "-c", "import time; time.sleep(60)"], log=Path(sys.argv[1]))
print("child", child.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def _python(code: str, tmp_path: Path, *arguments: str) -> ChildProcess:
    return ChildProcess([sys.executable, "-c", code, *arguments], log=tmp_path / "log", name="child", cwd=ROOT)


def _runs(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_leaving_the_block_stops_the_process(tmp_path: Path) -> None:
    with _python(_SLEEPER, tmp_path) as child:
        child.wait_for_log("up", within=10)
        assert child.returncode is None

    assert child.returncode == -signal.SIGTERM
    assert not _runs(child.pid)


def test_a_process_that_ignores_the_request_is_killed(tmp_path: Path) -> None:
    with _python(_STUBBORN, tmp_path) as child:
        child.wait_for_log("up", within=10)
        assert child.stop(grace=0.1) == -signal.SIGKILL


def test_a_frozen_process_can_be_stopped(tmp_path: Path) -> None:
    with _python(_SLEEPER, tmp_path) as child:
        child.wait_for_log("up", within=10)
        child.send_signal(signal.SIGSTOP)
        assert child.stop() == -signal.SIGTERM


def test_what_the_process_started_ends_with_it(tmp_path: Path) -> None:
    with _python(_PARENT, tmp_path) as child:
        grandchild = int(child.wait_for_log("child", within=10).split()[1])
        assert _runs(grandchild)

    wait_until(lambda: not _runs(grandchild), within=5, what="the end of the grandchild")


def test_a_process_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    with _python(_DYING, tmp_path, str(tmp_path / "inner")) as parent:
        child = int(parent.wait_for_log("child", within=10).split()[1])
        assert parent.wait(within=5) == -signal.SIGKILL
        wait_until(lambda: not _runs(child), within=5, what="the end of the child")


def test_a_process_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    started: list[ChildProcess] = []
    thread = threading.Thread(target=lambda: started.append(_python(_SLEEPER, tmp_path)))
    thread.start()
    thread.join()

    with started[0] as child:
        child.wait_for_log("up", within=10)
        assert child.returncode is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGQUIT], ids=lambda number: number.name)
def test_a_process_obeys_a_signal_that_is_ignored_here(tmp_path: Path, number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_IGN)  # as a shell does for what it starts with & or nohup
    try:
        child = _python(_SLEEPER, tmp_path)
    finally:
        signal.signal(number, before)

    with child:
        child.wait_for_log("up", within=10)
        child.send_signal(number)
        assert child.wait(within=10) == -number


def test_what_a_process_prints_and_what_it_complains_about_can_be_told_apart(tmp_path: Path) -> None:
    code = "import sys; print('result'); print('warning', file=sys.stderr)"
    log, errors = tmp_path / "log", tmp_path / "errors"
    with ChildProcess([sys.executable, "-c", code], log=log, errors=errors) as child:
        assert child.wait(within=10) == 0
    assert (log.read_text(), errors.read_text()) == ("result\n", "warning\n")


def test_a_process_that_ended_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    with _python("print('address already in use'); raise SystemExit(3)", tmp_path) as child:
        assert child.wait(within=10) == 3
        with pytest.raises(ProcessDied, match=r"(?s)child ended with code 3.*address already in use"):
            child.check_alive()
        with pytest.raises(ProcessDied):
            child.wait_for_log("never", within=10)


def test_the_process_sees_the_environment_that_was_given_and_nothing_else(tmp_path: Path) -> None:
    code = "import os; print('SEEN', os.environ.get('HOME'), os.environ.get('GIVEN'))"
    with ChildProcess([sys.executable, "-c", code], log=tmp_path / "log", env={"GIVEN": "yes"}) as child:
        assert child.wait(within=10) == 0
        assert child.log_tail() == "SEEN None yes"


def test_waiting_tells_what_was_waited_for() -> None:
    with pytest.raises(TimeoutError, match=r"not within 0\.01 s: the moon"):
        wait_until(lambda: None, within=0.01, what="the moon", every=0.001)


def test_no_child_is_started_in_the_own_process_group(tmp_path: Path) -> None:
    with _python(_SLEEPER, tmp_path) as child:
        assert os.getpgid(child.pid) == child.pid != os.getpgid(0)
