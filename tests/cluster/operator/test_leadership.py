"""Two replicas and one Lease: of the two one works, however the other one ends."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from tests.cluster.operator.conftest import OperatorFactory, SiteFactory
from workbench.process.operator import OperatorProcess
from workbench.process.waiting import wait_until
from workbench.site import Site

pytestmark = pytest.mark.xdist_group("leadership")

TAKE_OVER = 20.0
"""Seconds after which another replica works when the leader says no word any more."""
MANY = 3000
"""More mappings than are patched in any of these tests."""


def _settings(site: Site, replica: str) -> dict[str, str]:
    return {
        "VAULT_AUTOUPDATE_LEADER_ELECT": "true",
        "VAULT_AUTOUPDATE_LEASE_NAMESPACE": site.namespace,
        "VAULT_AUTOUPDATE_LEASE_NAME": "vault-autoupdate",
        "VAULT_AUTOUPDATE_STATUS_INTERVAL": "0.5s",
        # Fifteen PATCHes a second, so that the run goes on for as long as the test does.
        "VAULT_AUTOUPDATE_WRITE_LIMIT": "150/10s",
        "POD_NAME": replica,
    }


def _holder(site: Site) -> str:
    path = f"/apis/coordination.k8s.io/v1/namespaces/{site.namespace}/leases/vault-autoupdate"
    lease: dict[str, Any] = site.plane.rest.get_or_none(path) or {}
    return str(lease.get("spec", {}).get("holderIdentity") or "")


def _wait_holder(site: Site, replica: OperatorProcess, *, within: float) -> None:
    wait_until(
        lambda: _holder(site).startswith(f"{replica.name}_"),
        within=within,
        what=lambda: f"{replica.name} to lead, it is {_holder(site)!r}; {replica.child.log_tail()}",
    )


def _wait_patches(site: Site, more: int, *, within: float = 20) -> None:
    """Wait until so many more mappings were patched."""
    begin = site.patch_count()
    wait_until(lambda: site.patch_count() >= begin + more, within=within, what=f"{more} more PATCHes")


def _status_writes(site: Site, replica: OperatorProcess) -> int:
    return len(site.writes(user=f"{site.namespace}-{replica.name}"))


def _changed_by(replica: OperatorProcess) -> set[str]:
    """Names of the mappings that a replica says it changed, from its log."""
    text = replica.log.read_text(errors="replace")
    return {match[1].rsplit("/", 1)[-1] for match in re.finditer(r" changing (\S+): ", text)}


def _check_one_after_the_other(site: Site, first: OperatorProcess, second: OperatorProcess) -> None:
    """Each mapping was patched once, and from the first PATCH of the second replica on all PATCHes are its own."""
    assert set(site.patched().values()) == {1}
    requests = site.requests(method="PATCH")
    # 0: whoever sent it was killed before the answer came.
    assert {each["status"] for each in requests} - {0} == {202}
    names = [each["mapping"] for each in requests]
    second.stop()  # whatever it has sent, it has logged now
    of_second = _changed_by(second)
    begin = next(number for number, name in enumerate(names) if name in of_second)
    assert begin > 0
    assert not _changed_by(first) & of_second
    assert set(names[begin:]) <= of_second


@pytest.fixture
def busy(own_site: SiteFactory, operators: OperatorFactory) -> tuple[Site, OperatorProcess, OperatorProcess]:
    """A leader in the middle of a long run, and a replica that waits."""
    site = own_site({"disabled": MANY}, throttle={"enabled": False, "arm": {"enabled": False}})
    first = operators(site, "first", _settings(site, "first")).start()
    second = operators(site, "second", _settings(site, "second"))
    _wait_holder(site, first, within=20)
    second.start().wait_ready()  # waiting for its turn is as ready as it can be
    site.operator = first
    site.create()
    _wait_patches(site, 20)
    assert _holder(site).startswith("first_")
    return site, first, second


def test_a_leader_that_is_told_to_end_gives_the_lease_back_and_the_other_works_within_2_s(
    busy: tuple[Site, OperatorProcess, OperatorProcess],
) -> None:
    site, first, second = busy

    assert first.child.stop(grace=10) == 0
    ended = time.monotonic()
    count = site.patch_count()
    _wait_holder(site, second, within=2)

    wait_until(lambda: site.patch_count() > count, within=10, what="a PATCH of the other one")
    assert time.monotonic() - ended < 5
    _check_one_after_the_other(site, first, second)


def test_a_leader_that_is_killed_is_followed_within_20_s(
    busy: tuple[Site, OperatorProcess, OperatorProcess],
) -> None:
    site, first, second = busy

    first.kill()
    killed = time.monotonic()
    count = site.patch_count()
    _wait_holder(site, second, within=TAKE_OVER)
    wait_until(lambda: site.patch_count() > count, within=10, what="a PATCH of the other one")

    assert time.monotonic() - killed < TAKE_OVER + 2
    _check_one_after_the_other(site, first, second)


def test_a_leader_that_was_frozen_writes_nothing_more_when_it_wakes_up(
    busy: tuple[Site, OperatorProcess, OperatorProcess],
) -> None:
    site, first, second = busy

    first.freeze()
    count = site.patch_count()
    _wait_holder(site, second, within=TAKE_OVER)
    wait_until(lambda: site.patch_count() > count, within=10, what="a PATCH of the other one")
    before = _status_writes(site, first)
    first.thaw()

    assert first.child.wait(within=TAKE_OVER) not in {0, None}, "it lost the Lease, so it is to start anew"
    _wait_patches(site, 10)
    assert _status_writes(site, first) == before
    _check_one_after_the_other(site, first, second)
