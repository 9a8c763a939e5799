"""What ``plan -o json`` has printed, read again: which setting each mapping had at that time."""

from __future__ import annotations

import json
from collections import Counter
from typing import Annotated, Any, Final, TextIO

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from vault_autoupdate.cli.manifest import InvalidManifest, not_utf_8
from vault_autoupdate.decide.way_back import Recorded
from vault_autoupdate.model.arm_id import ArmId, fold, is_below, mapping_id, parse_automation_account_id, parse_vault_id
from vault_autoupdate.model.resource import problem_of

_MOST_CHARACTERS: Final = 20_000_000
"""Of a file: some forty thousand mappings."""

__all__ = ["Snapshot", "read_snapshots"]


class _Mapping(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)

    mapping: str
    auto_update: str
    automation_account_resource_id: Annotated[
        ArmId | None, BeforeValidator(lambda value: parse_automation_account_id(str(value)) if value else None)
    ] = None


class Snapshot(BaseModel):
    """What the mappings of one vault had."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, arbitrary_types_allowed=True)

    resource: str = Field(pattern=r"^[a-z0-9][-a-z0-9]{0,62}/[a-z0-9][-a-z0-9.]{0,252}$")
    """Namespace and name of what was planned."""
    vault_resource_id: Annotated[ArmId, BeforeValidator(lambda value: parse_vault_id(str(value)))]
    mappings: tuple[_Mapping, ...]

    @property
    def recorded(self) -> list[Recorded]:
        """The mappings with their ids."""
        return [
            Recorded(
                fold(mapping_id(self.vault_resource_id, each.mapping)),
                each.mapping,
                each.auto_update,
                each.automation_account_resource_id,
            )
            for each in self.mappings
        ]


def read_snapshots(file: TextIO) -> list[Snapshot]:
    """The vaults in a file.

    Raises:
        InvalidManifest: it is not what ``plan -o json`` prints, or was printed before the settings were in it.
    """
    document = _document(file)
    try:
        snapshots = TypeAdapter(list[Snapshot]).validate_python(document)
    except ValidationError as error:
        problems = [problem_of(entry) for entry in error.errors()[:20]]
        raise InvalidManifest([*problems, "restore takes what plan -o json has printed"]) from None
    recorded = [(snapshot, each) for snapshot in snapshots for each in snapshot.recorded]
    times = Counter(each.key for _, each in recorded)
    problems = [
        f"{snapshot.resource}: {each.path}: is no mapping of its vault"
        for snapshot, each in recorded
        if not is_below(each.key, snapshot.vault_resource_id.key)
    ]
    problems += [
        f"{snapshot.resource}: {each.path}: is there {times[each.key]} times"
        for snapshot, each in recorded
        if times[each.key] > 1
    ]
    if problems:
        raise InvalidManifest(problems[:20])
    return snapshots


def _document(file: TextIO) -> Any:
    """The JSON in a file. Raises `InvalidManifest`."""
    try:
        text = file.read(_MOST_CHARACTERS + 1).removeprefix("\ufeff")
        document = json.loads(text) if len(text) <= _MOST_CHARACTERS else None
    except UnicodeDecodeError as error:
        raise InvalidManifest([not_utf_8(error)]) from error
    except json.JSONDecodeError as error:
        raise InvalidManifest([f"not JSON: {error}"]) from error
    except (ValueError, RecursionError) as error:
        problem = "not JSON that could be meant: it is nested too deeply, or has a number of thousands of digits"
        raise InvalidManifest([problem]) from error
    if document is None:
        raise InvalidManifest([f"it is empty, or has more than {_MOST_CHARACTERS:,} characters"])
    return document
