"""Values that Azure's answers are turned into."""

from __future__ import annotations

from vault_autoupdate.model.azure import Machine

CONTAINER = "/Subscriptions/s/vaults/v/replicationFabrics/F/replicationProtectionContainers/C"


def test_a_machine_is_in_the_container_of_its_replicated_item() -> None:
    machine = Machine(f"{CONTAINER}/replicationProtectedItems/I", "vm")

    assert machine.container_id == CONTAINER.casefold()
    assert machine.key == machine.id.casefold()
