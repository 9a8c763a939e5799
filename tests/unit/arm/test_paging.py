"""Lists in pages: where a link may lead, and that every list ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests.unit.builders import VAULT, VAULT_ID
from tests.unit.scripted_arm import ScriptedArm, json_reply
from vault_autoupdate.arm import paging
from vault_autoupdate.arm.client import ArmClient, CallContext
from vault_autoupdate.arm.paging import PagedList, pages
from vault_autoupdate.model.errors import MalformedReply, UntrustedLink
from vault_autoupdate.model.quota import QuotaScope

CONTEXT = CallContext(scope=QuotaScope("s"), namespace="", key=VAULT.key, run_id="run")
LIST = f"{VAULT_ID}/replicationJobs"


@pytest.fixture
def arm() -> ScriptedArm:
    return ScriptedArm()


@pytest.fixture
def client(arm: ScriptedArm) -> Iterator[ArmClient]:
    made = arm.client()
    yield made
    made.close()


def _entries(page: Any) -> Sequence[Any]:
    return page["value"] or ()


async def _read(client: ArmClient, target: str = LIST, most_pages: int = 10) -> list[Any]:
    wanted = PagedList("list_jobs", target, VAULT, "vault", _entries, most_pages)
    return [entry async for page in pages(client, CONTEXT, wanted) for entry in page]


@pytest.mark.parametrize(
    ("target", "link", "followed"),
    [
        (LIST, f"https://h{LIST}?api-version=1&$skipToken=2", f"https://h{LIST}?api-version=1&$skipToken=2"),
        (LIST, f"https://h:443{LIST}?api-version=1&x=2", f"https://h:443{LIST}?api-version=1&x=2"),
        (LIST, f"https://h{LIST.upper()}?x=2", f"https://h{LIST.upper()}?x=2"),
        (f"{LIST}?api-version=9", f"https://h{LIST}?$skipToken=2", f"https://h{LIST}?$skipToken=2&api-version=9"),
        (f"{LIST}?api-version=9", f"https://h{LIST}", f"https://h{LIST}?api-version=9"),
        (f"{LIST}?api-version=9", f"https://h{LIST}?API-Version=1", f"https://h{LIST}?API-Version=1"),
        (f"{LIST}?api-version=9", f"{LIST}?$skipToken=2", f"{LIST}?$skipToken=2&api-version=9"),
        (f"{LIST}?api-version=9", "?$skipToken=2", f"{LIST}?$skipToken=2&api-version=9"),
        (f"{LIST}?api-version=9", "replicationJobs?x=2", f"{LIST}?x=2&api-version=9"),
        (LIST, "./replicationJobs?x=2", f"{LIST}?x=2"),
    ],
)
async def test_a_link_is_followed_as_it_is_meant_with_the_version_of_the_list(
    arm: ScriptedArm, client: ArmClient, target: str, link: str, followed: str
) -> None:
    arm.answer_in_turn(json_reply({"value": [1], "nextLink": link}), json_reply({"value": [2]}))

    assert await _read(client, target) == [1, 2]
    assert [call.target for call in arm.calls] == [target, followed]


@pytest.mark.parametrize(
    "link",
    [
        "https://h/subscriptions/x/resourceGroups/g/providers/Microsoft.RecoveryServices/vaults/other/replicationJobs",
        f"https://h{VAULT_ID}x/replicationJobs",
        f"https://h{VAULT_ID}/../other/replicationJobs",
        f"https://h{VAULT_ID}/%2e%2e/other",
        f"https://h{VAULT_ID}/%252e%252e/other",
        f"https://h{VAULT_ID}%2f..%2fother/x",
        f"https://h{VAULT_ID}",
        "https://h/",
        "../../other/replicationJobs",
        "/providers/Microsoft.Authorization/roleAssignments",
        "//h/x",
        "https://[::1/x",
        "x:y",
    ],
)
async def test_a_link_that_leads_out_of_the_vault_is_not_followed(
    arm: ScriptedArm, client: ArmClient, link: str
) -> None:
    arm.answer_in_turn(json_reply({"value": [1], "nextLink": link}))
    with pytest.raises(UntrustedLink, match="leads away from the vault dr"):
        await _read(client)

    assert len(arm.calls) == 1


async def test_a_link_back_or_too_many_pages_end_a_list(arm: ScriptedArm, client: ArmClient) -> None:
    arm.answer = lambda _: json_reply({"value": [1], "nextLink": f"https://h{LIST}?x=1"})
    with pytest.raises(MalformedReply, match="never end"):
        await _read(client)

    arm.answer = lambda _: json_reply({"value": [1], "nextLink": f"https://h{LIST}?x={len(arm.calls)}"})
    with pytest.raises(MalformedReply, match="More than 5 pages"):
        await _read(client, most_pages=5)


@pytest.mark.parametrize(("bound", "most"), [("_MOST_ENTRIES", 5), ("_MOST_BYTES", 400)])
async def test_a_list_of_more_than_any_vault_has_is_given_up(
    arm: ScriptedArm, client: ArmClient, monkeypatch: pytest.MonkeyPatch, bound: str, most: int
) -> None:
    monkeypatch.setattr(paging, bound, most)
    arm.answer = lambda _: json_reply({"value": [1, 2], "nextLink": f"https://h{LIST}?x={len(arm.calls)}"})
    with pytest.raises(MalformedReply, match="more than"):
        await _read(client)

    assert len(arm.calls) <= 4
