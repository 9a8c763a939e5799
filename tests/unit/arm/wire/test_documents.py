"""What is said of a document that is none of those that were asked for: in words, and not in those of a library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from vault_autoupdate.arm.wire import authorization, discovery, site_recovery
from vault_autoupdate.model.errors import MalformedReply


def _graph_page(document: Any) -> object:
    return discovery.graph_page(document, {})


def _machine(**details: object) -> dict[str, Any]:
    return {"id": "x", "name": "n", "properties": {"providerSpecificDetails": details}}


@pytest.mark.parametrize(
    ("read", "document", "problem"),
    [
        (authorization.role_definition, {"properties": {"permissions": "x"}}, "properties.permissions: is not a list"),
        (site_recovery.mappings_page, {"value": {}}, "value: is not a list"),
        (site_recovery.mapping, {"id": 1}, "id: is not a text"),
        (site_recovery.machine, _machine(isAgentReinstallRequired="\ud800"), "isAgentReinstallRequired: is not a text"),
        (
            site_recovery.machine,
            _machine(isAgentReinstallRequired=2),
            "isAgentReinstallRequired: is neither true nor false",
        ),
        (site_recovery.mapping, {"id": "x", "properties": []}, "properties: is not an object"),
        (site_recovery.mapping, [], "the document: is not an object"),
        (_graph_page, {"totalRecords": "many", "data": []}, "totalRecords: is not a whole number"),
        (_graph_page, {"totalRecords": 1.5, "data": []}, "totalRecords: is not a whole number"),
        (_graph_page, {"totalRecords": [], "data": []}, "totalRecords: is not a whole number"),
    ],
)
def test_it_says_where_and_what_is_wrong(read: Callable[[Any], object], document: object, problem: str) -> None:
    with pytest.raises(MalformedReply) as refused:
        read(document)

    assert refused.value.message.endswith(f"{problem}.")
