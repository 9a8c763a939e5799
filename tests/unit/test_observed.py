"""What Azure says, added up."""

from __future__ import annotations

from vault_autoupdate.observed import AgentCounts


def test_the_agents_of_several_vaults_add_up() -> None:
    both = AgentCounts(10, 3, 2) + AgentCounts(100, 30, 20)

    assert both == AgentCounts(110, 33, 22)
    assert both.current == 55
