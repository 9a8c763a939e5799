"""What the commands that work on a manifest share: settings, manifest, core, exit codes, Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType
from typing import Any, Final, TextIO, TypeVar

import click

from vault_autoupdate.arm.deadline import cut_connections
from vault_autoupdate.arm.throttle import CallKind
from vault_autoupdate.cli.manifest import InvalidManifest, read_manifests
from vault_autoupdate.cli.options import EXIT_FAILED, fail, load, refuse, settings_options
from vault_autoupdate.cli.view import View
from vault_autoupdate.core import Core, open_core
from vault_autoupdate.decide.jobs import Verdict, WorkKind
from vault_autoupdate.logs import configure_logging
from vault_autoupdate.model.explanation import Explanation
from vault_autoupdate.model.resource import VaultAutoUpdate
from vault_autoupdate.reconcile.reconciler import Outcome
from vault_autoupdate.settings import InvalidSettings, Settings

EXIT_CHANGES: Final = 2
EXIT_INTERRUPTED: Final = 130
_GRACE: Final = 5.0
"""Seconds after Ctrl-C for answers that are under way: that to a change names its job."""

F = TypeVar("F", bound=Callable[..., Any])

__all__ = [
    "EXIT_CHANGES",
    "EXIT_FAILED",
    "EXIT_INTERRUPTED",
    "Watcher",
    "fail",
    "load",
    "manifests",
    "on_interrupt",
    "open_quiet_core",
    "output_option",
    "quiet_logging",
    "refuse",
    "settings_options",
    "until_interrupted",
]


def output_option(command: F) -> F:
    """The option for the form of the answer."""
    choice = click.Choice(["text", "json"])
    return click.option("-o", "--output", type=choice, default="text", help="Form of the answer.")(command)


class Watcher:
    """Passes the outcome of each mapping and machine to the view. Implements `CallObserver` and `RunObserver`."""

    view: View | None = None

    def work_failed_to_start(self, kind: WorkKind, label: str, explanation: Explanation) -> None:  # noqa: ARG002 - the label tells
        """See `RunObserver`."""
        if self.view:
            self.view.outcome(label, "failed_to_start", explanation)

    def work_ended(
        self, kind: WorkKind, label: str, verdict: Verdict, took: timedelta, explanation: Explanation
    ) -> None:
        """See `RunObserver`."""
        del kind, took  # neither is shown
        if self.view:
            self.view.outcome(label, str(verdict), explanation)

    def drift_found(self, drifted: int, unhealthy: int) -> None:
        """See `RunObserver`."""

    def job_state_unknown(self, state: str) -> None:
        """See `RunObserver`."""

    def call_finished(self, operation: str, code: str, seconds: float) -> None:
        """See `CallObserver`."""

    def call_waited(self, kind: CallKind, seconds: float) -> None:
        """See `CallObserver`."""

    def call_throttled(self, kind: CallKind) -> None:
        """See `CallObserver`."""

    def quota_reported(self, kind: CallKind, remaining: int) -> None:
        """See `CallObserver`."""


def quiet_logging(settings: Settings) -> None:
    """Let the log speak only when it was asked for, or something is wrong."""
    level = settings.log_level if settings.log_level == "debug" else "error"
    configure_logging(settings.model_copy(update={"log_level": level}))


@contextmanager
def open_quiet_core(settings: Settings, watcher: Watcher) -> Iterator[Core]:
    """The core for one command: the views speak, the log only when it was asked for or something is wrong.

    It looks at neither agents nor the Automation account by itself: nothing here would show it.
    """
    quiet_logging(settings)
    try:
        no_looks = settings.model_copy(update={"agent_interval": timedelta()})
        with open_core(no_looks, os.environ, calls=watcher, runs=watcher) as core, _ctrl_c_ends_calls():
            yield core
    except InvalidSettings as error:
        refuse(error.problems)


@contextmanager
def _ctrl_c_ends_calls() -> Iterator[None]:
    """Let Ctrl-C end calls that only read, too: threads make them, and the end would wait for their time-out."""
    if threading.current_thread() is not threading.main_thread():  # which alone has signals
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        cut_connections()
        signal.default_int_handler(number, frame)

    before = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


async def until_interrupted(
    work: Coroutine[Any, Any, Outcome], interrupted: asyncio.Event, so_far: Callable[[], Outcome]
) -> Outcome:
    """What ``work`` ends with. After Ctrl-C it has some seconds to end in order, then its calls are cut.

    Args:
        work: a pass over a vault, which looks at ``interrupted`` by itself, but not while it waits for an answer.
        interrupted: is set by Ctrl-C.
        so_far: what to tell where it had to be cut.
    """
    task, stop = asyncio.ensure_future(work), asyncio.ensure_future(interrupted.wait())
    await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    await asyncio.wait({task}, timeout=_GRACE)
    while not task.done():
        task.cancel()
        cut_connections()
        await asyncio.wait({task}, timeout=1.0)
    return so_far() if task.cancelled() else task.result()


def on_interrupt() -> asyncio.Event:
    """An event that Ctrl-C (or SIGTERM) sets, so that what runs can end in order. To be called in the event loop."""
    interrupted = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted.set)
    return interrupted


def manifests(file: TextIO) -> list[VaultAutoUpdate]:
    """The resources of a manifest, or an end with all that is wrong with it."""
    try:
        resources = read_manifests(file)
    except InvalidManifest as error:
        refuse(f"{file.name}: {problem}" for problem in error.problems)
    for resource in resources:
        if resource.spec.credential:
            click.echo(f"note: {resource.key}: spec.credential is for the operator; you log in as yourself", err=True)
    return resources
