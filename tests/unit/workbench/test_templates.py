"""A fork of a template is what a process is that was started cold: the same program sees and does the same in both."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from workbench.process.children import ChildProcess
from workbench.process.command_line import run
from workbench.process.template import PROGRAM, READ_AT_START, cold_starts, use_templates
from workbench.process.template_program import KEEPS_VARIABLES
from workbench.process.waiting import wait_until

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="there are templates on Linux alone"),
    pytest.mark.xdist_group("templates"),  # which are started once
]

_PROBE: Final = """
import asyncio, atexit, gc, json, locale, os, random, signal, sys, threading, time, warnings

def stream(file):
    return [file.name, file.mode, file.encoding, file.errors, file.line_buffering, file.isatty(), file.fileno()]

def seen():
    main = sys.modules["__main__"]
    try:
        asyncio.get_running_loop()
    except RuntimeError as error:
        loop = str(error)
    return {
        "arguments": sys.argv, "command": sys.orig_argv, "flags": str(sys.flags), "path": sys.path,
        "name": [__name__, __package__, main.__name__, main.__package__, main.__file__, main is not None],
        "environment": dict(os.environ), "directory": os.getcwd(), "umask": os.umask(0o22), "nice": os.nice(0),
        "streams": [stream(each) for each in (sys.stdin, sys.stdout, sys.stderr)], "stdin": sys.stdin.read(),
        "locale": [locale.getlocale(), sys.getfilesystemencoding()], "zone": time.tzname,
        "descriptors": sorted(int(each) for each in os.listdir("/proc/self/fd")),
        "signals": {str(each): str(signal.getsignal(each)).split(" at ")[0] for each in signal.valid_signals()},
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "threads": [each.name for each in threading.enumerate()], "tasks": len(os.listdir("/proc/self/task")),
        "alone": [os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid()], "loop": loop,
        "warnings": [str(each) for each in warnings.filters], "collector": [gc.isenabled(), gc.get_threshold()],
    }

def thread():
    time.sleep(0.05)
    print("thread done")

what = sys.argv[1]
if what == "see":
    print(json.dumps(seen()))
elif what == "draw":
    print(random.random(), os.urandom(8).hex())
elif what == "interrupt":
    raise KeyboardInterrupt
elif what == "sleep":
    print("up", flush=True)
    time.sleep(60)
elif what == "abort":
    print("lost")
    os.abort()
elif what == "broken":
    1 / 0
else:
    atexit.register(print, "at exit")
    threading.Thread(target=thread).start()
    print("complaint", file=sys.stderr)
    sys.exit({"nothing": None, "three": 3, "words": "what went wrong"}[what])
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a package ``vault_autoupdate`` that tells what it sees, and templates of it."""
    folder = tmp_path_factory.mktemp("probe")
    package = folder / PROGRAM[-1]
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(_PROBE)
    with use_templates():
        yield folder


def _start(program: Path, directory: Path, *arguments: str, **environment: str) -> ChildProcess:
    directory.mkdir(exist_ok=True)
    return ChildProcess(
        [*PROGRAM, *arguments],
        log=directory / "output",
        errors=directory / "errors",
        env={"PYTHONPATH": str(program), "HOME": "/", **environment},
        cwd=program,
    )


def _both(program: Path, tmp_path: Path, *arguments: str, **environment: str) -> list[tuple[int, str, str]]:
    """Exit code, output and errors of a fork and of a process that was started cold."""
    found = []
    with (
        _start(program, tmp_path / "fork", *arguments, **environment) as forked,
        cold_starts(),
        _start(program, tmp_path / "cold", *arguments, **environment) as cold,
    ):
        assert _parent(forked.pid) != os.getpid() == _parent(cold.pid)
        for process in (forked, cold):
            errors = process.log.parent / "errors"
            found.append((process.wait(within=20), process.log.read_text(), errors.read_text()))
    return found


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.parametrize(
    "environment", [{}, {"LANG": "C.UTF-8"}, {"LC_ALL": "C"}, {"TZ": "Asia/Tokyo", "X": "1"}], ids=str
)
def test_a_fork_sees_what_a_process_sees(program: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    forked, cold = (json.loads(output) for _, output, _ in _both(program, tmp_path, "see", "--now", **environment))
    assert forked == cold
    assert forked["arguments"] == [str(program / PROGRAM[-1] / "__main__.py"), "see", "--now"]
    assert forked["environment"]["HOME"] == "/"


@pytest.mark.parametrize("how", ["nothing", "three", "words", "interrupt", "abort"])
def test_a_fork_ends_as_a_process_ends(program: Path, tmp_path: Path, how: str) -> None:
    forked, cold = _both(program, tmp_path, how)
    assert forked[:2] == cold[:2]
    assert forked[2].splitlines()[-1:] == cold[2].splitlines()[-1:]


def test_an_error_that_nobody_expected_ends_both(program: Path, tmp_path: Path) -> None:
    forked, cold = _both(program, tmp_path, "broken")
    assert (forked[0], forked[1]) == (cold[0], cold[1]) == (1, "")
    assert forked[2].splitlines()[-2:] == cold[2].splitlines()[-2:]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL, signal.SIGUSR1])
def test_a_fork_obeys_signals_as_a_process_does(program: Path, tmp_path: Path, number: signal.Signals) -> None:
    codes = []
    before = signal.signal(number, signal.SIG_IGN) if number is signal.SIGINT else None
    try:
        with (
            _start(program, tmp_path / "fork", "sleep") as forked,
            cold_starts(),
            _start(program, tmp_path / "cold", "sleep") as cold,
        ):
            for process in (forked, cold):
                process.wait_for_log("up", within=20)
                process.send_signal(number)
                codes.append(process.wait(within=10))
    finally:
        if before is not None:
            signal.signal(number, before)
    assert codes[0] == codes[1] != 0


def test_no_two_forks_draw_the_same(program: Path, tmp_path: Path) -> None:
    for _ in range(3):
        with _start(program, tmp_path, "draw") as process:
            process.wait(within=20)
    assert len(set(process.log.read_text().split())) == 6


def test_forks_end_with_their_template(program: Path, tmp_path: Path) -> None:
    with use_templates():
        process = _start(program, tmp_path, "sleep")
        process.wait_for_log("up", within=20)
        os.kill(_parent(process.pid), signal.SIGKILL)
        wait_until(lambda: not Path(f"/proc/{process.pid}").exists(), within=10, what="the end of the fork")
        with pytest.raises(RuntimeError, match="has ended"):
            process.check_alive()


def test_a_directory_that_is_not_there_is_an_error(program: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ChildProcess([*PROGRAM, "see"], log=tmp_path / "log", env={"PYTHONPATH": str(program)}, cwd=tmp_path / "no")


_KUBECONFIG: Final = """
apiVersion: v1
kind: Config
current-context: one
contexts: [{name: one, context: {cluster: one, user: one}}]
clusters: [{name: one, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: one, user: {}}]
"""


@pytest.fixture(scope="module")
def templates() -> Iterator[None]:
    """Templates of our program."""
    with use_templates():
        yield


@pytest.mark.parametrize("arguments", ["--help", "plan missing.yaml", "plan --unknown", "status", "run"])
def test_our_program_says_the_same_in_a_fork(templates: None, arguments: str, tmp_path: Path) -> None:
    """``status`` finds the kubeconfig that its own environment names, and that nobody listens where it points."""
    path = tmp_path / "config"
    path.write_text(_KUBECONFIG)
    more = {"KUBECONFIG": str(path), "VAULT_AUTOUPDATE_WRITE_LIMIT": "none" if arguments == "run" else "200/60s"}
    forked = run(*arguments.split(), sim=None, **more)
    with cold_starts():
        cold = run(*arguments.split(), sim=None, **more)
    assert (forked.returncode, forked.stdout, forked.stderr) == (cold.returncode, cold.stdout, cold.stderr)
    assert forked.stdout + forked.stderr


_READS: Final = """
import collections, json, os, sys, traceback
sys.path.insert(0, sys.argv[1])
reads = collections.defaultdict(set)
kind = type(os.environ)
def getitem(self, name, get=kind.__getitem__):
    files = [each.filename.rpartition("/site-packages/") for each in traceback.extract_stack()]
    reads[name].add(next((file for _, installed, file in reversed(files) if installed), "?"))
    return get(self, name)
kind.__getitem__ = getitem
import template_program
template_program.load("vault_autoupdate")
print(json.dumps({name: sorted(files) for name, files in reads.items() if isinstance(name, str)}))
"""


_ABOUT_THE_MACHINE: Final = {"PATH", "_PYTHON_PROJECT_BASE", "_PYTHON_SYSCONFIGDATA_NAME"}
"""Read to name the platform, and where this Python is installed."""
_OF_THE_MACHINE: Final = {("HOME", "pydantic/_internal/_generate_schema.py")}
"""Likewise: by sysconfig, for the folders of time zones."""


def test_what_is_read_while_our_program_is_loaded_is_what_a_fork_takes_care_of() -> None:
    folder = str(Path(__file__).parents[3] / "workbench" / "process")
    command = [sys.executable, "-P", "-c", _READS, folder]
    done = subprocess.run(command, env={}, capture_output=True, text=True, check=True)
    reads = {(name, file) for name, files in json.loads(done.stdout).items() for file in files}
    others = {each for each in reads if not each[0].upper().startswith(READ_AT_START)}
    once_more = f"{KEEPS_VARIABLES.replace('.', '/')}.py"
    assert ("KUBECONFIG", once_more) in others
    known = {each for each in others if each[0] in _ABOUT_THE_MACHINE or each[1] == once_more} | _OF_THE_MACHINE
    assert others == known
