"""Runs the emulator in a thread, on a loopback port of its own."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Self

from aiohttp import web

from workbench.kube.emulator import Emulator

__all__ = ["EmulatorServer"]


class EmulatorServer:
    """An emulator that answers from ``with`` to the end of the block."""

    def __init__(self) -> None:
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kubernetes-emulator", daemon=True)
        self._failure: BaseException | None = None
        self.url = ""

    def start(self) -> Self:
        """Start the thread, and return once the emulator listens."""
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            raise self._failure
        return self

    def close(self) -> None:
        """Stop listening, end all watches and the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def forget_history(self) -> None:
        """Make every watch that resumes from before now get a 410."""
        self._loop.call_soon_threadsafe(self.emulator.store.forget_history)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            self._failure = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with Emulator() as self.emulator:
            runner = web.ServerRunner(web.Server(self.emulator), shutdown_timeout=0.1)
            await runner.setup()
            try:
                site = web.TCPSite(runner, "127.0.0.1", 0)
                await site.start()
                port = runner.addresses[0][1]
                self.url = f"http://127.0.0.1:{port}"
                self._started.set()
                await self._stop.wait()
            finally:
                await runner.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
