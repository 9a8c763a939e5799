"""Wake vaults before their time, where the activity log of their subscription gives reason to look.

One task for each subscription and identity reads the log about every two minutes; what that means is decided in
`vault_autoupdate.decide.hints`. Whatever goes wrong here costs nothing but the hint: vaults are looked at at their
interval as without it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple, Protocol, Self

from vault_autoupdate.arm.activity import ActivityLogs
from vault_autoupdate.arm.client import CallContext
from vault_autoupdate.arm.identity.tokens import TokenSource
from vault_autoupdate.arm.own_writes import OwnWrites
from vault_autoupdate.controller.controller import Controller
from vault_autoupdate.controller.tracked import TrackedResource
from vault_autoupdate.decide.hints import (
    MOST_PAGES,
    OFF_FOR,
    WAKE_INTERVAL,
    WINDOW,
    Hint,
    HintMode,
    Meaning,
    SeenEntries,
    WakeTimes,
    is_watched,
    sort_entries,
    within_share,
)
from vault_autoupdate.model.activity import ActivityEntry
from vault_autoupdate.model.arm_id import fold
from vault_autoupdate.model.errors import ArmError, AzureError
from vault_autoupdate.model.quota import QuotaScope
from vault_autoupdate.model.resource import VaultAutoUpdate

_VAULTS: Final = "Microsoft.RecoveryServices"
_ACCOUNTS: Final = "Microsoft.Automation"
_ACCOUNTS_EVERY: Final = 10
"""Reads of the log about vaults to one about accounts, where a change is in less of a hurry."""
_SPREAD: Final = 0.05
"""Part of the interval by which a look at a vault is delayed at most: 5 s."""
_ACCOUNT_SPREAD: Final = 5.0
"""The same for looks at an account, which hundreds of vaults may share: 10 minutes."""
_FORBIDDEN: Final = 403

log = logging.getLogger(__name__)

__all__ = ["HintObserver", "HintPoll", "HintWatch", "LogState"]


class HintPoll(StrEnum):
    """How one reading of a log ended."""

    SUCCESS = "success"
    CUT_OFF = "cut_off"
    """There were more pages than are read."""
    FORBIDDEN = "forbidden"
    ERROR = "error"


class LogState(StrEnum):
    """How the last reading of a log went."""

    AWAITED = "awaited"
    """It was not read yet."""
    READ = "read"
    FORBIDDEN = "forbidden"
    FAILING = "failing"


class HintObserver(Protocol):
    """Is told of hints, for metrics."""

    def hints_read(self, result: HintPoll, meanings: Mapping[Meaning, int]) -> None:
        """A log was read, or was to be."""

    def hinted(self, *, woken: int, postponed: int) -> None:
        """Resources were woken, or would have been, had there been reads to spare."""


class _Log(NamedTuple):
    """A log, and as whom it is read."""

    subscription: str
    tokens: TokenSource | None


@dataclass
class _Reading:
    """What is remembered of a log between two readings."""

    seen: SeenEntries = field(default_factory=SeenEntries)
    readings: int = 0
    failures: int = 0
    is_refused: bool = False
    """Whether it was said that the log may not be read."""

    @property
    def state(self) -> LogState:
        """How the last one went."""
        if self.failures:
            return LogState.FORBIDDEN if self.is_refused else LogState.FAILING
        return LogState.READ if self.readings else LogState.AWAITED


class HintWatch:
    """Reads logs while it is entered. All methods belong to one event loop."""

    def __init__(
        self,
        *,
        logs: ActivityLogs,
        own_writes: OwnWrites,
        controller: Controller,
        mode: HintMode,
        interval: timedelta,
        has_plenty: Callable[[VaultAutoUpdate, str], bool],
        observer: HintObserver,
        now: Callable[[], datetime],
    ) -> None:
        """Make one.

        Args:
            logs: reads them.
            own_writes: what this process has done itself.
            controller: knows the resources, and wakes them.
            mode: which logs are read.
            interval: between two readings of a log.
            has_plenty: whether there are reads to spare for a vault, by its resource and its region.
            observer: is told what comes of it.
            now: the present.
        """
        self._logs = logs
        self._own_writes = own_writes
        self._controller = controller
        self._mode = mode
        self._interval = interval
        self._has_plenty = has_plenty
        self._observer = observer
        self._now = now
        self._wakes = WakeTimes(min(WAKE_INTERVAL, interval))
        self._tasks: dict[_Log, asyncio.Task[None]] = {}
        self._readings: dict[_Log, _Reading] = {}
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._mode is not HintMode.OFF:
            self._running = asyncio.create_task(self._run(), name="hints")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Read no log any more."""
        tasks = [*self._tasks.values(), *([self._running] if self._running else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def logs(self) -> Mapping[LogState, int]:
        """How many logs are followed, by how the last reading went."""
        return {**dict.fromkeys(LogState, 0), **Counter(reading.state for reading in self._readings.values())}

    async def _run(self) -> None:
        """Follow the logs of all subscriptions that are to be watched."""
        while True:
            wanted = {each for each, vaults in self._logs_to_read().items() if is_watched(self._mode, vaults)}
            for gone in self._tasks.keys() - wanted:
                self._tasks.pop(gone).cancel()
                self._readings.pop(gone, None)
            for new in wanted - self._tasks.keys():
                self._tasks[new] = asyncio.create_task(self._follow(new), name="hints")
            await asyncio.sleep(self._interval.total_seconds() / 4)

    def _logs_to_read(self) -> Counter[_Log]:
        """How many vaults there are for each log."""
        return Counter(_log_of(tracked) for tracked in self._owners())

    def _owners(self) -> Iterable[TrackedResource]:
        """The resources that manage a vault and look at it, once it is known as whom."""
        for tracked in self._controller.resources.values():
            resource = tracked.resource
            if resource is None or resource.spec.suspend or (resource.spec.credential and tracked.tokens is None):
                continue
            if self._controller.owner(tracked) == tracked.ref.key:
                yield tracked

    async def _follow(self, of: _Log) -> None:
        reading = self._readings[of] = _Reading()
        await asyncio.sleep(random.uniform(0, self._interval.total_seconds()))
        while True:
            try:
                pause = await self._read(of, reading)
            except Exception:
                log.exception("reading the activity log of subscription %s failed", of.subscription)
                pause = OFF_FOR
            await asyncio.sleep(pause.total_seconds())

    async def _read(self, of: _Log, reading: _Reading) -> timedelta:
        """Read a log once and wake whom it is about; returns how long until the next time."""
        try:
            await self._read_provider(of, reading, _VAULTS, WINDOW)
            if reading.readings % _ACCOUNTS_EVERY == 0:
                await self._read_provider(of, reading, _ACCOUNTS, WINDOW + self._interval * _ACCOUNTS_EVERY)
        except AzureError as error:
            return self._failed(of, reading, error)
        reading.readings += 1
        reading.failures, reading.is_refused = 0, False
        return self._interval

    async def _read_provider(self, of: _Log, reading: _Reading, provider: str, window: timedelta) -> None:
        context = CallContext(
            scope=QuotaScope(of.subscription),
            namespace="",
            key=of.subscription,
            run_id=str(uuid.uuid4()),
            tokens=of.tokens,
        )
        now = self._now()
        # Azure's clock may be ahead of ours; an end in the future is accepted.
        read = await self._logs.of_provider(
            context, of.subscription, provider, now - window, now + self._interval, most=MOST_PAGES
        )
        hints, meanings = sort_entries(read.entries, reading.seen, self._own_writes.made)
        self._observer.hints_read(HintPoll.CUT_OFF if read.cut_off else HintPoll.SUCCESS, meanings)
        self._wake(of, reading, hints)

    def _failed(self, of: _Log, reading: _Reading, error: AzureError) -> timedelta:
        """Say once what is wrong, and leave the log alone for a while."""
        reading.failures += 1
        is_refusal = isinstance(error, ArmError) and error.status == _FORBIDDEN
        self._observer.hints_read(HintPoll.FORBIDDEN if is_refusal else HintPoll.ERROR, {})
        fields = {"reason": error.reason, "request": error.request_id}
        if is_refusal:
            if not reading.is_refused:
                log.warning("no hints for subscription %s: %s", of.subscription, error, extra=fields)
            reading.is_refused = True
            return OFF_FOR
        if reading.failures == 1:
            log.info("no hints for subscription %s for now: %s", of.subscription, error, extra=fields)
        asked = (error.retry_after if isinstance(error, ArmError) else None) or 0.0
        doubled: timedelta = self._interval * 2 ** min(reading.failures, 10)
        return max(timedelta(seconds=asked), min(OFF_FOR, doubled))

    def _wake(self, of: _Log, reading: _Reading, hints: Mapping[Hint, list[ActivityEntry]]) -> None:
        """Wake whom hints are about, in the order of the changes; who is not woken for lack of reads is the next time.

        That goes for vaults. Who shares an account with many others may have to wait for the next look at it.
        """
        watched = [tracked for tracked in self._owners() if _log_of(tracked) == of]
        oldest_first = sorted(hints.items(), key=lambda item: min(entry.at for entry in item[1]))
        about = [(hint, tracked) for hint, _ in oldest_first for tracked in watched if _is_about(hint, tracked)]
        able = [(hint, tracked) for hint, tracked in about if self._may_look(tracked)]
        chosen = within_share(able, lambda each: each[1].ref.key.namespace)
        for hint, tracked in chosen:
            most = self._interval * (_ACCOUNT_SPREAD if hint.is_account else _SPREAD)
            key = f"{tracked.vault_key} {hint.is_account}"
            delay = self._wakes.delay(key, self._now(), most * random.random())
            self._controller.hint(tracked, delay.total_seconds(), account=hint.is_account)
        waiting = {hint for hint, _ in about} - {hint for hint, _ in chosen}
        for hint, entries in hints.items():
            if hint.is_account or hint not in waiting:
                for entry in entries:
                    reading.seen.add(entry)
        if about:
            self._observer.hinted(woken=len(chosen), postponed=len(about) - len(chosen))

    def _may_look(self, tracked: TrackedResource) -> bool:
        """Whether a look costs nobody anything. Where looks fail, they come again by themselves."""
        resource, state = tracked.resource, tracked.state
        return resource is not None and not state.errors_in_a_row and self._has_plenty(resource, state.location)


def _log_of(tracked: TrackedResource) -> _Log:
    resource = tracked.resource
    subscription = fold(resource.spec.vault_resource_id.subscription) if resource else ""
    return _Log(subscription, tracked.tokens)


def _is_about(hint: Hint, tracked: TrackedResource) -> bool:
    if not hint.is_account:
        return tracked.vault_key == hint.key
    spec = tracked.resource.spec if tracked.resource else None
    account = spec.automation_account_resource_id if spec else None
    return account is not None and account.key == hint.key
