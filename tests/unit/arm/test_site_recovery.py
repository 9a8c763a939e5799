"""Site Recovery's calls about machines: what goes out, and what of the answers is believed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.builders import DISABLE, VAULT_ID
from tests.unit.scripted_arm import ScriptedArm, json_reply
from vault_autoupdate.arm.client import CallContext
from vault_autoupdate.arm.session import ArmReply
from vault_autoupdate.arm.site_recovery import SiteRecovery
from vault_autoupdate.arm.wire.errors import classify
from vault_autoupdate.model.arm_id import parse_vault_id
from vault_autoupdate.model.azure import ContainerMapping
from vault_autoupdate.model.errors import ArmError, MalformedReply
from vault_autoupdate.model.quota import QuotaScope

VAULT = parse_vault_id(VAULT_ID)
CONTEXT = CallContext(scope=QuotaScope("s"), namespace="", key=VAULT.key, run_id="run")
CONTAINER = (
    f"{VAULT_ID.replace('/subscriptions', '/Subscriptions')}/replicationFabrics/f/replicationProtectionContainers/c"
)
ITEM = f"{CONTAINER}/replicationProtectedItems/i"
JOB = "535e25dd-a24d-4393-8f51-7a771ebf19bd"
NAMES_JOB = {"azure-asyncoperation": f"https://h/x/replicationOperationStatus/{JOB}?s=signature"}


@pytest.fixture
def arm() -> ScriptedArm:
    return ScriptedArm()


@pytest.fixture
def site_recovery(arm: ScriptedArm) -> Iterator[SiteRecovery]:
    client = arm.client()
    yield SiteRecovery(client)
    client.close()


def _item(name: str, **changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = {
        "id": f"{CONTAINER}/replicationProtectedItems/{name}",
        "name": name,
        "properties": {"providerSpecificDetails": {"instanceType": "A2A"}},
    }
    return {**document, **changes}


async def test_the_machines_of_a_vault_are_those_on_all_pages_each_once(
    arm: ScriptedArm, site_recovery: SiteRecovery
) -> None:
    link = f"https://h{VAULT_ID}/replicationProtectedItems?skipToken=2"
    again = _item("b", id=f"{CONTAINER}/replicationProtectedItems/B")
    arm.answer_in_turn(
        json_reply({"value": [_item("a"), _item("b")], "nextLink": link}),
        json_reply({"value": [again, _item("c")]}),
    )

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
    arm: ScriptedArm, site_recovery: SiteRecovery, machine_id: str
) -> None:
    arm.answer_in_turn(json_reply({"value": [_item("a"), _item("b", id=machine_id)]}))
    with pytest.raises(MalformedReply, match=r"replicated items one has the id .* not one of this vault"):
        await site_recovery.machines(CONTEXT, VAULT)
    arm.calls.clear()

    with pytest.raises(MalformedReply, match="not one of this vault"):
        await site_recovery.machine(CONTEXT, machine_id)
    with pytest.raises(MalformedReply, match="not one of this vault"):
        await site_recovery.update_agent(CONTEXT, machine_id)
    assert arm.calls == []


async def test_one_machine_is_read_by_the_id_of_its_item(arm: ScriptedArm, site_recovery: SiteRecovery) -> None:
    arm.answer_in_turn(json_reply(_item("i")))

    assert (await site_recovery.machine(CONTEXT, ITEM)).id == ITEM
    assert [(call.method, call.target) for call in arm.calls] == [("GET", ITEM)]


async def test_an_update_is_a_post_that_names_its_job(arm: ScriptedArm, site_recovery: SiteRecovery) -> None:
    arm.answer_in_turn(ArmReply(202, NAMES_JOB, b"", "run/1"))
    started = await site_recovery.update_agent(CONTEXT, ITEM)

    assert (started.job_id, started.done, started.request_id) == (JOB, False, "run/1")
    assert [(call.method, call.target, call.body) for call in arm.calls] == [
        ("POST", f"{ITEM}/updateMobilityService", {"properties": {}})
    ]


async def test_an_update_that_is_answered_with_the_item_alone_is_done(
    arm: ScriptedArm, site_recovery: SiteRecovery
) -> None:
    arm.answer_in_turn(json_reply(_item("i")))
    started = await site_recovery.update_agent(CONTEXT, ITEM)

    assert (started.job_id, started.done) == ("", True)


async def test_an_update_that_is_answered_with_the_item_and_a_job_has_begun(
    arm: ScriptedArm, site_recovery: SiteRecovery
) -> None:
    arm.answer_in_turn(json_reply(_item("i"), headers=NAMES_JOB))
    started = await site_recovery.update_agent(CONTEXT, ITEM)

    assert (started.job_id, started.done) == (JOB, False)


@pytest.mark.parametrize("body", [b"", b"<html>log in</html>", b"{}", b"[]"])
async def test_an_update_that_is_answered_with_anything_else_is_not_believed(
    arm: ScriptedArm, site_recovery: SiteRecovery, body: bytes
) -> None:
    arm.answer_in_turn(ArmReply(200, {}, body))

    with pytest.raises(MalformedReply):
        await site_recovery.update_agent(CONTEXT, ITEM)


# What has begun, and what is done.

MAPPING = ContainerMapping(f"{CONTAINER}/replicationProtectionContainerMappings/m", "m", "Paired")
_SEEN = {"id": MAPPING.id, "name": "m", "properties": {"state": "Paired"}}


@pytest.mark.parametrize("answer", [(200, b""), (201, b""), (200, json.dumps(_SEEN).encode())])
@pytest.mark.parametrize(
    ("headers", "job"),
    [
        (NAMES_JOB, JOB),
        ({"azure-asyncoperation": "https://h/x/operations/unknown-form"}, ""),
        ({"operation-location": "https://h/x/operations/1"}, ""),
        ({"x-ms-request-id": f"/Subscriptions/s/x/replicationJobs/{JOB}"}, JOB),
    ],
)
async def test_a_change_that_is_answered_with_success_and_an_operation_has_begun_and_is_not_done(
    arm: ScriptedArm, site_recovery: SiteRecovery, answer: tuple[int, bytes], headers: dict[str, str], job: str
) -> None:
    """ARM's contract for asynchronous calls (azure-resource-manager-rpc#114)."""
    arm.answer_in_turn(ArmReply(answer[0], headers, answer[1]))
    started = await site_recovery.update(CONTEXT, MAPPING, DISABLE)

    assert (started.job_id, started.done) == (job, False)


async def test_a_change_that_is_answered_with_the_mapping_alone_is_done(
    arm: ScriptedArm, site_recovery: SiteRecovery
) -> None:
    arm.answer_in_turn(json_reply(_SEEN))

    assert (await site_recovery.update(CONTEXT, MAPPING, DISABLE)).done


# Site Recovery's words for what is not there.


def _unknown(status: int, code: str) -> ArmError:
    detail = {"code": code, "message": "Resource 42 is unknown to the service.", "recommendedAction": "Try again."}
    return classify(status, json.dumps({"error": {"code": "BadRequest", "details": [detail]}}).encode(), {})


@pytest.mark.parametrize(
    ("status", "code"), [(400, "SubscriptionIdNotRegisteredWithSrs"), (404, "FabricArmEntityMissing")]
)
async def test_a_vault_with_which_nothing_is_replicated_has_nothing_and_no_error(
    arm: ScriptedArm, site_recovery: SiteRecovery, status: int, code: str
) -> None:
    arm.answer = lambda _: _unknown(status, code)

    assert await site_recovery.mappings(CONTEXT, VAULT) == []
    assert await site_recovery.machines(CONTEXT, VAULT) == []
    assert await site_recovery.jobs(CONTEXT, VAULT) == []
    assert await site_recovery.job(CONTEXT, VAULT, JOB) is None
    assert len(arm.calls) == 4


async def test_a_vault_that_arm_itself_does_not_know_is_an_error(arm: ScriptedArm, site_recovery: SiteRecovery) -> None:
    arm.answer = lambda _: classify(404, b'{"error": {"code": "ResourceNotFound", "message": "No vault."}}', {})

    with pytest.raises(ArmError, match="No vault"):
        await site_recovery.mappings(CONTEXT, VAULT)
    assert await site_recovery.job(CONTEXT, VAULT, JOB) is None
