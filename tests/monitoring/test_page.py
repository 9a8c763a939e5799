"""The page of metrics: made once for all who ask, shown again for a moment, and never in the way of the event loop."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from vault_autoupdate.metrics import page as pages
from vault_autoupdate.metrics.collector import Snapshot
from vault_autoupdate.metrics.page import Page
from workbench.prometheus.fleet import Mood, make_fleet

MANY = 1000


class Snapshots:
    """Counts how often what stands is read, and lets that take as long as the test wants."""

    def __init__(self) -> None:
        self.taken = 0
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def take(self) -> Snapshot:
        self.taken += 1
        await self.go.wait()
        if self.error:
            raise self.error
        return Snapshot(0.0, (), ())


@pytest.fixture
async def snapshots() -> Snapshots:
    return Snapshots()


def _page(snapshots: Snapshots) -> Page:
    return Page(CollectorRegistry(), snapshots.take, per_resource=True)


async def test_who_asks_while_a_page_is_made_gets_that_page(snapshots: Snapshots) -> None:
    page = _page(snapshots)
    asking = [asyncio.create_task(page.render()) for _ in range(50)]
    await asyncio.sleep(0)
    snapshots.go.set()
    first, *others = await asyncio.gather(*asking)
    assert snapshots.taken == 1
    assert all(other is first for other in others)


async def test_a_page_is_shown_again_for_ten_times_as_long_as_it_took(
    snapshots: Snapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 0.2, 2.1, 2.3, 2.3, 2.4])  # begun, made; asked; asked, begun, made
    monkeypatch.setattr(pages, "_now", lambda: next(clock, 10.0))
    snapshots.go.set()
    page = _page(snapshots)
    await page.render()
    await page.render()
    assert snapshots.taken == 1
    await page.render()
    assert snapshots.taken == 2


async def test_who_gives_up_waiting_does_not_take_the_page_from_the_others(snapshots: Snapshots) -> None:
    page = _page(snapshots)
    impatient, patient = asyncio.create_task(page.render()), asyncio.create_task(page.render())
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.sleep(0)
    snapshots.go.set()
    assert b"vault_autoupdate_resources_fresh 0" in (await patient).text


async def test_a_page_that_could_not_be_made_is_tried_anew(snapshots: Snapshots) -> None:
    page = _page(snapshots)
    snapshots.go.set()
    snapshots.error = RuntimeError("a defect")
    with pytest.raises(RuntimeError):
        await page.render()
    snapshots.error = None
    assert b"vault_autoupdate_resources_fresh 0" in (await page.render()).text


async def test_reading_thousands_of_resources_lets_the_event_loop_turn_between_every_hundred() -> None:
    fleet = make_fleet(MANY)
    fleet.become(Mood.WELL)
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    turning = asyncio.create_task(turn())
    snapshot = await fleet.standing().snapshot()
    turning.cancel()
    assert len(snapshot.resources) == MANY
    assert turns >= MANY / 100
