"""Values that Azure's answers are turned into."""

from __future__ import annotations

from vault_autoupdate.observed import AgentCounts


def test_counts_of_agents_add_up_over_pages() -> None:
    counts = AgentCounts(total=10, behind=3, unknown=1) + AgentCounts(total=5, behind=1, unknown=2)

    assert (counts.total, counts.behind, counts.unknown, counts.current) == (15, 4, 3, 8)
