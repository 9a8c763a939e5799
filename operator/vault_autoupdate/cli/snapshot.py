"""What ``plan -o json`` has printed, read again: which setting each mapping had at that time."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, TextIO

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from vault_autoupdate.cli.manifest import InvalidManifest
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
    try:
        text = file.read(_MOST_CHARACTERS + 1)
        document: Any = json.loads(text) if len(text) <= _MOST_CHARACTERS else None
    except (ValueError, RecursionError) as error:
        raise InvalidManifest([f"not JSON: {error}"]) from error
    if document is None:
        raise InvalidManifest([f"it is empty, or has more than {_MOST_CHARACTERS:,} characters"])
    try:
        snapshots = TypeAdapter(list[Snapshot]).validate_python(document)
    except ValidationError as error:
        problems = [problem_of(entry) for entry in error.errors()[:20]]
        raise InvalidManifest([*problems, "restore takes what plan -o json has printed"]) from None
    problems = [
        f"{snapshot.resource}: {each.path}: is no mapping of its vault"
        for snapshot in snapshots
        for each in snapshot.recorded
        if not is_below(each.key, snapshot.vault_resource_id.key)
    ]
    if problems:
        raise InvalidManifest(problems[:20])
    return snapshots
