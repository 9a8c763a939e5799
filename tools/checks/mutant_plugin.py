"""Plugin of pytest that tests mutants, ``--mutants FILE`` with one name a line, in the folder where mutmut made them.

All tests run once without a mutant: that tells by which functions each of them comes, and its time. Then each mutant
gets a process of its own, forked from the one that has imported and collected everything. It runs the tests that come
by its function up to the first that fails: those named after its module first, the fastest of them before the others.
mutmut's own runner has pytest collect anew for each mutant, which takes longer than the tests, and the clock ends those
that are late because the machine has other work.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NoReturn

import pytest
from mutmut.mutation import trampoline
from mutmut.utils.format_utils import mangled_name_from_mutant_name

from tools.checks.mutant_results import FAILED, PASSED, UNTESTED, write_verdict

_ACTIVE: Final = "MUTANT_UNDER_TEST"
"""What a function that mutmut changed looks into: the name of a mutant, or "stats": tell that you were called."""
_TIMES: Final = 3
_SECONDS: Final = 10
"""Endless: its tests take more processor time than so many times what they take without it, and so many seconds."""
_IMPORT: Final = "import"
_OUTPUT: Final = 1

__all__ = ["pytest_addoption", "pytest_configure"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Without the option the plugin does nothing."""
    parser.addoption("--mutants", type=Path, help="file with the names of the mutants to test")


def pytest_configure(config: pytest.Config) -> None:
    """Begin to listen before any test imports the rooms of the mutants."""
    if (file := config.getoption("--mutants")) is not None:
        config.pluginmanager.register(_Runner(config, file.read_text().split()))


class _Runner:
    def __init__(self, config: pytest.Config, mutants: list[str]) -> None:
        self._config = config
        self._mutants = mutants
        self._callers: dict[str, set[str]] = defaultdict(set)
        """By function: the tests that come by it, and `_IMPORT` if a module calls it as it is imported."""
        self._seconds: dict[str, float] = {}
        """By test: its processor time."""
        self._at = _IMPORT
        trampoline.record_trampoline_hit = self._called  # type: ignore[attr-defined]  # what it calls, imported there
        os.environ[_ACTIVE] = "stats"
        for room in sorted({".".join(mutant.split(".")[:-2]) for mutant in mutants}):
            for module in pkgutil.iter_modules([str(Path("src", *room.split(".")))], f"{room}."):
                importlib.import_module(module.name)
        os.environ[_ACTIVE] = ""
        self._caches = list(_caches())

    def _called(self, name: str, caller: str | None = None) -> None:
        del caller
        self._callers[name].add(self._at)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run all tests without a mutant, then some with each."""
        tests = {item.nodeid: item for item in session.items}
        self._run_without(session, tests)
        reporter = self._config.pluginmanager.getplugin("terminalreporter")
        reporter.write_line("")
        for number, mutant in enumerate(self._mutants, 1):
            write_verdict(mutant, verdict := self._verdict(session, tests, mutant))
            reporter.write_line(f"{number} of {len(self._mutants)}: {mutant} {verdict}")
        return True

    def _run_without(self, session: pytest.Session, tests: dict[str, pytest.Item]) -> None:
        os.environ[_ACTIVE] = "stats"
        for self._at, item in tests.items():
            self._forget()
            begin = time.process_time()
            item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
            self._seconds[self._at] = time.process_time() - begin
            if session.testsfailed:
                raise session.Failed(f"{self._at} fails without a mutant")
        os.environ[_ACTIVE] = ""

    def _forget(self) -> None:
        """What was computed for one test is computed anew for the next."""
        for clear in self._caches:
            clear()

    def _verdict(self, session: pytest.Session, tests: dict[str, pytest.Item], mutant: str) -> int:
        """What the tests of a mutant ended with. One that is at work at import needs a process that imports anew."""
        callers = self._callers[mangled_name_from_mutant_name(mutant)]
        own = f"/test_{mutant.split('.')[-2]}"
        names = sorted(callers - {_IMPORT}, key=lambda name: (own not in name, self._seconds[name]))
        verdict = UNTESTED
        if names:
            verdict = self._fork(mutant, names, lambda: _run(session, [tests[name] for name in names]))
        if verdict in {UNTESTED, PASSED} and _IMPORT in callers:
            verdict = self._fork(mutant, tests, self._start_anew)
        return verdict

    def _fork(self, mutant: str, names: Iterable[str], run: Callable[[], NoReturn]) -> int:
        """What the tests end with in a process in which the mutant is at work, or minus the signal that ends it."""
        if (child := os.fork()) == 0:
            self._config.pluginmanager.unregister(name="terminalreporter")
            seconds = int(_SECONDS + _TIMES * sum(self._seconds[name] for name in names))
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
            os.environ[_ACTIVE] = mutant
            self._forget()
            run()
        verdict = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return FAILED if verdict > 0 else verdict

    def _start_anew(self) -> NoReturn:
        arguments = [text for text in self._config.invocation_params.args if not text.startswith("--mutants")]
        os.dup2(os.open(os.devnull, os.O_WRONLY), _OUTPUT)
        os.execv(sys.executable, [sys.executable, "-m", "pytest", "-x", *arguments])  # noqa: S606


def _run(session: pytest.Session, items: list[pytest.Item]) -> NoReturn:
    """Run tests up to the first that fails, and end the process. What ends pytest itself is noticed too."""
    try:
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.testsfailed:
                break
    except BaseException:  # noqa: BLE001
        os._exit(FAILED)
    os._exit(FAILED if session.testsfailed else PASSED)


def _caches() -> Iterable[Callable[[], None]]:
    """How to empty each cache of results of the package."""
    for name, module in list(sys.modules.items()):
        if name.startswith("vault_autoupdate."):
            for value in vars(module).values():
                if (clear := getattr(value, "cache_clear", None)) is not None:
                    yield clear
