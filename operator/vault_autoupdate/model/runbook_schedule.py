"""``spec.runbookSchedule``: at what time Site Recovery's schedules in the Automation account run. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import time, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel

from vault_autoupdate.model.durations import duration_between, format_duration
from vault_autoupdate.model.windows import zone_named

_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)

__all__ = ["RunbookScheduleSpec", "WallSchedule", "Weekday"]


class Weekday(StrEnum):
    """A day of the week, in the order of the week."""

    MONDAY = "MON"
    TUESDAY = "TUE"
    WEDNESDAY = "WED"
    THURSDAY = "THU"
    FRIDAY = "FRI"
    SATURDAY = "SAT"
    SUNDAY = "SUN"

    @property
    def number(self) -> int:
        """From 0 for Monday, as `datetime.date.weekday` counts."""
        return list(Weekday).index(self)

    @property
    def azure_name(self) -> str:
        """The name that Automation has for it."""
        return self.name.capitalize()


@dataclass(frozen=True)
class WallSchedule:
    """What the clock on the wall shows when something is to run."""

    time: time
    time_zone: str
    """IANA name."""
    days: frozenset[Weekday] = frozenset()
    """None stands for every day."""

    def __str__(self) -> str:
        days = ", ".join(day for day in Weekday if day in self.days) or "every day"
        return f"{days} at {self.time:%H:%M} {self.time_zone}"


def _read_time(value: object) -> time:
    if isinstance(value, time):
        return value
    if not isinstance(value, str) or not (found := _TIME.fullmatch(value)):
        raise ValueError('write hours and minutes in quotes, from "00:00" to "23:59"')
    return time(int(found[1]), int(found[2]))


class RunbookScheduleSpec(BaseModel):
    """``spec.runbookSchedule``, checked."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)

    time: Annotated[time, BeforeValidator(_read_time)]
    time_zone: str
    days: Annotated[tuple[Weekday, ...], Field(min_length=1, max_length=7)] | None = None
    spread: Annotated[timedelta, duration_between(timedelta(minutes=1), timedelta(hours=24))] | None = None

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, time_zone: str) -> str:
        zone_named(time_zone)
        return time_zone

    @field_validator("days")
    @classmethod
    def _are_distinct(cls, days: tuple[Weekday, ...] | None) -> tuple[Weekday, ...] | None:
        if days and len(set(days)) < len(days):
            raise ValueError("names a day twice")
        return days

    @property
    def wall(self) -> WallSchedule:
        """The first time at which anything runs, the spread left aside."""
        return WallSchedule(self.time, self.time_zone, frozenset(self.days or ()))

    def as_manifest(self) -> dict[str, Any]:
        """The same as it is written in a manifest."""
        document = {
            "time": f"{self.time:%H:%M}",
            "timeZone": self.time_zone,
            "days": [day.value for day in self.days] if self.days else None,
            "spread": format_duration(self.spread) if self.spread else None,
        }
        return {name: value for name, value in document.items() if value is not None}

    def __str__(self) -> str:
        spread = f", spread over {format_duration(self.spread)}" if self.spread else ""
        return f"{self.wall}{spread}"
