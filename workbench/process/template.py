"""Processes of our program without the second that Python takes to load it: forks of one that has loaded it.

A *template* is a process of its own, with one thread, that has imported the program and waits. Asked for a process it
forks: what comes out has an id, a session, an environment, a directory and files of its own, obeys signals, and runs
the program's ``__main__`` from its first line as ``python -P -m`` does. What it does not show is that the program can
be loaded, and how long that takes: tests of that start it cold, by `cold_starts`.

What is read from the environment before the program's first line (encodings, where modules are) cannot be changed
afterwards. So there is a template for each such part of an environment.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any, Final, Self

PROGRAM: Final = (sys.executable, "-P", "-m", "vault_autoupdate")
"""How our program is started. What is started in another way is never a fork."""
_SCRIPT: Final = Path(__file__).with_name("template_program.py")
READ_AT_START: Final = (
    "PYTHON", "LC_", "LANG",  # the interpreter
    "LD_", "MALLOC_", "GLIBC_", "SSL", "OPENSSL",  # libraries of C
    "AIOHTTP_", "FROZENLIST_", "MULTIDICT_", "PROMETHEUS_", "PROPCACHE_", "PYDANTIC_", "YARL_",  # packages
)  # fmt: skip
"""What the names of variables begin with that are read once, before the program's first line or while it is loaded."""
_LARGEST: Final = 1 << 20

__all__ = ["PROGRAM", "READ_AT_START", "Fork", "Template", "Templates", "cold_starts", "fork_of", "use_templates"]

Launch = Callable[[Sequence[str], Mapping[str, str], int], "subprocess.Popen[bytes]"]
"""Starts a command with an environment, and leaves one descriptor open for it."""


class Fork:
    """A process that a template has forked, for the one who asked for it."""

    def __init__(self, template: Template, pid: int) -> None:
        self._template = template
        self.pid = pid
        self._code: int | None = None

    @property
    def returncode(self) -> int | None:
        """Exit code once it was collected."""
        return self._code

    def look(self) -> int | None:
        """The exit code, negative for a signal, or None while it runs; its id stays its own."""
        return self._code if self._code is not None else self._template.ask({"look": self.pid})["code"]

    def wait(self) -> int:
        """Wait for its end, collect it and return the exit code."""
        if self._code is None:
            self._code = int(self._template.ask({"reap": self.pid})["code"])
        return self._code


class Template:
    """A process that has loaded a program, and forks."""

    def __init__(self, module: str, environment: Mapping[str, str], launch: Launch) -> None:
        """Start it, and return at once.

        Args:
            module: the package whose ``__main__`` the forks are to run.
            environment: of this process; the forks get one of their own.
            launch: starts it, so that it does not outlive this process.
        """
        self._lock = Lock()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-P", str(_SCRIPT), module, str(theirs.fileno())]
            self._process = launch(command, environment, theirs.fileno())
        self._loaded = False

    def start(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        directory: Path | None,
        output: int,
        errors: int,
    ) -> Fork:
        """Fork a process that runs ``command`` with its output in two open files.

        Raises:
            OSError: ``directory`` cannot be entered.
        """
        start = {"command": [*command], "environment": {**environment}, "directory": directory and str(directory)}
        answer = self.ask({"start": start}, output, errors)
        if "error" in answer:
            raise OSError(answer["number"], answer["error"])
        return Fork(self, int(answer["pid"]))

    def ask(self, request: Mapping[str, Any], *descriptors: int) -> dict[str, Any]:
        """Send a request, and return the answer.

        Raises:
            RuntimeError: the template has ended.
        """
        with self._lock:
            if not self._loaded:
                self._receive()
                self._loaded = True
            with suppress(BrokenPipeError):  # what is received then tells
                socket.send_fds(self._socket, [json.dumps(request).encode()], descriptors)
            return self._receive()

    def _receive(self) -> dict[str, Any]:
        answer = self._socket.recv(_LARGEST)
        if not answer:
            raise RuntimeError(f"the template {self._process.pid} has ended")
        return dict(json.loads(answer))

    def close(self) -> None:
        """End it, and with it, on Linux, whatever of its forks still runs."""
        self._socket.close()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Templates:
    """One template for each part of an environment that is read at start; each is started when it is first needed."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._lock = Lock()
        self._made: dict[frozenset[tuple[str, str]], Template] = {}

    def get(self, environment: Mapping[str, str], launch: Launch) -> Template:
        """The template whose forks may get this environment."""
        read = {name: value for name, value in environment.items() if name.upper().startswith(READ_AT_START)}
        with self._lock:
            if (found := self._made.get(frozenset(read.items()))) is None:
                found = self._made[frozenset(read.items())] = self._stack.enter_context(
                    Template(PROGRAM[-1], read, launch)
                )
            return found


_in_use: list[Templates | None] = [None]
"""The templates that are asked now; the last one counts, and None means that nothing is forked."""


@contextmanager
def use_templates() -> Iterator[None]:
    """Fork processes of our program, where that is possible, until the context ends."""
    with ExitStack() as stack:
        _in_use.append(Templates(stack) if sys.platform == "linux" else None)
        try:
            yield
        finally:
            _in_use.pop()


@contextmanager
def cold_starts() -> Iterator[None]:
    """Start every process as if there were no templates, until the context ends."""
    _in_use.append(None)
    try:
        yield
    finally:
        _in_use.pop()


def fork_of(
    command: Sequence[str],
    environment: Mapping[str, str] | None,
    directory: Path | None,
    files: tuple[int, int],
    launch: Launch,
) -> Fork | None:
    """A fork that runs ``command``; None if it is not our program's, or if there are no templates."""
    templates = _in_use[-1]
    if templates is None or tuple(command[: len(PROGRAM)]) != PROGRAM:
        return None
    environment = os.environ if environment is None else environment
    return templates.get(environment, launch).start(command, environment, directory or Path.cwd(), *files)
