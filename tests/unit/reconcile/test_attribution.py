"""What asking the activity log costs a pass that has nothing to ask."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from tests.unit.builders import resource
from vault_autoupdate.decide.state import VaultState
from vault_autoupdate.reconcile.attribution import asking_who


async def test_a_pass_that_finds_nothing_to_ask_about_has_no_task_for_it() -> None:
    context = cast("Any", SimpleNamespace(state=VaultState(), resource=resource(), superseded=asyncio.Event()))
    async with asking_who(context):
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
