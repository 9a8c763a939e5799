"""Leadership: of several replicas one works, and the one that does knows when it may not any longer.

The election is the official client's, on a ``coordination.k8s.io`` Lease. Added here: a lost connection is a failed
try and not the end of the process; the Lease is given back at once when the process ends; and `holds` tells, at
the moment of every write, whether the Lease was renewed recently enough that nobody else can have it. A process
that was frozen for a minute finds out before it sends another PATCH, not when its renewal next comes round.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp
from kubernetes.aio import client
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.leaderelection.electionconfig import Config
from kubernetes.aio.leaderelection.leaderelection import LeaderElection
from kubernetes.aio.leaderelection.leaderelectionrecord import LeaderElectionRecord
from kubernetes.aio.leaderelection.resourcelock.leaselock import LeaseLock

LEASE_SECONDS: Final = 15
"""How long others wait after the last renewal they saw before they take the Lease."""
_RENEW_DEADLINE: Final = 10
"""How long the leader goes on without a renewal. The five seconds between the two are its margin."""
_FOLLOWER_PERIOD: Final = 1
"""Seconds between two looks of a follower: a Lease that is given back is taken within that."""
_LEADER_PERIOD: Final = 3
"""Seconds between two renewals."""
_REQUEST_SECONDS: Final = 3
_CONFLICT: Final = 409

log = logging.getLogger(__name__)

__all__ = ["LEASE_SECONDS", "Leadership", "LeadershipLost"]


class LeadershipLost(Exception):
    """The Lease could not be renewed in time; somebody else may have it."""


class Leadership:
    """This replica's part in the election."""

    def __init__(self, api: client.ApiClient, *, namespace: str, name: str, identity: str) -> None:
        self._lock = _Lock(name, namespace, identity, api)
        self._config = Config(
            self._lock,
            lease_duration=LEASE_SECONDS,
            renew_deadline=_RENEW_DEADLINE,
            retry_period=_FOLLOWER_PERIOD,
            onstarted_leading=_nothing,
            onstopped_leading=_nothing,
        )

    def follows(self) -> bool:
        """Whether somebody else leads: renewed the Lease not long ago, before our eyes."""
        return not self.holds() and time.monotonic() - self._lock.other_renewed_at < LEASE_SECONDS

    def holds(self) -> bool:
        """Whether the Lease is ours beyond doubt at this moment. Any thread may ask."""
        return time.monotonic() - self._lock.renewed_at < _RENEW_DEADLINE

    async def lead(self, work: Callable[[], Awaitable[None]]) -> None:
        """Wait for the Lease, then do ``work`` while renewing it, and give it back when the work is done.

        Raises:
            LeadershipLost: the Lease was lost while at work; the work was cancelled.
        """
        election = LeaderElection(self._config)
        log.info("waiting for the Lease %s/%s as %s", self._lock.namespace, self._lock.name, self._lock.identity)
        await election.acquire()
        log.info("this replica leads now")
        self._config.retry_period = _LEADER_PERIOD
        working = asyncio.ensure_future(work())
        renewing = asyncio.create_task(election.renew_loop(), name="renew the Lease")
        losing = asyncio.create_task(self._until_lost(), name="watch the Lease")
        try:
            await asyncio.wait({working, renewing, losing}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise LeadershipLost(f"the Lease {self._lock.namespace}/{self._lock.name} could not be renewed")
            await working
        finally:
            for task in (working, renewing, losing):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            if self.holds():
                await self._lock.give_back()

    async def _until_lost(self) -> None:
        """End when the Lease is not ours beyond doubt: nothing may be written from then on, so why stay."""
        while (left := self._lock.renewed_at + _RENEW_DEADLINE - time.monotonic()) > 0:  # noqa: ASYNC110 - a renewal moves the end
            await asyncio.sleep(left)


class _Lock(LeaseLock):
    """The official client's lock, for which no answer is a failed try, and which knows when it was last renewed."""

    renewed_at = float("-inf")
    other_renewed_at = float("-inf")
    _renewal_of_other: object = None
    """When somebody else renewed it last, by that one's clock; None before the first look at it."""

    async def get(
        self, name: str, namespace: str
    ) -> tuple[bool, LeaderElectionRecord] | tuple[bool, Exception] | tuple[bool, None]:
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                found = await super().get(name, namespace)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return False, ApiException(reason=f"no answer: {type(error).__name__}")
        if self.lease_reference is not None and (spec := self.lease_reference.spec) is not None:
            self._look_at(spec.holder_identity, spec.renew_time)
        return found

    def _look_at(self, holder: str | None, renewal: object) -> None:
        """Note a renewal by somebody else: a change that we saw, whatever that one's clock says."""
        if holder in {None, "", self.identity}:
            return
        if self._renewal_of_other not in {None, renewal}:
            self.other_renewed_at = time.monotonic()
        self._renewal_of_other = renewal

    async def create(self, name: str, namespace: str, election_record: LeaderElectionRecord) -> bool:
        # Not the client's own: that one asks for pretty=True, which the client itself refuses.
        lease = client.V1Lease(metadata=client.V1ObjectMeta(name=name), spec=self.update_lease(election_record))
        return await self._renew(self.api_instance.create_namespaced_lease(namespace, lease))

    async def update(self, name: str, namespace: str, updated_record: LeaderElectionRecord) -> bool:
        lease = self.lease_reference
        if lease is None:
            return False
        lease.spec = self.update_lease(updated_record, lease.spec)
        return await self._renew(self.api_instance.replace_namespaced_lease(name, namespace, lease))

    async def give_back(self) -> None:
        """Leave the Lease without a holder, so that the next one need not wait for its end."""
        self.renewed_at = float("-inf")
        if self.lease_reference is None:
            return
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                lease = await self.api_instance.read_namespaced_lease(self.name, self.namespace)
                if lease.spec and lease.spec.holder_identity == self.identity:
                    lease.spec.holder_identity = ""
                    await self.api_instance.replace_namespaced_lease(self.name, self.namespace, lease)
                    log.info("gave the Lease back")
        except (ApiException, aiohttp.ClientError, OSError, TimeoutError) as error:
            log.warning("the Lease could not be given back, it ends by itself: %s", type(error).__name__)

    async def _renew(self, write: Awaitable[object]) -> bool:
        asked_at = time.monotonic()  # the server may have noted it as early as this
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                await write
        except ApiException as error:
            level = logging.DEBUG if error.status == _CONFLICT else logging.WARNING  # somebody else was faster
            log.log(level, "the Lease could not be written: %s %s", error.status, error.reason)
            return False
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            log.warning("the Lease could not be written: no answer: %s", type(error).__name__)
            return False
        self.renewed_at = asked_at
        return True


async def _nothing() -> None:
    """The election's callbacks: `Leadership.lead` does their work."""
