"""What is said only if nothing better is said for a while, and what that costs while nobody has anything to say."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.virtual_time import in_virtual_time
from vault_autoupdate.reconcile.later import say_later


class Speaker:
    """Counts what it says, and says nothing while there is no news."""

    def __init__(self) -> None:
        self.said: list[float] = []
        self.has_news = True
        self.trouble: Exception | None = None

    async def say(self) -> None:
        self.said.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.1)
        if self.trouble:
            raise self.trouble

    def wants(self) -> bool:
        return self.has_news


@in_virtual_time
async def test_it_is_said_after_a_while_and_again_and_again_and_never_after_the_end() -> None:
    speaker, began = Speaker(), asyncio.get_running_loop().time()
    async with say_later(speaker.say, 2.0, every=1.0):
        await asyncio.sleep(4.5)
    await asyncio.sleep(5)
    assert [at - began for at in speaker.said] == pytest.approx([2.0, 3.0, 4.0])


@in_virtual_time
async def test_whoever_has_something_better_to_say_waits_until_it_is_said() -> None:
    speaker = Speaker()
    async with say_later(speaker.say, 1.0) as end:
        await asyncio.sleep(1.05)
        await end()
        assert asyncio.get_running_loop().time() - speaker.said[0] == pytest.approx(0.1)


@in_virtual_time
async def test_while_nothing_is_wanted_no_task_is_made_and_what_is_wanted_later_is_said() -> None:
    speaker = Speaker()
    speaker.has_news = False
    async with say_later(speaker.say, 1.0, every=1.0, wanted=speaker.wants):
        for _ in range(20):
            await asyncio.sleep(0.25)
            assert asyncio.all_tasks() == {asyncio.current_task()}
        speaker.has_news = True
        await asyncio.sleep(1.1)
    assert len(speaker.said) == 1


@in_virtual_time
async def test_what_went_wrong_is_raised_and_it_is_not_tried_again() -> None:
    speaker = Speaker()
    speaker.trouble = LookupError("no words")

    async def speak() -> None:
        async with say_later(speaker.say, 1.0, every=1.0) as end:
            await asyncio.sleep(10)
            await end()

    with pytest.raises(LookupError, match="no words"):
        await speak()
    assert len(speaker.said) == 1


@in_virtual_time
async def test_a_block_that_fails_ends_what_is_being_said() -> None:
    speaker = Speaker()

    async def fail() -> None:
        async with say_later(speaker.say, 1.0, every=1.0):
            await asyncio.sleep(1.05)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert asyncio.all_tasks() == {asyncio.current_task()}
