"""In which region vaults are: read singly, or of many by one list."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.scripted_arm import ScriptedArm, json_reply
from vault_autoupdate.arm import locations
from vault_autoupdate.arm.client import CallContext
from vault_autoupdate.arm.identity.tokens import TokenSource
from vault_autoupdate.arm.locations import VaultLocations
from vault_autoupdate.arm.session import ArmCall, ArmReply
from vault_autoupdate.model.arm_id import ArmId, parse_vault_id
from vault_autoupdate.model.azure import Vault
from vault_autoupdate.model.errors import ArmError, AzureError, Disposition
from vault_autoupdate.model.quota import QuotaScope

SUBSCRIPTION = "00000000-0000-4000-8000-000000000001"


@pytest.fixture
def arm() -> ScriptedArm:
    """Answers about each vault, and with a list of all."""
    arm = ScriptedArm()
    arm.answer = _answered
    return arm


@pytest.fixture
def reader(arm: ScriptedArm) -> Iterator[VaultLocations]:
    client = arm.client()
    yield VaultLocations(client)
    client.close()


def _vault(number: int, subscription: str = SUBSCRIPTION) -> ArmId:
    path = f"/subscriptions/{subscription}/resourceGroups/rg-dr/providers/Microsoft.RecoveryServices/vaults"
    return parse_vault_id(f"{path}/vault-{number}")


def _document(vault: ArmId) -> dict[str, Any]:
    return {"id": vault.text, "name": vault.name, "location": "West Europe"}


LISTED = [_document(_vault(number)) for number in range(100)]


def _answered(call: ArmCall) -> ArmReply | AzureError:
    if call.operation == "get_vault":
        path = call.target.partition("?")[0]
        return json_reply({"id": path, "name": path.rpartition("/")[2], "location": "West Europe"})
    return json_reply({"value": LISTED})


def _refused() -> ArmError:
    return ArmError(403, "AuthorizationFailed", "no", disposition=Disposition.SLOW)


def _late() -> ArmError:
    """Told to come back after half a minute."""
    return ArmError(503, "ServerBusy", "later", disposition=Disposition.RETRY, retry_after=30)


async def _ask(reader: VaultLocations, *vaults: ArmId, tokens: TokenSource | None = None) -> list[Vault]:
    return await asyncio.gather(*(reader.vault(_context(vault, tokens), vault) for vault in vaults))


def _context(vault: ArmId, tokens: TokenSource | None = None) -> CallContext:
    return CallContext(QuotaScope(vault.subscription), "team", vault.key, run_id="run", tokens=tokens)


async def test_a_few_vaults_are_read_singly(arm: ScriptedArm, reader: VaultLocations) -> None:
    found = await _ask(reader, *map(_vault, range(4)))

    assert [(each.name, each.location) for each in found] == [(f"vault-{n}", "westeurope") for n in range(4)]
    assert arm.operations == ["get_vault"] * 4


async def test_one_list_tells_of_all_that_are_asked_for_at_once(arm: ScriptedArm, reader: VaultLocations) -> None:
    found = await _ask(reader, *map(_vault, range(100)))

    assert [(each.name, each.location) for each in found] == [(f"vault-{n}", "westeurope") for n in range(100)]
    assert sorted(arm.operations) == ["get_vault"] * 4 + ["locate_vaults"]


async def test_one_vault_that_is_asked_for_again_and_again_is_no_fleet(
    arm: ScriptedArm, reader: VaultLocations
) -> None:
    for _ in range(10):
        await _ask(reader, _vault(0))

    assert arm.operations == ["get_vault"] * 10


@pytest.mark.parametrize("answer", [_refused(), json_reply({"value": []}), json_reply("what?"), json_reply({})])
async def test_what_the_list_does_not_tell_is_read_singly_and_the_list_is_not_read_again(
    arm: ScriptedArm, reader: VaultLocations, answer: ArmReply | AzureError
) -> None:
    arm.answer = lambda call: answer if call.operation == "locate_vaults" else _answered(call)

    found = await _ask(reader, *map(_vault, range(20)))

    assert [each.name for each in found] == [f"vault-{n}" for n in range(20)]
    assert arm.operations.count("get_vault") == 20
    assert "locate_vaults" in arm.operations
    tries = arm.operations.count("locate_vaults")
    await _ask(reader, *map(_vault, range(20, 40)))
    assert arm.operations.count("locate_vaults") == tries


async def test_what_is_the_matter_with_a_vault_that_no_list_has_its_own_answer_says(
    arm: ScriptedArm, reader: VaultLocations
) -> None:
    gone = _vault(1000)
    arm.answer = lambda call: _refused() if gone.name in call.target else _answered(call)
    await _ask(reader, *map(_vault, range(20)))

    with pytest.raises(ArmError, match="no"):
        await _ask(reader, gone)


async def test_each_identity_and_subscription_has_a_list_of_its_own(arm: ScriptedArm, reader: VaultLocations) -> None:
    other = "00000000-0000-4000-8000-000000000002"
    tokens = _Tokens()
    await _ask(reader, *map(_vault, range(10)))
    await _ask(reader, *map(_vault, range(10, 20)), tokens=tokens)
    await _ask(reader, *(_vault(number, other) for number in range(10)))

    lists = [call for call in arm.calls if call.operation == "locate_vaults"]
    assert [(call.target.split("/")[2], call.tokens) for call in lists] == [
        (SUBSCRIPTION, None), (SUBSCRIPTION, tokens), (other, None),
    ]  # fmt: skip


async def test_a_list_that_hangs_keeps_the_others_only_for_a_moment(
    arm: ScriptedArm, reader: VaultLocations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locations, "_PATIENCE", 0.05)
    known = reader._subscription(_context(_vault(0)), _vault(0))
    await _ask(reader, *map(_vault, range(4)))

    async with known.listing:  # as who reads the list for them
        found = await _ask(reader, *map(_vault, range(4, 10)))

    assert [each.name for each in found] == [f"vault-{n}" for n in range(4, 10)]
    assert set(arm.operations) == {"get_vault"}


async def test_a_list_that_does_not_come_soon_is_read_no_further(
    arm: ScriptedArm, reader: VaultLocations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locations, "_PATIENCE", 0.05)
    arm.answer = lambda call: _late() if call.operation == "locate_vaults" else _answered(call)

    found = await _ask(reader, *map(_vault, range(10)))

    assert [each.name for each in found] == [f"vault-{n}" for n in range(10)]
    assert arm.operations.count("locate_vaults") == 1


class _Tokens(TokenSource):
    def __init__(self) -> None:
        """Without a credential: no call asks."""

    @property
    def is_fresh(self) -> bool:
        return True
