"""What cannot be timed on a real API server: refused writes, news amid a write, whom it wakes. Else: tests/cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.unit.builders import ACCOUNT_ID, VAULT_ID
from vault_autoupdate.controller.controller import Controller
from vault_autoupdate.decide.pacing import BURST
from vault_autoupdate.decide.state import Run, VaultState
from vault_autoupdate.model.errors import NotWritten, TurnNotCome
from vault_autoupdate.model.resource import (
    API_VERSION,
    FINALIZER,
    KIND,
    REQUESTED_AT,
    UPDATE_AGENTS_NOW,
    ObjectRef,
    ResourceKey,
    VaultAutoUpdate,
)
from vault_autoupdate.reconcile.context import Timing
from vault_autoupdate.reconcile.reconciler import Outcome
from vault_autoupdate.report import readiness
from vault_autoupdate.report.readiness import Readiness

KEY = ResourceKey("team", "dr")


class RefusingWriter:
    """An API server that takes the status and refuses the finalizer. Implements `Writer`."""

    def __init__(self) -> None:
        self.status: dict[str, Any] = {}
        self.events: list[Readiness] = []

    async def write_status(self, ref: ObjectRef, status: Mapping[str, Any], *, patient: bool) -> None:
        self.status = dict(status)

    async def hand_over(self, ref: ObjectRef, shard: str, to: str) -> None:
        raise AssertionError("there is one shard")

    async def check_present(self, ref: ObjectRef) -> None:
        return

    async def add_finalizer(self, ref: ObjectRef, finalizers: tuple[str, ...]) -> None:
        raise NotWritten("403 Forbidden")

    async def remove_finalizer(self, ref: ObjectRef, finalizers: tuple[str, ...]) -> None:
        raise NotWritten("403 Forbidden")

    async def emit_event(self, ref: ObjectRef, readiness: Readiness, *, count: int) -> None:
        self.events.append(readiness)


class Counts:
    """Counts how passes ended. Implements `PassObserver`."""

    def __init__(self) -> None:
        self.not_written = self.crashed = self.skipped = 0

    def pass_ended(self, outcome: Outcome, seconds: float) -> None:
        return

    def pass_not_written(self) -> None:
        self.not_written += 1

    def pass_crashed(self) -> None:
        self.crashed += 1

    def interim_status_skipped(self) -> None:
        self.skipped += 1


class SilentWriter(RefusingWriter):
    """An API server that takes nothing, and says why as it is told to."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    async def write_status(self, ref: ObjectRef, status: Mapping[str, Any], *, patient: bool) -> None:
        raise self._error


class InterruptedWriter(RefusingWriter):
    """An API server that has news while a status is being written."""

    def __init__(self, news: Callable[[], None]) -> None:
        super().__init__()
        self._news = news

    async def write_status(self, ref: ObjectRef, status: Mapping[str, Any], *, patient: bool) -> None:
        await super().write_status(ref, status, patient=patient)
        self._news()


def _object(name: str = KEY.name, metadata: Mapping[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    spec = {"vaultResourceId": VAULT_ID, "autoUpdate": "Enabled", "automationAccountResourceId": ACCOUNT_ID}
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": name,
            "namespace": KEY.namespace,
            "uid": f"uid-{name}",
            "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            **(metadata or {}),
        },
        "spec": {**spec, **changes},
    }


_SPREAD = 10_000.0


def _controller(
    writer: RefusingWriter,
    wake: Callable[[ResourceKey, float], None] = lambda *_: None,
    *,
    counts: Counts | None = None,
    reconciler: Any = None,
    interval: timedelta = timedelta(),
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Controller:
    second = timedelta(seconds=1)
    return Controller(
        reconciler=reconciler,
        writer=writer,
        timing=Timing(second, second, second, second, second, second, second, interval, 1),
        observer=counts or Counts(),
        wake=wake,
        startup_spread=_SPREAD * second,
        paused_for=lambda *_: timedelta(),
        now=now,
    )


async def test_a_finalizer_that_cannot_be_set_stalls_the_resource_and_says_what_to_allow_and_nothing_is_done() -> None:
    writer = RefusingWriter()
    controller = _controller(writer)
    controller.on_change(_object(deletionPolicy="Disable"))
    again = await controller.work(KEY)
    assert again is not None
    conditions = {condition["type"]: condition for condition in writer.status["conditions"]}
    assert conditions["Ready"]["status"] == "False"
    assert conditions["Stalled"]["reason"] == "FinalizerNotSet"
    assert "403 Forbidden" in conditions["Ready"]["message"]
    assert "rbac.finalizers" in conditions["Ready"]["message"]
    assert [event.reason for event in writer.events] == ["FinalizerNotSet"]


async def test_an_owner_that_goes_while_the_status_that_names_it_is_written_leaves_the_vault_to_the_next_at_once() -> (
    None
):
    owner, younger = ResourceKey(KEY.namespace, "older"), ResourceKey(KEY.namespace, "younger")
    controller: Controller
    writer = InterruptedWriter(lambda: controller.on_delete(owner))
    controller = _controller(writer)
    controller.on_change(_object("older"))
    controller.on_change(_object("younger", {"creationTimestamp": "2026-01-02T00:00:00Z"}))
    again = await controller.work(younger)
    assert writer.status["conditions"][0]["reason"] == "VaultAlreadyManaged"
    assert again == 0.0
    assert controller.owner(controller.resources[younger]) == younger


async def test_a_resource_that_is_leaving_is_woken_when_another_one_takes_its_vault() -> None:
    woken: list[str] = []
    controller = _controller(RefusingWriter(), lambda key, _: woken.append(key.name))
    leaving = {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": [FINALIZER]}
    controller.on_change(_object("leaving", leaving, deletionPolicy="Disable"))
    controller.on_change(_object("older"))
    woken.clear()

    controller.on_change(_object("new", suspend=True))

    assert woken == ["new"]
    woken.clear()
    await controller.work(ResourceKey(KEY.namespace, "new"))
    assert sorted(woken) == ["leaving", "older"], "neither need wait for its next look"


async def test_news_that_are_older_than_the_status_that_was_sent_do_not_bring_an_older_status_back() -> None:
    writer = RefusingWriter()
    controller = _controller(writer)
    controller.on_change(_object("older"))
    controller.on_change(_object("younger"))
    younger = ResourceKey(KEY.namespace, "younger")
    await controller.work(younger)
    entry, sent = controller.resources[younger], writer.status

    controller.on_change(_object("younger", {"labels": {"changed": "just before"}}) | {"status": {}})
    assert entry.status == sent, "else the next status would be compared with what is not there any more"

    controller.on_change(_object("younger") | {"status": sent})
    controller.on_change(_object("younger") | {"status": {"observedGeneration": 0}})
    assert entry.status == {"observedGeneration": 0}, "somebody else's change that came after ours"


def test_a_resource_for_a_group_of_nearly_that_name_does_not_own_the_vault() -> None:
    controller = _controller(RefusingWriter())
    controller.on_change(_object("first", vaultResourceId=VAULT_ID.replace("rg-dr", "strasse")))
    controller.on_change(_object("other", vaultResourceId=VAULT_ID.replace("rg-dr", "straße")))

    owners = {key.name: controller.owner(entry).name for key, entry in controller.resources.items()}
    assert owners == {"first": "first", "other": "other"}


def test_a_label_that_comes_or_goes_hands_the_vault_over_at_once() -> None:
    woken: list[str] = []
    controller = _controller(RefusingWriter(), lambda key, _: woken.append(key.name))
    controller.on_change(_object("older"))
    controller.on_change(_object("younger", {"creationTimestamp": "2026-01-02T00:00:00Z"}))
    woken.clear()

    labelled = {"labels": {"asr.vault-autoupdate.io/policy": "estate"}}
    controller.on_change(_object("older", labelled))
    assert {controller.owner(each).name for each in controller.resources.values()} == {"younger"}
    assert woken == ["older", "younger"]
    woken.clear()
    controller.on_change(_object("older", labelled))
    assert woken == []


class Reporting:
    """A pass that shows its progress once and then ends well. Implements what is used of `Reconciler`."""

    async def reconcile(self, resource: Any, state: Any, report: Any, *_: Any) -> Outcome:
        await report(readiness.working(resource, state))
        return Outcome(readiness.settled(resource, state))


class ListingWriter(RefusingWriter):
    """An API server that remembers what it was told of Ready."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, str]] = []
        self.changed = asyncio.Event()

    async def write_status(self, ref: ObjectRef, status: Mapping[str, Any], *, patient: bool) -> None:
        await super().write_status(ref, status, patient=patient)
        ready = next(condition for condition in status["conditions"] if condition["type"] == "Ready")
        self.told.append((ready["status"], ready["reason"]))
        self.changed.set()


async def test_a_pass_that_ends_at_once_says_what_it_found_and_not_that_it_looks() -> None:
    class AtOnce:
        async def reconcile(self, resource: Any, state: Any, *_: Any) -> Outcome:
            return Outcome(readiness.settled(resource, state))

    writer = ListingWriter()
    controller = _controller(writer, reconciler=AtOnce())
    controller.on_change(_object())
    await controller.work(KEY)
    assert writer.told == [("True", "Compliant")]


async def test_a_pass_that_takes_a_while_says_that_it_looks_and_then_what_it_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writer = ListingWriter()

    class UntilThatIsSaid:
        async def reconcile(self, resource: Any, state: Any, *_: Any) -> Outcome:
            await writer.changed.wait()
            return Outcome(readiness.settled(resource, state))

    monkeypatch.setattr("vault_autoupdate.controller.controller._LOOKING_SECONDS", 0.0)
    controller = _controller(writer, reconciler=UntilThatIsSaid())
    controller.on_change(_object())
    async with asyncio.timeout(10):
        await controller.work(KEY)
    assert writer.told == [("Unknown", "Progressing"), ("True", "Compliant")]
    assert [event.reason for event in writer.events] == ["Compliant"]


async def test_what_is_found_in_a_pass_is_not_said_of_a_declaration_that_came_meanwhile() -> None:
    writer = ListingWriter()

    class Edited:
        """Somebody edits the resource while it is looked at, before that is told."""

        async def reconcile(self, resource: Any, state: VaultState, report: Any, *_: Any) -> Outcome:
            edited = _object("weu", autoUpdate="Disabled", automationAccountResourceId=None)
            edited["metadata"]["generation"] = 2
            controller.on_change(edited)
            await report(readiness.settled(resource, state))
            return Outcome(readiness.settled(resource, state), superseded=True)

    controller = _controller(writer, reconciler=Edited())
    controller.on_change(_object("weu"))
    await controller.work(ResourceKey(KEY.namespace, "weu"))

    assert ("True", "Compliant") not in writer.told


async def test_that_a_pass_looks_is_never_said_after_what_it_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The word about looking is still being written when the pass has something better to say."""
    beginning, may_end = asyncio.Event(), asyncio.Event()

    class SlowWriter(ListingWriter):
        async def write_status(self, ref: ObjectRef, status: Mapping[str, Any], *, patient: bool) -> None:
            beginning.set()
            await may_end.wait()
            await super().write_status(ref, status, patient=patient)

    class UntilThatBegins:
        async def reconcile(self, resource: Any, state: Any, *_: Any) -> Outcome:
            await beginning.wait()
            asyncio.get_running_loop().call_soon(may_end.set)
            return Outcome(readiness.settled(resource, state))

    monkeypatch.setattr("vault_autoupdate.controller.controller._LOOKING_SECONDS", 0.0)
    writer = SlowWriter()
    controller = _controller(writer, reconciler=UntilThatBegins())
    controller.on_change(_object())
    async with asyncio.timeout(10):
        await controller.work(KEY)
    assert writer.told == [("Unknown", "Progressing"), ("True", "Compliant")]


async def test_a_crowd_that_tells_of_its_progress_at_once_is_cut_short_and_the_last_word_of_each_is_not() -> None:
    class BusyWriter(ListingWriter):
        async def write_status(self, ref: ObjectRef, status: Mapping[str, Any], *, patient: bool) -> None:
            await asyncio.sleep(0)  # all others ask for a write before this one is done
            await super().write_status(ref, status, patient=patient)

    moment, many = datetime(2026, 1, 1, tzinfo=UTC), 100
    counts, writer = Counts(), BusyWriter()
    controller = _controller(writer, counts=counts, reconciler=Reporting(), now=lambda: moment)
    for number in range(many):
        vault = VAULT_ID.replace("/vaults/", f"/vaults/v{number}-")
        controller.on_change(_object(f"r{number}", vaultResourceId=vault))
    await asyncio.gather(*(controller.work(ResourceKey(KEY.namespace, f"r{number}")) for number in range(many)))

    assert writer.told.count(("True", "Compliant")) == many
    assert 0 < writer.told.count(("False", "Progressing")) <= 20
    assert counts.skipped == many - writer.told.count(("False", "Progressing"))
    assert [event.reason for event in writer.events].count("Compliant") == many


async def test_what_begins_to_change_a_vault_is_in_its_status_before_also_in_a_crowd() -> None:
    moment, noted = datetime(2026, 1, 1, tzinfo=UTC), list[str]()
    writer = ListingWriter()

    class Changing:
        async def reconcile(self, resource: Any, state: VaultState, report: Any, *_: Any) -> Outcome:
            state.run = Run(f"{len(noted):036}", moment)
            await report(readiness.working(resource, state))
            noted.append(writer.status["lastRun"]["startedAt"])
            return Outcome(readiness.settled(resource, state))

    controller = _controller(writer, reconciler=Changing(), now=lambda: moment)
    for number in range(100):
        vault = VAULT_ID.replace("/vaults/", f"/vaults/v{number}-")
        controller.on_change(_object(f"r{number}", vaultResourceId=vault))
        await controller.work(ResourceKey(KEY.namespace, f"r{number}"))

    assert len(noted) == 100
    assert writer.told.count(("False", "Progressing")) == 100
    assert [event.reason for event in writer.events].count("Progressing") <= 20, "their end is told, each by itself"


async def test_a_status_that_cannot_be_written_is_counted_and_tried_again() -> None:
    counts = Counts()
    controller = _controller(SilentWriter(NotWritten("403 Forbidden")), counts=counts)
    controller.on_change(_object(suspend=True))
    assert await controller.work(KEY) == 5.0
    assert (counts.not_written, counts.crashed) == (1, 0)


async def test_a_defect_is_counted_and_goes_on_to_whoever_logs_it() -> None:
    counts = Counts()
    controller = _controller(SilentWriter(KeyError("a defect")), counts=counts)
    controller.on_change(_object(suspend=True))
    with pytest.raises(KeyError):
        await controller.work(KEY)
    assert (counts.not_written, counts.crashed) == (0, 1)


@pytest.mark.parametrize(
    ("error", "warnings"), [(TurnNotCome("too many"), 0), (NotWritten("500"), 1)], ids=["no turn", "no answer"]
)
async def test_progress_that_did_not_get_its_turn_is_counted_and_no_warning(
    caplog: pytest.LogCaptureFixture, error: Exception, warnings: int
) -> None:
    counts, written = Counts(), list[str]()

    class Busy(RefusingWriter):
        async def write_status(self, ref: ObjectRef, status: Mapping[str, Any], *, patient: bool) -> None:
            if not patient:
                raise error
            written.append(status["conditions"][0]["reason"])

    controller = _controller(Busy(), counts=counts, reconciler=Reporting())
    controller.on_change(_object() | {"status": {"observedGeneration": 1}})
    await controller.work(KEY)
    assert written == ["Compliant"]
    assert counts.skipped == 1
    assert len([each for each in caplog.records if each.levelname == "WARNING"]) == warnings


def test_a_resource_in_a_crowd_on_one_vault_wakes_the_next_owner_and_nobody_else() -> None:
    woken: list[str] = []
    controller = _controller(RefusingWriter(), lambda key, _: woken.append(key.name))
    for number in range(200):
        controller.on_change(
            _object(f"r{number:03}", {"creationTimestamp": f"2026-01-01T00:{number // 60:02}:{number % 60:02}Z"})
        )
    woken.clear()

    controller.on_delete(ResourceKey(KEY.namespace, "r000"))
    assert woken == ["r001"]
    woken.clear()
    controller.on_delete(ResourceKey(KEY.namespace, "r150"))
    assert woken == [], "who never owned the vault leaves nobody anything"


async def test_the_others_learn_who_owns_a_vault_one_after_the_other_and_once() -> None:
    woken: list[tuple[str, float]] = []
    writer = RefusingWriter()
    controller = _controller(writer, lambda key, delay: woken.append((key.name, delay)))
    for number in range(5):
        controller.on_change(_object(f"r{number}", {"creationTimestamp": f"2026-01-01T00:00:0{number}Z"}, suspend=True))
    woken.clear()

    await controller.work(ResourceKey(KEY.namespace, "r0"))
    assert [name for name, _ in woken] == ["r1", "r2", "r3", "r4"]
    assert sorted({delay for _, delay in woken}) == [delay for _, delay in woken], "not all at once"
    woken.clear()
    await controller.work(ResourceKey(KEY.namespace, "r0"))
    assert woken == []


async def test_whether_an_owner_is_still_there_is_asked_once_for_all_who_wait_for_its_vault() -> None:
    asked: list[str] = []

    class CountingWriter(RefusingWriter):
        async def check_present(self, ref: ObjectRef) -> None:
            asked.append(ref.key.name)

    controller = _controller(CountingWriter())
    for number in range(50):
        controller.on_change(_object(f"r{number:02}", {"creationTimestamp": f"2026-01-01T00:00:{number:02}Z"}))
    for number in range(1, 50):
        await controller.work(ResourceKey(KEY.namespace, f"r{number:02}"))

    assert asked == ["r00"]


async def test_the_echo_of_a_status_is_taken_in_without_reading_what_is_declared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writer = RefusingWriter()
    controller = _controller(writer)
    controller.on_change(_object(suspend=True))
    await controller.work(KEY)

    def refuse(*_: object) -> None:
        raise AssertionError("nothing but the status has changed")

    monkeypatch.setattr("vault_autoupdate.controller.controller.read_declaration", refuse)
    controller.on_change(_object(suspend=True) | {"status": writer.status})

    assert controller.resources[KEY].status == writer.status


def _asked(value: int, **changes: Any) -> dict[str, Any]:
    return _object(KEY.name, {"annotations": {REQUESTED_AT: str(value)}}, **changes)


async def test_looks_that_somebody_asks_for_again_and_again_come_one_by_one_and_the_last_wish_stands() -> None:
    looks: list[str | None] = []

    class Looking:
        async def reconcile(self, resource: VaultAutoUpdate, *_: object) -> Outcome:
            looks.append(resource.requested_at)
            return Outcome(Readiness("True", "Compliant", "."))

    controller = _controller(RefusingWriter(), reconciler=Looking(), interval=timedelta(hours=1))
    delays = []
    for value in range(100):
        controller.on_change(_asked(value))
        delays.append(await controller.work(KEY))

    assert len(looks) == BURST
    assert looks[-1] == str(BURST - 1)
    assert 0 < (delays[-1] or 0) <= 3600
    controller.resources[KEY].allowance.used = BURST - 1.0
    await controller.work(KEY)
    assert looks[-1] == "99"
    assert controller.resources[KEY].status["lastHandledReconcileAt"] == "99"


async def test_what_somebody_asks_for_and_does_not_get_is_told_in_an_event_but_not_every_second() -> None:
    refusal = Readiness("False", "UpdateAgentsRefused", "There is no spec.agentUpdates.")

    class Refusing:
        async def reconcile(self, *_: object) -> Outcome:
            return Outcome(Readiness("True", "Compliant", "."), refusal=refusal)

    writer = RefusingWriter()
    controller = _controller(writer, reconciler=Refusing())
    for value in range(3):
        controller.on_change(_object(KEY.name, {"annotations": {UPDATE_AGENTS_NOW: str(value)}}))
        await controller.work(KEY)

    assert [event for event in writer.events if event.reason == refusal.reason] == [refusal]
    assert refusal.is_warning


def test_after_a_start_what_is_under_way_or_in_an_open_window_goes_on_at_once() -> None:
    delays: dict[str, float] = {}
    controller = _controller(RefusingWriter(), lambda key, delay: delays.update({key.name: delay}))
    ready = {"conditions": [{"type": "Ready", "status": "True", "reason": "Compliant"}], "observedGeneration": 1}
    job = "0f0f0f0f-0000-4000-8000-000000000001"
    item = {"machine": "web-1", "item": "f/c/web-1", "jobId": job, "startedAt": "2026-01-01T00:00:00Z"}
    updates = {"operations": [item], "started": 1}
    mapping = {"mapping": "f/c/m", "jobId": job, "startedAt": "2026-01-01T00:00:00Z"}
    window = {"schedule": "* * * * *", "duration": "1h"}
    in_windows = {"vaultResourceId": VAULT_ID, "autoUpdate": "Disabled", "agentUpdates": window}
    enabled = _object()["spec"]
    for name, status, spec in (
        ("idle", ready, enabled),
        ("mapping", ready | {"operations": [mapping]}, enabled),
        ("update", ready | {"agentUpdates": updates}, enabled),
        ("window", ready, in_windows),
        ("asked", ready | {"observedGeneration": 0}, enabled),
    ):
        own_vault = {"vaultResourceId": f"{VAULT_ID}-{name}"}
        controller.on_change(_object(name) | {"spec": spec | own_vault, "status": status}, initial=True)

    assert delays["idle"] > _SPREAD / 1000
    assert {delays[name] for name in ("mapping", "update", "window", "asked")} == {0.5}
