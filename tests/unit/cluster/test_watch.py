"""What kopf sees is handed on; a long first list is read before most of it is begun."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import kopf
import pytest

from vault_autoupdate.cluster import watch
from vault_autoupdate.cluster.watch_health import WatchHealth
from vault_autoupdate.model.resource import ResourceKey


@dataclass
class Seen:
    """Stands for the gate and the queue."""

    changes: list[tuple[str, bool]] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    slow: int = 0

    def on_change(self, body: Mapping[str, Any], *, initial: bool) -> None:
        self.changes.append((body["metadata"]["name"], initial))

    def on_delete(self, key: ResourceKey, uid: str) -> None:
        self.deleted.append(key.name)

    def go_slow(self, seconds: float) -> None:
        self.slow += 1


async def _show(seen: Seen, *events: tuple[str | None, str]) -> None:
    registry = kopf.OperatorRegistry()
    work = watch.VaultWork(cast("Any", None), cast("Any", seen), cast("Any", seen))
    watch._watch_resources(registry, work, WatchHealth())
    (handler,) = registry._watching._handlers
    for kind, name in events:
        body = {"metadata": {"name": name, "namespace": "dr", "uid": name}}
        await cast("Any", handler.fn)(event={"type": kind, "object": body})


async def test_what_is_listed_changes_and_goes_is_handed_on_as_such() -> None:
    seen = Seen()
    await _show(seen, (None, "a"), ("MODIFIED", "a"), ("ADDED", "b"), ("DELETED", "a"))
    assert seen.changes == [("a", True), ("a", False), ("b", False)]
    assert (seen.deleted, seen.slow) == (["a"], 0)


async def test_the_queue_goes_slow_from_a_full_page_on_and_only_for_what_is_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "_LISTED_AT_ONCE", 3)
    seen = Seen()
    await _show(seen, *((None, f"listed-{number}") for number in range(2)), *[("ADDED", "new")] * 5)
    assert seen.slow == 0, "less than a page: the list is over"
    await _show(seen, *((None, f"listed-{number}") for number in range(5)), ("MODIFIED", "listed-0"))
    assert seen.slow == 3
