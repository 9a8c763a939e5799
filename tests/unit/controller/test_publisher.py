"""What the controller tells of a resource: the Event about who changed it, apart from those about Ready."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from tests.unit.builders import HOUR, NOW, manifest, mapping_id_of
from tests.unit.controller.test_controller import Counts, RefusingWriter
from vault_autoupdate.controller.publisher import Publisher
from vault_autoupdate.controller.tracked import TrackedResource, read_declaration
from vault_autoupdate.decide.attribution import Change, changed
from vault_autoupdate.decide.pacing import Allowance
from vault_autoupdate.decide.tenancy import TenancyRules
from vault_autoupdate.report.readiness import Readiness

READY: Final = Readiness("True", "Compliant", "All is well.")
DRIFT: Final = changed(
    NOW, NOW - HOUR, [(mapping_id_of("alpha"), "auto-update is Disabled, declared Enabled")], run_before=""
)
ANN: Final = Change(NOW, "a/b/write", "c-1", caller="ann@example.com")


def tracked_resource() -> TrackedResource:
    body: dict[str, Any] = manifest(drift={"attribution": "Caller"})
    declaration = read_declaration(body, TenancyRules())
    return TrackedResource.first_seen(declaration, {}, NOW, Allowance(timedelta()))


async def test_who_changed_it_is_an_event_of_its_own_and_told_once() -> None:
    writer, tracked = RefusingWriter(), tracked_resource()
    publisher = Publisher(writer, Counts(), lambda: NOW, status_interval=timedelta(seconds=5))
    tracked.state.drift = DRIFT
    await publisher.publish(tracked, READY)
    assert [event.reason for event in writer.events] == ["Compliant"], "nobody is named yet"
    tracked.state.drift = DRIFT.looked([ANN])
    for _ in range(2):
        await publisher.publish(tracked, READY)
    assert [event.reason for event in writer.events] == ["Compliant", "DriftAttributed"]
    assert "ann@example.com" in writer.events[-1].message
    assert writer.status["lastDrift"]["changes"][0]["caller"] == "ann@example.com"
