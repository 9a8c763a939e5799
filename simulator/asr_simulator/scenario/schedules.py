"""Scenario section that says what schedules of Automation accounts do where nobody has seen what the real ones do."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from asr_simulator.scenario.behaviour import Section

__all__ = ["Schedules"]


class Schedules(Section):
    """What happens to schedules. Defaults come first; only what is called seen was."""

    put_existing: Literal["update", "conflict"] = "update"
    """A PUT on a name that exists changes it (seen), or is answered 409 (documented as possible, never seen)."""
    start_margin: float = Field(default=300.0, ge=0)
    """Real seconds that a start must lie ahead, also of a change (seen)."""
    put_when_disabled: Literal["keep", "enable"] = "keep"
    """A PUT on a disabled schedule leaves it disabled, or enables it (both unknown)."""
    enabled_in_put: Literal["ignored", "obeyed"] = "ignored"
    """What becomes of ``isEnabled`` in the body of a PUT, where no published version has it (both unknown)."""
    after_repair: Literal["new_name_default", "same_name_reset", "same_name_keep", "new_name_copy"] = "new_name_default"
    """What a PATCH that enables a mapping makes of its schedule: a new one, or the same, at the time that Site Recovery
    gives, or at the time that it had (all unknown)."""
    reverts_after: float | None = Field(default=None, gt=0)
    """Simulated seconds after which Site Recovery sets an edited schedule back; null: never (both unknown)."""
    edit_is_unhealthy: bool = False
    """Whether an edited schedule is a health error of its mapping. Microsoft's page says that it may be edited."""
    shared_by: Literal["mapping", "vault", "account"] = "mapping"
    """Who has a schedule: each mapping its own, or all of a vault, or of an account, one together (all unknown)."""
    default_zone: str = "Etc/UTC"
    """Time zone of the schedules that Site Recovery makes (unknown)."""
    week_to_day: Literal["cleared", "kept"] = "cleared"
    """What becomes of the days of a weekly schedule that is made a daily one (both unknown)."""
