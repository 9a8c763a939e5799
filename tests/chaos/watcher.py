"""A watch of our own: every version of every resource of a namespace, as far as the API server lets us see them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import requests

from tests.chaos.history import Version
from workbench.kube.resources import collection_path
from workbench.kube.rest import ApiError, RestClient

_PAUSE = 0.1

__all__ = ["Watcher"]


class Watcher:
    """Watches in a thread of its own, through outages of the API server."""

    def __init__(self, rest: RestClient, namespace: str, now: Callable[[], float]) -> None:
        self.versions: list[Version] = []
        self._rest = rest
        self._now = now
        self._path = collection_path(namespace)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def start(self) -> Watcher:
        """Begin to watch."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End the watch: within the second that each of its requests takes."""
        self._stopped.set()
        self._thread.join()
        self._rest.close()

    def _run(self) -> None:
        position, known = "", set[str]()
        while not self._stopped.is_set():
            try:
                if not position:
                    position = self._list(known)
                position = self._watch(position, known)
            except ApiError:
                position = ""  # the server no longer has what came after it
                self._stopped.wait(_PAUSE)
            except (requests.RequestException, OSError, ValueError):
                self._stopped.wait(_PAUSE)  # no server, or one that went away in the middle of a line

    def _list(self, known: set[str]) -> str:
        document = self._rest.request("GET", self._path, timeout=5)
        for item in document["items"]:
            self._take(item | {"kind": "VaultAutoUpdate"}, known, gap=True)
        return str(document["metadata"]["resourceVersion"])

    def _watch(self, position: str, known: set[str]) -> str:
        for event in self._rest.watch(self._path, resource_version=position, seconds=1):
            if event["type"] == "ERROR":
                return ""
            position = str(event["object"]["metadata"]["resourceVersion"])
            self._take(event["object"], known, deleted=event["type"] == "DELETED")
        return position

    def _take(self, body: dict[str, Any], known: set[str], *, gap: bool = False, deleted: bool = False) -> None:
        version = body["metadata"]["resourceVersion"]
        if version not in known:
            known.add(version)
            self.versions.append(Version(body, self._now(), gap=gap, deleted=deleted))
