"""Site Recovery's calls about machines: what goes out, and what of the answers is believed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.builders import VAULT_ID
from vault_autoupdate.arm.client import ArmClient, CallContext
from vault_autoupdate.arm.session import ArmCall, ArmReply
from vault_autoupdate.arm.site_recovery import SiteRecovery
from vault_autoupdate.budget import Limit
from vault_autoupdate.errors import MalformedReply
from vault_autoupdate.resource_id import parse_vault_id
from vault_autoupdate.throttle import CallKind, Throttle

VAULT = parse_vault_id(VAULT_ID)
CONTEXT = CallContext(scope="s", key=VAULT.key, run_id="run")
CONTAINER = (
    f"{VAULT_ID.replace('/subscriptions', '/Subscriptions')}/replicationFabrics/f/replicationProtectionContainers/c"
)
ITEM = f"{CONTAINER}/replicationProtectedItems/i"
JOB = "535e25dd-a24d-4393-8f51-7a771ebf19bd"
NAMES_JOB = {"azure-asyncoperation": f"https://h/x/replicationOperationStatus/{JOB}?s=signature"}


class Arm:
    """Answers what it is told, call by call. `Transport` and `CallObserver` in one."""

    def __init__(self) -> None:
        self.answers: list[ArmReply] = []
        self.calls: list[ArmCall] = []

    def send(self, call: ArmCall) -> ArmReply:
        self.calls.append(call)
        return self.answers.pop(0)

    def call_finished(self, operation: str, code: str, seconds: float) -> None:
        pass

    def call_waited(self, kind: CallKind, seconds: float) -> None:
        pass

    def call_throttled(self, kind: CallKind) -> None:
        pass

    def quota_reported(self, kind: CallKind, remaining: int) -> None:
        pass


@pytest.fixture
def arm() -> Arm:
    return Arm()


@pytest.fixture
def site_recovery(arm: Arm) -> Iterator[SiteRecovery]:
    throttle = Throttle({kind: [Limit(100, 60)] for kind in CallKind})
    client = ArmClient(arm, throttle, arm, connections=1)
    yield SiteRecovery(client)
    client.close()


def _reply(document: object, status: int = 200, headers: dict[str, str] | None = None) -> ArmReply:
    return ArmReply(status, headers or {}, json.dumps(document).encode())


def _item(name: str, **changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = {
        "id": f"{CONTAINER}/replicationProtectedItems/{name}",
        "name": name,
        "properties": {"providerSpecificDetails": {"instanceType": "A2A"}},
    }
    return {**document, **changes}


async def test_the_machines_of_a_vault_are_those_on_all_pages_each_once(arm: Arm, site_recovery: SiteRecovery) -> None:
    link = f"https://h{VAULT_ID}/replicationProtectedItems?skipToken=2"
    again = _item("b", id=f"{CONTAINER}/replicationProtectedItems/B")
    arm.answers = [
        _reply({"value": [_item("a"), _item("b")], "nextLink": link}),
        _reply({"value": [again, _item("c")]}),
    ]

    machines = await site_recovery.machines(CONTEXT, VAULT)

    assert [machine.name for machine in machines] == ["a", "b", "c"]
    assert [call.target for call in arm.calls] == [f"{VAULT_ID}/replicationProtectedItems", link]


@pytest.mark.parametrize(
    "machine_id",
    [
        "/subscriptions/x/resourceGroups/g/providers/Microsoft.RecoveryServices/vaults/other/replicationFabrics/f",
        f"{CONTAINER}/replicationProtectedItems/../x",
        f"{CONTAINER}/replicationProtectedItems/x?y=z",
        VAULT_ID,
        "",
    ],
)
async def test_a_machine_of_another_vault_is_neither_believed_nor_called(
    arm: Arm, site_recovery: SiteRecovery, machine_id: str
) -> None:
    arm.answers = [_reply({"value": [_item("a"), _item("b", id=machine_id)]})]
    with pytest.raises(MalformedReply, match=r"replicated items one has the id .* not one of this vault"):
        await site_recovery.machines(CONTEXT, VAULT)
    arm.calls.clear()

    with pytest.raises(MalformedReply, match="not one of this vault"):
        await site_recovery.machine(CONTEXT, machine_id)
    with pytest.raises(MalformedReply, match="not one of this vault"):
        await site_recovery.update_agent(CONTEXT, machine_id)
    assert arm.calls == []


async def test_one_machine_is_read_by_the_id_of_its_item(arm: Arm, site_recovery: SiteRecovery) -> None:
    arm.answers = [_reply(_item("i"))]

    assert (await site_recovery.machine(CONTEXT, ITEM)).id == ITEM
    assert [(call.method, call.target) for call in arm.calls] == [("GET", ITEM)]


async def test_an_update_is_a_post_that_names_its_job(arm: Arm, site_recovery: SiteRecovery) -> None:
    arm.answers = [ArmReply(202, NAMES_JOB, b"", "run/1")]
    started = await site_recovery.update_agent(CONTEXT, ITEM)

    assert (started.job_id, started.done, started.request_id) == (JOB, False, "run/1")
    assert [(call.method, call.target, call.body) for call in arm.calls] == [
        ("POST", f"{ITEM}/updateMobilityService", {"properties": {}})
    ]


async def test_an_update_that_is_answered_with_the_item_alone_is_done(arm: Arm, site_recovery: SiteRecovery) -> None:
    arm.answers = [_reply(_item("i"))]
    started = await site_recovery.update_agent(CONTEXT, ITEM)

    assert (started.job_id, started.done) == ("", True)


async def test_an_update_that_is_answered_with_the_item_and_a_job_has_begun(
    arm: Arm, site_recovery: SiteRecovery
) -> None:
    arm.answers = [_reply(_item("i"), headers=NAMES_JOB)]
    started = await site_recovery.update_agent(CONTEXT, ITEM)

    assert (started.job_id, started.done) == (JOB, False)


@pytest.mark.parametrize("body", [b"", b"<html>log in</html>", b"{}", b"[]"])
async def test_an_update_that_is_answered_with_anything_else_is_not_believed(
    arm: Arm, site_recovery: SiteRecovery, body: bytes
) -> None:
    arm.answers = [ArmReply(200, {}, body)]

    with pytest.raises(MalformedReply):
        await site_recovery.update_agent(CONTEXT, ITEM)
