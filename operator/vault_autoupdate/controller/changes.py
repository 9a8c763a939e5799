"""What is said of a change of a spec: the names of its fields, and never what stands in them."""

from __future__ import annotations

import logging

from vault_autoupdate.controller.tracked import Declaration
from vault_autoupdate.model.resource import Spec

log = logging.getLogger(__name__)

__all__ = ["changed_fields", "tell_of_change"]


def changed_fields(before: Spec, after: Spec) -> list[str]:
    """The fields in which two specs differ, as a manifest names them; a default counts as if it stood there."""
    fields = type(after).model_fields.items()
    return [field.alias or name for name, field in fields if getattr(before, name) != getattr(after, name)]


def tell_of_change(before: Declaration, after: Declaration) -> bool:
    """Tell the log, in one line, what of an object was changed; returns whether its spec was."""
    if before.generation == after.generation:
        return False
    said = f"generation {before.generation} to {after.generation}: {_what(before, after)}"
    vault = after.resource.spec.vault_resource_id.name if after.resource else ""
    fields = {"resource": str(after.ref.key), "vault": vault, "reason": "SpecChanged"}
    log.info("the spec of %s was changed, %s", after.ref.key, said, extra=fields)
    return True


def _what(before: Declaration, after: Declaration) -> str:
    if after.resource is None:
        return "it cannot be read any more"
    if before.resource is None:
        return "it can be read now"
    return ", ".join(changed_fields(before.resource.spec, after.resource.spec)) or "nothing that differs in effect"
