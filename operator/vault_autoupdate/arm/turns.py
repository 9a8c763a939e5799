"""Whose call is next: turns by namespace, and within a namespace by vault. Knows neither the clock nor any limit.

Of namespaces, the one that has had least of the limit goes first, so that a newcomer is behind nobody who has had his
share, however much that one has waiting. "Least" goes by powers of two: those that have had about as much take turns
of `TURN` calls. Of a namespace's vaults each has its own queue; a vault that comes anew has its first turn before
those that have had one: five calls of one vault are not behind five thousand of another. Turns are longer than one
call so that vaults get done one after the other instead of all at the end; fewer of them have jobs in flight at a
time, which have to be looked at.

A namespace is found, put in its place and taken in constant time, whatever waits.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from vault_autoupdate.model.quota import Caller

TURN: Final = 20
"""Calls of one vault, and of one namespace, before it is another one's turn."""

T = TypeVar("T")

__all__ = ["TURN", "Turns"]


class _Namespace(Generic[T]):
    """The calls of one namespace, in the order of its vaults' turns."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.level = 0
        """How much it had had when its turn began or it came into the queue, as a power of two."""
        self.turn = 0
        """Calls in its present turn."""
        self.waiting = 0
        self.backlog = 0
        """Calls that are expected, and those in the queues of keys of which nothing is expected."""
        self.expected: dict[str, int] = {}
        """Per key: calls that it has said to come, in the queue or not; the pace follows their sum."""
        self._calls: dict[str, int] = {}
        """Per key: how many calls were let through since it came anew."""
        self._fresh: OrderedDict[str, list[T]] = OrderedDict()
        """Keys in their first turn; they go before the others."""
        self._queues: OrderedDict[str, list[T]] = OrderedDict()
        """The other keys, in the order of their turns."""

    def enter(self, key: str, call: T) -> None:
        """Put a call at the end of its key's queue."""
        if (queue := self._queue_of(key)) is not None:
            queue.append(call)
        else:
            calls = self._calls.get(key, 0)
            group = self._fresh if calls < TURN else self._queues
            group[key] = [call]  # a deque takes ten times as much, and few have more than one call waiting
            if 0 < calls < TURN:
                group.move_to_end(key, last=False)  # its turn goes on: it has said that more come
        self.waiting += 1
        self.backlog += key not in self.expected

    def pop(self) -> T:
        """Take the call whose turn it is out of its queue."""
        group = self._fresh or self._queues
        key, queue = next(iter(group.items()))
        call = queue.pop(0)
        self.waiting -= 1
        self._count(key)
        if not queue:
            self._forget(group, key)
        elif self._calls[key] % TURN == 0:
            del group[key]
            self._queues[key] = queue
        return call

    def leave(self, key: str, call: T) -> bool:
        """Take a call out that does not wait any longer; tells whether it was there."""
        group = self._fresh if key in self._fresh else self._queues
        queue = group.get(key)
        if not queue or call not in queue:
            return False
        queue.remove(call)
        self.waiting -= 1
        self.backlog -= key not in self.expected
        if not queue:
            self._forget(group, key)
        return True

    def expect(self, key: str, count: int) -> None:
        """Count ``count`` calls of ``key`` instead of those in its queue; 0 takes that back."""
        queued = len(self._queue_of(key) or ())
        self.backlog -= self.expected.pop(key, queued)
        if count > 0:
            self.expected[key] = count
        elif not queued:
            self._calls.pop(key, None)
        self.backlog += self.expected.get(key, queued)

    def _queue_of(self, key: str) -> list[T] | None:
        return self._fresh.get(key) or self._queues.get(key)

    def _count(self, key: str) -> None:
        self._calls[key] = self._calls.get(key, 0) + 1
        if key not in self.expected:
            self.backlog -= 1
        elif self.expected[key] > 0:
            self.expected[key] -= 1
            self.backlog -= 1

    def _forget(self, group: OrderedDict[str, list[T]], key: str) -> None:
        del group[key]
        if key not in self.expected:
            self._calls.pop(key, None)


class Turns(Generic[T]):
    """The calls that wait for one budget."""

    def __init__(self, used_by: Callable[[str], int]) -> None:
        """Begin with nobody waiting; ``used_by`` tells how many calls a namespace has had in the limit's window."""
        self._used_by = used_by
        self._namespaces: dict[str, _Namespace[T]] = {}
        """Those that have calls waiting or expected."""
        self._levels: dict[int, OrderedDict[str, _Namespace[T]]] = {}
        """Those that have calls waiting, by what they have had, in the order of their turns. At most thirty levels."""
        self._left: OrderedDict[str, float] = OrderedDict()
        """When the others were there last, the latest at the end."""
        self.waiting = 0
        """Calls in all queues."""
        self.backlog = 0
        """Calls to come: those that are expected, and those that wait without having been expected."""

    def enter(self, caller: Caller, call: T) -> None:
        """Put a call where it belongs."""
        namespace = self._namespace(caller.namespace)
        backlog, was_waiting = namespace.backlog, namespace.waiting
        namespace.enter(caller.key, call)
        self.waiting += 1
        self.backlog += namespace.backlog - backlog
        if not was_waiting:
            self._place(namespace)

    def first(self) -> str:
        """The namespace whose call is next: the first of those that have had least; empty when none waits.

        What has been had grows less with time. The first of each level is looked at for that, so that those behind it
        are some call later.
        """
        if len(self._namespaces) > 1:
            for level in sorted(self._levels):
                name = next(iter(self._levels[level]))
                if self._level(self._namespaces[name]) < level:
                    self.end_turn(name)
        return next(iter(self._levels[min(self._levels)])) if self._levels else ""

    def pop(self, name: str, now: float) -> T:
        """Take the next call of a namespace out: of the one that is `first`."""
        namespace = self._namespaces[name]
        backlog = namespace.backlog
        call = namespace.pop()
        self.waiting -= 1
        self.backlog += namespace.backlog - backlog
        namespace.turn += 1
        if not namespace.waiting or namespace.turn == TURN:
            self._displace(namespace)
            self._settle(namespace, now)
        return call

    def end_turn(self, name: str) -> None:
        """Let a namespace wait for its next turn, if it waits."""
        namespace = self._namespaces.get(name)
        if namespace and namespace.waiting:
            self._displace(namespace)
            namespace.turn = TURN
            self._place(namespace)

    def leave(self, caller: Caller, call: T, now: float) -> None:
        """Take a call out that does not wait any longer, if it does."""
        namespace = self._namespaces.get(caller.namespace)
        if namespace is None:
            return
        backlog = namespace.backlog
        if namespace.leave(caller.key, call):
            self.waiting -= 1
            self.backlog += namespace.backlog - backlog
            if not namespace.waiting:
                self._displace(namespace)
                self._settle(namespace, now)

    def expect(self, caller: Caller, count: int, now: float) -> None:
        """Count ``count`` calls of a vault instead of those in its queue; 0 takes that back."""
        if not count and caller.namespace not in self._namespaces:
            return
        namespace = self._namespace(caller.namespace)
        backlog = namespace.backlog
        namespace.expect(caller.key, count)
        self.backlog += namespace.backlog - backlog
        if not namespace.waiting:
            self._settle(namespace, now)

    def left_at(self) -> float:
        """When a namespace was last there of which nothing waits or is expected now; minus infinity for never."""
        return next(reversed(self._left.values()), -math.inf)

    def forget_left(self, before: float) -> None:
        """Forget who has left before a time."""
        while self._left and next(iter(self._left.values())) < before:
            self._left.popitem(last=False)

    def _namespace(self, name: str) -> _Namespace[T]:
        if name not in self._namespaces:
            self._namespaces[name] = _Namespace(name)
            self._left.pop(name, None)
        return self._namespaces[name]

    def _place(self, namespace: _Namespace[T]) -> None:
        """Put a namespace that has calls waiting at the end of its level; at its beginning if its turn goes on."""
        goes_on = 0 < namespace.turn < TURN
        if not goes_on:
            namespace.turn, namespace.level = 0, self._level(namespace)
        group = self._levels.setdefault(namespace.level, OrderedDict())
        group[namespace.name] = namespace
        group.move_to_end(namespace.name, last=not goes_on)

    def _displace(self, namespace: _Namespace[T]) -> None:
        group = self._levels[namespace.level]
        del group[namespace.name]
        if not group:
            del self._levels[namespace.level]

    def _settle(self, namespace: _Namespace[T], now: float) -> None:
        """Give a namespace that is in no level its next place, or none if nothing of it is left."""
        if namespace.waiting:
            self._place(namespace)
        elif not namespace.expected:
            del self._namespaces[namespace.name]
            self._left[namespace.name] = now
            self._left.move_to_end(namespace.name)

    def _level(self, namespace: _Namespace[T]) -> int:
        return self._used_by(namespace.name).bit_length()
